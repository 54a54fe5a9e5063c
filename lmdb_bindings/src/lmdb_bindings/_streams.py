"""How records cross between CPython and the bulk library: by what its own C code makes objects of fastest.

Pairs of short strings come out as rows for ``struct``, all else as one pickle, of the kind that holds nothing but a
list of bytes. What goes in is one list of ``marshal``. All are made and read by this process alone.
"""

from __future__ import annotations

import marshal
import sys
from struct import Struct

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings._abi import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Whoever ends an iteration exhausts its batch, maybe beside the thread that iterates. A list's iterator stands that
# without a global lock; that of struct, in CPython 3.13, crashes.
_IN_LISTS = "t" in getattr(sys, "abiflags", "")

_MARSHAL_VERSION = 2  # without references to what came before
_new_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


class Output:
    """Room for a batch that C writes.

    Attributes:
        output: what C knows of it.
    """

    CAPACITY = 1 << 19
    """Bytes; a single record that needs more gets room of its own."""

    __slots__ = ("_fields", "_memory", "_row", "_stream", "output")

    def __init__(self) -> None:
        self.output = ffi.new("lmdb_bulk_output *")
        self._use(self.CAPACITY)
        self._have_fields(b.FIELD, b.FIELD)

    def _use(self, capacity: int) -> None:
        self._memory = _new_uncleared("char[]", capacity)
        self._stream = memoryview(ffi.buffer(self._memory))
        self.output.stream = self._memory
        self.output.capacity = capacity

    def _have_fields(self, key: int, value: int) -> None:
        """Let rows have fields of so many bytes."""
        self._fields = key, value
        self.output.keys.capacity, self.output.values.capacity = key, value
        self._row = _row(key, value)

    def begin(self, what: int, limit: int, *, missing: bool = False) -> None:
        """Before a batch: what of each record, how many at most, and whether None is to stand for some."""
        output = self.output
        output.format = b.ROWS if what == b.KEYS | b.VALUES and not missing else b.PICKLE
        output.what, output.limit = what, limit

    def read(self) -> tuple[Any, int]:
        """The batch that C has written: an iterator, maybe over this room, and how many of its entries are a record."""
        output = self.output
        stream = self._stream[: output.stream_size]
        if output.format == b.ROWS:
            batch: Any = self._row.iter_unpack(stream)
            if _IN_LISTS:
                batch = iter(list(batch))
            # The next records may be like these: short rows stay in the processor's nearest cache.
            fields = _room_for(output.longest_key), _room_for(output.longest_value)
            if fields != self._fields:
                self._have_fields(*fields)
            return batch, 1
        from _pickle import loads  # that of pickle, whose import takes 2 ms

        strings: list[Any] = loads(stream)  # written by C, a call ago
        return iter(strings), 2 if output.what == b.KEYS | b.VALUES else 1

    def make_room(self) -> None:
        """Let it take the record that did not fit in: by longer fields, another format, or more memory."""
        output = self.output
        if output.needed:
            self._use(output.needed)
        elif self._fields != (b.FIELD, b.FIELD):
            self._have_fields(b.FIELD, b.FIELD)
        else:
            output.format = b.PICKLE

    def shrink(self) -> None:
        """Give back the room that one record needed."""
        if self.output.capacity != self.CAPACITY:
            self._use(self.CAPACITY)


def _room_for(longest: int) -> int:
    """The bytes of a field for strings up to this length, and somewhat longer ones."""
    return (longest | 15) + 1


_rows: dict[tuple[int, int], Struct] = {}


def _row(key: int, value: int) -> Struct:
    """A row with fields of so many bytes."""
    row = _rows.get((key, value))
    if row is None:
        row = _rows[key, value] = Struct(f"{key}p{value}p")
    return row


class Input:
    """Records that C reads.

    Attributes:
        input: what C knows of them.
    """

    __slots__ = ("_memory", "input")

    def __init__(self) -> None:
        self.input = ffi.new("lmdb_bulk_input *")
        self.input.format = b.MARSHAL
        self._memory: Any = None

    def write(self, records: Any) -> bool:
        """Put keys or pairs there; False where they cannot be. C refuses what is no exact ``bytes``."""
        try:
            stream = marshal.dumps(records, _MARSHAL_VERSION)
        except ValueError:  # not a type that marshal knows, or too many
            return False
        given = self.input
        self._memory = ffi.from_buffer(stream)
        given.stream = ffi.cast("char *", self._memory)
        given.stream_size = len(stream)
        given.done = given.position = given.value = 0
        return True

    write_keys = write_pairs = write

    def shrink(self) -> None:
        """Let the records go."""
        self._memory = None
