-- The journal, one table of debits and credits, becomes moves (an entry's head) and items (its rows) with one
-- signed amount: debit positive, credit negative. Items are partitioned by year.

CREATE TABLE ledger_move (
    id     bigserial PRIMARY KEY,
    number integer NOT NULL UNIQUE,
    booked date NOT NULL
);

CREATE TABLE ledger_item (
    id         bigint NOT NULL,
    booked     date NOT NULL,
    move_id    bigint NOT NULL,
    account_id bigint NOT NULL,
    partner_id integer,
    amount     numeric(18,2) NOT NULL,
    memo       text,
    PRIMARY KEY (id, booked)
) PARTITION BY RANGE (booked);

DO $partitions$
DECLARE
    year integer;
BEGIN
    FOR year IN SELECT DISTINCT extract(year FROM booked)::integer FROM journal ORDER BY 1 LOOP
        EXECUTE format('CREATE TABLE ledger_item_%s PARTITION OF ledger_item FOR VALUES FROM (%L) TO (%L)',
                       year, make_date(year, 1, 1), make_date(year + 1, 1, 1));
    END LOOP;
END;
$partitions$;
-- Years to come, until somebody makes their partitions.
CREATE TABLE ledger_item_rest PARTITION OF ledger_item DEFAULT;

INSERT INTO ledger_move (number, booked)
SELECT entry_no, min(booked) FROM journal GROUP BY entry_no ORDER BY entry_no;

INSERT INTO ledger_item (id, booked, move_id, account_id, partner_id, amount, memo)
SELECT j.id, j.booked, m.id, j.account_id, j.partner_id, j.debit - j.credit, j.memo
FROM journal j
JOIN ledger_move m ON m.number = j.entry_no
ORDER BY j.id;

-- Items go on counting where the journal stopped.
CREATE SEQUENCE ledger_item_id_seq AS bigint OWNED BY ledger_item.id;
SELECT setval('ledger_item_id_seq', last_value, is_called) FROM journal_id_seq;
ALTER TABLE ledger_item ALTER COLUMN id SET DEFAULT nextval('ledger_item_id_seq');

ALTER TABLE ledger_item
    ADD CONSTRAINT ledger_item_move_id_fkey FOREIGN KEY (move_id) REFERENCES ledger_move ON DELETE CASCADE,
    ADD CONSTRAINT ledger_item_account_id_fkey FOREIGN KEY (account_id) REFERENCES account,
    ADD CONSTRAINT ledger_item_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partner;
CREATE INDEX ledger_item_account_id_idx ON ledger_item (account_id, booked);
CREATE INDEX ledger_item_move_id_idx ON ledger_item (move_id);
CREATE INDEX ledger_item_partner_id_idx ON ledger_item (partner_id) WHERE partner_id IS NOT NULL;
