"""The offline verifier: what LMDB writes is sound, and each damage is named."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import random
import re
import struct
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import liblmdb_wheel
import lmdb_bindings as lmdb
from lmdb_bindings import verify
from lmdb_bindings.verify import _format as f
from lmdb_bindings.verify._report import Report
from lmdb_bindings.verify._usage import Usage
from lmdb_bindings.verify._verifier import Verifier

Open = Callable[..., lmdb.Environment]
Workload = Callable[[lmdb.Environment], None]

NO_PAGE = 2**64 - 1
BIG = b"x" * 9000


def integer(number: int) -> bytes:
    """A key or value of an integer database."""
    return number.to_bytes(8, sys.byteorder)


# -- what LMDB writes ------------------------------------------------------------------------------------------------


def nothing(env: lmdb.Environment) -> None:
    """Only the meta pages."""


def one_record(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")


def many_records(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(5000):
            txn.put(b"%06d" % number, b"v" * (number % 50))


def emptied(env: lmdb.Environment) -> None:
    many_records(env)
    with env.begin(write=True) as txn:
        for number in range(5000):
            txn.delete(b"%06d" % number)


def half_deleted(env: lmdb.Environment) -> None:
    many_records(env)
    for part in range(3):
        with env.begin(write=True) as txn:
            for number in range(part, 5000, 4):
                txn.delete(b"%06d" % number)


def overflow(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(20):
            txn.put(b"%02d" % number, BIG * number)


def shorter_overflow(env: lmdb.Environment) -> None:
    # A value that gets shorter in its own transaction stays on as many pages.
    with env.begin(write=True) as txn:
        txn.put(b"key", BIG * 4)
        txn.put(b"key", BIG)
        txn.put(b"other", BIG)


def empty_databases(env: lmdb.Environment) -> None:
    for name in (b"a", b"b", b"name of forty and more bytes, so that it is cut"):
        env.open_db(name, dupsort=name == b"b")


def many_databases(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(60):
            db = env.open_db(b"database %d" % number, txn, dupsort=bool(number % 2))
            for key in range(number):
                txn.put(b"%d" % (key % 7), b"%d" % key, db=db)


def few_values(env: lmdb.Environment) -> None:
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
        for number in range(600):
            txn.put(b"%02d" % (number % 60), b"value %d" % number)


def many_values(env: lmdb.Environment) -> None:
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
        for number in range(8000):
            txn.put(b"%d" % (number % 4), b"value %06d" % number)


def many_values_deleted(env: lmdb.Environment) -> None:
    # The trees of the keys that go were counted as pages of the database, and stay so.
    many_values(env)
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
        txn.delete(b"1")
        for number in range(2, 8000, 4):
            txn.delete(b"2", b"value %06d" % number)


def fixed_values(env: lmdb.Environment) -> None:
    with env.begin(write=True, db=env.open_db(b"fixed", dupsort=True, dupfixed=True)) as txn:
        for number in range(5000):
            txn.put(b"%d" % (number % 3), b"%06d" % number)
        for number in range(100):
            txn.put(b"one byte each", bytes([number]))


def integer_values(env: lmdb.Environment) -> None:
    with env.begin(write=True, db=env.open_db(b"integers", dupsort=True, dupfixed=True, integerdup=True)) as txn:
        for number in range(4000):
            txn.put(b"%d" % (number % 3), integer(number * 7919 % 5000))


def integer_keys(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        long, short = (env.open_db(name, txn, integerkey=True) for name in (b"long", b"short"))
        for number in range(3000):
            txn.put(integer(number * 7919 % 5000), b"value", db=long)
            txn.put((number * 7919 % 5000).to_bytes(4, sys.byteorder), b"value", db=short)


def reverse_keys(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        dbs = [env.open_db(b"reverse", txn, reverse_key=True), env.open_db(b"both", txn, True, integerkey=True)]
        for number in range(3000):
            for db in dbs:
                txn.put(integer(number), b"value", db=db)


def dropped(env: lmdb.Environment) -> None:
    few_values(env)
    many_values(env)
    many_records(env)
    fixed = env.open_db(b"fixed", dupsort=True)
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value", db=fixed)
        txn.drop(env.open_db(b"dup", txn, dupsort=True))
        txn.drop(fixed, delete=False)


def long_free_list(env: lmdb.Environment) -> None:
    # The list of one transaction's pages is longer than a page.
    with env.begin(write=True) as txn:
        for number in range(500):
            txn.put(b"%06d" % number, BIG)
    with env.begin(write=True) as txn:
        for number in range(500):
            txn.delete(b"%06d" % number)


def freed_beyond_the_end(env: lmdb.Environment) -> None:
    # Pages that were taken and given back in one transaction were never written.
    with env.begin(write=True) as txn:
        txn.put(b"key", b"x" * 1_000_000)
        txn.delete(b"key")
        txn.put(b"key", b"value")


WORKLOADS = [
    nothing, one_record, many_records, emptied, half_deleted, overflow, shorter_overflow, empty_databases,
    many_databases, few_values, many_values, many_values_deleted, fixed_values, integer_values, integer_keys,
    reverse_keys, dropped, long_free_list, freed_beyond_the_end,
]  # fmt: skip


@pytest.fixture
def written(opened: Open) -> Callable[..., str]:
    """Write an environment, close it, and give its path."""

    def written(workload: Workload, **options: Any) -> str:
        with opened(**{"map_size": 1 << 26, "max_dbs": 64, **options}) as env:
            workload(env)
            return env.path()

    return written


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda work: work.__name__)
def test_sound(written: Callable[..., str], workload: Workload) -> None:
    """What LMDB writes has no problem."""
    assert verify.verify(written(workload)) == []


@pytest.mark.parametrize("workload", [overflow, few_values, many_values, fixed_values, integer_keys])
def test_sound_writemap(written: Callable[..., str], workload: Workload) -> None:
    """What LMDB writes through the map has no problem: the marks of changed pages are gone."""
    assert verify.verify(written(workload, writemap=True)) == []


@pytest.mark.parametrize("compact", [False, True], ids=["", "compact"])
@pytest.mark.parametrize("workload", [one_record, dropped, long_free_list, freed_beyond_the_end])
def test_sound_copy(env: lmdb.Environment, tmp_path: Path, workload: Workload, compact: bool) -> None:
    """What LMDB copies has no problem."""
    env.set_mapsize(1 << 26)
    workload(env)
    env.copy(tmp_path, compact=compact)
    assert verify.verify(tmp_path) == []


@pytest.mark.parametrize("seed", range(4))
def test_sound_after_anything(opened: Open, seed: int) -> None:
    """No sequence of operations leaves a problem."""
    chance = random.Random(seed)
    env = opened(map_size=1 << 27)
    kinds = [{}, dict(dupsort=True), dict(dupsort=True, dupfixed=True), dict(dupsort=True, dupfixed=True, integerdup=True),
             dict(integerkey=True), dict(reverse_key=True)]  # fmt: skip
    for _ in range(30):
        with env.begin(write=True) as txn:
            dbs = [env.open_db(b"%d" % number, txn, **kind) for number, kind in enumerate(kinds)]
            for _ in range(chance.randrange(400)):
                db = chance.choice(dbs)
                key = integer(chance.randrange(chance.choice([3, 300])))
                action = chance.random()
                if action < 0.6:
                    short = db.flags()["dupsort"]
                    txn.put(
                        key,
                        integer(chance.randrange(2000)) if short else b"v" * chance.choice([1, 90, 3000, 30000]),
                        db=db,
                    )
                elif action < 0.9:
                    txn.delete(key, db=db)
                elif action < 0.99:
                    with env.begin(parent=txn, write=True) as child:
                        child.put(key, integer(1), db=db)
                        if chance.random() < 0.5:
                            child.abort()
                else:
                    txn.drop(db, delete=False)
            if chance.random() < 0.2:
                txn.abort()
        assert verify.verify(env.path()) == []


def test_sound_with_garbage_behind(written: Callable[..., str]) -> None:
    """What a crashed transaction left beyond the last page is no part of the snapshot."""
    path = written(one_record)
    with open(os.path.join(path, "data.mdb"), "ab") as file:
        file.write(b"\xa5" * 20_000)
    assert verify.verify(path) == []


# -- damages ---------------------------------------------------------------------------------------------------------

PAD, FLAGS, LOWER, UPPER = -8, -6, -4, -2  # of a page's header, from its end; mp_pages is at LOWER
ROOT = 40  # of a database's record: md_root


class Image:
    """The bytes of a data file, and where things are in it."""

    def __init__(self, path: str) -> None:
        self.path = os.path.join(path, "data.mdb")
        self.raw = bytearray(Path(self.path).read_bytes())
        [self.row] = [row for row in f.FORMATS if f.STAMP.unpack_from(self.raw, row.header.size)[0] == f.MAGIC]
        self.header = self.row.header.size
        self.psize = self.get("I", self.header + 24)
        self.last_meta = self.psize + self.header
        self.older, self.meta = sorted([self.header, self.last_meta], key=lambda at: (self.get("Q", at + 128), -at))
        self.free, self.main = self.meta + 24, self.meta + 72

    def get(self, kind: str, at: int) -> int:
        """A number: H, I or Q."""
        return int(struct.unpack_from(f"={kind}", self.raw, at)[0])

    def put(self, kind: str, at: int, number: int) -> None:
        """Change a number."""
        struct.pack_into(f"={kind}", self.raw, at, number)

    def root(self, record: int) -> int:
        """The root page of the tree that has its record there."""
        return self.get("Q", record + ROOT)

    def head(self, pgno: int) -> int:
        """Where the header of a page ends."""
        return pgno * self.psize + self.header

    def node(self, pgno: int, index: int) -> int:
        """Where a node is: its size, its flags at 4, the size of its key at 6, its key at 8."""
        return pgno * self.psize + self.row.base + self.get("H", self.head(pgno) + 2 * index)

    def child(self, record: int, index: int) -> int:
        """The page that the root page of a tree leads to."""
        return self.get("I", self.node(self.root(record), index))

    def leaf(self, record: int) -> int:
        """The first leaf of a tree."""
        pgno = self.root(record)
        while self.get("H", self.head(pgno) + FLAGS) & f.BRANCH:
            pgno = self.get("I", self.node(pgno, 0))
        return pgno

    def first(self, record: int, index: int = 0) -> int:
        """The first node of a tree's first leaf."""
        return self.node(self.leaf(record), index)

    def value(self, record: int, index: int = 0) -> int:
        """Where the data of that node is."""
        node = self.first(record, index)
        size = self.get("H", node + 6)
        return node + 8 + size + -size % self.row.key_unit

    @property
    def named(self) -> int:
        """The record of the first named database."""
        return self.value(self.main)

    @property
    def values(self) -> int:
        """The sub-page, or the record of the values' tree, of the first key in that database."""
        return self.value(self.named)

    @property
    def run(self) -> int:
        """The first overflow page of the second value."""
        return self.get("Q", self.value(self.main, 1))

    def verify(self, **options: Any) -> list[str]:
        """Write the file, and verify it."""
        Path(self.path).write_bytes(self.raw)
        return verify.verify(self.path, **options)


@pytest.fixture
def image(written: Callable[..., str]) -> Callable[[Workload], Image]:
    """Make the image of a sound file."""

    def image(workload: Workload) -> Image:
        path = written(workload)
        assert verify.verify(path) == []
        return Image(path)

    return image


def plus(number: int) -> Callable[[Image, int], int]:
    """Change a number by so much."""
    return lambda image, old: old + number


MAIN = "^main DB: "
PAGE = r"^main DB: page \d+: "
NODE = r"^main DB: page \d+ node \d+: "
NAMED = r"^database b'\w+': "
VALUES = r"^database b'\w+' key b'0': "
FREE = r"^free DB: page \d+ node 0: "

# what was written, the number's type, where it is, what it becomes, the problem that is found
DAMAGES: dict[str, tuple[Workload, str, Callable[[Image], int], int | Callable[[Image, int], int], str]] = {
    # meta pages
    "meta type": (one_record, "H", lambda i: i.meta + FLAGS, 2, r"^meta page \d: page flags 0x2 "),
    "meta number": (one_record, "Q", lambda i: i.meta - i.header, 7, r"^meta page \d: it takes itself for page 7$"),
    "magic": (one_record, "I", lambda i: i.last_meta, 1, "^meta page 1: bad magic 0x1 "),
    "version": (one_record, "I", lambda i: i.last_meta + 4, 9, "^meta page 1: .* data format 9$"),
    "page size": (one_record, "I", lambda i: i.last_meta + 24, 512, "^meta page 1: mm_psize is 512, and "),
    "parity": (one_record, "Q", lambda i: i.meta + 128, plus(1), "transaction [0-9]+ belongs in the other one$"),
    "free flags": (one_record, "H", lambda i: i.free + 4, 4, "free DB: invalid flag combination 0x4$"),
    "older root": (half_deleted, "Q", lambda i: i.older + 112, 1, "^the older meta page: main DB: root page 1 out of"),
    "last page": (one_record, "Q", lambda i: i.meta + 120, 2**40, r"^\d+ pages beyond EOF are not in the freeDB: "),
    # records
    "main root": (one_record, "Q", lambda i: i.main + ROOT, 1, MAIN + "root page 1 out of range: "),
    "main flags": (one_record, "H", lambda i: i.main + 4, 16, MAIN + "invalid flag combination 0x10$"),
    "unknown flags": (one_record, "H", lambda i: i.main + 4, 256, MAIN + "invalid flag combination 0x100$"),
    "md_pad": (one_record, "I", lambda i: i.main, 65535, MAIN + "md_pad is 65535, "),
    "no depth": (one_record, "H", lambda i: i.main + 6, 0, MAIN + "md_depth is 0: "),
    "more depth": (one_record, "H", lambda i: i.main + 6, 33, MAIN + "md_depth is 33: "),
    "wrong depth": (many_records, "H", lambda i: i.main + 6, 3, PAGE + "page flags 0x2 at level 2 of 3$"),
    "depth of nothing": (nothing, "H", lambda i: i.main + 6, 1, MAIN + "md_depth is 1, without a root page$"),
    "entries": (many_records, "Q", lambda i: i.main + 32, 1, MAIN + "5000 entries, record says 1$"),
    "branch pages": (many_records, "Q", lambda i: i.main + 8, 9, MAIN + r"\d branch pages, record says 9$"),
    "leaf pages": (many_records, "Q", lambda i: i.main + 16, 9, MAIN + r"\d+ leaf pages, record says 9$"),
    "overflow pages": (overflow, "Q", lambda i: i.main + 24, 9, MAIN + r"\d+ overflow pages, record says 9$"),
    "named entries": (few_values, "Q", lambda i: i.named + 32, 9, NAMED + "600 entries, record says 9$"),
    "size of a record": (many_values, "I", lambda i: i.first(i.named), 46, "a database record of 46 bytes$"),
    "lost tree": (many_records, "Q", lambda i: i.main + ROOT, NO_PAGE, MAIN + "0 entries, record says 5000"),
    # pages
    "number": (many_records, "Q", lambda i: i.leaf(i.main) * i.psize, 9, r"^main DB: page \d+ takes itself for page 9$"),
    "type": (many_records, "H", lambda i: i.head(i.leaf(i.main)) + FLAGS, 6, PAGE + "mixed or invalid page flags 0x6$"),
    "dirty": (many_records, "H", lambda i: i.head(i.leaf(i.main)) + FLAGS, 18, PAGE + "mixed or invalid page flags 0x12$"),
    "mp_lower": (many_records, "H", lambda i: i.head(i.leaf(i.main)) + LOWER, plus(1), PAGE + "bad mp_lower/mp_upper "),
    "mp_upper": (many_records, "H", lambda i: i.head(i.leaf(i.main)) + UPPER, 65534, PAGE + "bad mp_lower/mp_upper "),
    "no keys": (one_record, "H", lambda i: i.head(i.leaf(i.main)) + LOWER, plus(-2), PAGE + "a leaf without keys$"),
    "used twice": (many_records, "I", lambda i: i.node(i.root(i.main), 1), lambda i, _: i.child(i.main, 0),
                   r"^main DB: page \d+ is used twice$"),
    "loop": (many_records, "I", lambda i: i.node(i.root(i.main), 1), lambda i, _: i.root(i.main),
             r"^main DB: page \d+ is used twice$"),
    "no child": (many_records, "I", lambda i: i.node(i.root(i.main), 1), 10**6, "^main DB: page 1000000 out of range: "),
    # nodes
    "offset": (many_records, "H", lambda i: i.head(i.leaf(i.main)), 2, PAGE + "node 0: offset 2 out of bounds$"),
    "odd offset": (many_records, "H", lambda i: i.head(i.leaf(i.main)), plus(1), PAGE + r"node 0: offset \d+ out of bounds$"),
    "overlap": (many_records, "H", lambda i: i.head(i.leaf(i.main)), lambda i, _: i.get("H", i.head(i.leaf(i.main)) + 2), PAGE + r"two nodes overlap at offset \d+$"),
    "size": (one_record, "I", lambda i: i.first(i.main), 100, PAGE + r"node 0: it ends \d+ bytes past the page$"),
    "node flags": (one_record, "H", lambda i: i.first(i.main) + 4, 128, NODE + "invalid node flags 0x80$"),
    "not dupsort": (one_record, "H", lambda i: i.first(i.main) + 4, 4, NODE + "invalid node flags 0x4$"),
    "empty key": (one_record, "H", lambda i: i.first(i.main) + 6, 0, PAGE + "a key of no bytes$"),
    # the order of keys
    "order": (many_records, "I", lambda i: i.first(i.main, 3) + 8, 0, PAGE + "keys out of order$"),
    "branches": (many_records, "I", lambda i: i.node(i.root(i.main), 2) + 8, 0, PAGE + "keys out of order$"),
    "bound": (many_records, "I", lambda i: i.node(i.child(i.main, 1), 0) + 8, 0, PAGE + "keys out of order with the branch above$"),
    "reverse order": (reverse_keys, "H", lambda i: i.named + 4, 0, NAMED + r"page \d+: keys out of order$"),
    "integer order": (integer_keys, "H", lambda i: i.named + 4, 0, NAMED + r"page \d+: keys out of order$"),
    "integer sizes": (fixed_values, "H", lambda i: i.named + 4, 0x1C, NAMED + r"page \d+: keys of different sizes in integer order$"),
    # duplicates
    "order of values": (few_values, "H", lambda i: i.named + 4, 0x44, NAMED + r"page \d+ node \d+: dup data out of order$"),
    "sub-page type": (few_values, "H", lambda i: i.values + i.header + FLAGS, 2, NAMED + ".*mixed or invalid sub-page flags 0x2$"),
    "sub-page bounds": (few_values, "H", lambda i: i.values + i.header + UPPER, 9999, NAMED + ".*bad mp_lower/mp_upper "),
    "empty sub-page": (few_values, "H", lambda i: i.values + i.header + LOWER, plus(-20), NAMED + ".*a sub-page without keys$"),
    "sub-page's nodes": (few_values, "H", lambda i: i.values + i.row.base + i.get("H", i.values + i.header) + 4, 2, NAMED + ".*a sub-page with a node that is more than a key$"),
    "small sub-page": (few_values, "I", lambda i: i.first(i.named), 8, NAMED + ".*a sub-page of 8 bytes$"),
    "values' size": (fixed_values, "I", lambda i: i.values, 0, VALUES + "md_pad is 0, with flags 0x10$"),
    "no size": (fixed_values, "H", lambda i: i.head(i.leaf(i.values)) + PAD, 0, VALUES + r"page \d+: \d+ keys of mp_pad 0 bytes do not fit$"),
    "other size": (fixed_values, "H", lambda i: i.head(i.leaf(i.values)) + PAD, 5, VALUES + r"page \d+: mp_pad is 5, md_pad 6$"),
    "tree's flags": (many_values, "H", lambda i: i.values + 4, 4, NAMED + ".*invalid flag combination 0x4 of the values' tree$"),
    "tree's root": (many_values, "Q", lambda i: i.values + ROOT, 0, VALUES + "root page 0 out of range: "),
    "tree's entries": (many_values, "Q", lambda i: i.values + 32, 9, VALUES + "2000 entries, record says 9$"),
    "tree's nodes": (many_values, "H", lambda i: i.first(i.values) + 4, 2, VALUES + r"page \d+ node 0: node flags 0x2 and 0 bytes where a key is all$"),
    # overflow pages
    "run's type": (overflow, "H", lambda i: i.head(i.run) + FLAGS, 6, NODE + r"page \d+ is not a pure overflow page: flags 0x6$"),
    "run on a tree": (overflow, "Q", lambda i: i.value(i.main, 1), lambda i, _: i.root(i.main), NODE + r"page \d+ is not a pure overflow page: "),
    "no run": (overflow, "Q", lambda i: i.value(i.main, 1), 1, NODE + "page 1 out of range: "),
    "run too long": (overflow, "I", lambda i: i.head(i.run) + LOWER, 1 << 30, NODE + ".*header mp_pages 1073741824"),
    "run too short": (overflow, "I", lambda i: i.head(i.run) + LOWER, 1, NODE + ".*header mp_pages 1"),
    "run over another": (overflow, "I", lambda i: i.head(i.run) + LOWER, plus(1), NODE + ".*header mp_pages 4"),
    "run's number": (overflow, "Q", lambda i: i.run * i.psize, 9999, NODE + r"page \d+ takes itself for page 9999$"),
    # the free list
    "no such page": (half_deleted, "Q", lambda i: i.value(i.free) + 8, 10**7, FREE + "the list .* out-of-range page 10000000$"),
    "meta page": (half_deleted, "Q", lambda i: i.value(i.free) + 8, 1, FREE + "the list .* out-of-range page 1$"),
    "list's order": (half_deleted, "Q", lambda i: i.value(i.free) + 16, lambda i, _: i.get("Q", i.value(i.free) + 8), FREE + r"the list of transaction \d+ is not strictly descending$"),
    "list's length": (half_deleted, "Q", lambda i: i.value(i.free), plus(1), FREE + r"a list of \d+ pages does not match value size \d+$"),
    "list's size": (half_deleted, "I", lambda i: i.first(i.free), plus(-4), FREE + r"a list of \d+ bytes does not match value size: "),
    "list's key": (half_deleted, "Q", lambda i: i.first(i.free) + 8, 0, FREE + "pages freed by transaction 0, and the last "),
    "list's flags": (half_deleted, "H", lambda i: i.first(i.free) + 4, 4, FREE + "invalid node flags 0x4$"),
    "list's key size": (half_deleted, "H", lambda i: i.first(i.free) + 6, 6, FREE + "a key of 6 bytes, where a transaction has 8$"),
    "free and used": (long_free_list, "Q", lambda i: i.head(i.get("Q", i.value(i.free))) + 8, lambda i, _: i.leaf(i.free), "is both reachable and in the freeDB$"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage(image: Callable[[Workload], Image], damage: str) -> None:
    """Each damage is found, and named."""
    workload, kind, where, change, problem = DAMAGES[damage]
    damaged = image(workload)
    at = where(damaged)
    damaged.put(kind, at, change if isinstance(change, int) else change(damaged, damaged.get(kind, at)))
    found = damaged.verify()
    assert [line for line in found if re.search(problem, line)], found


def test_integers_without_order(image: Callable[[Workload], Image]) -> None:
    """LMDB compares four bytes of an integer value at least: shorter ones may come in any order."""

    def short_values(env: lmdb.Environment) -> None:
        with env.begin(write=True, db=env.open_db(b"short", dupsort=True, dupfixed=True)) as txn:
            for number in range(5000):
                txn.put(b"key", number.to_bytes(2, "big"))

    changed = image(short_values)
    changed.put("H", changed.named + 4, 0x34)  # with INTEGERDUP
    assert changed.verify() == []


def test_run_used_twice(image: Callable[[Workload], Image]) -> None:
    """Two values on the same overflow pages."""
    damaged = image(overflow)
    one, other = damaged.value(damaged.main, 1), damaged.value(damaged.main, 2)
    size = damaged.row.overflow.size
    damaged.raw[one : one + size] = damaged.raw[other : other + size]
    assert any(re.search(r"node 2: page \d+ is used twice$", line) for line in damaged.verify())


def test_freed_twice(image: Callable[[Workload], Image]) -> None:
    """A page in the lists of two transactions."""
    damaged = image(half_deleted)
    lists = []
    for index in (0, 1):
        at = damaged.value(damaged.free, index)
        count = damaged.get("Q", at)
        lists.append((at + 8 * count, struct.unpack_from(f"={count}Q", damaged.raw, at + 8)))
    for (last, ids), (_, others) in (lists, lists[::-1]):
        for pgno in [pgno for pgno in others if pgno < ids[-2]][:1]:  # in the place of the last, it keeps the order
            damaged.put("Q", last, pgno)
    assert any(re.search(r"page \d+ is in the freeDB twice$", line) for line in damaged.verify())


def test_freed_twice_beyond_the_end() -> None:
    """A page that the file does not have, in the lists of two transactions."""
    report, usage = Report(), Usage(last_page=5, in_file=3)
    usage.claim(2)
    usage.release(array("Q", [5, 4, 3]), report, "one")
    usage.release(array("Q", [4]), report, "other")
    usage.settle(report, complete=True)
    assert report.problems == ["page 4, beyond EOF, is in the freeDB twice"]


@pytest.mark.parametrize("workload", [many_records, many_values, overflow])
def test_short_file(image: Callable[[Workload], Image], workload: Workload) -> None:
    """A file that lost its end is missing a page, or a part of one."""
    damaged = image(workload)
    del damaged.raw[-damaged.psize // 2 - len(damaged.raw) // 3 :]
    assert any("beyond EOF" in line for line in damaged.verify())


@pytest.mark.parametrize("kept", [0, 3])
def test_lost_pages(image: Callable[[Workload], Image], kept: int) -> None:
    """Pages that nothing leads to; the list that is left may be empty."""
    damaged = image(half_deleted)
    freed = damaged.get("Q", damaged.value(damaged.free))
    damaged.put("Q", damaged.value(damaged.free), kept)
    damaged.put("I", damaged.first(damaged.free), 8 * (kept + 1))
    [found] = damaged.verify()
    assert re.match(rf"{freed - kept} pages are neither reachable nor in the freeDB; the first is page \d+$", found)


@pytest.mark.parametrize("engine", [1], indirect=True)
@pytest.mark.parametrize(
    ("where", "problem"),
    [
        (
            lambda i: i.head(i.leaf(i.main)) - 16,
            r"^main DB: page \d+: mp_txnid is \d+, and the last committed transaction 1$",
        ),
        (lambda i: i.head(i.run) - 16, r"node 1: mp_txnid is \d+, "),
        (lambda i: i.value(i.main, 1) + 8, r"node 1: op_txnid is \d+, "),
        (lambda i: i.value(i.main, 1) + 16, r"node 1: overflow op_pages \d+, header mp_pages 3 of page \d+$"),
    ],
)
def test_damage_of_format_3(image: Callable[[Workload], Image], where: Callable[[Image], int], problem: str) -> None:
    """What only LMDB 1.0 writes: who made a page, and the length of a run in its node too."""
    damaged = image(overflow)
    damaged.put("Q", where(damaged), 2**62)
    found = damaged.verify()
    assert [line for line in found if re.search(problem, line)], found


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_limit(image: Callable[[Workload], Image]) -> None:
    """It stops after so many problems, and says so."""
    damaged = image(many_records)
    for pgno in range(2, len(damaged.raw) // damaged.psize):
        damaged.put("Q", pgno * damaged.psize, 0)
    assert len(damaged.verify()) > 4
    found = damaged.verify(limit=3)
    assert len(found) == 4
    assert found[3] == "... (further problems are not reported)"


def test_limit_of_none(written: Callable[..., str]) -> None:
    """At least one problem must fit."""
    with pytest.raises(ValueError, match=r"^limit is 0: it must be 1 or more$"):
        verify.verify(written(nothing), limit=0)


def test_max_pages(written: Callable[..., str]) -> None:
    """Each page of the trees and the two meta pages count; a budget that is too small is a problem."""
    path = written(one_record)
    assert verify.verify(path, max_pages=3) == []
    assert verify.verify(path, max_pages=2) == ["not verified to the end: the budget of 2 pages is used up"]


def test_seconds(written: Callable[..., str]) -> None:
    """A time that is over is a problem."""
    path = written(many_records)
    assert verify.verify(path, seconds=3600) == []
    assert verify.verify(path, seconds=0) == ["not verified to the end: the budget of 0 seconds is used up"]


def test_no_memory(image: Callable[[Workload], Image]) -> None:
    """A file whose pages cannot be counted is refused, not tried."""
    damaged = image(one_record)
    damaged.put("Q", damaged.meta + 120, 2**60)
    with pytest.raises(verify.VerifyError, match=r"^no memory for the state of \d+ pages$"):
        Verifier(io.BytesIO(damaged.raw), 2**80).verify()


def test_deep_chain(image: Callable[[Workload], Image]) -> None:
    """A chain of branches ends where the record says that the leaves are."""
    damaged = image(many_records)
    pages = range(2, len(damaged.raw) // damaged.psize)
    for pgno in pages:
        page = damaged.raw[damaged.root(damaged.main) * damaged.psize :][: damaged.psize]
        damaged.raw[pgno * damaged.psize : (pgno + 1) * damaged.psize] = page
        damaged.put("I", damaged.node(pgno, 0), pgno + 1)
        damaged.put("Q", pgno * damaged.psize, pgno)
    damaged.put("Q", damaged.main + ROOT, 2)
    damaged.put("H", damaged.main + 6, 32)
    found = damaged.verify(limit=10_000)
    assert any(re.search(r"page \d+: page flags 0x1 at level 32 of 32$", line) for line in found)


class Shrinking(io.BytesIO):
    """A file that has become shorter when it is read for the so-manieth time."""

    reads = -1

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads -= 1
        return super().read(size) if self.reads else b""


@pytest.mark.parametrize("workload", [one_record, overflow, long_free_list])
def test_shrinking(image: Callable[[Workload], Image], workload: Workload) -> None:
    """A file that becomes shorter meanwhile is a damaged one, or none."""
    data = bytes(image(workload).raw)
    file = Shrinking(data)
    assert Verifier(file, len(data)).verify() == []
    for reads in range(1, -file.reads):
        file = Shrinking(data)
        file.reads = reads
        try:
            assert any("beyond EOF" in line for line in Verifier(file, len(data)).verify())
        except verify.VerifyError as refused:
            assert re.match("not an LMDB file|the file ends before|the file has become shorter", str(refused))  # noqa: PT017


@pytest.mark.parametrize("seed", range(5))
def test_any_damage(image: Callable[[Workload], Image], seed: int) -> None:
    """Whatever is changed, there is an answer: problems or none, or VerifyError."""

    def everything(env: lmdb.Environment) -> None:
        for workload in (few_values, half_deleted, overflow, integer_keys, fixed_values, many_databases):
            workload(env)

    chance = random.Random(seed)
    damaged = image(everything)
    sound = bytes(damaged.raw)
    pages = len(sound) // damaged.psize
    found = 0
    for _ in range(40):
        damaged.raw[:] = sound
        for _ in range(chance.choice([1, 2, 20])):
            place = chance.choice([0, 1, chance.randrange(pages)]) * damaged.psize
            at = place + chance.choice(
                [chance.randrange(64), chance.randrange(200), chance.randrange(damaged.psize - 8)]
            )
            kind = chance.choice("HIQ")
            old = damaged.get(kind, at)
            new = chance.choice(
                [0, 1, old ^ 1 << chance.randrange(16), NO_PAGE, 2**63, chance.randrange(pages), old + 1]
            )
            damaged.put(kind, at, new % 2 ** (8 * struct.calcsize(f"={kind}")))
        if chance.random() < 0.1:
            del damaged.raw[chance.randrange(len(sound)) :]
        try:
            problems = damaged.verify(limit=1000)
        except verify.VerifyError:
            found += 1
        else:
            assert all(isinstance(problem, str) for problem in problems)
            found += bool(problems)
    assert found > 10


@pytest.mark.parametrize("seed", range(20))
def test_no_lmdb_file(tmp_path: Path, seed: int) -> None:
    """Any bytes whatever are refused, or have problems."""
    chance = random.Random(seed)
    path = tmp_path / "data.mdb"
    data = bytearray(chance.randbytes(chance.randrange(1, 20_000)))
    if seed % 2:
        row = f.FORMATS[seed % 4 // 2]
        data += bytes(20_000)
        f.STAMP.pack_into(data, row.header.size, f.MAGIC, row.version)
        struct.pack_into("=I", data, row.header.size + 24, 4096)
    path.write_bytes(data)
    with contextlib.suppress(verify.VerifyError):
        assert verify.verify(path)


# -- what cannot be verified -----------------------------------------------------------------------------------------


def head(row: f.Format, **changes: int) -> bytes:
    """The first page of a file, with its meta page made to say something else."""
    values = {"header": row.header.size, "magic": f.MAGIC, "version": row.version, "psize": 4096, **changes}
    page = bytearray(4096)
    struct.pack_into("=II", page, values["header"], values["magic"], values["version"])
    struct.pack_into("=I", page, values["header"] + 24, values["psize"])
    return bytes(page)


SWAPPED = int.from_bytes(f.MAGIC.to_bytes(4, "big"), "little")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"not an LMDB file: no magic number "),
        (b"not an LMDB file at all", r"not an LMDB file: no magic number "),
        (head(f.FORMATS[0], version=2), r"data format 2, which no released LMDB writes$"),
        (head(f.FORMATS[1], version=999), r"data format 999, which no released LMDB writes$"),
        (head(f.FORMATS[0], version=0), r"data format 0: a damaged file$"),
        (head(f.FORMATS[0], header=12), r"data format 1 with a page header of 12 bytes: not written by a 64-bit LMDB$"),
        (head(f.FORMATS[0], magic=SWAPPED), r"written on a host of the other byte order$"),
        (head(f.FORMATS[0])[:40], r"the file ends before or in meta page 0$"),
        (head(f.FORMATS[0]), r"the file ends before or in meta page 1$"),
        (head(f.FORMATS[0], psize=4095), r"meta page 0: mm_psize is 4095: not a power of two from 256 to 32768$"),
        (head(f.FORMATS[0], psize=0x10000), r"meta page 0: mm_psize is 65536: "),
        (head(f.FORMATS[1], psize=0x20000), r"meta page 0: mm_psize is 131072: not a power of two from 256 to 65536$"),
        (head(f.FORMATS[0], psize=0), r"meta page 0: mm_psize is 0: "),
    ],
)
def test_unknown(tmp_path: Path, data: bytes, reason: str) -> None:
    """VerifyError says why a file cannot be verified at all."""
    (tmp_path / "data.mdb").write_bytes(data)
    with pytest.raises(verify.VerifyError, match=f"^{reason}"):
        verify.verify(tmp_path)


def test_last_page_of_none(image: Callable[[Workload], Image]) -> None:
    """A snapshot without even its meta pages."""
    damaged = image(one_record)
    damaged.put("Q", damaged.meta + 120, 0)
    with pytest.raises(verify.VerifyError, match=r"^meta page 1: mm_last_pg is 0$"):
        damaged.verify()


def test_missing(tmp_path: Path) -> None:
    """A file that is not there, a directory in its place, and a pipe, which would wait for a writer."""
    with pytest.raises(FileNotFoundError):
        verify.verify(tmp_path)
    (tmp_path / "data.mdb").mkdir()
    with pytest.raises(IsADirectoryError):
        verify.verify(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(verify.VerifyError, match=r"pipe is not a file$"):
        verify.verify(tmp_path / "pipe")


@pytest.mark.parametrize("path", [str, os.fsencode, Path])
def test_data_path(tmp_path: Path, path: Callable[[Any], Any]) -> None:
    """A directory has its data file in it; the caller may know better."""
    data = str(tmp_path / "data.mdb")
    assert verify.resolve_data_path(path(tmp_path)) == data
    assert verify.resolve_data_path(path(tmp_path), subdir=False) == str(tmp_path)
    assert verify.resolve_data_path(path(data)) == data
    assert verify.resolve_data_path(path(tmp_path / "new"), subdir=True) == str(tmp_path / "new" / "data.mdb")


@pytest.mark.parametrize("name", ["env.mdb", "with subdir"])
def test_single_file(opened: Open, name: str) -> None:
    """An environment without a directory is the file itself."""
    with opened(name, subdir=False) as env:
        one_record(env)
        path = env.path()
    assert verify.verify(path) == verify.verify(path, subdir=False) == []


# -- LMDB 1.0 with encryption and checksums --------------------------------------------------------------------------

Value = type("Value", (ctypes.Structure,), {"_fields_": [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]})
Sum = ctypes.CFUNCTYPE(None, *[ctypes.POINTER(Value)] * 3)
Encrypt = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.POINTER(Value)] * 3, ctypes.c_int)


def by_c(path: Path, prepare: Callable[[ctypes.CDLL, ctypes.c_void_p], int]) -> None:
    """Write 2000 records and a value on overflow pages, with LMDB 1.0, in an environment that was prepared."""
    lib = ctypes.CDLL(str(liblmdb_wheel.load("1.0").path))
    env, txn, dbi = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
    key, value = Value(), Value()
    assert lib.mdb_env_create(ctypes.byref(env)) == 0
    assert prepare(lib, env) == 0
    assert lib.mdb_env_open(env, os.fsencode(path), 0, 0o644) == 0
    assert lib.mdb_txn_begin(env, None, 0, ctypes.byref(txn)) == 0
    assert lib.mdb_dbi_open(txn, None, 0, ctypes.byref(dbi)) == 0
    for number in range(2000):
        data = ctypes.create_string_buffer(b"%06d" % number + (BIG[:4070] if number == 7 else b""))
        key.size, key.data = 6, ctypes.addressof(data)
        value.size, value.data = len(data) - 1, ctypes.addressof(data)
        assert lib.mdb_put(txn, dbi, ctypes.byref(key), ctypes.byref(value), 0) == 0
    assert lib.mdb_txn_commit(txn) == 0
    lib.mdb_env_close(env)


def test_checksums(tmp_path: Path) -> None:
    """Pages that end with a checksum are verified but for that, which is said."""

    def count(source: Any, target: Any, _key: Any) -> None:
        ctypes.memset(target[0].data, source[0].size % 251, 8)

    function = Sum(count)
    by_c(tmp_path, lambda lib, env: lib.mdb_env_set_checksum(env, function, 8))
    assert verify.verify(tmp_path) == [
        "each page has a checksum of 8 bytes, which is not verified: only the function that made it can do that"
    ]


def test_encryption(tmp_path: Path) -> None:
    """An encrypted environment cannot be verified."""

    def flip(source: Any, target: Any, _key: Any, _encrypting: int) -> int:
        data = ctypes.string_at(source[0].data, source[0].size)
        ctypes.memmove(target[0].data, bytes(byte ^ 1 for byte in data), len(data))
        return 0

    data = ctypes.create_string_buffer(8)
    key = Value(8, ctypes.addressof(data))
    function = Encrypt(flip)
    by_c(tmp_path, lambda lib, env: lib.mdb_env_set_encrypt(env, function, ctypes.byref(key), 0))
    with pytest.raises(verify.VerifyError, match=r"^the environment is encrypted: "):
        verify.verify(tmp_path)


def test_checksums_that_leave_no_page(image: Callable[[Workload], Image], engine: int) -> None:
    """The size of a checksum is looked for in data format 3 only, and has a bound."""
    damaged = image(one_record)
    damaged.put("H", damaged.psize - 2, 60_000)
    if engine:
        with pytest.raises(verify.VerifyError, match=r"^checksums of 60000 bytes, on pages of \d+$"):
            damaged.verify()
    else:
        assert damaged.verify() == []
