-- Modules of Flectra's own that the server was to bring to the new version, and left half way. Odoo's code, which this
-- is, says so at level ERROR and exits with 0. Modules of others are put back by set-aside.sql.
SELECT name, state, latest_version
FROM ir_module_module
WHERE state IN ('to install', 'to upgrade', 'to remove')
  AND concat_ws(' ', author, website) ~* '\m(odoo|openerp|flectra)'
ORDER BY name
