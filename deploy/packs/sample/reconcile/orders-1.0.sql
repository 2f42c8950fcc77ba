SELECT CASE status
           WHEN 'D' THEN 'draft' WHEN 'C' THEN 'confirmed' WHEN 'S' THEN 'shipped' WHEN 'X' THEN 'cancelled'
           ELSE status
       END,
       count(*) || ' orders, total ' || sum(total)
FROM sale_order
GROUP BY status
ORDER BY 1
