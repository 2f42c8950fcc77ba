-- The type of an account is in one column or in another, as in the version of Odoo that a version of Flectra is made
-- from; a row as JSON has whichever there is. What is open on either side is shown apart.
WITH account AS (
    SELECT a.id, CASE coalesce(to_jsonb(a)->>'account_type', to_jsonb(a)->>'internal_type')
                     WHEN 'asset_receivable' THEN 'receivable' WHEN 'receivable' THEN 'receivable'
                     WHEN 'liability_payable' THEN 'payable' WHEN 'payable' THEN 'payable' END AS kind
    FROM account_account a
)
SELECT c.name || ' / ' || a.kind || ' / ' || coalesce(coalesce(p.name, '') || ' #' || p.id, 'no partner'),
       'debit ' || trim_scale(coalesce(sum(l.amount_residual) FILTER (WHERE l.amount_residual > 0), 0))
           || ', credit ' || trim_scale(coalesce(-sum(l.amount_residual) FILTER (WHERE l.amount_residual < 0), 0))
           || ', open ' || trim_scale(sum(l.amount_residual))
FROM account_move_line l
JOIN account_move m ON m.id = l.move_id AND m.state = 'posted'
JOIN account a ON a.id = l.account_id AND a.kind IS NOT NULL
JOIN res_company c ON c.id = l.company_id
LEFT JOIN res_partner p ON p.id = l.partner_id
WHERE l.amount_residual <> 0
GROUP BY c.id, c.name, a.kind, p.id, p.name
ORDER BY c.id, a.kind, p.id
