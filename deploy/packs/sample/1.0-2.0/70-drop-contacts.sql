-- Everything that referred to a contact refers to the partner of the same id; then the contacts may go.

DROP VIEW open_item;
DROP FUNCTION contact_balance(integer);

ALTER TABLE journal DROP CONSTRAINT journal_contact_id_fkey;
ALTER TABLE journal RENAME COLUMN contact_id TO partner_id;
ALTER TABLE journal ADD CONSTRAINT journal_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partner;
ALTER INDEX journal_contact_id_idx RENAME TO journal_partner_id_idx;

ALTER TABLE sale_order DROP CONSTRAINT sale_order_contact_id_fkey;
ALTER TABLE sale_order RENAME COLUMN contact_id TO partner_id;
ALTER TABLE sale_order ADD CONSTRAINT sale_order_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partner;
CREATE INDEX sale_order_partner_id_idx ON sale_order (partner_id);

DROP TABLE contact_attribute;
DROP TABLE contact;
CREATE INDEX partner_lower_email_idx ON partner (lower(email));
