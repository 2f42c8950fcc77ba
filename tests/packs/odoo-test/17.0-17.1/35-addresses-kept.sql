SELECT p.id, p.name
FROM res_partner p
LEFT JOIN res_partner_address a ON a.partner_id = p.id
WHERE (p.street, p.street2, p.zip, p.city) IS DISTINCT FROM (a.street, a.street2, a.zip, a.city)
