"""Between Python objects and ``MDB_val``: keys and values in, copies out (views: see ``_views``)."""

from __future__ import annotations

import gc
from _weakref import ref

from lmdb_bindings._abi import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def copy(value: Any) -> bytes:
    """The memory that an ``MDB_val`` names, copied."""
    copied: bytes = ffi.buffer(value.mv_data, value.mv_size)[:]
    return copied


def point(value: Any, data: Any) -> Any:
    """Let an ``MDB_val`` name the memory of ``data``.

    Returns:
        What keeps that memory in place; the caller holds it until LMDB has returned.

    Raises:
        TypeError: ``data`` is not bytes or another contiguous buffer.
    """
    pinned = pin(data)
    name(value, pinned)
    return pinned


def lend(value: Any, write: Callable[[memoryview], None]) -> None:
    """Let a function write into the memory that an ``MDB_val`` names.

    Raises:
        BufferError: it has kept a part of the memoryview that it was given.
    """
    exporter = ffi.buffer(value.mv_data, value.mv_size)
    alive = ref(exporter)  # whatever is derived from a memoryview keeps its exporter
    with memoryview(exporter) as view:
        del exporter
        write(view)
    del view
    if alive() is not None:
        gc.collect()
        if alive() is not None:
            raise BufferError("what writes a value has kept a part of the page: it must let go of all of it")


def point_both(key: Any, key_data: Any, value: Any, value_data: Any) -> Any:
    """:func:`point` for a key and its value: both or, where one is no buffer, neither."""
    pinned_key, pinned_value = pinned = pin(key_data), pin(value_data)
    name(key, pinned_key)
    name(value, pinned_value)
    return pinned


def pin(data: Any) -> Any:
    """What keeps the memory of a buffer in place. Its class may be written in Python, and do anything here."""
    return ffi.from_buffer(data)


def name(value: Any, pinned: Any) -> None:
    """Let an ``MDB_val`` name memory that is pinned."""
    value.mv_data, value.mv_size = pinned, len(pinned)
