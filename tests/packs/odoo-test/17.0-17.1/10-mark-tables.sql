-- A column, an index and comments for every table of a model: some hundred of them.
DO $mark$
DECLARE
    model record;
BEGIN
    FOR model IN
        SELECT c.oid, c.relname, obj_description(c.oid, 'pg_class') AS described
        FROM pg_class c
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'write_date')
        ORDER BY c.relname
    LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN came_from varchar NOT NULL DEFAULT %L', model.relname, '17.0');
        EXECUTE format('COMMENT ON COLUMN %I.came_from IS %L', model.relname, 'The "version" it''s from; for ' || model.relname);
        EXECUTE format('CREATE INDEX %I ON %I (write_date DESC NULLS LAST)', 'written_' || md5(model.relname), model.relname);
        EXECUTE format('COMMENT ON TABLE %I IS %L', model.relname, concat_ws(' ', model.described, '(since 17.0)'));
    END LOOP;
END
$mark$;
