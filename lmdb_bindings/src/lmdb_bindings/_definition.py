"""How databases are defined: their names and LMDB's persistent flags, read and made whole.

:meth:`Environment.open_db` has no keyword for ``MDB_REVERSEDUP``, and sets no flags of the main database; C programs do
both, so whatever carries a database from one file to another needs them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lmdb_bindings import _constants as c
from lmdb_bindings._abi import ffi
from lmdb_bindings._database import _Database
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import IncompatibleError, NotFoundError

# The persistent flags by mdb_dump's names, in its order.
FLAGS = {
    "reversekey": c.REVERSEKEY,
    "dupsort": c.DUPSORT,
    "integerkey": c.INTEGERKEY,
    "dupfixed": c.DUPFIXED,
    "integerdup": c.INTEGERDUP,
    "reversedup": 0x40,  # MDB_REVERSEDUP
}
ALL = sum(FLAGS.values())

# Bytes of an MDB_db, the value that stands in the main database for a named one: 48, or 28 of a 32-bit LMDB.
_RECORD = 8 + 5 * ffi.sizeof("size_t")


def label(name: bytes | None) -> str:
    """A database in a message."""
    return "the main database" if name is None else f"database {name.decode('utf-8', 'backslashreplace')!r}"


def flags_of(database: _Database) -> int:
    """All persistent flags of a database."""
    return database._flags & ALL


def words(flags: int) -> str:
    """Flags in a message."""
    return " ".join(name for name, flag in FLAGS.items() if flags & flag) or "none"


def named(env: Environment, txn: Transaction) -> dict[bytes, _Database]:
    """Open every named database, in the order of the main one.

    A record of the main database is a named one if LMDB opens it as such; nothing else tells, so a plain record may
    well have the name and the size of one.

    Raises:
        DbsFullError: there are more of them than the environment's ``max_dbs``.
    """
    main = env.open_db(None, txn=txn)
    found: dict[bytes, _Database] = {}
    if flags_of(main) & (c.DUPSORT | c.INTEGERKEY):
        return found  # the engines refuse named databases in such a one
    end = _name_end(env)
    for key, value in txn.cursor(main):
        name = bytes(key)
        if len(value) != _RECORD or not name.endswith(end):
            continue
        name = name[: len(name) - len(end)]
        if not name or b"\0" in name:
            continue  # no C string leads there
        with suppress(IncompatibleError, NotFoundError):
            found[name] = env.open_db(name, txn=txn, create=False)
    return found


def records(env: Environment, txn: Transaction, name: bytes | None, database: _Database) -> Iterator[tuple[Any, Any]]:
    """The records of a database in its order; of the main one only those that are no named database."""
    cursor = txn.cursor(database)
    if name is not None:
        return iter(cursor)
    end = _name_end(env)
    keys = {key + end for key in named(env, txn)}
    return ((key, value) for key, value in cursor if key not in keys)


def define(env: Environment, txn: Transaction, name: bytes | None, flags: int) -> _Database:
    """Open a database, and make it with these flags if it does not exist.

    Args:
        env: the environment.
        txn: a write transaction in it.
        name: None for the main database, which takes the flags only while it is empty.
        flags: persistent flags, see :data:`FLAGS`.

    Returns:
        The database, whose flags are others if it exists and was made with others.
    """
    if name is not None:
        return env._open_in(txn, name, flags | c.CREATE)
    main = env.open_db(None, txn=txn)
    if flags_of(main) != flags and not txn.stat(main)["entries"]:
        main._open(env._engine.lib, txn._live(), flags)
    return main


def reread_main(env: Environment) -> None:
    """After an aborted transaction that had defined the main database: LMDB keeps the comparison, and we the flags."""
    with env.begin() as txn:
        env.open_db(None, txn=txn)._open(env._engine.lib, txn._live(), 0)


def append(txn: Transaction, key: Any, value: Any, database: _Database) -> None:
    """Store a record that is likely, but not surely, the last one so far."""
    if not txn.put(key, value, append=True, db=database):
        txn.put(key, value, db=database)


def _name_end(env: Environment) -> bytes:
    # Data format 3 stores the NUL of the C string, data format 1 does not.
    return b"\0" if env.lib_version() >= (1,) else b""
