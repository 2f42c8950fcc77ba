--
-- PostgreSQL database dump
--

CREATE TABLE public.t (a text, b text);
CREATE TABLE public."from stdin" ("from" text, "stdin" text);
COPY public.t (a, b) FROM stdin;
\N	null before
null behind	\N
	
;	'
$$	"
-- PostgreSQL database dump complete	/*
\\.	backslash and dot
x\\.	dot
tab\there	new\nline
octal\101	hex\x41
\\N	not null
INSERT INTO t VALUES (1);	\b\f\r\v\\
\.

COPY public."from stdin" ("from", "stdin") FROM stdin WITH (FORMAT text, DELIMITER '|', NULL '');
a|b
|
\\.|x\\.
\.
COPY public.t FROM stdin WITH (FORMAT csv, HEADER, QUOTE '''');
a,b
'quoted; ''twice''',plain
"x",'two
lines'
\.
COPY public.t FROM STDIN;
\.


COPY public.t (a) FROM stdin;
ünïcödé ☃
\.
INSERT INTO public.t VALUES ('after', 'all');

--
-- PostgreSQL database dump complete
--

