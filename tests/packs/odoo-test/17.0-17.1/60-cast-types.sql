-- Types change: a text becomes an enumeration, an integer a bigint, a number a float, a text case-insensitive.
CREATE EXTENSION citext;
CREATE TYPE partner_kind AS ENUM ('contact', 'invoice', 'delivery', 'other', 'private');
COMMENT ON TYPE partner_kind IS 'What an address is for';

ALTER TABLE res_partner
    ALTER COLUMN type TYPE partner_kind USING type::partner_kind,
    ALTER COLUMN color TYPE bigint,
    ALTER COLUMN partner_latitude TYPE double precision,
    ALTER COLUMN partner_longitude TYPE double precision,
    ALTER COLUMN email_normalized TYPE citext;

-- Views stand in the way of a column's new type: they step aside, and come back.
DO $cast$
DECLARE
    view record;
    views text[];
BEGIN
    FOR view IN
        SELECT DISTINCT c.oid, format('%I', c.relname) AS name, pg_get_viewdef(c.oid) AS body
        FROM pg_depend d
        JOIN pg_rewrite r ON r.oid = d.objid
        JOIN pg_class c ON c.oid = r.ev_class
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = 'sale_order'::regclass AND c.relkind = 'v'
        ORDER BY c.oid DESC
    LOOP
        views := format('CREATE VIEW %s AS %s', view.name, view.body) || coalesce(views, '{}');
        EXECUTE format('DROP VIEW %s', view.name);
        RAISE NOTICE 'view % steps aside', view.name;
    END LOOP;
    ALTER TABLE sale_order ALTER COLUMN currency_rate TYPE numeric(30, 12);
    FOR at IN 1 .. coalesce(cardinality(views), 0) LOOP
        EXECUTE views[at];
    END LOOP;
END
$cast$;
