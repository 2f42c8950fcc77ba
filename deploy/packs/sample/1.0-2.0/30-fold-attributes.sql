-- The rows (contact, name, value) become one jsonb object a partner. An empty value (NULL) stays as null:
-- a name that is there without a value is not a name that is missing.

UPDATE partner p
SET attributes = a.attributes
FROM (
    SELECT contact_id, jsonb_object_agg(name, value ORDER BY name) AS attributes
    FROM contact_attribute
    GROUP BY contact_id
) a
WHERE a.contact_id = p.id;

CREATE INDEX partner_attributes_idx ON partner USING gin (attributes jsonb_path_ops);
