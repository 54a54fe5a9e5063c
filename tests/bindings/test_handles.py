"""The numbers of database handles: no two databases have one, whoever opens them, and a closed handle hits nobody."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import lmdb_bindings as lmdb

Open = Callable[..., lmdb.Environment]
Python = Callable[..., str]

LATE = r"^Databases were opened since this transaction began, so it can open none: open databases before"
BESIDE = r"^Another transaction has opened databases, and has not ended: open them one after another\.$"
CLOSED = r"closed/deleted/dropped object"

NAMES = [b"x", b"y", b"z"]


@pytest.fixture
def filled(opened: Open) -> lmdb.Environment:
    """Three databases, each with its name in it, opened anew: no handle is there."""
    with opened() as env:
        for name in NAMES:
            with env.begin(write=True, db=env.open_db(name)) as txn:
                txn.put(b"who", name)
    return opened()


def who(env: lmdb.Environment, *databases: Any) -> list[Any]:
    with env.begin() as txn:
        return [txn.get(b"who", db=database) for database in databases]


def test_reader_that_is_older(filled: lmdb.Environment) -> None:
    """A transaction that began before another opened a database opens none, since it would give its number again; it
    reads on, and the next one opens it.
    """
    old = filled.begin()
    x = filled.open_db(b"x")
    with pytest.raises(lmdb.Error, match=LATE):
        filled.open_db(b"y", old, create=False)
    assert old.get(b"x") is None or old.stat()["entries"] == 3
    assert filled.open_db(b"x", old) is x
    old.commit()
    with filled.begin() as txn:
        y = filled.open_db(b"y", txn, create=False)
    assert who(filled, x, y) == [b"x", b"y"]


def test_two_readers(filled: lmdb.Environment) -> None:
    """Of two transactions one opens databases, until it has ended."""
    one, two = filled.begin(), filled.begin()
    x = filled.open_db(b"x", one, create=False)
    z = filled.open_db(b"z", one, create=False)
    with pytest.raises(lmdb.Error, match=BESIDE):
        filled.open_db(b"y", two, create=False)
    one.commit()
    with pytest.raises(lmdb.Error, match=LATE):
        filled.open_db(b"y", two, create=False)
    two.abort()
    y = filled.open_db(b"y")
    assert who(filled, x, y, z) == [b"x", b"y", b"z"]


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_writer_and_reader(filled: lmdb.Environment, end: str) -> None:
    """While a write transaction has opened databases a reader opens none, and what the reader then opens is its own."""
    writer = filled.begin(write=True)
    made = filled.open_db(b"made", writer)
    writer.put(b"who", b"made", db=made)
    with filled.begin() as reader, pytest.raises(lmdb.Error, match=BESIDE):
        filled.open_db(b"y", reader, create=False)
    getattr(writer, end)()
    with filled.begin() as reader:
        y = filled.open_db(b"y", reader, create=False)
    x = filled.open_db(b"x")
    assert who(filled, x, y) == [b"x", b"y"]
    if end == "commit":
        assert who(filled, made) == [b"made"]
    else:
        with pytest.raises(lmdb.Error, match=CLOSED):
            who(filled, made)


def test_refusal_changes_nothing(filled: lmdb.Environment) -> None:
    """A transaction that was refused a database goes on with those that it has, and commits."""
    reader = filled.begin()
    x = filled.open_db(b"x", reader, create=False)
    writer = filled.begin(write=True)
    with pytest.raises(lmdb.Error, match=BESIDE):
        filled.open_db(b"new", writer)
    writer.put(b"key", b"value")
    writer.commit()
    reader.commit()
    assert who(filled, x) == [b"x"]
    with filled.begin() as txn:
        assert txn.get(b"key") == b"value"
    with pytest.raises(lmdb.NotFoundError, match="mdb_dbi_open"):
        filled.open_db(b"new", create=False)


def test_failure_to_open(filled: lmdb.Environment) -> None:
    """A transaction that was told that there is no such database hinders nobody."""
    reader = filled.begin()
    with pytest.raises(lmdb.NotFoundError, match="mdb_dbi_open"):
        filled.open_db(b"missing", reader, create=False)
    other = filled.begin()
    x = filled.open_db(b"x", other, create=False)
    other.commit()
    assert who(filled, x) == [b"x"]
    reader.abort()


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_opened_in_nested_transactions(filled: lmdb.Environment, end: str) -> None:
    """A nested transaction opens databases for its parent, beside those that the parent opens."""
    with filled.begin(write=True) as parent:
        x = filled.open_db(b"x", parent)
        nested = filled.begin(write=True, parent=parent)
        y = filled.open_db(b"y", nested)
        getattr(nested, end)()
        z = filled.open_db(b"z", parent)
        if end == "abort":
            with pytest.raises(lmdb.Error, match=CLOSED):
                parent.get(b"who", db=y)
            y = filled.open_db(b"y", parent)
        assert [parent.get(b"who", db=database) for database in (x, y, z)] == NAMES
    assert who(filled, x, y, z) == NAMES


def test_reader_that_is_kept(opened: Open, filled: lmdb.Environment) -> None:
    """Spare transactions that have been kept since before opened databases see them, and open more."""
    filled.close()
    env = opened(max_spare_txns=2)
    readers = [env.begin(), env.begin()]
    for reader in readers:
        reader.abort()
    databases = []
    for name in NAMES:
        with env.begin() as txn:
            databases.append(env.open_db(name, txn, create=False))
    assert who(env, *databases) == NAMES


@pytest.mark.parametrize("readonly", [False, True])
def test_opened_by_threads(opened: Open, readonly: bool) -> None:
    """Threads that open different databases all at once get each its own."""
    names = [b"db%d" % number for number in range(8)]
    with opened() as env:
        for name in names:
            with env.begin(write=True, db=env.open_db(name)) as txn:
                txn.put(b"who", name)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(25):
            env = opened(readonly=readonly)
            found: dict[bytes, Any] = {}
            gate = threading.Barrier(8)

            def work(name: bytes, env: lmdb.Environment = env, found: dict[bytes, Any] = found,
                     gate: threading.Barrier = gate) -> None:  # fmt: skip
                gate.wait()
                try:
                    found[name] = env.open_db(name, create=False)
                except lmdb.Error as error:
                    found[name] = error

            threads = [threading.Thread(target=work, args=(name,)) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert who(env, *(found[name] for name in names)) == names
            env.close()
    finally:
        sys.setswitchinterval(interval)


def test_numbers_are_used_again(env: lmdb.Environment) -> None:
    """The number of a deleted database goes to the next one, and its handle, which is closed, does not reach it."""
    handles = []
    for number in range(30):
        database = env.open_db(b"%d" % number)
        with env.begin(write=True) as txn:
            txn.put(b"who", b"%d" % number, db=database)
            txn.put(b"who", b"%d" % number, db=database)
            for old in handles:
                for use in (lambda: txn.get(b"who", db=old), lambda: txn.put(b"who", b"old", db=old)):  # noqa: B023
                    with pytest.raises(lmdb.Error, match=CLOSED):
                        use()
            assert txn.get(b"who", db=database) == b"%d" % number
        with env.begin(write=True) as txn:
            txn.get(b"who", db=database)
            txn.drop(database)
        handles.append(database)


def test_dropped_in_a_nested_transaction(env: lmdb.Environment) -> None:
    """A handle that a nested transaction has used and dropped reaches nothing in it, nor the database opened next."""
    x = env.open_db(b"x")
    with env.begin(write=True) as txn:
        with env.begin(write=True, parent=txn) as nested:
            for _ in range(2):
                nested.put(b"key", b"of x", db=x)
                assert nested.get(b"key", db=x) == b"of x"
            nested.drop(x)
            y = env.open_db(b"y", nested)
            for use in (lambda: nested.put(b"key", b"of x", db=x), lambda: nested.get(b"key", db=x)):
                with pytest.raises(lmdb.Error, match=CLOSED):
                    use()
            assert nested.get(b"key", db=y) is None
        with pytest.raises(lmdb.Error, match=CLOSED):
            txn.put(b"key", b"of x", db=x)
        assert txn.get(b"key", db=y) is None


def test_dropped_below_a_transaction(env: lmdb.Environment) -> None:
    """Likewise where a nested transaction drops what its parent has used."""
    x = env.open_db(b"x")
    with env.begin(write=True) as txn:
        for _ in range(2):
            txn.put(b"key", b"of x", db=x)
        with env.begin(write=True, parent=txn) as nested:
            nested.drop(x)
        y = env.open_db(b"y", txn)
        for use in (lambda: txn.put(b"key", b"of x", db=x), lambda: txn.get(b"key", db=x)):
            with pytest.raises(lmdb.Error, match=CLOSED):
                use()
        assert txn.get(b"key", db=y) is None


def test_dropped_beside_a_reader_that_ends(python: Python, engine: int) -> None:
    """drop() that closes a handle in a reader of another thread, which ends that reader just now, comes to an end."""
    script = f"""
import faulthandler, tempfile, threading
import lmdb_bindings as lmdb
faulthandler.dump_traceback_later(20, exit=True)
with tempfile.TemporaryDirectory() as path:
    env = lmdb.open(path, max_dbs=4, lib_version={engine})
    for number in range(300):
        x = env.open_db(b"x")
        with env.begin(write=True) as txn: txn.put(b"key", b"value", db=x)
        readers = [env.begin(db=x) for _ in range(4)]
        for reader in readers: reader.get(b"key"), reader.get(b"key")
        gate = threading.Barrier(2)
        def end():
            gate.wait()
            for reader in readers: reader.abort()
        thread = threading.Thread(target=end); thread.start()
        with env.begin(write=True) as txn:
            gate.wait()
            txn.drop(x)
        thread.join()
    print(number)
"""
    assert python(script) == "299"


# -- integer keys ------------------------------------------------------------------------------------------------------

USES: dict[str, Callable[[lmdb.Transaction, bytes], Any]] = {
    "put": lambda txn, key: txn.put(key, b"value"),
    "put append": lambda txn, key: txn.put(key, b"value", append=True),
    "get": lambda txn, key: txn.get(key),
    "delete": lambda txn, key: txn.delete(key),
    "pop": lambda txn, key: txn.pop(key),
    "replace": lambda txn, key: txn.replace(key, b"value"),
    "getmany": lambda txn, key: txn.getmany([key]),
    "putmany": lambda txn, key: txn.putmany([(key, b"value")]),
    "cursor.put": lambda txn, key: txn.cursor().put(key, b"value"),
    "cursor.get": lambda txn, key: txn.cursor().get(key),
    "cursor.set_key": lambda txn, key: txn.cursor().set_key(key),
    "cursor.set_range": lambda txn, key: txn.cursor().set_range(key),
    "cursor.set_key_dup": lambda txn, key: txn.cursor().set_key_dup(key, b"value"),
    "cursor.set_range_dup": lambda txn, key: txn.cursor().set_range_dup(key, b"value"),
    "cursor.pop": lambda txn, key: txn.cursor().pop(key),
    "cursor.replace": lambda txn, key: txn.cursor().replace(key, b"value"),
    "cursor.getmulti": lambda txn, key: txn.cursor().getmulti([key]),
    "cursor.putmulti": lambda txn, key: txn.cursor().putmulti([(key, b"value")]),
}
RANGES: dict[str, Callable[[lmdb.Transaction, bytes], Any]] = {
    "scan": lambda txn, key: list(txn.scan(start=key)),
    "count_range": lambda txn, key: txn.count_range(stop=key),
    "delete_range": lambda txn, key: txn.delete_range(start=key),
}


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("key", [b"1", b"123", b"12345", b"1234567", b"123456789", b"x" * 16], ids=len)
@pytest.mark.parametrize("use", USES)
def test_integer_key_of_another_length(
    env: lmdb.Environment, use: str, key: bytes, kind: Callable[[bytes], Any]
) -> None:
    """A key that is no integer is refused wherever it is given: LMDB would read beyond its end."""
    database = env.open_db(b"integers", integerkey=True)
    with env.begin(write=True, db=database) as txn:
        for number in range(5):
            txn.put(number.to_bytes(8, sys.byteorder), b"%d" % number)
        with pytest.raises(lmdb.BadValsizeError, match=r"^a key of an integerkey database has 4 or 8 bytes: "):
            USES[use](txn, kind(key))
        assert [value for _, value in txn.cursor()] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("use", RANGES)
def test_range_of_integer_keys(env: lmdb.Environment, use: str) -> None:
    """Likewise the bounds of a range."""
    database = env.open_db(b"integers", integerkey=True)
    with env.begin(write=True, db=database) as txn:
        for number in range(5):
            txn.put(number.to_bytes(8, sys.byteorder), b"%d" % number)
        for key in (b"", b"123", b"123456789"):
            with pytest.raises(ValueError, match=r"^the keys of an integerkey database have 4 or 8 bytes"):
                RANGES[use](txn, key)
        assert txn.stat()["entries"] == 5


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("use", [name for name in USES if name != "put append"])
def test_integer_key(env: lmdb.Environment, use: str, size: int) -> None:
    """Integers of 4 and of 8 bytes are keys everywhere."""
    database = env.open_db(b"integers", integerkey=True, dupsort="dup" in use)
    with env.begin(write=True, db=database) as txn:
        for number in (0, 1, 300, 70000):
            assert txn.put(number.to_bytes(size, sys.byteorder), b"value")
        USES[use](txn, (300).to_bytes(size, sys.byteorder))
        left = [int.from_bytes(key, sys.byteorder) for key, _ in txn.cursor()]
        assert left == ([0, 1, 70000] if "pop" in use or use == "delete" else [0, 1, 300, 70000])
