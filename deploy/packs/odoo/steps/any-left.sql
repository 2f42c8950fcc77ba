-- After the customer's own code has run, nothing may be left half way.
SELECT name, state, latest_version
FROM ir_module_module
WHERE state IN ('to install', 'to upgrade', 'to remove')
ORDER BY name
