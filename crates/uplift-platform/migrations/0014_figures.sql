-- What an exporter asks for at every scrape: what has ended since it asked last, and what has not ended.
CREATE INDEX requests_finished ON requests (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX requests_started ON requests (started_at) WHERE started_at IS NOT NULL;
CREATE INDEX requests_open ON requests (promised_from) WHERE finished_at IS NULL;
CREATE INDEX requests_delivered ON requests (product, finished_at DESC) WHERE state = 'delivered' AND expected_p50 > 0;
CREATE INDEX attempts_ended ON attempts (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX attempts_started ON attempts (started_at);
CREATE INDEX attempts_open ON attempts (request_id, epoch) INCLUDE (started_at) WHERE ended_at IS NULL;
CREATE INDEX stages_ended ON stages (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX steps_ended ON steps (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX interventions_closed ON interventions (closed_at) WHERE closed_at IS NOT NULL;

-- Since when somebody wants it gone.
ALTER TABLE requests ADD COLUMN delete_at timestamptz;
UPDATE requests SET delete_at = coalesce(deleted_at, now()) WHERE delete_by IS NOT NULL;

-- When something was last seen to go on: its stage, bytes or steps of it, its log.
ALTER TABLE requests ADD COLUMN progressed_at timestamptz;
