"""What type checkers must refuse. Read by them alone: an ignored error that is none is an error for mypy, so each line
here is one.
"""

from __future__ import annotations

import lmdb_bindings as lmdb


def takes_bytes(txn: lmdb.Transaction[bytes]) -> None:
    """Something that needs bytes."""


def takes_views(txn: lmdb.Transaction[memoryview]) -> None:
    """Something that needs views."""


def environment(env: lmdb.Environment) -> None:
    """Options, and what begins a transaction."""
    lmdb.open("path", map_size="automatic")  # type: ignore[arg-type]
    lmdb.open("path", maxdbs=1)  # type: ignore[call-arg]
    env.open_db("name")  # type: ignore[arg-type]
    env.set_mapsize("auto")  # type: ignore[arg-type]
    env.begin(buffers="yes")  # type: ignore[call-overload]
    env.begin(env)  # type: ignore[call-overload]
    env.stat()["pages"]  # type: ignore[typeddict-item]
    env.info()["entries"]  # type: ignore[typeddict-item]
    env.flags()["dupsort"]  # type: ignore[typeddict-item]
    env.open_db().flags()["sync"]  # type: ignore[typeddict-item]
    env.update(takes_views)  # type: ignore[arg-type]
    takes_bytes(env.begin(buffers=True))  # type: ignore[arg-type]
    takes_views(env.begin())  # type: ignore[arg-type]


def of_text(txn: lmdb.Transaction[str]) -> None:  # type: ignore[type-var]
    """Keys and values are bytes or views."""


def of_both(txn: lmdb.Transaction) -> None:
    """Without a subscript a transaction gives bytes or views, and nobody knows which."""
    takes_bytes(txn)  # type: ignore[arg-type]


def transaction(txn: lmdb.Transaction[bytes], views: lmdb.Transaction[memoryview]) -> None:
    """Single records, many records, and scans."""
    txn.get("key")  # type: ignore[call-overload]
    txn.get(b"key").decode()  # type: ignore[union-attr]
    txn.get(b"key", default=0).decode()  # type: ignore[union-attr]
    views.get(b"key", default=memoryview(b"")).decode()  # type: ignore[attr-defined]
    txn.put(b"key", "value")  # type: ignore[arg-type]
    txn.put(1, b"value")  # type: ignore[arg-type]
    txn.delete("key")  # type: ignore[arg-type]
    txn.getmany(b"key")  # type: ignore[arg-type]
    txn.putmany({b"key": b"value"})  # type: ignore[dict-item]
    txn.putmany([(b"key", "value")])  # type: ignore[list-item]
    txn.scan(b"prefix")  # type: ignore[call-overload]
    txn.scan(prefx=b"a")  # type: ignore[call-overload]
    txn.scan(prefix="a")  # type: ignore[call-overload]
    txn.count_range(prefix="a")  # type: ignore[arg-type]
    pair: tuple[bytes, bytes] = next(iter(txn.scan(values=False)))  # type: ignore[assignment]
    old: memoryview | None = views.pop(b"key")  # type: ignore[assignment]
    del pair, old


def cursor(cursor: lmdb.Cursor[bytes]) -> None:
    """Moves, iterations, and many at once."""
    cursor.set_key("key")  # type: ignore[arg-type]
    cursor.set_range_dup(b"key", 1)  # type: ignore[arg-type]
    cursor.get("key")  # type: ignore[call-overload]
    cursor.iternext(keys="no")  # type: ignore[call-overload]
    pair: tuple[bytes, bytes] = next(cursor.iternext(values=False))  # type: ignore[assignment]
    value: bytes = next(cursor.iternext_dup(keys=True))  # type: ignore[assignment]
    cursor.getmulti([b"key"], keyfixed=True)  # type: ignore[call-overload]
    cursor.getmulti([b"key"], dupdata=True, values=False)  # type: ignore[call-overload]
    cursor.getmulti([b"key"], dupdata=True, keyfixed=True)  # type: ignore[call-overload]
    cursor.putmulti([b"key"])  # type: ignore[list-item]
    del pair, value
