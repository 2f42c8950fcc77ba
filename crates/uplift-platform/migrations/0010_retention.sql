-- What was handed in and what came of it are kept for a while, or until their customer wants them gone.
ALTER TABLE requests
    -- When its dump and scripts were removed; and when everything was but this row and the audit.
    ADD COLUMN source_deleted_at timestamptz,
    ADD COLUMN deleted_at        timestamptz,
    -- Who wants it gone before its time.
    ADD COLUMN delete_by         text,
    ADD CONSTRAINT requests_deleted CHECK (deleted_at IS NULL OR source_deleted_at IS NOT NULL);

CREATE INDEX requests_with_source ON requests (finished_at)
    WHERE source_deleted_at IS NULL AND state IN ('delivered', 'rejected', 'cancelled')
      AND NOT (purpose = 'production' AND state = 'delivered');
CREATE INDEX requests_with_objects ON requests (finished_at)
    WHERE deleted_at IS NULL AND state IN ('delivered', 'rejected', 'cancelled');
CREATE INDEX requests_to_delete ON requests (id) WHERE delete_by IS NOT NULL AND deleted_at IS NULL;
