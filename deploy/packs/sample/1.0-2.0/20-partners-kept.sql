SELECT c.id AS contact, c.name,
       CASE
           WHEN p.id IS NULL THEN 'has no partner'
           WHEN p.name <> c.name THEN 'has a partner of another name'
           WHEN p.email IS DISTINCT FROM c.email THEN 'lost its e-mail address'
           WHEN p.logo IS DISTINCT FROM c.logo THEN 'lost its logo'
           WHEN p.notes IS DISTINCT FROM c.notes THEN 'lost its notes'
           WHEN p.credit_limit <> coalesce(c.credit_limit, 0) THEN 'has another credit limit'
           WHEN p.tags <> coalesce(c.tags, '{}') THEN 'has other tags'
           ELSE 'has another address'
       END AS problem
FROM contact c
LEFT JOIN partner p USING (id)
LEFT JOIN address a ON a.partner_id = c.id AND a.kind = 'invoice'
WHERE p.id IS NULL
   OR (p.name, p.email, p.logo, p.notes, p.credit_limit, p.tags)
      IS DISTINCT FROM (c.name, c.email, c.logo, c.notes, coalesce(c.credit_limit, 0), coalesce(c.tags, '{}'))
   OR (a.street, a.zip, a.city, a.country_code) IS DISTINCT FROM (c.street, c.zip, c.city, c.country_code)
UNION ALL
SELECT p.id, p.name, 'is a partner that was no contact'
FROM partner p
WHERE NOT EXISTS (SELECT FROM contact c WHERE c.id = p.id)
ORDER BY 1
