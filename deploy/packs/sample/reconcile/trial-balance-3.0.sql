SELECT a.code || ' ' || a.name, coalesce(sum(i.amount), 0)
FROM account a
LEFT JOIN ledger_item i ON i.account_id = a.id
GROUP BY a.code, a.name
ORDER BY a.code COLLATE "C"
