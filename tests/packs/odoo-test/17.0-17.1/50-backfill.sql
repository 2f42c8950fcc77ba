-- Columns that may be empty no longer: filled first, bound then.
UPDATE res_partner SET lang = 'en_US' WHERE lang IS NULL;
ALTER TABLE res_partner ALTER COLUMN lang SET DEFAULT 'en_US', ALTER COLUMN lang SET NOT NULL;

UPDATE account_move_line SET ref = coalesce(ref, move_name, '/') WHERE ref IS NULL;
ALTER TABLE account_move_line ALTER COLUMN ref SET NOT NULL;

UPDATE ir_model_data SET noupdate = false WHERE noupdate IS NULL;
ALTER TABLE ir_model_data ALTER COLUMN noupdate SET NOT NULL;
