-- From 18.0 on companies share accounts, and an account has a code for each tree of companies.
SELECT c.name || ' / ' || coalesce(a.code_store->>split_part(c.parent_path, '/', 1), '') || ' '
           || coalesce(a.name->>'en_US', '') || ' #' || a.id,
       'debit ' || trim_scale(coalesce(sum(l.debit), 0)) || ', credit ' || trim_scale(coalesce(sum(l.credit), 0))
           || ', balance ' || trim_scale(coalesce(sum(l.balance), 0))
FROM account_move_line l
JOIN account_move m ON m.id = l.move_id AND m.state = 'posted'
JOIN account_account a ON a.id = l.account_id
JOIN res_company c ON c.id = l.company_id
GROUP BY c.id, c.name, c.parent_path, a.id, a.code_store, a.name
ORDER BY c.id, a.code_store->>split_part(c.parent_path, '/', 1) COLLATE "C", a.id
