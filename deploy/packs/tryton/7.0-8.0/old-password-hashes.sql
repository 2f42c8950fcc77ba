-- Where a database keeps its users' passwords; some keep none.
SELECT login
FROM res_user u, LATERAL (SELECT to_jsonb(u) ->> 'password_hash' AS hash) AS kept
WHERE hash LIKE '$pbkdf2-sha512$%' OR hash LIKE '$scrypt$%'
