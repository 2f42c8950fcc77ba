-- What people do about upgrades that failed: interventions, the scripts adjusted for one database, and sessions on the
-- state before the failure.

ALTER TABLE tokens DROP CONSTRAINT tokens_role_check;
ALTER TABLE tokens ADD CONSTRAINT tokens_role_check CHECK (role IN ('customer', 'engineer', 'operator'));

-- A request that waits for a person. It is open until it is closed; a request has at most one that is open.
CREATE TABLE interventions (
    id           uuid PRIMARY KEY,
    request_id   uuid NOT NULL REFERENCES requests,
    -- The attempt that failed.
    epoch        integer NOT NULL,
    -- Known where the dump was recognised before it failed.
    product      text,
    pack_digest  text REFERENCES packs,
    -- `1.0-2.0`, `custom`, or empty where it failed outside the hops; and the step's name within.
    hop          text,
    step         text NOT NULL,
    failure      jsonb NOT NULL,
    -- The failure without its values: alike means the same fingerprint, and the words that it is made of.
    fingerprint  text NOT NULL,
    pattern      text NOT NULL,
    opened_at    timestamptz NOT NULL DEFAULT now(),
    -- When the promise to the customer breaks.
    due_at       timestamptz NOT NULL,

    -- Who works on it, and until when it is theirs; after that anybody may take it.
    engineer     text,
    engineer_id  uuid REFERENCES tokens,
    claimed_until timestamptz,
    -- Said to the customer.
    note         text,

    closed_at    timestamptz,
    closed_by    text,
    outcome      text CHECK (outcome IN ('retried', 'resolved', 'rejected', 'cancelled')),
    reason       text,
    CHECK ((closed_at IS NULL) = (outcome IS NULL)),
    CHECK ((engineer IS NULL) = (claimed_until IS NULL)),
    FOREIGN KEY (request_id, epoch) REFERENCES attempts
);
CREATE UNIQUE INDEX interventions_one_open ON interventions (request_id) WHERE closed_at IS NULL;
CREATE INDEX interventions_open ON interventions (due_at) WHERE closed_at IS NULL;
CREATE INDEX interventions_alike ON interventions (fingerprint, pack_digest);

-- What engineers say to each other about one.
CREATE TABLE comments (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    intervention_id uuid NOT NULL REFERENCES interventions,
    at              timestamptz NOT NULL DEFAULT now(),
    author          text NOT NULL,
    text            text NOT NULL
);
CREATE INDEX comments_of_intervention ON comments (intervention_id, id);

ALTER TABLE audit ADD COLUMN intervention_id uuid;
CREATE INDEX audit_of_intervention ON audit (intervention_id, id) WHERE intervention_id IS NOT NULL;

-- What has to be told on the broker: written with what it tells of, published afterwards, at least once.
CREATE TABLE events (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at    timestamptz NOT NULL DEFAULT now(),
    topic text NOT NULL,
    body  jsonb NOT NULL
);

-- Scripts adjusted for one database: a layer over the pack. Nothing is edited in place: who changes one removes it and
-- adds another.
CREATE TABLE overrides (
    id          uuid PRIMARY KEY,
    database_id uuid NOT NULL REFERENCES databases,
    product     text NOT NULL,
    hop         text NOT NULL,
    -- The step's name within its hop that it is about.
    step        text NOT NULL,
    -- {"action": "replace" | "before" | "after" | "skip" | "set", …}: uplift_core::Override.
    change      jsonb NOT NULL,
    -- sha256 of hop, step and change, as they are written canonically.
    sha256      text NOT NULL,
    reason      text NOT NULL,
    -- The intervention that it was made for, where it was.
    intervention_id uuid REFERENCES interventions,
    -- The pack that it was written against.
    pack_digest text REFERENCES packs,
    -- Counts the layer's changes, from 1: the order in which overrides apply.
    version     bigint GENERATED ALWAYS AS IDENTITY,
    made_at     timestamptz NOT NULL DEFAULT now(),
    made_by     text NOT NULL,
    removed_at  timestamptz,
    removed_by  text,
    removed_because text,
    CHECK ((removed_at IS NULL) = (removed_by IS NULL))
);
CREATE INDEX overrides_of_database ON overrides (database_id, product, version);

ALTER TABLE requests
    -- The overrides that its last attempt ran with: [{"id": …, "sha256": …}, …], in the order in which they apply.
    ADD COLUMN overrides jsonb NOT NULL DEFAULT '[]',
    -- Why it waits although it is queued: {"kind": "hop" | "production", "message": …, …}. What is held has
    -- `not_before = 'infinity'`, so that no claim sees it.
    ADD COLUMN held jsonb,
    ADD COLUMN held_at timestamptz,
    -- Production that runs although its accepted test ran otherwise: {"by": …, "reason": …, "at": …}.
    ADD COLUMN waived jsonb,
    ADD CONSTRAINT requests_held_wait CHECK (held IS NULL OR state = 'queued');
CREATE INDEX requests_held ON requests (held_at) WHERE held IS NOT NULL;

-- A hop of a pack that has failed alike for several accounts: new requests wait until it is released.
CREATE TABLE held_hops (
    id          uuid PRIMARY KEY,
    pack_digest text NOT NULL REFERENCES packs,
    hop         text NOT NULL,
    fingerprint text NOT NULL,
    accounts    integer NOT NULL,
    held_at     timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    released_by text,
    reason      text
);
CREATE UNIQUE INDEX held_hops_one ON held_hops (pack_digest, hop, fingerprint) WHERE released_at IS NULL;

-- A sandbox with the state before a failure: a shell for an engineer, or a run of the hop's rest that delivers nothing.
CREATE TABLE sessions (
    id              uuid PRIMARY KEY,
    intervention_id uuid NOT NULL REFERENCES interventions,
    kind            text NOT NULL CHECK (kind IN ('shell', 'dry_run')),
    opened_by       text NOT NULL,
    opened_at       timestamptz NOT NULL DEFAULT now(),
    read_only       boolean NOT NULL DEFAULT true,
    -- Where the worker finds the engineer: the dispatcher that holds the other end, and what lets it in there.
    dispatcher      text,
    secret          text,
    state           text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'ended')),
    worker_id       uuid,
    lease_until     timestamptz,
    started_at      timestamptz,
    -- The total limit.
    until           timestamptz NOT NULL,
    ended_at        timestamptz,
    -- {"ok": true} or {"ok": false, "message": …, "failure": …}.
    outcome         jsonb,
    -- Asked to end.
    stop_at         timestamptz,
    CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL))
);
CREATE INDEX sessions_waiting ON sessions (opened_at) WHERE state = 'waiting';
CREATE INDEX sessions_running ON sessions (lease_until) WHERE state = 'running';
CREATE INDEX sessions_of_intervention ON sessions (intervention_id, opened_at);

CREATE TABLE session_lines (
    session_id uuid NOT NULL REFERENCES sessions,
    -- As in log_chunks.
    first_line bigint NOT NULL,
    lines      jsonb NOT NULL,
    PRIMARY KEY (session_id, first_line)
);
