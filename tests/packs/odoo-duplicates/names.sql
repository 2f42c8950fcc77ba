-- Two partners of the demo data have one name.
ALTER TABLE res_partner ADD COLUMN searched text;
CREATE UNIQUE INDEX res_partner_name_once
    ON res_partner (name);
