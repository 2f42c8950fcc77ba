-- Accounts are known by an id from now on, so that a code can be corrected without touching the ledger.
-- Ids follow the order of the codes, so that the same chart gets the same ids on every run.

ALTER TABLE account ADD COLUMN id bigint;
UPDATE account a
SET id = n.id
FROM (SELECT code, row_number() OVER (ORDER BY code COLLATE "C") AS id FROM account) n
WHERE n.code = a.code;

ALTER TABLE journal ADD COLUMN account_id bigint;
UPDATE journal j SET account_id = a.id FROM account a WHERE a.code = j.account_code;

ALTER TABLE journal DROP CONSTRAINT journal_account_code_fkey;
ALTER TABLE account DROP CONSTRAINT account_pkey;
ALTER TABLE account ALTER COLUMN id SET NOT NULL;
ALTER TABLE account ADD PRIMARY KEY (id);
ALTER TABLE account ADD CONSTRAINT account_code_key UNIQUE (code);
CREATE SEQUENCE account_id_seq AS bigint OWNED BY account.id;
SELECT setval('account_id_seq', coalesce(max(id), 1), max(id) IS NOT NULL) FROM account;
ALTER TABLE account ALTER COLUMN id SET DEFAULT nextval('account_id_seq');

ALTER TABLE journal ALTER COLUMN account_id SET NOT NULL;
ALTER TABLE journal ADD CONSTRAINT journal_account_id_fkey FOREIGN KEY (account_id) REFERENCES account;

ALTER TABLE account DROP CONSTRAINT account_kind_check;
DROP VIEW open_receivable;
ALTER TABLE account ALTER COLUMN kind TYPE text USING
    CASE kind
        WHEN 'A' THEN 'asset' WHEN 'R' THEN 'receivable' WHEN 'L' THEN 'liability' WHEN 'P' THEN 'payable'
        WHEN 'E' THEN 'equity' WHEN 'I' THEN 'income' WHEN 'X' THEN 'expense'
    END;
ALTER TABLE account ADD CONSTRAINT account_kind_check CHECK
    (kind IN ('asset', 'receivable', 'liability', 'payable', 'equity', 'income', 'expense'));
COMMENT ON COLUMN account.kind IS NULL;
