-- A column moves from one table to another: the signature belongs to the person.
ALTER TABLE res_partner ADD COLUMN signature text;
COMMENT ON COLUMN res_partner.signature IS 'Signature; of the user until 17.0';

UPDATE res_partner SET signature = res_users.signature
FROM res_users WHERE res_users.partner_id = res_partner.id AND res_users.signature IS NOT NULL;

ALTER TABLE res_users DROP COLUMN signature;
UPDATE ir_model_fields SET model = 'res.partner', model_id = (SELECT id FROM ir_model WHERE model = 'res.partner')
WHERE model = 'res.users' AND name = 'signature';
