"""zLMDB's object layer: does one work and prints the seconds that it took for one record.

    python zlmdb_worker.py WORK DATABASE NDJSON READS

Runs where zlmdb is installed, with ``shop_generated.py``, which flatc wrote, on its path. What zLMDB asks of its user
is here as a user would write it: how an object is built, and how it is read.
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from collections.abc import Callable
from itertools import islice
from time import perf_counter
from typing import Any

import zlmdb  # type: ignore[import-not-found]
from zlmdb import flatbuffers

sys.modules["flatbuffers"] = flatbuffers  # what the generated code imports: zLMDB brings its own
import shop_generated as shop  # type: ignore[import-not-found] # noqa: E402

BATCH = 100_000
COLOURS = {"Red": 0, "Green": 1, "Blue": 2}


def build(order: dict[str, Any], builder: Any) -> Any:
    """An order, in flatc's generated code."""
    tags = [builder.CreateString(tag) for tag in order["tags"]]
    shop.OrderStartTagsVector(builder, len(tags))
    for tag in reversed(tags):
        builder.PrependUOffsetTRelative(tag)
    tags_vector = builder.EndVector()
    own_id = builder.CreateString(order["id"])
    customer = builder.CreateString(order["customer"])
    shop.OrderStart(builder)
    shop.OrderAddId(builder, own_id)
    shop.OrderAddNumber(builder, order["number"])
    shop.OrderAddCustomer(builder, customer)
    shop.OrderAddPrice(builder, order["price"])
    shop.OrderAddQuantity(builder, order["quantity"])
    shop.OrderAddColour(builder, COLOURS[order["colour"]])
    shop.OrderAddPaid(builder, order["paid"])
    shop.OrderAddAt(builder, shop.CreatePoint(builder, order["at"]["x"], order["at"]["y"]))
    shop.OrderAddTags(builder, tags_vector)
    return shop.OrderEnd(builder)


TABLE = zlmdb.MapUuidFlatBuffers(1, build=build, cast=lambda data: shop.Order.GetRootAs(data, 0))


def insert(db: Any, file: str, _reads: int) -> float:
    """All records, in transactions of as many as flatdb's; reading the file is not counted."""
    taken, count = 0.0, 0
    with open(file) as lines:
        while orders := [json.loads(line) for line in islice(lines, BATCH)]:
            keyed = [(uuid.UUID(order["id"]), order) for order in orders]
            start = perf_counter()
            with db.begin(write=True) as txn:
                for key, order in keyed:
                    TABLE[txn, key] = order
            taken += perf_counter() - start
            count += len(orders)
    return taken / count


def read(db: Any, file: str, reads: int) -> float:
    """One field of a record by its key, in random order."""
    keys = [uuid.UUID(key) for key in sample_of_ids(file, reads)]
    with db.begin() as txn:
        for _ in range(2):  # the second time counts: pages and caches are warm
            start = perf_counter()
            for key in keys:
                _price = TABLE[txn, key].Price()
            taken = perf_counter() - start
    return taken / len(keys)


def loop(db: Any, _file: str, _reads: int) -> float:
    """One field of every record."""
    with db.begin() as txn:
        for _ in range(2):
            start = perf_counter()
            count = 0
            for order in TABLE.select(txn, return_keys=False):
                _price = order.Price()
                count += 1
            taken = perf_counter() - start
    return taken / count


def sample_of_ids(file: str, reads: int) -> list[str]:
    with open(file) as lines:
        ids = [json.loads(line)["id"] for line in islice(lines, reads)]
    random.Random(2).shuffle(ids)  # noqa: S311 (the same order in every run is the point)
    return ids


def main(work: str, database: str, file: str, reads: str) -> None:
    works: dict[str, Callable[[Any, str, int], float]] = {"import": insert, "read": read, "loop": loop}
    with zlmdb.Database(dbpath=database, maxsize=1 << 31, sync=False) as db:
        print(works[work](db, file, int(reads)))


if __name__ == "__main__":
    main(*sys.argv[1:])
