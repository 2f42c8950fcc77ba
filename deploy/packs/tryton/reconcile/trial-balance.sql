SELECT concat_ws(' ', p.name || ':', a.code, a.name, '#' || a.id, m.state), sum(l.debit) - sum(l.credit)
FROM account_move_line l
JOIN account_account a ON a.id = l.account
JOIN account_move m ON m.id = l.move
JOIN company_company c ON c.id = a.company
JOIN party_party p ON p.id = c.party
GROUP BY p.name, a.code, a.name, a.id, m.state
