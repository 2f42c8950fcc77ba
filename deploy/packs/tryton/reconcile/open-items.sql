SELECT concat_ws(' ', o.name || ':', p.name, '#' || l.party, CASE WHEN t.receivable THEN 'receivable' ELSE 'payable' END),
    sum(l.debit) - sum(l.credit)
FROM account_move_line l
JOIN account_account a ON a.id = l.account
JOIN account_account_type t ON t.id = a.type AND (t.receivable OR t.payable)
JOIN account_move m ON m.id = l.move AND m.state = 'posted'
JOIN company_company c ON c.id = a.company
JOIN party_party o ON o.id = c.party
LEFT JOIN party_party p ON p.id = l.party
WHERE l.reconciliation IS NULL
GROUP BY o.name, p.name, l.party, t.receivable
