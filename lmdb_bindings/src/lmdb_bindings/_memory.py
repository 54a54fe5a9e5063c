"""Between Python objects and ``MDB_val``: keys and values in, copies or read-only views out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmdb_bindings._abi import ffi

Reader = Callable[[Any], "bytes | memoryview"]


def copy(value: Any) -> bytes:
    """The memory that an ``MDB_val`` names, copied."""
    copied: bytes = ffi.buffer(value.mv_data, value.mv_size)[:]
    return copied


def view(value: Any) -> memoryview:
    """The memory that an ``MDB_val`` names, in place and read-only: a store would hit the read-only map."""
    return memoryview(ffi.buffer(value.mv_data, value.mv_size)).toreadonly()


def point(value: Any, data: Any) -> Any:
    """Let an ``MDB_val`` name the memory of ``data``.

    Returns:
        What keeps that memory in place; the caller holds it until LMDB has returned.

    Raises:
        TypeError: ``data`` is not bytes or another contiguous buffer.
    """
    pinned = ffi.from_buffer(data)
    value.mv_data = pinned
    value.mv_size = len(pinned)
    return pinned
