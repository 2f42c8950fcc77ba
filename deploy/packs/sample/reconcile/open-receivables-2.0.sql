SELECT '#' || p.id || ' ' || p.name, sum(j.debit - j.credit)
FROM journal j
JOIN account a ON a.code = j.account_code AND a.kind = 'R'
JOIN partner p ON p.id = j.partner_id
GROUP BY p.id, p.name
HAVING sum(j.debit - j.credit) <> 0
ORDER BY p.id
