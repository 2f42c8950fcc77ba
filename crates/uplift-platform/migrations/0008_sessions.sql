-- Engineers' looks into saved states: shells and dry runs. They change nothing of a request.
CREATE TABLE sessions (
    id              uuid PRIMARY KEY,
    intervention_id uuid NOT NULL REFERENCES interventions,
    kind            text NOT NULL CHECK (kind IN ('shell', 'dry_run')),
    opened_at       timestamptz NOT NULL DEFAULT now(),
    opened_by       text NOT NULL,

    -- Of a shell: whether it may write, the address of the dispatcher that holds its engineer's connection, and what its
    -- worker shows there.
    writable        boolean NOT NULL DEFAULT false,
    dispatcher      text,
    secret          text,

    worker_id       uuid,
    started_at      timestamptz,
    lease_until     timestamptz,
    -- Why its worker is to end it, once somebody wants that.
    closing         text,

    ended_at        timestamptz,
    outcome         text CHECK (outcome IN ('passed', 'failed', 'closed', 'idle', 'too_long', 'lost', 'broken')),
    message         text,
    failure         jsonb,
    CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CHECK ((worker_id IS NULL) = (started_at IS NULL)),
    CHECK ((kind = 'shell') = (dispatcher IS NOT NULL))
);
CREATE INDEX sessions_waiting ON sessions (opened_at) WHERE worker_id IS NULL AND ended_at IS NULL;
CREATE INDEX sessions_running ON sessions (lease_until) WHERE worker_id IS NOT NULL AND ended_at IS NULL;
CREATE INDEX sessions_of_intervention ON sessions (intervention_id, opened_at);

-- What a dry run said, and what was typed into a shell.
CREATE TABLE session_lines (
    session_id uuid NOT NULL REFERENCES sessions,
    number     bigint GENERATED ALWAYS AS IDENTITY,
    typed      boolean NOT NULL,
    -- uplift_platform::ledger::LogLine
    line       jsonb NOT NULL,
    PRIMARY KEY (session_id, number)
);
