-- A deletion is durable: what is left to do stands here until nothing of it is left anywhere.
ALTER TABLE vsl.jobs ADD COLUMN erased_at timestamptz;

CREATE TABLE vsl.erasures (
    id            uuid PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES vsl.accounts (id),
    -- job:<id>, or user:<label>; a user's label becomes its hash once the erasure is done.
    subject       text NOT NULL,
    -- [{jobId, prefixes}] while it is open; emptied when it is done, for prefixes hold the user's label.
    work          jsonb NOT NULL,
    erased        jsonb NOT NULL DEFAULT '{}',
    -- Workers that ran when it was asked for may write until then.
    settled_at    timestamptz NOT NULL,
    requested_at  timestamptz NOT NULL DEFAULT now(),
    completed_at  timestamptz
);
CREATE INDEX erasures_open ON vsl.erasures (requested_at) WHERE completed_at IS NULL;
CREATE INDEX erasures_by_subject ON vsl.erasures (account_id, subject);
CREATE INDEX jobs_with_sources ON vsl.jobs USING gin (request jsonb_path_ops) WHERE kind = 'compile';
