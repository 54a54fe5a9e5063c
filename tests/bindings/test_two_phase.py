"""LMDB 1.0's commit in two phases, and the way back from a commit: ``prepare`` and ``rollback``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings.errors import CantRollbackError

Environments = Callable[..., lmdb.Environment]

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """Open an environment of LMDB 1.0; all are closed in the end."""
    environments = []

    def opened(name: str = "env", **options: Any) -> lmdb.Environment:
        env = lmdb.open(tmp_path / name, **{"lib_version": 1, "max_dbs": 4, **options})
        environments.append(env)
        return env

    yield opened
    for env in environments:
        env.close()


@pytest.fixture
def env(opened: Environments) -> lmdb.Environment:
    """An environment with one record."""
    env = opened()
    put(env, b"key", b"old")
    return env


def put(env: lmdb.Environment, key: bytes, value: bytes, db: Any = None) -> int:
    """Store a record; the number of the transaction."""
    with env.begin(write=True, db=db) as txn:
        txn.put(key, value)
        return txn.id()


def get(env: lmdb.Environment, key: bytes, db: Any = None) -> Any:
    with env.begin(db=db) as txn:
        return txn.get(key)


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda env: env.begin(write=True).prepare(), "prepare"),
        (lambda env: env.rollback(1), "rollback"),
        (lambda env: env.dump_incremental(1, 0), "dump_incremental"),
        (lambda env: env.load_incremental(0), "load_incremental"),
    ],
)
def test_engine_0_9_refuses(opened: Environments, use: Callable[[lmdb.Environment], Any], name: str) -> None:
    """LMDB 0.9 has none of this: the error says what would have it, and nothing has changed."""
    env = opened(lib_version=0)
    put(env, b"key", b"old")
    message = rf"^{name}\(\): of LMDB 1\.0, and this environment has LMDB 0\.9: use lib_version=1$"
    with pytest.raises(lmdb.Error, match=message):
        use(env)
    assert get(env, b"key") == b"old"
    put(env, b"key", b"new")


# -- prepare -----------------------------------------------------------------------------------------------------------

WRITES: dict[str, Callable[[lmdb.Environment, lmdb.Transaction], Any]] = {
    "put": lambda _, txn: txn.put(b"key", b"new"),
    "many": lambda _, txn: txn.putmany([(b"%04d" % n, b"x" * 3000) for n in range(1000)]),
    "the same": lambda _, txn: txn.put(b"key", b"old"),
    "delete": lambda _, txn: txn.delete(b"key"),
    "delete nothing": lambda _, txn: txn.delete(b"missing"),
    "database": lambda env, txn: env.open_db(b"new", txn),
    "nested": lambda env, txn: env.begin(write=True, parent=txn).commit(),
    "cursor": lambda _, txn: txn.cursor().put(b"key", b"new"),
    "read": lambda _, txn: txn.get(b"key"),
    "nothing": lambda env, txn: None,
}


@pytest.mark.parametrize("end", ["commit", "abort"])
@pytest.mark.parametrize("write", WRITES)
def test_prepared(opened: Environments, env: lmdb.Environment, write: str, end: str) -> None:
    """A prepared transaction is committed or aborted, whatever it has written; nobody sees it before, and the next
    writer finds all in order.
    """
    with env.begin() as txn:
        before = dict(txn.cursor())
    txn = env.begin(write=True)
    WRITES[write](env, txn)
    expected = dict(txn.cursor()) if end == "commit" else before
    txn.prepare()
    with env.begin() as reader:
        assert dict(reader.cursor()) == before
    getattr(txn, end)()
    with env.begin() as reader:
        assert dict(reader.cursor()) == expected
    txn.abort()
    with pytest.raises(lmdb.Error, match=GONE):
        txn.commit()
    for number in range(3):
        put(env, b"after %d" % number, b"value")
    env.close()
    again = opened()
    with again.begin() as reader:
        assert {key: value for key, value in reader.cursor() if not key.startswith(b"after")} == expected
        assert reader.get(b"after 2") == b"value"


@pytest.mark.parametrize("write", WRITES)
def test_nothing_else_after_prepare(env: lmdb.Environment, write: str) -> None:
    """After prepare() every other use is refused, a second prepare() too, and the commit is as good as without."""
    txn = env.begin(write=True)
    WRITES[write](env, txn)
    cursor = txn.cursor()
    txn.prepare()
    uses: list[Callable[[], Any]] = [
        lambda: txn.put(b"key", b"other"), lambda: txn.put(b"key", b"other"), lambda: txn.get(b"key"),
        lambda: txn.delete(b"key"), txn.cursor, lambda: list(txn.scan()), lambda: txn.putmany([(b"key", b"other")]),
        lambda: env.begin(write=True, parent=txn), lambda: env.open_db(b"another", txn), cursor.first, txn.prepare,
        lambda: txn.pop(b"key"), lambda: txn.drop(env.open_db(None)), lambda: txn.delete_range(),  # noqa: PLW0108
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(lmdb.Error):
            use()
    txn.commit()
    assert get(env, b"key") != b"other"


def test_dependents_end(env: lmdb.Environment) -> None:
    """prepare() ends cursors and nested transactions, which are not in the commit."""
    txn = env.begin(write=True)
    cursor = txn.cursor()
    nested = env.begin(write=True, parent=txn)
    nested.put(b"nested", b"1")
    txn.prepare()
    for use in (cursor.first, lambda: nested.get(b"nested"), nested.commit):
        with pytest.raises(lmdb.Error, match=GONE):
            use()
    txn.commit()
    assert get(env, b"nested") is None


def test_who_cannot_prepare(env: lmdb.Environment) -> None:
    """Read-only and nested transactions, those of other threads, and ended ones cannot be prepared, and live on."""
    txn, reader = env.begin(write=True), env.begin()
    nested = env.begin(write=True, parent=txn)
    for thing in (reader, nested):
        with pytest.raises(
            lmdb.InvalidParameterError, match=r"^prepare\(\) is for write transactions that are not nested"
        ):
            thing.prepare()
    nested.put(b"key", b"new")
    nested.commit()
    problems: list[lmdb.Error] = []

    def prepare() -> None:
        try:
            txn.prepare()
        except lmdb.Error as error:
            problems.append(error)

    thread = threading.Thread(target=prepare)
    thread.start()
    thread.join()
    assert "must end in the thread that began it" in str(problems[0])
    txn.prepare()
    txn.commit()
    assert (get(env, b"key"), reader.get(b"key")) == (b"new", b"old")
    with pytest.raises(lmdb.Error, match=GONE):
        txn.prepare()


@pytest.mark.parametrize("leave", ["commit", "raise", "nothing"])
def test_with_block(env: lmdb.Environment, leave: str) -> None:
    """The end of a ``with`` block commits what is prepared, or aborts it where an exception leaves it."""
    try:
        with env.begin(write=True) as txn:
            txn.put(b"key", b"new")
            txn.prepare()
            if leave == "commit":
                txn.commit()
            if leave == "raise":
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert get(env, b"key") == (b"old" if leave == "raise" else b"new")
    put(env, b"next", b"value")


def test_prepared_environment_closes(opened: Environments, env: lmdb.Environment) -> None:
    """close() aborts what is prepared, and so does the collector."""
    txn = env.begin(write=True)
    txn.put(b"key", b"new")
    txn.prepare()
    del txn
    assert put(env, b"other", b"value")
    txn = env.begin(write=True)
    txn.put(b"key", b"new")
    txn.prepare()
    env.close()
    again = opened()
    assert (get(again, b"key"), get(again, b"other")) == (b"old", b"value")


def test_map_that_is_full(opened: Environments) -> None:
    """A prepare() for which the map has no room fails, the transaction is over, and the next one works."""
    env = opened(map_size=1 << 16)
    put(env, b"key", b"old")
    txn = env.begin(write=True)
    with pytest.raises(lmdb.MapFullError, match="MDB_MAP_FULL"):
        txn.put(b"key", b"x" * (1 << 17))
    with pytest.raises(lmdb.Error):
        txn.prepare()
    txn.abort()
    put(env, b"key", b"new")
    assert get(env, b"key") == b"new"


@pytest.mark.parametrize("prepared", [True, False])
def test_killed_after_prepare(env: lmdb.Environment, prepared: bool) -> None:
    """A process that dies between the phases has committed nothing, and takes no lock with it."""
    script = """
import os, signal, sys, lmdb_bindings as lmdb
txn = lmdb.open(sys.argv[1]).begin(write=True)
txn.put(b"key", b"new"); txn.put(b"large", b"x" * 100000)
if sys.argv[2] == "True": txn.prepare()
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, env.path(), str(prepared)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (get(env, b"key"), get(env, b"large")) == (b"old", None)
    put(env, b"key", b"next")
    assert get(env, b"key") == b"next"


# -- rollback ----------------------------------------------------------------------------------------------------------


def test_rollback(opened: Environments, env: lmdb.Environment) -> None:
    """rollback() takes the last commit back, for those who open the environment too, and one can write on."""
    last = put(env, b"key", b"new")
    put_many = [b"%04d" % number for number in range(500)]
    number = last
    with env.begin(write=True) as txn:
        number = txn.id()
        txn.putmany([(key, b"x" * 500) for key in put_many])
        txn.delete(b"key")
    env.rollback(number)
    assert get(env, b"key") == b"new"
    assert env.stat()["entries"] == 1
    assert env.info()["last_txnid"] == last
    env.close()
    again = opened()
    assert get(again, b"key") == b"new"
    assert put(again, b"key", b"newer") == number
    assert get(again, b"key") == b"newer"


def test_only_the_last_commit(env: lmdb.Environment) -> None:
    """Only the last commit goes, only once, and only by its number."""
    numbers = [put(env, b"key", b"%d" % step) for step in range(3)]
    for number in (numbers[1], numbers[0], numbers[2] + 1, 0, 1 << 40):
        with pytest.raises(CantRollbackError, match="MDB_CANT_ROLLBACK"):
            env.rollback(number)
        assert get(env, b"key") == b"2"
    env.rollback(numbers[2])
    for number in (numbers[2], numbers[1]):
        with pytest.raises(CantRollbackError, match="MDB_CANT_ROLLBACK"):
            env.rollback(number)
    assert get(env, b"key") == b"1"
    with pytest.raises(OverflowError):
        env.rollback(-1)


def test_rollback_refuses(opened: Environments, env: lmdb.Environment) -> None:
    """Transactions and views of this process are in the way of rollback(), and stay as they are; it waits for writers."""
    number = put(env, b"key", b"new")
    message = r"^rollback\(\) while transactions, or memoryviews that they gave, are open in this process$"
    reader = env.begin(buffers=True)
    with pytest.raises(lmdb.Error, match=message):
        env.rollback(number)
    view = reader.get(b"key")
    reader.abort()
    with pytest.raises(lmdb.Error, match=message):
        env.rollback(number)
    assert view == b"new"
    del view
    writer = env.begin(write=True)
    with pytest.raises(lmdb.Error, match=message):
        env.rollback(number)
    writer.abort()
    env.rollback(number)
    assert get(env, b"key") == b"old"
    env.close()
    with pytest.raises(lmdb.ReadonlyError, match=r"^rollback\(\) of a read-only environment"):
        opened(readonly=True).rollback(number - 1)


def test_database_that_is_rolled_back(env: lmdb.Environment) -> None:
    """The handle of a database that the commit had made is closed, and the name is free for another; those of older
    databases are good.
    """
    kept = env.open_db(b"kept")
    put(env, b"key", b"kept", kept)
    with env.begin(write=True) as txn:
        made = env.open_db(b"made", txn)
        txn.put(b"key", b"made", db=made)
        number = txn.id()
    env.rollback(number)
    with env.begin(write=True) as txn:
        for use in (lambda: txn.get(b"key", db=made), lambda: txn.put(b"key", b"x", db=made)):
            with pytest.raises(lmdb.InvalidParameterError, match="closed/deleted/dropped"):
                use()
    with pytest.raises(lmdb.NotFoundError, match="mdb_dbi_open"):
        env.open_db(b"made", create=False)
    another = env.open_db(b"made", dupsort=True)
    put(env, b"key", b"another", another)
    assert (get(env, b"key", kept), get(env, b"key", another)) == (b"kept", b"another")
    assert env.open_db(b"kept") is kept


def test_spare_transactions_are_not_in_the_way(opened: Environments) -> None:
    """Transactions that are kept for the next begin() do not hinder rollback(), nor show what is gone."""
    env = opened(max_spare_txns=2)
    put(env, b"key", b"old")
    number = put(env, b"key", b"new")
    assert get(env, b"key") == b"new"
    env.rollback(number)
    assert get(env, b"key") == b"old"


def test_rollback_of_a_prepared_commit(env: lmdb.Environment) -> None:
    """Two stores commit together: where the second cannot, the first takes its commit back."""
    txn = env.begin(write=True)
    txn.put(b"key", b"new")
    number = txn.id()
    txn.prepare()
    txn.commit()
    env.rollback(number)
    assert get(env, b"key") == b"old"


def test_rollback_beside_readers_in_threads(env: lmdb.Environment) -> None:
    """Threads that begin transactions while commits are taken back see the one state or the other, and no error."""
    seen: set[Any] = set()
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                seen.add(get(env, b"key"))
        except lmdb.Error as error:
            seen.add(repr(error))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    undone = 0
    while undone < 10:
        number = put(env, b"key", b"new")
        while True:
            try:
                env.rollback(number)
            except lmdb.Error as error:  # noqa: PERF203
                if "while transactions" not in str(error):
                    raise
            else:
                break
        undone += 1
        put(env, b"key", b"old")
    stop.set()
    for thread in threads:
        thread.join()
    assert seen <= {b"old", b"new"}
    assert os.listdir(env.path())
