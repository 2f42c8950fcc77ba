"""7.0 keeps the amounts of invoices that are posted or paid; those of before have none (doc/migration.rst, after 7.0)."""

import os
import sys

sys.path.insert(0, os.environ['UPLIFT_PACK'])
import tryton  # noqa: E402

pool = tryton.pool()
try:
    Invoice = pool.get('account.invoice')
except KeyError:
    sys.exit()
with tryton.transaction():
    found = [invoice.id for invoice in Invoice.search([('state', 'in', ['posted', 'paid'])], order=[('id', 'ASC')])]
for ids in tryton.batches(found):
    with tryton.transaction(_check_access=False):
        invoices = Invoice.browse(ids)
        for invoice in invoices:
            invoice.untaxed_amount_cache = invoice.untaxed_amount
            invoice.tax_amount_cache = invoice.tax_amount
            invoice.total_amount_cache = invoice.total_amount
        Invoice.save(invoices)
print(f'amounts of {len(found)} invoices are kept')
