SELECT coalesce(j.id, i.id) AS row, j.entry_no AS was_entry, m.number AS is_entry,
       j.debit - j.credit AS was_amount, i.amount AS is_amount
FROM journal j
FULL JOIN ledger_item i ON i.id = j.id
LEFT JOIN ledger_move m ON m.id = i.move_id
WHERE (j.entry_no, j.booked, j.account_id, j.partner_id, j.debit - j.credit, j.memo)
      IS DISTINCT FROM (m.number, i.booked, i.account_id, i.partner_id, i.amount, i.memo)
ORDER BY 1
