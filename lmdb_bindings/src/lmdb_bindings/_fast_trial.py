"""The built-in methods are tried, before they are trusted with data: over an engine in C that stands in for LMDB's.

What may differ is the interpreter: how it lays objects out, how it calls, counts references and collects. So each way
in and out of C is gone once, without a file.
"""

from __future__ import annotations

import gc
import sys

from lmdb_bindings import _fast
from lmdb_bindings._abi import ffi
from lmdb_bindings._database import _Database
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import BadValsizeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def fault(stand_in: int) -> str:
    """What the built-in methods do wrong; empty where they do all right.

    Args:
        stand_in: the address of the engine to try them with.
    """
    try:
        _try(stand_in)
    except BaseException as problem:  # noqa: BLE001 (whatever it is, there is another way)
        return f"the built-in methods fail their trial: {type(problem).__name__}: {problem}"
    return ""


def _try(stand_in: int) -> None:
    env, database = _environment(stand_in)
    is_open = ffi.new("int *", 1)  # the whole of the engine's transaction
    txn = _transaction(env, database, is_open)
    _expect("fields", (txn.env, txn._db, txn._mutations), (env, database, 0))
    _expect("what the collector sees", {id(env), id(database)} <= {id(thing) for thing in gc.get_referents(txn)}, True)
    counted = (env, database, txn, txn._token, *_COUNTED)
    before = [sys.getrefcount(thing) for thing in counted]
    for _ in range(_ROUNDS):
        for method, arguments, named, wanted in CALLS:
            _expect(f"{method}{arguments}", getattr(txn, method)(*arguments, **named), wanted)
        try:
            txn.get(b"")
        except BadValsizeError:
            pass
        else:
            raise AssertionError("an error of LMDB's is lost")
        if not _fast.is_free_threaded:
            _try_light(env)
    after = [sys.getrefcount(thing) for thing in counted]
    _expect("references", [now - was for was, now in zip(before, after, strict=True)], [0] * len(counted))
    _expect("writes counted", txn._mutations > 0, True)
    txn._address = 0


def _try_light(env: Environment) -> None:
    """A transaction that is begun, used and ended without Python."""
    txn = env.begin()
    _expect("a new transaction", (type(txn), txn._light, txn._generation, txn.env is env), (Transaction, 1, 3, True))
    _expect("a transaction that the environment knows", [one is txn for one in env._lights()], [True])
    _expect("its get", txn.get(b"other"), b"another")
    _try_cursors(txn)
    txn.abort()
    _expect("its end", (txn._address, env._lights(), len(env._spare)), (0, [], 1))
    with env.begin() as again:
        _expect("a spare one", (again.get(b"key"), len(env._spare)), (b"value", 0))
    env.begin()
    _expect("one that nobody keeps", (env._lights(), len(env._spare)), ([], 1))
    env._spare.clear()


def _try_cursors(txn: Transaction[Any]) -> None:
    """One that moves and reads, and one that iterates."""
    records = [(b"key", b"value"), (b"other", b"another")]
    with txn.cursor() as cursor:
        _expect("moves", [cursor.first(), cursor.next(), cursor.next()], [True, True, False])
        _expect("a search", cursor.set_key(_KEY), True)
        _expect("what a cursor is on", (cursor.key(), cursor.value(), cursor.item()), (*records[0], records[0]))
        _expect("a whole iteration", list(cursor), records)
        _expect("an unset cursor", cursor.item(), (b"", b""))
    _expect("half an iteration", next(txn.cursor().iternext(values=False)), _KEY)
    _expect("cursors that the transaction knows", txn._lights(), [])


def _environment(stand_in: int) -> tuple[Environment, _Database]:
    """An environment of the engine, which is no file's, and its database."""
    env, database = Environment.__new__(Environment), _Database.__new__(_Database)
    database._dbi, database._flags, database._home = 1, 0, id(env)
    env._functions, env._address, env._generation = stand_in, 1, 3
    env._main, env._spare, env._max_spare, env._doors = database, [], 1, [None]
    return env, database


def _transaction(env: Environment, database: _Database, engines: Any) -> Transaction[Any]:
    """A transaction of it as Python begins one, which is the engine's at this pointer."""
    txn: Transaction[Any] = Transaction.__new__(Transaction)
    txn._functions, txn._address = env._functions, _fast.address(engines)
    txn._belong(env)
    txn._db, txn._token = database, [None]
    return txn


def _expect(what: str, found: Any, wanted: Any) -> None:
    if found != wanted or type(found) is not type(wanted):
        raise AssertionError(f"{what}: {found!r}, not {wanted!r}")


_ROUNDS = 3
_KEY, _NONE, _VALUE, _DEFAULT = b"key", b"none", b"value of its own", "default"
_COUNTED = (_KEY, _NONE, _VALUE, _DEFAULT)

CALLS: tuple[tuple[str, tuple[Any, ...], dict[str, Any], Any], ...] = (
    ("get", (_KEY,), {}, b"value"),
    ("get", (_NONE,), {}, None),
    ("get", (_NONE, _DEFAULT), {}, _DEFAULT),
    ("get", (_NONE,), {"default": _DEFAULT, "db": None}, _DEFAULT),
    ("put", (_KEY, _VALUE), {}, True),
    ("put", (_KEY, _VALUE, True, False), {}, False),
    ("put", (_NONE, _VALUE), {"overwrite": False}, True),
    ("delete", (_KEY,), {}, True),
    ("delete", (_NONE, b"", None), {}, False),
    ("replace", (_KEY, _VALUE), {}, b"value"),
    ("replace", (_NONE, _VALUE), {}, None),
    ("pop", (_KEY,), {}, b"value"),
    ("pop", (_NONE,), {"db": None}, None),
)
"""Calls of a transaction: method, arguments, named ones, result."""
