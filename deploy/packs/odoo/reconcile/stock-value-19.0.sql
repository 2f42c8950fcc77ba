-- 19.0 has no valuation layers: a stock move carries the value of those that were made for it. OpenUpgrade leaves their
-- table, so each move can be asked for what it was given, and values without a move are read as they were.
WITH layer AS (
    SELECT company_id, product_id, stock_move_id, sum(quantity) AS quantity, sum(value) AS value
    FROM stock_valuation_layer
    GROUP BY company_id, product_id, stock_move_id
)
SELECT c.name || ' / ' || coalesce('[' || nullif(p.default_code, '') || '] ', '') || coalesce(t.name->>'en_US', '')
           || ' #' || p.id,
       trim_scale(coalesce(sum(v.quantity), 0)) || ' worth '
           || trim_scale(coalesce(sum(CASE WHEN v.stock_move_id IS NULL THEN v.value ELSE m.value END), 0))
FROM layer v
LEFT JOIN stock_move m ON m.id = v.stock_move_id
JOIN res_company c ON c.id = v.company_id
JOIN product_product p ON p.id = v.product_id
JOIN product_template t ON t.id = p.product_tmpl_id
GROUP BY c.id, c.name, p.id, p.default_code, t.name
ORDER BY c.id, p.id
