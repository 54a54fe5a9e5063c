"""LMDB as shared libraries in a wheel: both engines, their headers, and how to link them.

An engine is named by the string ``"0.9"`` (LMDB 0.9.36, data format 1, ``liblmdb.so.0``) or ``"1.0"`` (LMDB 1.0.2,
data format 3, ``liblmdb.so.1``). Importing this package loads nothing; :func:`load` does.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import sharedlib_loader
from sharedlib_loader import LoadedLibrary, SharedLibrary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedlib_loader import Policy

__all__ = ["LMDB_0_9", "LMDB_1_0", "engines", "include_dir", "library_dir", "library_path", "load"]

__version__ = "0.1.0"

_PACKAGE = Path(__file__).resolve().parent


def _version_of(library: ctypes.CDLL) -> str:
    """The version that a loaded liblmdb gives of itself, by ``mdb_version()``."""
    parts = [ctypes.c_int() for _ in range(3)]
    library.mdb_version(*map(ctypes.byref, parts))
    return ".".join(str(part.value) for part in parts)


def _engine(name: str, soname: str, version: str) -> SharedLibrary:
    return SharedLibrary(
        name=name,
        soname=soname,
        path=_PACKAGE / "lib" / soname,
        version=version,
        distribution="liblmdb-wheel",
        version_of=_version_of,
    )


LMDB_0_9 = _engine("lmdb-0.9", "liblmdb.so.0", "0.9.36")
LMDB_1_0 = _engine("lmdb-1.0", "liblmdb.so.1", "1.0.2")

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


def include_dir(engine: str) -> Path:
    """The folder that holds this engine's ``lmdb.h``; the two engines' headers differ."""
    _library(engine)
    return _PACKAGE / "include" / engine


def library_dir() -> Path:
    """The folder that holds the shared libraries of both engines."""
    return _PACKAGE / "lib"


def library_path(engine: str) -> Path:
    """The shared library of an engine, a file named as its SONAME."""
    return _library(engine).path


def _library(engine: str) -> SharedLibrary:
    try:
        return _ENGINES[engine]
    except KeyError:
        known = ", ".join(map(repr, _ENGINES))
        raise ValueError(f"there is no LMDB engine {engine!r}: choose one of {known}") from None
