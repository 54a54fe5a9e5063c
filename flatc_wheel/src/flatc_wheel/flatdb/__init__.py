"""FlatBuffers records in LMDB by native code: libflatdb, a C library over each LMDB engine, and how to load it.

>>> from flatc_wheel import flatdb
>>> flatdb.load("0.9").soname
'libflatdb.so.0'

``libflatdb.so.0`` needs ``liblmdb.so.0``, ``libflatdb.so.1`` needs ``liblmdb.so.1``: the provider's, which are loaded
first. Importing this package loads nothing. What the functions do is in the header, ``flatdb.h``, and how tables are
stored in docs/tables.md.
"""

from __future__ import annotations

import ctypes
import os
from types import MappingProxyType

import liblmdb_wheel
import sharedlib_loader
from sharedlib_loader import LoadedLibrary, SharedLibrary

TYPE_CHECKING = False  # see sharedlib_loader._runtime
if TYPE_CHECKING:
    from pathlib import Path

    from sharedlib_loader import Policy

__all__ = ["FLATDB_0_9", "FLATDB_1_0", "LIBRARIES", "include_dir", "library_dir", "library_path", "load"]

VERSION = "1"  # of the interface: flatdb_version()

_PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def _version_of(library: ctypes.CDLL) -> str:
    """The version of its interface that a loaded libflatdb gives."""
    return str(library.flatdb_version())


def _shipped(engine: str, soname: str) -> SharedLibrary:
    file, recorded = sharedlib_loader.native_names(soname)
    return SharedLibrary(
        name=f"flatdb-{engine}",
        soname=recorded,
        path=os.path.join(_PACKAGE, "lib", file),
        version=VERSION,
        distribution="flatc-wheel",
        version_of=_version_of,
        requires=(liblmdb_wheel.engines()[engine],),
        symbols=("flatdb_version",),
    )


FLATDB_0_9 = _shipped("0.9", "libflatdb.so.0")
FLATDB_1_0 = _shipped("1.0", "libflatdb.so.1")

LIBRARIES = MappingProxyType({"0.9": FLATDB_0_9, "1.0": FLATDB_1_0})
"""LMDB engine to the library over it."""


def load(engine: str, *, on_conflict: Policy = "raise") -> LoadedLibrary:
    """Load the LMDB engine and libflatdb over it into this process.

    Args:
        engine: ``"0.9"`` or ``"1.0"``; both may be loaded at once.
        on_conflict: see :func:`sharedlib_loader.load`; it is for both libraries.

    Returns:
        The record of libflatdb.

    Raises:
        ValueError: there is no such engine.
        sharedlib_loader.SharedLibraryError: one of them cannot be loaded.
    """
    return sharedlib_loader.load(_library(engine), on_conflict=on_conflict)


def include_dir() -> Path:
    """The folder with ``flatdb.h``. It includes ``lmdb.h``: see :func:`liblmdb_wheel.include_dir`."""
    from pathlib import Path

    return Path(_PACKAGE, "include")


def library_dir() -> Path:
    """The folder that holds the shared libraries."""
    from pathlib import Path

    return Path(_PACKAGE, "lib")


def library_path(engine: str) -> Path:
    """The shared library over an engine, a file named as its SONAME."""
    return _library(engine).path


def _library(engine: str) -> SharedLibrary:
    try:
        return LIBRARIES[engine]
    except KeyError:
        known = ", ".join(map(repr, LIBRARIES))
        raise ValueError(f"there is no libflatdb for an LMDB engine {engine!r}: choose one of {known}") from None
