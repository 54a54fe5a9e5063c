"""Iterators read ahead, and yet take one record at a time, as far as anybody can tell.

What they are held against steps its cursor from record to record, and runs through the same script of steps, writes,
movements and other iterations.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lmdb_bindings as lmdb
from lmdb_bindings import _columns, _iteration, _streams

pytestmark = pytest.mark.usefixtures("path")

Open = Callable[..., lmdb.Environment]
Pair = tuple[bytes, bytes]

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"

# Every method, and the step of the cursor that it repeats.
STEPS = {
    "iternext": "next", "iternext_dup": "next_dup", "iternext_nodup": "next_nodup",
    "iterprev": "prev", "iterprev_dup": "prev_dup", "iterprev_nodup": "prev_nodup",
}  # fmt: skip


def number(place: int) -> bytes:
    return place.to_bytes(4, "big")


@pytest.fixture(params=[(1, 1), (1, 4), (2, 4), (3, 3)], ids=lambda sizes: f"batches {sizes[0]} to {sizes[1]}")
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches so small that their boundaries come everywhere."""
    first, most = request.param
    monkeypatch.setattr(_iteration, "FIRST", first)
    monkeypatch.setattr(_iteration, "MOST", most)
    monkeypatch.setattr(_iteration, "GROWTH", 2)


@pytest.fixture
def ten(env: lmdb.Environment) -> Iterator[lmdb.Transaction]:
    """A write transaction on ten records, with even numbers as keys."""
    with env.begin(write=True) as txn:
        txn.putmany([(number(2 * place), b"%d" % place) for place in range(10)])
        yield txn


# -- against an iterator that steps ----------------------------------------------------------------------------------


def is_set(cursor: lmdb.Cursor) -> bool:
    """Whether a cursor is on a record: one that was unset stays so, whatever is written."""
    cursor._live()
    return cursor._positioned and bool(cursor.key())


def stepping(cursor: lmdb.Cursor, method: str, keys: bool, values: bool) -> Iterator[Any]:
    """What a method of a cursor should be."""
    if not is_set(cursor) and method not in ("iternext_dup", "iterprev_dup"):
        cursor.last() if "prev" in method else cursor.first()
    read = cursor.item if keys and values else cursor.value if values else cursor.key
    # Where a key has one value an iteration goes on to the next key, be it over values. A step over values does too, but
    # not from a record that was deleted.
    step = STEPS[method] if cursor.db.flags()["dupsort"] else STEPS[method].removesuffix("_dup")

    def steps() -> Iterator[Any]:
        if is_set(cursor):
            yield read()
            while getattr(cursor, step)():
                yield read()

    return steps()


def stepping_scan(
    txn: lmdb.Transaction, *, start: bytes | None, stop: bytes | None, include_start: bool, include_stop: bool,
    reverse: bool, limit: int | None, dups: bool,
) -> Iterator[Pair]:  # fmt: skip
    """What a scan should be."""
    cursor = txn.cursor()

    def begin() -> bool:
        if not reverse:
            found = cursor.set_range(start) if start else cursor.first()
            return cursor.next_nodup() if found and cursor.key() == start and not include_start else found
        if stop is None or not cursor.set_range(stop):
            return cursor.last()
        if cursor.key() != stop or not include_stop:
            return cursor.prev()
        return cursor.last_dup() if cursor.db.flags()["dupsort"] else True

    def inside(key: bytes) -> bool:
        if reverse:
            return start is None or key > start or (key == start and include_start)
        return stop is None or key < stop or (key == stop and include_stop)

    def steps() -> Iterator[Pair]:
        step = getattr(cursor, ("prev" if reverse else "next") + ("" if dups else "_nodup"))
        given, found = 0, limit != 0 and begin()
        while found and inside(cursor.key()):
            yield cursor.item()
            given += 1
            found = given != limit and step()

    return steps()


KEYS = st.sampled_from([b"b", b"d", b"f", b"h", b"j"])
NEW = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"k", b"l" * 400])
VALUES = st.sampled_from([b"1", b"2", b"3", b"4", b"5" * 300])
EVERY = [(key, value) for key in (b"b", b"d", b"f", b"h", b"j") for value in (b"1", b"2", b"3")]
CURSORS = st.integers(0, 1)
FLAG = st.booleans()
MOVES = [*STEPS.values(), "first", "last", "item", "key", "value", "delete"]
BOUND = st.none() | NEW

OPERATIONS = st.one_of(
    *[st.tuples(st.just("iterate"), CURSORS, st.sampled_from(sorted(STEPS)), FLAG, FLAG)] * 2,
    st.tuples(st.just("scan"), st.fixed_dictionaries({
        "start": BOUND, "stop": BOUND, "include_start": FLAG, "include_stop": FLAG, "reverse": FLAG,
        "limit": st.none() | st.integers(0, 6), "dups": FLAG,
    })),
    *[st.tuples(st.just("take"), st.integers(0, 5), st.integers(1, 4))] * 6,
    st.tuples(st.just("forget"), st.integers(0, 5)),
    *[st.tuples(st.just("move"), CURSORS, st.sampled_from(MOVES))] * 4,
    st.tuples(st.just("delete_key"), CURSORS),
    st.tuples(st.just("seek"), CURSORS, st.sampled_from(["set_key", "set_range", "get"]), NEW),
    st.tuples(st.just("seek_pair"), CURSORS, st.sampled_from(["set_key_dup", "set_range_dup"]), KEYS, VALUES),
    st.tuples(st.just("cursor_put"), CURSORS, NEW, VALUES),
    st.tuples(st.just("count"), CURSORS),
    st.tuples(st.just("close"), CURSORS),
    st.tuples(st.just("put"), NEW, VALUES),
    st.tuples(st.just("putmany"), st.lists(st.tuples(NEW, VALUES), max_size=3)),
    st.tuples(st.just("getmany"), st.lists(NEW, max_size=3)),
    st.tuples(st.just("delete"), NEW, st.sampled_from([b"", b"2"])),
    st.tuples(st.just("pop"), NEW),
    st.tuples(st.just("replace"), NEW, VALUES),
    st.tuples(st.just("delete_range"), BOUND, BOUND),
    st.tuples(st.just("nested"), NEW, VALUES, FLAG),
    st.tuples(st.just("drop")),
)  # fmt: skip

# Most begin with a cursor somewhere in the middle, and an iteration of it.
BEGINNING: st.SearchStrategy[list[Any]] = st.just([]) | st.tuples(
    st.tuples(st.just("seek"), CURSORS, st.just("set_range"), NEW),
    st.tuples(st.just("move"), CURSORS, st.sampled_from(["next", "prev", "last_dup", "item"])),
    st.tuples(st.just("iterate"), CURSORS, st.sampled_from(sorted(STEPS)), FLAG, FLAG),
    st.tuples(st.just("take"), st.integers(0, 1), st.integers(1, 4)),
).map(list)


class Performance:
    """A script, done with the iterators of the binding or with those that step."""

    def __init__(self, txn: lmdb.Transaction, by_steps: bool) -> None:
        self.txn = txn
        self.by_steps = by_steps
        self.cursors = [txn.cursor(), txn.cursor()]
        self.iterators: list[Iterator[Any]] = []

    def iterate(self, cursor: int, method: str, keys: bool, values: bool) -> None:
        if self.by_steps:
            self.iterators.append(stepping(self.cursors[cursor], method, keys, values))
        else:
            self.iterators.append(getattr(self.cursors[cursor], method)(keys=keys, values=values))

    def scan(self, options: dict[str, Any]) -> None:
        self.iterators.append(stepping_scan(self.txn, **options) if self.by_steps else iter(self.txn.scan(**options)))

    def take(self, iterator: int, records: int) -> Any:
        if self.iterators:
            chosen = self.iterators[iterator % len(self.iterators)]
            return [copied(next(chosen, "end")) for _ in range(records)]
        return None

    def forget(self, iterator: int) -> None:
        if self.iterators:
            del self.iterators[iterator % len(self.iterators)]

    def move(self, cursor: int, method: str) -> Any:
        return copied(getattr(self.cursors[cursor], method)())

    def delete_key(self, cursor: int) -> Any:
        return self.cursors[cursor].delete(dupdata=True)

    def seek(self, cursor: int, method: str, key: bytes) -> Any:
        return copied(getattr(self.cursors[cursor], method)(key))

    def seek_pair(self, cursor: int, method: str, key: bytes, value: bytes) -> Any:
        return getattr(self.cursors[cursor], method)(key, value)

    def cursor_put(self, cursor: int, key: bytes, value: bytes) -> Any:
        return self.cursors[cursor].put(key, value)

    def count(self, cursor: int) -> Any:
        return self.cursors[cursor].count()

    def close(self, cursor: int) -> None:
        self.cursors[cursor].close()
        self.cursors.append(self.cursors.pop(cursor))  # the other one, or none, goes on in its place

    def put(self, key: bytes, value: bytes) -> Any:
        return self.txn.put(key, value)

    def putmany(self, pairs: list[Pair]) -> Any:
        return self.txn.putmany(pairs)

    def getmany(self, keys: list[bytes]) -> Any:
        return copied(self.txn.getmany(keys))

    def delete(self, key: bytes, value: bytes) -> Any:
        return self.txn.delete(key, value)

    def pop(self, key: bytes) -> Any:
        return self.txn.pop(key)

    def replace(self, key: bytes, value: bytes) -> Any:
        return self.txn.replace(key, value)

    def delete_range(self, start: bytes | None, stop: bytes | None) -> Any:
        return self.txn.delete_range(start=start, stop=stop)

    def nested(self, key: bytes, value: bytes, commit: bool) -> Any:
        with self.txn.env.begin(write=True, parent=self.txn, db=self.cursors[0].db) as child:
            child.put(key, value)
            seen = list(child.cursor())
            if not commit:
                child.abort()
        return seen

    def drop(self) -> None:
        self.txn.drop(self.cursors[0].db, delete=False)


def copied(found: Any) -> Any:
    if isinstance(found, memoryview):
        return bytes(found)
    return type(found)(map(copied, found)) if isinstance(found, (list, tuple)) else found


def trace(
    env: lmdb.Environment, db: Any, records: list[Pair], script: list[Any], *,
    watched: bool, by_steps: bool = False, buffers: bool = False,
) -> list[Any]:  # fmt: skip
    """What each operation of a script gives or raises, if watched where the cursors are after it, and what is left in
    the end; nothing of it is committed.
    """
    with env.begin(write=True, db=db, buffers=buffers) as txn:
        for pair in records:
            txn.put(*pair)
        performance = Performance(txn, by_steps)
        result: list[Any] = []
        # In the end all iterators to their ends, and what the cursors do then.
        ending: list[Any] = [("take", place, 1) for place in range(6)] + [("take", place, 40) for place in range(6)]
        ending += [("move", place, method) for place in (0, 1) for method in ("item", "prev", "item", "next", "item")]
        for operation, *arguments in script + ending:
            try:
                result.append((operation, getattr(performance, operation)(*arguments)))
            except lmdb.Error as problem:
                result.append((operation, type(problem), str(problem)))
            if watched:
                result.append([copied(cursor.item()) for cursor in performance.cursors if cursor._handle is not None])
        result.append(("all", copied(list(txn.cursor()))))
        txn.abort()
    return result


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    records=st.sampled_from([EVERY, EVERY[::2], EVERY[:3], []]) | st.lists(st.tuples(KEYS, VALUES), max_size=9),
    begin=st.tuples(*[BEGINNING] * 2).map(lambda parts: parts[0] + parts[1]),
    script=st.lists(OPERATIONS, max_size=30),
    watched=st.booleans(),
    sizes=st.sampled_from([(1, 1), (1, 4), (2, 4), (3, 9), (16, 4096)]),
    room=st.sampled_from([20, 30, 45, _streams.Output.CAPACITY]),
    buffers=st.booleans(),
)
def test_iterators_step(
    opened: Open, records: list[Pair], begin: list[Any], script: list[Any], watched: bool,
    sizes: tuple[int, int], room: int, buffers: bool,
) -> None:  # fmt: skip
    """Whatever happens between two records, an iterator gives what stepping would give, and leaves its cursor there.

    Not so in dupsort databases: LMDB's cursor over the values of a key does not learn of what happens to them elsewhere,
    nor that the outer one has met its end, so that stepping itself repeats and leaves out records there. The tests below
    have those cases where it is right, and test_paths compares with a model.
    """
    env = opened(map_size=1 << 24, sync=False)
    db = env.open_db(b"db")
    expected = trace(env, db, records, begin + script, watched=watched, by_steps=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_iteration, "FIRST", sizes[0])
        patch.setattr(_iteration, "GROWTH", 2)
        patch.setattr(_iteration, "MOST", sizes[1])
        patch.setattr(_streams.Output, "CAPACITY", room)
        patch.setattr(_columns.Column, "CAPACITY", room)
        if bulk := env._engine.bulk:
            patch.setattr(bulk, "_spare", {kind: [] for kind in bulk._spare})
        found = trace(env, db, records, begin + script, watched=watched, buffers=buffers)
    env.close()
    assert found == expected


# -- what an iterator sees of writes -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("scan", [False, True], ids=["cursor", "scan"])
def test_writes_at_every_position(env: lmdb.Environment, reverse: bool, scan: bool) -> None:
    """After any number of records, one stored ahead comes, one stored behind does not, and one deleted ahead is gone."""
    for taken in range(1, 10):
        with env.begin(write=True) as txn:
            txn.putmany([(number(2 * place), b"") for place in range(10)])
            keys = [number(2 * place) for place in range(10)]
            cursor = txn.cursor()
            iterator = iter(txn.scan(values=False, reverse=reverse) if scan else
                            cursor.iterprev(values=False) if reverse else cursor.iternext(values=False))  # fmt: skip
            keys.sort(reverse=reverse)
            seen = list(islice(iterator, taken))
            at = int.from_bytes(seen[-1], "big")
            onwards = -1 if reverse else 1
            txn.put(number(at + onwards), b"")
            if at != (18 if reverse else 0):
                txn.put(number(at - onwards), b"")
            txn.delete(number(at + 2 * onwards))
            assert seen + list(iterator) == [*keys[:taken], number(at + onwards), *keys[taken + 1 :]]
            txn.abort()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("method", sorted(STEPS))
def test_cursor_is_on_the_record_given(env: lmdb.Environment, method: str) -> None:
    """After each record the cursor is on it, and is unset in the end."""
    with env.begin(write=True, db=env.open_db(b"d", dupsort=True)) as txn:
        txn.putmany([(bytes([key]), bytes([value])) for key in b"abc" for value in b"12345"])
        cursor = txn.cursor()
        cursor.set_key_dup(b"b", b"3")
        given = 0
        for pair in getattr(cursor, method)(keys=True, values=True):
            assert cursor.item() == pair
            given += 1
        assert given == {"dup": 3, "nodup": 2}.get(method.rpartition("_")[2], 8)
        assert cursor.item() == (b"", b"")


@pytest.mark.usefixtures("small")
def test_delete_by_the_cursor_while_iterating(ten: lmdb.Transaction) -> None:
    """Cursor.delete() takes the record given last, and the iteration steps from where it leaves the cursor."""
    cursor = ten.cursor()
    iterator = cursor.iternext(values=False)
    assert [next(iterator), next(iterator)] == [number(0), number(2)]
    assert cursor.delete()
    assert cursor.key() == number(4)
    assert ten.get(number(2)) is None
    assert list(ten.cursor().iternext(values=False)) == [number(0), *(number(2 * place) for place in range(2, 10))]


def test_ten_thousand_records_and_a_write_in_the_middle(env: lmdb.Environment) -> None:
    """One write in a long iteration is seen, and the rest is read in batches again or not, but completely."""
    with env.begin(write=True) as txn:
        txn.putmany([(number(2 * place), number(place) * 8) for place in range(10_000)], append=True)
        seen = []
        for key, value in txn.cursor():
            seen.append(key)
            assert value == number(int.from_bytes(key, "big") // 2) * 8
            if len(seen) == 5000:
                txn.put(number(10_001), number(5000) * 8)
                txn.delete(number(10_000))
        assert seen == [number(place if place != 10_000 else 10_001) for place in range(0, 20_000, 2)]


@pytest.mark.parametrize("use", ["key", "put", "delete"])
@pytest.mark.parametrize("at", range(1, 9))
def test_something_where_a_batch_was_full(opened: Open, use: str, at: int) -> None:
    """Where the room of a batch was full, not its number reached, what happens behind any record is seen, and every
    record still comes once.
    """
    records = [(number(place), bytes(100_000)) for place in range(9)]  # two or three fill the room
    with opened(map_size=1 << 24).begin(write=True) as txn:
        txn.putmany(records)
        for iterator in (cursor := txn.cursor(), txn.scan()):
            seen = []
            for key, value in iterator:
                seen.append((key, value))
                if len(seen) == at and use == "put":
                    txn.put(number(100), b"")
                elif len(seen) == at and use == "delete":
                    txn.delete(key)
                elif len(seen) == at:
                    cursor.key()
            assert seen == records + ([(number(100), b"")] if use == "put" else [])
            txn.delete(number(100))
            txn.putmany(records)


def test_a_write_after_every_record(env: lmdb.Environment) -> None:
    """Where each record read is replaced, each comes once."""
    with env.begin(write=True) as txn:
        txn.putmany([(number(place), b"old") for place in range(2000)])
        for place, (key, value) in enumerate(txn.cursor()):
            assert (key, value) == (number(place), b"old")
            assert txn.put(key, b"new" * 20)
        assert place == 1999
        assert set(txn.scan(keys=False)) == {b"new" * 20}


@pytest.mark.usefixtures("small")
def test_limit_counts_what_was_given(ten: lmdb.Transaction) -> None:
    """What is read ahead and forgotten does not count against a scan's limit."""
    iterator = iter(ten.scan(limit=6, values=False))
    seen = []
    for place in range(6):
        seen.append(next(iterator))
        ten.put(number(2 * place + 1), b"between")
    assert seen == [number(place) for place in range(6)]
    assert next(iterator, None) is None


@pytest.mark.usefixtures("small")
def test_end_is_not_read_ahead(ten: lmdb.Transaction) -> None:
    """A record stored behind the last one, while that is the one given last, still comes; after the end none does."""
    for iterator in (ten.cursor().iternext(values=False), iter(ten.scan(values=False, start=number(0)))):
        last = next(islice(iterator, 9, 10))
        assert last == number(18)
        ten.put(number(20), b"")
        assert list(iterator) == [number(20)]
        ten.put(number(22), b"")
        assert list(iterator) == []
        ten.delete_range(start=number(20))


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_end_met_ahead(env: lmdb.Environment, reverse: bool) -> None:
    """That reading ahead has met the end is forgotten by the first write: what is stored there takes the place of the
    record given last, which is deleted.
    """
    with env.begin(write=True) as txn:
        txn.put(number(2), b"")
        cursor = txn.cursor()
        iterator = cursor.iterprev(values=False) if reverse else cursor.iternext(values=False)
        assert next(iterator) == number(2)
        txn.put(number(1 if reverse else 3), b"")
        txn.delete(number(2))
        assert list(iterator) == [number(1 if reverse else 3)]


@pytest.mark.usefixtures("small")
def test_nested_transaction_between_records(env: lmdb.Environment, ten: lmdb.Transaction) -> None:
    """What a nested transaction commits is seen; what it aborts is not."""
    iterator = ten.cursor().iternext(values=False)
    assert next(iterator) == number(0)
    with env.begin(write=True, parent=ten) as child:
        child.put(number(1), b"")
    with env.begin(write=True, parent=ten) as child:
        child.put(number(3), b"")
        child.abort()
    assert [next(iterator), next(iterator), next(iterator)] == [number(1), number(2), number(4)]


def test_drop_between_records(env: lmdb.Environment) -> None:
    """An emptied database has no more records; the iteration over one that is deleted raises."""
    database = env.open_db(b"db")
    with env.begin(write=True, db=database) as txn:
        txn.putmany([(number(place), b"") for place in range(10)])
        iterator = txn.cursor().iternext()
        next(iterator)
        txn.drop(database, delete=False)
        assert list(iterator) == []
        txn.putmany([(number(place), b"") for place in range(10)])
        scan = iter(txn.scan())
        next(scan)
        cursor = txn.cursor()
        iterator = cursor.iternext()
        next(iterator)
        txn.drop(database)
        for gone in (scan, iterator):
            with pytest.raises(lmdb.Error, match=GONE):
                next(gone)


def test_snapshot_of_a_read_transaction(env: lmdb.Environment) -> None:
    """An iteration in a read transaction sees nothing of what is committed meanwhile."""
    with env.begin(write=True) as txn:
        txn.putmany([(number(place), b"old") for place in range(1000)])
    with env.begin() as reader:
        iterators = [reader.cursor().iternext(), iter(reader.scan())]
        seen = [[next(iterator)] for iterator in iterators]
        with env.begin(write=True) as txn:
            txn.delete_range()
            txn.put(b"new", b"new")
        for iterator, records in zip(iterators, seen, strict=True):
            assert records + list(iterator) == [(number(place), b"old") for place in range(1000)]


# -- iterations beside each other -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
def test_two_iterators_of_one_cursor_share_its_position(ten: lmdb.Transaction) -> None:
    """Each steps from where the other has left the cursor."""
    cursor = ten.cursor()
    first, second = cursor.iternext(values=False), cursor.iternext(values=False)
    assert next(first) == number(0)
    assert next(second) == number(0)  # begins at the position, without a step
    assert [next(first), next(second), next(second), next(first)] == [number(key) for key in (2, 4, 6, 8)]
    back = cursor.iterprev(values=False)
    assert [next(back), next(back), next(first)] == [number(8), number(6), number(8)]


@pytest.mark.usefixtures("small")
def test_iterators_of_two_cursors_are_apart(ten: lmdb.Transaction) -> None:
    """Iterations of two cursors, interleaved, each give every record."""
    forward, backward = ten.cursor().iternext(values=False), ten.cursor().iterprev(values=False)
    pairs = list(zip(forward, backward, strict=True))
    assert pairs == [(number(2 * place), number(18 - 2 * place)) for place in range(10)]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("movement", ["next", "prev", "first", "last"])
def test_movement_between_records(ten: lmdb.Transaction, movement: str) -> None:
    """The iteration goes on from where the cursor was moved to."""
    cursor = ten.cursor()
    iterator = cursor.iternext(values=False)
    assert list(islice(iterator, 4))[-1] == number(6)
    getattr(cursor, movement)()
    after = {"next": 10, "prev": 6, "first": 2, "last": None}[movement]
    assert next(iterator, None) == (None if after is None else number(after))


@pytest.mark.usefixtures("small")
def test_dropped_iterator_leaves_the_cursor(ten: lmdb.Transaction) -> None:
    """An iterator that nobody has any more leaves its cursor on the record given last."""
    cursor = ten.cursor()
    iterator = cursor.iternext()
    for _ in range(3):
        next(iterator)
    del iterator
    gc.collect()
    assert cursor.key() == number(4)
    assert next(cursor.iternext(values=False)) == number(4)
    for _ in islice(ten.scan(), 3):
        pass
    assert ten.put(number(5), b"")
    assert cursor.next()
    assert cursor.key() == number(5)


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
@pytest.mark.parametrize("begun", [False, True], ids=["fresh", "begun"])
@pytest.mark.parametrize("end", ["close", "commit", "abort", "close environment"])
def test_iterating_after_the_end(env: lmdb.Environment, write: bool, begun: bool, end: str) -> None:
    """An iterator raises once its cursor or its transaction has ended, even where a batch was read; then it is at its
    end.
    """
    with env.begin(write=True) as txn:
        txn.putmany([(number(place), b"") for place in range(100)])
    txn = env.begin(write=write)
    cursor = txn.cursor()
    iterators = [cursor.iternext(), *([] if end == "close" else [iter(txn.scan())])]
    if begun:
        for iterator in iterators:
            next(iterator)
            next(iterator)
    if end == "close environment":
        env.close()
    elif end == "close":
        cursor.close()
    else:
        getattr(txn, end)()
    for iterator in iterators:
        with pytest.raises(lmdb.Error, match=GONE):
            next(iterator)
        assert next(iterator, None) is None
    txn.abort()


def test_a_scan_needs_no_name(env: lmdb.Environment) -> None:
    """An iterator keeps what it needs: cursor, transaction and environment."""
    with env.begin(write=True) as txn:
        txn.putmany([(number(place), b"") for place in range(100)])
    iterator = iter(env.begin().scan(values=False))
    gc.collect()
    assert list(iterator) == [number(place) for place in range(100)]
