SELECT '#' || p.id || ' ' || p.name, sum(i.amount)
FROM ledger_item i
JOIN account a ON a.id = i.account_id AND a.kind = 'receivable'
JOIN partner p ON p.id = i.partner_id
GROUP BY p.id, p.name
HAVING sum(i.amount) <> 0
ORDER BY p.id
