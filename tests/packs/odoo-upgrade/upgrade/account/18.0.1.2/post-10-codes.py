"""What 18.0 makes of an account's code: one for each tree of companies. The stand-in for the server has no ORM that would
do it."""


def migrate(cr, version):
    cr.execute("ALTER TABLE account_account ADD COLUMN code_store jsonb")
    cr.execute("""
        UPDATE account_account a SET code_store = jsonb_build_object(split_part(c.parent_path, '/', 1), a.code)
        FROM res_company c WHERE c.id = a.company_id
    """)
    # The old columns stay, as with OpenUpgrade; whoever still reads them finds nothing.
    cr.execute("UPDATE account_account SET code = ''")
