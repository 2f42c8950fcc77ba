--
-- PostgreSQL database dump
--

SET no_such_setting = 0;
SET default_table_access_method = no_such_setting;
SET default_tablespace = '';
DROP TRIGGER IF EXISTS tr ON public.t;
ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS t_pkey;
DROP TABLE IF EXISTS public.t;
DROP EXTENSION IF EXISTS pg_trgm;
CREATE SCHEMA IF NOT EXISTS public;
CREATE EXTENSION IF NOT EXISTS no_such_extension WITH SCHEMA public;
COMMENT ON EXTENSION no_such_extension IS 'x';
CREATE TABLE public.t (id integer, owner text);
ALTER TABLE public.t OWNER TO odoo;
ALTER TABLE public.t RENAME COLUMN owner TO keeper;
COPY public.t (id, keeper) FROM stdin;
1	OWNER TO
\.
GRANT ALL ON TABLE public.t TO odoo;
REVOKE ALL ON SCHEMA public FROM odoo;
ALTER DEFAULT PRIVILEGES FOR ROLE odoo IN SCHEMA public GRANT ALL ON TABLES TO odoo;

--
-- PostgreSQL database dump complete
--

