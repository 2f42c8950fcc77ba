-- Views, functions and triggers in their 3.0 form, and the version itself.

CREATE VIEW open_receivable AS
    SELECT i.partner_id, p.name, sum(i.amount) AS open_amount
    FROM ledger_item i
    JOIN account a ON a.id = i.account_id AND a.kind = 'receivable'
    JOIN partner p ON p.id = i.partner_id
    GROUP BY i.partner_id, p.name
    HAVING sum(i.amount) <> 0;

CREATE MATERIALIZED VIEW account_balance AS
    SELECT a.id AS account_id, a.code, a.name, coalesce(sum(i.amount), 0) AS balance, count(i.id) AS items
    FROM account a
    LEFT JOIN ledger_item i ON i.account_id = a.id
    GROUP BY a.id, a.code, a.name;
CREATE UNIQUE INDEX account_balance_account_id_key ON account_balance (account_id);

CREATE FUNCTION partner_balance(wanted integer) RETURNS numeric LANGUAGE sql STABLE AS $body$
    SELECT coalesce(sum(amount), 0) FROM public.ledger_item WHERE partner_id = wanted;
$body$;

-- An item belongs to its move's date, so that both are found in the same year.
CREATE FUNCTION ledger_item_dated() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF NEW.booked <> (SELECT booked FROM public.ledger_move WHERE id = NEW.move_id) THEN
        RAISE EXCEPTION 'item % is dated %, its move is not', NEW.id, NEW.booked;
    END IF;
    RETURN NULL;
END;
$body$;
CREATE TRIGGER ledger_item_dated AFTER INSERT OR UPDATE ON ledger_item
    FOR EACH ROW EXECUTE FUNCTION ledger_item_dated();

COMMENT ON TABLE ledger_move IS 'The head of an entry; its items add up to 0';
COMMENT ON COLUMN ledger_item.amount IS 'Signed: debit > 0, credit < 0';
COMMENT ON MATERIALIZED VIEW account_balance IS 'Refreshed nightly; "items" counts rows';

UPDATE erp_module SET version = '3.0.0' WHERE vendor = 'Sample ERP' AND state = 'installed';
UPDATE erp_meta SET value = '3.0' WHERE key = 'version';
