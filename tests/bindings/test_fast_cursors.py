"""Cursors and their iterators as built-in methods do them. What they give is compared with Python's own in
``test_paths`` and ``test_iteration``.
"""

from __future__ import annotations

import gc
import inspect
import os
import signal
import sys
import sysconfig
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _engine, _fast
from lmdb_bindings._abi import ffi
from lmdb_bindings._cursor import Cursor

Open = Callable[..., lmdb.Environment]

# By what must be so, and not by `why_not`: a library that cannot be loaded is a failure here.
pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython" or os.environ.get(_fast.SWITCH) == "0",
    reason="not for this interpreter, or the switch says so",
)
light_only = pytest.mark.skipif("t" in getattr(sys, "abiflags", ""), reason="nothing is light without the global lock")

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"


def number(place: int) -> bytes:
    return place.to_bytes(4, "big")


TEN = [(number(place), b"%d" % place) for place in range(10)]


def python_calls(function: Callable[..., Any], *arguments: Any, **named: Any) -> list[str]:
    """The functions of Python that a call enters: none, where it takes the short way."""
    called = []

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    gc.disable()  # it may find things of Python's
    sys.setprofile(watch)
    try:
        function(*arguments, **named)
    finally:
        sys.setprofile(None)
        gc.enable()
    return called


@pytest.fixture
def ten(env: lmdb.Environment) -> lmdb.Environment:
    """An environment with ten records."""
    with env.begin(write=True) as txn:
        txn.putmany(TEN)
    return env


class Counted:
    """How often the short way has opened and closed cursors of LMDB's."""

    def __init__(self, fast: Any, lib: Any) -> None:
        self.opened = self.closed = 0
        self._table = fast._table
        self._places = [_fast.Functions.NAMES.index(name) for name in ("cursor_open", "cursor_close")]
        self._before = [self._table[place] for place in self._places]

        @ffi.callback("int(MDB_txn *, unsigned int, MDB_cursor **)")  # type: ignore[untyped-decorator]
        def cursor_open(txn: Any, dbi: int, cursor: Any) -> int:
            self.opened += 1
            rc: int = lib.mdb_cursor_open(txn, dbi, cursor)
            return rc

        @ffi.callback("void(MDB_cursor *)")  # type: ignore[untyped-decorator]
        def cursor_close(cursor: Any) -> None:
            self.closed += 1
            lib.mdb_cursor_close(cursor)

        self._callbacks = [cursor_open, cursor_close]
        for place, callback in zip(self._places, self._callbacks, strict=True):
            self._table[place] = _fast.address(callback)

    def stop(self) -> None:
        for place, function in zip(self._places, self._before, strict=True):
            self._table[place] = function


@pytest.fixture
def counted(engine: int) -> Iterator[Counted]:
    """The engine counts."""
    used = _engine.engine("1.0" if engine else "0.9")
    counted = Counted(used.fast, used.lib)
    yield counted
    counted.stop()


# -- what goes the short way -------------------------------------------------------------------------------------------


CALLS: dict[str, list[tuple[Any, ...]]] = {
    **{name: [()] for name in (
        "first", "last", "next", "prev", "next_nodup", "prev_nodup", "key", "value", "item", "__enter__",
        "iternext", "iterprev", "iternext_dup", "iterprev_dup", "iternext_nodup", "iterprev_nodup", "__iter__",
    )},
    "set_key": [(number(4),), (b"none",)],
    "set_range": [(number(4),), (b"",), (b"z",)],
    "get": [(number(4),), (b"none",), (b"none", b"default")],
}  # fmt: skip
DUP_CALLS: dict[str, list[tuple[Any, ...]]] = {
    **{name: [()] for name in ("first_dup", "last_dup", "next_dup", "prev_dup", "count")},
    "set_key_dup": [(b"key", b"2")],
    "set_range_dup": [(b"key", b"1")],
    "put": [(b"key", b"2"), (b"key", b"2", False)],
}
WRITES: dict[str, list[tuple[Any, ...]]] = {
    "put": [
        (b"new", b"value"),
        (b"new", b"value", True, False),
        (b"new", b"value", False),
        (b"z", b"", True, True, True),
    ],
    "delete": [(), (True,)],
    "replace": [(number(4), b"other"), (b"none", b"value")],
    "pop": [(number(4),), (b"nothing",)],
}


@light_only
@pytest.mark.parametrize("name", CALLS)
def test_the_usual_is_short_and_wakes_nothing(ten: lmdb.Environment, name: str) -> None:
    """No function of Python is called, and cursor and transaction stay light."""
    txn = ten.begin()
    cursor = txn.cursor()
    for arguments in CALLS[name]:
        cursor.set_key(number(4))
        assert python_calls(getattr(cursor, name), *arguments) == []
    assert python_calls(list, cursor) == []
    assert python_calls(cursor.close) == []
    assert python_calls(txn.cursor, db=ten.open_db()) == []
    assert cursor._light
    assert txn._light


@pytest.mark.parametrize("name", DUP_CALLS)
def test_values_of_a_key_are_short(env: lmdb.Environment, name: str) -> None:
    """Likewise where keys have several values, and in a write transaction."""
    db = env.open_db(b"dup", dupsort=True)
    with env.begin(write=True, db=db) as txn:
        txn.putmany([(b"key", b"1"), (b"key", b"2"), (b"key", b"3")])
        with txn.cursor() as cursor:
            for arguments in DUP_CALLS[name]:
                cursor.set_key_dup(b"key", b"2")
                assert python_calls(getattr(cursor, name), *arguments) == []


@pytest.mark.parametrize("name", WRITES)
def test_writes_are_short(ten: lmdb.Environment, name: str) -> None:
    """So is what writes by a cursor, with any flags."""
    with ten.begin(write=True) as txn, txn.cursor() as cursor:
        for arguments in WRITES[name]:
            cursor.set_key(number(6))
            assert python_calls(getattr(cursor, name), *arguments) == []


@pytest.mark.parametrize("woken", [False, True], ids=["light", "woken"])
def test_what_writes_give(ten: lmdb.Environment, woken: bool) -> None:
    """The results of every write, and where each leaves the cursor."""
    with ten.begin(write=True) as txn, txn.cursor() as cursor:
        if woken:
            assert cursor._lock is txn._lock
        assert not cursor.delete()
        assert cursor.put(b"new", b"value")
        assert cursor.item() == (b"new", b"value")
        assert not cursor.put(b"new", b"other", overwrite=False)
        assert cursor.item() == (b"new", b"value")
        assert cursor.replace(b"new", b"third") == b"value"
        assert cursor.item() == (b"new", b"third")
        assert cursor.replace(b"more", b"first") is None
        assert cursor.item() == (b"more", b"first")
        assert cursor.pop(b"more") == b"first"
        assert cursor.item() == (b"new", b"third")
        assert cursor.pop(b"more") is None
        assert cursor.item() == (b"", b"")
        assert cursor.set_key(number(4))
        assert cursor.delete()
        assert cursor.item() == TEN[5]
        assert cursor.last()
        assert cursor.delete()
        assert cursor.item() == (b"", b"")
        assert [key for key, _ in cursor] == [number(place) for place in range(10) if place != 4]


def test_other_arguments_go_the_long_way(ten: lmdb.Environment) -> None:
    """Buffers that are no bytes are keys, what is true is True, and what is wrong is Python's TypeError."""
    with ten.begin(write=True) as txn, txn.cursor() as cursor:
        assert cursor.set_key(bytearray(number(4)))
        assert cursor.get(memoryview(number(5))) == b"5"
        assert cursor.put(bytearray(b"new"), memoryview(b"value"))
        assert list(cursor.iternext(1, 0)) == [b"new"]  # type: ignore[call-overload]
        assert "_iterate" in python_calls(cursor.iternext, 1, 0)
        wrong: list[Callable[[Any], object]] = [
            lambda cursor: cursor.set_key(), lambda cursor: cursor.set_key("key"), lambda cursor: cursor.next(1),
            lambda cursor: cursor.put(b"key"), lambda cursor: cursor.iternext(True, True, True),
            lambda cursor: cursor.iternext(backwards=True), lambda cursor: cursor.pop(b"key", key=b"key"),
        ]  # fmt: skip
        for call in wrong:
            with pytest.raises(TypeError):
                call(cursor)


def test_errors_of_lmdb(ten: lmdb.Environment) -> None:
    """Each is raised by its class, with the function that has returned it."""
    with ten.begin() as txn, txn.cursor() as cursor:
        with pytest.raises(lmdb.BadValsizeError, match="mdb_cursor_get"):
            cursor.set_key(b"")
        with pytest.raises(lmdb.IncompatibleError, match="mdb_cursor_count"):
            cursor.count()
        with pytest.raises(lmdb.IncompatibleError, match="mdb_cursor_get"):
            cursor.set_key_dup(number(4), b"4")
        cursor.first()
        for write in (lambda: cursor.put(b"key", b""), lambda: cursor.replace(b"key", b"")):
            with pytest.raises(lmdb.ReadonlyError, match="mdb_cursor_put"):
                write()
        for write in (cursor.delete, lambda: cursor.pop(number(4))):
            with pytest.raises(lmdb.ReadonlyError, match="mdb_cursor_del"):
                write()
        assert cursor.item() == TEN[4]
    with ten.begin(write=True) as txn, txn.cursor() as cursor:
        with pytest.raises(lmdb.BadValsizeError, match="mdb_cursor_put"):
            cursor.put(b"", b"")
        with pytest.raises(lmdb.BadValsizeError, match="mdb_cursor_put"):
            cursor.replace(b"k" * 3000, b"")


def test_integer_keys_are_checked(env: lmdb.Environment) -> None:
    """A key that LMDB would read past the end of is refused by every search and every write."""
    db = env.open_db(b"numbers", integerkey=True)
    with env.begin(write=True, db=db) as txn, txn.cursor() as cursor:
        cursor.put(bytes(8), b"zero")
        searches: list[Callable[[bytes], object]] = [cursor.set_key, cursor.get, cursor.pop, cursor.set_range]
        writes: list[Callable[[bytes, bytes], object]] = [cursor.put, cursor.replace]
        for key in (b"1", bytes(9)):
            for search in searches:
                with pytest.raises(lmdb.BadValsizeError):
                    search(key)
            for write in writes:
                with pytest.raises(lmdb.BadValsizeError):
                    write(key, b"")
        assert cursor.get(bytes(8)) == b"zero"


def test_the_signatures_are_there() -> None:
    """``inspect`` and ``help()`` show the arguments, also of the names that begin with underscores."""
    assert str(inspect.signature(Cursor.iternext)) == "(self, /, keys=True, values=True)"
    assert str(inspect.signature(Cursor.iternext_dup)) == "(self, /, keys=False, values=True)"
    assert str(inspect.signature(Cursor.set_key)) == "(self, /, key)"
    assert "Move to a key" in str(Cursor.set_key.__doc__)


def test_subclasses(ten: lmdb.Environment) -> None:
    """A class made of Cursor may have a method of its own, and an instance dictionary."""

    class Counting(Cursor[bytes]):
        steps = 0

        def next(self) -> bool:
            self.steps += 1
            return super().next()

    with ten.begin() as txn, Counting(ten.open_db(), txn) as cursor:
        while cursor.next():
            pass
        assert cursor.steps == 11
        assert list(cursor) == TEN


# -- light and woken ---------------------------------------------------------------------------------------------------


@light_only
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_waking_keeps_the_place(ten: lmdb.Environment, write: bool) -> None:
    """What Python needs it gets, and both see one position from then on."""
    txn = ten.begin(write=write)
    cursor = txn.cursor()
    cursor.set_key(number(4))
    assert cursor._light
    assert cursor._lock is txn._lock
    assert not cursor._light
    assert not txn._light
    assert cursor.key() == number(4)
    with cursor._lock:
        assert cursor._step(8)  # MDB_NEXT
    assert cursor.item() == TEN[5]
    assert cursor.next()
    assert bytes(ffi.buffer(cursor._key.mv_data, cursor._key.mv_size)) == number(6)
    assert cursor.getmulti([number(2)]) == [TEN[2]]
    assert cursor.item() == TEN[2]
    txn.abort()
    with pytest.raises(lmdb.Error, match=GONE):
        cursor.item()


@light_only
def test_the_end_of_the_transaction_wakes_no_cursor(ten: lmdb.Environment, counted: Counted) -> None:
    """A light cursor ends with its transaction, however that ends, and says so afterwards."""
    endings: list[Callable[[lmdb.Transaction], object]] = [
        lambda txn: txn.abort(), lambda txn: txn.commit(), lambda txn: txn.__exit__(None, None, None),
        lambda txn: txn.env.close(),
    ]  # fmt: skip
    for ending in endings:
        txn = ten.begin()
        cursors = [txn.cursor() for _ in range(3)]
        for cursor in cursors:
            cursor.first()
        iterator = iter(cursors[1])
        next(iterator)
        cursors.pop(0).close()
        ending(txn)
        for cursor in cursors:
            for use in (cursor.item, cursor.next, cursor.iternext, cursor.count):
                with pytest.raises(lmdb.Error, match=GONE):
                    use()
            cursor.close()
        with pytest.raises(lmdb.Error, match=GONE):
            next(iterator)
        assert list(iterator) == []
    assert counted.opened == counted.closed == 12


@light_only
def test_the_collector_ends_light_cursors(ten: lmdb.Environment, counted: Counted) -> None:
    """In any order: alone, with the transaction, in a cycle with it, and with an iterator."""

    class Node:
        pass

    for shape in range(4):
        txn = ten.begin()
        node, cursor = Node(), txn.cursor()
        node.these = (cursor, iter(cursor), txn, node)[shape:]  # type: ignore[attr-defined]
        del txn, cursor, node
        gc.collect()
        assert counted.opened == counted.closed == shape + 1
    assert ten.info()["num_readers"] <= 2


@light_only
def test_a_cursor_keeps_its_transaction(ten: lmdb.Environment, counted: Counted) -> None:
    """An iterator that nobody else has anything of goes on, and ends all of it when it ends."""
    txn = ten.begin()
    reference, iterator = weakref.ref(txn), iter(txn.cursor())
    del txn
    gc.collect()
    assert list(iterator) == TEN
    assert counted.opened == counted.closed == 1
    assert reference() is None


@light_only
def test_cursors_of_a_write_transaction(ten: lmdb.Environment) -> None:
    """Those that are left open end with it, those of a nested one with that, and a parent's live on."""
    for _ in range(3):
        with ten.begin(write=True) as txn:
            cursor = txn.cursor()
            cursor.set_key(number(4))
            with ten.begin(write=True, parent=txn) as child:
                inner = child.cursor()
                assert inner.set_key(number(4))
                assert inner.put(number(4), b"inner")
            with pytest.raises(lmdb.Error, match=GONE):
                inner.key()
            assert cursor.item() == (number(4), b"inner")
            txn.cursor().first()
        with pytest.raises(lmdb.Error, match=GONE):
            cursor.key()


def test_what_a_cursor_lives_in_is_said_once(ten: lmdb.Environment) -> None:
    """C believes what it finds there: so nobody can put something else in its place."""
    db = ten.open_db()
    with ten.begin() as txn, txn.cursor() as cursor:
        assert cursor.first()
        for name in ("txn", "db"):
            with pytest.raises(AttributeError, match="readonly"):
                setattr(cursor, name, None)
            with pytest.raises(AttributeError, match="readonly"):
                delattr(cursor, name)
        for made_of in ((db, txn), (db, None), (None, txn), (txn, db)):
            with pytest.raises(lmdb.InvalidParameterError, match="needs a database and a transaction, once"):
                cursor.__init__(*made_of)  # type: ignore[misc]
        for made_of in ((db, None), (None, txn), (txn, db)):
            with pytest.raises((lmdb.InvalidParameterError, AttributeError)):
                Cursor(*made_of)  # type: ignore[arg-type]
        assert cursor.item() == TEN[0]


@light_only
def test_a_dropped_database_takes_its_cursors(env: lmdb.Environment) -> None:
    """LMDB would take their number for that of the next database opened."""
    db = env.open_db(b"one")
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value", db=db)
        cursor = txn.cursor(db)
        assert cursor.first()
        iterator = iter(cursor)
        txn.drop(db)
        for use in (cursor.item, cursor.next, lambda: next(iterator)):
            with pytest.raises(lmdb.Error, match=GONE):
                use()
        with pytest.raises(lmdb.InvalidParameterError, match=GONE[:-3]):
            txn.cursor(db)


def test_references_to_a_cursor(ten: lmdb.Environment) -> None:
    """There may be weak ones; without another it is gone at once."""
    with ten.begin() as txn:
        cursor = txn.cursor()
        reference = weakref.ref(cursor)
        assert reference() is cursor
        iterator = iter(cursor)
        del cursor
        assert reference() is not None
        del iterator
        assert reference() is None


# -- iterators ---------------------------------------------------------------------------------------------------------


def test_writes_are_seen(ten: lmdb.Environment) -> None:
    """By the transaction, by the cursor itself, and by others, before and behind."""
    with ten.begin(write=True) as txn:
        cursor, other = txn.cursor(), txn.cursor()
        iterator = cursor.iternext(values=False)
        assert [next(iterator), next(iterator)] == [number(0), number(1)]
        txn.put(number(1) + b"a", b"")
        assert next(iterator) == number(1) + b"a"
        other.put(number(1) + b"b", b"longer" * 100)
        assert next(iterator) == number(1) + b"b"
        assert cursor.value() == b"longer" * 100
        other.pop(number(2))
        cursor.put(number(2) + b"c", b"")
        assert next(iterator) == number(3)
        txn.delete(number(3))
        assert cursor.key() == number(4)


def test_native_and_read_ahead_iterators_of_one_cursor(ten: lmdb.Environment) -> None:
    """Python's reads ahead, the built-in one steps, and each goes on from where the other has left the cursor."""
    with ten.begin() as txn:
        cursor = txn.cursor()
        native, ahead = cursor.iternext(values=False), cursor.iternext(1, 0)  # type: ignore[call-overload]
        assert type(native) is not type(ahead)
        assert next(ahead) == number(0)
        assert cursor._iteration is not None
        assert next(native) == number(0)  # begins at the position, without a step
        found = [next(iterator) for iterator in (native, ahead, ahead, native, native, ahead)]
        assert found == [number(place) for place in range(1, 7)]
        assert cursor.key() == number(6)
        assert list(native) == [number(7), number(8), number(9)]


def test_an_iterator_without_a_cursor(ten: lmdb.Environment) -> None:
    """The class of iterators makes none by itself that could be used."""
    with ten.begin() as txn:
        made = type(iter(txn.cursor()))
        with suppress(TypeError):
            assert list(made()) == []  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Sub", (made,), {})


def test_a_busy_transaction_is_waited_for(ten: lmdb.Environment) -> None:
    """An iterator waits while another thread is at work in the transaction, and goes on with what comes next."""
    with ten.begin() as txn:
        iterator = iter(txn.cursor())
        found = [next(iterator)]
        reader = threading.Thread(target=lambda: found.extend(islice(iterator, 2)))
        with txn._lock:
            reader.start()
            reader.join(0.2)
            assert reader.is_alive()
            assert len(found) == 1
        reader.join(30)
        assert found + list(iterator) == TEN


def test_threads_share_an_iterator(opened: Open) -> None:
    """Each record comes to one of them, whatever wakes the cursor in between."""
    env = opened(map_size=1 << 24, sync=False)
    with env.begin(write=True) as txn:
        txn.putmany([(number(place), b"") for place in range(20_000)], append=True)
    with env.begin() as txn:
        cursor = txn.cursor()
        iterator, found = cursor.iternext(values=False), []

        def take() -> None:
            for place, key in enumerate(iterator):
                found.append(key)
                if place == 1000:
                    txn.stat()

        threads = [threading.Thread(target=take) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(found) == [number(place) for place in range(20_000)]


@pytest.mark.parametrize("what", ["write", "end", "close"])
def test_finalizers_in_the_middle(opened: Open, what: str) -> None:
    """A pair may start the collector, whose finalizers write in the transaction, or end it or the cursor: records come
    as they were, and the next step sees what was done.
    """
    env = opened(map_size=1 << 24, sync=False)
    with env.begin(write=True) as txn:
        txn.putmany([(number(2 * place), number(place) * 50) for place in range(2000)], append=True)
    txn = env.begin(write=True)
    cursor = txn.cursor()
    done = []

    class Litter:
        def __init__(self, place: int) -> None:
            self.place, self.itself = place, self

        def __del__(self) -> None:
            done.append(self.place)
            if what == "write":
                txn.put(number(2 * self.place), b"changed" * 9)
                txn.put(number(2 * self.place + 1), b"new")
            elif what == "close":
                cursor.close()
            else:
                txn.abort()

    before = gc.get_threshold()
    seen = []
    try:
        gc.set_threshold(50)
        with suppress(lmdb.Error):
            for place, (key, value) in enumerate(cursor):
                seen.append((key, value))
                if place % 10 == 0 and place < 1000:
                    Litter(place)
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert done
    if what == "write":
        assert len(seen) >= 2000
        assert [key for key, _ in seen] == sorted({key for key, _ in seen})
        assert all(
            value in (number(int.from_bytes(key, "big") // 2) * 50, b"changed" * 9, b"new") for key, value in seen
        )
        txn.abort()
    else:
        if not sysconfig.get_config_var("Py_GIL_DISABLED"):  # whose collector does not come so often
            assert 0 < len(seen) < 2000
        assert seen == [(number(2 * place), number(place) * 50) for place in range(len(seen))]


def test_closing_beside_iterations(ten: lmdb.Environment, opened: Open) -> None:
    """An environment that is closed under iterations gives them records, or the error, and nothing else."""
    ten.close()
    for _ in range(20):
        env = opened()
        ended = []

        def read(env: lmdb.Environment = env, ended: list[str] = ended) -> None:
            try:
                while True:
                    with env.begin() as txn:
                        for pair, record in zip(txn.cursor(), TEN, strict=True):
                            assert pair == record
            except lmdb.Error as problem:
                ended.append(str(problem))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        env.close()
        for thread in threads:
            thread.join(30)
        assert len(ended) == 3
        assert all("closed" in words for words in ended)


def test_nothing_leaks(ten: lmdb.Environment) -> None:
    """After many calls of every kind each object has the references that it had."""
    default, key, value = object(), number(4), b"the value" * 10
    db = ten.open_db()
    with ten.begin(write=True) as txn:
        kept = txn.cursor()

        def calls(count: int) -> None:
            for place in range(count):
                with txn.cursor(db) as cursor:
                    cursor.set_key(key)
                    cursor.item()
                    cursor.get(b"none", default)
                    cursor.set_range(b"z")
                    cursor.put(key, value)
                    cursor.replace(key, value)
                    cursor.pop(b"none")
                    cursor.last()
                    cursor.iterprev()
                    list(cursor.iternext(values=False))
                    next(iter(cursor))
                    for call in (cursor.count, lambda: cursor.set_key(b"")):
                        with suppress(lmdb.Error):
                            call()
                    kept.next()
                    if place % 50 == 0:
                        assert cursor._lock
                        cursor.item()

        objects = (txn, db, kept, default, key, value, None, True, False, lmdb.Cursor, type(iter(kept)), ten)
        calls(200)
        gc.collect()
        before, blocks = [sys.getrefcount(thing) for thing in objects], sys.getallocatedblocks()
        calls(5_000)
        gc.collect()
        after, blocks_after = [sys.getrefcount(thing) for thing in objects], sys.getallocatedblocks()
        assert all(abs(was - now) < 50 for was, now in zip(before, after, strict=True)), (before, after)
        assert abs(blocks_after - blocks) < 300


@pytest.fixture
def long_iteration(env: lmdb.Environment) -> Iterator[Callable[[int], Any]]:
    """So many times 40,000 records, which no code of Python comes between."""
    with env.begin(write=True) as txn:
        txn.putmany([(b"%05d" % number, b"") for number in range(40_000)])
    with env.begin() as txn:
        yield lambda times: chain(*[txn.cursor().iternext(values=False) for _ in range(times)])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
def test_a_signal_is_heard_in_the_middle_of_an_iteration(long_iteration: Callable[[int], Any]) -> None:
    """Though nothing but C runs, in which no handler is called."""

    class RingingError(Exception):
        pass

    def ring(*_: object) -> None:
        raise RingingError

    records = long_iteration(100)
    before, taken = signal.signal(signal.SIGALRM, ring), []
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        with pytest.raises(RingingError):
            taken.extend(records)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(taken) < 4_000_000
    assert len(taken) + sum(1 for _ in records) == 4_000_000


def test_other_threads_have_turns_in_the_middle_of_an_iteration(long_iteration: Callable[[int], Any]) -> None:
    """The lock of the interpreter is given back now and then."""
    records = long_iteration(400)
    turns, done = [0], threading.Event()

    def turn() -> None:
        while not done.is_set():
            turns[0] += 1

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        while not turns[0]:
            pass
        before = turns[0]
        deque(records, maxlen=0)
        assert turns[0] > before
    finally:
        done.set()
        thread.join()
