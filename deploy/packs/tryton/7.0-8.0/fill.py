"""What 7.6 and 7.8 want filled from what there is: where internal shipments pass through, and where mandates belong
(doc/migration.rst, after 7.6 and after 7.8)."""

import os
import sys

sys.path.insert(0, os.environ['UPLIFT_PACK'])
import tryton  # noqa: E402

pool = tryton.pool()


def fill(name, domain, change):
    try:
        Model = pool.get(name)
    except KeyError:
        return
    with tryton.transaction():
        found = [record.id for record in Model.search(domain, order=[('id', 'ASC')])]
    for ids in tryton.batches(found):
        with tryton.transaction(_check_access=False):
            records = Model.browse(ids)
            for record in records:
                change(record)
            Model.save(records)
    print(f'{len(found)} of {name} are filled')


def transit(shipment):
    # It is computed for a draft only.
    state = shipment.state
    shipment.state = 'draft'
    shipment.internal_transit_location = shipment.transit_location
    shipment.state = state


def address(mandate):
    mandate.on_change_party()


fill('stock.shipment.internal', [('state', 'not in', ['request', 'draft'])], transit)
fill('account.payment.sepa.mandate', [('state', '=', 'validated'), ('address', '=', None)], address)
