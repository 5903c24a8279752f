-- How fast each provider may be called, and whether it answers at all. One row a provider, locked by each claim:
-- a token that is taken is part of the claim's own transaction.
CREATE TABLE vsl.provider_pace (
    provider         text PRIMARY KEY,
    rate_per_second  double precision NOT NULL CHECK (rate_per_second > 0),
    tokens           double precision NOT NULL,
    filled_at        timestamptz NOT NULL,
    blocked_until    timestamptz,
    failures         integer NOT NULL DEFAULT 0
);
CREATE INDEX attempts_claimed ON vsl.provider_attempts (provider, claimed_at) WHERE claimed_at IS NOT NULL;
CREATE INDEX attempts_waiting ON vsl.provider_attempts (provider, account_id) WHERE state = 'written';
CREATE INDEX attempts_running ON vsl.provider_attempts (account_id) WHERE state IN ('claimed', 'accepted');
