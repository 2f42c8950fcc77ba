-- Internal shipments under way that 7.0 would find wrong: 6.0 lets goods pass a transit where they leave and arrive on
-- different days, 7.0 where the two locations are of different warehouses.
WITH RECURSIVE above (location, id, parent, type) AS (
    SELECT id, id, parent, type FROM stock_location
  UNION
    SELECT a.location, l.id, l.parent, l.type
    FROM above a JOIN stock_location l ON l.id = a.parent
    WHERE a.type <> 'warehouse'
), warehouse AS (
    SELECT location, id FROM above WHERE type = 'warehouse'
)
SELECT s.number, s.state, s.planned_date
FROM stock_shipment_internal s
LEFT JOIN warehouse f ON f.location = s.from_location
LEFT JOIN warehouse t ON t.location = s.to_location
WHERE s.state IN ('waiting', 'assigned', 'shipped')
  AND (s.planned_start_date IS DISTINCT FROM s.planned_date) <> coalesce(f.id <> t.id, false)
