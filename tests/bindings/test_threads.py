"""Everything at once, by many threads: what is read is what was committed together, whatever the others do, and an object
that somebody closes is closed for all. Without a global lock this is where races show; with it, where a lock is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Python = Callable[..., str]

STRESS = """
import gc, sys, threading
import lmdb_bindings as lmdb

engine, folder, rounds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
GONE = "Attempt to operate on closed/deleted/dropped object."
KEYS = [b"%03d" % number for number in range(200)]
sys.setswitchinterval(1e-5)
problems = []

def value(key, generation): return b"%s of %09d" % (key, generation)

def generation_of(record):
    "The number of the commit that has written a record, which must be whole."
    key, found = record
    assert found[:7] == key + b" of ", record
    return int(found[7:])

def one(generations):
    "All records of a snapshot are of one commit."
    assert len(set(generations)) == 1, generations

class Stress:
    def __init__(self, path):
        self.env = lmdb.open(path, lib_version=engine, max_dbs=8, map_size=1 << 28, sync=False, max_readers=64,
                             max_spare_txns=2)
        self.db = self.env.open_db(b"records")
        self.write(0)
        self.done = threading.Semaphore(0)
        self.shared = self.env.begin(db=self.db)
        self.cursor = self.shared.cursor()

    def write(self, generation):
        with self.env.begin(db=self.db, write=True) as txn:
            for key in KEYS: txn.put(key, value(key, generation))
            assert generation_of((KEYS[7], txn.replace(KEYS[7], value(KEYS[7], generation)))) == generation
            assert txn.put(b"~", b"") and txn.pop(b"~") == b"" and not txn.delete(b"~")

    # Each of these is one thread's work, again and again.

    def reads_alone(self):
        with self.env.begin(db=self.db) as txn: one([generation_of((key, txn.get(key))) for key in KEYS])

    def iterates_alone(self):
        with self.env.begin(db=self.db) as txn, txn.cursor() as cursor:
            records = list(cursor)
            assert [key for key, _ in records] == KEYS
            one(map(generation_of, records))
            one(map(generation_of, txn.scan(start=b"100")))
            assert cursor.set_key(b"150")
            one([generation_of(cursor.item()), generation_of(records[150])])

    def reads_views(self):
        with self.env.begin(db=self.db, buffers=True) as txn:
            one([generation_of((key, bytes(txn.get(key)))) for key in KEYS[:50]])

    def reads_with_others(self):
        one([generation_of((key, self.shared.get(key))) for key in KEYS[::7]])
        one([generation_of((key, found)) for key, found in zip(KEYS, self.shared.getmany(KEYS))])
        with self.shared.cursor() as cursor: assert [key for key, _ in cursor] == KEYS

    def moves_with_others(self):
        self.cursor.set_key(KEYS[100])
        for step in (self.cursor.next, self.cursor.prev, self.cursor.first, self.cursor.next, self.cursor.last):
            step()
            record = self.cursor.item()
            assert record == (b"", b"") or generation_of(record) == 0, record
        for record in self.cursor.iternext(): generation_of(record)

    def writes(self):
        self.generation = getattr(self, "generation", 0) + 1
        self.write(self.generation)

    def opens_and_drops(self):
        name = b"db %d" % threading.get_ident()
        db = self.env.open_db(name)
        with self.env.begin(write=True) as txn:
            txn.put(b"key", b"value", db=db)
            assert txn.get(b"key", db=db) == b"value"
            txn.put(b"%d" % id(txn), b"", db=db)
        with self.env.begin(write=True) as txn: txn.drop(db)

    def collects(self):
        txn = self.env.begin(); cycle = [txn, txn.cursor(), iter(txn.cursor())]; cycle.append(cycle)
        del txn, cycle
        gc.collect()
        self.env.info(), self.env.readers()

    def again_and_again(self, work):
        try:
            while True:
                work(); self.done.release()
        except lmdb.Error as error:
            if str(error) != GONE: problems.append(f"{work.__name__}: {error!r}")
        except BaseException as error:
            problems.append(f"{work.__name__}: {error!r}")
        self.done.release(1000)

for number in range(rounds):
    stress = Stress(f"{folder}/{number}")
    works = [stress.reads_alone, stress.reads_alone, stress.iterates_alone, stress.reads_views, stress.reads_with_others,
             stress.reads_with_others, stress.moves_with_others, stress.moves_with_others, stress.writes,
             stress.collects] + [stress.opens_and_drops] * (number % 2)
    threads = [threading.Thread(target=stress.again_and_again, args=(work,)) for work in works]
    for thread in threads: thread.start()
    for _ in range(150): stress.done.acquire()
    stress.env.close()
    for thread in threads: thread.join()
    try:
        stress.shared.get(b"001")
    except lmdb.Error as error:
        assert str(error) == GONE
    else:
        problems.append("it was not closed")
print(sorted(set(problems)))
"""


@pytest.mark.parametrize("fast", ["0", "1"], ids=["CFFI", "as it is"])
def test_everything_at_once(python: Python, engine: int, tmp_path: Path, fast: str) -> None:
    """Readers, writers, and what opens, drops and collects, each see whole commits, until the environment is closed."""
    assert python(STRESS, str(engine), tmp_path, "4", LMDB_BINDINGS_FAST=fast) == "[]"
