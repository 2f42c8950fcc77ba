SELECT c.name || ' / ' || coalesce('[' || nullif(p.default_code, '') || '] ', '')
           || coalesce(to_jsonb(t.name)->>'en_US', to_jsonb(t.name)#>>'{}', '') || ' #' || p.id,
       trim_scale(coalesce(sum(v.quantity), 0)) || ' worth ' || trim_scale(coalesce(sum(v.value), 0))
FROM stock_valuation_layer v
JOIN res_company c ON c.id = v.company_id
JOIN product_product p ON p.id = v.product_id
JOIN product_template t ON t.id = p.product_tmpl_id
GROUP BY c.id, c.name, p.id, p.default_code, t.name
ORDER BY c.id, p.id
