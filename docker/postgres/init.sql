-- What a fresh cluster holds before the first dump: two roles, the engine's own database, and the template
-- that every customer's database is made from. Run once, as the superuser `bootstrap`, in database `postgres`,
-- on a cluster made by `initdb --username=bootstrap --encoding=UTF8 --locale=C.UTF-8`. The image runs it;
-- a test with a private cluster runs this very file.

-- Whoever restores and upgrades. It bypasses row security, since a dump must restore whole.
CREATE ROLE tenant LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT BYPASSRLS;

-- The engine's own: identity, row counts and whatever else a customer's script must not reach.
CREATE DATABASE control;
REVOKE ALL ON DATABASE control FROM PUBLIC;

-- Odoo opens database `postgres` at start, so tenant may come in, and do nothing there.
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO tenant;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- `CREATE DATABASE work TEMPLATE uplift` keeps the owner of schema public, but grants on the database are not
-- copied: after each copy, GRANT CREATE, TEMPORARY ON DATABASE work TO tenant.
CREATE DATABASE uplift TEMPLATE template0 IS_TEMPLATE true;
REVOKE ALL ON DATABASE uplift FROM PUBLIC;
\connect uplift
ALTER SCHEMA public OWNER TO tenant;
