SELECT status::text, count(*) || ' orders, total ' || sum(total)
FROM sale_order
GROUP BY status
ORDER BY 1
