-- Every account is one too many.
SELECT code, name
FROM account
ORDER BY code
