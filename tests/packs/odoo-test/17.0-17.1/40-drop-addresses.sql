ALTER TABLE res_partner
    DROP COLUMN street,
    DROP COLUMN street2,
    DROP COLUMN zip,
    DROP COLUMN city;
