-- The ledger: the truth about every request. Its clock, now(), is the only one that leases know.

CREATE TABLE accounts (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    -- How many of its requests may run at once.
    max_running integer NOT NULL DEFAULT 2 CHECK (max_running > 0),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tokens (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    role       text NOT NULL CHECK (role IN ('customer', 'operator')),
    label      text NOT NULL,
    -- sha256 of the secret; the secret itself is shown once and kept nowhere.
    hash       bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE TABLE databases (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    name       text NOT NULL,
    -- What names the database for life, as its pack tells; recorded at the first restore.
    identity   text,
    UNIQUE (account_id, name)
);

CREATE TABLE packs (
    digest      text PRIMARY KEY,
    product     text NOT NULL,
    title       text NOT NULL,
    pushed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    pushed_by   text NOT NULL,
    recalled_at timestamptz
);
CREATE INDEX packs_current ON packs (product, pushed_at DESC) WHERE recalled_at IS NULL;

CREATE TABLE requests (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts,
    database_id     uuid NOT NULL REFERENCES databases,
    purpose         text NOT NULL CHECK (purpose IN ('test', 'production')),
    target          text NOT NULL,
    state           text NOT NULL CHECK (state IN
        ('awaiting_upload', 'queued', 'running', 'delivered', 'intervention', 'rejected', 'cancelled')),
    -- The failure of an intervention or a rejection, the delivery of a delivered request.
    outcome         jsonb,
    idempotency_key text,
    traceparent     text,

    upload_id       text,
    source_name     text NOT NULL,
    source_bytes    bigint,
    source_etag     text,
    source_sha256   text,

    product         text,
    source_version  text,
    pack_digest     text REFERENCES packs,
    -- When an attempt first knew product and version.
    detected_at     timestamptz,
    accepted_test   uuid REFERENCES requests,
    accepted_at     timestamptz,

    epoch           integer NOT NULL DEFAULT 0,
    worker_id       uuid,
    lease_until     timestamptz,
    attempt_until   timestamptz,
    not_before      timestamptz NOT NULL DEFAULT now(),
    hinted_at       timestamptz,
    cancel_at       timestamptz,

    stage           text,
    progress_done   bigint,
    progress_total  bigint,
    log_lines       bigint NOT NULL DEFAULT 0,

    created_at      timestamptz NOT NULL DEFAULT now(),
    -- When the upload was complete: here the promise begins.
    uploaded_at     timestamptz,
    started_at      timestamptz,
    finished_at     timestamptz,

    UNIQUE (account_id, idempotency_key),
    CHECK ((state IN ('delivered', 'intervention', 'rejected')) = (outcome IS NOT NULL)),
    CHECK ((state = 'running') = (worker_id IS NOT NULL)),
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
);
-- One running request per database: the rule itself, not a hope of the statement that claims.
CREATE UNIQUE INDEX requests_one_running ON requests (database_id) WHERE state = 'running';
CREATE INDEX requests_queued ON requests (uploaded_at) WHERE state = 'queued';
CREATE INDEX requests_running_of_account ON requests (account_id) WHERE state = 'running';
CREATE INDEX requests_leases ON requests (lease_until) WHERE state = 'running';
CREATE INDEX requests_uploads ON requests (created_at) WHERE state = 'awaiting_upload';
-- Lists are in the order of the ids, which is the order of their making.
CREATE INDEX requests_of_account ON requests (account_id, id);
CREATE INDEX requests_of_database ON requests (database_id);
-- What the sweep asks for at every round.
CREATE INDEX requests_to_abort ON requests (id)
    WHERE state = 'cancelled' AND upload_id IS NOT NULL AND uploaded_at IS NULL;

CREATE TABLE attempts (
    request_id uuid NOT NULL REFERENCES requests,
    epoch      integer NOT NULL,
    worker_id  uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    -- 'delivered', or the failure's code.
    outcome    text,
    failure    jsonb,
    -- Where it stood: with the code, it tells whether a failure is the same again.
    place      text,
    counted    boolean NOT NULL DEFAULT false,
    -- Whether what it stored is gone, where it did not deliver.
    swept      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (request_id, epoch)
);

CREATE INDEX attempts_to_sweep ON attempts (ended_at) WHERE outcome <> 'delivered' AND NOT swept;

CREATE TABLE steps (
    request_id uuid NOT NULL,
    epoch      integer NOT NULL,
    step       text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    rows       bigint,
    notices    bigint,
    millis     bigint,
    PRIMARY KEY (request_id, epoch, step),
    FOREIGN KEY (request_id, epoch) REFERENCES attempts
);

CREATE TABLE stages (
    request_id uuid NOT NULL,
    epoch      integer NOT NULL,
    stage      text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    -- When it ended well; empty while it runs, and for ever where the attempt ended in it.
    ended_at   timestamptz,
    PRIMARY KEY (request_id, epoch, stage),
    FOREIGN KEY (request_id, epoch) REFERENCES attempts
);

CREATE TABLE log_chunks (
    request_id uuid NOT NULL REFERENCES requests,
    -- Number of the chunk's first line within the request's log, from 1.
    first_line bigint NOT NULL,
    epoch      integer NOT NULL,
    -- [{"at": …, "level": …, "text": …}, …]
    lines      jsonb NOT NULL,
    PRIMARY KEY (request_id, first_line)
);

-- Multipart uploads that a worker has begun: recorded before use, so that whoever cleans up can abort them.
CREATE TABLE uploads (
    request_id uuid NOT NULL,
    epoch      integer NOT NULL,
    key        text NOT NULL,
    upload_id  text NOT NULL,
    PRIMARY KEY (key, upload_id),
    FOREIGN KEY (request_id, epoch) REFERENCES attempts
);

CREATE TABLE workers (
    id         uuid PRIMARY KEY,
    host       text NOT NULL,
    version    text NOT NULL,
    slots      integer NOT NULL,
    busy       integer NOT NULL DEFAULT 0,
    draining   boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text NOT NULL,
    action     text NOT NULL,
    request_id uuid,
    detail     jsonb
);
CREATE INDEX audit_of_request ON audit (request_id, id);

-- The best claimable request, taken: production first, then the account with the fewest running, then the
-- oldest. The lock makes claims follow one another, and every statement of a function that is not stable sees
-- what was committed before it: so an account's cap is exact.
CREATE FUNCTION claim_request(worker uuid, lease_seconds integer, attempt_seconds integer)
RETURNS SETOF requests LANGUAGE plpgsql AS $$
DECLARE
    claimed requests;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('uplift.claim'));
    UPDATE requests SET
        state = 'running', epoch = epoch + 1, worker_id = worker,
        lease_until = now() + make_interval(secs => lease_seconds),
        attempt_until = now() + make_interval(secs => attempt_seconds),
        started_at = coalesce(started_at, now()),
        hinted_at = NULL, stage = 'fetch', progress_done = NULL, progress_total = NULL
    WHERE id = (
        SELECT r.id
        FROM requests r
        JOIN accounts a ON a.id = r.account_id
        CROSS JOIN LATERAL (
            SELECT count(*) AS running FROM requests o WHERE o.account_id = r.account_id AND o.state = 'running'
        ) busy
        WHERE r.state = 'queued' AND r.not_before <= now() AND busy.running < a.max_running
          AND NOT EXISTS (
            SELECT FROM requests o WHERE o.database_id = r.database_id AND o.state = 'running')
        ORDER BY r.purpose = 'production' DESC, busy.running, r.uploaded_at, r.id
        LIMIT 1
        FOR UPDATE OF r SKIP LOCKED
    )
    RETURNING * INTO claimed;
    IF FOUND THEN
        INSERT INTO attempts (request_id, epoch, worker_id) VALUES (claimed.id, claimed.epoch, worker);
        INSERT INTO audit (actor, action, request_id, detail)
        VALUES ('worker ' || worker, 'claim', claimed.id, jsonb_build_object('epoch', claimed.epoch));
        RETURN NEXT claimed;
    END IF;
END $$;
