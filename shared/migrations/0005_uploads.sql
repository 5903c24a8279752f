-- A clip that is uploaded into a script is a job which waits for its file: it times out, is inspected, erased and
-- shown like any other.
ALTER TABLE vsl.jobs DROP CONSTRAINT jobs_kind_check;
ALTER TABLE vsl.jobs ADD CONSTRAINT jobs_kind_check
    CHECK (kind IN ('generate', 'compile', 'compose', 'frames', 'storyboard', 'convert', 'upload'));

-- One row a request for forms, so that asking again under the same key gives the same places.
CREATE TABLE vsl.uploads (
    id               uuid PRIMARY KEY,
    account_id       uuid NOT NULL REFERENCES vsl.accounts (id),
    user_id          text NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('frame', 'clip', 'image', 'music', 'captions', 'font')),
    script_id        integer REFERENCES vsl_frontend.section_detailed_scripts (id),
    -- [{name, contentType, sizeBytes, key, jobId}]
    files            jsonb NOT NULL,
    idempotency_key  text,
    request_hash     text NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    UNIQUE (account_id, idempotency_key)
);
CREATE INDEX uploads_by_user ON vsl.uploads (account_id, user_id, created_at);
