-- OpenUpgrade renames a module by its row in ir_module_module, whose names are unique: OCA/OpenUpgrade#4391. The pairs are
-- those of standard modules in its apriori.py, from 15.0 to 19.0.
SELECT old.name AS module, old.state, new.name AS becomes, new.state AS which_is
FROM (VALUES
    ('crm_iap_lead', 'crm_iap_mine'), ('crm_iap_lead_enrich', 'crm_iap_enrich'),
    ('crm_iap_lead_website', 'website_crm_iap_reveal'), ('mail_client_extension', 'mail_plugin'),
    ('payment_ingenico', 'payment_ogone'), ('website_mail_channel', 'website_mail_group'),
    ('coupon', 'loyalty'), ('payment_test', 'payment_demo'), ('payment_transfer', 'payment_custom'),
    ('pos_sale_gift_card', 'pos_sale_loyalty'), ('sale_coupon', 'sale_loyalty'),
    ('sale_coupon_delivery', 'sale_loyalty_delivery'), ('website_sale_coupon', 'website_sale_loyalty'),
    ('website_sale_coupon_delivery', 'website_sale_loyalty_delivery'),
    ('note', 'project_todo'), ('website_sale_delivery_mondialrelay', 'website_sale_mondialrelay'),
    ('l10n_es_pos_tbai', 'l10n_es_edi_tbai_pos'),
    ('mrp_subonctracting_landed_costs', 'mrp_subcontracting_landed_costs'),
    ('spreadsheet_dashboard_purchase', 'spreadsheet_dashboard_purchase_oca'),
    ('spreadsheet_dashboard_purchase_stock', 'spreadsheet_dashboard_purchase_stock_oca'),
    ('website_sale_picking', 'website_sale_collect'), ('website_form_project', 'website_project'),
    ('l10n_ec_website_sale', 'l10n_ec_sale'), ('l10n_in_edi_ewaybill', 'l10n_in_ewaybill'),
    ('pos_viva_wallet', 'pos_viva_com')
) AS pair (a, b)
JOIN ir_module_module old ON old.name = pair.a
JOIN ir_module_module new ON new.name = pair.b
ORDER BY 1
