-- The checks have found every row of the journal in the ledger.
DROP FUNCTION partner_balance(integer);
DROP TABLE journal;
