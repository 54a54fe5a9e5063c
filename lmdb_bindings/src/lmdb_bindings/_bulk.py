"""Many records at once, by liblmdb_bulk: one call of C for a batch. ``_plain`` does the same in Python.

Python makes objects fastest by its own C code. So pairs of short strings come back as rows for ``struct``, all else as
one pickle, of the kind that holds nothing but a list of bytes; and a batch goes in as one list of ``marshal``. All are
made and read by this process alone. A batch that is not all of exact ``bytes`` is left to ``_plain``.
"""

from __future__ import annotations

import marshal
from struct import Struct

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings import _constants as c
from lmdb_bindings import _memory, _plain
from lmdb_bindings._abi import ffi
from lmdb_bindings._plain import Columns
from lmdb_bindings.errors import at_record, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lmdb_bindings._database import _Database
    from lmdb_bindings._range import Range
    from lmdb_bindings._transaction import Transaction

_ALL = 2**64 - 1
_MARSHAL_VERSION = 2  # without references to what came before
_PAIR = Struct(f"{b.FIELD}p{b.FIELD}p")


class Library:
    """liblmdb_bulk, over one engine.

    Args:
        lib: its functions, by CFFI.
        engine: those of the engine.
    """

    def __init__(self, lib: Any, engine: Any) -> None:
        self.lib = lib
        self.engine = ffi.new("lmdb_bulk_engine *")
        for name in ("get", "put", "cmp", "cursor_open", "cursor_close", "cursor_get", "cursor_put", "cursor_del",
                     "cursor_count"):  # fmt: skip
            setattr(self.engine, name, getattr(engine, "mdb_" + name))
        self._spare: list[Direct] = []
        self._outputs: list[Output] = []

    def direct(self) -> Direct:
        """Single records of a transaction: a spare one, or new."""
        try:
            return self._spare.pop()
        except IndexError:
            return Direct(self)

    def put_back(self, direct: Direct) -> None:
        """Keep one whose transaction has ended for the next."""
        self._spare.append(direct)

    def output(self) -> Output:
        """Room for a batch; the caller puts it back."""
        try:
            return self._outputs.pop()
        except IndexError:
            return Output()

    def put_output_back(self, output: Output) -> None:
        """Keep the room for the next batch."""
        self._outputs.append(output)


class Direct:
    """Single records of a transaction, with few and plain arguments: each costs a crossing into C more.

    Attributes:
        database: the database it is pointed at.
        bulk: what C knows of the transaction, and of the database.
        get: ``lmdb_bulk_get``.
        put: ``lmdb_bulk_put``.
        copied: where C copies values to.
    """

    COPIED = 4096
    """Bytes of a value that C copies; a larger one is taken from the map."""

    __slots__ = ("_memory", "bulk", "copied", "database", "get", "put")

    def __init__(self, library: Library) -> None:
        self._memory = ffi.new("char[]", self.COPIED)
        self.copied = ffi.buffer(self._memory)
        self.bulk = ffi.new("lmdb_bulk *")
        self.bulk.engine = library.engine
        self.bulk.buffer = self._memory
        self.bulk.capacity = self.COPIED
        self.get = library.lib.lmdb_bulk_get
        self.put = library.lib.lmdb_bulk_put
        self.database: _Database | None = None

    def ways(self) -> tuple[Any, Any, Any, Any, _Database | None]:
        """What :meth:`Transaction.get` and ``put`` need of it: attributes cost more than locals."""
        return self.get, self.put, self.bulk, self.copied, self.database

    def use(self, database: _Database) -> None:
        """Point it at a database."""
        self.bulk.dbi = database._dbi
        self.database = database

    def end(self) -> None:
        """Point it at no transaction."""
        self.bulk.txn = ffi.NULL
        self.database = None


class Output:
    """Room for a batch, as rows of pairs or as a pickle."""

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


def _best(what: int) -> int:
    """The format to begin with."""
    return b.ROWS if what == b.KEYS | b.VALUES else b.PICKLE


_new_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


class Scan:
    """Records read one after another by a cursor: see :class:`_plain.Scan`."""

    def __init__(self, txn: Transaction, dbi: int, what: int, within: Range, state: int, limit: int | None) -> None:
        self._library = txn._bulk
        self._room: Output | None = None
        self._format = _best(what)
        self._what = what
        self.width = 1
        self._flags = within.flags
        self.nodup = bool(within.flags & b.NODUP)
        self._scan = scan = ffi.new("lmdb_bulk_scan *")
        scan.engine = self._library.engine
        scan.txn = txn._live()
        scan.dbi = dbi
        scan.flags = within.flags
        scan.state = state
        scan.remaining = _ALL if limit is None else min(limit, _ALL)
        self._pinned = [
            _memory.point(side, bound)
            for side, bound in ((scan.lower, within.lower), (scan.upper, within.upper))
            if bound is not None
        ]

    @property
    def state(self) -> int:
        state: int = self._scan.state
        return state

    @state.setter
    def state(self, state: int) -> None:
        self._scan.state = state

    @property
    def beyond(self) -> int:
        beyond: int = self._scan.beyond
        return beyond

    @beyond.setter
    def beyond(self, beyond: int) -> None:
        self._scan.beyond = beyond

    @property
    def remaining(self) -> int | None:
        remaining: int = self._scan.remaining
        return remaining

    @remaining.setter
    def remaining(self, remaining: int) -> None:
        self._scan.remaining = remaining

    def read(self, cursor: Any, count: int) -> Any:
        """The next records, at most ``count``; see :meth:`_plain.Scan.read`. They are read before the next call."""
        scan_next, scan = self._library.lib.lmdb_bulk_scan_next, self._scan
        room = self._room
        if room is None:
            room = self._room = self._library.output()
        output = room.output
        output.format, output.what, output.limit = self._format, self._what, count
        scan.cursor = cursor
        while (rc := scan_next(scan, output)) == b.TOO_LARGE:
            room.make_room()
            output.limit = 1
        if output.format != self._format:
            self._format = output.format  # and more of the kind will come
        if rc and rc != c.NOTFOUND and not output.count:
            raise error("mdb_cursor_get", rc)
        batch, self.width = room.read()
        room.shrink()
        return batch

    def close(self) -> None:
        """Nothing more is read of the last batch: others may have the room."""
        room, self._room = self._room, None
        if room is not None:
            self._library.put_output_back(room)

    def read_columns(self, cursor: Any, count: int) -> Columns:
        """The next records, at most ``count``, in columns; see :meth:`_plain.Scan.read_columns`."""
        scan, output = self._scan, ffi.new("lmdb_bulk_output *")
        output.format, output.what, output.limit = b.COLUMNS, self._what, count
        scan.cursor = cursor
        room = 1 << 20
        while True:
            memory = [_room(column, count, room) if self._what & what else None
                      for column, what in ((output.keys, b.KEYS), (output.values, b.VALUES))]  # fmt: skip
            rc = self._library.lib.lmdb_bulk_scan_next(scan, output)
            if rc != b.TOO_LARGE:
                break
            room = output.needed
        if rc and rc != c.NOTFOUND and not output.count:
            raise error("mdb_cursor_get", rc)
        return Columns(output.count, *(None if column is None else _column(column, output.count) for column in memory))

    def unmark_end(self, cursor: Any) -> None:
        """Let LMDB forget that the cursor has met the end: see :meth:`_plain.Scan.unmark_end`."""
        if self._flags & b.REVERSE:
            return
        step, engine, done = self._library.lib.lmdb_bulk_step, self._library.engine, ffi.new("size_t *")
        if step(engine, cursor, c.PREV, 1, done) == 0:
            step(engine, cursor, c.NEXT, 1, done)

    def step_back(self, cursor: Any, count: int) -> None:
        """Move the cursor back over records given."""
        if not count:
            return
        op, landing = _plain.back(self._flags)
        step, engine, done = self._library.lib.lmdb_bulk_step, self._library.engine, ffi.new("size_t *")
        step(engine, cursor, op, count, done)
        if landing is not None:
            step(engine, cursor, landing, 1, done)


def _room(column: Any, records: int, size: int) -> tuple[Any, Any]:
    """Room for a column: its offsets, and its bytes."""
    offsets, data = _new_uncleared("int64_t[]", records + 1), _new_uncleared("char[]", size)
    column.offsets, column.data, column.capacity = offsets, data, size
    return offsets, data


def _column(room: tuple[Any, Any], records: int) -> tuple[Any, Any]:
    """A column as buffers, which keep its memory: the offsets, and the bytes."""
    offsets, data = room
    return ffi.buffer(offsets, 8 * (records + 1)), ffi.buffer(data, offsets[records])


def get_many(txn: Transaction, dbi: int, keys: Sequence[Any], what: int, flags: int) -> list[Any]:
    """Look up keys, in their order: see :func:`_plain.get_many`."""
    library, bulk = txn._bulk, txn._bulk_of(dbi)
    source = _input(keys)
    if source is None:
        return _plain.get_many(txn, dbi, keys, what, flags)
    given, _stream = source
    room = library.output()
    try:
        output = room.output
        result: list[Any] = []
        output.format, output.what, output.limit = _best(what), what, _ALL
        while True:
            rc = library.lib.lmdb_bulk_get_many(bulk, given, flags, output)
            if rc == b.TOO_LARGE:
                room.make_room()
                continue
            if rc == b.BAD_INPUT:
                return _plain.get_many(txn, dbi, keys, what, flags)
            if rc:
                raise at_record(given.done, error("mdb_cursor_get", rc))
            batch, width = room.read()
            result += batch if width == 1 else zip(batch, batch)  # noqa: B905 (one iterator, twice)
            if given.done == given.count:
                return result
    finally:
        room.shrink()
        library.put_output_back(room)


def put_many(
    txn: Transaction, dbi: int, pairs: Sequence[tuple[Any, Any]], flags: int, *, lenient: bool
) -> tuple[int, int, BaseException | None]:
    """Store records: see :func:`_plain.put_many`."""
    library, bulk = txn._bulk, txn._bulk_of(dbi)
    source = _input(pairs)
    if source is None:
        return _plain.put_many(txn, dbi, pairs, flags, lenient=lenient)
    given, _stream = source
    added = ffi.new("size_t *")
    rc = library.lib.lmdb_bulk_put_many(bulk, given, flags, added)
    done, stored = given.done, added[0]
    if rc == b.BAD_INPUT:
        return _plain.put_many(txn, dbi, pairs, flags, lenient=lenient)
    if rc == c.KEYEXIST and lenient:  # not in order: the rest may be no better
        more, further, problem = _plain.put_many(txn, dbi, pairs[done:], flags, lenient=True)
        return done + more, stored + further, problem
    return done, stored, error("mdb_cursor_put", rc) if rc else None


def count_range(txn: Transaction, dbi: int, within: Range) -> int:
    """Count the records of a range: see :func:`_plain.count_range`."""
    library, bulk = txn._bulk, txn._bulk_of(dbi)
    lower, upper, _pinned = _bounds(within)
    count = ffi.new("size_t *")
    if rc := library.lib.lmdb_bulk_count_range(bulk, lower, upper, within.flags, count):
        raise error("mdb_cursor_get", rc)
    number: int = count[0]
    return number


def delete_range(txn: Transaction, dbi: int, within: Range, limit: int | None) -> tuple[int, BaseException | None]:
    """Delete the records of a range: see :func:`_plain.delete_range`."""
    library, bulk = txn._bulk, txn._bulk_of(dbi)
    lower, upper, _pinned = _bounds(within)
    count = ffi.new("size_t *")
    most = _ALL if limit is None else min(limit, _ALL)
    rc = library.lib.lmdb_bulk_delete_range(bulk, lower, upper, within.flags, most, count)
    return count[0], error("mdb_cursor_del", rc) if rc else None


def _input(records: Any) -> Any:
    """The records as ``lmdb_bulk_input``, with the memory that it names; None where C cannot read them."""
    try:
        stream = marshal.dumps(records, _MARSHAL_VERSION)
    except ValueError:  # not a type that marshal knows, or too many
        return None
    given = ffi.new("lmdb_bulk_input *")
    given.format = b.MARSHAL
    memory = ffi.from_buffer(stream)
    given.stream = ffi.cast("char *", memory)
    given.stream_size = len(stream)
    return given, memory


def _bounds(within: Range) -> tuple[Any, Any, list[Any]]:
    """The bounds as ``MDB_val *``, and the memory that they name."""
    result, pinned = [], []
    for bound in (within.lower, within.upper):
        value = ffi.NULL
        if bound is not None:
            value = ffi.new("MDB_val *")
            pinned.append(_memory.point(value, bound))
        result.append(value)
    return result[0], result[1], pinned
