-- What Tryton's documentation wants done before an update to 8.0, of 7.2 to 8.0 (doc/migration.rst).

-- 7.2: what names nothing is NULL, for these become foreign keys.
UPDATE ir_ui_view SET model = NULL WHERE model = '';
UPDATE ir_action_act_window SET res_model = NULL WHERE res_model = '';
UPDATE ir_action_wizard SET model = NULL WHERE model = '';
UPDATE ir_action_report SET model = NULL WHERE model = '';
UPDATE ir_action_report SET module = NULL WHERE module = '';
UPDATE ir_translation SET module = NULL WHERE module = '';

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
        DELETE FROM ir_model_button WHERE name = 'open_lines' AND model = 'product.price_list';
    END IF;
    -- 7.8
    IF EXISTS (SELECT FROM ir_module WHERE name = 'carrier_carriage' AND state = 'activated') THEN
        ALTER TABLE incoterm_incoterm ALTER COLUMN before_carrier DROP NOT NULL;
        ALTER TABLE incoterm_incoterm ALTER COLUMN after_carrier DROP NOT NULL;
    END IF;
END $$;

-- 8.0 has these no more. Their tables stay.
DELETE FROM ir_module WHERE name IN ('google_maps', 'account_es', 'account_es_sii', 'account_de_skr03');
