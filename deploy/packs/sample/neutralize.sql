-- Makes a test copy harmless: nothing in it reaches the world outside, and it does not pass for production.
-- Runs on any version of Sample ERP, and may run twice.

UPDATE integration
SET active = false,
    mode = 'test',
    secret = NULL,
    endpoint = CASE WHEN endpoint IS NOT NULL THEN 'neutralized.invalid' END;

-- Before the environment is noted, so that the identity changes once.
UPDATE erp_meta
SET value = md5('test copy of ' || value)::uuid::text
WHERE key = 'database_id'
  AND NOT EXISTS (SELECT FROM erp_meta WHERE key = 'environment' AND value = 'test');

INSERT INTO erp_meta (key, value) VALUES ('environment', 'test')
ON CONFLICT (key) DO UPDATE SET value = excluded.value;
