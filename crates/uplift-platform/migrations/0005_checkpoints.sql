-- Checkpoints: what a copy of the database cost before a step, and the state before a step that failed.

ALTER TABLE steps
    -- What the copy that was made before it took of the disk, and how long it took; empty where none was made.
    ADD COLUMN checkpoint_bytes  bigint,
    ADD COLUMN checkpoint_millis bigint;
CREATE INDEX steps_checkpoints ON steps (checkpoint_bytes, checkpoint_millis) WHERE checkpoint_bytes IS NOT NULL;

ALTER TABLE attempts
    -- {"step": …, "bytes": …, "sha256": …, "postgres_major": …}; its object is of use as long as somebody may look.
    ADD COLUMN checkpoint       jsonb,
    ADD COLUMN checkpoint_swept boolean NOT NULL DEFAULT false;
CREATE INDEX attempts_checkpoints ON attempts (request_id) WHERE checkpoint IS NOT NULL AND NOT checkpoint_swept;
