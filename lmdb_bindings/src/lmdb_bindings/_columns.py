"""How records cross between an interpreter with a compiler, PyPy, and the bulk library: in columns.

A column is strings one behind the other, and where each begins. What CPython is slow at, a loop over them, is what PyPy
compiles; and it would have to make objects of a stream by such a loop in any case.
"""

from __future__ import annotations

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings._abi import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

RECORDS = 4096
"""Records of a batch that comes out at most."""

_new_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


class Column:
    """Memory for strings.

    Attributes:
        offsets: where each string ends, behind a 0.
        data: a buffer of their bytes.
    """

    CAPACITY = 1 << 19
    """Bytes; a single record that needs more gets room of its own."""

    __slots__ = ("_memory", "data", "offsets")

    def __init__(self) -> None:
        self.use(RECORDS, self.CAPACITY)

    def use(self, records: int, capacity: int) -> None:
        """Have room for so many records, and bytes."""
        self.offsets = ffi.new("int64_t[]", records + 1)
        self._memory = _new_uncleared("char[]", capacity)
        self.data = ffi.buffer(self._memory)

    def tell(self, column: Any) -> None:
        """Let a column of C's be this one."""
        column.data, column.offsets, column.capacity = self._memory, self.offsets, len(self.data)

    def need(self, records: int, capacity: int) -> None:
        """Have room for so many records and bytes at least."""
        if records > RECORDS or capacity > self.CAPACITY:
            self.use(records, capacity)

    def shrink(self) -> None:
        """Give back what was needed beyond the usual."""
        if len(self.data) > self.CAPACITY or len(self.offsets) > RECORDS + 1:
            self.use(RECORDS, self.CAPACITY)

    def fill(self, strings: Sequence[bytes]) -> None:
        """Put strings there, of which there is room for."""
        offsets, data = self.offsets, self.data
        begin, i = 0, 1
        for string in strings:
            end = begin + len(string)
            data[begin:end] = string
            offsets[i] = end
            begin = end
            i += 1

    def strings(self, count: int) -> list[bytes]:
        """The first strings."""
        offsets, data = self.offsets, self.data
        result, begin = [], 0
        for i in range(1, count + 1):
            end = offsets[i]
            result.append(data[begin:end])
            begin = end
        return result


# Pairs are moved by one loop for both columns: PyPy compiles it as well as one for each, and goes through it once.


def fill_pairs(keys: Column, values: Column, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    """Put pairs into two columns, which have room for them."""
    key_offsets, key_data, value_offsets, value_data = keys.offsets, keys.data, values.offsets, values.data
    key_begin, value_begin, i = 0, 0, 1
    for key, value in pairs:
        key_end, value_end = key_begin + len(key), value_begin + len(value)
        key_data[key_begin:key_end] = key
        value_data[value_begin:value_end] = value
        key_offsets[i], value_offsets[i] = key_end, value_end
        key_begin, value_begin = key_end, value_end
        i += 1


def read_pairs(keys: Column, values: Column, count: int) -> list[tuple[bytes, bytes]]:
    """The first pairs of two columns."""
    key_offsets, key_data, value_offsets, value_data = keys.offsets, keys.data, values.offsets, values.data
    result, key_begin, value_begin = [], 0, 0
    for i in range(1, count + 1):
        key_end, value_end = key_offsets[i], value_offsets[i]
        result.append((key_data[key_begin:key_end], value_data[value_begin:value_end]))
        key_begin, value_begin = key_end, value_end
    return result


class Output:
    """Room for a batch that C writes.

    Attributes:
        output: what C knows of it.
    """

    __slots__ = ("_found", "_keys", "_missing", "_values", "output")

    def __init__(self) -> None:
        self.output = output = ffi.new("lmdb_bulk_output *")
        self._keys, self._values = Column(), Column()
        self._found = output.found = ffi.new("unsigned char[]", RECORDS)
        self._missing = False
        output.format = b.COLUMNS
        self._tell()

    def _tell(self) -> None:
        self._keys.tell(self.output.keys)
        self._values.tell(self.output.values)

    def begin(self, what: int, limit: int, *, missing: bool = False) -> None:
        """Before a batch: what of each record, how many at most, and whether None is to stand for some."""
        self.output.what, self.output.limit = what, min(limit, RECORDS)
        self._missing = missing

    def read(self) -> tuple[Any, int]:
        """The batch that C has written: an iterator, and that each of its entries is a record."""
        what, count = self.output.what, self.output.count
        if what == b.KEYS | b.VALUES and not self._missing:
            return iter(read_pairs(self._keys, self._values, count)), 1
        strings: list[Any] = (self._values if what & b.VALUES else self._keys).strings(count)
        if self._missing:
            self._mark_missing(strings)
        if what == b.KEYS | b.VALUES:
            strings = list(zip(self._keys.strings(count), strings, strict=True))
        return iter(strings), 1

    def _mark_missing(self, strings: list[Any]) -> None:
        found = self._found
        for i in range(len(strings)):
            if not found[i]:
                strings[i] = None

    def make_room(self) -> None:
        """Let it take the record that did not fit in."""
        for column in (self._keys, self._values):
            column.need(RECORDS, self.output.needed)
        self._tell()

    def shrink(self) -> None:
        """Give back the room that one record needed."""
        self._keys.shrink()
        self._values.shrink()
        self._tell()


class Input:
    """Records that C reads.

    Attributes:
        input: what C knows of them.
    """

    __slots__ = ("_keys", "_values", "input")

    def __init__(self) -> None:
        self.input = ffi.new("lmdb_bulk_input *")
        self.input.format = b.COLUMNS
        self._keys, self._values = Column(), Column()

    def write_keys(self, keys: Sequence[Any]) -> bool:
        """Put keys there; False where one is no exact ``bytes``."""
        size = 0
        for key in keys:
            if type(key) is not bytes:
                return False
            size += len(key)
        self._keys.need(len(keys), size)
        self._keys.fill(keys)
        self._begin(len(keys))
        return True

    def write_pairs(self, pairs: Sequence[Any]) -> bool:
        """Put pairs there; False where one is no pair of exact ``bytes``."""
        key_size = value_size = 0
        for pair in pairs:
            if type(pair) is not tuple or len(pair) != 2:
                return False
            key, value = pair
            if type(key) is not bytes or type(value) is not bytes:
                return False
            key_size += len(key)
            value_size += len(value)
        self._keys.need(len(pairs), key_size)
        self._values.need(len(pairs), value_size)
        fill_pairs(self._keys, self._values, pairs)
        self._begin(len(pairs))
        return True

    def _begin(self, count: int) -> None:
        given = self.input
        self._keys.tell(given.keys)
        self._values.tell(given.values)
        given.count = count
        given.done = given.position = given.value = 0

    def shrink(self) -> None:
        """Give back the room that these records needed."""
        self._keys.shrink()
        self._values.shrink()
