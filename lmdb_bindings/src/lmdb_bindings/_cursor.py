"""A cursor: a position in a database, moved and read within a transaction."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lmdb_bindings import _constants as c
from lmdb_bindings import _memory
from lmdb_bindings._abi import ffi
from lmdb_bindings._ownership import finalize
from lmdb_bindings.errors import error, gone

if TYPE_CHECKING:
    from lmdb_bindings._database import _Database
    from lmdb_bindings._transaction import Transaction


# The operations that go on from where the cursor is; the others search from the root of the tree.
_STEPS = {
    c.FIRST_DUP, c.GET_CURRENT, c.LAST_DUP, c.NEXT, c.NEXT_DUP, c.NEXT_NODUP, c.PREV, c.PREV_DUP, c.PREV_NODUP,
}  # fmt: skip


class Cursor:
    """A position in a database, unset at first; then :meth:`key` and :meth:`value` give empty bytes.

    Every method that moves returns whether it found a record, and leaves the cursor unset where it did not.

    Args:
        db: the database.
        txn: the transaction that it lives in.
    """

    def __init__(self, db: _Database, txn: Transaction) -> None:
        self._handle: Any = None
        self._db = db
        self._txn = txn
        self._lock = txn._lock
        self._lib = txn._lib
        self._out = txn._out
        self._key = ffi.new("MDB_val *")
        self._value = ffi.new("MDB_val *")
        self._positioned = False
        # Both count the transaction's writes: up to the last reading, and up to the last search.
        self._seen = self._found = txn._mutations
        with self._lock:
            self._handle = self._open()
            txn._adopt(self)

    def _open(self) -> Any:
        handle = ffi.new("MDB_cursor **")
        if rc := self._lib.mdb_cursor_open(self._txn._live(), self._txn._dbi(self._db), handle):
            raise error("mdb_cursor_open", rc)
        return handle[0]

    # -- lifetime ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the cursor. Safe to call again; the end of the transaction does it too."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            if not self._txn._ended():  # else it may have been freed with it
                self._lib.mdb_cursor_close(handle)
            self._txn._release(self)

    def __enter__(self) -> Cursor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            finalize(self._end, self._lock, self._txn.env._pid)

    def _live(self) -> Any:
        if self._handle is None:
            raise gone()
        return self._handle

    # -- moving --------------------------------------------------------------------------------------------------

    def _move(self, operation: int) -> bool:
        with self._lock:
            return self._step(operation)

    def _step(self, operation: int) -> bool:
        return self._settle(self._lib.mdb_cursor_get(self._live(), self._key, self._value, operation), operation)

    def _move_inner(self, operation: int) -> bool:
        with self._lock:
            # LMDB fills in the value alone; the key may have moved since it was read.
            return self._step(operation) and self._step(c.GET_CURRENT)

    def _seek(self, operation: int, key: Any, value: Any = b"") -> bool:
        with self._lock:
            pinned = _memory.point_both(self._key, key, self._value, value)
            rc = self._lib.mdb_cursor_get(self._live(), self._key, self._value, operation)
            del pinned
            found = self._settle(rc, operation)
            if not found and self._db._flags & c.DUPSORT:
                # LMDB's cursor is on some record now, but its inner one, over the values of the key, is on those of
                # another or on uninitialized memory, and the next step would follow it.
                stale, self._handle = self._live(), self._open()
                self._lib.mdb_cursor_close(stale)
            return found

    def _seek_pair(self, operation: int, key: Any, value: Any) -> bool:
        with self._lock:
            # LMDB fills in the value alone; the key would still name the caller's memory.
            return self._seek(operation, key, value) and self._step(c.GET_CURRENT)

    def _settle(self, rc: int, operation: int) -> bool:
        """Take the result of ``mdb_cursor_get``: where the cursor is now."""
        self._positioned = rc == 0
        self._seen = self._txn._mutations
        if operation not in _STEPS:
            self._found = self._seen
        if rc:
            self._key.mv_size = self._value.mv_size = 0
            unset = rc == errno.EINVAL and operation == c.GET_CURRENT
            if rc != c.NOTFOUND and not unset:
                raise error("mdb_cursor_get", rc)
        return self._positioned

    def first(self) -> bool:
        """Move to the first record."""
        return self._move(c.FIRST)

    def first_dup(self) -> bool:
        """Move to the first value of the key (``dupsort``)."""
        return self._move_inner(c.FIRST_DUP)

    def last(self) -> bool:
        """Move to the last record."""
        return self._move(c.LAST)

    def last_dup(self) -> bool:
        """Move to the last value of the key (``dupsort``)."""
        return self._move_inner(c.LAST_DUP)

    def next(self) -> bool:
        """Move to the next record; to the first one where the cursor is unset."""
        return self._move(c.NEXT)

    def next_dup(self) -> bool:
        """Move to the next value of the key (``dupsort``)."""
        return self._move(c.NEXT_DUP)

    def next_nodup(self) -> bool:
        """Move to the first value of the next key."""
        return self._move(c.NEXT_NODUP)

    def prev(self) -> bool:
        """Move to the previous record; to the last one where the cursor is unset."""
        return self._move(c.PREV)

    def prev_dup(self) -> bool:
        """Move to the previous value of the key (``dupsort``)."""
        return self._move(c.PREV_DUP)

    def prev_nodup(self) -> bool:
        """Move to the last value of the previous key."""
        return self._move(c.PREV_NODUP)

    def set_key(self, key: Any) -> bool:
        """Move to a key."""
        return self._seek(c.SET_KEY, key)

    def set_key_dup(self, key: Any, value: Any) -> bool:
        """Move to a pair of key and value (``dupsort``)."""
        return self._seek_pair(c.GET_BOTH, key, value)

    def set_range(self, key: Any) -> bool:
        """Move to the first key that is not less than ``key``; to the first one where ``key`` is empty."""
        return self._seek(c.SET_RANGE, key) if len(key) else self.first()

    def set_range_dup(self, key: Any, value: Any) -> bool:
        """Move to the first value of ``key`` that is not less than ``value`` (``dupsort``)."""
        return self._seek_pair(c.GET_BOTH_RANGE, key, value)

    # -- reading -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read again where the transaction has written since: pages move then, and records change."""
        self._live()
        if self._seen != self._txn._mutations:
            self._step(c.GET_CURRENT)

    def _find_again(self) -> None:
        """Before LMDB counts or deletes values: make it read anew how many there are.

        Its cursor over the values of a key does not learn of what is written to them through others, and would delete
        by what it remembers, which loses records.
        """
        if self._db._flags & c.DUPSORT:
            self._refresh()
            if self._positioned and self._found != self._txn._mutations:
                self._step(c.GET_BOTH)

    def key(self) -> Any:
        """The key at the position; empty where the cursor is unset."""
        with self._lock:
            self._refresh()
            return self._out(self._key)

    def value(self) -> Any:
        """The value at the position; empty where the cursor is unset."""
        with self._lock:
            self._refresh()
            return self._out(self._value)

    def item(self) -> tuple[Any, Any]:
        """Key and value at the position; empty where the cursor is unset."""
        with self._lock:
            self._refresh()
            return self._out(self._key), self._out(self._value)

    def get(self, key: Any, default: Any = None) -> Any:
        """Move to a key, and return its value, or ``default`` where there is no such key."""
        with self._lock:
            return self.value() if self.set_key(key) else default

    def count(self) -> int:
        """How many values the key has.

        Raises:
            IncompatibleError: the database is not ``dupsort``.
        """
        result = ffi.new("size_t *")
        with self._lock:
            self._find_again()
            if rc := self._lib.mdb_cursor_count(self._live(), result):
                raise error("mdb_cursor_count", rc)
        number: int = result[0]
        return number

    # -- iterating -----------------------------------------------------------------------------------------------

    def _iterate(self, operation: int, keys: bool, values: bool, start: Callable[[], bool] | None) -> Iterator[Any]:
        with self._lock:
            self._live()
            if self._positioned:
                self._refresh()  # the record may be gone
            if start is not None and not self._positioned:
                start()
        return self._steps(operation, keys, values)

    def _steps(self, operation: int, keys: bool, values: bool) -> Iterator[Any]:
        begun = False
        while True:
            with self._lock:
                if begun:
                    self._step(operation)
                elif self._positioned:
                    self._refresh()
                if not self._positioned:
                    return
                key = self._out(self._key) if keys or not values else None
                value = self._out(self._value) if values else None
            begun = True
            yield (key, value) if keys and values else value if values else key

    def iternext(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        """From the position, or the first record where it is unset, to the end.

        Args:
            keys: give keys.
            values: give values; with both, pairs.
        """
        return self._iterate(c.NEXT, keys, values, self.first)

    __iter__ = iternext

    def iternext_dup(self, keys: bool = False, values: bool = True) -> Iterator[Any]:
        """From the position to the last value of the key (``dupsort``)."""
        return self._iterate(c.NEXT_DUP, keys, values, None)

    def iternext_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]:
        """From the position, or the first record where it is unset, each further key once (``dupsort``)."""
        return self._iterate(c.NEXT_NODUP, keys, values, self.first)

    def iterprev(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        """From the position, or the last record where it is unset, to the beginning."""
        return self._iterate(c.PREV, keys, values, self.last)

    def iterprev_dup(self, keys: bool = False, values: bool = True) -> Iterator[Any]:
        """From the position to the first value of the key (``dupsort``)."""
        return self._iterate(c.PREV_DUP, keys, values, None)

    def iterprev_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]:
        """From the position, or the last record where it is unset, each earlier key once (``dupsort``)."""
        return self._iterate(c.PREV_NODUP, keys, values, self.last)

    # -- writing -------------------------------------------------------------------------------------------------

    def put(self, key: Any, value: Any, dupdata: bool = True, overwrite: bool = True, append: bool = False) -> bool:
        """Store a value and move to it; the arguments and errors are those of :meth:`Transaction.put`."""
        from lmdb_bindings._transaction import put_flags

        flags = put_flags(self._db._flags, dupdata, overwrite, append)
        with self._lock:
            pinned = _memory.point_both(self._key, key, self._value, value)
            rc = self._lib.mdb_cursor_put(self._live(), self._key, self._value, flags)
            del pinned
            self._txn._mutations += 1
            if rc:
                # The position may be kept, and the two MDB_vals name the caller's memory: read again at the next use.
                if rc == c.KEYEXIST:
                    return False
                raise error("mdb_cursor_put", rc)
            self._step(c.GET_CURRENT)
            self._found = self._seen
            return True

    def delete(self, dupdata: bool = False) -> bool:
        """Delete the record at the position, and move to the next one.

        Args:
            dupdata: delete every value of the key.

        Returns:
            False where the cursor is unset.
        """
        with self._lock:
            self._live()
            if self._positioned:
                self._find_again()
            if not self._positioned:
                return False
            rc = self._lib.mdb_cursor_del(self._handle, c.NODUPDATA if dupdata else 0)
            self._txn._mutations += 1
            if rc:
                raise error("mdb_cursor_del", rc)
            self._step(c.GET_CURRENT)
            self._found = self._seen
            return True
