"""Values that are written straight into the page, which tables do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import lmdb_bindings as lmdb


def fill(data: bytes) -> Callable[[memoryview], None]:
    """What writes these bytes."""

    def write(into: memoryview) -> None:
        into[:] = data

    return write


@pytest.mark.parametrize("size", [0, 1, 2000, 5000, 100_000])
def test_the_value_is_what_was_written(env: lmdb.Environment, size: int) -> None:
    """Of every size, on a page of records or on pages of its own, new or in the place of another."""
    database = env.open_db(b"db")
    data = bytes(range(256)) * 400
    with env.begin(write=True) as txn:
        for value in (data[:size], data[1 : size + 1], data[:7]):
            assert txn._reserve(b"key", len(value), fill(value), overwrite=True, db=database)
            assert txn.get(b"key", db=database) == value
        assert not txn._reserve(b"key", 1, fill(b"x"), overwrite=False, db=database)
        assert txn._reserve(b"other", 1, fill(b"x"), overwrite=False, db=database)
    with env.begin(database) as txn:
        assert list(txn.cursor()) == [(b"key", data[:7]), (b"other", b"x")]


def test_iterations_see_it(env: lmdb.Environment) -> None:
    """It is a write like any other for what has read ahead."""
    with env.begin(write=True) as txn:
        txn.putmany((b"%02d" % number, b"") for number in range(50))
        items = iter(txn.cursor())
        next(items)
        txn._reserve(b"00a", 1, fill(b"x"), overwrite=True, db=env.open_db())
        assert next(items) == (b"00a", b"x")


def test_the_view_is_of_no_use_afterwards(env: lmdb.Environment) -> None:
    """The view that was lent is released."""
    kept: list[memoryview] = []
    with env.begin(write=True) as txn:
        txn._reserve(b"key", 4, kept.append, overwrite=True, db=env.open_db())
        with pytest.raises(ValueError, match="released"):
            kept[0][0]


@pytest.mark.parametrize(
    "part", [lambda view: view[1:], memoryview, lambda view: view.cast("H"), lambda view: view.toreadonly()]
)
def test_a_part_that_was_kept_is_noticed(env: lmdb.Environment, part: Callable[[memoryview], Any]) -> None:
    """What is derived from the view has its own hold on the memory: that is a BufferError, and nothing is stored."""
    kept: list[Any] = []
    with pytest.raises(BufferError, match="kept a part of the page"), env.begin(write=True) as txn:
        txn._reserve(b"key", 4, lambda view: kept.append(part(view)), overwrite=True, db=env.open_db())
    with env.begin() as reading:
        assert reading.get(b"key") is None


def test_a_writer_that_fails(env: lmdb.Environment) -> None:
    """Its error comes out, and nothing is stored: what the value has replaced is gone, so the transaction is aborted."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"old")
    with pytest.raises(ZeroDivisionError), env.begin(write=True) as txn:
        txn._reserve(b"key", 4, lambda _: 1 // 0, overwrite=True, db=env.open_db())
    with env.begin(write=True) as txn:
        assert txn.get(b"key") == b"old"
        with pytest.raises(ZeroDivisionError):
            txn._reserve(b"key", 4, lambda _: 1 // 0, overwrite=True, db=env.open_db())
        with pytest.raises(lmdb.Error, match="closed"):
            txn.put(b"key", b"new")


def test_errors(env: lmdb.Environment) -> None:
    """LMDB's errors are those of put()."""
    database = env.open_db()
    with env.begin() as reading, pytest.raises(lmdb.ReadonlyError):
        reading._reserve(b"key", 1, fill(b"x"), overwrite=True, db=database)
    with env.begin(write=True) as txn:
        for key in (b"", b"x" * 3000):
            with pytest.raises(lmdb.BadValsizeError):
                txn._reserve(key, 1, fill(b"x"), overwrite=True, db=database)
        if sys.maxsize > 1 << 32:
            with pytest.raises(lmdb.Error):
                txn._reserve(b"key", 1 << 33, fill(b"x"), overwrite=True, db=database)


@pytest.mark.parametrize(
    "use",
    [
        lambda txn: txn.put(b"key", b"x"),
        lambda txn: txn.put(b"other", b"x"),
        lambda txn: txn.delete(b"key"),
        lambda txn: txn.get(b"key"),
        lambda txn: txn.putmany([(b"other", b"x")]),
        lambda txn: txn._reserve(b"other", 1, fill(b"x"), overwrite=True, db=txn.env.open_db()),
        lambda txn: lmdb.Transaction(txn.env, parent=txn, write=True),
        lambda txn: txn.commit(),
        lambda txn: txn.abort(),
        lambda txn: txn.env.close(),
    ],
)
@pytest.mark.parametrize("single", [True, False])
def test_nobody_comes_in_between(env: lmdb.Environment, use: Callable[[Any], Any], single: bool) -> None:
    """What runs while the page is written, as a handler of a signal may, cannot make LMDB move or free that page."""
    with env.begin(write=True) as txn:
        if single:
            txn.put(b"first", b"x")  # from now on single records go with little between Python and LMDB
        cursor = txn.cursor()
        cursor.first()

        def write(into: memoryview) -> None:
            with pytest.raises(lmdb.Error, match=r"A value is being written into a page|in the middle of that"):
                use(txn)
            with pytest.raises(lmdb.Error, match="A value is being written into a page of this transaction"):
                cursor.put(b"other", b"x")
            into[:] = b"1234"

        assert txn._reserve(b"key", 4, write, overwrite=True, db=env.open_db())
        assert txn.get(b"key") == b"1234"
        txn.put(b"second", b"x")
    with env.begin() as reading:
        assert [key for key, _ in reading.cursor()][-2:] == [b"key", b"second"]
