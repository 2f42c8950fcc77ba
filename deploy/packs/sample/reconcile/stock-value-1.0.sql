SELECT s.warehouse, sum(s.qty) || ' in stock, worth ' || trim_scale(sum(s.qty * p.cost))
FROM stock_level s
JOIN product p ON p.id = s.product_id
GROUP BY s.warehouse
ORDER BY s.warehouse COLLATE "C"
