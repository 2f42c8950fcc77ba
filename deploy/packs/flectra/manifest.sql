-- What Odoo writes into the manifest.json of a backup, as far as an upgrade changes it (odoo/service/db.py,
-- `dump_db_manifest`): keys, each with a JSON value. What is not named here stays as it came in.
WITH base AS (
    SELECT substring(latest_version from '^(?:saas~)?([0-9]+[.][0-9]+)') AS series
    FROM ir_module_module
    WHERE name = 'base'
)
SELECT 'version', to_json(series) FROM base
UNION ALL
SELECT 'major_version', to_json(series) FROM base
UNION ALL
SELECT 'version_info', json_build_array(
    split_part(series, '.', 1)::int, split_part(series, '.', 2)::int, 0, 'final', 0, '') FROM base
UNION ALL
SELECT 'pg_version', to_json(current_setting('server_version_num')::int / 10000 || '.0')
UNION ALL
SELECT 'modules', coalesce(json_object_agg(name, latest_version ORDER BY name), '{}')
FROM ir_module_module
WHERE state = 'installed'
