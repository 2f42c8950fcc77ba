SELECT concat_ws(' ', i.type, i.state, c.code),
    concat_ws(' / ', count(DISTINCT i.id), round(coalesce(sum(l.quantity * l.unit_price), 0)::numeric, 2))
FROM account_invoice i
JOIN currency_currency c ON c.id = i.currency
LEFT JOIN account_invoice_line l ON l.invoice = i.id AND l.type = 'line'
GROUP BY i.type, i.state, c.code
