-- What a call under an Idempotency-Key made that is no job: jobs and forms keep their keys in their own rows.
CREATE TABLE vsl.idempotency_keys (
    account_id    uuid NOT NULL REFERENCES vsl.accounts (id),
    route         text NOT NULL,
    key           text NOT NULL,
    request_hash  text NOT NULL,
    -- The id of the row that was made; NULL where the call made none (a plan that was answered at once).
    made          text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, route, key)
);
CREATE INDEX idempotency_keys_oldest ON vsl.idempotency_keys (created_at);
