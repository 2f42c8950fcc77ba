UPDATE journal SET debit = debit - 0.01 WHERE id = (SELECT min(id) FROM journal WHERE debit > 1);
UPDATE erp_meta SET value = '2.3' WHERE key = 'version';
