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
    except Exception as problem:  # noqa: BLE001 (whatever it is, there is another way)
        return f"the built-in methods fail their trial: {type(problem).__name__}: {problem}"
    return ""


def _try(stand_in: int) -> None:
    env, database = _environment(stand_in)
    is_open = ffi.new("int *", 1)  # the whole of the engine's transaction
    txn = _transaction(env, database, is_open)
    _expect("fields", (txn.env, txn._db, txn._mutations), (env, database, 0))
    _expect("what the collector sees", {id(env), id(database)} <= {id(thing) for thing in gc.get_referents(txn)}, True)
    of_txn = _fast.built_in["Transaction"]  # not what others may have made of the class
    counted = (env, database, txn, txn._token, *_COUNTED)
    before = [sys.getrefcount(thing) for thing in counted]
    for _ in range(_ROUNDS):
        for method, arguments, named, wanted in CALLS:
            _expect(f"{method}{arguments}", of_txn[method](txn, *arguments, **named), wanted)
        try:
            of_txn["get"](txn, b"")
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
    begin, of_txn = _fast.built_in["Environment"]["begin"], _fast.built_in["Transaction"]
    txn = begin(env)
    _expect("a new transaction", (type(txn), txn._light, txn._generation, txn.env is env), (Transaction, 1, 3, True))
    _expect("that the environment knows", env._count_lights(), 1)
    _expect("its get", of_txn["get"](txn, b"other"), b"another")
    _try_cursors(txn)
    of_txn["abort"](txn)
    _expect("its end", (txn._address, env._count_lights(), len(env._spare)), (0, 0, 1))
    again = begin(env)
    _expect("a spare one", (of_txn["__enter__"](again) is again, len(env._spare)), (True, 0))
    _expect("its end in a block", (of_txn["__exit__"](again, None, None, None), len(env._spare)), (None, 1))
    begin(env)
    _expect("one that nobody keeps", (env._count_lights(), len(env._spare)), (0, 1))
    env._spare.clear()


def _try_cursors(txn: Transaction[Any]) -> None:
    """One that moves and reads, and one that iterates."""
    open_cursor, of_cursor = _fast.built_in["Transaction"]["cursor"], _fast.built_in["Cursor"]
    records = [(b"key", b"value"), (b"other", b"another")]
    cursor = open_cursor(txn)
    moves = [of_cursor[move](cursor) for move in ("first", "next", "next")]
    _expect("moves", moves, [True, True, False])
    _expect("a search", of_cursor["set_key"](cursor, _KEY), True)
    _expect("what a cursor is on", [of_cursor[read](cursor) for read in ("key", "value", "item")],
            [*records[0], records[0]])  # fmt: skip
    _expect("a whole iteration", list(of_cursor["iternext"](cursor)), records)
    _expect("an unset cursor", of_cursor["item"](cursor), (b"", b""))
    of_cursor["close"](cursor)
    _expect("half an iteration", next(of_cursor["iternext"](open_cursor(txn), values=False)), _KEY)
    _expect("cursors that the transaction knows", txn._count_lights(), 0)


def _environment(stand_in: int) -> tuple[Environment, _Database]:
    """An environment of the engine, which is no file's, and its database."""
    env, database = Environment.__new__(Environment), _Database.__new__(_Database)
    database._dbi, database._flags, database._home = 1, 0, 0
    env._functions, env._address, env._generation, env._number = stand_in, 1, 3, 0
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
# Nobody else has these, or what they are equal to: they are counted.
_KEY, _NONE, _VALUE, _DEFAULT = bytes(bytearray(b"key")), bytes(bytearray(b"none")), bytes(bytearray(b"own")), object()
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
