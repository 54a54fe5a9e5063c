"""Which engine an environment gets: by the caller's word, else by the file's data format, else the default."""

from __future__ import annotations

import os

from lmdb_bindings._engine import Engine, engine
from lmdb_bindings.errors import Error

DEFAULT_SWITCH = "LMDB_DEFAULT_LIB_VERSION"

_BY_MAJOR = {0: "0.9", 1: "1.0"}  # py-lmdb's lib_version=
_BY_FORMAT = {1: "0.9", 3: "1.0"}  # MDB_DATA_VERSION


def by_major(major: int) -> Engine:
    """The engine for py-lmdb's ``lib_version=``.

    Raises:
        OverflowError: ``major`` is negative.
        Error: there is no such engine.
    """
    if major < 0:
        raise OverflowError("Integer argument must be >= 0")
    if major not in _BY_MAJOR:
        raise Error(f"lib_version={major}: this build has no LMDB {major}.x engine.")
    return engine(_BY_MAJOR[major])


def major(used: Engine) -> int:
    """py-lmdb's ``lib_version=`` of an engine."""
    return next(number for number, name in _BY_MAJOR.items() if name == used.name)


def default() -> Engine:
    """The engine for new environments: 0.9, or what ``LMDB_DEFAULT_LIB_VERSION`` (0 or 1) says.

    Raises:
        ImportError: the variable has another value.
    """
    value = os.environ.get(DEFAULT_SWITCH, "0")
    if value not in ("0", "1"):
        raise ImportError(f"{DEFAULT_SWITCH} is {value!r}: set it to 0 (LMDB 0.9) or 1 (LMDB 1.0), or unset it")
    return by_major(int(value))


def choose(data_file: str, lib_version: int | None, *, of_1_0: bool) -> Engine:
    """The engine for an environment.

    Args:
        data_file: its data file, which need not exist.
        lib_version: py-lmdb's; None for an automatic choice.
        of_1_0: a new environment needs LMDB 1.0.
    """
    if lib_version is not None:
        return by_major(lib_version)
    if of_1_0 and data_format(data_file) == 0:
        return by_major(1)
    return for_file(data_file)


def for_file(data_file: str) -> Engine:
    """The engine that reads a data file; the default engine where the file is missing or is no LMDB file.

    Raises:
        Error: the file has a data format that no engine here reads.
    """
    found = data_format(data_file)
    if found == 0:
        return default()
    if found in _BY_FORMAT:
        return engine(_BY_FORMAT[found])
    if found == 2:
        raise Error(
            f"{data_file}: written with LMDB data format v2 (a pre-1.0 development version, e.g. lmdb-js); "
            "no released LMDB reads this format."
        )
    raise Error(f"{data_file}: LMDB data format v{found} is not supported by this build.")


def data_format(data_file: str) -> int:
    """The ``MDB_DATA_VERSION`` of a file, 0 where it has none, or cannot be read: LMDB says then what is wrong."""
    from liblmdb_wheel.data_format import number_in

    try:
        return number_in(data_file) or 0
    except OSError:
        return 0
