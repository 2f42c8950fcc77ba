--
-- PostgreSQL database dump
--

SET standard_conforming_strings = off;
SET escape_string_warning = off;
CREATE TABLE public.t (id integer, v text);
INSERT INTO public.t VALUES (1, 'a\';b\\'), (2, 'tab\there\n;');
INSERT INTO public.t VALUES (3, 'a''b\''); INSERT INTO public.t VALUES (4, E'\';');
INSERT INTO public.t VALUES (5, 'one\';'
'two\';');
SELECT pg_catalog.set_config('standard_conforming_strings', 'on', false);
INSERT INTO public.t VALUES (6, 'back\'); INSERT INTO public.t VALUES (7, 'slash\');
SET standard_conforming_strings TO 'off';
INSERT INTO public.t VALUES (8, 'back\'; INSERT');
RESET standard_conforming_strings;
INSERT INTO public.t VALUES (9, 'back\');

--
-- PostgreSQL database dump complete
--

