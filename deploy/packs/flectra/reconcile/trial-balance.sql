-- Names are text up to 16.0 and translated, which is JSON, from 17.0 on; as JSON, both read alike.
SELECT c.name || ' / ' || a.code || ' ' || coalesce(to_jsonb(a.name)->>'en_US', to_jsonb(a.name)#>>'{}', '') || ' #' || a.id,
       'debit ' || trim_scale(coalesce(sum(l.debit), 0)) || ', credit ' || trim_scale(coalesce(sum(l.credit), 0))
           || ', balance ' || trim_scale(coalesce(sum(l.balance), 0))
FROM account_move_line l
JOIN account_move m ON m.id = l.move_id AND m.state = 'posted'
JOIN account_account a ON a.id = l.account_id
JOIN res_company c ON c.id = l.company_id
GROUP BY c.id, c.name, a.id, a.code, a.name
ORDER BY c.id, a.code COLLATE "C", a.id
