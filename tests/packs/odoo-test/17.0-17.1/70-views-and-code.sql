CREATE VIEW partner_with_address AS
SELECT p.id, p.name, p.type, a.street, a.zip, a.city
FROM res_partner p LEFT JOIN res_partner_address a ON a.partner_id = p.id;
COMMENT ON VIEW partner_with_address IS 'As res_partner was until 17.0';

CREATE MATERIALIZED VIEW posted_by_journal AS
SELECT journal_id, date_trunc('month', date)::date AS month, count(*) AS moves, sum(amount_total) AS amount
FROM account_move WHERE state = 'posted' GROUP BY 1, 2;
CREATE UNIQUE INDEX posted_by_journal_once ON posted_by_journal (journal_id, month);

CREATE DOMAIN country_code AS varchar(2) CONSTRAINT country_code_is_short CHECK (VALUE ~ '^[A-Z]{2}$');
COMMENT ON DOMAIN country_code IS 'ISO 3166-1 alpha-2';

CREATE FUNCTION keep_partner_written() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    -- A ";" in here ends nothing; neither does $$ or '.
    UPDATE res_partner SET write_date = '2026-01-01 00:00:00' WHERE id = NEW.partner_id;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION keep_partner_written() IS 'An address''s change is its partner''s';

CREATE TRIGGER keep_partner_written AFTER INSERT OR UPDATE ON res_partner_address
    FOR EACH ROW EXECUTE FUNCTION keep_partner_written();
COMMENT ON TRIGGER keep_partner_written ON res_partner_address IS 'See the function';

UPDATE res_partner_address SET city = initcap(city) WHERE city IS DISTINCT FROM initcap(city);

CREATE SEQUENCE address_number AS bigint INCREMENT BY 5 START WITH 100 CACHE 3;
COMMENT ON SEQUENCE address_number IS 'Numbers for addresses';
SELECT nextval('address_number') FROM generate_series(1, 4);

CREATE STATISTICS partner_place (dependencies) ON state_id, country_id FROM res_partner;
