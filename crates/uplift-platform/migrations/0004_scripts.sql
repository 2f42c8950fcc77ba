-- The archive of a customer's own scripts: what names it, and the multipart upload that makes it; empty: none is attached.
ALTER TABLE requests
    ADD COLUMN scripts_bytes     bigint,
    ADD COLUMN scripts_sha256    text,
    ADD COLUMN scripts_upload_id text,
    ADD CONSTRAINT requests_scripts_named CHECK ((scripts_bytes IS NULL) = (scripts_sha256 IS NULL));

-- A cancelled request leaves nothing in the object store, whether or not its upload was complete.
DROP INDEX requests_to_abort;
CREATE INDEX requests_to_remove ON requests (id) WHERE state = 'cancelled' AND upload_id IS NOT NULL;
