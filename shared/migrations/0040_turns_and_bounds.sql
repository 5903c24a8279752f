-- Rows are bounded, the sweep looks at each row when it is due, and jobs wait for their account's turn.

-- In the order in which calls lock them, so that neither they nor this wait crosswise.
SET LOCAL lock_timeout = '60s';
LOCK TABLE vsl.jobs, vsl.outbox IN ACCESS EXCLUSIVE MODE;

-- When a row is being sent, and by whom it must not be sent at the same time.
ALTER TABLE vsl.outbox ADD COLUMN claimed_until timestamptz;
-- Events are not sent before there are deliveries: they have no place in an index that each sweep walks.
CREATE INDEX outbox_due ON vsl.outbox (due_at, id) WHERE sent_at IS NULL AND topic <> 'events';
DROP INDEX vsl.outbox_unsent;
CREATE INDEX outbox_sent ON vsl.outbox (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX outbox_events ON vsl.outbox (created_at) WHERE sent_at IS NULL AND topic = 'events';
CREATE INDEX webhook_inbox_oldest ON vsl.webhook_inbox (received_at);
CREATE INDEX uploads_open ON vsl.uploads (account_id, expires_at);

ALTER TABLE vsl.jobs
    -- When the sweep next looks whether the job's message was lost, and how often it has sent it again.
    ADD COLUMN check_at       timestamptz NOT NULL DEFAULT now() + interval '60 seconds',
    ADD COLUMN checks         smallint NOT NULL DEFAULT 0,
    -- The queue in which the job waits until its account has fewer jobs at work there.
    ADD COLUMN waits_for      text CHECK (waits_for IN ('compile', 'inspect'));
CREATE INDEX jobs_to_check ON vsl.jobs (check_at) WHERE status IN ('pending', 'generating', 'processing');
CREATE INDEX jobs_waiting ON vsl.jobs (waits_for, account_id, created_at) WHERE waits_for IS NOT NULL;
CREATE INDEX jobs_unfinished_of_account ON vsl.jobs (account_id)
    WHERE status IN ('pending', 'generating', 'processing');
CREATE INDEX jobs_leased_of_account ON vsl.jobs (account_id) WHERE lease_until IS NOT NULL;

-- Rows that the sweep could not handle, and until when it leaves them alone. Apart from the rows themselves, which
-- may be such that no change of them is possible.
CREATE TABLE vsl.set_back_rows (
    -- The id of a job or attempt, or a fetch's job and number.
    row_id  text PRIMARY KEY,
    until   timestamptz NOT NULL
);

-- Large documents lie in the bucket. Rows of before that are larger lose what can be read again.
UPDATE vsl.jobs SET request = jsonb_set(request, '{sources}',
        (SELECT coalesce(jsonb_agg(s - 'decoded'), '[]') FROM jsonb_array_elements(request->'sources') s))
    WHERE jsonb_typeof(request->'sources') = 'array' AND octet_length(request::text) > 100000;
UPDATE vsl.jobs SET result = jsonb_set(result, '{outputs}',
        (SELECT coalesce(jsonb_agg(o - 'decoded'), '[]') FROM jsonb_array_elements(result->'outputs') o))
    WHERE jsonb_typeof(result->'outputs') = 'array' AND octet_length(result::text) > 60000;
-- Rows of before, also those that the older release writes while this one is deployed, may stay larger: no change of
-- them must fail.
DO $$ BEGIN EXECUTE format(
    'ALTER TABLE vsl.jobs ADD CONSTRAINT jobs_bounded CHECK (created_at < %L OR '
    'octet_length(request::text) + octet_length(result::text) + octet_length(metadata::text) '
    '+ coalesce(octet_length(error_message), 0) + coalesce(octet_length(user_agent), 0) <= 250000) NOT VALID',
    CASE WHEN EXISTS (SELECT FROM vsl.jobs) THEN now() + interval '30 minutes' ELSE now() END);
END $$;
