"""Tables under threads, in children of fork(), and in maps that grow."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings.tables import Index, Table, UniqueError, keys, values

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")

INDEXES = {"by_name": Index("name", keys.string, unique=True), "by_group": Index("group", keys.uint8)}


def people(env: lmdb.Environment) -> Table[int, Any]:
    """A table with two indexes."""
    return Table(env, "people", key=keys.uint32, value=values.json, indexes=INDEXES)


def test_one_table_in_many_threads(env: lmdb.Environment) -> None:
    """Threads may share a table: each operation is one transaction, and the indexes stay right."""
    table = people(env)

    def work(worker: int) -> int:
        stored = 0
        for number in range(60):
            key = number % 20
            try:
                table[key] = {"name": f"{worker * number % 25}", "group": worker}
                stored += 1
            except UniqueError:
                table.pop(key, None)
            assert all(value["group"] < 4 for value in table.by("by_group")[worker].values())
        return stored

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) > 0
    assert list(table.check()) == []
    names = [value["name"] for value in table.values()]
    assert len(set(names)) == len(names) == len(table.by("by_name"))


def test_threads_open_tables_at_once(env: lmdb.Environment) -> None:
    """Threads that open the same and different tables at once, in an environment where nothing is open, all get them."""
    start = threading.Barrier(8)

    def work(worker: int) -> int:
        start.wait()
        table: Table[int, Any] = Table(
            env, f"t{worker % 4}", key=keys.uint8, value=values.json, indexes={"by_a": Index("a", keys.string)}
        )
        table[worker] = {"a": f"{worker}"}
        return len(table.by("by_a"))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(8))) <= {1, 2}
    for name in range(4):
        table: Table[int, Any] = Table(env, f"t{name}")
        assert set(table) == {name, name + 4}
        assert list(table.check()) == []


@needs_fork
def test_a_child_of_fork(env: lmdb.Environment) -> None:
    """A table goes on in a child of fork(), as its environment does; what was bound in the parent is of no use there."""
    table = people(env)
    table[1] = {"name": "a", "group": 1}
    with table.begin() as bound:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                table[2] = {"name": "b", "group": 1}
                assert list(table.by("by_group")[1].keys()) == [1, 2]
                with pytest.raises(lmdb.Error):
                    bound[1]
                status = 0
            except BaseException:  # noqa: BLE001 (a child that must not come back into pytest)
                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert list(bound) == [1]
    assert list(table) == [1, 2]
    assert list(table.check()) == []


def test_a_map_that_grows(opened: Callable[..., lmdb.Environment]) -> None:
    """Whatever an unbound table does, it does again with a larger map: also with what can be iterated over only once."""
    env = opened(map_size=1 << 17)
    table = people(env)
    pad = "x" * 1000
    table.update((number, {"name": f"{number}", "group": 1, "pad": pad}) for number in range(1000))
    assert env.info()["map_size"] > 1 << 20
    for number in range(1000, 1200):
        table[number] = {"name": f"{number}", "group": 2, "pad": pad * 5}
    assert (len(table), len(table.by("by_name")), table.by("by_group")[2].count()) == (1200, 1200, 200)
    size = env.info()["map_size"]
    while env.info()["map_size"] == size:
        table.setdefault(len(table), {"name": f"{len(table)}", "group": 3, "pad": pad * 10})
    table.add_index("by_pad", Index(("group", "name"), keys.tuple_of(keys.uint8, keys.string)))
    assert list(table.check()) == []


def test_a_bound_table_does_not_grow(opened: Callable[..., lmdb.Environment]) -> None:
    """Within the caller's transaction a full map is the caller's: nothing is committed."""
    env = opened(map_size=1 << 17)
    table = people(env)
    with pytest.raises(lmdb.MapFullError), table.begin(write=True) as bound:
        bound.update({number: {"name": f"{number}", "pad": "x" * 1000} for number in range(1000)})
    assert len(table) == 0
    assert env.info()["map_size"] == 1 << 17


def test_an_environment_that_is_shared(opened: Callable[..., lmdb.Environment], engine: int) -> None:
    """Two users of one environment have tables of their own over the same records."""
    env = opened()
    with lmdb.open_shared(env.path(), max_dbs=16, lib_version=engine) as same:
        one, two = people(env), people(same)
        one[1] = {"name": "a"}
        two[2] = {"name": "b"}
        assert one == two
        assert len(one.by("by_name")) == 2


def test_a_plain_database_opened_meanwhile(env: lmdb.Environment) -> None:
    """A table can be opened while another thread's transaction has opened a database, and waits for that if it must."""
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        with env.begin(write=True) as txn:
            env.open_db(b"plain", txn)
            begun.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(10)
    threading.Timer(0.2, done.set).start()
    table = people(env)
    thread.join()
    table[1] = {"name": "a"}
    assert sorted(env.dbs()) == [b"__tables__", b"people", b"people:by_group", b"people:by_name", b"plain"]
