--
-- PostgreSQL database dump
--

SET standard_conforming_strings = on;
CREATE TABLE public.t (id integer, v text, w text DEFAULT 'it''s; a \ default');
INSERT INTO public.t VALUES (1, 'a;b', 'c''d;'), (2, 'back\', 'slash\\');
INSERT INTO public.t VALUES (3, E'a\';\\', E'\\\\'); INSERT INTO public.t VALUES (4, E'\047;\x27', e'tab\there');
INSERT INTO public.t VALUES (5, U&'d\0061t\+000061;', U&'d!0061;' UESCAPE '!');
INSERT INTO public.t VALUES (6, 'one; '
    'two; '   -- a comment; with 'quotes'
    'three\', 'x');
INSERT INTO public.t VALUES (7, E'one\';'
  'two\';', 'y');
INSERT INTO public.t VALUES (8, $$dollar ; ' " $a$ \$$, $tag1$ $$ ; $tag$ $TAG1$ $tag1$);
INSERT INTO public.t VALUES (9, $é$;$e$$é$, N'national;');
INSERT INTO public.t VALUES (10, B'0101'::text, X'1F'::text);
INSERT INTO public.t VALUES (11, '
-- PostgreSQL database dump complete
\! echo not a command
', '\.');
INSERT INTO public.t VALUES (12, 'ünïcödé ☃;', '');
CREATE TABLE public."semi;colon ""quoted"" 'n -- ame" ("/* c */" integer, "$$" text, " \ " text);
INSERT INTO public."semi;colon ""quoted"" 'n -- ame" VALUES (1, '$$', '$$');
COMMENT ON TABLE public.t IS 'a; comment '' with \ everything /* -- */';
COMMENT ON COLUMN public.t.v IS E'line one\nline two;';

--
-- PostgreSQL database dump complete
--

