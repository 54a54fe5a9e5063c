"""LMDB for Python, without a compiled extension: the API of py-lmdb 3.0 over the shared liblmdb of liblmdb-wheel.

>>> import lmdb_bindings as lmdb
>>> env = lmdb.open("/tmp/example")                                                # doctest: +SKIP

Importing this package loads the default engine (LMDB 0.9, ``liblmdb.so.0``), so that native code that links it and is
imported later uses the same library; the other engine is loaded when an environment first needs it.
"""

from lmdb_bindings import errors
from lmdb_bindings._engine import loaded_libraries as loaded_libraries
from lmdb_bindings._selection import by_major as _by_major
from lmdb_bindings._selection import default as _default
from lmdb_bindings.errors import *  # noqa: F403 (what is listed there)

TYPE_CHECKING = False  # what only type checkers need is not imported: see sharedlib_loader._runtime
if TYPE_CHECKING:
    from lmdb_bindings._cursor import Cursor
    from lmdb_bindings._database import _Database
    from lmdb_bindings._environment import Environment
    from lmdb_bindings._environment import open_shared as open_shared
    from lmdb_bindings._info import info as info
    from lmdb_bindings._migration import migrate as migrate
    from lmdb_bindings._pages import key_from_passphrase as key_from_passphrase
    from lmdb_bindings._transaction import Transaction

    open = Environment

__all__ = ["Cursor", "Environment", "Transaction", "_Database", "enable_drop_gil", "version"]
__all__ += errors.__all__

__version__ = "0.1.0"

# What is imported at its first use, and where it is: programs start the faster that import this and open nothing yet.
_LATER = {
    "Cursor": "_cursor",
    "Environment": "_environment",
    "Transaction": "_transaction",
    "_Database": "_database",
    "info": "_info",
    "key_from_passphrase": "_pages",
    "migrate": "_migration",
    "open": "_environment",
    "open_shared": "_environment",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"lmdb_bindings.{_LATER[name]}")
    found = globals()[name] = getattr(module, "Environment" if name == "open" else name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


def version(subpatch: bool = False, lib_version: int | None = None) -> tuple[int, ...]:
    """The version of LMDB.

    Args:
        subpatch: add a fourth number, 1 where the hardening patches are in.
        lib_version: the engine, 0 (LMDB 0.9) or 1 (LMDB 1.0); None for the default one.

    Raises:
        Error: there is no such engine.
        OverflowError: ``lib_version`` is negative.
    """
    engine = _default() if lib_version is None else _by_major(lib_version)
    return (*engine.version(), int(hasattr(engine.lib, "mdb_env_copy3"))) if subpatch else engine.version()


def enable_drop_gil() -> None:
    """Does nothing: the interpreter's lock is released around every call of LMDB. py-lmdb has it for old programs."""


_default()
