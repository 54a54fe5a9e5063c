"""Many records at once, in Python over LMDB's own functions: what ``_bulk`` does in one call, with the same results.

Used where the bulk library is not, and for what it does not take: views, and keys that are no exact ``bytes``.
"""

from __future__ import annotations

import errno
from itertools import accumulate

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings import _constants as c
from lmdb_bindings import _memory
from lmdb_bindings._abi import ffi
from lmdb_bindings._range import Range
from lmdb_bindings.errors import at_record, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lmdb_bindings._transaction import Transaction


class Columns:
    """Records in columns, as Apache Arrow's ``large_binary`` has them.

    Attributes:
        records: how many.
        keys: the offsets, 64-bit integers in native order, one more than there are records, and the bytes of all keys
            one behind the other; None where they were not asked for.
        values: the same of the values.
    """

    __slots__ = ("keys", "records", "values")

    def __init__(self, records: int, keys: tuple[Any, Any] | None, values: tuple[Any, Any] | None) -> None:
        self.records = records
        self.keys = keys
        self.values = values


class Places:
    """Where records are in memory.

    Attributes:
        records: how many.
        keys: the places of the keys, an array of ``MDB_val``.
        values: those of the values.
        size: bytes of all of them.
    """

    __slots__ = ("_pinned", "keys", "records", "size", "values")

    def __init__(self, records: int, keys: Any, values: Any, size: int, pinned: Any = None) -> None:
        self.records = records
        self.size = size
        self.keys = keys
        self.values = values
        self._pinned = pinned


def places_of(keys: Sequence[bytes], values: Sequence[bytes]) -> Places:
    """Where copies are."""
    pinned = []

    def column(strings: Sequence[bytes]) -> Any:
        column = ffi.new("MDB_val[]", len(strings))
        for place, string in enumerate(strings):
            pinned.append(_memory.point(column[place], string))
        return column

    return Places(len(keys), column(keys), column(values), sum(map(len, (*keys, *values))), pinned)


class Scan:
    """Records read one after another by a cursor.

    Args:
        txn: the transaction.
        dbi: the database.
        what: ``KEYS``, ``VALUES`` or both.
        state: ``START`` to find the range's first record, ``CURRENT`` to begin with the record at the cursor.
        limit: how many records at most; None for all.

    Attributes:
        state: ``AFTER`` the record at the cursor, or the like.
        nodup: whether it goes by keys.
        width: how many entries of a batch are a record: pairs are two, one behind the other.
        beyond: 1 where the cursor stands on a record that was looked at, but not given.
        remaining: of the limit.
    """

    def __init__(self, txn: Transaction, dbi: int, what: int, within: Range, state: int, limit: int | None) -> None:
        self._txn = txn
        self._dbi = dbi
        self._cursor: Any = None
        self._what = what
        self._range = within
        self._key = ffi.new("MDB_val *")
        self._value = ffi.new("MDB_val *")
        self._bound = ffi.new("MDB_val *")
        flags = within.flags
        self._reverse = bool(flags & b.REVERSE)
        self._flags = flags
        self.nodup = bool(flags & b.NODUP)
        self.width = len(self._kinds())
        self._step = _STEPS[self._reverse, flags & (b.NODUP | b.DUP)]
        self._limit = within.lower if self._reverse else within.upper
        including = not flags & b.LOWER_EXCLUDED if self._reverse else bool(flags & b.UPPER_INCLUDED)
        self._including = including
        self._pinned = None if self._limit is None else _memory.point(self._bound, self._limit)
        self.state = b.END if within.upper == b"" or limit == 0 else state
        self.beyond = 0
        self.remaining = limit

    def read(self, cursor: Any, count: int) -> Any:
        """The next records, at most ``count``; none at the end, where the state becomes ``END``.

        Args:
            cursor: LMDB's cursor over the database; moved, and left at the last record read or looked at.
            count: how many.

        Returns:
            An iterator that knows how many entries it has left; it must come to its end before the next call.

        Raises:
            Error: LMDB's, behind the records read; they are given first, and the error by the next call.
        """
        return iter(self._read(cursor, count))

    def close(self) -> None:
        """Nothing more is read of the last batch."""

    def _read(self, cursor: Any, count: int) -> list[Any]:
        result: list[Any] = []
        if self.remaining is not None:
            count = min(count, self.remaining)
        if self.state == b.END:
            return result
        self._cursor, copy = cursor, self._txn._out
        key, value = self._key, self._value
        keys, values = self._what & b.KEYS, self._what & b.VALUES
        given = 0
        while given < count and self._advance(given):
            if keys:
                result.append(copy(key))
            if values:
                result.append(copy(value))
            given += 1
        self._use(given)
        return result

    def read_columns(self, cursor: Any, count: int) -> Columns:
        """The next records, at most ``count`` of them, and of some 1 MiB of bytes, in columns."""
        width = self.width
        records: list[Any] = []
        room = 1 << 20
        while len(records) < count * width and room > 0 and (record := self._read(cursor, 1)):
            records += record
            room -= max(map(len, record))
        columns = {what: _column(records[place::width]) for place, what in enumerate(self._kinds())}
        return Columns(len(records) // width, columns.get(b.KEYS), columns.get(b.VALUES))

    def read_places(self, cursor: Any, count: int) -> Places:
        """The next records, at most ``count``, and of some 4 MiB of bytes: where they are, until the transaction writes
        or ends. Here they are copies.
        """
        keys: list[bytes] = []
        values: list[bytes] = []
        room = 1 << 22
        while len(keys) < count and room > 0 and (record := self._read(cursor, 1)):
            keys.append(bytes(record[0]))
            values.append(bytes(record[1]))
            room -= len(record[1])
        return places_of(keys, values)

    def _kinds(self) -> list[int]:
        return [what for what in (b.KEYS, b.VALUES) if self._what & what]

    def advance(self, cursor: Any) -> bool:
        """Go to the next record, without reading it; False at the end."""
        self._cursor = cursor
        found = self.state != b.END and self._advance(0)
        self._use(int(found))
        return found

    def _use(self, given: int) -> None:
        if self.remaining is not None:
            self.remaining -= given
            if not self.remaining:
                self.state = b.END

    def _advance(self, given: int) -> bool:
        """Go to the next record, behind so many that this call has read."""
        get, step = self._txn._lib.mdb_cursor_get, self._step
        rc = self._begin() if self.state != b.AFTER else get(self._cursor, self._key, self._value, step)
        self.state = b.AFTER
        if rc == 0 and (self._limit is None or self._within()):
            return True
        if rc and rc != c.NOTFOUND:
            if given == 0:
                raise error("mdb_cursor_get", rc)
            return False  # the records before it first; the next call meets it again
        self.state, self.beyond = b.END, int(rc == 0)
        return False

    def _begin(self) -> int:
        """Go to the first record: that at the cursor, or that of the range."""
        get = self._txn._lib.mdb_cursor_get
        if self.state == b.CURRENT:
            rc: int = get(self._cursor, self._key, self._value, c.GET_CURRENT)
            return c.NOTFOUND if rc == errno.EINVAL else rc  # the cursor is on no record
        return self._seek_last() if self._reverse else self._seek_first()

    def _seek_first(self) -> int:
        get, lower = self._txn._lib.mdb_cursor_get, self._range.lower
        if lower is None:
            first: int = get(self._cursor, self._key, self._value, c.FIRST)
            return first
        rc: int = self._seek(lower)
        if rc == 0 and self._range.flags & b.LOWER_EXCLUDED and self._compare(lower) == 0:
            rc = get(self._cursor, self._key, self._value, c.NEXT_NODUP)
        return rc

    def _seek_last(self) -> int:
        get, upper = self._txn._lib.mdb_cursor_get, self._range.upper
        if upper is None or (rc := self._seek(upper)) == c.NOTFOUND:
            last: int = get(self._cursor, self._key, self._value, c.LAST)
            return last
        if rc:
            return rc
        if not (self._range.flags & b.UPPER_INCLUDED and self._compare(upper) == 0):
            previous: int = get(self._cursor, self._key, self._value, c.PREV)
            return previous
        lib, flags = self._txn._lib, ffi.new("unsigned int *")
        lib.mdb_dbi_flags(self._txn._live(), self._dbi, flags)
        if flags[0] & c.DUPSORT:
            rc = get(self._cursor, self._key, self._value, c.LAST_DUP)
            rc = rc or get(self._cursor, self._key, self._value, c.GET_CURRENT)
        return rc

    def _seek(self, bound: bytes) -> int:
        pinned = _memory.point(self._key, bound)
        rc: int = self._txn._lib.mdb_cursor_get(self._cursor, self._key, self._value, c.SET_RANGE)
        del pinned
        return rc

    def _compare(self, bound: bytes) -> int:
        """The key read against a bound, in the database's order: below, at (0), or above it."""
        other = ffi.new("MDB_val *")
        pinned = _memory.point(other, bound)
        result: int = self._txn._lib.mdb_cmp(self._txn._live(), self._dbi, self._key, other)
        del pinned
        return result

    def _within(self) -> bool:
        """Whether the key read is on this side of the far bound."""
        order = self._txn._lib.mdb_cmp(self._txn._live(), self._dbi, self._key, self._bound)
        if self._reverse:
            order = -order
        return bool(order < 0 or (order == 0 and self._including))

    def unmark_end(self, cursor: Any) -> None:
        """Let LMDB forget that the cursor has met the end: else it would not see what is put there later."""
        get = self._txn._lib.mdb_cursor_get
        if not self._reverse and get(cursor, self._key, self._value, c.PREV) == 0:
            get(cursor, self._key, self._value, c.NEXT)

    def step_back(self, cursor: Any, count: int) -> None:
        """Move the cursor back over records given."""
        self._cursor = cursor
        get = self._txn._lib.mdb_cursor_get
        op, landing = back(self._flags)
        for _ in range(count):
            if get(self._cursor, self._key, self._value, op):
                break
        if count and landing is not None:
            get(self._cursor, self._key, self._value, landing)


# (reverse, how the values of a key count): the step from one record to the next.
_STEPS = {
    (False, 0): c.NEXT,
    (False, b.NODUP): c.NEXT_NODUP,
    (False, b.DUP): c.NEXT_DUP,
    (True, 0): c.PREV,
    (True, b.NODUP): c.PREV_NODUP,
    (True, b.DUP): c.PREV_DUP,
}


def back(flags: int) -> tuple[int, int | None]:
    """How to go back from one record of a range to the one before it: a step, and where to go from there."""
    return _BACK[_STEPS[bool(flags & b.REVERSE), flags & (b.NODUP | b.DUP)]]


# A step: the one that undoes it, and how to get from there to the record that it came from.
_BACK = {
    c.NEXT: (c.PREV, None),
    c.NEXT_NODUP: (c.PREV_NODUP, c.FIRST_DUP),
    c.NEXT_DUP: (c.PREV_DUP, None),
    c.PREV: (c.NEXT, None),
    c.PREV_NODUP: (c.NEXT_NODUP, c.LAST_DUP),
    c.PREV_DUP: (c.NEXT_DUP, None),
}


def _column(strings: list[Any]) -> tuple[Any, Any]:
    from array import array  # which brings collections

    return array("q", accumulate(map(len, strings), initial=0)), b"".join(strings)


def get_many(txn: Transaction, dbi: int, keys: Sequence[Any], what: int, flags: int) -> list[Any]:
    """Look up keys, in their order.

    Args:
        txn: the transaction.
        dbi: the database.
        keys: bytes-like objects.
        what: ``KEYS`` (as they are stored), ``VALUES`` or both.
        flags: ``MISSING`` gives None for the value of a key that is not there, else it is left out; ``ALL_VALUES``
            gives every value of a ``dupsort`` key.

    Returns:
        Pairs, or keys, or values.

    Raises:
        Error: LMDB's; ``record`` says at which key.
    """
    result: list[Any] = []
    copy = txn._out
    get, key, value = txn._lib.mdb_cursor_get, ffi.new("MDB_val *"), ffi.new("MDB_val *")
    with _Cursor(txn, dbi) as cursor:
        for index, wanted in enumerate(keys):
            pinned = _memory.point(key, wanted)
            rc = get(cursor, key, value, c.SET_KEY)
            if rc == c.NOTFOUND and flags & b.MISSING:
                result += ([bytes(wanted)] if what & b.KEYS else []) + ([None] if what & b.VALUES else [])
            del pinned
            while rc == 0:
                if what & b.KEYS:
                    result.append(copy(key))
                if what & b.VALUES:
                    result.append(copy(value))
                if not flags & b.ALL_VALUES:
                    break
                rc = get(cursor, key, value, c.NEXT_DUP) or get(cursor, key, value, c.GET_CURRENT)
            if rc and rc != c.NOTFOUND:
                raise at_record(index, error("mdb_cursor_get", rc))
    if what != b.KEYS | b.VALUES:
        return result
    entries = iter(result)
    return list(zip(entries, entries))  # noqa: B905 (one iterator, twice)


def get_places(txn: Transaction, dbi: int, keys: Sequence[bytes]) -> Places:
    """Where the records of keys are, in their order; those that are missing have no address. Here they are copies."""
    values = get_many(txn, dbi, keys, b.VALUES, b.MISSING)
    places = places_of(keys, [b"" if value is None else bytes(value) for value in values])
    for place, value in enumerate(values):
        if value is None:
            places.values[place].mv_data = ffi.NULL
    return places


def put_many(
    txn: Transaction, dbi: int, pairs: Sequence[tuple[Any, Any]], flags: int, *, lenient: bool
) -> tuple[int, int, BaseException | None]:
    """Store records.

    Args:
        txn: the transaction.
        dbi: the database.
        pairs: keys and values, bytes-like objects.
        flags: of ``mdb_cursor_put``.
        lenient: leave out what is not in order where ``flags`` say that it is; else that is an error.

    Returns:
        how many are done, how many of these were stored (the others are there already), and what stopped it.
    """
    put, key, value = txn._lib.mdb_cursor_put, ffi.new("MDB_val *"), ffi.new("MDB_val *")
    added = 0
    with _Cursor(txn, dbi) as cursor:
        for index, pair in enumerate(pairs):
            if type(pair) is not tuple or len(pair) != 2:
                return index, added, TypeError("putmulti() elements must be 2-tuples")
            try:
                pinned = _memory.point_both(key, pair[0], value, pair[1])
            except (TypeError, BufferError) as problem:
                return index, added, problem
            rc = put(cursor, key, value, flags)
            del pinned
            if rc == c.KEYEXIST and (lenient or _is_there(txn, cursor, pair, flags)):
                continue
            if rc:
                return index, added, at_record(index, error("mdb_cursor_put", rc))
            added += 1
    return len(pairs), added, None


def _is_there(txn: Transaction, cursor: Any, pair: tuple[Any, Any], flags: int) -> bool:
    """Whether ``KEYEXIST`` means that the record is there, and the caller asked to be spared that; with
    ``MDB_APPEND`` it may also be one that is not in order.
    """
    if not flags & (c.NOOVERWRITE | c.NODUPDATA):
        return False
    key, value = ffi.new("MDB_val *"), ffi.new("MDB_val *")
    pinned = _memory.point_both(key, pair[0], value, pair[1])
    operation = c.SET_KEY if flags & c.NOOVERWRITE else c.GET_BOTH
    found: bool = txn._lib.mdb_cursor_get(cursor, key, value, operation) == 0
    del pinned
    return found


def count_range(txn: Transaction, dbi: int, within: Range) -> int:
    """Count the records of a range; with ``NODUP`` the keys."""
    total, size = 0, ffi.new("size_t *")
    with _Cursor(txn, dbi) as cursor:
        single = bool(within.flags & b.NODUP) or not _dupsort(txn, dbi)
        scan = Scan(txn, dbi, 0, Range(within.lower, within.upper, within.flags | b.NODUP), b.START, None)
        while scan.advance(cursor):
            if single:
                total += 1
            elif rc := txn._lib.mdb_cursor_count(cursor, size):
                raise error("mdb_cursor_count", rc)
            else:
                total += size[0]
    return total


def delete_range(txn: Transaction, dbi: int, within: Range, limit: int | None) -> tuple[int, BaseException | None]:
    """Delete the records of a range, at most ``limit`` keys with all their values.

    Returns:
        how many records went, and what stopped it.
    """
    total, size = 0, ffi.new("size_t *")
    dupsort = _dupsort(txn, dbi)
    with _Cursor(txn, dbi) as cursor:
        scan = Scan(txn, dbi, 0, within, b.START, limit)
        while scan.advance(cursor):
            size[0] = 1
            rc = txn._lib.mdb_cursor_count(cursor, size) if dupsort else 0
            rc = rc or txn._lib.mdb_cursor_del(cursor, c.NODUPDATA if dupsort else 0)
            if rc:
                return total, error("mdb_cursor_del", rc)
            total += size[0]
            if scan.state != b.END:
                scan.state = b.START  # deleting moves the cursor, and pages
    return total, None


def _dupsort(txn: Transaction, dbi: int) -> bool:
    flags = ffi.new("unsigned int *")
    if rc := txn._lib.mdb_dbi_flags(txn._live(), dbi, flags):
        raise error("mdb_dbi_flags", rc)
    return bool(flags[0] & c.DUPSORT)


class _Cursor:
    """A cursor of LMDB's for the time of a block."""

    def __init__(self, txn: Transaction, dbi: int) -> None:
        self._lib = txn._lib
        handle = ffi.new("MDB_cursor **")
        if rc := self._lib.mdb_cursor_open(txn._live(), dbi, handle):
            raise error("mdb_cursor_open", rc)
        self._handle = handle[0]

    def __enter__(self) -> Any:
        return self._handle

    def __exit__(self, *_: object) -> None:
        self._lib.mdb_cursor_close(self._handle)
