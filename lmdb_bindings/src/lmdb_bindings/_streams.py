"""How records cross between CPython and the bulk library: by what its own C code makes objects of fastest.

Pairs of short strings come out as rows for ``struct``, all else as one pickle, of the kind that holds nothing but a
list of bytes. What goes in is one list of ``marshal``. All are made and read by this process alone.
"""

from __future__ import annotations

import marshal
from struct import Struct

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings._abi import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MARSHAL_VERSION = 2  # without references to what came before
_PAIR = Struct(f"{b.FIELD}p{b.FIELD}p")
_new_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


class Output:
    """Room for a batch that C writes.

    Attributes:
        output: what C knows of it.
    """

    CAPACITY = 1 << 19
    """Bytes; a single record that needs more gets room of its own."""

    __slots__ = ("_memory", "_stream", "output")

    def __init__(self) -> None:
        self.output = ffi.new("lmdb_bulk_output *")
        self._use(self.CAPACITY)

    def _use(self, capacity: int) -> None:
        self._memory = _new_uncleared("char[]", capacity)
        self._stream = memoryview(ffi.buffer(self._memory))
        self.output.stream = self._memory
        self.output.capacity = capacity

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
            return _PAIR.iter_unpack(stream), 1
        from _pickle import loads  # that of pickle, whose import takes 2 ms

        batch: list[Any] = loads(stream)  # written by C, a call ago
        return iter(batch), 2 if output.what == b.KEYS | b.VALUES else 1

    def make_room(self) -> None:
        """Let it take the record that did not fit in: by another format, or with as much memory as that needs."""
        if self.output.needed == 0:
            self.output.format = b.PICKLE
        else:
            self._use(self.output.needed)

    def shrink(self) -> None:
        """Give back the room that one record needed."""
        if self.output.capacity != self.CAPACITY:
            self._use(self.CAPACITY)


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
