-- Each sweep looks for the fullest budget of an account among a row for every user and month.
CREATE INDEX budgets_with_limits ON vsl.budgets (period) WHERE user_id = '' AND limit_usd > 0;
