-- A plan or probe whose sources lie elsewhere is a job: they are fetched first.
ALTER TABLE vsl.jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE vsl.jobs ADD CONSTRAINT jobs_kind_check CHECK (kind IN
    ('generate', 'compile', 'compose', 'frames', 'storyboard', 'convert', 'upload', 'plan', 'probe'));
ALTER TABLE vsl.outbox DROP CONSTRAINT outbox_topic_check;
ALTER TABLE vsl.outbox ADD CONSTRAINT outbox_topic_check
    CHECK (topic IN ('calls', 'store', 'inspect', 'compile', 'fetch', 'events'));

-- A source that lies elsewhere: the outside brings it to `key`, write-once, before the job goes on.
CREATE TABLE vsl.source_fetches (
    job_id      uuid NOT NULL REFERENCES vsl.jobs (id) ON DELETE CASCADE,
    account_id  uuid NOT NULL,
    -- Of the first clip that names the URL, from 0.
    number      integer NOT NULL CHECK (number >= 0),
    url         text NOT NULL,
    key         text NOT NULL,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'fetched', 'failed')),
    tries       integer NOT NULL DEFAULT 0,
    owner       text,
    -- Until when its worker has it, or when the sweep asks for it again; NULL before its turn.
    due_at      timestamptz,
    PRIMARY KEY (job_id, number)
);
CREATE INDEX source_fetches_due ON vsl.source_fetches (due_at) WHERE state = 'waiting' AND due_at IS NOT NULL;
CREATE INDEX source_fetches_held ON vsl.source_fetches (account_id) WHERE state = 'waiting' AND owner IS NOT NULL;
CREATE INDEX source_fetches_by_key ON vsl.source_fetches (key);

-- Plans tell of clips as films do, and are erased with them.
DROP INDEX vsl.jobs_with_sources;
CREATE INDEX jobs_with_sources ON vsl.jobs USING gin (request jsonb_path_ops)
    WHERE kind IN ('compile', 'plan', 'probe');
