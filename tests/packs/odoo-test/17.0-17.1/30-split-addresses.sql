-- A table is split: addresses leave the partners.
CREATE TABLE res_partner_address (
    id serial PRIMARY KEY,
    partner_id integer NOT NULL,
    street varchar,
    street2 varchar,
    zip varchar,
    city varchar,
    state_id integer REFERENCES res_country_state ON DELETE RESTRICT,
    country_id integer REFERENCES res_country ON DELETE RESTRICT
);
COMMENT ON TABLE res_partner_address IS 'Address';
COMMENT ON COLUMN res_partner_address.zip IS 'Postal code; "ZIP" \ PLZ';

INSERT INTO res_partner_address (partner_id, street, street2, zip, city, state_id, country_id)
SELECT id, street, street2, zip, city, state_id, country_id
FROM res_partner
WHERE num_nonnulls(street, street2, zip, city) > 0
ORDER BY id;

ALTER TABLE res_partner_address
    ADD CONSTRAINT res_partner_address_of_partner FOREIGN KEY (partner_id) REFERENCES res_partner ON DELETE CASCADE,
    ADD CONSTRAINT res_partner_address_not_empty CHECK (num_nonnulls(street, street2, zip, city) > 0),
    ADD CONSTRAINT res_partner_address_once UNIQUE (partner_id);
COMMENT ON CONSTRAINT res_partner_address_not_empty ON res_partner_address IS 'An address says something';
