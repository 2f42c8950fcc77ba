"""The same, behind everything else."""


def migrate(cr, version):
    cr.execute("INSERT INTO upgrade_trace (script) SELECT 'base end, module sale at ' || latest_version"
               " FROM ir_module_module WHERE name = 'sale'")
