-- The final shape of the truth. Times are timestamptz in UTC, money is numeric USD, durations say their unit.

CREATE SCHEMA IF NOT EXISTS vsl;
CREATE SCHEMA IF NOT EXISTS vsl_frontend;

CREATE TYPE vsl.job_status AS ENUM
    ('pending', 'generating', 'processing', 'completed', 'failed', 'cancelled', 'timeout');
CREATE TYPE vsl.response_type AS ENUM ('immediate', 'async');
CREATE TYPE vsl.job_step AS ENUM
    ('pending', 'estimating', 'generating', 'downloading', 'processing', 'uploading', 'storing', 'awaiting_approval');
CREATE TYPE vsl.attempt_state AS ENUM ('written', 'claimed', 'accepted', 'rejected', 'finished');
CREATE TYPE vsl.storage_operation AS ENUM ('upload', 'download', 'copy', 'delete', 'verify');

CREATE TABLE vsl.accounts (
    id              uuid PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    usage_plan_key  text NOT NULL UNIQUE,
    usage_plan_key_id text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    closed_at       timestamptz
);

CREATE TABLE vsl.api_keys (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES vsl.accounts (id),
    key_hash    text NOT NULL UNIQUE CHECK (key_hash ~ '^[0-9a-f]{64}$'),
    scopes      text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz
);
CREATE INDEX api_keys_by_account ON vsl.api_keys (account_id, created_at);

CREATE TABLE vsl.account_settings (
    account_id  uuid PRIMARY KEY REFERENCES vsl.accounts (id),
    settings    jsonb NOT NULL DEFAULT '{}',
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- A budget is one row a period: what is reserved by unfinished jobs and what was spent. The reservation is
-- part of the transaction that writes the job, so two requests can never pass on the same last dollar.
CREATE TABLE vsl.budgets (
    account_id    uuid NOT NULL REFERENCES vsl.accounts (id),
    user_id       text NOT NULL DEFAULT '',
    period        text NOT NULL DEFAULT 'total',
    limit_usd     numeric(14, 6),
    reserved_usd  numeric(14, 6) NOT NULL DEFAULT 0 CHECK (reserved_usd >= 0),
    spent_usd     numeric(14, 6) NOT NULL DEFAULT 0 CHECK (spent_usd >= 0),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, user_id, period)
);

CREATE TABLE vsl.jobs (
    id                  uuid PRIMARY KEY,
    account_id          uuid NOT NULL REFERENCES vsl.accounts (id),
    user_id             text NOT NULL,
    kind                text NOT NULL CHECK (kind IN ('generate', 'compile', 'compose', 'frames', 'storyboard', 'convert')),
    route               text NOT NULL,
    idempotency_key     text,
    request_hash        text NOT NULL,
    request             jsonb NOT NULL,
    status              vsl.job_status NOT NULL DEFAULT 'pending',
    response_type       vsl.response_type NOT NULL DEFAULT 'async',
    current_step        vsl.job_step NOT NULL DEFAULT 'pending',
    progress            smallint CHECK (progress BETWEEN 0 AND 100),
    media_type          text CHECK (media_type IN ('image', 'video', 'audio', 'text')),
    model_id            text,
    script_id           integer,
    section_id          integer,
    output_format       text,
    width               integer CHECK (width BETWEEN 1 AND 65536),
    height              integer CHECK (height BETWEEN 1 AND 65536),
    duration_seconds    numeric(12, 3) CHECK (duration_seconds >= 0),
    estimated_seconds   numeric(12, 3) CHECK (estimated_seconds >= 0),
    actual_seconds      numeric(12, 3) CHECK (actual_seconds >= 0),
    estimated_cost_usd  numeric(14, 6) NOT NULL DEFAULT 0 CHECK (estimated_cost_usd >= 0),
    actual_cost_usd     numeric(14, 6) CHECK (actual_cost_usd >= 0),
    s3_bucket           text,
    s3_key              text,
    thumbnail_key       text,
    content_type        text,
    size_bytes          bigint CHECK (size_bytes >= 0),
    result              jsonb NOT NULL DEFAULT '{}',
    error_code          text,
    error_message       text,
    retry_count         integer NOT NULL DEFAULT 0,
    retry_of            uuid REFERENCES vsl.jobs (id),
    webhook_url         text,
    metadata            jsonb NOT NULL DEFAULT '{}',
    client_ip           inet,
    user_agent          text,
    version             bigint NOT NULL DEFAULT 1,
    published_version   bigint NOT NULL DEFAULT 0,
    lease_owner         text,
    lease_until         timestamptz,
    cancel_requested_at timestamptz,
    deadline_at         timestamptz NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    completed_at        timestamptz,
    updated_at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, route, idempotency_key),
    CHECK (kind <> 'generate' OR (media_type IS NOT NULL AND model_id IS NOT NULL)),
    CHECK (kind NOT IN ('compile', 'compose') OR output_format IS NOT NULL),
    CHECK ((status IN ('completed', 'failed', 'cancelled', 'timeout')) = (completed_at IS NOT NULL)),
    CHECK (status <> 'failed' OR (error_code IS NOT NULL AND error_message IS NOT NULL))
);
CREATE INDEX jobs_newest ON vsl.jobs (account_id, created_at DESC, id DESC);
CREATE INDEX jobs_by_user ON vsl.jobs (account_id, user_id, created_at DESC, id DESC);
CREATE INDEX jobs_unfinished ON vsl.jobs (deadline_at)
    WHERE status IN ('pending', 'generating', 'processing');
CREATE INDEX jobs_leased ON vsl.jobs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX jobs_unpublished ON vsl.jobs (updated_at) WHERE published_version < version;

-- Every call that may cost money is a row before it is made.
CREATE TABLE vsl.provider_attempts (
    id             uuid PRIMARY KEY,
    account_id     uuid NOT NULL REFERENCES vsl.accounts (id),
    job_id         uuid NOT NULL REFERENCES vsl.jobs (id) ON DELETE CASCADE,
    number         integer NOT NULL CHECK (number >= 1),
    provider       text NOT NULL,
    provider_id    text,
    request        jsonb NOT NULL,
    state          vsl.attempt_state NOT NULL DEFAULT 'written',
    reserved_usd   numeric(14, 6) NOT NULL DEFAULT 0,
    actual_usd     numeric(14, 6),
    provider_status text,
    error_code     text,
    error_message  text,
    claimed_at     timestamptz,
    accepted_at    timestamptz,
    finished_at    timestamptz,
    next_check_at  timestamptz DEFAULT now() + interval '60 seconds',
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (job_id, number),
    UNIQUE (provider, provider_id)
);
CREATE UNIQUE INDEX one_unfinished_attempt ON vsl.provider_attempts (job_id)
    WHERE state NOT IN ('rejected', 'finished');
CREATE INDEX attempts_to_check ON vsl.provider_attempts (next_check_at)
    WHERE state NOT IN ('rejected', 'finished');

CREATE TABLE vsl.job_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  uuid NOT NULL,
    job_id      uuid NOT NULL REFERENCES vsl.jobs (id) ON DELETE CASCADE,
    name        text NOT NULL,
    status      vsl.job_status NOT NULL,
    details     jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX job_events_by_job ON vsl.job_events (account_id, job_id, id);

-- Written in the transaction that made the announcement true; sent after commit, swept every minute.
CREATE TABLE vsl.outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  uuid NOT NULL,
    job_id      uuid REFERENCES vsl.jobs (id) ON DELETE CASCADE,
    topic       text NOT NULL CHECK (topic IN ('calls', 'store', 'inspect', 'compile', 'events')),
    body        jsonb NOT NULL,
    due_at      timestamptz NOT NULL DEFAULT now(),
    created_at  timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz
);
CREATE INDEX outbox_unsent ON vsl.outbox (due_at, id) WHERE sent_at IS NULL;

CREATE TABLE vsl.storage_operations (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   uuid NOT NULL,
    job_id       uuid REFERENCES vsl.jobs (id) ON DELETE CASCADE,
    operation    vsl.storage_operation NOT NULL,
    bucket       text NOT NULL,
    key          text NOT NULL,
    success      boolean NOT NULL,
    size_bytes   bigint,
    duration_ms  integer,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX storage_operations_by_job ON vsl.storage_operations (account_id, job_id, id);

-- One row a delivery of a provider's webhook; a second delivery meets the unique id. Unmatched ones are
-- parked: they wait for the answer of the call that made their prediction.
CREATE TABLE vsl.webhook_inbox (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider         text NOT NULL,
    webhook_id       text NOT NULL,
    provider_id      text NOT NULL,
    provider_status  text NOT NULL,
    job_id           uuid,
    attempt_id       uuid,
    parked           boolean NOT NULL DEFAULT false,
    received_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, webhook_id)
);
CREATE INDEX webhook_inbox_parked ON vsl.webhook_inbox (provider, provider_id) WHERE parked;

CREATE TABLE vsl.cost_ledger (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  uuid NOT NULL,
    user_id     text NOT NULL,
    job_id      uuid NOT NULL,
    attempt_id  uuid,
    entry       text NOT NULL CHECK (entry IN ('estimate', 'actual')),
    kind        text NOT NULL,
    provider    text,
    model_id    text,
    amount_usd  numeric(14, 6) NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (job_id, attempt_id, entry)
);
CREATE INDEX cost_ledger_by_account ON vsl.cost_ledger (account_id, created_at);

CREATE TABLE vsl.webhook_endpoints (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES vsl.accounts (id),
    url          text NOT NULL,
    secret       text NOT NULL,
    events       text[] NOT NULL DEFAULT '{}',
    disabled_at  timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE vsl.webhook_deliveries (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES vsl.accounts (id),
    outbox_id    bigint REFERENCES vsl.outbox (id) ON DELETE SET NULL,
    endpoint_id  uuid REFERENCES vsl.webhook_endpoints (id) ON DELETE CASCADE,
    url          text NOT NULL,
    event        text NOT NULL,
    attempt      integer NOT NULL DEFAULT 0,
    status_code  integer,
    error        text,
    next_try_at  timestamptz,
    delivered_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE vsl.shares (
    id             uuid PRIMARY KEY,
    account_id     uuid NOT NULL REFERENCES vsl.accounts (id),
    job_id         uuid NOT NULL REFERENCES vsl.jobs (id) ON DELETE CASCADE,
    token_hash     text NOT NULL UNIQUE,
    password_hash  text,
    max_plays      integer CHECK (max_plays > 0),
    plays          integer NOT NULL DEFAULT 0,
    expires_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE vsl.templates (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES vsl.accounts (id),
    name        text NOT NULL,
    body        jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);

CREATE TABLE vsl.frame_sessions (
    id          text NOT NULL,
    account_id  uuid NOT NULL REFERENCES vsl.accounts (id),
    user_id     text NOT NULL,
    job_id      uuid REFERENCES vsl.jobs (id) ON DELETE CASCADE,
    options     jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, user_id, id)
);

-- What the estimators learn from: one row a measured piece of work.
CREATE TABLE vsl.encode_samples (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    strategy        text NOT NULL,
    input_bytes     bigint NOT NULL,
    output_seconds  numeric(12, 3) NOT NULL,
    pixels          bigint NOT NULL,
    work_seconds    numeric(12, 3) NOT NULL,
    memory_mb       integer NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE vsl_frontend.section_detailed_scripts (
    id                  serial PRIMARY KEY,
    account_id          uuid NOT NULL REFERENCES vsl.accounts (id),
    section_id          integer NOT NULL,
    script_content      text,
    compiled_video_url  text,
    compiled_at         timestamptz(3),
    compiled_job_id     uuid REFERENCES vsl.jobs (id),
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX scripts_newest ON vsl_frontend.section_detailed_scripts (account_id, id DESC);
COMMENT ON COLUMN vsl_frontend.section_detailed_scripts.compiled_video_url
    IS 'the S3 key of the film; URLs are signed on the way out, never stored';

CREATE TABLE vsl_frontend.section_videos (
    id                serial PRIMARY KEY,
    account_id        uuid NOT NULL REFERENCES vsl.accounts (id),
    section_id        integer NOT NULL,
    script_id         integer REFERENCES vsl_frontend.section_detailed_scripts (id),
    user_id           text NOT NULL,
    job_id            uuid UNIQUE REFERENCES vsl.jobs (id),
    position          integer NOT NULL DEFAULT 0,
    status            text NOT NULL
        CHECK (status IN ('pending', 'generating', 'completed', 'approved', 'rejected', 'failed', 'cancelled')),
    result_url        text,
    thumbnail_url     text,
    replicate_job_id  text,
    error_message     text,
    reject_reason     text,
    processing_time   integer,
    actual_cost       numeric(10, 4),
    version           bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX section_videos_of_script ON vsl_frontend.section_videos (account_id, script_id, position, id);
CREATE INDEX section_videos_newest ON vsl_frontend.section_videos (account_id, id DESC);
COMMENT ON COLUMN vsl_frontend.section_videos.result_url
    IS 'the S3 key of the clip; URLs are signed on the way out, never stored';
