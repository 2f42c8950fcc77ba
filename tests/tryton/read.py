"""What Tryton itself says of a database, in whatever series: balances, quantities, invoices and attributes, as JSON.

    python3 read.py DATABASE
"""

import json
import os
import sys
from collections import Counter

os.environ['PGDATABASE'] = sys.argv[1]
sys.path.insert(0, os.environ['UPLIFT_PACK'])
import tryton  # noqa: E402

pool = tryton.pool()
Account, Company = pool.get('account.account'), pool.get('company.company')
Location, Product = pool.get('stock.location'), pool.get('product.product')
Invoice = pool.get('account.invoice')

said = {}
with tryton.transaction():
    companies = [company.id for company in Company.search([], order=[('id', 'ASC')])]
for company in companies:
    with tryton.transaction(company=company, companies=[company], active_test=False):
        accounts = Account.search([('company', '=', company)], order=[('id', 'ASC')])
        said[f'balances of {company}'] = {
            account.id: [str(account.debit), str(account.credit), str(account.balance)] for account in accounts}
        invoices = Invoice.search([('company', '=', company)], order=[('id', 'ASC')])
        said[f'invoices of {company}'] = {
            invoice.id: [invoice.type, invoice.state, str(invoice.total_amount), str(invoice.amount_to_pay)]
            for invoice in invoices}
        said[f'states of {company}'] = Counter(invoice.state for invoice in invoices)
    with tryton.transaction(company=company, companies=[company]):
        locations = [location.id for location in Location.search([('type', '=', 'storage')])]
        quantities = Product.products_by_location(locations, with_childs=False)
        said[f'quantities of {company}'] = {
            repr(key): round(quantity, 6) for key, quantity in sorted(quantities.items()) if round(quantity, 6)}
if 'attributes' in Product._fields:
    with tryton.transaction():
        said['attributes'] = {product.id: product.attributes for product in Product.search([])}
print(json.dumps(said, sort_keys=True))
