-- What was promised when the request was made: seconds from `promised_from` to delivery. What was promised before was two hours.
ALTER TABLE requests ADD COLUMN promise_seconds integer NOT NULL DEFAULT 7200;

-- Requests of a canary: they go the whole way, and count nowhere.
ALTER TABLE tokens DROP CONSTRAINT tokens_role_check;
ALTER TABLE tokens ADD CONSTRAINT tokens_role_check CHECK (role IN ('customer', 'canary', 'engineer', 'operator'));
ALTER TABLE requests ADD COLUMN canary boolean NOT NULL DEFAULT false;
CREATE INDEX requests_canary ON requests (accepted_at DESC NULLS LAST) WHERE canary;

-- What copies of databases have cost, by attempt.
CREATE INDEX steps_copied ON steps (request_id, epoch) WHERE checkpoint_bytes IS NOT NULL;
