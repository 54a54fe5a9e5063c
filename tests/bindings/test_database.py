"""Databases: their names, their order, their handles, and what is left when one is dropped."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

import lmdb_bindings as lmdb

GONE = r"^Attempt to operate on closed/deleted/dropped object\.(: Invalid argument)?$"

Open = Callable[..., lmdb.Environment]


def keys(txn: lmdb.Transaction, database: lmdb._Database | None = None) -> list[bytes]:
    return list(txn.cursor(database).iternext(values=False))


# -- names -----------------------------------------------------------------------------------------------------------


def test_main_database(env: lmdb.Environment) -> None:
    """Without a name it is the main database, which is always open."""
    assert env.open_db() is env.open_db(None) is env.open_db(key=None, create=False)


@pytest.mark.parametrize("name", [b"name", bytearray(b"name"), memoryview(b"name"), b"name\0", b"name\0more"])
def test_one_name_one_handle(env: lmdb.Environment, name: Any) -> None:
    """A name may be any buffer, and ends at a NUL, as LMDB reads it: so one database never has two handles."""
    assert env.open_db(name) is env.open_db(b"name")


def test_names_in_the_main_database(env: lmdb.Environment, engine: int) -> None:
    """A name is a key of the main database, in LMDB 1.0 with its NUL, and open_db() takes it as it stands there."""
    database = env.open_db(b"name")
    with env.begin() as txn:
        (name,) = keys(txn)
    assert name == [b"name", b"name\0"][engine]
    assert env.open_db(name) is database


@pytest.mark.parametrize(("name", "message"), [("name", "key must be bytes"), (5, "not 'int'"), (1.5, "not 'float'")])
def test_what_is_no_name(env: lmdb.Environment, name: Any, message: str) -> None:
    """What is not bytes is a TypeError."""
    with pytest.raises(TypeError, match=message):
        env.open_db(name)


@pytest.mark.parametrize("flag", ["reverse_key", "dupsort", "integerkey", "integerdup", "dupfixed"])
def test_main_database_has_no_flags(env: lmdb.Environment, flag: str) -> None:
    """The main database takes no flag."""
    with pytest.raises(ValueError, match=r"^May not set flags on the main database$"):
        env.open_db(**{flag: True})


def test_name_that_is_a_record(env: lmdb.Environment, engine: int) -> None:
    """A record of the main database cannot be opened as a database, nor a database written as a record."""
    record = [b"record", b"record\0"][engine]
    with env.begin(write=True) as txn:
        txn.put(record, b"value")
    with pytest.raises(lmdb.IncompatibleError, match=r"^mdb_dbi_open: MDB_INCOMPATIBLE: "):
        env.open_db(b"record")
    env.open_db(b"db")
    name = [b"db", b"db\0"][engine]
    for use in (lambda txn: txn.put(name, b"value"), lambda txn: txn.delete(name)):
        txn = env.begin(write=True)
        with pytest.raises(lmdb.IncompatibleError, match="MDB_INCOMPATIBLE: "):
            use(txn)
        txn.abort()
    with env.begin() as txn:
        assert keys(txn) == sorted([name, record])


def test_missing_database(env: lmdb.Environment) -> None:
    """With create=False a missing database is an error, and is not made."""
    with pytest.raises(lmdb.NotFoundError, match=r"^mdb_dbi_open: MDB_NOTFOUND: No matching key/data pair found$"):
        env.open_db(b"none", create=False)
    assert env.stat()["entries"] == 0


def test_max_dbs_is_what_is_open(opened: Open) -> None:
    """max_dbs counts the open handles: a database that was dropped, or never committed, makes room."""
    env = opened(max_dbs=1)
    full = r"^mdb_dbi_open: MDB_DBS_FULL: .* \(Please use a larger Environment\(max_dbs=\) parameter\)$"
    first = env.open_db(b"first")
    with pytest.raises(lmdb.DbsFullError, match=full):
        env.open_db(b"second")
    with env.begin(write=True) as txn:
        txn.drop(first)
    txn = env.begin(write=True)
    env.open_db(b"second", txn)
    txn.abort()
    env.open_db(b"third")


# -- flags and order -------------------------------------------------------------------------------------------------


def test_flags_are_the_files(opened: Open) -> None:
    """The flags of a database are those that it was made with, whatever open_db() is told later."""
    env = opened()
    made = env.open_db(b"db", dupsort=True, reverse_key=True).flags()
    env.close()
    assert opened().open_db(b"db", integerkey=True).flags() == made


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({}, [b"aa", b"ab", b"ba", b"c"]),
        ({"reverse_key": True}, [b"aa", b"ba", b"ab", b"c"]),
    ],
)
def test_order(env: lmdb.Environment, options: dict[str, bool], order: list[bytes]) -> None:
    """Keys are compared from the left, or with reverse_key from the right."""
    database = env.open_db(b"db", **options)
    with env.begin(write=True, db=database) as txn:
        for key in (b"c", b"ba", b"ab", b"aa"):
            txn.put(key, b"")
        assert keys(txn) == order


@pytest.mark.parametrize("kind", ["I", "N"], ids=["unsigned int", "size_t"])
def test_integer_keys(env: lmdb.Environment, kind: str) -> None:
    """With integerkey the keys are numbers in the machine's byte order, and sort as such."""
    database = env.open_db(b"db", integerkey=True)
    with env.begin(write=True, db=database) as txn:
        for number in (256, 3, 65536, 255):
            txn.put(struct.pack(f"@{kind}", number), b"")
        assert [struct.unpack(f"@{kind}", key)[0] for key in keys(txn)] == [3, 255, 256, 65536]


def test_integer_values(env: lmdb.Environment) -> None:
    """With integerdup the values of a key are such numbers."""
    database = env.open_db(b"db", integerdup=True)
    with env.begin(write=True, db=database) as txn:
        for number in (256, 3, 65536, 255):
            txn.put(b"key", struct.pack("@I", number))
        assert [struct.unpack("@I", value)[0] for _, value in txn.cursor()] == [3, 255, 256, 65536]


def test_fixed_values(env: lmdb.Environment) -> None:
    """With dupfixed the values of a key have one length, which may be a single byte."""
    database = env.open_db(b"db", dupfixed=True)
    with env.begin(write=True, db=database) as txn:
        for number in range(256):
            txn.put(b"bytes", bytes([number]))
        assert [value for _, value in txn.cursor()] == [bytes([number]) for number in range(256)]


# -- handles and transactions ------------------------------------------------------------------------------------------


def test_made_in_a_transaction(env: lmdb.Environment) -> None:
    """A database made in a transaction is there within it at once, and for others when it commits."""
    with env.begin(write=True) as txn:
        database = env.open_db(b"db", txn, dupsort=True)
        assert env.open_db(b"db", txn) is database
        assert txn.put(b"key", b"value", db=database)
    with env.begin(db=database) as txn:
        assert txn.get(b"key") == b"value"


def test_opened_by_a_reader(opened: Open) -> None:
    """A read transaction opens what exists; its handle stays if it commits, and not if it aborts."""
    env = opened(max_spare_txns=2)
    env.open_db(b"db")
    env.close()
    env = opened(max_spare_txns=2)
    with env.begin() as txn:
        kept = env.open_db(b"db", txn)
    with env.begin(write=True, db=kept) as txn:
        txn.put(b"key", b"value")
    env.close()
    env = opened(max_spare_txns=2)
    txn = env.begin()
    lost = env.open_db(b"db", txn)
    assert txn.get(b"key", db=lost) == b"value"
    txn.abort()
    with env.begin() as txn, pytest.raises(lmdb.Error, match=GONE):
        txn.get(b"key", db=lost)
    with pytest.raises(lmdb.ReadonlyError, match=r"^mdb_dbi_open: "):
        env.open_db(b"new", env.begin())


@pytest.mark.parametrize("inner", ["commit", "abort"])
@pytest.mark.parametrize("outer", ["commit", "abort"])
def test_made_in_a_nested_transaction(env: lmdb.Environment, inner: str, outer: str) -> None:
    """A database made in a nested transaction stays if that and all around it commit; else its handle is gone."""
    parent = env.begin(write=True)
    child = env.begin(write=True, parent=parent)
    database = env.open_db(b"db", child)
    getattr(child, inner)()
    getattr(parent, outer)()
    if inner == outer == "commit":
        assert env.open_db(b"db") is database
    else:
        with env.begin() as txn, pytest.raises(lmdb.Error, match=GONE):
            txn.get(b"key", db=database)
        with pytest.raises(lmdb.NotFoundError):
            env.open_db(b"db", create=False)


def test_open_db_while_writing(env: lmdb.Environment) -> None:
    """open_db() without the thread's own write transaction is an error, not a deadlock."""
    with env.begin(write=True) as txn:
        with pytest.raises(lmdb.Error, match="This would deadlock"):
            env.open_db(b"db")
        assert env.open_db(b"db", txn) is env.open_db(b"db")


def test_transaction_of_another_environment(opened: Open) -> None:
    """A database is opened in a transaction of its own environment, and both stay as they are where it is not."""
    one, two = opened("one"), opened("two")
    with (
        two.begin(write=True) as txn,
        pytest.raises(lmdb.Error, match=r"^The transaction belongs to another environment\.$"),
    ):
        one.open_db(b"db", txn)
    assert one.stat()["entries"] == two.stat()["entries"] == 0
    one.open_db(b"db")


@pytest.mark.parametrize(
    "use",
    [
        lambda txn, db: txn.get(b"key", db=db),
        lambda txn, db: txn.put(b"key", b"value", db=db),
        lambda txn, db: txn.delete(b"key", db=db),
        lambda txn, db: txn.drop(db),
        lambda txn, db: txn.drop(db, delete=False),
        lambda txn, db: txn.stat(db),
        lambda txn, db: txn.cursor(db),
        lambda txn, db: lmdb.Cursor(db, txn),
        lambda txn, db: txn.env.begin(db=db, parent=txn, write=True).get(b"key"),
    ],
)
def test_handle_of_another_environment(opened: Open, use: Callable[[lmdb.Transaction, lmdb._Database], Any]) -> None:
    """A handle is refused wherever another environment is asked to use it."""
    foreign, own = opened("one").open_db(b"theirs"), opened("two")
    own.open_db(b"mine")
    with (
        own.begin(write=True) as txn,
        pytest.raises(lmdb.Error, match=r"^Database handle belongs to another environment\.$"),
    ):
        use(txn, foreign)


def test_opened_by_many_threads(opened: Open) -> None:
    """Threads that open one database at the same time get one handle."""
    env = opened()
    env.open_db(b"db")
    env.close()
    for _ in range(20):
        env = opened(readonly=True)
        start, found = threading.Barrier(4), []

        def find(env: lmdb.Environment = env, start: threading.Barrier = start, found: list[Any] = found) -> None:
            start.wait()
            found.append(env.open_db(b"db"))

        threads = [threading.Thread(target=find) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(map(id, found))) == 1
        env.close()


# -- drop ------------------------------------------------------------------------------------------------------------


def test_emptied(env: lmdb.Environment) -> None:
    """drop(delete=False) empties a database: its handle is good, and its cursors are unset."""
    database = env.open_db(b"db")
    with env.begin(write=True, db=database) as txn:
        txn.put(b"key", b"value")
        cursor = txn.cursor()
        assert cursor.first()
        txn.drop(database, delete=False)
        assert cursor.item() == (b"", b"")
        assert list(cursor) == []
        assert txn.put(b"new", b"value")
        assert list(cursor) == [(b"new", b"value")]
    assert env.open_db(b"db") is database


def test_dropped(env: lmdb.Environment) -> None:
    """drop() removes a database with its handle and its cursors, and a new one of its name begins empty."""
    database = env.open_db(b"db", dupsort=True)
    with env.begin(write=True, db=database) as txn:
        txn.put(b"key", b"value")
        cursor, iterator = txn.cursor(), txn.cursor().iternext()
        assert next(iterator) == (b"key", b"value")
        txn.drop(database)
        for use in (
            lambda: txn.get(b"key"), lambda: txn.put(b"key", b""), lambda: txn.delete(b"key"), txn.stat, txn.cursor,
            lambda: txn.drop(database), lambda: txn.stat(database), lambda: env.begin(db=database).get(b"key"),
            cursor.first, cursor.item, lambda: next(iterator),
        ):  # fmt: skip
            with pytest.raises(lmdb.Error, match=GONE):
                use()
        again = env.open_db(b"db", txn)
        assert again is not database
        assert again.flags()["dupsort"] is False
        assert keys(txn, again) == []
    assert keys(env.begin(), again) == []


def test_cursor_of_a_dropped_database(env: lmdb.Environment) -> None:
    """A cursor of a dropped database does not become one of the database that takes its number."""
    dropped = env.open_db(b"dropped")
    with env.begin(write=True) as txn:
        cursor = txn.cursor(dropped)
        with env.begin(write=True, parent=txn) as child:
            inner = child.cursor(dropped)
            child.drop(dropped)
            secret = env.open_db(b"secret", child)
            child.put(b"secret", b"value", db=secret)
            with pytest.raises(lmdb.Error, match=GONE):
                inner.first()
        with pytest.raises(lmdb.Error, match=GONE):
            cursor.first()


def test_reader_of_a_dropped_database(env: lmdb.Environment) -> None:
    """A cursor of a snapshot goes on reading a database that was dropped since."""
    database = env.open_db(b"db")
    with env.begin(write=True, db=database) as txn:
        txn.put(b"a", b"1")
        txn.put(b"b", b"2")
    reader = env.begin()
    cursor = reader.cursor(database)
    with env.begin(write=True) as txn:
        txn.drop(database)
    assert list(cursor) == [(b"a", b"1"), (b"b", b"2")]


def test_drop_that_is_undone(env: lmdb.Environment) -> None:
    """A drop that is aborted leaves the records, and opening the database again finds them."""
    database = env.open_db(b"db")
    with env.begin(write=True, db=database) as txn:
        txn.put(b"key", b"value")
    txn = env.begin(write=True)
    txn.drop(database)
    txn.abort()
    with env.begin(db=env.open_db(b"db", create=False)) as txn:
        assert txn.get(b"key") == b"value"


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_made_and_dropped_in_one_transaction(env: lmdb.Environment, end: str) -> None:
    """What is made and dropped, and made again, in one transaction leaves nothing behind that stops its end."""
    txn = env.begin(write=True)
    for _ in range(3):
        database = env.open_db(b"db", txn)
        txn.drop(database)
    env.open_db(b"last", txn)
    getattr(txn, end)()
    with env.begin(write=True) as txn:
        assert len(keys(txn)) == (end == "commit")


@pytest.mark.parametrize("delete", [True, False])
def test_main_database_is_only_emptied(env: lmdb.Environment, delete: bool) -> None:
    """Dropping the main database empties it, and it can be used on."""
    main = env.open_db()
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
        txn.drop(main, delete=delete)
        assert txn.stat()["entries"] == 0
        assert txn.put(b"new", b"value")
    assert env.open_db() is main
    with env.begin() as txn:
        assert keys(txn) == [b"new"]
