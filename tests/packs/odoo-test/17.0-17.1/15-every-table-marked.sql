SELECT c.relname
FROM pg_class c
JOIN pg_attribute w ON w.attrelid = c.oid AND w.attname = 'write_date' AND NOT w.attisdropped
LEFT JOIN pg_attribute m ON m.attrelid = c.oid AND m.attname = 'came_from' AND m.attnotnull
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND m.attname IS NULL
