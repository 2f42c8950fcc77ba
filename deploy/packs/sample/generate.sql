-- Makes a Sample ERP 1.0 database in an empty database, the same bytes every time:
--
--   psql -v ON_ERROR_STOP=1 -v scale=1 -f generate.sql
--
-- Variables: scale (1, about 1 MB as a plain dump; grows linearly) and database_id (the uuid that tells
-- one Sample ERP database from another). Upgrades never run this file.
--
-- The data is nasty on purpose: NULL beside empty text, tabs, newlines, backslashes, quotes, semicolons,
-- lines that look like the end of COPY data, several scripts, large numbers, bytea and arrays.

\if :{?scale}
\else
  \set scale 1
\endif
\if :{?database_id}
\else
  \set database_id '5a3f1e52-0c1d-4d6e-9a57-5e5d0a9c0001'
\endif
\set QUIET on

SET client_min_messages = warning;
SET standard_conforming_strings = on;
SET timezone = 'UTC';

BEGIN;

-- ---------------------------------------------------------------- tables

CREATE TABLE erp_meta (
    key   text PRIMARY KEY,
    value text
);
COMMENT ON TABLE erp_meta IS 'What this database is: product, version, identity';

CREATE TABLE erp_module (
    name    text PRIMARY KEY,
    version text NOT NULL,
    vendor  text NOT NULL,
    state   text NOT NULL CHECK (state IN ('installed', 'installing', 'removed'))
);

-- Everything that reaches the world outside.
CREATE TABLE integration (
    id       serial PRIMARY KEY,
    kind     text NOT NULL CHECK (kind IN ('mail_server', 'scheduled_job', 'payment_provider', 'webhook')),
    name     text NOT NULL,
    endpoint text,
    secret   text,
    mode     text NOT NULL DEFAULT 'live',
    active   boolean NOT NULL DEFAULT true
);

CREATE TABLE contact (
    id           serial PRIMARY KEY,
    kind         char(1) NOT NULL CHECK (kind IN ('C', 'S', 'B')),
    name         text NOT NULL,
    street       text,
    zip          varchar(16),
    city         text,
    country_code char(2),
    email        text,
    vat          text,
    credit_limit numeric(18,2),
    tags         text[],
    logo         bytea,
    notes        text,
    active       smallint DEFAULT 1,
    created      timestamp
);
COMMENT ON COLUMN contact.kind IS 'C customer, S supplier, B both; "B" isn''t rare';

CREATE TABLE contact_attribute (
    contact_id integer NOT NULL REFERENCES contact ON DELETE CASCADE,
    name       text NOT NULL,
    value      text,
    PRIMARY KEY (contact_id, name)
);

CREATE TABLE account (
    code text PRIMARY KEY,
    name text NOT NULL,
    kind char(1) NOT NULL CHECK (kind IN ('A', 'R', 'L', 'P', 'E', 'I', 'X'))
);
COMMENT ON COLUMN account.kind IS E'A asset, R receivable, L liability, P payable, E equity,\nI income, X expense';

CREATE TABLE product (
    id              serial PRIMARY KEY,
    code            text NOT NULL UNIQUE,
    name            text NOT NULL,
    uom             text,
    list_price      numeric(14,4) NOT NULL,
    cost            numeric(14,4) NOT NULL,
    discontinued_on date
);

CREATE TABLE stock_level (
    product_id integer NOT NULL REFERENCES product,
    warehouse  text NOT NULL,
    qty        numeric(16,3) NOT NULL,
    PRIMARY KEY (product_id, warehouse)
);

CREATE TABLE journal (
    id           bigserial PRIMARY KEY,
    entry_no     integer NOT NULL,
    booked       date NOT NULL,
    account_code text NOT NULL REFERENCES account ON UPDATE CASCADE,
    contact_id   integer REFERENCES contact,
    debit        numeric(18,2) NOT NULL DEFAULT 0,
    credit       numeric(18,2) NOT NULL DEFAULT 0,
    memo         text,
    CHECK (debit >= 0 AND credit >= 0 AND (debit = 0 OR credit = 0))
);

CREATE TABLE sale_order (
    id         serial PRIMARY KEY,
    number     text NOT NULL,
    contact_id integer NOT NULL REFERENCES contact,
    ordered    date NOT NULL,
    status     char(1) NOT NULL DEFAULT 'D',
    "group"    text,
    total      numeric(18,2) NOT NULL DEFAULT 0
);
COMMENT ON COLUMN sale_order.status IS 'D draft, C confirmed, S shipped, X cancelled';

CREATE TABLE sale_order_line (
    id           bigserial PRIMARY KEY,
    order_id     integer NOT NULL REFERENCES sale_order ON DELETE CASCADE,
    product_id   integer NOT NULL REFERENCES product,
    description  text,
    qty          numeric(16,3) NOT NULL,
    price        numeric(14,4) NOT NULL,
    discount_pct numeric(5,2)
);

-- ---------------------------------------------------------------- settings and master data

INSERT INTO erp_meta VALUES
    ('product', 'Sample ERP'),
    ('version', '1.0'),
    ('database_id', :'database_id'),
    ('environment', 'production'),
    ('company', 'Sämple & Söhne "Трейд" GmbH'),
    ('currency', 'EUR'),
    ('motto', E'\\.\nCOPY contact FROM stdin;\n\\.\n');

INSERT INTO erp_module VALUES
    ('base', '1.0.4', 'Sample ERP', 'installed'),
    ('ledger', '1.0.2', 'Sample ERP', 'installed'),
    ('sales', '1.0.7', 'Sample ERP', 'installed'),
    ('stock', '1.0.1', 'Sample ERP', 'installed'),
    ('pallet_labels', '0.3', 'Example Customisations', 'installed'),
    ('old_reports', '0.1', 'Example Customisations', 'removed');

INSERT INTO integration (kind, name, endpoint, secret, mode, active) VALUES
    ('mail_server', 'Outgoing mail', 'smtp://mail.example.com:587', E'pa\\ss\tword', 'live', true),
    ('mail_server', 'Old relay', 'smtp://relay.example.com:25', NULL, 'live', false),
    ('scheduled_job', 'Send reminders', NULL, NULL, 'live', true),
    ('scheduled_job', 'Fetch exchange rates', 'https://rates.example.com/daily', NULL, 'live', true),
    ('payment_provider', 'Card payments', 'https://pay.example.com/v1', 'sk_live_''quoted''', 'live', true),
    ('webhook', 'Shop', 'https://shop.example.com/hooks?a=1;b=2', 'whsec', 'live', true);

INSERT INTO account (code, name, kind) VALUES
    ('1000', 'Bank', 'A'), ('1010', 'Cash; petty', 'A'), ('1200', 'Receivables', 'R'),
    ('1201', 'Receivables abroad', 'R'), ('1300', 'Stock on hand', 'A'), ('1600', 'Payables', 'P'),
    ('2200', 'VAT', 'L'), ('3000', 'Equity', 'E'), ('5000', 'Cost of goods', 'X'),
    ('0080', E'Löschen\\\\? "Nein"', 'A'), ('80', 'Not account 0080', 'A');
INSERT INTO account (code, name, kind)
    SELECT (4000 + i)::text, 'Income ' || chr(65 + i), 'I' FROM generate_series(0, 9) AS i;

INSERT INTO contact (kind, name, street, zip, city, country_code, email, vat, credit_limit, tags, logo,
                     notes, active, created)
SELECT
    (ARRAY['C', 'C', 'C', 'S', 'B'])[1 + i % 5],
    CASE i % 13
        WHEN 0 THEN E'Tab\tand "quotes" ' || i
        WHEN 1 THEN 'O''Brien & Søn; ' || i
        WHEN 2 THEN '株式会社サンプル ' || i
        WHEN 3 THEN E'back\\slash\\n ' || i
        WHEN 4 THEN '<b>Ünïcode</b> 😀 ' || i
        ELSE 'Contact ' || i
    END,
    CASE WHEN i % 10 <> 9 THEN 'Street ' || i * 7 % 400 || CASE i % 4 WHEN 0 THEN E'\nBack yard' ELSE '' END END,
    CASE WHEN i % 10 <> 9 THEN lpad((i * 7919::bigint % 99999)::text, 5, '0') END,
    CASE i % 10 WHEN 9 THEN NULL WHEN 8 THEN '' ELSE (ARRAY['Köln', 'Łódź', 'Αθήνα', 'Москва'])[1 + i % 4] END,
    CASE WHEN i % 10 <> 9 THEN (ARRAY['DE', 'PL', 'GR', 'RU'])[1 + i % 4] END,
    CASE i % 6 WHEN 5 THEN NULL ELSE 'contact' || i || '@example.com' END,
    CASE i % 3 WHEN 0 THEN 'DE' || (100000000 + i) WHEN 1 THEN '' END,
    CASE i % 8 WHEN 0 THEN 9999999999999999.99 WHEN 1 THEN NULL ELSE i * 100 END,
    CASE i % 5
        WHEN 0 THEN NULL
        WHEN 1 THEN '{}'::text[]
        WHEN 2 THEN ARRAY['vip', NULL, 'a"b', 'c\d', 'e,f', '{g}', '']
        ELSE ARRAY['tag' || i % 17]
    END,
    CASE i % 4 WHEN 0 THEN decode(md5(i::text), 'hex') WHEN 1 THEN '\x'::bytea WHEN 2 THEN '\x00ff5c2e0a'::bytea END,
    CASE i % 9
        WHEN 0 THEN E'\\.'
        WHEN 1 THEN E'first line\n\\.\nthird line; -- not a comment\n/* nor this'
        WHEN 2 THEN ''
        WHEN 3 THEN E'\\N is text here'
        WHEN 4 THEN E'carriage\rreturn, vertical\x0btab, bell\x07, $$dollar$$ $tag$'
        WHEN 5 THEN E'\\restrict x\n\\! echo no\n\\connect postgres'
        WHEN 6 THEN repeat('long ', 20 + i % 50)
    END,
    CASE i % 11 WHEN 0 THEN 0 WHEN 1 THEN NULL ELSE 1 END,
    CASE i % 7 WHEN 0 THEN NULL ELSE timestamp '2015-01-01' + i % 3000 * interval '1 day 7 seconds' END
FROM generate_series(1, 1000 * :scale) AS i
ORDER BY i;

INSERT INTO contact_attribute (contact_id, name, value)
SELECT c.id, a.name,
    CASE (c.id + a.nr) % 5
        WHEN 0 THEN NULL
        WHEN 1 THEN E'{"not": "json", \\ \t'
        WHEN 2 THEN ''
        ELSE (c.id * a.nr)::text
    END
FROM contact c
CROSS JOIN (VALUES (1, 'größe'), (2, 'shoe size'), (3, 'quote"d'), (4, 'language')) AS a (nr, name)
WHERE (c.id + a.nr) % 3 = 0 AND c.id % 10 <> 7
ORDER BY c.id, a.nr;

INSERT INTO product (code, name, uom, list_price, cost, discontinued_on)
SELECT 'P-' || lpad(i::text, 6, '0'),
    CASE i % 7 WHEN 0 THEN E'Bolt\t3/4" \\ zinc ' || i ELSE 'Article ' || i END,
    CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN 'piece' ELSE 'kg' END,
    (i * 37 % 9000 + 100) / 10.0,
    (i * 37 % 9000 + 100) / 16.0,
    CASE i % 20 WHEN 0 THEN date 'infinity' WHEN 1 THEN date '2020-02-29' END
FROM generate_series(1, 200 * :scale) AS i
ORDER BY i;

INSERT INTO stock_level (product_id, warehouse, qty)
SELECT p.id, w.name, p.id * w.nr % 500 + (p.id % 4) * 0.125
FROM product p
CROSS JOIN (VALUES (1, 'Main'), (2, 'Außenlager; Süd'), (3, E'Transit\\')) AS w (nr, name)
WHERE (p.id + w.nr) % 4 <> 0
ORDER BY p.id, w.nr;

-- ---------------------------------------------------------------- documents

INSERT INTO sale_order (number, contact_id, ordered, status, "group")
SELECT 'SO' || lpad(i::text, 8, '0'),
    1 + i * 31 % (1000 * :scale),
    date '2019-01-01' + i % 2000,
    CASE WHEN i % 997 = 0 THEN 'X' ELSE (ARRAY['D', 'C', 'S', 'S', 'S', 'X'])[1 + i % 6] END,
    CASE i % 50 WHEN 0 THEN E'reserved\tword' END
FROM generate_series(1, 2000 * :scale) AS i
ORDER BY i;

-- One to four lines an order; every 997th has none.
INSERT INTO sale_order_line (order_id, product_id, description, qty, price, discount_pct)
SELECT o.id, p.id,
    CASE (o.id + l) % 6 WHEN 0 THEN NULL WHEN 1 THEN E'as "agreed";\n\\.\n' ELSE p.name END,
    1 + (o.id * l) % 9 + (o.id % 2) * 0.5,
    p.list_price,
    CASE (o.id + l) % 4 WHEN 0 THEN 0 WHEN 1 THEN 12.5 END
FROM sale_order o
CROSS JOIN generate_series(1, 4) AS l
JOIN product p ON p.id = 1 + (o.id * 13 + l * 101) % (200 * :scale)
WHERE l <= 1 + o.id % 4 AND o.id % 997 <> 0
ORDER BY o.id, l;

UPDATE sale_order o SET total = t.total
FROM (SELECT order_id, sum(round(qty * price * (1 - coalesce(discount_pct, 0) / 100), 2)) AS total
      FROM sale_order_line GROUP BY order_id) t
WHERE t.order_id = o.id;

-- An opening entry of large numbers; an invoice for every order confirmed or shipped; a payment for most;
-- the cost of what was shipped. Each entry's debits equal its credits.
INSERT INTO journal (entry_no, booked, account_code, contact_id, debit, credit, memo) VALUES
    (1, '2018-12-31', '1000', NULL, 9007199254740993.01, 0, E'Opening\\balance'),
    (1, '2018-12-31', '1300', NULL, 123456789.10, 0, NULL),
    (1, '2018-12-31', '3000', NULL, 0, 9007199378197782.11, ''),
    (2, '2018-12-31', '0080', NULL, 80.08, 0, 'leading zero'),
    (2, '2018-12-31', '80', NULL, 0, 80.08, 'no leading zero');

INSERT INTO journal (entry_no, booked, account_code, contact_id, debit, credit, memo)
SELECT e.entry_no, e.booked, e.account_code, e.contact_id, e.debit, e.credit, e.memo
FROM sale_order o
CROSS JOIN LATERAL (SELECT round(o.total * 19 / 119, 2) AS vat, round(o.total * 0.6, 2) AS cost,
                           CASE o.contact_id % 4 WHEN 3 THEN '1201' ELSE '1200' END AS receivable) AS x
CROSS JOIN LATERAL (VALUES
    (o.id * 3, 1, o.ordered, x.receivable, o.contact_id, o.total, 0.00, 'Invoice ' || o.number),
    (o.id * 3, 2, o.ordered, (4000 + o.id % 10)::text, NULL, 0.00, o.total - x.vat, E'Net\t' || o.number),
    (o.id * 3, 3, o.ordered, '2200', NULL, 0.00, x.vat, NULL),
    (o.id * 3 + 1, 1, o.ordered + 14, '1000', NULL, o.total, 0.00, 'Payment'),
    (o.id * 3 + 1, 2, o.ordered + 14, x.receivable, o.contact_id, 0.00, o.total, 'Payment; thanks'),
    (o.id * 3 + 2, 1, o.ordered + 2, '5000', NULL, x.cost, 0.00, NULL),
    (o.id * 3 + 2, 2, o.ordered + 2, '1300', NULL, 0.00, x.cost, '')
) AS e (entry_no, row, booked, account_code, contact_id, debit, credit, memo)
WHERE o.status IN ('C', 'S') AND o.total > 0
  AND (e.entry_no % 3 <> 1 OR o.id % 3 <> 0)
  AND (e.entry_no % 3 <> 2 OR o.status = 'S')
ORDER BY e.entry_no, e.row;

-- Real sequences run ahead of the ids in use: rows were deleted, transactions rolled back.
SELECT setval('contact_id_seq', (SELECT max(id) FROM contact) + 250) AS contact_seq,
       setval('journal_id_seq', (SELECT max(id) FROM journal) + 1000) AS journal_seq \gset

-- ---------------------------------------------------------------- what hangs on the tables

CREATE INDEX journal_account_code_idx ON journal (account_code, booked);
CREATE INDEX journal_contact_id_idx ON journal (contact_id) WHERE contact_id IS NOT NULL;
CREATE UNIQUE INDEX sale_order_number_key ON sale_order (number);
CREATE INDEX sale_order_line_order_id_idx ON sale_order_line (order_id);
CREATE INDEX contact_lower_email_idx ON contact (lower(email));

CREATE VIEW open_item AS
    SELECT j.contact_id, c.name, sum(j.debit - j.credit) AS open_amount
    FROM journal j
    JOIN account a ON a.code = j.account_code AND a.kind = 'R'
    JOIN contact c ON c.id = j.contact_id
    GROUP BY j.contact_id, c.name
    HAVING sum(j.debit - j.credit) <> 0;
COMMENT ON VIEW open_item IS 'Who owes what: it''s a view';

CREATE FUNCTION contact_balance(wanted integer) RETURNS numeric LANGUAGE sql STABLE AS $body$
    SELECT coalesce(sum(debit - credit), 0) FROM public.journal WHERE contact_id = wanted; -- with ';' inside
$body$;

CREATE FUNCTION sale_order_total() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    touched integer := CASE TG_OP WHEN 'DELETE' THEN OLD.order_id ELSE NEW.order_id END;
BEGIN
    UPDATE public.sale_order SET total = (
        SELECT coalesce(sum(round(qty * price * (1 - coalesce(discount_pct, 0) / 100), 2)), 0)
        FROM public.sale_order_line WHERE order_id = touched)
    WHERE id = touched;
    RETURN NULL;
END;
$body$;

CREATE TRIGGER sale_order_line_total AFTER INSERT OR UPDATE OR DELETE ON sale_order_line
    FOR EACH ROW EXECUTE FUNCTION sale_order_total();

COMMIT;
