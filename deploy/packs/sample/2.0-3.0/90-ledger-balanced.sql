SELECT m.number AS entry, sum(i.amount) AS difference, count(i.id) AS items
FROM ledger_move m
LEFT JOIN ledger_item i ON i.move_id = m.id
GROUP BY m.number
HAVING sum(i.amount) IS DISTINCT FROM 0
ORDER BY m.number
