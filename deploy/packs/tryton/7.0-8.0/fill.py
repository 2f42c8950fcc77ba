"""What 7.6 and 7.8 want filled from what there is: where internal shipments pass through, and where mandates belong
(doc/migration.rst, after 7.6 and after 7.8). And what 8.0 does not want: the currencies of moves that have no price,
which 6.0 and 7.0 gave to all of them, and which 8.0 finds wrong (domain of the field `currency` of `stock.move`)."""

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
    # It is computed for a draft only, and what is read of the field is that of the state in the database.
    state = shipment.state
    shipment.state = 'draft'
    shipment.internal_transit_location = shipment.on_change_with_transit_location()
    shipment.state = state


def address(mandate):
    mandate.on_change_party()


fill('stock.shipment.internal', [('state', 'not in', ['request', 'draft'])], transit)
fill('account.payment.sepa.mandate', [('state', '=', 'validated'), ('address', '=', None)], address)


def needless_currencies():
    try:
        Move = pool.get('stock.move')
    except KeyError:
        return
    move, count = Move.__table__(), 0
    with tryton.transaction():
        found = [record.id for record in Move.search([('currency', '!=', None)], order=[('id', 'ASC')])]
    for ids in tryton.batches(found):
        with tryton.transaction(_check_access=False) as begun:
            needless = [record.id for record in Move.browse(ids) if not record.on_change_with_unit_price_required()]
            count += len(needless)
            # Moves that are done cannot be written to; nothing else of them changes.
            if needless:
                begun.connection.cursor().execute(*move.update([move.currency], [None], where=move.id.in_(needless)))
    print(f'{count} of stock.move have a currency no more')


needless_currencies()
