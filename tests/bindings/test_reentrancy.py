"""What comes in the middle of a call of its own thread: code of an argument's, finalizers, handlers of signals. It may
read, and the call goes on as if nothing had come; what would write or end something there is refused, and never crashes.
"""

from __future__ import annotations

import gc
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import lmdb_bindings as lmdb

Meddle = Callable[[lmdb.Transaction[Any], lmdb.Cursor[Any]], object]

REFUSED = "comes in the middle of that"
GONE = "Attempt to operate on closed/deleted/dropped object"

RECORDS = [(b"%03d" % number, b"value %03d" % number) for number in range(100)]


@pytest.fixture
def filled(env: lmdb.Environment, path: str) -> lmdb.Environment:  # noqa: ARG001 (used for what it does)
    """An environment with the records, on each of the paths."""
    with env.begin(write=True) as txn:
        txn.putmany(RECORDS)
    return env


# -- code of an argument's -----------------------------------------------------------------------------------------------


class Meddler:
    """A buffer that does something when it is looked at."""

    def __init__(self, data: bytes, meddle: Callable[[], object]) -> None:
        self._data = data
        self._meddle = meddle

    def __len__(self) -> int:
        return len(self._data)

    def __buffer__(self, flags: int) -> memoryview:
        self._meddle()
        return memoryview(self._data)


written_in_python = pytest.mark.skipif(sys.version_info < (3, 12), reason="buffers written in Python are new in 3.12")

CALLS: dict[str, Callable[[Any, Any, Any], object]] = {
    "get": lambda txn, _, key: txn.get(key),
    "put": lambda txn, _, key: txn.put(key, b"value 050"),
    "put, the value": lambda txn, _, value: txn.put(b"050", value),
    "delete": lambda txn, _, key: txn.delete(key),
    "replace": lambda txn, _, key: txn.replace(key, b"value 050"),
    "pop": lambda txn, _, key: txn.pop(key),
    "getmany": lambda txn, _, key: txn.getmany([b"001", key]),
    "putmany": lambda txn, _, key: txn.putmany([(key, b"value 050")]),
    "set_key": lambda _, cursor, key: cursor.set_key(key),
    "set_range": lambda _, cursor, key: cursor.set_range(key),
    "cursor.get": lambda _, cursor, key: cursor.get(key),
    "cursor.put": lambda _, cursor, key: cursor.put(key, b"value 050"),
    "cursor.put, the value": lambda _, cursor, value: cursor.put(b"050", value),
    "cursor.replace": lambda _, cursor, key: cursor.replace(key, b"value 050"),
    "cursor.pop": lambda _, cursor, key: cursor.pop(key),
}

REFUSALS: dict[str, Meddle] = {
    "abort": lambda txn, _: txn.abort(),
    "commit": lambda txn, _: txn.commit(),
    "close the environment": lambda txn, _: txn.env.close(),
    "put": lambda txn, _: txn.put(b"other", b"x" * 1000),
    "delete": lambda txn, _: txn.delete(b"001"),
    "drop": lambda txn, _: txn.drop(txn.env.open_db(txn=txn), delete=False),
    "put by the cursor": lambda _, cursor: cursor.put(b"other", b"x"),
}


@written_in_python
@pytest.mark.parametrize("refused", REFUSALS)
@pytest.mark.parametrize("call", CALLS)
def test_an_argument_cannot_end_or_write(filled: lmdb.Environment, call: str, refused: str) -> None:
    """The code of an argument cannot take away, or move, what the call that looks at it goes on with."""
    with filled.begin(write=True) as txn:
        cursor = txn.cursor()
        cursor.first()
        meddler = Meddler(b"050", lambda: REFUSALS[refused](txn, cursor))
        with pytest.raises(lmdb.Error, match=REFUSED):
            CALLS[call](txn, cursor, meddler)
        assert list(txn.cursor()) == RECORDS
    with filled.begin() as txn:
        assert list(txn.cursor()) == RECORDS


@written_in_python
@pytest.mark.parametrize("call", ["get", "getmany", "set_key", "set_range", "cursor.get"])
@pytest.mark.parametrize("refused", ["abort", "close the environment"])
def test_an_argument_cannot_end_a_reader(filled: lmdb.Environment, call: str, refused: str) -> None:
    """Nor a transaction that only reads, or resize its map."""
    with filled.begin() as txn:
        cursor = txn.cursor()
        for meddle in (REFUSALS[refused], lambda txn, _: txn.env.set_mapsize(1 << 24)):
            meddler = Meddler(b"050", lambda meddle=meddle: meddle(txn, cursor))  # type: ignore[misc]
            with pytest.raises(lmdb.Error, match=REFUSED):
                CALLS[call](txn, cursor, meddler)
        assert cursor.set_key(b"050")
        assert txn.get(b"050") == cursor.value() == b"value 050"


@written_in_python
@pytest.mark.parametrize("call", [call for call in CALLS if call.startswith(("set", "cursor"))])
def test_an_argument_closes_the_cursor(filled: lmdb.Environment, call: str) -> None:
    """The cursor is closed when the call that looks at the argument is done."""
    with filled.begin(write=True) as txn:
        cursor = txn.cursor()
        assert CALLS[call](txn, cursor, Meddler(b"050", cursor.close)) in (True, b"value 050")
        with pytest.raises(lmdb.Error, match=GONE):
            cursor.key()
        assert txn.get(b"051") == b"value 051"


@written_in_python
@pytest.mark.parametrize("call", CALLS)
def test_an_argument_may_read(filled: lmdb.Environment, call: str) -> None:
    """The code of an argument reads in the transaction, and the call does what it would have done."""

    def read(txn: lmdb.Transaction[Any]) -> None:
        assert txn.get(b"007") == b"value 007"
        assert txn.getmany([b"007", b"none"]) == [b"value 007", None]
        assert list(txn.cursor()) == RECORDS
        with txn.cursor() as other:
            assert other.set_range(b"008")
            assert other.item() == (b"008", b"value 008")

    results = []
    for data in (Meddler(b"050", lambda: read(txn)), b"050"):
        with filled.begin(write=True) as txn:
            cursor = txn.cursor()
            results.append((CALLS[call](txn, cursor, data), cursor.item(), list(txn.cursor())))
            txn.abort()
    assert results[0] == results[1]


# -- finalizers, which the collector runs ----------------------------------------------------------------------------------


class Garbage:
    """A cycle whose finalizer does something, whenever the collector comes."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self._itself = self
        self._meddle = meddle

    def __del__(self) -> None:
        with suppress(lmdb.Error):
            self._meddle()


@pytest.fixture
def busy_collector() -> Iterator[None]:
    """The collector comes as often as it can, and looks at nothing but what is new."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


MEDDLING: dict[str, Meddle] = {
    "read": lambda txn, _: (txn.get(b"007"), list(txn.cursor())),
    "move": lambda _, cursor: cursor.last(),
    "abort": lambda txn, _: txn.abort(),
    "close the cursor": lambda _, cursor: cursor.close(),
    "begin": lambda txn, _: txn.env.begin().get(b"007"),
}


def look_around(txn: lmdb.Transaction[Any], cursor: lmdb.Cursor[Any]) -> None:
    """Whatever reads gives what is there; the cursor may have been moved, and is then somewhere else."""
    assert txn.get(b"050") == b"value 050"
    assert txn.getmany([b"050", b"none"]) == [b"value 050", None]
    for step in (cursor.first, cursor.next, lambda: cursor.set_range(b"0505"), cursor.prev, cursor.last):
        assert not step() or cursor.item() in RECORDS
    with txn.cursor() as other:
        assert list(other) == RECORDS
        assert [*other.iterprev(values=False)] == [key for key, _ in reversed(RECORDS)]
    assert [key for key, _ in txn.scan(start=b"090")] == [key for key, _ in RECORDS[90:]]


@pytest.mark.counts_references
@pytest.mark.usefixtures("busy_collector")
@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("meddling", MEDDLING)
def test_finalizers_in_the_middle(filled: lmdb.Environment, meddling: str, *, write: bool) -> None:
    """A finalizer may come at any allocation, and use the transaction or end it: a call gives what is there, or says
    that it has ended.
    """
    ended = 0
    for _ in range(20):
        txn = filled.begin(write=write)
        cursor = txn.cursor()
        meddle = MEDDLING[meddling]
        for _ in range(3):
            Garbage(lambda txn=txn, cursor=cursor, meddle=meddle: meddle(txn, cursor))  # type: ignore[misc]
        try:
            look_around(txn, cursor)
        except lmdb.Error as problem:
            assert GONE in str(problem)  # noqa: PT017 (it may end, or not)
            ended += 1
        gc.collect()
        with suppress(lmdb.Error):
            txn.abort()
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):  # whose collector does not come so often
        assert bool(ended) == (meddling in ("abort", "close the cursor"))
    with filled.begin() as another:
        assert list(another.cursor()) == RECORDS


@pytest.mark.counts_references
@pytest.mark.usefixtures("busy_collector")
def test_a_finalizer_closes_the_environment(opened: Callable[..., lmdb.Environment]) -> None:
    """Calls give what is there until it is closed, or its end was refused in the middle of a call."""
    for number in range(20):
        env = opened(f"closed {number}")
        with env.begin(write=True) as txn:
            txn.putmany(RECORDS)
        txn = env.begin()
        cursor = txn.cursor()
        Garbage(env.close)
        with suppress(lmdb.Error):
            while number % 2 or gc.collect():
                look_around(txn, cursor)
                break
        env.close()
        with pytest.raises(lmdb.Error, match=GONE):
            txn.get(b"050")


# -- handlers of signals -----------------------------------------------------------------------------------------------

HANDLED = 100
"""So many signals come in a test."""


Interrupted = Callable[[Callable[[], object], Callable[[], object]], set[str]]


@pytest.fixture
def interrupted() -> Iterator[Interrupted]:
    """Call a function again and again, while a handler calls another; what that was refused with."""

    def interrupted(call: Callable[[], object], meddle: Callable[[], object]) -> set[str]:
        count = 0
        refusals = set()

        def handler(*_: object) -> None:
            nonlocal count
            count += 1
            try:
                meddle()
            except lmdb.Error as problem:
                refusals.add(str(problem))
            if count < HANDLED:  # the next one when this is done
                signal.setitimer(signal.ITIMER_REAL, 0.0003 + count % 7 * 0.00005)

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while count < HANDLED:
            call()
        return refusals

    before = signal.getsignal(signal.SIGALRM)
    yield interrupted
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_handler_reads(filled: lmdb.Environment, interrupted: Interrupted) -> None:
    """A handler reads in the transaction that it interrupts, and both get what they ask for."""
    with filled.begin() as txn, txn.cursor() as cursor, txn.cursor() as other:
        numbers = iter(range(1 << 40))

        def call() -> None:
            key, value = RECORDS[next(numbers) % 100]
            assert txn.get(key) == value
            assert cursor.set_key(key)
            assert cursor.item() == (key, value)
            assert list(txn.cursor()) == RECORDS
            assert txn.getmany([key, b"none"]) == [value, None]

        def meddle() -> None:
            key, value = RECORDS[(next(numbers) * 7) % 100]
            assert txn.get(key) == value
            assert other.get(key) == value
            assert list(txn.scan(start=b"090")) == RECORDS[90:]
            with filled.begin() as another:
                assert another.get(key) == value

        assert interrupted(call, meddle) == set()


def test_a_handler_writes(filled: lmdb.Environment, interrupted: Interrupted) -> None:
    """A handler writes in the transaction that it interrupts, or is refused: nobody reads or stores another record."""
    with filled.begin(write=True) as txn:
        numbers, stored = iter(range(1 << 40)), {}

        def call() -> None:
            key, value = RECORDS[next(numbers) % 100]
            assert txn.get(key) == value
            assert txn.put(key, value)
            assert [record for record in txn.cursor() if record[0] < b"~"] == RECORDS
            assert txn.replace(key, value) == value

        def meddle() -> None:
            number = next(numbers)
            txn.put(b"~%d" % number, b"%d" % number * 100)
            stored[b"~%d" % number] = b"%d" % number * 100

        assert all(REFUSED in words for words in interrupted(call, meddle))
        assert list(txn.cursor()) == RECORDS + sorted(stored.items())


@pytest.mark.parametrize("end", ["abort", "close"])
def test_a_handler_ends(filled: lmdb.Environment, interrupted: Interrupted, end: str) -> None:
    """A handler ends the transaction that it interrupts, or is refused: a call gives what is there, or says so."""
    current: list[Any] = []

    def call() -> None:
        try:
            with filled.begin() as txn:
                current[:] = [txn if end == "abort" else txn.cursor()]
                for key, value in RECORDS[:20]:
                    assert txn.get(key) == value
                assert list(txn.cursor()) == RECORDS
                assert txn.getmany([b"050"]) == [b"value 050"]
        except lmdb.Error as problem:
            assert GONE in str(problem)  # noqa: PT017 (it may be there, or not)

    refusals = interrupted(call, lambda: [getattr(thing, end)() for thing in current])
    assert all(REFUSED in words or GONE in words for words in refusals)
    with filled.begin() as txn:
        assert list(txn.cursor()) == RECORDS
