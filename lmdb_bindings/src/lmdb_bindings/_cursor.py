"""A cursor: a position in a database, moved and read within a transaction."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lmdb_bindings import _constants as c
from lmdb_bindings import _memory
from lmdb_bindings._abi import ffi
from lmdb_bindings.errors import error, gone

if TYPE_CHECKING:
    from lmdb_bindings._database import _Database
    from lmdb_bindings._transaction import Transaction


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
        self._lib = txn._lib
        self._out = txn._out
        self._key = ffi.new("MDB_val *")
        self._value = ffi.new("MDB_val *")
        self._positioned = False
        self._seen = txn._mutations
        handle = ffi.new("MDB_cursor **")
        if rc := self._lib.mdb_cursor_open(txn._live(), txn._dbi(db), handle):
            raise error("mdb_cursor_open", rc)
        self._handle = handle[0]
        txn._cursors.add(self)

    # -- lifetime ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the cursor. Safe to call again; the end of the transaction does it too."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._lib.mdb_cursor_close(handle)
            self._txn._cursors.discard(self)

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        # A live cursor's transaction is live: its end closes the cursor first.
        if getattr(self, "_handle", None) is not None:
            self.close()

    def _live(self) -> Any:
        if self._handle is None:
            raise gone()
        return self._handle

    # -- moving --------------------------------------------------------------------------------------------------

    def _move(self, operation: int) -> bool:
        return self._settle(self._lib.mdb_cursor_get(self._live(), self._key, self._value, operation), operation)

    def _seek(self, operation: int, key: Any, value: Any = b"") -> bool:
        pinned = _memory.point(self._key, key), _memory.point(self._value, value)
        rc = self._lib.mdb_cursor_get(self._live(), self._key, self._value, operation)
        del pinned
        return self._settle(rc, operation)

    def _settle(self, rc: int, operation: int) -> bool:
        """Take the result of ``mdb_cursor_get``: where the cursor is now."""
        self._positioned = rc == 0
        self._seen = self._txn._mutations
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
        return self._move(c.FIRST_DUP)

    def last(self) -> bool:
        """Move to the last record."""
        return self._move(c.LAST)

    def last_dup(self) -> bool:
        """Move to the last value of the key (``dupsort``)."""
        return self._move(c.LAST_DUP)

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
        return self._seek(c.GET_BOTH, key, value)

    def set_range(self, key: Any) -> bool:
        """Move to the first key that is not less than ``key``; to the first one where ``key`` is empty."""
        return self._seek(c.SET_RANGE, key) if len(key) else self.first()

    def set_range_dup(self, key: Any, value: Any) -> bool:
        """Move to the first value of ``key`` that is not less than ``value`` (``dupsort``)."""
        found = self._seek(c.GET_BOTH_RANGE, key, value)
        # LMDB fills in the value alone; the key would still name the caller's memory.
        return self._move(c.GET_CURRENT) if found else found

    # -- reading -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read again where the transaction has written since: pages move then, and records change."""
        if self._handle is None:
            raise gone()
        if self._seen != self._txn._mutations:
            self._move(c.GET_CURRENT)

    def key(self) -> Any:
        """The key at the position; empty where the cursor is unset."""
        self._refresh()
        return self._out(self._key)

    def value(self) -> Any:
        """The value at the position; empty where the cursor is unset."""
        self._refresh()
        return self._out(self._value)

    def item(self) -> tuple[Any, Any]:
        """Key and value at the position; empty where the cursor is unset."""
        self._refresh()
        return self._out(self._key), self._out(self._value)

    def get(self, key: Any, default: Any = None) -> Any:
        """Move to a key, and return its value, or ``default`` where there is no such key."""
        return self.value() if self.set_key(key) else default

    def count(self) -> int:
        """How many values the key has.

        Raises:
            IncompatibleError: the database is not ``dupsort``.
        """
        result = ffi.new("size_t *")
        if rc := self._lib.mdb_cursor_count(self._live(), result):
            raise error("mdb_cursor_count", rc)
        number: int = result[0]
        return number

    # -- iterating -----------------------------------------------------------------------------------------------

    def _iterate(self, operation: int, keys: bool, values: bool, start: Callable[[], bool] | None) -> Iterator[Any]:
        if start is not None and not self._positioned:
            start()
        return self._steps(operation, self.item if keys and values else self.value if values else self.key)

    def _steps(self, operation: int, read: Callable[[], Any]) -> Iterator[Any]:
        while self._positioned:
            yield read()
            self._move(operation)

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

        pinned = _memory.point(self._key, key), _memory.point(self._value, value)
        flags = put_flags(self._db._flags, dupdata, overwrite, append)
        rc = self._lib.mdb_cursor_put(self._live(), self._key, self._value, flags)
        del pinned
        self._txn._mutations += 1
        if rc:
            # The position may be kept, and the two MDB_vals name the caller's memory: read again at the next use.
            if rc == c.KEYEXIST:
                return False
            raise error("mdb_cursor_put", rc)
        self._move(c.GET_CURRENT)
        return True

    def delete(self, dupdata: bool = False) -> bool:
        """Delete the record at the position, and move to the next one.

        Args:
            dupdata: delete every value of the key.

        Returns:
            False where the cursor is unset.
        """
        self._live()
        if not self._positioned:
            return False
        rc = self._lib.mdb_cursor_del(self._handle, c.NODUPDATA if dupdata else 0)
        self._txn._mutations += 1
        if rc:
            raise error("mdb_cursor_del", rc)
        self._move(c.GET_CURRENT)
        return True
