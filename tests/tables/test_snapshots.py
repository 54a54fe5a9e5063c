"""Records that are read in place: how long they live, and that nothing reads what is LMDB's again."""

from __future__ import annotations

import gc
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import flatc_wheel
import lmdb_bindings as lmdb
from lmdb_bindings import _plain
from lmdb_bindings.tables import DamagedError, Index, Table, keys
from lmdb_bindings.tables.flatbuffers import FlatBuffers, Reader

SCHEMA = """
table Leaf { name: string (required); weight: double = 0.5; children: [Leaf]; numbers: [double]; raw: [ubyte]; }
root_type Leaf;
"""
ENDED = r"the transaction that this record was read in has ended: read it within, or take record\.copy\(\)"
LEAF = {"name": "one", "weight": 2.0, "children": [{"name": "child"}], "numbers": [1.0, 2.0], "raw": b"abc"}


@pytest.fixture
def table(env: lmdb.Environment) -> Table[int, Any]:
    table: Table[int, Any] = Table(env, "leaves", key=keys.uint32, value=FlatBuffers(SCHEMA.encode()))
    table.update({number: {**LEAF, "name": f"leaf {number}"} for number in range(10)})
    return table


def refuse_all(record: Any) -> None:
    """Every use of a record whose transaction has ended says so."""
    uses: list[Callable[[], Any]] = [
        lambda: record.weight, lambda: record.name, lambda: record.children, lambda: record.numbers, lambda: record.raw,
        record.to_dict, record.copy, lambda: record == record.__class__.__new__(record.__class__),
    ]  # fmt: skip
    for use in uses[:-1]:
        with pytest.raises(lmdb.Error, match=ENDED):
            use()
    assert "has ended" in repr(record)


def test_a_record_is_read_in_the_page(table: Table[int, Any]) -> None:
    """Nothing is copied: its window is memory of the map, and two look-ups lead to the same place."""
    with table.begin() as snapshot:
        record = snapshot[3]
        assert isinstance(record._window, memoryview)
        assert record._window.readonly
        assert record.name == "leaf 3"
        again = snapshot[3]
        assert (again._window, again._position) == (record._window, record._position)


@pytest.mark.parametrize("end", ["commit", "abort", "env", "collector"])
def test_a_record_ends_with_its_transaction(table: Table[int, Any], end: str) -> None:
    """However that ends: the record, its parts, and vectors say so; copies live on."""
    txn = table.env.begin()
    bound = table.within(txn)
    record, copy = bound[1], bound[2].copy()
    child, children = record.children[0], record.children
    assert child.name == "child"
    if end == "env":
        table.env.close()
    elif end == "collector":
        del txn, bound
        gc.collect()
    else:
        getattr(txn, end)()
    refuse_all(record)
    refuse_all(child)
    with pytest.raises(lmdb.Error, match=ENDED):
        children[0]
    assert copy.to_dict()["name"] == "leaf 2"
    assert copy.children[0].copy().name == "child"


def test_reading_on_after_the_end_is_refused(table: Table[int, Any]) -> None:
    """Also of keys that were looked up before."""
    with table.begin() as snapshot:
        snapshot[1]
    with pytest.raises(lmdb.Error, match=r"closed/deleted/dropped|has ended"):
        snapshot[1].name  # noqa: B018
    with pytest.raises(lmdb.Error, match="closed/deleted/dropped"):
        snapshot[2]


def test_a_snapshot_does_not_see_what_comes_later(table: Table[int, Any]) -> None:
    """What is kept of a look-up is the snapshot's own."""
    with table.begin() as snapshot:
        before = snapshot[1]
        table[1] = {"name": "new"}
        del table[2]
        assert (before.name, snapshot[1].name, snapshot[2].name) == ("leaf 1", "leaf 1", "leaf 2")
    with table.begin() as snapshot:
        assert snapshot[1].name == "new"
        assert 2 not in snapshot


def test_outside_of_a_read_transaction_records_are_copies(table: Table[int, Any]) -> None:
    """In a write transaction, whose pages change, nested or not, and where the table is not bound: they live on."""
    unbound = table[1]
    with table.begin(write=True) as bound:
        record = bound[1]
        bound[1] = {"name": "changed " * 1000}
        with bound.env.begin(write=True, parent=bound._txn) as nested:
            inner = table.within(nested)[1]
        listed = list(bound.values())
    assert (unbound.name, record.name, inner.name, listed[0].name) == ("leaf 1", "leaf 1", "changed " * 1000, "leaf 0")
    assert [record.name for record in table.values()][2] == "leaf 2"


def test_a_spare_transaction_ends_records_too(opened: Callable[..., lmdb.Environment]) -> None:
    """LMDB's is kept and begun again; the records of the first time are not read by the second."""
    env = opened(max_spare_txns=1)
    table: Table[int, Any] = Table(env, "leaves", key=keys.uint32, value=FlatBuffers(SCHEMA.encode()))
    table[1] = {"name": "old"}
    with table.begin() as snapshot:
        old = snapshot[1]
    table[1] = {"name": "new"}
    with table.begin() as snapshot:
        assert snapshot[1].name == "new"
        refuse_all(old)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="it has no way to tell; records give no such views")
@pytest.mark.parametrize(
    "take", [memoryview, lambda window: window[:], lambda window: pickle.PickleBuffer(window).raw()]
)
def test_memory_taken_by_others_keeps_the_snapshot(table: Table[int, Any], take: Callable[[Any], Any]) -> None:
    """Whoever has taken memory of a window holds LMDB's transaction, and its pages, until he lets go."""
    with table.begin() as snapshot:
        record = snapshot[1]
        begin, size = record._extent >> 32, record._extent & 0xFFFFFFFF
        taken = take(record._window)
        assert b"leaf 1" in bytes(taken[begin : begin + size])
    assert table.env._snapshots
    table[1] = {"name": "other"}
    assert b"leaf 1" in bytes(taken[begin : begin + size])
    del record, taken
    gc.collect()
    assert not table.env._snapshots


def test_no_database_is_opened_where_records_are_read_in_place(table: Table[int, Any]) -> None:
    """Since the end of that transaction might wait; in one that has opened a database, records are copies."""
    table[1] = {"name": "x"}
    with table.begin() as snapshot, pytest.raises(lmdb.Error, match="open tables and databases before"):
        snapshot.env.open_db(b"leaves:none", snapshot._txn)
    with table.env.begin(write=True) as txn:
        table.env.open_db(b"other", txn)
    path, options = table.env.path(), table.env._options
    table.env.close()
    with lmdb.open(path, max_dbs=16, lib_version=options["lib_version"]) as env:
        table = Table(env, "leaves")
        txn = env.begin()
        env.open_db(b"other", txn, create=False)
        record = table.within(txn)[1]
        txn.commit()
        assert record.name == "x"


def test_what_is_kept_of_look_ups_is_bounded(table: Table[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Older ones are forgotten, and looked up again."""
    monkeypatch.setattr(Reader, "KEPT", 3)
    with table.begin() as snapshot:
        for _ in range(2):
            assert [snapshot[number].name for number in range(10)] == [f"leaf {number}" for number in range(10)]
        assert len(snapshot._reader._kept) <= 3


def test_a_record_is_verified_once_in_a_snapshot(table: Table[int, Any]) -> None:
    """The second look-up of a key does not call native code."""
    with table.begin() as snapshot:
        reader, calls = snapshot._reader, []
        read = reader._look_up.read
        reader._look_up.read = lambda *arguments: calls.append(arguments[1]) or read(*arguments)
        for key in (1, 2, 1, 1, 2):
            assert snapshot[key].weight == 2.0
        assert calls == [keys.uint32.encode(1), keys.uint32.encode(2)]


def test_queries_read_in_place(table: Table[int, Any]) -> None:
    """Ranges, and look-ups by an index."""
    table.add_index("by_name", Index("name", keys.string, unique=True))
    with table.begin() as snapshot:
        found = list(snapshot.range(3, 6).values())
        found += list(snapshot.by("by_name").range("leaf 8").values())
        assert [record.name for record in found] == ["leaf 3", "leaf 4", "leaf 5", "leaf 8", "leaf 9"]
        assert all(isinstance(record._window, memoryview) for record in found)
    for record in found:
        refuse_all(record)


def test_an_iteration_gives_what_stands_before_a_damaged_record(table: Table[int, Any]) -> None:
    """And then raises, with the table and the key; also where it gives keys, in reverse, and in any place of a batch."""
    for bad in (0, 5, 9):
        with table.env.begin(write=True) as txn:
            good = txn.get(keys.uint32.encode(bad), db=table._stored.database)
            txn.put(keys.uint32.encode(bad), b"\x10\0\0\0" * 3, db=table._stored.database)
        with table.begin() as snapshot:
            for query, before in (
                (snapshot.range(), range(bad)),
                (snapshot.range(reverse=True), range(9, bad, -1)),
            ):
                for things in (query, query.values()):
                    found: list[Any] = []
                    with pytest.raises(DamagedError, match=r"table 'leaves', key b'.*': .*an offset points outside"):
                        found += iter(things)  # a list takes what comes before an exception too
                    names = [(thing[1] if isinstance(thing, tuple) else thing).name for thing in found]
                    assert names == [f"leaf {number}" for number in before]
        with table.env.begin(write=True) as txn:
            txn.put(keys.uint32.encode(bad), good, db=table._stored.database)


def test_an_iteration_verifies_large_records_once(table: Table[int, Any]) -> None:
    """Small ones, which are verified in the time of a look, each time."""
    for size, calls in ((10, [10, 10]), (2000, [10, 0])):
        table.update({number: {"name": f"leaf {number}", "numbers": [1.0] * size} for number in range(10)})
        with table.begin() as snapshot:
            schema, counts = snapshot._reader._schema, []
            verify = schema.lib.flatdb_verify_many

            class Counting:
                def __getattr__(self, name: str, lib: Any = schema.lib) -> Any:
                    return getattr(lib, name)

                def flatdb_verify_many(self, handle: Any, records: Any, count: Any, failure: Any,
                                       verify: Any = verify, counts: Any = counts) -> Any:  # fmt: skip
                    counts.append(count[0])
                    return verify(handle, records, count, failure)

            schema.lib, lib = Counting(), schema.lib
            try:
                for expected in calls:
                    assert [record.name for record in snapshot.values()] == [f"leaf {number}" for number in range(10)]
                    assert sum(counts) == expected
                    counts.clear()
            finally:
                schema.lib = lib


def test_an_iteration_goes_on_beyond_a_batch(table: Table[int, Any]) -> None:
    """Of small and of large records, by the bulk library or without."""
    table.update({number: {"name": f"leaf {number}", "raw": bytes(number)} for number in range(2000)})
    engine = table.env._engine
    for bulk in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not bulk:
                for name, value in (("bulk", None), ("records", _plain)):
                    patch.setattr(engine, name, value)
            with table.begin() as snapshot:
                found = list(snapshot.items())
                assert [(key, record.name, len(record.raw)) for key, record in found] == [
                    (number, f"leaf {number}", number) for number in range(2000)
                ]
                assert all(isinstance(record._window, memoryview) for _, record in found)
                assert [record.name for record in snapshot.range(limit=3).values()] == ["leaf 0", "leaf 1", "leaf 2"]
                iterator = iter(snapshot.values())
                next(iterator)
            with pytest.raises(lmdb.Error, match=r"has ended|closed/deleted/dropped"):
                list(iterator)


def test_records_of_many_threads_end_at_once(table: Table[int, Any]) -> None:
    """Threads that read on while the transaction ends get values, and then the error; never anything else."""
    for _ in range(20):
        txn = table.env.begin()
        bound = table.within(txn)
        outcomes: list[str] = []
        started = threading.Barrier(4)

        def read(
            bound: Table[int, Any] = bound, started: threading.Barrier = started, outcomes: Any = outcomes
        ) -> None:
            records = [bound[number] for number in range(10)]
            started.wait()
            try:
                while True:
                    for number, record in enumerate(records):
                        assert record.name == f"leaf {number}"
                        assert bound[number].weight == 2.0
            except lmdb.Error as problem:
                outcomes.append(str(problem))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        txn.abort()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 3
        assert all("has ended" in outcome or "closed/deleted/dropped" in outcome for outcome in outcomes)


class HandlerError(Exception):
    """Raised by a handler of a signal."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no such timers here")
@pytest.mark.parametrize("raises", [False, True])
def test_a_handler_of_a_signal_may_look_up_too(table: Table[int, Any], raises: bool) -> None:
    """In the middle of a look-up of its thread, and raise there: neither waits for the other, now or later."""
    chance, calls, inside = random.Random(5), 0, False
    with table.begin() as snapshot:

        def handle(*_: object) -> None:
            nonlocal calls, inside
            calls += 1
            mine = calls % 10
            assert snapshot[mine].name == f"leaf {mine}"
            if inside:
                inside = False
                raise HandlerError

        old = signal.signal(signal.SIGALRM, handle)
        end = time.monotonic() + 2
        try:
            while time.monotonic() < end:
                with suppress(HandlerError):
                    inside = raises
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 1e-4))
                    for number in range(10):
                        snapshot._reader._kept.clear()
                        assert snapshot[number].name == f"leaf {number}"
                    inside = False
                inside = False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        assert calls > 100
        assert snapshot._txn._lock.token == [None]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_does_not_read_the_parents_records(table: Table[int, Any]) -> None:
    """The parent's transaction may end at any time, and its pages change."""
    with table.begin() as snapshot:
        record = snapshot[1]
        child = os.fork()
        if child == 0:
            status = 1
            try:
                refuse_all(record)
                with pytest.raises(lmdb.Error):
                    snapshot[1].name  # noqa: B018
                with pytest.raises(lmdb.Error):
                    snapshot[2]
                with table.begin() as own:
                    status = 0 if own[1].name == "leaf 1" else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert record.name == "leaf 1"


CLOSED = """
import sys
import lmdb_bindings as lmdb
from lmdb_bindings.tables import Table, keys
from lmdb_bindings.tables.flatbuffers import FlatBuffers

env = lmdb.open(sys.argv[1], max_dbs=4, lib_version=int(sys.argv[2]))
table = Table(env, "t", key=keys.uint8, value=FlatBuffers(sys.argv[3].encode()))
table[1] = {"name": "one", "children": [{"name": "child"}] * 100}
txn = env.begin()
records = [table.within(txn)[1]]
records += [record for record in records[0].children]
env.close()  # the map is gone: a read of it would be a crash
failed = 0
for record in records:
    try:
        record.name
    except lmdb.Error:
        failed += 1
print(failed)
"""


def test_nothing_reads_a_map_that_is_gone(engine: int, tmp_path: Path) -> None:
    """Every record of an environment that was closed raises."""
    command = [sys.executable, "-X", "faulthandler", "-c", CLOSED, str(tmp_path), str(engine), SCHEMA]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "101\n"), done.stderr


def test_pages_that_are_remapped_give_copies(tmp_path: Path) -> None:
    """Where engine 1.0 checks or encrypts pages, it may map them elsewhere at any time."""
    with lmdb.open(tmp_path / "checked", max_dbs=4, checksum="crc32c") as env:
        table: Table[int, Any] = Table(env, "leaves", key=keys.uint32, value=FlatBuffers(SCHEMA.encode()))
        table[1] = LEAF
        with table.begin() as snapshot:
            record = snapshot[1]
        assert record.children[0].name == "child"


# -- classes that flatc generated --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def leaf_class(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The class of ``Leaf`` that flatc generates."""
    source = tmp_path_factory.mktemp("generated") / "leaf.fbs"
    source.write_text(SCHEMA)
    [file] = flatc_wheel.compile(source, "python", source.parent, options=["--gen-onefile"])
    namespace: dict[str, Any] = {"__name__": "generated"}
    exec(compile(file.read_text(), file, "exec"), namespace)
    return namespace["Leaf"]


@pytest.fixture
def generated(env: lmdb.Environment, leaf_class: Any) -> Table[int, Any]:
    codec = FlatBuffers(SCHEMA.encode(), reader=leaf_class)
    table: Table[int, Any] = Table(env, "g", key=keys.uint8, value=codec, indexes={"name": Index("name", keys.string)})
    table[1] = LEAF
    return table


def test_generated_classes_read_in_place_and_keep_the_snapshot(generated: Table[int, Any], leaf_class: Any) -> None:
    """They are given for each value, bound to a transaction or not; one that was read in place shows what was there."""
    assert type(generated[1]) is leaf_class
    assert generated[1].Name() == b"one"
    with generated.begin() as snapshot:
        leaf = snapshot[1]
        assert isinstance(leaf._tab.Bytes, memoryview)
        assert snapshot.get(2) is None
    generated[1] = {"name": "two"}
    assert (leaf.Name(), leaf.Children(0).Name(), generated[1].Name()) == (b"one", b"child", b"two")
    generated[3] = leaf
    assert [found.Name() for found in generated.by("name").range().values()] == [b"one", b"two"]
    assert generated.env._snapshots
    del leaf
    gc.collect()
    assert not generated.env._snapshots
    assert Table[int, Any](generated.env, "g")[3].name == "one"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="NumPy is installed for CPython alone")
def test_an_array_of_numpys_keeps_the_snapshot(generated: Table[int, Any]) -> None:
    """Generated code gives arrays of the page itself."""
    with generated.begin() as snapshot:
        numbers = snapshot[1].NumbersAsNumpy()
    generated.env.close()
    assert numbers.tolist() == [1.0, 2.0]
    assert not numbers.flags.writeable
    with pytest.raises(lmdb.Error, match="already open"):
        lmdb.open(generated.env._path, max_dbs=4)
    del numbers


def test_generated_classes_see_their_record_alone(generated: Table[int, Any]) -> None:
    """What they were to read beyond it would raise, not crash."""
    with generated.begin() as snapshot:
        leaf = snapshot[1]
        assert len(leaf._tab.Bytes) == len(FlatBuffers(SCHEMA.encode()).encode(LEAF))
        with pytest.raises(Exception, match=r"unpack|range|buffer"):
            leaf._tab.Get(__import__("flatbuffers").number_types.Int32Flags, 1 << 20)
