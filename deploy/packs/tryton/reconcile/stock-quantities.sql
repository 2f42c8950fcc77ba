SELECT concat_ws(' ', s.name, '#' || s.id || ':', p.code, '#' || p.id), round(sum(quantity)::numeric, 6)
FROM (
    SELECT to_location AS location, product, internal_quantity AS quantity FROM stock_move WHERE state = 'done'
    UNION ALL
    SELECT from_location, product, -internal_quantity FROM stock_move WHERE state = 'done') AS moved
JOIN stock_location s ON s.id = moved.location AND s.type = 'storage'
JOIN product_product p ON p.id = moved.product
GROUP BY s.name, s.id, p.code, p.id
