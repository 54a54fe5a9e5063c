"""What a process uses of the ways that the binding has: for people, reports of faults, and the loader's doctor."""

from __future__ import annotations

import platform
import sys
import sysconfig

from lmdb_bindings import __version__, _fast
from lmdb_bindings._engine import load_bulk, loaded_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypedDict

    import sharedlib_loader

    class Interpreter(TypedDict):
        name: str
        version: str
        free_threaded: bool
        global_lock: bool

    class Conflict(TypedDict):
        path: str | None
        version: str | None
        symbol: str | None

    class Library(TypedDict):
        path: str
        soname: str
        version: str
        origin: str
        conflict: Conflict | None

    class Info(TypedDict):
        version: str
        single_calls: Literal["built-in methods", "CFFI"]
        why_not_built_in: str
        many_records: Literal["liblmdb_bulk", "CFFI"]
        why_not_bulk: str
        interpreter: Interpreter
        engines: dict[str, Library]


def info() -> Info:
    """Which implementation this process uses, over which libraries. Opens no environment; JSON can hold it.

    Returns:
        A dict with these keys.

        - ``version``: the binding's.
        - ``single_calls``: what calls for one record, cursors and short transactions go by, ``"built-in methods"`` (of
          ``liblmdb_fast``, which leave to CFFI what is out of the ordinary) or ``"CFFI"`` alone.
        - ``why_not_built_in``: the reason where it is CFFI alone; else empty.
        - ``many_records``: what calls for many records go by, ``"liblmdb_bulk"`` or ``"CFFI"``, record by record.
        - ``why_not_bulk``: the reason for that; else empty.
        - ``interpreter``: its ``name`` and ``version``; whether it is a ``free_threaded`` build, and whether it has a
          ``global_lock`` in use now.
        - ``engines``: the engines of LMDB loaded so far by name, ``"0.9"`` and ``"1.0"``, each with ``path``,
          ``soname``, ``version``, ``origin`` and ``conflict``, which mean what they do in
          :class:`sharedlib_loader.LoadedLibrary`.

    Raises:
        ImportError: ``LMDB_BINDINGS_FAST`` or ``LMDB_BINDINGS_BULK`` has another value than 0 or 1.
    """
    is_fast, bulk = _fast.prove(), load_bulk()
    why_not_bulk = bulk if isinstance(bulk, str) else ""
    return {
        "version": __version__,
        "single_calls": "built-in methods" if is_fast else "CFFI",
        "why_not_built_in": _fast.why_not,
        "many_records": "CFFI" if why_not_bulk else "liblmdb_bulk",
        "why_not_bulk": why_not_bulk,
        "interpreter": {
            "name": platform.python_implementation(),
            "version": platform.python_version(),
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "global_lock": getattr(sys, "_is_gil_enabled", lambda: True)(),
        },
        "engines": {name: _library(record) for name, record in loaded_libraries().items()},
    }


def _library(record: sharedlib_loader.LoadedLibrary) -> Library:
    return {
        "path": str(record.path),
        "soname": record.soname,
        "version": record.version,
        "origin": record.origin,
        "conflict": None if record.conflict is None else _conflict(record.conflict),
    }


def _conflict(winner: sharedlib_loader.Conflict) -> Conflict:
    path = None if winner.path is None else str(winner.path)
    return {"path": path, "version": winner.version, "symbol": winner.symbol}
