--
-- PostgreSQL database dump
--

/* a ; comment /* nested ; */ still ; */
CREATE TABLE public.t ( -- columns; here
    id integer, /* one; /* two; */ three; */
    v text --; last
);
-- \connect nowhere
/* \! echo no */ INSERT INTO public.t VALUES (1, '/* text */ -- text;');INSERT INTO public.t VALUES (2, 'x');;
;
INSERT INTO public.t VALUES (3 /**/ -- '
, '-- ;') /* trailing */;
INSERT INTO public.t VALUES (4--;
- 1, '*/');
CREATE OPERATOR public.@- (FUNCTION = int4pl, LEFTARG = integer, RIGHTARG = integer);
COMMENT ON TABLE public.t IS NULL;

--
-- PostgreSQL database dump complete
--

