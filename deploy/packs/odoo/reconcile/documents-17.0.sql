-- Documents: what the customer's own people entered or confirmed.
-- Which tables there are depends on the modules installed. query_to_xml counts the rows of those that exist,
-- since a query that names a missing table does not even start.
SELECT t.name, (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', t.name), true, true, '')))[1]::text
FROM unnest(ARRAY[
    'account_analytic_line', 'account_bank_statement_line', 'account_move', 'account_move_line',
    'account_partial_reconcile', 'account_payment', 'crm_lead', 'event_registration', 'helpdesk_ticket',
    'hr_attendance', 'hr_contract', 'hr_employee', 'hr_expense', 'hr_leave', 'hr_payslip', 'loyalty_card',
    'maintenance_request', 'mrp_bom', 'mrp_production', 'pos_order', 'pos_order_line', 'product_product',
    'product_template', 'project_task', 'purchase_order', 'purchase_order_line', 'repair_order', 'sale_order',
    'sale_order_line', 'stock_lot', 'stock_move', 'stock_move_line', 'stock_picking', 'stock_quant'
]) AS t (name)
WHERE to_regclass('public.' || t.name) IS NOT NULL
ORDER BY t.name COLLATE "C"
