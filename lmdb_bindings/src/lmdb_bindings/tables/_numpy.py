"""NumPy arrays of one dtype and shape as values: written straight into the page, and read in place."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from lmdb_bindings.tables.errors import DamagedError
from lmdb_bindings.tables.values import ValueCodec

try:
    import numpy as np
except ImportError as problem:
    raise ImportError("values.numpy needs NumPy: install lmdb-bindings[numpy]") from problem

# Of what kinds Python's numbers may be where the dtype is of a kind without fractions; O: integers beyond 64 bits.
_FROM = {"b": "b", "i": "biuO", "u": "biuO"}


class ArrayCodec(ValueCodec[Any]):
    """See :func:`lmdb_bindings.tables.values.numpy`. Arrays that are read are read-only."""

    name = "numpy"
    in_place = True
    sized = True

    def __init__(self, dtype: Any, shape: int | tuple[int, ...]) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if self.dtype.kind not in "biufcSUmM" or not self.dtype.itemsize:
            raise TypeError(
                f"{self.dtype} has no fixed bytes, or parts of several types: values.numpy takes plain dtypes"
            )
        if any(type(length) is not int or length < 0 for length in self.shape):
            raise ValueError(f"shape {shape!r}: lengths of 0 or more")
        self._size = prod(self.shape) * int(self.dtype.itemsize)

    def entry(self) -> dict[str, Any]:
        """The dtype and the shape, as ``"<f8(3,)"``."""
        return {"type": f"{self.dtype.str}{self.shape}"}

    def size(self, value: Any) -> int:
        """As for every codec. An array of another shape, or whose numbers would change, is refused."""
        self._array(value)
        return self._size

    def write(self, value: Any, into: memoryview) -> None:
        """As for every codec."""
        np.ndarray(self.shape, self.dtype, into)[...] = self._array(value)

    def encode(self, value: Any) -> Any:
        """As for every codec."""
        return np.ascontiguousarray(self._array(value), self.dtype).tobytes()

    def _array(self, value: Any) -> Any:
        if not isinstance(value, (np.ndarray, np.generic)):
            value = self._array_of(value)
        if value.shape != self.shape:
            raise ValueError(f"an array of the shape {value.shape}: this table has arrays of {self.shape}")
        if not np.can_cast(value.dtype, self.dtype, "safe"):
            raise TypeError(f"an array of {value.dtype} cannot be stored as {self.dtype} without a loss: use astype()")
        return value

    def _array_of(self, value: Any) -> Any:
        """An array of Python's numbers, which have no dtype that says whether they fit."""
        try:
            with np.errstate(over="raise"):
                array = np.asarray(value, self.dtype)
        except (FloatingPointError, OverflowError) as problem:
            raise ValueError(f"{value!r} cannot be stored as {self.dtype}: {problem}") from None
        given = np.asarray(value)
        if self.dtype.kind in "SU" and given.dtype.kind in "SU":
            fits = np.can_cast(given.dtype, self.dtype, "safe")
        else:  # a float for an integer would lose its fraction, as no larger type would help
            fits = self.dtype.kind not in "biu" or given.dtype.kind in _FROM[self.dtype.kind] or not given.size
        if not fits:
            raise TypeError(f"{value!r} cannot be stored as {self.dtype} without a loss")
        return array

    def decode(self, data: Any) -> Any:
        """As for every codec: over ``data``, which it keeps."""
        if len(data) != self._size:
            raise DamagedError(
                f"a value of {len(data)} bytes is no array of {self.dtype} and {self.shape}: {self._size} bytes"
            )
        array = np.ndarray(self.shape, self.dtype, data)
        return array if self.shape else array[()]

    def __repr__(self) -> str:
        return f"values.numpy({self.dtype.str!r}, {self.shape})"


_TYPE = re.compile(r"([<>|][a-zA-Z]\d+(?:\[\w+\])?)\((\d*|\d+,|\d+(?:, \d+)+)\)")


def of_type(text: object) -> ArrayCodec:
    """The codec of what the catalog says.

    Raises:
        DamagedError: that is none.
    """
    found = _TYPE.fullmatch(text) if isinstance(text, str) else None
    try:
        if found is not None:
            return ArrayCodec(found[1], tuple(int(length) for length in re.findall(r"\d+", found[2])))
    except (TypeError, ValueError):
        pass
    raise DamagedError(f"the catalog says arrays of {text!r}, which is no dtype and shape")
