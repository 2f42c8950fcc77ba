"""A database, opened by the code of whatever series the image has."""

import contextlib
import os

import trytond.config

# 8.0 has functions where earlier series have an object.
getattr(trytond.config, 'config', trytond.config).update_etc(os.environ['TRYTOND_CONFIG'])

from trytond.pool import Pool  # noqa: E402
from trytond.transaction import Transaction  # noqa: E402

DATABASE = os.environ['PGDATABASE']


def pool():
    Pool.start()
    found = Pool(DATABASE)
    with Transaction().start(DATABASE, 0, readonly=True):
        found.init()
    return found


@contextlib.contextmanager
def transaction(**context):
    with Transaction().start(DATABASE, 0, context=context) as begun:
        yield begun
        begun.commit()


def batches(ids, size=500):
    """Ids in lists of at most so many, so that memory does not grow with the database."""
    for at in range(0, len(ids), size):
        yield ids[at:at + size]
