"""Which engine reads an environment: each has a data format of its own, whose number is in the file."""

from __future__ import annotations

import os
import struct

_MAGIC = 0xBEEFC0DE
_BY_FORMAT = {1: "0.9", 3: "1.0"}  # MDB_DATA_VERSION


class DataFormatError(ValueError):
    """The file has a data format that no engine here reads."""


def engine_of(path: str | os.PathLike[str]) -> str | None:
    """The engine that reads an environment; None where nothing is there yet, or nothing that LMDB wrote.

    Args:
        path: the environment's folder, or its data file.

    Raises:
        DataFormatError: its data format is of neither engine.
        OSError: it is there and cannot be read.
    """
    file = os.path.join(path, "data.mdb") if os.path.isdir(path) else path
    found = number_in(file)
    if found is None:
        return None
    if found not in _BY_FORMAT:
        known = " and ".join(f"{number} (LMDB {engine})" for number, engine in _BY_FORMAT.items())
        raise DataFormatError(f"{os.fspath(file)}: LMDB's data format {found}; the engines here read {known}")
    return _BY_FORMAT[found]


def number_in(file: str | os.PathLike[str]) -> int | None:
    """The ``MDB_DATA_VERSION`` of a data file; None where there is no file, or none that LMDB wrote.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        with open(file, "rb") as stream:
            head = stream.read(64)
    except FileNotFoundError:
        return None
    # The magic number stands before it, behind a page header whose length differs between formats and word sizes.
    words = struct.unpack(f"={len(head) // 4}I", head[: len(head) // 4 * 4])
    return next((words[i + 1] for i in range(len(words) - 1) if words[i] == _MAGIC), None)
