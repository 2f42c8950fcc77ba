-- What is on the company's own shelves and between them, in the product's unit of measure; lots, packages and
-- owners added up.
SELECT coalesce(c.name, 'all companies') || ' / ' || l.complete_name || ' #' || l.id || ' / '
           || coalesce('[' || nullif(p.default_code, '') || '] ', '') || coalesce(t.name->>'en_US', '') || ' #' || p.id,
       trim_scale(sum(q.quantity))
FROM stock_quant q
JOIN stock_location l ON l.id = q.location_id AND l.usage IN ('internal', 'transit')
JOIN product_product p ON p.id = q.product_id
JOIN product_template t ON t.id = p.product_tmpl_id
LEFT JOIN res_company c ON c.id = l.company_id
GROUP BY c.id, c.name, l.id, l.complete_name, p.id, p.default_code, t.name
HAVING sum(q.quantity) <> 0
ORDER BY c.id, l.id, p.id
