-- What Tryton's documentation wants done before an update to 8.0, of 7.2 to 8.0 (doc/migration.rst).

-- 7.2: what names nothing is NULL, for these become foreign keys.
UPDATE ir_ui_view SET model = NULL WHERE model = '';
UPDATE ir_action_act_window SET res_model = NULL WHERE res_model = '';
UPDATE ir_action_wizard SET model = NULL WHERE model = '';
UPDATE ir_action_report SET model = NULL WHERE model = '';
UPDATE ir_action_report SET module = NULL WHERE module = '';
UPDATE ir_translation SET module = NULL WHERE module = '';

-- 8.0: dictionaries, and selections of several, are kept as JSON. The update only warns of the columns that are texts still.
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
        WHERE f.ttype IN ('dict', 'multiselection') AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
    LOOP
        EXECUTE format(
            'ALTER TABLE %1$s ALTER %2$I DROP DEFAULT, ALTER %2$I TYPE jsonb USING nullif(%2$I, %3$L)::jsonb',
            kept.name, kept.field, '');
    END LOOP;
END $$;

-- 7.6: these columns have other names.
ALTER TABLE ir_model RENAME COLUMN name TO string;
ALTER TABLE ir_model RENAME COLUMN model TO name;
ALTER TABLE ir_model_field RENAME COLUMN field_description TO string;

DO $$
BEGIN
    -- 7.4
    IF (SELECT count(*) FROM ir_module
        WHERE name IN ('product_price_list', 'product_price_list_dates') AND state = 'activated') = 2
    THEN
        DELETE FROM ir_model_button
        WHERE name = 'open_lines' AND model IN (SELECT id FROM ir_model WHERE name = 'product.price_list');
    END IF;
    -- 7.8
    IF EXISTS (SELECT FROM ir_module WHERE name = 'carrier_carriage' AND state = 'activated') THEN
        ALTER TABLE incoterm_incoterm ALTER COLUMN before_carrier DROP NOT NULL;
        ALTER TABLE incoterm_incoterm ALTER COLUMN after_carrier DROP NOT NULL;
    END IF;
END $$;

-- 8.0 has these no more. Their tables stay; what they brought for the screen goes, since it names what nothing has now.
-- Models and fields without code are taken off by the update, once they are no module's.
CREATE TEMPORARY TABLE given_up ON COMMIT DROP AS
SELECT name FROM (VALUES ('google_maps'), ('account_es'), ('account_es_sii'), ('account_de_skr03')) AS module (name);
CREATE TEMPORARY TABLE brought ON COMMIT DROP AS
SELECT model, db_id FROM ir_model_data WHERE module IN (SELECT name FROM given_up);

DELETE FROM ir_action WHERE id IN (
    SELECT action FROM ir_action_act_window a JOIN brought b ON (b.model, b.db_id) = ('ir.action.act_window', a.id)
    UNION ALL
    SELECT action FROM ir_action_report a JOIN brought b ON (b.model, b.db_id) = ('ir.action.report', a.id)
    UNION ALL
    SELECT action FROM ir_action_wizard a JOIN brought b ON (b.model, b.db_id) = ('ir.action.wizard', a.id));
DELETE FROM ir_ui_menu WHERE id IN (SELECT db_id FROM brought WHERE model = 'ir.ui.menu');
DELETE FROM ir_ui_view WHERE id IN (SELECT db_id FROM brought WHERE model = 'ir.ui.view');
DELETE FROM ir_cron WHERE id IN (SELECT db_id FROM brought WHERE model = 'ir.cron');
DELETE FROM ir_ui_icon WHERE module IN (SELECT name FROM given_up);
DELETE FROM ir_translation WHERE module IN (SELECT name FROM given_up);
UPDATE ir_translation SET overriding_module = NULL WHERE overriding_module IN (SELECT name FROM given_up);
UPDATE ir_model_field SET module = NULL WHERE module IN (SELECT name FROM given_up);
UPDATE ir_model SET module = NULL WHERE module IN (SELECT name FROM given_up);
DELETE FROM ir_model_data WHERE module IN (SELECT name FROM given_up);
DELETE FROM ir_module WHERE name IN (SELECT name FROM given_up);
