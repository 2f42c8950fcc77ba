--
-- PostgreSQL database dump
--

SELECT pg_catalog.lo_create('16500');
ALTER LARGE OBJECT 16500 OWNER TO odoo;
BEGIN;
SELECT pg_catalog.lo_open('16500', 131072);
SELECT pg_catalog.lowrite(0, '\x00010203ff3b27');
SELECT pg_catalog.lo_close(0);
COMMIT;
COMMENT ON LARGE OBJECT 16500 IS 'bytes;';

--
-- PostgreSQL database dump complete
--

