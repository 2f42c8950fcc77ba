"""Notes that it ran, and what it was told."""


def migrate(cr, version):
    cr.execute("CREATE TABLE upgrade_trace (id serial PRIMARY KEY, script text)")
    cr.execute("INSERT INTO upgrade_trace (script) VALUES (%s)", ["base pre from " + version])
