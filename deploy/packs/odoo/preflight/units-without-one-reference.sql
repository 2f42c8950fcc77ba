-- Units without a reference unit are no harm: OpenUpgrade leaves them to stand alone.
-- query_to_xml asks only where the tables are, since a query that names a missing table does not even start.
SELECT found.category, found.units, found.without_factor
FROM (SELECT CASE WHEN to_regclass('public.uom_category') IS NOT NULL THEN query_to_xml($query$
    SELECT c.id AS category, count(*) FILTER (WHERE u.uom_type = 'reference') AS units,
           count(*) FILTER (WHERE u.factor = 0) AS without_factor
    FROM uom_category c JOIN uom_uom u ON u.category_id = c.id
    GROUP BY c.id
    HAVING count(*) FILTER (WHERE u.uom_type = 'reference') > 1 OR count(*) FILTER (WHERE u.factor = 0) > 0
$query$, true, false, '') END AS rows) AS asked,
xmltable('/table/row' PASSING asked.rows COLUMNS category bigint, units bigint, without_factor bigint) AS found
ORDER BY 1
