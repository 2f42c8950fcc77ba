-- Views, functions and triggers in their 2.0 form, and the version itself.

CREATE VIEW open_receivable AS
    SELECT j.partner_id, p.name, sum(j.debit - j.credit) AS open_amount
    FROM journal j
    JOIN account a ON a.code = j.account_code AND a.kind = 'R'
    JOIN partner p ON p.id = j.partner_id
    GROUP BY j.partner_id, p.name
    HAVING sum(j.debit - j.credit) <> 0;

CREATE FUNCTION partner_balance(wanted integer) RETURNS numeric LANGUAGE sql STABLE AS $body$
    SELECT coalesce(sum(debit - credit), 0) FROM public.journal WHERE partner_id = wanted;
$body$;

CREATE OR REPLACE FUNCTION sale_order_total() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    touched integer := CASE TG_OP WHEN 'DELETE' THEN OLD.order_id ELSE NEW.order_id END;
BEGIN
    UPDATE public.sale_order SET total = (
        SELECT coalesce(sum(round(qty * unit_price * (1 - discount / 100), 2)), 0)
        FROM public.sale_order_line WHERE order_id = touched)
    WHERE id = touched;
    RETURN NULL;
END;
$body$;
ALTER TABLE sale_order_line ENABLE TRIGGER sale_order_line_total;

COMMENT ON TABLE partner IS 'Customers and suppliers; ids are those of the contacts of 1.0';
COMMENT ON TABLE address IS 'Where a partner is: one invoice address, any number of others';
COMMENT ON COLUMN partner.attributes IS 'Free attributes, e.g. {"shoe size": "42"}';

UPDATE erp_module SET version = '2.0.0' WHERE vendor = 'Sample ERP' AND state = 'installed';
UPDATE erp_meta SET value = '2.0' WHERE key = 'version';
