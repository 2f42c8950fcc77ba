-- Tables to which an upgrade may add rows of its own, or from which it may remove old ones.
-- Which tables there are depends on the modules installed. query_to_xml counts the rows of those that exist,
-- since a query that names a missing table does not even start.
SELECT t.name, (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', t.name), true, true, '')))[1]::text
FROM unnest(ARRAY[
    'account_account', 'account_journal', 'account_tax', 'calendar_event', 'discuss_channel', 'ir_attachment',
    'ir_cron', 'ir_model_data', 'ir_rule', 'ir_ui_view', 'mail_activity', 'mail_followers', 'mail_message',
    'mail_template', 'product_pricelist', 'product_pricelist_item', 'project_project', 'res_company',
    'res_currency', 'res_groups', 'res_partner', 'res_users', 'stock_location', 'stock_warehouse', 'website',
    'website_page'
]) AS t (name)
WHERE to_regclass('public.' || t.name) IS NOT NULL
ORDER BY t.name COLLATE "C"
