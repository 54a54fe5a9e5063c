"""The types of the public API, as a user sees them: python usage.py FOLDER LIB_VERSION.

Type checkers read it, and it is run too, so that what they believe is true.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import lmdb_bindings as lmdb
from lmdb_bindings._scan import Scan

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:
    from runtime import assert_type

Database = lmdb._Database


def environment(env: lmdb.Environment) -> None:
    """Options, statistics, and what begins a transaction."""
    assert_type(env.path(), str)
    assert_type(env.readonly, bool)
    assert_type(env.lib_version(), tuple[int, int, int])
    assert_type(env.max_key_size(), int)
    assert_type(env.max_readers(), int)
    assert_type(env.readers(), str)
    assert_type(env.reader_check(), int)
    stat, info, flags = env.stat(), env.info(), env.flags()
    assert_type((stat["psize"], stat["depth"], stat["entries"]), tuple[int, int, int])
    assert_type((stat["branch_pages"], stat["leaf_pages"], stat["overflow_pages"]), tuple[int, int, int])
    assert_type((info["map_addr"], info["map_size"], info["last_pgno"]), tuple[int, int, int])
    assert_type((info["last_txnid"], info["max_readers"], info["num_readers"]), tuple[int, int, int])
    assert_type((flags["subdir"], flags["readonly"], flags["metasync"]), tuple[bool, bool, bool])
    assert_type((flags["sync"], flags["map_async"], flags["readahead"]), tuple[bool, bool, bool])
    assert_type((flags["writemap"], flags["meminit"], flags["lock"]), tuple[bool, bool, bool])
    assert (len(stat), len(info), len(flags)) == (6, 6, 9)

    assert_type(env.open_db(b"plain"), Database)
    assert_type(env.dbs(), list[bytes])
    assert_type(env.update(lambda txn: txn.put(b"key", b"value")), bool)
    with env as same:
        assert_type(same, lmdb.Environment)


def beginnings(env: lmdb.Environment, either: bool) -> None:
    """``buffers`` decides what keys and values are, wherever it stands."""
    main = env.open_db()
    with env.begin() as txn:
        assert_type(txn, lmdb.Transaction[bytes])
        assert_type(env.dbs(txn), list[bytes])
    with env.begin(main, None, False, False) as txn:
        assert_type(txn, lmdb.Transaction[bytes])
    with env.begin(buffers=True) as views:
        assert_type(views, lmdb.Transaction[memoryview])
        assert_type(env.dbs(views), list[memoryview])
    with env.begin(main, None, False, True) as views:
        assert_type(views, lmdb.Transaction[memoryview])
    with env.begin(write=True, buffers=True) as views:
        assert_type(views, lmdb.Transaction[memoryview])
        with env.begin(parent=views, write=True) as txn:
            assert_type(txn, lmdb.Transaction[bytes])
    with env.begin(buffers=either) as unknown:
        assert_type(unknown, lmdb.Transaction[bytes | memoryview])
        assert_type(unknown.get(b"key"), bytes | memoryview | None)
    with lmdb.Transaction(env) as txn:
        assert_type(txn, lmdb.Transaction[bytes])
    with lmdb.Transaction(env, buffers=True) as views:
        assert_type(views, lmdb.Transaction[memoryview])
    with lmdb.Transaction(env, main, None, False, True) as views:
        assert_type(views, lmdb.Transaction[memoryview])
    with lmdb.Transaction(env, buffers=either) as unknown:
        assert_type(unknown, lmdb.Transaction[bytes | memoryview])


def either_kind(txn: lmdb.Transaction) -> bytes:
    """Without a subscript, a transaction may give both."""
    return bytes(txn.get(b"key", default=b""))


def writing(txn: lmdb.Transaction[bytes], duplicates: Database) -> None:
    """Stores and deletions; keys and values are any buffers."""
    assert_type(txn.env, lmdb.Environment)
    assert_type(txn.put(b"a", bytearray(b"1")), bool)
    assert_type(txn.put(memoryview(b"b"), b"2", overwrite=False), bool)
    assert_type(txn.put(b"c", b"3", db=duplicates), bool)
    assert_type(txn.putmany([(b"d", b"4"), (bytearray(b"e"), memoryview(b"5"))]), int)
    assert_type(txn.replace(b"a", b"6"), bytes | None)
    assert_type(txn.pop(b"b"), bytes | None)
    assert_type(txn.delete(b"d"), bool)
    assert_type(txn.delete(b"d", None, duplicates), bool)
    assert_type(txn.count_range(prefix=b"a"), int)
    assert_type(txn.delete_range(start=b"x", stop=b"z", limit=1), int)

    cursor = txn.cursor(duplicates)
    assert_type(cursor.put(b"f", b"7", dupdata=False), bool)
    assert_type(cursor.putmulti([(b"f", b"8"), (b"g", b"9")]), tuple[int, int])
    assert_type(cursor.replace(b"g", b"0"), bytes | None)
    assert_type(cursor.pop(b"g"), bytes | None)
    assert_type(cursor.delete(dupdata=True), bool)


def writing_by_views(txn: lmdb.Transaction[memoryview]) -> None:
    """What replace() and pop() return is gone from the map: bytes."""
    txn.put(b"old", b"1")
    assert_type(txn.get(b"old"), memoryview | None)
    assert_type(txn.replace(b"old", b"2"), bytes | None)
    assert_type(txn.pop(b"old"), bytes | None)
    with txn.cursor() as cursor:
        cursor.put(b"old", b"1")
        assert_type(cursor.replace(b"old", b"2"), bytes | None)
        assert_type(cursor.pop(b"old"), bytes | None)


def reading(txn: lmdb.Transaction[bytes], duplicates: Database) -> None:
    """Single records, many records, and scans."""
    assert_type(txn.id(), int)
    assert_type(txn.stat()["entries"], int)
    flags = duplicates.flags()
    assert_type((flags["reverse_key"], flags["dupsort"], flags["dupfixed"]), tuple[bool, bool, bool])
    assert_type((flags["integerkey"], flags["integerdup"]), tuple[bool, bool])
    assert len(flags) == 5

    assert_type(txn.get(b"a"), bytes | None)
    assert_type(txn.get(b"a", None, duplicates), bytes | None)
    assert_type(txn.get(b"a", default=b"none"), bytes)
    assert_type(txn.get(b"none", default=0), bytes | int)
    assert_type(txn.get(b"a", db=duplicates), bytes | None)
    assert_type(txn.getmany([b"a", b"none"]), list[bytes | None])
    assert_type(txn.getmany([b"a", b"none"], b""), list[bytes])
    assert_type(txn.getmany([b"a", b"none"], default=0), list[bytes | int])

    assert_type(txn.scan(), Scan[tuple[bytes, bytes]])
    assert_type(txn.scan(duplicates, prefix=b"f", reverse=True, dups=False), Scan[tuple[bytes, bytes]])
    assert_type(txn.scan(values=False, limit=1), Scan[bytes])
    assert_type(txn.scan(start=b"a", include_start=True, keys=False), Scan[bytes])
    assert_type(iter(txn.scan(duplicates, values=False)), Iterator[bytes])
    assert_type(list(txn.scan()), list[tuple[bytes, bytes]])


def reading_views(txn: lmdb.Transaction[memoryview], duplicates: Database) -> None:
    """The same by views."""
    assert_type(txn.get(b"a"), memoryview | None)
    assert_type(txn.get(b"none", default=0), memoryview | int)
    assert_type(txn.getmany([b"a", b"none"]), list[memoryview | None])
    assert_type(txn.getmany([b"a", b"none"], 0), list[memoryview | int])
    assert_type(txn.scan(), Scan[tuple[memoryview, memoryview]])
    assert_type(txn.scan(duplicates, values=False), Scan[memoryview])
    assert_type(txn.scan(keys=False), Scan[memoryview])


def moving(txn: lmdb.Transaction[bytes], duplicates: Database) -> None:
    """What a cursor is, and how it moves."""
    with lmdb.Cursor(duplicates, txn) as cursor, txn.cursor(duplicates) as other:
        assert_type(cursor, lmdb.Cursor[bytes])
        assert_type(other, lmdb.Cursor[bytes])
        assert_type(cursor.txn, lmdb.Transaction[bytes])
        assert_type(cursor.db, Database)
        assert_type((cursor.first(), cursor.last(), cursor.next(), cursor.prev()), tuple[bool, bool, bool, bool])
        assert_type((cursor.set_key(b"f"), cursor.set_range(b"f")), tuple[bool, bool])
        assert_type((cursor.set_key_dup(b"f", b"7"), cursor.set_range_dup(b"f", b"7")), tuple[bool, bool])
        assert_type((cursor.first_dup(), cursor.last_dup()), tuple[bool, bool])
        assert_type((cursor.next_dup(), cursor.prev_dup()), tuple[bool, bool])
        assert_type((cursor.next_nodup(), cursor.prev_nodup()), tuple[bool, bool])
        cursor.first()
        assert_type((cursor.key(), cursor.value()), tuple[bytes, bytes])
        assert_type(cursor.item(), tuple[bytes, bytes])
        assert_type(cursor.count(), int)
        assert_type(cursor.get(b"f"), bytes | None)
        assert_type(cursor.get(b"none", 0), bytes | int)


def iterating(cursor: lmdb.Cursor[bytes], neither: Literal[False], either: bool) -> None:
    """Both flags give pairs, one of them gives keys or values."""
    cursor.first()
    assert_type(iter(cursor), Iterator[tuple[bytes, bytes]])
    for key, value in cursor:
        assert_type(key + value, bytes)

    def begin() -> lmdb.Cursor[bytes]:
        cursor.first()
        return cursor

    def end() -> lmdb.Cursor[bytes]:
        cursor.last()
        return cursor

    assert_type(begin().iternext(), Iterator[tuple[bytes, bytes]])
    assert_type(begin().iternext(True, True), Iterator[tuple[bytes, bytes]])
    assert_type(begin().iternext(values=False), Iterator[bytes])
    assert_type(begin().iternext(keys=False), Iterator[bytes])
    assert_type(begin().iternext(neither, values=neither), Iterator[bytes])
    assert_type(begin().iternext_dup(), Iterator[bytes])
    assert_type(begin().iternext_dup(keys=True), Iterator[tuple[bytes, bytes]])
    assert_type(begin().iternext_dup(True, False), Iterator[bytes])
    assert_type(begin().iternext_nodup(), Iterator[bytes])
    assert_type(begin().iternext_nodup(values=True), Iterator[tuple[bytes, bytes]])
    assert_type(begin().iternext_nodup(keys=False), Iterator[bytes])
    assert_type(end().iterprev(), Iterator[tuple[bytes, bytes]])
    assert_type(end().iterprev(values=False), Iterator[bytes])
    assert_type(end().iterprev(keys=False), Iterator[bytes])
    assert_type(end().iterprev_dup(), Iterator[bytes])
    assert_type(end().iterprev_dup(keys=True), Iterator[tuple[bytes, bytes]])
    assert_type(end().iterprev_dup(values=False), Iterator[bytes])
    assert_type(end().iterprev_nodup(), Iterator[bytes])
    assert_type(end().iterprev_nodup(values=True), Iterator[tuple[bytes, bytes]])
    assert_type(end().iterprev_nodup(keys=False), Iterator[bytes])
    assert_type(begin()._iter_from(b"a", False), Iterator[tuple[bytes, bytes]])
    if TYPE_CHECKING:  # what is Any can be true of nothing in particular
        assert_type(begin().iternext(either, either), Iterator[Any])
        assert_type(cursor.txn.scan(keys=either, values=either), Scan[Any])
        assert_type(cursor.txn.scan(values=either), Scan[Any])


def iterating_views(cursor: lmdb.Cursor[memoryview]) -> None:
    """The same by views."""
    assert_type(cursor.iternext(), Iterator[tuple[memoryview, memoryview]])
    assert_type(cursor.iternext(values=False), Iterator[memoryview])
    assert_type(cursor.iterprev(keys=False), Iterator[memoryview])
    cursor.first()
    assert_type(cursor.iternext_dup(), Iterator[memoryview])
    assert_type(cursor.iternext_nodup(values=True), Iterator[tuple[memoryview, memoryview]])
    cursor.first()
    assert_type(cursor.item(), tuple[memoryview, memoryview])
    assert_type(cursor.get(b"c"), memoryview | None)
    assert_type(cursor.getmulti([b"c"]), list[tuple[memoryview, memoryview]])
    assert_type(cursor.getmulti([b"c"], values=False), list[memoryview])


def many(cursor: lmdb.Cursor[bytes]) -> None:
    """What getmulti() gives depends on its flags."""
    assert_type(cursor.getmulti([b"c", b"none"]), list[tuple[bytes, bytes]])
    assert_type(cursor.getmulti([b"c"], dupdata=True, dupfixed_bytes=1), list[tuple[bytes, bytes]])
    assert_type(cursor.getmulti([b"c"], values=False), list[bytes])
    assert_type(cursor.getmulti([b"c"], True, 1, True), memoryview)
    assert_type(cursor.getmulti([b"c"], dupdata=True, dupfixed_bytes=1, keyfixed=True), memoryview)


def main(folder: str, lib_version: int) -> None:
    """Run everything against a new environment."""
    env = assert_type(lmdb.open(folder, max_dbs=4, lib_version=lib_version), lmdb.Environment)
    duplicates = env.open_db(b"duplicates", dupsort=True, dupfixed=True)
    either = bool(os.environ.get("BUFFERS"))
    beginnings(env, either)
    with env.begin(write=True) as txn:
        writing(txn, duplicates)
        cursor = txn.cursor(duplicates)
        cursor.putmulti([(b"f", b"7"), (b"f", b"8")])
        either_kind(txn)
    with env.begin(write=True, buffers=True) as views:
        writing_by_views(views)
    with env.begin() as txn:
        reading(txn, duplicates)
        moving(txn, duplicates)
        iterating(txn.cursor(duplicates), False, either)
        many(txn.cursor(duplicates))
    with env.begin(buffers=True) as views:
        reading_views(views, duplicates)
        iterating_views(views.cursor(duplicates))
        either_kind(views)
    environment(env)
    assert_type(lmdb.open_shared(folder, max_dbs=4, lib_version=lib_version), lmdb.Environment).close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
