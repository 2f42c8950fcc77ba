-- Modules whose code is not in the server's image stay behind in `to upgrade`: the customer's own, those of others, and
-- those that a version has dropped. They go back to what they were, at their old version, so that the next hop and the
-- customer's own code find them; their data has not been touched. While any module is on its way, Odoo runs no scheduled
-- job.
DO $aside$
DECLARE
    names text;
BEGIN
    SELECT string_agg(name || ' ' || coalesce(latest_version, 'without a version'), ', ' ORDER BY name) INTO names
    FROM ir_module_module WHERE state IN ('to install', 'to upgrade', 'to remove');
    IF names IS NOT NULL THEN
        RAISE NOTICE 'set aside, since the image has no code for them: %', names;
    END IF;
    UPDATE ir_module_module
    SET state = CASE state WHEN 'to install' THEN 'uninstalled' ELSE 'installed' END
    WHERE state IN ('to install', 'to upgrade', 'to remove');
END;
$aside$;
