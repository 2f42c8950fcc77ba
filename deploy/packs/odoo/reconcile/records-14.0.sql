-- Tables to which an upgrade may add rows of its own, or from which it may remove old ones: settings, products that come
-- with modules, moves of repairs (17.0), tasks that were notes (17.0), cards that were gift cards or coupons (16.0),
-- contracts that become versions of an employee (19.0).
-- Which tables there are depends on the modules installed. query_to_xml counts the rows of those that exist,
-- since a query that names a missing table does not even start.
SELECT r.what, (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', r.tbl), true, true, '')))[1]::text
FROM (
    SELECT t.name, t.name
    FROM unnest(ARRAY[
        'account_account', 'account_journal', 'account_tax', 'calendar_event', 'hr_contract', 'ir_attachment', 'ir_cron',
        'ir_model_data', 'ir_rule', 'ir_ui_view', 'loyalty_card', 'mail_activity', 'mail_followers', 'mail_message',
        'mail_template', 'product_pricelist', 'product_pricelist_item', 'product_product', 'product_template',
        'project_project', 'project_task', 'res_company', 'res_currency', 'res_groups', 'res_partner', 'res_users',
        'stock_location', 'stock_move', 'stock_move_line', 'stock_quant', 'stock_warehouse', 'website', 'website_page'
    ]) AS t (name)
    UNION ALL
    -- Up to 16.0.
    VALUES ('discuss_channel', 'discuss_channel'), ('discuss_channel', 'mail_channel')
) AS r (what, tbl)
WHERE to_regclass('public.' || r.tbl) IS NOT NULL
ORDER BY r.what COLLATE "C"
