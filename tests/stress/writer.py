"""The process that is killed: commits one transaction after another, and writes the number of each to its standard
output when ``commit()`` has returned.
"""

from __future__ import annotations

import os
import sys
from random import Random
from typing import Any

import lmdb_bindings as lmdb
from tests.stress import slots
from tests.stress.shared import ENGINES

READERS = 3
"""Read transactions that it holds, whose slots are left in the reader table."""

MAP_SIZE = 1 << 28
"""Bytes, for whoever opens the environment."""


def main(path: str, engine: str, seed: str) -> None:
    """Write until killed."""
    dice = Random(seed)
    env = lmdb.open(path, lib_version=ENGINES[engine], sync=dice.random() < 0.3, map_size=MAP_SIZE)
    readers = [env.begin() for _ in range(READERS)]
    number = int(readers[0].get(slots.COUNT, b"0"))
    os.write(1, b"ready %d\n" % number)
    while True:
        number += 1
        if dice.random() < 0.1:
            with env.begin(write=True) as txn:
                txn.put(b"aborted", b"never seen" * 1000)
                txn.abort()
        with env.begin(write=True) as txn:
            write(txn, number, dice)
        os.write(1, b"%d\n" % number)


def write(txn: Any, number: int, dice: Random) -> None:
    """The changes of a transaction, by one of several ways."""
    txn.put(slots.COUNT, b"%d" % number)
    changes = slots.changes(number)
    for key in [key for key, value in changes.items() if value is None]:
        txn.delete(key)
    stored = [(key, value) for key, value in changes.items() if value is not None]
    way = dice.randrange(3)
    if way == 0:
        with txn.cursor() as cursor:
            cursor.putmulti(stored)
        return
    target = txn.env.begin(write=True, parent=txn) if way == 1 else txn
    for key, value in stored:
        target.put(key, value)
    if way == 1:
        target.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
