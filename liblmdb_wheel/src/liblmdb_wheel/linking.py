"""How to compile and link against the libraries of this package: folders, flags and paths, for the scripts that build.

Nothing here loads a library, runs a program or looks at a file. For one engine, :func:`prefix` is what an installation
of that LMDB alone would be: ``include/lmdb.h``, ``lib/liblmdb.so``, ``lib/pkgconfig/lmdb.pc``, ``bin/mdb_stat``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePath

import liblmdb_wheel

_PACKAGE = liblmdb_wheel.library_dir().parent


def prefix(engine: str) -> Path:
    """The folder for ``./configure --with-lmdb=``, ``CMAKE_PREFIX_PATH`` and the like."""
    return liblmdb_wheel.include_dir(engine).parent


def pkgconfig_dir(engine: str) -> Path:
    """The folder for ``PKG_CONFIG_PATH`` in which ``lmdb.pc`` is this engine.

    ``lmdb-0.9.pc`` and ``lmdb-1.0.pc``, which name theirs, are in the folder of the entry point ``pkg_config``; that is
    the one for ``"0.9"``, too.
    """
    if engine == liblmdb_wheel.DEFAULT_ENGINE:
        return _PACKAGE / "lib" / "pkgconfig"
    return prefix(engine) / "lib" / "pkgconfig"


def cmake_dir() -> Path:
    """The folder for CMake's ``liblmdb_DIR``; the package there has both engines."""
    return _PACKAGE / "lib" / "cmake" / "liblmdb"


def cflags(engine: str) -> list[str]:
    """Compiler flags: where the engine's ``lmdb.h`` is."""
    return [f"-I{liblmdb_wheel.include_dir(engine)}"]


def libs(engine: str) -> list[str]:
    """Linker flags: the exact file, by its SONAME; no RPATH, since the loader's preload makes it needless.

    The linkers of macOS and Windows have no such flag: there it is ``-llmdb``, in the engine's own folder.
    """
    if sys.platform in _ORIGINS:
        return [f"-L{prefix(engine) / 'lib'}", "-llmdb"]
    return [f"-L{liblmdb_wheel.library_dir()}", f"-l:{liblmdb_wheel.engines()[engine].soname}"]


# What stands for a file's own folder where that is not ``$ORIGIN``: see ld.so(8), dyld(1). Windows has no such thing.
_ORIGINS = {"darwin": "@loader_path", "win32": None}


def rpath_from(folder: str | os.PathLike[str]) -> str:
    """The RPATH that leads from an extension module or a program to the libraries, wherever both are installed.

    Args:
        folder: the folder that it will be in, relative to the site-packages folder in which this package will be too:
            ``"mypackage"``, or ``"."`` for site-packages itself. An absolute path must be inside the site-packages
            folder that this package is in now.

    Returns:
        A path that begins with ``$ORIGIN`` (on macOS ``@loader_path``), for which the dynamic loader puts the file's
        folder.

    Raises:
        ValueError: the folder is outside site-packages, from where no relative path is certain; or on Windows, where
            only :func:`liblmdb_wheel.load` leads to the libraries.
    """
    origin = _ORIGINS.get(sys.platform, "$ORIGIN")
    if origin is None:
        raise ValueError("Windows has no RPATH: call liblmdb_wheel.load() before what needs the library")
    site_packages = _PACKAGE.parent
    path = PurePath(os.path.normpath(folder))
    if path.is_absolute():
        path = PurePath(os.path.relpath(os.path.realpath(path), site_packages))
    if ".." in path.parts:
        raise ValueError(f"{os.fspath(folder)!r} is not in the site-packages folder {site_packages}")
    return "/".join([origin, *[".."] * len(path.parts), _PACKAGE.name, "lib"])


def auditwheel_excludes() -> list[str]:
    """Options for ``auditwheel repair`` of a wheel that leaves these libraries to this package, whichever it needs."""
    return [word for soname in sonames() for word in ("--exclude", soname)]


def sonames() -> list[str]:
    """The libraries that others may link: not ``liblmdb_fast.so.0``, which is for the binding alone."""
    extensions = (liblmdb_wheel.LMDB_BULK, liblmdb_wheel.LMDB_PAGES)
    return [library.soname for library in (*liblmdb_wheel.engines().values(), *extensions)]
