--
-- PostgreSQL database dump
--

SET check_function_bodies = false;
CREATE TABLE public.t (id integer, "end" integer, "case" text);
CREATE FUNCTION public.plain(a integer, b text DEFAULT ';') RETURNS integer LANGUAGE sql AS $_$ SELECT $1; SELECT 2; $_$;
CREATE FUNCTION public.pl() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  /* ; */ EXECUTE 'SELECT 1;'; -- ;
  EXECUTE $x$ SELECT ';' $x$;
  RETURN NEW;
END;
$$;
CREATE FUNCTION public.atomic(n integer) RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN n > 0 THEN CASE n WHEN 1 THEN 2 ELSE 3 END ELSE 4 END;
 SELECT (CASE WHEN true THEN 1 END);
 SELECT t."end" FROM public.t WHERE (t."case" = 'END;'::text);
END;
CREATE OR REPLACE PROCEDURE public.proc(IN x integer)
    LANGUAGE sql
    BEGIN ATOMIC INSERT INTO public.t (id) VALUES (proc.x); DELETE FROM public.t WHERE (t.id = 0);
END; CREATE FUNCTION public.one_line() RETURNS integer LANGUAGE sql RETURN 1;
CREATE FUNCTION public."begin"() RETURNS integer LANGUAGE sql AS 'SELECT 1; SELECT 2';
CREATE RULE r AS ON INSERT TO public.t DO ALSO ( SELECT 1; SELECT 2; );
CREATE RULE n AS ON DELETE TO public.t DO INSTEAD NOTHING;
CREATE TRIGGER tr BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.pl();
CREATE AGGREGATE public.total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
DO $do$ BEGIN PERFORM 1; END $do$;
BEGIN;
INSERT INTO public.t VALUES (1, 2, 'x');
COMMIT;

--
-- PostgreSQL database dump complete
--

