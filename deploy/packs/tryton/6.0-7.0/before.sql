-- What Tryton's documentation wants done before an update to 7.0, of 6.2 to 7.0 (doc/migration.rst).
DO $$
BEGIN
    -- 7.0: a payment that clears a line has its account from there.
    IF EXISTS (SELECT FROM ir_module WHERE name = 'account_payment_clearing' AND state = 'activated')
       AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('account_payment') AND attname = 'account')
    THEN
        UPDATE account_payment SET account = NULL WHERE line IS NOT NULL AND account IS NOT NULL;
    END IF;
END $$;

-- 7.0: dictionaries are kept as JSON. The update only warns of the columns that are texts still.
DO $$
DECLARE
    kept record;
BEGIN
    FOR kept IN
        SELECT DISTINCT c.oid::regclass AS name, a.attname AS field
        FROM ir_model_field f
        JOIN ir_model m ON m.id = f.model
        JOIN pg_class c ON c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
            AND c.relname IN (replace(m.model, '.', '_'), replace(m.model, '.', '_') || '__history')
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = f.name AND NOT a.attisdropped
        WHERE f.ttype = 'dict' AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
    LOOP
        EXECUTE format(
            'ALTER TABLE %1$s ALTER %2$I DROP DEFAULT, ALTER %2$I TYPE jsonb USING nullif(%2$I, %3$L)::jsonb',
            kept.name, kept.field, '');
    END LOOP;
END $$;
