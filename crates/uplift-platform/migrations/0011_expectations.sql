-- A request may be booked for later: it is not begun before, and its promise begins then, not at the upload.
ALTER TABLE requests
    -- When its customer wants it to begin.
    ADD COLUMN booked_for timestamptz,
    -- When its promise begins: at the end of the upload, or at the time that it is booked for.
    ADD COLUMN promised_from timestamptz;

UPDATE requests SET promised_from = uploaded_at WHERE uploaded_at IS NOT NULL;

ALTER TABLE requests
    -- How far it has been at most, in percent: what people watch never goes backwards, not even with a new attempt.
    ADD COLUMN percent smallint NOT NULL DEFAULT 0,
    -- How long an attempt was expected to take when its product was known, in seconds: as half of those before it, and as
    -- nine in ten.
    ADD COLUMN expected_p50 double precision,
    ADD COLUMN expected_p90 double precision;

-- What estimates are made of.
CREATE INDEX requests_alike ON requests (product, source_version, target, finished_at) WHERE state = 'delivered';

ALTER TABLE requests
    -- Whether the dump was still being made when the request was: its length until then is what it has at most.
    ADD COLUMN source_grows boolean NOT NULL DEFAULT false;
