-- Scripts adjusted for one database: a layer over its pack. Nothing is edited in place: who changes one removes it and adds
-- another.
CREATE TABLE overrides (
    id              uuid PRIMARY KEY,
    database_id     uuid NOT NULL REFERENCES databases,
    product         text NOT NULL,
    -- uplift_core::Override, and the sha256 of what it says.
    change          jsonb NOT NULL,
    sha256          text NOT NULL,
    reason          text NOT NULL,
    -- The intervention that it was made in, and the pack that it was written against.
    intervention_id uuid REFERENCES interventions,
    pack_digest     text REFERENCES packs,
    -- The order in which overrides apply.
    version         bigint GENERATED ALWAYS AS IDENTITY,
    made_at         timestamptz NOT NULL DEFAULT now(),
    made_by         text NOT NULL,
    removed_at      timestamptz,
    removed_by      text,
    removed_because text,
    CHECK ((removed_at IS NULL) = (removed_by IS NULL))
);
CREATE INDEX overrides_of_database ON overrides (database_id, product, version);

ALTER TABLE requests
    -- The overrides that its last attempt ran with, in the order in which they apply.
    ADD COLUMN overrides uuid[] NOT NULL DEFAULT '{}',
    -- Production that runs as things are now, although its accepted test ran otherwise.
    ADD COLUMN waived    boolean NOT NULL DEFAULT false;
