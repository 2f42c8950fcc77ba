UPDATE ir_module_module SET latest_version = regexp_replace(latest_version, '^17[.]0[.]', '17.1.')
WHERE latest_version LIKE '17.0.%';
