SELECT coalesce(old.contact_id, new.id) AS partner, coalesce(old.name, new.name) AS attribute,
       old.value AS was, new.value AS is
FROM contact_attribute old
FULL JOIN (SELECT p.id, e.key AS name, e.value FROM partner p CROSS JOIN jsonb_each_text(p.attributes) e) new
    ON new.id = old.contact_id AND new.name = old.name
WHERE old.contact_id IS NULL OR new.id IS NULL OR old.value IS DISTINCT FROM new.value
ORDER BY 1, 2
