"""What is closed stays closed, whatever order and whatever thread it ends in.

Each way that could crash the interpreter runs in a process of its own.
"""

from __future__ import annotations

import gc
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _registry

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"

Open = Callable[..., lmdb.Environment]
Python = Callable[..., str]

# -- every method ----------------------------------------------------------------------------------------------------

ENVIRONMENT: dict[str, tuple[Any, ...]] = {
    "path": (), "stat": (), "info": (), "flags": (), "max_key_size": (), "max_readers": (), "reader_check": (), "readers": (), "dbs": (),
    "sync": (True,), "copy": ("copy", True), "copyfd": (1,), "set_mapsize": (1 << 24,), "open_db": (b"db",), "begin": (),
    "update": (print,), "rollback": (1,), "dump_incremental": (1, 0), "load_incremental": (0,),
}  # fmt: skip
TRANSACTION: dict[str, tuple[Any, ...]] = {
    "id": (), "address": (), "stat": (), "get": (b"key",), "put": (b"key", b"value"), "delete": (b"key",), "cursor": (), "commit": (), "prepare": (), "replace": (b"key", b"value"),
    "pop": (b"key",), "getmany": ([b"key"],), "putmany": ([(b"key", b"value")],), "count_range": (), "delete_range": (),
    "__enter__": (),
}  # fmt: skip
CURSOR: dict[str, tuple[Any, ...]] = {
    "first": (), "first_dup": (), "last": (), "last_dup": (), "next": (), "next_dup": (), "next_nodup": (), "prev": (),
    "prev_dup": (), "prev_nodup": (), "set_key": (b"key",), "set_key_dup": (b"key", b"value"), "set_range": (b"key",),
    "set_range_dup": (b"key", b"value"), "key": (), "value": (), "item": (), "get": (b"key",), "count": (),
    "put": (b"key", b"value"), "delete": (), "__iter__": (), "iternext": (), "iternext_dup": (), "iternext_nodup": (),
    "iterprev": (), "iterprev_dup": (), "iterprev_nodup": (), "getmulti": ([b"key"],), "putmulti": ([(b"key", b"value")],),
    "replace": (b"key", b"value"), "pop": (b"key",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "table", "others"),
    [
        (lmdb.Environment, ENVIRONMENT, {"close", "lib_version"}),
        (lmdb.Transaction, TRANSACTION, {"abort", "drop", "scan"}),
        (lmdb.Cursor, CURSOR, {"close"}),
    ],
)
def test_every_method_is_here(kind: type, table: dict[str, Any], others: set[str]) -> None:
    """The tables above have every public method: the others may be called at any time, and drop() is tested apart."""
    public = {name for name, _ in inspect.getmembers(kind, inspect.isroutine) if not name.startswith("_")}
    assert public == {name for name in table if not name.startswith("_")} | others


def expect_gone(thing: object, table: dict[str, tuple[Any, ...]]) -> None:
    for name, arguments in table.items():
        with pytest.raises(lmdb.Error, match=GONE) as caught:
            getattr(thing, name)(*arguments)
        assert type(caught.value) is lmdb.Error, name


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("moved", [True, False])
def test_after_close(opened: Open, write: bool, moved: bool) -> None:
    """After close() of the environment, nothing that was made from it can be used, and closing again is allowed."""
    env = opened()
    database = env.open_db(b"db", dupsort=True)
    with env.begin(write=True, db=database) as txn:
        txn.put(b"key", b"value")
    txn = env.begin(write=write, db=database)
    cursor = txn.cursor()
    assert not moved or cursor.first()
    iterator = iter(cursor)
    env.close()
    with pytest.raises(lmdb.Error, match=GONE):
        next(iterator)
    for _ in range(2):
        env.close()
        expect_gone(env, ENVIRONMENT)
        expect_gone(txn, TRANSACTION)
        expect_gone(cursor, CURSOR)
        for use in (lambda: txn.drop(database), lambda: env.begin(write=True)):
            with pytest.raises(lmdb.Error, match=GONE):
                use()
        txn.abort()
        cursor.close()
    assert env.lib_version() in {(0, 9, 36), (1, 0, 2)}
    assert database.flags()["dupsort"] is True


@pytest.mark.parametrize("end", ["commit", "abort"])
@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("spare", [0, 1])
def test_after_the_end_of_the_transaction(opened: Open, end: str, write: bool, spare: int) -> None:
    """After the end of a transaction neither it nor its cursors can be used, though a spare one lives on in LMDB."""
    env = opened(max_spare_txns=spare)
    txn = env.begin(write=write)
    cursor = txn.cursor()
    getattr(txn, end)()
    following = env.begin(write=write)
    expect_gone(txn, TRANSACTION)
    expect_gone(cursor, CURSOR)
    with pytest.raises(lmdb.Error, match=GONE):
        txn.drop(env.open_db())
    txn.abort()
    cursor.close()
    assert following.stat()["entries"] == 0


def test_after_the_close_of_the_cursor(env: lmdb.Environment) -> None:
    """After close() of a cursor it cannot be used, and its transaction can."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
        for moved in (True, False):
            cursor = txn.cursor()
            assert not moved or cursor.first()
            cursor.close()
            expect_gone(cursor, CURSOR)
            cursor.close()
        assert txn.get(b"key") == b"value"


@pytest.mark.counts_references
@pytest.mark.parametrize("order", ["ctp", "cpt", "tcp", "tpc", "pct", "ptc"])
@pytest.mark.parametrize("way", ["close", "drop"])
def test_order_of_the_end(opened: Open, order: str, way: str) -> None:
    """A cursor, its nested transaction, and the parent may be closed, or dropped, in any order."""
    env = opened()
    parent = env.begin(write=True)
    parent.put(b"key", b"value")
    outer = parent.cursor()
    child = env.begin(write=True, parent=parent)
    things: dict[str, Any] = {"p": parent, "t": child, "c": child.cursor()}
    del parent, child
    for name in order:
        thing = things.pop(name)
        if way == "close":
            (thing.close if name == "c" else thing.abort)()
        del thing
    outer.close()
    del outer
    with env.begin(write=True) as txn:
        assert txn.get(b"key") is None


# -- dropped without an end --------------------------------------------------------------------------------------------


@pytest.mark.counts_references
def test_environment_that_is_dropped(opened: Open, tmp_path: Path) -> None:
    """An environment that is dropped without close() is closed, and its transactions with it."""
    lock = opened("held")
    for _ in range(3):
        env = lmdb.open(tmp_path / "dropped")
        reader, writer = env.begin(), env.begin(write=True)
        writer.put(b"key", b"value")
        cursor, iterator = writer.cursor(), iter(reader.cursor())
        del env, reader, writer, cursor, iterator
        gc.collect()
    with lmdb.open(tmp_path / "dropped") as env:
        assert env.stat()["entries"] == 0
        assert env.info()["num_readers"] == 1
    assert lock.stat()["entries"] == 0


def test_transaction_outlives_the_name_of_its_environment(tmp_path: Path) -> None:
    """A transaction keeps its environment open, a cursor its transaction, and an iterator its cursor."""
    env = lmdb.open(tmp_path / "env")
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    iterator = iter(env.begin().cursor())
    del env, txn
    gc.collect()
    assert next(iterator) == (b"key", b"value")


def test_cursor_that_is_collected_late(env: lmdb.Environment) -> None:
    """A cursor that is collected after the end of its transaction, and after others came, disturbs nobody."""
    for write in (True, False):
        txn = env.begin(write=write)
        cursors = [txn.cursor() for _ in range(10)]
        txn.abort()
        following = env.begin(write=write)
        others = [following.cursor() for _ in range(10)]
        del cursors
        gc.collect()
        assert [other.first() for other in others] == [False] * 10
        following.abort()


CYCLES = """
import gc, itertools, sys
import lmdb_bindings as lmdb

gc.disable()
engine, folder = int(sys.argv[1]), sys.argv[2]
for number, order in enumerate(itertools.islice(itertools.permutations("etncrq"), 0, None, 5)):
    env = lmdb.open(f"{folder}/{number % 7}", lib_version=engine, max_spare_txns=number % 3)
    txn = env.begin(write=True)
    nested = env.begin(write=True, parent=txn)
    reader = env.begin()
    things = dict(e=env, t=txn, n=nested, c=nested.cursor(), r=reader, q=reader.cursor())
    if number % 2:
        del things["e"], env
    cycle = [things[name] for name in order if name in things]
    for thing in cycle:
        thing.cycle = cycle
    del things, txn, nested, reader, cycle, thing
    env = None
    gc.collect()
    again = lmdb.open(f"{folder}/{number % 7}")
    with again.begin(write=True) as txn:
        txn.put(b"key", b"value")
    assert again.reader_check() == 0
    again.close()
print(number)
"""


@pytest.mark.counts_references
def test_cycles(python: Python, engine: int, tmp_path: Path) -> None:
    """The collector may finalize an environment, its transactions and their cursors in any order."""
    assert python(CYCLES, str(engine), tmp_path) == "143"


@pytest.mark.counts_references
def test_cycle_that_closes(opened: Open, engine: int) -> None:
    """An object that closes its environment in its own finalizer may be part of the cycle that it collects."""

    class Store:
        def __init__(self) -> None:
            self.env = opened("store")
            self.txn = self.env.begin()
            self.cursor = self.txn.cursor()
            self.me = self

        def __del__(self) -> None:
            self.cursor.close()
            self.txn.abort()
            self.env.close()

    class Closing(Store):
        def __del__(self) -> None:
            self.env.close()

    for kind in (Store, Closing):
        kind()
        gc.collect()
        assert not _registry._open, engine


@pytest.mark.parametrize("hold", ["", "import builtins; builtins.held = (env, txn, nested, cursor, iterator)",
                                  "env.cycle = txn.cycle = cursor.cycle = (env, txn, nested, cursor, iterator)"])  # fmt: skip
def test_exit_with_everything_open(python: Python, engine: int, tmp_path: Path, hold: str) -> None:
    """The interpreter exits quietly with everything open, and leaves no reader behind."""
    script = f"""
import sys, threading
import lmdb_bindings as lmdb
env = lmdb.open(sys.argv[2], lib_version=int(sys.argv[1]), max_spare_txns=2)
txn = env.begin(write=True); nested = env.begin(write=True, parent=txn); cursor = nested.cursor()
env.begin().abort()
reader = env.begin(); iterator = iter(reader.cursor())
{hold}
"""
    assert python(script, str(engine), tmp_path / "env") == ""
    with lmdb.open(tmp_path / "env") as env, env.begin(write=True) as txn:
        assert txn.stat()["entries"] == 0


def test_exit_with_daemon_threads(python: Python, engine: int, tmp_path: Path) -> None:
    """The interpreter exits while daemon threads read and write, which stop wherever they are."""
    script = """
import sys, threading
import lmdb_bindings as lmdb
env = lmdb.open(sys.argv[2], lib_version=int(sys.argv[1]), max_spare_txns=2, sync=False, map_size=1 << 28)
busy = threading.Semaphore(0)
def read():
    while True:
        with env.begin() as txn:
            list(txn.cursor()); busy.release()
def write():
    while True:
        with env.begin(write=True) as txn:
            for number in range(50): txn.put(b"%d" % number, b"x" * 3000)
            busy.release()
for work in (read, read, write, write): threading.Thread(target=work, daemon=True).start()
for _ in range(40): busy.acquire()
"""
    for number in range(3):
        assert python(script, str(engine), tmp_path / str(number)) == ""


# -- threads ---------------------------------------------------------------------------------------------------------

THREADS = """
import os, sys, threading
import lmdb_bindings as lmdb
engine, folder, goal = int(sys.argv[1]), sys.argv[2], sys.argv[3]
GONE = "Attempt to operate on closed/deleted/dropped object."
problems, sink = [], os.open(os.devnull, os.O_WRONLY)

def reading(env):
    with env.begin() as txn:
        for number in range(50): assert txn.get(b"%d" % number) == b"v" * 5000

def iterating(env):
    with env.begin() as txn: assert sum(1 for _ in txn.cursor()) == 50

def copying(env):
    env.copyfd(sink, compact=True); env.stat(); env.info(); env.sync(True)

def repeat(work, env, going, begun):
    while going():
        try:
            work(env); begun.release()
        except lmdb.Error as error:
            if str(error) != GONE: problems.append(repr(error))
            if goal == "close": return

for round in range(8 if goal == "close" else 1):
    env = lmdb.open(f"{folder}/{round}", lib_version=engine, map_size=1 << 26, max_spare_txns=round % 2, sync=False)
    with env.begin(write=True) as txn:
        for number in range(50): txn.put(b"%d" % number, b"v" * 5000)
    begun, stop = threading.Semaphore(0), []
    threads = [threading.Thread(target=repeat, args=(work, env, lambda: not stop, begun))
               for work in (reading, reading, iterating, iterating, copying)]
    for thread in threads: thread.start()
    for _ in range(20): begun.acquire()
    if goal == "close": env.close()
    else:
        for step in range(100):
            env.set_mapsize((1 << 26) + 4096 * step); begun.acquire()
    stop.append(True)
    for thread in threads: thread.join()
    env.close()
print(problems)
"""


@pytest.mark.parametrize("goal", ["close", "resize"])
def test_under_the_hands_of_others(python: Python, engine: int, tmp_path: Path, goal: str) -> None:
    """close() and set_mapsize() wait for the calls of other threads, which then find their objects closed."""
    assert python(THREADS, str(engine), tmp_path, goal) == "[]"


def test_close_waits_for_the_writer(opened: Open) -> None:
    """close() returns when the writer of another thread has committed, and aborts its readers."""
    env = opened()
    begun, closing, order = threading.Event(), threading.Event(), []

    def write() -> None:
        with env.begin(write=True) as txn:
            begun.set()
            closing.wait()
            txn.put(b"key", b"value")
            order.append("written")

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    reader = env.begin()
    closing.set()
    env.close()
    order.append("closed")
    writer.join()
    assert order == ["written", "closed"]
    expect_gone(reader, TRANSACTION)
    assert opened().stat()["entries"] == 1


def test_close_ends_the_writer_of_its_thread(opened: Open) -> None:
    """close() aborts a write transaction of its own thread, and lets those find out who wait behind it."""
    env = opened()
    txn = env.begin(write=True)
    txn.put(b"key", b"value")
    waiting, found = threading.Event(), []

    def wait() -> None:
        waiting.set()
        try:
            env.begin(write=True)
        except lmdb.Error as error:
            found.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait()
    env.close()
    thread.join()
    assert found == ["Attempt to operate on closed/deleted/dropped object."]
    assert opened().stat()["entries"] == 0


def test_closed_by_many(opened: Open) -> None:
    """Any number of threads may close an environment at once."""
    for _ in range(20):
        env = opened()
        reader = env.begin()
        threads = [threading.Thread(target=env.close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect_gone(reader, TRANSACTION)


# -- failures on the way -----------------------------------------------------------------------------------------------


def test_failure_after_the_opening(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the constructor fails after LMDB has opened the files, they are closed, and can be opened again."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("lmdb_bindings._environment._Database", fail)
        with pytest.raises(ZeroDivisionError):
            opened()
    with opened().begin(write=True) as txn:
        assert txn.put(b"key", b"value")


def test_failure_of_a_beginning(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a write transaction fails to begin, the next writer has its turn."""
    env = opened()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lmdb.Transaction, "_begin", fail)
        with pytest.raises(KeyboardInterrupt):
            env.begin(write=True)
    with env.begin(write=True) as txn:
        assert txn.put(b"key", b"value")


# -- both engines ------------------------------------------------------------------------------------------------------


def test_both_engines_at_once(tmp_path: Path) -> None:
    """Environments of both engines are open in one process, with transactions that interleave."""
    with (
        lmdb.open(tmp_path / "0", lib_version=0, max_dbs=1) as old,
        lmdb.open(tmp_path / "1", lib_version=1, max_dbs=1) as new,
    ):
        databases = {env: env.open_db(b"db", dupsort=True) for env in (old, new)}
        writers = {env: env.begin(write=True, db=databases[env]) for env in (old, new)}
        nested = {env: env.begin(write=True, parent=writers[env], db=databases[env]) for env in (new, old)}
        for number in range(500):
            for env in (old, new):
                assert nested[env].put(b"%d" % number, str(env.lib_version()).encode())
        nested[old].commit()
        nested[new].abort()
        assert writers[new].put(b"key", b"new")
        readers = {env: env.begin(db=databases[env]) for env in (old, new)}
        writers[new].commit()
        writers[old].commit()
        assert [readers[env].stat()["entries"] for env in (old, new)] == [0, 0]
        with old.begin(db=databases[old]) as txn:
            assert {value for _, value in txn.cursor()} == {b"(0, 9, 36)"}
            assert txn.stat()["entries"] == 500
        with new.begin(db=databases[new]) as txn:
            assert list(txn.cursor()) == [(b"key", b"new")]
            with pytest.raises(lmdb.Error, match=r"^Database handle belongs to another environment\.$"):
                txn.get(b"key", db=databases[old])
            old.close()
            assert txn.get(b"key") == b"new"


def test_both_engines_copy(tmp_path: Path, engine: int) -> None:
    """A walk through one engine can feed the other."""
    source, target = tmp_path / "source", tmp_path / "target"
    with lmdb.open(source, lib_version=engine) as one, lmdb.open(target, lib_version=1 - engine) as two:
        with one.begin(write=True) as txn:
            for number in range(300):
                txn.put(b"%03d" % number, b"%d" % number * 100)
        with one.begin(buffers=True) as reader, two.begin(write=True) as writer:
            for key, value in reader.cursor():
                assert writer.put(key, value, append=True)
        with one.begin() as first, two.begin() as second:
            assert list(first.cursor()) == list(second.cursor())
        with suppress(lmdb.Error):
            one.close()
        assert two.stat()["entries"] == 300
