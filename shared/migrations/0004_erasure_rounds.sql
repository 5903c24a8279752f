-- An erasure goes through its jobs in rounds, in the hands of one worker at a time, and is done when a whole round
-- has found nothing. What it has to go through are the jobs that name it.
ALTER TABLE vsl.erasures
    -- The label its places in the bucket are made of; gone when it is done.
    ADD COLUMN user_id         text,
    -- Until when its worker has it, or when the sweep goes on with it.
    ADD COLUMN due_at          timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN round_began_at  timestamptz NOT NULL DEFAULT now(),
    -- The last job this round has been through; NULL while it still looks for jobs.
    ADD COLUMN cursor          uuid,
    -- What this round has found, by store; `erased` is the sum of all rounds.
    ADD COLUMN found           jsonb NOT NULL DEFAULT '{}',
    -- Films that show what is erased: kept where one job is erased, erased where a user is.
    ADD COLUMN films           jsonb NOT NULL DEFAULT '[]';

ALTER TABLE vsl.jobs ADD COLUMN erasure_id uuid REFERENCES vsl.erasures (id);
CREATE INDEX jobs_by_erasure ON vsl.jobs (erasure_id, id) WHERE erasure_id IS NOT NULL;

UPDATE vsl.jobs j SET erasure_id = e.id FROM vsl.erasures e, jsonb_array_elements(e.work) w
    WHERE j.id = (w->>'jobId')::uuid;
UPDATE vsl.erasures SET user_id = substr(subject, 6), subject = 'user'
    WHERE completed_at IS NULL AND subject LIKE 'user:%';
UPDATE vsl.erasures e SET user_id = j.user_id FROM vsl.jobs j
    WHERE e.completed_at IS NULL AND e.subject = 'job:' || j.id;
UPDATE vsl.erasures SET subject = 'user' WHERE subject LIKE 'user:%';

DROP INDEX vsl.erasures_open;
CREATE INDEX erasures_open ON vsl.erasures (due_at) WHERE completed_at IS NULL;
ALTER TABLE vsl.erasures DROP COLUMN work;

CREATE INDEX outbox_by_job ON vsl.outbox (job_id);
CREATE INDEX webhook_inbox_by_job ON vsl.webhook_inbox (job_id);

-- How far the minute sweep has come in what is too much for one minute.
CREATE TABLE vsl.sweep_positions (
    sweep     text PRIMARY KEY,
    position  text NOT NULL
);
-- What nobody owns any more is removed for no account.
ALTER TABLE vsl.storage_operations ALTER COLUMN account_id DROP NOT NULL;
