SELECT w.name, sum(s.quantity) || ' in stock, worth ' || trim_scale(sum(s.quantity * p.cost))
FROM stock_quant s
JOIN warehouse w ON w.id = s.warehouse_id
JOIN product p ON p.id = s.product_id
GROUP BY w.name
ORDER BY w.name COLLATE "C"
