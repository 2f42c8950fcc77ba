--
-- PostgreSQL database dump
--

\restrict abc

CREATE TABLE public.t (a text);
COPY public.t (a) FROM stdin;
\.

--
-- PostgreSQL database dump complete
--

\unrestrict abc
