-- Documents: what the customer's own people entered or confirmed, and what no hop adds to or takes from. Where versions
-- name a table otherwise, both names stand here. Which tables there are depends on the modules installed.
-- query_to_xml counts the rows of those that exist, since a query that names a missing table does not even start.
SELECT d.what, (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', d.tbl), true, true, '')))[1]::text
FROM (VALUES
    ('account_analytic_line', 'account_analytic_line'), ('account_bank_statement_line', 'account_bank_statement_line'),
    ('account_move', 'account_move'), ('account_move_line', 'account_move_line'),
    ('account_partial_reconcile', 'account_partial_reconcile'), ('account_payment', 'account_payment'),
    ('crm_lead', 'crm_lead'), ('event_registration', 'event_registration'), ('helpdesk_ticket', 'helpdesk_ticket'),
    ('hr_attendance', 'hr_attendance'), ('hr_employee', 'hr_employee'), ('hr_expense', 'hr_expense'),
    ('hr_leave', 'hr_leave'), ('hr_payslip', 'hr_payslip'), ('maintenance_request', 'maintenance_request'),
    ('mrp_bom', 'mrp_bom'), ('mrp_production', 'mrp_production'), ('pos_order', 'pos_order'),
    ('pos_order_line', 'pos_order_line'), ('purchase_order', 'purchase_order'),
    ('purchase_order_line', 'purchase_order_line'), ('repair_order', 'repair_order'), ('sale_order', 'sale_order'),
    ('sale_order_line', 'sale_order_line'),
    ('stock_lot', 'stock_lot'), ('stock_lot', 'stock_production_lot'), -- up to 15.0
    ('stock_picking', 'stock_picking')
) AS d (what, tbl)
WHERE to_regclass('public.' || d.tbl) IS NOT NULL
ORDER BY d.what COLLATE "C"
