-- What is on the company's own shelves and between them, in the product's unit of measure; lots, packages and
-- owners added up. Rounded, since quantities are floating point numbers in older versions. Names of products are
-- text up to 15.0 and JSON from 16.0 on.
SELECT coalesce(c.name, 'all companies') || ' / ' || l.name || ' #' || l.id || ' / '
           || coalesce('[' || nullif(p.default_code, '') || '] ', '')
           || coalesce(to_jsonb(t.name)->>'en_US', to_jsonb(t.name)#>>'{}', '') || ' #' || p.id,
       trim_scale(round(sum(q.quantity)::numeric, 6))
FROM stock_quant q
JOIN stock_location l ON l.id = q.location_id AND l.usage IN ('internal', 'transit')
JOIN product_product p ON p.id = q.product_id
JOIN product_template t ON t.id = p.product_tmpl_id
LEFT JOIN res_company c ON c.id = l.company_id
GROUP BY c.id, c.name, l.id, l.name, p.id, p.default_code, t.name
HAVING round(sum(q.quantity)::numeric, 6) <> 0
ORDER BY c.id, l.id, p.id
