"""Single records on CPython: ``Transaction.get`` and ``put`` as built-in methods, by liblmdb_fast.

A crossing of CFFI costs twice what LMDB does with a record. The built-in methods do what is usual, with exact ``bytes``
in the database that the transaction used last; all else they leave to the methods written in Python, which they stand
for, and which any other interpreter uses alone. Which way a call goes cannot be seen but by the time that it takes.

They keep the interpreter's lock meanwhile, which costs more to give back than a look-up in memory. So an environment
opened with ``readahead=False``, for random reads of a file larger than memory, does without them.
"""

from __future__ import annotations

import sys

import liblmdb_wheel
from lmdb_bindings._abi import ffi
from lmdb_bindings._engine import is_wanted
from lmdb_bindings._token import NO_WAYS
from lmdb_bindings.errors import error
from sharedlib_loader import SharedLibraryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lmdb_bindings._database import _Database

SWITCH = "LMDB_BINDINGS_FAST"

why_not = "Transaction is not imported yet"
"""Why there is no fast way in this process; empty where there is one."""


def fast(lib: Any) -> Fast | None:
    """The fast way over an engine, whose functions these are; None where there is none."""
    return None if why_not else Fast(lib)


def install(transaction: type) -> None:
    """Make the methods of a class built-in ones, if that can be. Before anybody has seen them: others wrap methods."""
    global why_not
    why_not = _try_to_install(transaction)


class Fast:
    """The states of the transactions of one engine.

    Args:
        lib: its functions, by CFFI.
    """

    def __init__(self, lib: Any) -> None:
        self._addresses = [int(ffi.cast("uintptr_t", getattr(lib, name))) for name in ("mdb_get", "mdb_put")]
        self._spare: list[Single] = []

    def direct(self) -> Single:
        """Single records of a transaction: a spare one, or new."""
        try:
            return self._spare.pop()
        except IndexError:
            return Single(_functions["new"](*self._addresses))

    def put_back(self, single: Single) -> None:
        """Keep one whose transaction has ended for the next."""
        self._spare.append(single)


class Single:
    """Single records of a transaction.

    Attributes:
        database: the database it is pointed at.
        state: what the built-in methods know of the transaction.
    """

    __slots__ = ("database", "state")

    def __init__(self, state: Any) -> None:
        self.state = state
        self.database: _Database | None = None

    def begin(self, txn: Any, token: list[None]) -> None:
        """Serve a transaction of LMDB's, in which somebody is at work while ``token`` is empty."""
        _functions["begin"](self.state, int(ffi.cast("uintptr_t", txn)), token)

    def use(self, database: _Database, *, own: bool, may_put: bool) -> None:
        """Point it at a database: ``own``, the transaction's; to look up, and maybe to store."""
        self.database = database
        _functions["point"](self.state, database._dbi, database, own, may_put)

    def stop_puts(self) -> None:
        """From now on Python's method stores."""
        _functions["stop_puts"](self.state)

    def forget(self) -> None:
        """Point it at no database."""
        self.database = None
        _functions["point"](self.state, 0, None, 0, 0)

    def end(self) -> None:
        """Serve no transaction."""
        self.database = None
        _functions["end"](self.state)

    def ways(self) -> tuple[Any, ...]:
        """Nothing for the methods in Python: see ``_bulk.Direct``."""
        return NO_WAYS[:-1]


_functions: dict[str, Any] = {}


def _try_to_install(transaction: Any) -> str:
    if not is_wanted(SWITCH):
        return f"{SWITCH}=0"
    if sys.implementation.name != "cpython":
        return f"not for {sys.implementation.name}"
    if "t" in getattr(sys, "abiflags", ""):
        return "not for builds of CPython without the global lock"
    from ctypes import PyDLL, py_object

    try:
        library = liblmdb_wheel.load_fast(on_conflict="accept")
    except SharedLibraryError as problem:  # a distributor may leave it out: nothing is lost but speed
        return str(problem)
    methods = PyDLL(None, handle=int(library.handle)).lmdb_fast_methods
    methods.argtypes, methods.restype = [py_object] * 4, py_object
    get, put, *functions = methods(transaction, transaction.get, transaction.put, _fail)
    _functions.update((function.__name__, function) for function in functions)
    transaction.get, transaction.put = get, put
    return ""


def _fail(what: str, code: int) -> None:
    raise error(what, code)
