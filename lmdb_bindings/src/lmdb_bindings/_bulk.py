"""Many records at once, by liblmdb_bulk: one call of C for a batch. ``_plain`` does the same in Python.

How a batch crosses is the interpreter's matter: see ``_streams`` and ``_columns``. One that is not all of exact
``bytes`` is left to ``_plain``.
"""

from __future__ import annotations

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings import _constants as c
from lmdb_bindings import _memory, _plain
from lmdb_bindings._abi import ffi
from lmdb_bindings._plain import Columns, Places
from lmdb_bindings.errors import at_record, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lmdb_bindings._database import _Database
    from lmdb_bindings._range import Range
    from lmdb_bindings._transaction import Transaction

_ALL = 256 ** ffi.sizeof("size_t") - 1


class Library:
    """liblmdb_bulk, over one engine.

    Args:
        lib: its functions, by CFFI.
        engine: those of the engine.
        exchange: the module by whose ``Output`` and ``Input`` records cross.
    """

    def __init__(self, lib: Any, engine: Any, exchange: Any) -> None:
        self.lib = lib
        self._exchange = exchange
        self.engine = ffi.new("lmdb_bulk_engine *")
        for name in ("get", "put", "cmp", "cursor_open", "cursor_close", "cursor_get", "cursor_put", "cursor_del",
                     "cursor_count"):  # fmt: skip
            setattr(self.engine, name, getattr(engine, "mdb_" + name))
        self._spare: dict[type, list[Any]] = {Direct: [], exchange.Output: [], exchange.Input: []}

    def direct(self) -> Direct:
        """Single records of a transaction. The caller puts it back, like what the next two give."""
        direct: Direct = self._take(Direct, self)
        return direct

    def output(self) -> Any:
        """Room for a batch that comes out."""
        return self._take(self._exchange.Output)

    def input(self) -> Any:
        """Room for a batch that goes in."""
        return self._take(self._exchange.Input)

    def _take(self, kind: type, *arguments: Any) -> Any:
        try:
            return self._spare[kind].pop()
        except IndexError:
            return kind(*arguments)

    def put_back(self, thing: Any) -> None:
        """Keep what was taken for the next."""
        self._spare[type(thing)].append(thing)


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

    def ways(self) -> tuple[Any, ...]:
        """What the methods of :class:`Transaction` need of it: attributes cost more than locals."""
        return self.get, self.put, self.bulk, self.copied, self.database

    def begin(self, txn: Any) -> None:
        """Serve a transaction of LMDB's."""
        self.bulk.txn = txn

    def use(self, database: _Database) -> None:
        """Point it at a database."""
        self.bulk.dbi = database._dbi
        self.database = database

    def forget(self) -> None:
        """Point it at no database."""
        self.database = None

    def end(self) -> None:
        """Serve no transaction."""
        self.bulk.txn = ffi.NULL
        self.database = None


_new_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


class Scan:
    """Records read one after another by a cursor: see :class:`_plain.Scan`."""

    def __init__(self, txn: Transaction, dbi: int, what: int, within: Range, state: int, limit: int | None) -> None:
        self._library = txn._bulk
        self._room: Any = None
        self._what = what
        self.width = 1
        self._flags = within.flags
        self._remapped = txn.env._remapped
        self.nodup = bool(within.flags & b.NODUP)
        self._scan = scan = ffi.new("lmdb_bulk_scan *")
        scan.engine = self._library.engine
        scan.txn = txn._live()
        scan.dbi = dbi
        scan.flags = within.flags
        scan.state = state
        scan.remaining = _ALL if limit is None else min(limit, _ALL)
        self._pinned = (
            None if within.lower is None else _memory.point(scan.lower, within.lower),
            None if within.upper is None else _memory.point(scan.upper, within.upper),
        )

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
        scan_next, scan, room = self._library.lib.lmdb_bulk_scan_next, self._scan, self._room
        if scan.state == b.END:
            return iter(())
        if room is None:
            room = self._room = self._library.output()
        room.begin(self._what, count)
        scan.cursor = cursor
        while (rc := scan_next(scan, room.output)) == b.TOO_LARGE:
            room.make_room()
        if rc and rc != c.NOTFOUND and not room.output.count:
            raise error("mdb_cursor_get", rc)
        batch, self.width = room.read()
        room.shrink()
        return batch

    def close(self) -> None:
        """Nothing more is read of the last batch: others may have the room."""
        room, self._room = self._room, None
        if room is not None:
            self._library.put_back(room)

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

    def read_places(self, cursor: Any, count: int) -> Places:
        """The next records, at most ``count``: see :meth:`_plain.Scan.read_places`."""
        if self._remapped:
            batch = list(self.read(cursor, count))
            records = batch if self.width == 1 else zip(batch[::2], batch[1::2], strict=True)
            return _plain.places_of(*(zip(*records, strict=True) if batch else ((), ())))
        scan, (output, keys, values) = self._scan, _room_for_places(count)
        scan.cursor = cursor
        rc = self._library.lib.lmdb_bulk_scan_next(scan, output)
        if rc and rc != c.NOTFOUND and not output.count:
            raise error("mdb_cursor_get", rc)
        return Places(output.count, keys, values, output.stream_size)

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


def _room_for_places(records: int) -> tuple[Any, Any, Any]:
    """An output of places, and where those of keys and of values are to stand."""
    keys, values = _new_uncleared("MDB_val[]", records), _new_uncleared("MDB_val[]", records)
    output = ffi.new("lmdb_bulk_output *")
    output.format, output.what, output.limit, output.capacity = b.PLACES, b.KEYS | b.VALUES, records, 1 << 22
    output.keys.data, output.values.data = ffi.cast("char *", keys), ffi.cast("char *", values)
    return output, keys, values


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
    source, room = library.input(), library.output()
    try:
        if not source.write_keys(keys):
            return _plain.get_many(txn, dbi, keys, what, flags)
        given = source.input
        result: list[Any] = []
        room.begin(what, _ALL, missing=bool(flags & b.MISSING))
        while True:
            rc = library.lib.lmdb_bulk_get_many(bulk, given, flags, room.output)
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
        _put_back(library, source, room)


def get_places(txn: Transaction, dbi: int, keys: Sequence[bytes]) -> Places:
    """Where the records of keys are: see :func:`_plain.get_places`."""
    if txn.env._remapped:
        return _plain.get_places(txn, dbi, keys)
    library, bulk = txn._bulk, txn._bulk_of(dbi)
    source = library.input()
    try:
        if not source.write_keys(keys):
            return _plain.get_places(txn, dbi, keys)
        output, found, values = _room_for_places(len(keys))
        output.capacity = _ALL
        if rc := library.lib.lmdb_bulk_get_many(bulk, source.input, b.MISSING, output):
            raise at_record(source.input.done, error("mdb_cursor_get", rc))
        return Places(output.count, found, values, output.stream_size)
    finally:
        _put_back(library, source)


def put_many(
    txn: Transaction, dbi: int, pairs: Sequence[tuple[Any, Any]], flags: int, *, lenient: bool
) -> tuple[int, int, BaseException | None]:
    """Store records: see :func:`_plain.put_many`."""
    library, bulk = txn._bulk, txn._bulk_of(dbi)
    source, added = library.input(), ffi.new("size_t *")
    try:
        rc = b.BAD_INPUT
        if source.write_pairs(pairs):
            rc = library.lib.lmdb_bulk_put_many(bulk, source.input, flags, added)
        done, stored = source.input.done, added[0]
    finally:
        _put_back(library, source)
    if rc == b.BAD_INPUT:
        return _plain.put_many(txn, dbi, pairs, flags, lenient=lenient)
    if rc == c.KEYEXIST and lenient:  # not in order: the rest may be no better
        more, further, problem = _plain.put_many(txn, dbi, pairs[done:], flags, lenient=True)
        return done + more, stored + further, problem
    return done, stored, error("mdb_cursor_put", rc) if rc else None


def _put_back(library: Library, *things: Any) -> None:
    for thing in things:
        thing.shrink()
        library.put_back(thing)


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
