SELECT j.id AS journal_row, j.account_code AS named, a.code AS points_to
FROM journal j
LEFT JOIN account a ON a.id = j.account_id
WHERE a.code IS DISTINCT FROM j.account_code
ORDER BY j.id
