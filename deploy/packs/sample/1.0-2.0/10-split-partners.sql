-- 2.0 keeps a partner (who) apart from its addresses (where). Ids stay, so that nothing that refers to a
-- contact needs a new number. The contacts stay until the checks have compared both.

CREATE TABLE partner (
    id           serial PRIMARY KEY,
    name         text NOT NULL,
    is_customer  boolean NOT NULL,
    is_supplier  boolean NOT NULL,
    email        text,
    vat          text,
    credit_limit numeric(18,2) NOT NULL DEFAULT 0,
    tags         text[] NOT NULL DEFAULT '{}',
    attributes   jsonb NOT NULL DEFAULT '{}',
    logo         bytea,
    notes        text,
    active       boolean NOT NULL DEFAULT true,
    created_at   timestamp with time zone NOT NULL,
    CONSTRAINT partner_has_role CHECK (is_customer OR is_supplier)
);

CREATE TABLE address (
    id           bigserial PRIMARY KEY,
    partner_id   integer NOT NULL,
    kind         text NOT NULL DEFAULT 'invoice' CHECK (kind IN ('invoice', 'delivery')),
    street       text,
    zip          varchar(16),
    city         text,
    country_code char(2),
    label        text GENERATED ALWAYS AS (coalesce(zip || ' ', '') || coalesce(city, '')) STORED
);

-- 1.0 left some dates of creation empty; the epoch says "unknown" in 2.0. No limit meant no credit.
INSERT INTO partner (id, name, is_customer, is_supplier, email, vat, credit_limit, tags, logo, notes, active,
                     created_at)
SELECT id, name, kind IN ('C', 'B'), kind IN ('S', 'B'), email, nullif(vat, ''), coalesce(credit_limit, 0),
       coalesce(tags, '{}'), logo, notes, coalesce(active, 1) <> 0,
       coalesce(created, timestamp 'epoch') AT TIME ZONE 'UTC'
FROM contact
ORDER BY id;

-- New partners go on counting where contacts stopped, not at the highest id in use.
SELECT setval('partner_id_seq', last_value, is_called) FROM contact_id_seq;

INSERT INTO address (partner_id, street, zip, city, country_code)
SELECT id, street, zip, city, country_code
FROM contact
WHERE coalesce(street, zip, city, country_code) IS NOT NULL
ORDER BY id;

ALTER TABLE address ADD CONSTRAINT address_partner_id_fkey
    FOREIGN KEY (partner_id) REFERENCES partner ON DELETE CASCADE;
CREATE UNIQUE INDEX address_one_invoice_key ON address (partner_id) WHERE kind = 'invoice';
