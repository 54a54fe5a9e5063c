"""Nothing leaks: after many calls of every kind, each object has the references that it had, and LMDB its reader slots.

A row is a call, once the short way or once by Python, that leaves things as they were; all rows together are called a
million times. Whoever makes another method a built-in one adds rows: what it does as usual, what it leaves to Python,
and how it fails.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb

CALLS = 1_000_000

pytestmark = pytest.mark.counts_references


class Place:
    """What the calls are made with: an environment, and open and ended things in it."""

    def __init__(self, env: lmdb.Environment, strange: lmdb.Environment) -> None:
        self.env = env
        # Made at run time: constants have no count on builds without the global lock.
        self.key, self.value, self.none = (
            bytes(bytearray(text)) for text in (b"the key", b"value" * 10, b"no such key")
        )
        self.default = object()
        self.db, self.dups = env.open_db(), env.open_db(b"dups", dupsort=True)
        self.foreign = strange.open_db()
        with env.begin(write=True) as txn:
            for number in range(10):
                txn.put(b"%d" % number, b"value")
                txn.put(self.key, b"%d" % number, db=self.dups)
            txn.put(self.key, self.value)
        self.ended = env.begin()
        self.closed = self.ended.cursor()
        self.ended.abort()
        self.txn = env.begin(write=True)
        self.reader = env.begin()
        self.views = env.begin(buffers=True)
        self.cursor = self.txn.cursor()
        self.reading = self.reader.cursor()
        self.values = self.reader.cursor(self.dups)
        for cursor in (self.reading, self.values):
            assert cursor.set_key(self.key)

    def objects(self) -> list[object]:
        """What must have as many references afterwards as before."""
        made = [thing for thing in vars(self).values() if not isinstance(thing, int)]
        types = [lmdb.Environment, lmdb.Transaction, lmdb.Cursor, lmdb._Database, type(iter(self.reading))]
        return [*made, *types, None, True, False, b"", (), "db", "default", "key", "value", self.txn._token]


def fails(kind: type[Exception], call: Callable[[], object]) -> None:
    """Make a call that must fail."""
    try:
        call()
    except kind:
        return
    raise AssertionError("no error")


def put_again(p: Place, name: str) -> None:
    """Delete or take out what is there, and put it back."""
    assert getattr(p.txn, name)(p.key)
    assert p.txn.put(p.key, p.value)


def leave_by_error(p: Place) -> None:
    with suppress(KeyError), p.env.begin():
        raise KeyError


def nested(p: Place, end: str) -> None:
    getattr(p.env.begin(parent=p.txn, write=True), end)()


def woken(p: Place) -> None:
    p.env.begin().id()


def woken_cursor(p: Place) -> None:
    cursor = p.reader.cursor()
    cursor.mine = cursor.set_key(p.key)  # type: ignore[attr-defined]


def iteration(p: Place, name: str, *what: bool) -> Iterator[Any]:
    """Over the values of a key: from the first, or back from the last."""
    cursor = p.reader.cursor(p.dups)
    assert cursor.set_key(p.key)
    if "prev" in name:
        assert cursor.last_dup()
    iterator: Iterator[Any] = getattr(cursor, name)(*(what or (True, True)))
    return iterator


def half(iterator: Iterator[Any]) -> None:
    """Use a part of an iterator, and forget the rest."""
    assert len(list(islice(iterator, 3))) == 3


def to_the_end(iterator: Iterator[Any]) -> None:
    assert list(iterator)
    assert list(iterator) == []


def iterate_beyond_the_end(p: Place) -> None:
    with p.env.begin() as txn:
        iterator = iter(txn.cursor())
        next(iterator)
    with suppress(lmdb.Error):
        list(iterator)


def iterate_and_write(p: Place) -> None:
    for key, value in islice(p.txn.cursor(), 3):
        p.txn.put(key, value)


def by_cursor(p: Place, *calls: tuple[Any, ...]) -> None:
    """Call methods of a new cursor in the write transaction."""
    with p.txn.cursor() as cursor:
        for name, *arguments in calls:
            getattr(cursor, name)(*arguments)


MOVES = ("first", "last", "next", "prev", "next_nodup", "prev_nodup")
MOVES_AMONG_VALUES = ("first_dup", "last_dup", "next_dup", "prev_dup")
ITERATIONS = ("iternext", "iterprev", "iternext_nodup", "iterprev_nodup", "iternext_dup", "iterprev_dup")
READINGS = ("key", "value", "item")

ROWS: dict[str, Callable[[Place], object]] = {
    "get": lambda p: p.txn.get(p.key),
    "get, by name": lambda p: p.txn.get(key=p.key, default=p.default, db=p.db),
    "get, a missing key": lambda p: p.txn.get(p.none),
    "get, the default": lambda p: p.txn.get(p.none, p.default),
    "get, of another database": lambda p: p.txn.get(p.key, db=p.dups),
    "get, to read": lambda p: p.reader.get(p.key),
    "get, of other bytes": lambda p: p.txn.get(bytearray(p.key), p.default),
    "get, views": lambda p: p.views.get(p.key),
    "get, no bytes": lambda p: fails(TypeError, lambda: p.txn.get("text")),  # type: ignore[call-overload]
    "get, an empty key": lambda p: fails(lmdb.BadValsizeError, lambda: p.txn.get(b"")),
    "get, wrong arguments": lambda p: fails(TypeError, lambda: p.txn.get(p.key, no_such=1)),  # type: ignore[call-overload]
    "get, too many arguments": lambda p: fails(TypeError, lambda: p.txn.get(p.key, 1, p.db, 1)),  # type: ignore[call-overload]
    "get, of a foreign database": lambda p: fails(lmdb.Error, lambda: p.txn.get(p.key, db=p.foreign)),
    "get, at the end": lambda p: fails(lmdb.Error, lambda: p.ended.get(p.key)),
    "put": lambda p: p.txn.put(p.key, p.value),
    "put, by name": lambda p: p.txn.put(key=p.key, value=p.value, db=p.db),
    "put, what is there": lambda p: p.txn.put(p.key, p.value, overwrite=False),
    "put, a value that is there": lambda p: p.txn.put(p.key, b"1", dupdata=False, db=p.dups),
    "put, other bytes": lambda p: p.txn.put(memoryview(p.key), bytearray(p.value)),
    "put, no bytes": lambda p: fails(TypeError, lambda: p.txn.put(p.key, 1)),  # type: ignore[arg-type]
    "put, a key too long": lambda p: fails(lmdb.BadValsizeError, lambda: p.txn.put(b"k" * 3000, p.value)),
    "put, by a reader": lambda p: fails(lmdb.ReadonlyError, lambda: p.reader.put(p.key, p.value)),
    "put, at the end": lambda p: fails(lmdb.Error, lambda: p.ended.put(p.key, p.value)),
    "put, wrong arguments": lambda p: fails(TypeError, lambda: p.txn.put(p.key)),  # type: ignore[call-arg]
    "delete": lambda p: put_again(p, "delete"),
    "delete, a missing key": lambda p: p.txn.delete(p.none),
    "delete, a missing value": lambda p: p.txn.delete(p.key, b"no such value", p.dups),
    "delete, other bytes": lambda p: p.txn.delete(bytearray(p.none)),
    "delete, an empty key": lambda p: fails(lmdb.BadValsizeError, lambda: p.txn.delete(b"")),
    "delete, by a reader": lambda p: fails(lmdb.ReadonlyError, lambda: p.reader.delete(p.key)),
    "replace": lambda p: p.txn.replace(p.key, p.value),
    "replace, of another database": lambda p: p.txn.replace(p.key, b"1", p.dups),
    "replace, other bytes": lambda p: p.txn.replace(bytearray(p.key), p.value),
    "replace, a key too long": lambda p: fails(lmdb.BadValsizeError, lambda: p.txn.replace(b"k" * 3000, p.value)),
    "replace, by a reader": lambda p: fails(lmdb.ReadonlyError, lambda: p.reader.replace(p.key, p.value)),
    "pop": lambda p: put_again(p, "pop"),
    "pop, a missing key": lambda p: p.txn.pop(p.none, db=p.db),
    "pop, no bytes": lambda p: fails(TypeError, lambda: p.txn.pop(1)),  # type: ignore[arg-type]
    "pop, by a reader": lambda p: fails(lmdb.ReadonlyError, lambda: p.reader.pop(p.key)),
    "begin, abort": lambda p: p.env.begin().abort(),
    "begin, commit": lambda p: p.env.begin(db=p.dups).commit(),
    "begin, and drop it": lambda p: p.env.begin(),
    "begin, look up, and drop it": lambda p: p.env.begin().get(p.key),
    "begin, look up by Python, and drop it": lambda p: p.env.begin().get(bytearray(p.key)),
    "begin, with": lambda p: p.env.begin().__enter__().__exit__(None, None, None),
    "begin, with an error": leave_by_error,
    "begin, and wake it": woken,
    "begin, to write": lambda p: nested(p, "commit"),
    "begin, to write and abort": lambda p: nested(p, "abort"),
    "begin, views": lambda p: p.env.begin(buffers=True).get(p.key),
    "begin, of no database": lambda p: fails(AttributeError, lambda: p.env.begin(b"text").get(p.key)),  # type: ignore[call-overload]
    "begin, of a foreign database": lambda p: fails(lmdb.Error, lambda: p.env.begin(p.foreign).get(p.key)),
    "begin, a second writer": lambda p: fails(lmdb.Error, lambda: p.env.begin(parent=p.reader, write=True)),
    "begin, wrong arguments": lambda p: fails(TypeError, lambda: p.env.begin(no_such=1)),  # type: ignore[call-overload]
    "begin again at the end": lambda p: fails(lmdb.Error, p.ended.__enter__),
    "cursor, and drop it": lambda p: p.reader.cursor(),
    "cursor, and close it": lambda p: p.reader.cursor(db=p.dups).close(),
    "cursor, of a dropped transaction": lambda p: p.env.begin().cursor(),
    "cursor, used": lambda p: p.env.begin().cursor().set_key(p.key),
    "cursor, and wake it": woken_cursor,
    "cursor, at the end": lambda p: fails(lmdb.Error, p.ended.cursor),
    "cursor, of a foreign database": lambda p: fails(lmdb.Error, lambda: p.reader.cursor(p.foreign)),
    "cursor, wrong arguments": lambda p: fails(TypeError, lambda: p.reader.cursor(no_such=1)),  # type: ignore[call-arg]
    **{f"cursor.{name}": lambda p, name=name: getattr(p.reading, name)() for name in MOVES},
    **{f"cursor.{name}": lambda p, name=name: getattr(p.values, name)() for name in MOVES_AMONG_VALUES},
    **{f"cursor.{name}, views": lambda p, name=name: getattr(p.views.cursor(), name)() for name in MOVES[:2]},
    **{
        f"cursor.{name}, closed": lambda p, name=name: fails(lmdb.Error, getattr(p.closed, name))
        for name in (*MOVES, *MOVES_AMONG_VALUES, *READINGS, "count", "delete", "iternext", "iterprev_dup")
    },
    **{
        f"cursor.{name}, wrong arguments": lambda p, name=name: fails(TypeError, lambda: getattr(p.reading, name)(1, 2, 3))
        for name in ("first", "set_key", "key", "item", "delete", "iternext", "pop")
    },
    **{f"cursor.{name}": lambda p, name=name: getattr(p.reading, name)() for name in READINGS},
    **{f"cursor.{name}, unset": lambda p, name=name: getattr(p.cursor, name)() for name in READINGS},
    "cursor.set_key": lambda p: p.reading.set_key(p.key),
    "cursor.set_key, a missing key": lambda p: p.cursor.set_key(p.none),
    "cursor.set_key, a missing key with values": lambda p: p.values.set_key(p.none),
    "cursor.set_key, other bytes": lambda p: p.reading.set_key(bytearray(p.key)),
    "cursor.set_key, no bytes": lambda p: fails(TypeError, lambda: p.reading.set_key(1)),  # type: ignore[arg-type]
    "cursor.set_key, an empty key": lambda p: fails(lmdb.BadValsizeError, lambda: p.cursor.set_key(b"")),
    "cursor.set_range": lambda p: p.reading.set_range(b"5"),
    "cursor.set_range, an empty key": lambda p: p.reading.set_range(b""),
    "cursor.set_key_dup": lambda p: p.values.set_key_dup(p.key, b"5"),
    "cursor.set_key_dup, a missing value": lambda p: p.values.set_key_dup(p.key, b"none"),
    "cursor.set_range_dup": lambda p: p.values.set_range_dup(p.key, b"5"),
    "cursor.get": lambda p: p.reading.get(p.key),
    "cursor.get, the default": lambda p: p.cursor.get(p.none, p.default),
    "cursor.count": lambda p: p.values.set_key(p.key) and p.values.count(),
    "cursor.count, without values": lambda p: fails(lmdb.IncompatibleError, p.reading.count),
    "cursor.put": lambda p: by_cursor(p, ("put", p.key, p.value)),
    "cursor.put, what is there": lambda p: by_cursor(p, ("put", p.key, p.value, True, False)),
    "cursor.put, other bytes": lambda p: by_cursor(p, ("put", bytearray(p.key), p.value)),
    "cursor.put, by a reader": lambda p: fails(lmdb.ReadonlyError, lambda: p.reading.put(p.key, p.value)),
    "cursor.put, a key too long": lambda p: fails(lmdb.BadValsizeError, lambda: p.cursor.put(b"k" * 3000, b"")),
    "cursor.delete": lambda p: by_cursor(p, ("set_key", p.key), ("delete",), ("put", p.key, p.value)),
    "cursor.delete, unset": lambda p: by_cursor(p, ("delete",)),
    "cursor.replace": lambda p: by_cursor(p, ("replace", p.key, p.value)),
    "cursor.pop": lambda p: by_cursor(p, ("pop", p.key), ("put", p.key, p.value)),
    "cursor.pop, a missing key": lambda p: by_cursor(p, ("pop", p.none)),
    **{f"{name}, to the end": lambda p, name=name: to_the_end(iteration(p, name)) for name in ITERATIONS},
    **{f"{name}, keys": lambda p, name=name: to_the_end(iteration(p, name, True, False)) for name in ITERATIONS},
    **{f"{name}, values": lambda p, name=name: to_the_end(iteration(p, name, False, True)) for name in ITERATIONS},
    **{f"{name}, half": lambda p, name=name: half(iteration(p, name)) for name in ("iternext", "iterprev", "iternext_dup")},
    "an iteration, not begun": lambda p: p.reader.cursor().iternext(),
    "an iteration, views": lambda p: to_the_end(p.views.cursor().iternext()),
    "an iteration, wrong arguments": lambda p: fails(TypeError, lambda: p.reading.iternext(no_such=1)),  # type: ignore[call-overload]
    "an iteration of a dropped transaction": lambda p: half(iter(p.env.begin().cursor())),
    "an iteration beyond the end": iterate_beyond_the_end,
    "an iteration and writes": iterate_and_write,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def what_is_there_already() -> Iterator[None]:
    """Is not looked at by each of the many collections."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[int, Path], Place]]:
    """The place of an engine, which all rows use."""
    made: dict[int, Place] = {}

    def place(engine: int, folder: Path) -> Place:
        if engine not in made:
            options = {"lib_version": engine, "max_dbs": 1, "sync": False, "map_size": 1 << 30}
            env, strange = (lmdb.open(folder / name, **options) for name in ("env", "strange"))
            made[engine] = Place(env, strange)
        return made[engine]

    yield place
    for place_ in made.values():
        place_.txn.abort()
        place_.env.close()


def watch(p: Place, call: Callable[[Place], object], count: int) -> None:
    """Make a call so many times; nothing may have grown."""

    def repeat(times: int) -> None:
        for _ in range(times):
            call(p)

    def state() -> tuple[list[int], int, int]:
        gc.collect()
        return (
            [sys.getrefcount(thing) for thing in objects], sys.getallocatedblocks(), len(p.env.readers().splitlines())
        )  # fmt: skip

    objects = p.objects()
    state()
    repeat(100)
    references, blocks, readers = state()
    repeat(count)
    references_after, blocks_after, readers_after = state()
    if blocks_after - blocks >= count // 20:  # what is kept for later use grows once; a leak, every time
        blocks = blocks_after
        repeat(count)
        references_after, blocks_after, readers_after = state()
    grown = {
        repr(thing): now - was
        for thing, was, now in zip(objects, references, references_after, strict=True)
        if abs(now - was) > count // 100
    }
    assert grown == {}
    assert blocks_after - blocks < count // 20
    assert readers_after == readers


@pytest.mark.parametrize("row", ROWS)
def test_nothing_leaks(engine: int, row: str, places: Callable[[int, Path], Place], tmp_path: Path) -> None:
    """References, blocks of memory, and reader slots, after many calls."""
    watch(places(engine, tmp_path), ROWS[row], CALLS // len(ROWS) // 2)


@pytest.mark.parametrize("what", ["reference", "memory", "reader"])
def test_a_leak_is_noticed(what: str, places: Callable[[int, Path], Place], tmp_path: Path) -> None:
    """One more reference, block or reader slot in twenty calls is a failure."""
    kept: list[Any] = []
    numbers = iter(range(10**6))

    def leak(p: Place) -> None:
        if next(numbers) % 20 == 0:
            made = {"reference": p.value, "memory": bytes(100), "reader": None}[what]
            kept.append(p.env.begin() if what == "reader" and len(kept) < 20 else made)

    with pytest.raises(AssertionError):
        watch(places(0, tmp_path), leak, 4000)
