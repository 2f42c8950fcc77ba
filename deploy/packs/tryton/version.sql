-- From 7.6 on Tryton writes its series down, once an update is through. An earlier database tells it by what its series
-- brought to the tables of ir and res; each line names what is in no series before, and in all after.
WITH field AS (
    SELECT attrelid::regclass::text AS of, attname AS name FROM pg_attribute
    WHERE attrelid IN (to_regclass('public.ir_model_field_access'), to_regclass('public.ir_export'),
                       to_regclass('public.ir_sequence')) AND attnum > 0 AND NOT attisdropped)
SELECT coalesce(
    (SELECT to_jsonb(c) ->> 'series' FROM ir_configuration c ORDER BY id LIMIT 1),
    CASE
        WHEN to_regclass('public.ir_cron_log') IS NOT NULL THEN '7.4'
        WHEN EXISTS (SELECT FROM field WHERE of = 'ir_model_field_access' AND name = 'model') THEN '7.2'
        WHEN EXISTS (SELECT FROM field WHERE of = 'ir_export' AND name = 'records') THEN '7.0'
        WHEN to_regclass('public.ir_model_log') IS NOT NULL THEN '6.8'
        WHEN EXISTS (SELECT FROM field WHERE of = 'ir_export' AND name = 'header') THEN '6.6'
        WHEN to_regclass('public.ir_ui_view_tree_optional') IS NOT NULL THEN '6.4'
        WHEN to_regclass('public.ir_error') IS NOT NULL THEN '6.2'
        WHEN EXISTS (SELECT FROM field WHERE of = 'ir_sequence' AND name = 'sequence_type') THEN '6.0'
    END)
