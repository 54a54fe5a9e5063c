"""Memoryviews of ``buffers=True``: they are read-only, and no memory is taken away while one of them is alive."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb

Open = Callable[..., lmdb.Environment]
Python = Callable[..., str]

SMALL, LARGE = b"a small value", b"a large value" * 1000  # in a leaf, and on pages of its own

ALIVE = r"^the map cannot move while memoryviews of it are alive: let go of what transactions with buffers=True have"

# Each way to get the views of both records: the values, in the order of the keys.
SOURCES: dict[str, Callable[[lmdb.Transaction], list[Any]]] = {
    "get": lambda txn: [txn.get(b"1"), txn.get(b"2")],
    "getmany": lambda txn: txn.getmany([b"1", b"2"]),
    "cursor.value": lambda txn: [cursor.value() for cursor in at(txn)],
    "cursor.item": lambda txn: [cursor.item()[1] for cursor in at(txn)],
    "cursor.get": lambda txn: [txn.cursor().get(b"1"), txn.cursor().get(b"2")],
    "cursor": lambda txn: [value for _, value in txn.cursor()],
    "iterprev": lambda txn: [value for _, value in txn.cursor().iterprev()][::-1],
    "iternext values": lambda txn: list(txn.cursor().iternext(keys=False)),
    "scan": lambda txn: [value for _, value in txn.scan()],
    "scan values": lambda txn: list(txn.scan(keys=False)),
    "getmulti": lambda txn: [value for _, value in txn.cursor().getmulti([b"1", b"2"])],
}
KEYS: dict[str, Callable[[lmdb.Transaction], list[Any]]] = {
    "cursor.key": lambda txn: [cursor.key() for cursor in at(txn)],
    "cursor": lambda txn: [key for key, _ in txn.cursor()],
    "iternext keys": lambda txn: list(txn.cursor().iternext(values=False)),
    "scan keys": lambda txn: list(txn.scan(values=False)),
}


@pytest.fixture
def env(opened: Open) -> lmdb.Environment:
    """One empty environment, which does not wait for the disk."""
    return opened(sync=False)


def at(txn: lmdb.Transaction) -> list[lmdb.Cursor]:
    """A cursor at each record."""
    cursors = [txn.cursor(), txn.cursor()]
    assert cursors[0].first()
    assert cursors[1].last()
    return cursors


def fill(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"1", SMALL)
        txn.put(b"2", LARGE)


def overwrite(env: lmdb.Environment) -> None:
    """Commit often enough that LMDB uses every page again that no reader needs."""
    for number in range(6):
        with env.begin(write=True) as txn:
            for key in (b"1", b"2"):
                txn.delete(key)
            for key in range(10):
                txn.put(b"%d" % key, bytes([number]) * 13000)


def slots(env: lmdb.Environment) -> int:
    """How many slots of the reader table this process has with a snapshot."""
    return sum(line.split()[0] == str(os.getpid()) and line.split()[2] != "-" for line in env.readers().splitlines())


# -- what a view is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_every_view_is_read_only(env: lmdb.Environment, source: str, write: bool) -> None:
    """Every view is a memoryview of bytes that refuses a store, and so is whatever is made from it."""
    fill(env)
    with env.begin(write=write, buffers=True) as txn:
        views = SOURCES[source](txn)
        assert views == [SMALL, LARGE]
        for view in views:
            assert type(view) is memoryview
            assert (view.format, view.ndim, view.contiguous) == ("B", 1, True)
            for derived in (view, view[2:5], view[:4].cast("I"), memoryview(view), view.toreadonly()):
                assert derived.readonly
                with pytest.raises(TypeError, match="cannot modify read-only memory"):
                    derived[0] = 0


def test_empty_value(env: lmdb.Environment) -> None:
    """The view of an empty value is empty, and outlives its transaction too."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"")
    with env.begin(buffers=True) as txn:
        view = txn.get(b"key")
    overwrite(env)
    assert view == b""


def test_bytes_are_no_views(env: lmdb.Environment) -> None:
    """Without ``buffers`` everything is bytes, and the end of the transaction frees its slot."""
    fill(env)
    with env.begin() as txn:
        kept = [source(txn) for source in [*SOURCES.values(), *KEYS.values()]]
    assert {type(thing) for things in kept for thing in things} == {bytes}
    assert slots(env) == 0


# -- the end of the transaction --------------------------------------------------------------------------------------


@pytest.mark.counts_references
@pytest.mark.parametrize("end", ["commit", "abort", "del"])
@pytest.mark.parametrize("source", SOURCES)
def test_snapshot_of_a_view(opened: Open, source: str, end: str) -> None:
    """A view shows its snapshot after the end of its transaction, whatever is written then; its slot is held for it,
    and free again when it is gone.
    """
    env = opened(max_spare_txns=2, sync=False)
    fill(env)
    txn = env.begin(buffers=True)
    views = SOURCES[source](txn)
    if end != "del":
        getattr(txn, end)()
    del txn
    gc.collect()
    overwrite(env)
    assert views == [SMALL, LARGE]
    assert slots(env) == 1
    del views
    assert slots(env) == 0


@pytest.mark.parametrize("source", KEYS)
def test_snapshot_of_a_key(env: lmdb.Environment, source: str) -> None:
    """A view of a key is no other than that of a value."""
    fill(env)
    with env.begin(buffers=True) as txn:
        keys = KEYS[source](txn)
    overwrite(env)
    assert keys == [b"1", b"2"]
    assert slots(env) == 1


@pytest.mark.counts_references
@pytest.mark.parametrize("derive", [lambda v: v[100:200], lambda v: v.cast("c"), memoryview, lambda v: v[::2][:50]])
def test_derived_view(env: lmdb.Environment, derive: Callable[[memoryview], memoryview]) -> None:
    """What is made from a view holds the snapshot when the view itself is gone."""
    fill(env)
    with env.begin(buffers=True) as txn:
        derived = derive(txn.get(b"2"))
    before = derived.tobytes()
    assert before == derive(memoryview(LARGE)).tobytes()
    overwrite(env)
    assert derived.tobytes() == before
    assert slots(env) == 1
    derived.release()
    assert slots(env) == 0


@pytest.mark.counts_references
def test_last_of_many_views(env: lmdb.Environment) -> None:
    """A snapshot is held until the last of its views is gone, in whatever order they go."""
    fill(env)
    with env.begin(buffers=True) as txn:
        views = [txn.get(b"2") for _ in range(5)] + [txn.get(b"1")]
    for number in (3, 0, 1, 1, 0):
        del views[number]
        overwrite(env)
        assert slots(env) == 1
    assert views == [SMALL]
    views.clear()
    assert slots(env) == 0


@pytest.mark.counts_references
def test_views_of_several_snapshots(env: lmdb.Environment) -> None:
    """Each view shows its own snapshot, and holds one slot."""
    views = []
    for number in range(5):
        with env.begin(write=True) as txn:
            txn.put(b"key", b"%d" % number * 5000)
        with env.begin(buffers=True) as txn:
            views.append(txn.get(b"key"))
        assert slots(env) == number + 1
    assert [bytes(view) for view in views] == [b"%d" % number * 5000 for number in range(5)]
    del views[2]
    assert slots(env) == 4


def test_view_does_not_keep_a_spare_transaction(opened: Open) -> None:
    """A transaction with views is not taken for the next one: that would renew its snapshot under them."""
    env = opened(max_spare_txns=1, sync=False)
    fill(env)
    env.begin().abort()
    txn = env.begin(buffers=True)
    view = txn.get(b"2")
    txn.abort()
    overwrite(env)
    with env.begin() as following:
        assert following.get(b"2") == bytes([5]) * 13000
        assert view == LARGE


@pytest.mark.counts_references
def test_dropped_by_another_thread(env: lmdb.Environment) -> None:
    """The last view may go in another thread, after that of the transaction has ended."""
    fill(env)
    views = []

    def read() -> None:
        with env.begin(buffers=True) as txn:
            views.append(txn.get(b"2"))

    for work in (read, lambda: overwrite(env)):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert views == [LARGE]
    thread = threading.Thread(target=views.clear)
    thread.start()
    thread.join()
    assert slots(env) == 0


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("end", ["commit", "abort"])
def test_writer_gives_copies(env: lmdb.Environment, end: str, nested: bool) -> None:
    """A view that a write transaction gives shows what was there, whatever it writes then, and however it ends."""
    fill(env)
    parent = env.begin(write=True, buffers=True)
    txn = env.begin(write=True, parent=parent, buffers=True) if nested else parent
    views = [view for source in SOURCES.values() for view in source(txn)]
    for key in (b"1", b"2"):
        txn.put(key, b"x" * 13)
        txn.delete(key)
    txn.put(b"2", b"y" * len(LARGE))
    getattr(txn, end)()
    parent.abort()
    assert views == [SMALL, LARGE] * len(SOURCES)
    env.set_mapsize(1 << 24)
    assert views == [SMALL, LARGE] * len(SOURCES)


# -- the map ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [False, True])
def test_set_mapsize_refuses_views(env: lmdb.Environment, ended: bool) -> None:
    """The map is not moved under a view: set_mapsize() refuses, changes nothing, and works when the view is gone."""
    fill(env)
    size = env.info()["map_size"]
    txn = env.begin(buffers=True)
    view = txn.get(b"2")
    if ended:
        txn.commit()
    with pytest.raises(BufferError, match=ALIVE):
        env.set_mapsize(1 << 30)
    assert env.info()["map_size"] == size
    assert view == LARGE
    if not ended:
        assert txn.get(b"1") == SMALL
    view.release()
    del view
    env.set_mapsize(1 << 30)
    assert env.info()["map_size"] == 1 << 30


def test_view_that_comes_while_transactions_end(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view that another thread takes when set_mapsize() has looked, and has yet to end the transactions, counts."""
    fill(env)
    reader = env.begin(buffers=True)
    views: list[memoryview] = []
    end = env._end_transactions

    def end_late() -> None:
        if not views:
            views.append(reader.get(b"2"))
        end()

    monkeypatch.setattr(env, "_end_transactions", end_late)
    with pytest.raises(BufferError, match=ALIVE):
        env.set_mapsize(1 << 30)
    assert views == [LARGE]
    views[0].release()
    views[0] = memoryview(b"")
    env.set_mapsize(1 << 30)


def test_garbage_is_no_view(env: lmdb.Environment) -> None:
    """Views in a garbage cycle do not hinder set_mapsize(): the collector is asked first."""
    fill(env)
    gc.disable()
    try:
        txn = env.begin(buffers=True)
        cycle: list[Any] = [txn.get(b"2")]
        cycle.append(cycle)
        txn.commit()
        del cycle
        env.set_mapsize(1 << 24)
    finally:
        gc.enable()
    assert env.info()["map_size"] == 1 << 24


def test_transaction_and_view_in_one_cycle(opened: Open, tmp_path: Path) -> None:
    """A transaction that was never ended, in one garbage cycle with a view of it, is collected: nothing is held."""
    env = opened()
    fill(env)

    class Holder:
        def __init__(self) -> None:
            self.me = self
            self.txn = env.begin(buffers=True)
            self.view = self.txn.get(b"2")

    for _ in range(3):
        Holder()
        gc.collect()
        assert slots(env) == 0
    env.set_mapsize(1 << 24)
    env.close()
    lmdb.open(tmp_path / "env").close()


# -- the end of the environment --------------------------------------------------------------------------------------


@pytest.mark.counts_references
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("way", ["close", "del"])
def test_environment_that_is_closed(engine: int, tmp_path: Path, way: str, ended: bool) -> None:
    """A view outlives close(), and the name of its environment; the files are this environment's until it is gone."""
    env = lmdb.open(tmp_path / "env", lib_version=engine)
    fill(env)
    txn = env.begin(buffers=True)
    views = [txn.get(b"2"), txn.cursor().get(b"1")]
    if ended:
        txn.abort()
    if way == "close":
        env.close()
    del env, txn
    gc.collect()
    with pytest.raises(lmdb.Error, match=r"^The environment '.*' is already open in this process\.$"):
        lmdb.open(tmp_path / "env")
    assert views == [LARGE, SMALL]
    views.clear()
    with lmdb.open(tmp_path / "env") as again:
        assert slots(again) == 0
        fill(again)


@pytest.mark.counts_references
def test_another_process_goes_round_a_view(env: lmdb.Environment, python: Python) -> None:
    """What another process writes does not take the pages of a view, for as long as it is alive."""
    fill(env)
    script = """
import sys, lmdb_bindings as lmdb
with lmdb.open(sys.argv[1]) as env:
    for number in range(6):
        with env.begin(write=True) as txn:
            txn.delete(b"1"), txn.delete(b"2")
            for key in range(10): txn.put(b"%d" % key, bytes([number]) * 13000)
    print(env.reader_check(), len(env.readers().splitlines()))
"""
    with env.begin(buffers=True) as txn:
        views = [txn.get(b"1"), txn.get(b"2")]
    assert python(script, env.path()) == "0 2"
    assert views == [SMALL, LARGE]
    del views
    assert python(script, env.path()).endswith(" 1")


@pytest.mark.parametrize("hold", ["", "view.cycle = None", "import builtins; builtins.held = views, env"])
def test_exit_with_views(python: Python, engine: int, tmp_path: Path, hold: str) -> None:
    """The interpreter exits quietly with views alive: of open transactions, of ended ones, of a closed environment."""
    script = f"""
import sys
import lmdb_bindings as lmdb
views = []
for number in range(3):
    env = lmdb.open(sys.argv[2] + str(number), lib_version=int(sys.argv[1]))
    with env.begin(write=True) as txn: txn.put(b"key", b"v" * 9000)
    with env.begin(buffers=True) as txn: views.append(txn.get(b"key"))
    txn = env.begin(buffers=True); views.append(txn.get(b"key"))
    if number: env.close()
class view: pass
{hold}
views.append(views)
"""
    assert python(script, str(engine), tmp_path / "env") == ""


def test_views_of_a_transaction_that_opens_databases(opened: Open) -> None:
    """Its end settles the handles that it has opened, so from then on its views are of copies, and hold nothing."""
    env = opened(sync=False)
    with env.begin(write=True) as txn:
        for name in (b"one", b"two"):
            txn.put(b"key", SMALL, db=env.open_db(name, txn=txn))
    env.close()
    env = opened(sync=False)
    with env.begin(buffers=True) as txn:
        one = env.open_db(b"one", txn=txn, create=False)
        view = txn.get(b"key", db=one)
    assert bytes(view) == SMALL
    two = env.open_db(b"two", create=False)
    with env.begin() as reader:
        assert reader.get(b"key", db=one) == reader.get(b"key", db=two) == SMALL
    env.set_mapsize(1 << 24)
    assert bytes(view) == SMALL


def test_no_database_is_opened_beside_views(opened: Open) -> None:
    """While views of it are alive, a transaction opens no database, and says why."""
    env = opened(sync=False)
    with env.begin(write=True) as txn:
        txn.put(b"key", SMALL)
        env.open_db(b"one", txn=txn)
    env.close()
    env = opened(sync=False)
    with env.begin(buffers=True) as txn:
        view = txn.get(b"key")
        with pytest.raises(lmdb.Error, match=r"^Memoryviews of this transaction are alive, so no database can be"):
            env.open_db(b"one", txn=txn, create=False)
        del view
        assert env.open_db(b"one", txn=txn, create=False)
    assert env.dbs() == [b"one"]


def test_names_of_databases_as_views(opened: Open) -> None:
    """``dbs()`` in a transaction with buffers gives views, and opens what it meets."""
    env = opened(sync=False)
    for name in (b"one", b"two"):
        env.open_db(name)
    env.close()
    env = opened(sync=False)
    with env.begin(buffers=True) as txn:
        found = env.dbs(txn)
    assert [type(name) for name in found] == [memoryview, memoryview]
    assert [bytes(name) for name in found] == [b"one", b"two"]
    assert env.open_db(b"two", create=False)


def test_slots_of_views_that_are_garbage(opened: Open) -> None:
    """When all reader slots are taken, those that garbage has are had back."""
    env = opened(sync=False, max_readers=4)
    fill(env)
    gc.disable()
    try:
        for _ in range(20):
            with env.begin(buffers=True) as txn:
                cycle: list[Any] = [txn.get(b"1")]
            cycle.append(cycle)
            del cycle
        kept = [env.begin() for _ in range(4)]
        with pytest.raises(lmdb.ReadersFullError):
            env.begin()
    finally:
        gc.enable()
    del kept
