"""LMDB as shared libraries in a wheel: both engines, their headers, and how to link them.

An engine is named by the string ``"0.9"`` (LMDB 0.9.36, data format 1, ``liblmdb.so.0``) or ``"1.0"`` (LMDB 1.0.2,
data format 3, ``liblmdb.so.1``). Beside them are ``liblmdb_bulk.so.0``, many records in one call over either engine,
``liblmdb_fast.so.0``, single records for CPython, and ``liblmdb_pages.so.0``, checksums and encryption of pages for
engine 1.0. Importing this package loads nothing; :func:`load`, :func:`load_bulk` and the like do. How to link them is
in :mod:`liblmdb_wheel.linking`.
"""

from __future__ import annotations

import ctypes
import os
from types import MappingProxyType

import sharedlib_loader
from sharedlib_loader import LoadedLibrary, SharedLibrary

TYPE_CHECKING = False  # see sharedlib_loader._runtime
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sharedlib_loader import Policy

__all__ = [
    "DEFAULT_ENGINE",
    "LMDB_0_9",
    "LMDB_1_0",
    "LMDB_BULK",
    "LMDB_FAST",
    "LMDB_PAGES",
    "engines",
    "include_dir",
    "library_dir",
    "library_path",
    "load",
    "load_bulk",
    "load_fast",
    "load_pages",
]

__version__ = "0.1.0"

_PACKAGE = os.path.dirname(os.path.realpath(__file__))


def _version_of(library: ctypes.CDLL) -> str:
    """The version that a loaded liblmdb gives of itself, by ``mdb_version()``."""
    parts = [ctypes.c_int() for _ in range(3)]
    library.mdb_version(*map(ctypes.byref, parts))
    return ".".join(str(part.value) for part in parts)


def _bulk_version_of(library: ctypes.CDLL) -> str:
    """The version of its interface that a loaded liblmdb_bulk gives."""
    return str(library.lmdb_bulk_version())


def _fast_version_of(library: ctypes.CDLL) -> str:
    """The version of its interface that a loaded liblmdb_fast gives."""
    return str(library.lmdb_fast_version())


def _pages_version_of(library: ctypes.CDLL) -> str:
    """The version of its interface that a loaded liblmdb_pages gives."""
    return str(library.lmdb_pages_version())


def _shipped(
    name: str,
    soname: str,
    version: str,
    version_of: Callable[[ctypes.CDLL], str],
    symbols: tuple[str, ...] = (),
    marks: tuple[str, ...] = (),
    implementation: str | None = None,
    systems: tuple[str, ...] = (),
) -> SharedLibrary:
    file, recorded = sharedlib_loader.native_names(soname)
    return SharedLibrary(
        name=name,
        soname=recorded,
        path=os.path.join(_PACKAGE, "lib", file),
        version=version,
        distribution="liblmdb-wheel",
        version_of=version_of,
        symbols=symbols,
        marks=marks,
        implementation=implementation,
        systems=systems,
    )


# How a copy of LMDB is known, also one with other names inside an extension module: by an error message of its own.
_SYMBOLS, _MARKS = ("mdb_env_open",), ("MDB_KEYEXIST: Key/data pair already exists",)

LMDB_0_9 = _shipped("lmdb-0.9", "liblmdb.so.0", "0.9.36", _version_of, _SYMBOLS, _MARKS)
LMDB_1_0 = _shipped("lmdb-1.0", "liblmdb.so.1", "1.0.2", _version_of, _SYMBOLS, _MARKS)
LMDB_BULK = _shipped("lmdb-bulk", "liblmdb_bulk.so.0", "1", _bulk_version_of)
LMDB_FAST = _shipped(
    "lmdb-fast", "liblmdb_fast.so.0", "2", _fast_version_of, implementation="cpython", systems=("linux",)
)
LMDB_PAGES = _shipped("lmdb-pages", "liblmdb_pages.so.0", "1", _pages_version_of)

DEFAULT_ENGINE = "0.9"
"""The engine of whoever names none: the one whose files all LMDBs before 1.0 read."""

_ENGINES = MappingProxyType({"0.9": LMDB_0_9, "1.0": LMDB_1_0})


def engines() -> Mapping[str, SharedLibrary]:
    """The engines shipped: engine name to the library's description (path, SONAME, version)."""
    return _ENGINES


def load(engine: str, *, on_conflict: Policy = "raise") -> LoadedLibrary:
    """Load an engine into this process, so that whoever needs its SONAME later binds to it.

    Args:
        engine: ``"0.9"`` or ``"1.0"``.
        on_conflict: see :func:`sharedlib_loader.load`.

    Raises:
        ValueError: there is no such engine.
        sharedlib_loader.SharedLibraryError: it cannot be loaded.
    """
    return sharedlib_loader.load(_library(engine), on_conflict=on_conflict)


def load_bulk(*, on_conflict: Policy = "raise") -> LoadedLibrary:
    """Load ``liblmdb_bulk.so.0``; it links no engine, so whoever uses it loads one too.

    Args:
        on_conflict: see :func:`sharedlib_loader.load`.

    Raises:
        sharedlib_loader.SharedLibraryError: it cannot be loaded.
    """
    return sharedlib_loader.load(LMDB_BULK, on_conflict=on_conflict)


def load_fast(*, on_conflict: Policy = "raise") -> LoadedLibrary:
    """Load ``liblmdb_fast.so.0``, which is for CPython alone: it calls functions of the interpreter.

    Args:
        on_conflict: see :func:`sharedlib_loader.load`.

    Raises:
        sharedlib_loader.SharedLibraryError: it cannot be loaded.
    """
    return sharedlib_loader.load(LMDB_FAST, on_conflict=on_conflict)


def load_pages(*, on_conflict: Policy = "raise") -> LoadedLibrary:
    """Load ``liblmdb_pages.so.0``, checksums and encryption of pages for engine 1.0; it links no engine.

    Args:
        on_conflict: see :func:`sharedlib_loader.load`.

    Raises:
        sharedlib_loader.SharedLibraryError: it cannot be loaded.
    """
    return sharedlib_loader.load(LMDB_PAGES, on_conflict=on_conflict)


def include_dir(engine: str) -> Path:
    """The folder that holds this engine's ``lmdb.h``, which differ, and ``lmdb_bulk.h``, which is the same in both."""
    _library(engine)
    from pathlib import Path

    return Path(_PACKAGE, "engines", engine, "include")


def library_dir() -> Path:
    """The folder that holds the shared libraries."""
    from pathlib import Path

    return Path(_PACKAGE, "lib")


def library_path(engine: str) -> Path:
    """The shared library of an engine, a file named as its SONAME."""
    return _library(engine).path


def _library(engine: str) -> SharedLibrary:
    try:
        return _ENGINES[engine]
    except KeyError:
        known = ", ".join(map(repr, _ENGINES))
        raise ValueError(f"there is no LMDB engine {engine!r}: choose one of {known}") from None
