SELECT '#' || c.id || ' ' || c.name, sum(j.debit - j.credit)
FROM journal j
JOIN account a ON a.code = j.account_code AND a.kind = 'R'
JOIN contact c ON c.id = j.contact_id
GROUP BY c.id, c.name
HAVING sum(j.debit - j.credit) <> 0
ORDER BY c.id
