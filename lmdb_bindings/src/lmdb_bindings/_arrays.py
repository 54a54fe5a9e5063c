"""Keys and values of fixed sizes as NumPy arrays; NumPy is optional."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmdb_bindings._plain import Columns


def fixed(kinds: list[tuple[str, Any]], batches: Iterator[Columns]) -> Any:
    """Arrays of what the columns hold, one behind the other.

    Args:
        kinds: for each column its name and its dtype, None for the first string's length.
        batches: the columns.
    """
    try:
        import numpy as np
    except ImportError as problem:
        raise ImportError("the export to NumPy needs numpy: pip install numpy") from problem
    dtypes: list[Any] = [None if dtype is None else np.dtype(dtype) for _, dtype in kinds]
    parts: list[bytearray] = [bytearray() for _ in kinds]
    before = 0
    for columns in batches:
        for place, (offsets, data) in enumerate(filter(None, (columns.keys, columns.values))):
            sizes = np.diff(np.frombuffer(offsets, "i8"))
            if dtypes[place] is None:
                dtypes[place] = np.dtype(f"S{sizes[0]}") if sizes[0] else np.dtype("V0")
            dtype = dtypes[place]
            other = np.flatnonzero(sizes != dtype.itemsize)
            if other.size:
                raise ValueError(
                    f"record {before + other[0]} of the scan: its {kinds[place][0]} has {sizes[other[0]]} bytes, and "
                    f"the dtype {dtype} has {dtype.itemsize}"
                )
            parts[place] += data
        before += columns.records
    arrays = [
        np.frombuffer(part, dtype) if part else np.empty(before, "S" if dtype is None else dtype)
        for part, dtype in zip(parts, dtypes, strict=True)
    ]
    return arrays[0] if len(arrays) == 1 else tuple(arrays)
