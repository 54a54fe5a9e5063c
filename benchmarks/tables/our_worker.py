"""lmdb_bindings.tables: does one work and prints the seconds that it took for one record.

    python our_worker.py WORK DATABASE NDJSON READS

For the work ``generated``, ``shop_generated.py``, which flatc wrote, is beside the NDJSON.
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import lmdb_bindings as lmdb
from lmdb_bindings.tables import Table
from lmdb_bindings.tables.flatbuffers import FlatBuffers


def read(table: Any, file: str, reads: int) -> float:
    """One field of a record by its key, in random order, in place."""
    keys = [uuid.UUID(key) for key in sample_of_ids(file, reads)]
    with table.begin() as snapshot:
        for _ in range(2):  # the second time counts: pages and caches are warm
            start = perf_counter()
            for key in keys:
                _price = snapshot[key].price
            taken = perf_counter() - start
    return taken / len(keys)


def read_first(table: Any, file: str, reads: int) -> float:
    """The same, each record for the first time in its snapshot: it is verified."""
    keys = [uuid.UUID(key) for key in sample_of_ids(file, reads)]
    for _ in range(2):
        with table.begin() as snapshot:
            start = perf_counter()
            for key in keys:
                _price = snapshot[key].price
            taken = perf_counter() - start
    return taken / len(keys)


def loop(table: Any, _file: str, _reads: int) -> float:
    """One field of every record."""
    with table.begin() as snapshot:
        for _ in range(2):  # the second time counts, here and below: the pages are mapped
            start = perf_counter()
            count = 0
            for order in snapshot.values():
                _price = order.price
                count += 1
            taken = perf_counter() - start
    return taken / count


def generated(table: Any, file: str, _reads: int) -> float:
    """One field of every record, by the class that flatc generated."""
    sys.path.append(str(Path(file).parent))
    import shop_generated as shop

    own = Table(table.env, table.name, value=FlatBuffers(reader=shop.Order))
    with own.begin() as snapshot:
        for _ in range(2):
            start = perf_counter()
            count = 0
            for order in snapshot.values():
                _price = order.Price()
                count += 1
            taken = perf_counter() - start
    return taken / count


def column(table: Any, _file: str, _reads: int) -> float:
    """The same field of every record, as an Arrow table."""
    with table.begin() as snapshot:
        for _ in range(2):
            start = perf_counter()
            found = snapshot.to_arrow(columns=["price"])
            taken = perf_counter() - start
    if found.num_rows != len(table):
        raise SystemExit(f"{found.num_rows} rows of {len(table)} records")
    return taken / found.num_rows


def sample_of_ids(file: str, reads: int) -> list[str]:
    with open(file) as lines:
        ids = [json.loads(line)["id"] for line in islice(lines, reads)]
    random.Random(2).shuffle(ids)  # noqa: S311 (the same order in every run is the point)
    return ids


WORKS: dict[str, Callable[[Any, str, int], float]] = {
    "read": read, "read_first": read_first, "loop": loop, "generated": generated, "column": column,
}  # fmt: skip


def main(work: str, database: str, file: str, reads: str) -> None:
    with lmdb.open(database, readonly=True, max_dbs=8) as env:
        print(WORKS[work](Table(env, "orders"), file, int(reads)))


if __name__ == "__main__":
    main(*sys.argv[1:])
