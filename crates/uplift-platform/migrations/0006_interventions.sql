-- What people do about upgrades that failed.

ALTER TABLE tokens DROP CONSTRAINT tokens_role_check;
ALTER TABLE tokens ADD CONSTRAINT tokens_role_check CHECK (role IN ('customer', 'engineer', 'operator'));

-- A request that waits for a person, until it is closed. A request has at most one that is open.
CREATE TABLE interventions (
    id            uuid PRIMARY KEY,
    request_id    uuid NOT NULL REFERENCES requests,
    -- The attempt that failed.
    epoch         integer NOT NULL,
    -- Empty where the attempt failed before it knew.
    product       text,
    pack_digest   text REFERENCES packs,
    -- `1.0-2.0` or `custom`; empty where it failed outside the hops. And the step's name within.
    hop           text,
    step          text NOT NULL,
    failure       jsonb NOT NULL,
    -- What failed alike has the same, and the words that it is made of: a failure without its values.
    fingerprint   text NOT NULL,
    pattern       text NOT NULL,
    opened_at     timestamptz NOT NULL DEFAULT now(),
    -- When the promise to the customer breaks.
    due_at        timestamptz NOT NULL,

    -- Whose it is, by the token and its label, and until when; afterwards anybody may take it.
    engineer_id   uuid REFERENCES tokens,
    engineer      text,
    claimed_until timestamptz,
    -- Said to the customer.
    note          text,

    closed_at     timestamptz,
    closed_by     text,
    -- What became of the request.
    outcome       text CHECK (outcome IN ('retry', 'reject', 'cancel')),
    reason        text,
    CHECK ((closed_at IS NULL) = (outcome IS NULL)),
    CHECK ((engineer_id IS NULL) = (claimed_until IS NULL)),
    FOREIGN KEY (request_id, epoch) REFERENCES attempts
);
CREATE UNIQUE INDEX interventions_one_open ON interventions (request_id) WHERE closed_at IS NULL;
CREATE INDEX interventions_open ON interventions (due_at) WHERE closed_at IS NULL;
CREATE INDEX interventions_of_request ON interventions (request_id, opened_at);
CREATE INDEX interventions_alike ON interventions (fingerprint, pack_digest);

-- What waits for a person already. Nothing is alike there: its failures were not compared.
INSERT INTO interventions
    (id, request_id, epoch, product, pack_digest, step, failure, fingerprint, pattern, due_at)
SELECT gen_random_uuid(), id, epoch, product, pack_digest, coalesce(outcome ->> 'step', outcome ->> 'place', ''), outcome,
    left(md5(id::text), 16), coalesce(outcome ->> 'message', outcome ->> 'code'),
    coalesce(uploaded_at, now()) + interval '2 hours'
FROM requests WHERE state = 'intervention';

-- What is to be told on the broker: written with what it tells of, removed once the broker has it.
CREATE TABLE events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    topic       text NOT NULL,
    body        jsonb NOT NULL,
    -- While a dispatcher is at it.
    taken_until timestamptz
);

-- A hop of a pack on which several accounts have failed alike: new requests wait until it is released.
CREATE TABLE held_hops (
    id          uuid PRIMARY KEY,
    pack_digest text NOT NULL REFERENCES packs,
    hop         text NOT NULL,
    fingerprint text NOT NULL,
    -- How many accounts it was when the hold began.
    accounts    bigint NOT NULL,
    held_at     timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    released_by text,
    reason      text,
    CHECK ((released_at IS NULL) = (released_by IS NULL))
);
CREATE UNIQUE INDEX held_hops_one ON held_hops (pack_digest, hop, fingerprint) WHERE released_at IS NULL;

ALTER TABLE requests
    -- Why it waits although it is queued: uplift_core::request::Held. Its `not_before` is the year 9999, so that no claim
    -- sees it.
    ADD COLUMN held    jsonb,
    ADD COLUMN held_at timestamptz,
    ADD CONSTRAINT requests_held CHECK (held IS NULL OR state = 'queued');
CREATE INDEX requests_held ON requests (held_at) WHERE held IS NOT NULL;
