SELECT a.code || ' ' || a.name, coalesce(sum(j.debit - j.credit), 0)
FROM account a
LEFT JOIN journal j ON j.account_code = a.code
GROUP BY a.code, a.name
ORDER BY a.code COLLATE "C"
