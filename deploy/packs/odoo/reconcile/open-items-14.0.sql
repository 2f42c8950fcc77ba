-- As of 16.0, which calls the type of an account otherwise and dropped the column that is read here.
-- In the company's own currency. What is open on either side is shown apart: an invoice and a credit note that
-- nobody has matched are both open, although together they come to nothing. Lines without a partner come
-- together under "no partner".
SELECT c.name || ' / ' || a.internal_type || ' / '
           || coalesce(coalesce(p.name, '') || ' #' || p.id, 'no partner'),
       'debit ' || trim_scale(coalesce(sum(l.amount_residual) FILTER (WHERE l.amount_residual > 0), 0))
           || ', credit ' || trim_scale(coalesce(-sum(l.amount_residual) FILTER (WHERE l.amount_residual < 0), 0))
           || ', open ' || trim_scale(sum(l.amount_residual))
FROM account_move_line l
JOIN account_move m ON m.id = l.move_id AND m.state = 'posted'
JOIN account_account a ON a.id = l.account_id AND a.internal_type IN ('receivable', 'payable')
JOIN res_company c ON c.id = l.company_id
LEFT JOIN res_partner p ON p.id = l.partner_id
WHERE l.amount_residual <> 0
GROUP BY c.id, c.name, a.internal_type, p.id, p.name
ORDER BY c.id, a.internal_type, p.id
