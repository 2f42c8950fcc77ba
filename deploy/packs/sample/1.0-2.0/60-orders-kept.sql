SELECT o.number, o.status, o.currency, o.total, l.total AS lines
FROM sale_order o
LEFT JOIN LATERAL (
    SELECT coalesce(sum(round(qty * unit_price * (1 - discount / 100), 2)), 0) AS total
    FROM sale_order_line WHERE order_id = o.id
) l ON true
WHERE o.status IS NULL OR o.currency IS NULL OR o.total <> l.total
ORDER BY o.number
