"""The seam between the binding in Python and its short way in C, liblmdb_fast.

A crossing of CFFI costs more than what LMDB does with a record. So on CPython the base classes of ``Environment``,
``_Database``, ``Transaction`` and ``Cursor`` are the library's, whose objects hold in C what both sides must know, and
their usual methods are built-in ones. Those do what is usual, with ``bytes``; all else they leave to the methods
written in Python, which they stand for. Where the library is not used (another interpreter, the switch) the base
classes are those below, with the same names, and the methods stay Python's; where the built-in ones fail their trial,
they leave all calls to those. Nobody else knows which it is.

They keep the interpreter's lock meanwhile, which costs more to give back than a look-up in memory. So an environment
opened with ``readahead=False``, for random reads of a file larger than memory, does without them.

A read transaction that a built-in method has begun, or a cursor, is light: Python has nothing of it, and it is in no
book, until something out of the ordinary asks for its ``_lock`` or ``_handle``, and so wakes it. Every method in Python
asks for one of the two before anything else but what the base classes below have.
"""

from __future__ import annotations

import errno
import sys
from _weakref import ref

import liblmdb_wheel
from lmdb_bindings._abi import ffi
from lmdb_bindings._engine import is_wanted
from lmdb_bindings._token import TokenLock
from lmdb_bindings.errors import error
from sharedlib_loader import SharedLibraryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lmdb_bindings._bulk import Direct
    from lmdb_bindings._database import _Database
    from lmdb_bindings._environment import Environment
    from lmdb_bindings._transaction import Transaction
    from lmdb_bindings._views import LiveViews

SWITCH = "LMDB_BINDINGS_FAST"

why_not = ""
"""Why this process does without the short way; empty where it has it. Known when ``prove()`` was called."""

is_free_threaded = "t" in getattr(sys, "abiflags", "")
"""Whether the interpreter is a build without the global lock, where nothing is ever light."""


def address(pointer: Any) -> int:
    """Where a pointer of CFFI's points to."""
    return int(ffi.cast("uintptr_t", pointer))


class Functions:
    """The functions of an engine, as the library takes them; they must outlive what is made with them.

    Args:
        lib: its functions, by CFFI.
    """

    NAMES = ("txn_begin", "txn_renew", "txn_reset", "txn_abort", "get", "put", "del", "cursor_open", "cursor_close",
             "cursor_get", "cursor_put", "cursor_del", "cursor_count")  # fmt: skip
    """The order of ``lmdb_fast_engine``, whose last field says whether they are to be used."""

    def __init__(self, lib: Any) -> None:
        pointers = [address(getattr(lib, "mdb_" + name)) for name in self.NAMES]
        self._table = ffi.new("uintptr_t[]", [*pointers, 1])

        self.address = address(self._table)

    @property
    def is_on(self) -> bool:
        """Whether calls go the short way. Turned off to compare the two, while no transaction is open."""
        return bool(self._table[len(self.NAMES)])

    @is_on.setter
    def is_on(self, wanted: bool) -> None:
        self._table[len(self.NAMES)] = wanted


def functions(lib: Any) -> Functions | None:
    """The functions of an engine, which are these by CFFI, for the short way; None where there is none."""
    return Functions(lib) if prove() else None


def prove() -> bool:
    """Whether there is a short way: at the first use it is tried, and not used where it does not what it should."""
    global why_not, _is_proven
    if not (why_not or _is_proven):
        from lmdb_bindings import _fast_trial

        with _proving:  # there is one engine to try them with
            if not (why_not or _is_proven):
                why_not = _fast_trial.fault(_stand_in)
                _is_proven = True
    return not why_not


_proving = TokenLock()
_is_proven = False


# -- what is light -----------------------------------------------------------------------------------------------------


def wake(sleeper: Any) -> None:
    """Let a transaction or a cursor that is light have what Python needs of it.

    All is made first, as another object of the class, and then moved there in one step of C. Meanwhile other threads,
    finalizers and handlers of signals may use it, wake it and end it.
    """
    model, owner, handle = sleeper._awake()
    sleeper._become(model, model.IN_PYTHON, handle, owner._dependents, ref(sleeper))


# -- the base classes, where the library is not used -------------------------------------------------------------------


class EnvironmentBase:
    """What C and Python share of an environment.

    Attributes:
        _functions: the address of the engine's functions; 0 where nothing is to go the short way.
        _address: of LMDB's environment; 0 while it is closed.
        _main: the main database.
        _spare: the addresses of finished read transactions, kept for the next.
        _max_spare: how many are kept.
        _doors: a list, which has an element while nobody has the environment alone.
        _number: which environment of this process it is. Others may have its ``id()`` when it is gone.
        _generation: see there.
    """

    __slots__ = ("_address", "_doors", "_functions", "_generation", "_main", "_max_spare", "_number", "_spare")
    _address: int
    _doors: list[None]
    _functions: int
    _generation: int
    _main: _Database | None
    _max_spare: int
    _number: int
    _spare: list[int]

    def _end_lights(self, *_: Any) -> None:
        """End its light transactions."""

    def _disown_lights(self) -> None:
        """Forget them, in a child of fork()."""

    def _count_lights(self) -> int:
        return 0


class DatabaseBase:
    """What C and Python share of a database handle.

    Attributes:
        _dbi: LMDB's number; ``CLOSED`` where it has none.
        _flags: LMDB's.
        _home: the ``_number`` of its environment.
    """

    __slots__ = ("_dbi", "_flags", "_home")
    _dbi: int
    _flags: int
    _home: int


class TransactionBase:
    """What C and Python share of a transaction.

    Attributes:
        _functions: the address of the engine's functions; 0 where nothing is to go the short way.
        _address: of LMDB's transaction; 0 when it has ended.
        _token: the lock's, see ``_token``.

    All others: see there.
    """

    __slots__ = (
        "_abandoned", "_address", "_buffers", "_db", "_direct", "_empty", "_functions", "_generation", "_handle",
        "_iterating", "_lent", "_lock", "_mutations", "_parent", "_snapshot", "_token", "_views", "_write", "env",
    )  # fmt: skip
    _abandoned: bool
    _address: int
    _buffers: bool
    _db: Any
    _direct: Direct | None
    _empty: bool
    _functions: int
    _generation: int
    _handle: Any
    _iterating: bool
    _lent: bool
    _lock: TokenLock
    _mutations: int
    _parent: Transaction[Any] | None
    _snapshot: Any
    _token: list[None]
    _views: LiveViews | None
    _write: bool
    env: Environment
    _light = 0

    def _belong(self, env: Environment) -> None:
        """Say what it lives in, once."""
        if hasattr(self, "env") or not isinstance(env, EnvironmentBase):
            raise error("a transaction needs an environment, once", errno.EINVAL)
        self.env = env

    def _end_lights(self, *_: Any) -> None:
        """End its light cursors, or those of a database."""

    def _disown_lights(self) -> None:
        """Forget them, in a child of fork()."""

    def _count_lights(self) -> int:
        return 0


class CursorBase:
    """What C and Python share of a cursor.

    Attributes:
        _address: of LMDB's cursor; 0 when it is closed.
        _dbi: LMDB's number of the database.

    All others: see there.
    """

    __slots__ = (
        "_address", "_dbi", "_found", "_handle", "_iteration", "_key", "_lib", "_lock", "_out", "_positioned", "_seen",
        "_value", "db", "txn",
    )  # fmt: skip
    _address: int
    _dbi: int
    _found: int
    _handle: Any
    _iteration: Any
    _key: Any
    _lib: Any
    _lock: TokenLock
    _out: Callable[[Any], Any]
    _positioned: bool
    _seen: int
    _value: Any
    db: _Database
    txn: Transaction[Any]
    _light = 0

    def _belong(self, db: _Database, txn: Transaction[Any]) -> None:
        """Say what it lives in, once."""
        if hasattr(self, "txn") or not (isinstance(db, DatabaseBase) and isinstance(txn, TransactionBase)):
            raise error("a cursor needs a database and a transaction, once", errno.EINVAL)
        self.db = db
        self.txn = txn

    def _places(self) -> tuple[int, int] | None:
        """The addresses of the ``MDB_val`` of its key and value; None where Python has them."""
        return None


# -- the library -------------------------------------------------------------------------------------------------------


def install(type_: type) -> None:
    """Make the methods of a class built-in ones, if that can be. Before anybody has seen them: others wrap methods."""
    if _install is not None:
        kind = next(kind for kind, base in enumerate(_bases) if issubclass(type_, base))
        _install(type_, kind, {name: _documented(name, method) for name, method in vars(type_).items()})
        built_in[type_.__name__] = dict(vars(type_))


built_in: dict[str, dict[str, Any]] = {}
"""What is in the classes, by their names, before anybody else has wrapped or replaced a method."""


def _documented(name: str, method: Any) -> str:
    """The text of a built-in method: the signature, in the form that ``inspect`` reads, and Python's own text."""
    code = getattr(method, "__code__", None)
    if code is None:
        return ""
    parameters = ["$self", *code.co_varnames[1 : code.co_argcount]]
    defaults = method.__defaults__ or ()
    for place, default in enumerate(defaults, len(parameters) - len(defaults)):
        parameters[place] += f"={default!r}"
    return f"{name}({', '.join(parameters)})\n--\n\n{method.__doc__ or ''}"


def _load() -> tuple[str, tuple[Any, ...]]:
    """Why there is no short way; or the address of the engine to try it with, and what ``lmdb_fast_set_up`` gives."""
    if not is_wanted(SWITCH):
        return f"{SWITCH}=0", ()
    if sys.implementation.name != "cpython":
        return f"not for {sys.implementation.name}", ()
    from ctypes import PyDLL, c_int, c_size_t, c_ssize_t, py_object

    try:
        library = liblmdb_wheel.load_fast(on_conflict="accept")
    except SharedLibraryError as problem:  # a distributor may leave it out: nothing is lost but speed
        return str(problem), ()
    loaded = PyDLL(None, handle=int(library.handle))
    set_up = loaded.lmdb_fast_set_up
    set_up.argtypes, set_up.restype = [py_object, py_object, c_ssize_t, c_int], py_object
    made = set_up(_fail, wake, object.__basicsize__, is_free_threaded)
    if made is None:
        return "another interpreter of this process, or an earlier import of this one, has it: it serves one", ()
    loaded.lmdb_fast_stand_in.restype = c_size_t
    return "", (loaded.lmdb_fast_stand_in(), *made)


def _fail(what: str, code: int) -> None:
    raise error(what, code)


_stand_in = 0
_install: Any = None
_bases: tuple[Any, ...] = ()
why_not, _made = _load()
if not why_not:
    _stand_in, _install, *_bases_made = _made
    _bases = tuple(_bases_made)
    if not TYPE_CHECKING:
        EnvironmentBase, DatabaseBase, TransactionBase, CursorBase = _bases
