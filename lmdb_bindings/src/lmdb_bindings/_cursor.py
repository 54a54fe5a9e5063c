"""A cursor: a position in a database, moved and read within a transaction."""

from __future__ import annotations

import errno
from itertools import chain

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings import _constants as c
from lmdb_bindings import _fast, _memory
from lmdb_bindings._abi import ffi
from lmdb_bindings._generic import Generic, V
from lmdb_bindings._iteration import Iteration
from lmdb_bindings._ownership import finalize
from lmdb_bindings._range import Range
from lmdb_bindings._token import TokenLock
from lmdb_bindings.errors import error, gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Any, overload

    from typing_extensions import Buffer, Self

    from lmdb_bindings._database import _Database
    from lmdb_bindings._generic import No, Pair, Pairs, T, Yes
    from lmdb_bindings._transaction import Transaction


# The operations that go on from where the cursor is; the others search from the root of the tree.
_STEPS = {
    c.FIRST_DUP, c.GET_CURRENT, c.LAST_DUP, c.NEXT, c.NEXT_DUP, c.NEXT_NODUP, c.PREV, c.PREV_DUP, c.PREV_NODUP,
}  # fmt: skip


class Cursor(_fast.CursorBase, Generic[V]):
    """A position in a database, unset at first; then :meth:`key` and :meth:`value` give empty bytes.

    Every method that moves returns whether it found a record, and leaves the cursor unset where it did not.

    Args:
        db: the database.
        txn: the transaction that it lives in.
    """

    __slots__ = ("__dict__", "__weakref__")  # the instance dictionary is for whatever users hang on it

    if TYPE_CHECKING:
        txn: Transaction[V]
        _out: Callable[[Any], V]

    def __init__(self, db: _Database, txn: Transaction[V]) -> None:
        self._belong(db, txn)
        self._prepare(txn._lock)
        self._positioned = False
        self._iteration = None  # what has read ahead of this cursor
        # Both count the transaction's writes: up to the last reading, and up to the last search.
        self._seen = self._found = txn._mutations
        with self._lock:
            txn._live()
            self._dbi = txn._dbi(db)
            self._open()
            txn._adopt(self)

    def _prepare(self, lock: TokenLock) -> None:
        """Have what a cursor has in Python, with its transaction's lock, but for LMDB's."""
        txn = self.txn
        self._handle = None
        self._lib = txn._lib
        self._out = txn._out
        if places := self._places():
            self._key, self._value = (ffi.cast("MDB_val *", place) for place in places)
        else:
            self._key, self._value = ffi.new("MDB_val *"), ffi.new("MDB_val *")
        self._lock = lock

    IN_PYTHON = ("_key", "_lib", "_out", "_value")

    def _awake(self) -> tuple[Cursor[V], Transaction[V], Any]:
        """What a cursor lacks that a built-in method has opened: see ``Transaction._awake``."""
        txn, model = self.txn, Cursor.__new__(Cursor)
        model._belong(self.db, txn)
        model._prepare(txn._lock)  # which wakes that, too
        model._key, model._value = (ffi.cast("MDB_val *", place) for place in self._places() or ())
        return model, txn, ffi.cast("MDB_cursor *", self._address)

    def _open(self) -> None:
        handle = ffi.new("MDB_cursor **")
        if rc := self._lib.mdb_cursor_open(self.txn._live(), self._dbi, handle):
            raise error("mdb_cursor_open", rc)
        self._handle = handle[0]
        self._address = _fast.address(self._handle)

    # -- lifetime ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the cursor. Safe to call again; the end of the transaction does it too."""
        with self._lock:
            if self._lock.is_within():
                self._lock.left.append(self._end)
            else:
                self._end()

    def _end(self) -> None:
        handle, self._handle, self._address = self._handle, None, 0
        if self._iteration is not None:
            self._iteration.forget()
            self._iteration = None
        if handle is not None:
            if not self.txn._ended():  # else it may have been freed with it
                self._lib.mdb_cursor_close(handle)
            self.txn._release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _disown(self) -> None:
        if self._iteration is not None:
            self._iteration.forget()
        self._lock, self._handle, self._address, self._iteration = TokenLock(), None, 0, None

    def __reduce__(self) -> str:
        raise TypeError("a cursor cannot be pickled: it is a state of this process; pickle its environment")

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            finalize(self._end, self._lock, self.txn.env._pid)

    def _live(self) -> Any:
        """LMDB's cursor, if it is open, where stepping would have left it."""
        if self._iteration is not None:
            self._settle()
        return self._open_handle()

    def _open_handle(self) -> Any:
        if self._handle is None:
            raise gone()
        return self._handle

    def _settle(self) -> None:
        """Before anything happens: let no iteration be ahead of this cursor."""
        iteration, self._iteration = self._iteration, None
        if iteration is not None:
            iteration.settle(self._handle)
            self._step(c.GET_CURRENT)

    # -- moving --------------------------------------------------------------------------------------------------

    def _move(self, operation: int) -> bool:
        with self._lock:
            return self._step(operation)

    def _step(self, operation: int) -> bool:
        return self._result(self._lib.mdb_cursor_get(self._live(), self._key, self._value, operation), operation)

    def _move_inner(self, operation: int) -> bool:
        with self._lock:
            # LMDB fills in the value alone; the key may have moved since it was read.
            return self._step(operation) and self._step(c.GET_CURRENT)

    def _seek(self, operation: int, key: Any, value: Any = b"") -> bool:
        with self._lock:
            return self._find(operation, key, value)

    def _find(self, operation: int, key: Any, value: Any = b"") -> bool:
        """Search, with the lock."""
        pinned_key, pinned_value = pinned = _memory.pin(key), _memory.pin(value)
        handle = self._live()
        _memory.name(self._key, pinned_key)
        _memory.name(self._value, pinned_value)
        self.db._check(self._key)
        rc = self._lib.mdb_cursor_get(handle, self._key, self._value, operation)
        del pinned
        found = self._result(rc, operation)
        if not found and self.db._flags & c.DUPSORT:
            self._renew()
        return found

    def _renew(self) -> None:
        """Take a new cursor of LMDB's, which is on no record. Where the old one has come to nothing, its inner one,
        over the values of a key, is on those of another or on uninitialized memory, and the next step would follow it.
        """
        stale = self._live()
        self._open()
        if self._lock.is_within():
            self._lock.left.append(lambda: self._lib.mdb_cursor_close(stale))
        else:
            self._lib.mdb_cursor_close(stale)

    def _seek_pair(self, operation: int, key: Any, value: Any) -> bool:
        with self._lock:
            # LMDB fills in the value alone; the key would still name the caller's memory.
            return self._find(operation, key, value) and self._step(c.GET_CURRENT)

    def _result(self, rc: int, operation: int) -> bool:
        """Take the result of ``mdb_cursor_get``: where the cursor is now."""
        self._positioned = rc == 0
        self._seen = self.txn._mutations
        if operation not in _STEPS:
            self._found = self._seen
        if rc:
            self._key.mv_size = self._value.mv_size = 0
            unset = rc == errno.EINVAL and operation == c.GET_CURRENT
            if rc != c.NOTFOUND and not unset:
                raise error("mdb_cursor_get", rc)
        return self._positioned

    def _unset(self) -> None:
        """An iteration has come to its end."""
        self._positioned = False
        self._key.mv_size = self._value.mv_size = 0
        self._seen = self.txn._mutations

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

    def set_key(self, key: Buffer) -> bool:
        """Move to a key."""
        return self._seek(c.SET_KEY, key)

    def set_key_dup(self, key: Buffer, value: Buffer) -> bool:
        """Move to a pair of key and value (``dupsort``)."""
        return self._seek_pair(c.GET_BOTH, key, value)

    def set_range(self, key: Buffer) -> bool:
        """Move to the first key that is not less than ``key``; to the first one where ``key`` is empty."""
        return self._seek(c.SET_RANGE, key) if len(key) else self._move(c.FIRST)  # type: ignore[arg-type]

    def set_range_dup(self, key: Buffer, value: Buffer) -> bool:
        """Move to the first value of ``key`` that is not less than ``value`` (``dupsort``)."""
        return self._seek_pair(c.GET_BOTH_RANGE, key, value)

    # -- reading -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read again where the transaction has written since: pages move then, and records change."""
        self._live()
        if self._seen != self.txn._mutations or self.txn.env._remapped:
            self._step(c.GET_CURRENT)

    def _find_again(self) -> None:
        """Before LMDB counts or deletes values: make it read anew how many there are.

        Its cursor over the values of a key does not learn of what is written to them through others, and would delete
        by what it remembers, which loses records.
        """
        if self.db._flags & c.DUPSORT:
            self._refresh()
            if self._positioned and self._found != self.txn._mutations:
                self._step(c.GET_BOTH)

    def key(self) -> V:
        """The key at the position; empty where the cursor is unset."""
        with self._lock:
            self._refresh()
            return self._out(self._key)

    def value(self) -> V:
        """The value at the position; empty where the cursor is unset."""
        with self._lock:
            self._refresh()
            return self._out(self._value)

    def item(self) -> Pair[V]:
        """Key and value at the position; empty where the cursor is unset."""
        with self._lock:
            self._refresh()
            return self._out(self._key), self._out(self._value)

    if TYPE_CHECKING:

        @overload
        def get(self, key: Buffer, default: None = None) -> V | None: ...
        @overload
        def get(self, key: Buffer, default: T) -> V | T: ...

    def get(self, key: Buffer, default: Any = None) -> Any:
        """Move to a key, and return its value, or ``default`` where there is no such key."""
        with self._lock:
            if not self._find(c.SET_KEY, key):
                return default
            self._refresh()
            return self._out(self._value)

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
        flags = _ITERATIONS[operation]
        if not self.db._flags & c.DUPSORT:
            flags &= ~b.DUP  # as in py-lmdb: LMDB goes on to the next key
        what = b.KEYS * bool(keys or not values) | b.VALUES * bool(values)
        return Iteration(self._scan(Range(flags=flags), what, b.CURRENT)).of(self)

    def _advance(self, operation: int, what: int) -> Any:
        """A record of an iteration that a built-in method has begun, where it cannot take the short way; None at its
        end. It begins with ``GET_CURRENT``.
        """
        with self._lock:
            self._live()
            if operation != c.GET_CURRENT:
                self._step(operation)
            elif self._positioned:
                self._refresh()
            if not self._positioned:
                return None
            if what == b.KEYS | b.VALUES:
                return self._out(self._key), self._out(self._value)
            return self._out(self._key if what == b.KEYS else self._value)

    def _scan(self, within: Range, what: int, state: int, limit: int | None = None) -> Any:
        self._open_handle()
        return self.txn._records.Scan(self.txn, self._dbi, what, within, state, limit)

    if TYPE_CHECKING:

        @overload
        def iternext(self, keys: Yes = True, values: Yes = True) -> Pairs[V]: ...
        @overload
        def iternext(self, keys: No, values: bool = True) -> Iterator[V]: ...
        @overload
        def iternext(self, keys: bool = True, *, values: No) -> Iterator[V]: ...
        @overload
        def iternext(self, keys: bool = True, values: bool = True) -> Iterator[Any]: ...

    def iternext(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        """From the position, or the first record where it is unset, to the end.

        Args:
            keys: give keys.
            values: give values; with both, pairs.
        """
        return self._iterate(c.NEXT, keys, values, self.first)

    __iter__ = iternext

    if TYPE_CHECKING:

        @overload
        def iternext_dup(self, keys: Yes, values: Yes = True) -> Pairs[V]: ...
        @overload
        def iternext_dup(self, keys: No = False, values: bool = True) -> Iterator[V]: ...
        @overload
        def iternext_dup(self, keys: bool, values: No) -> Iterator[V]: ...
        @overload
        def iternext_dup(self, keys: bool = False, values: bool = True) -> Iterator[Any]: ...

    def iternext_dup(self, keys: bool = False, values: bool = True) -> Iterator[Any]:
        """From the position to the last value of the key (``dupsort``)."""
        return self._iterate(c.NEXT_DUP, keys, values, None)

    if TYPE_CHECKING:

        @overload
        def iternext_nodup(self, keys: Yes = True, *, values: Yes) -> Pairs[V]: ...
        @overload
        def iternext_nodup(self, keys: bool = True, values: No = False) -> Iterator[V]: ...
        @overload
        def iternext_nodup(self, keys: No, values: bool = False) -> Iterator[V]: ...
        @overload
        def iternext_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]: ...

    def iternext_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]:
        """From the position, or the first record where it is unset, each further key once (``dupsort``)."""
        return self._iterate(c.NEXT_NODUP, keys, values, self.first)

    if TYPE_CHECKING:

        @overload
        def iterprev(self, keys: Yes = True, values: Yes = True) -> Pairs[V]: ...
        @overload
        def iterprev(self, keys: No, values: bool = True) -> Iterator[V]: ...
        @overload
        def iterprev(self, keys: bool = True, *, values: No) -> Iterator[V]: ...
        @overload
        def iterprev(self, keys: bool = True, values: bool = True) -> Iterator[Any]: ...

    def iterprev(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        """From the position, or the last record where it is unset, to the beginning."""
        return self._iterate(c.PREV, keys, values, self.last)

    if TYPE_CHECKING:

        @overload
        def iterprev_dup(self, keys: Yes, values: Yes = True) -> Pairs[V]: ...
        @overload
        def iterprev_dup(self, keys: No = False, values: bool = True) -> Iterator[V]: ...
        @overload
        def iterprev_dup(self, keys: bool, values: No) -> Iterator[V]: ...
        @overload
        def iterprev_dup(self, keys: bool = False, values: bool = True) -> Iterator[Any]: ...

    def iterprev_dup(self, keys: bool = False, values: bool = True) -> Iterator[Any]:
        """From the position to the first value of the key (``dupsort``)."""
        return self._iterate(c.PREV_DUP, keys, values, None)

    if TYPE_CHECKING:

        @overload
        def iterprev_nodup(self, keys: Yes = True, *, values: Yes) -> Pairs[V]: ...
        @overload
        def iterprev_nodup(self, keys: bool = True, values: No = False) -> Iterator[V]: ...
        @overload
        def iterprev_nodup(self, keys: No, values: bool = False) -> Iterator[V]: ...
        @overload
        def iterprev_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]: ...

    def iterprev_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]:
        """From the position, or the last record where it is unset, each earlier key once (``dupsort``)."""
        return self._iterate(c.PREV_NODUP, keys, values, self.last)

    def _iter_from(self, k: Buffer, reverse: bool) -> Pairs[V]:
        """From the first key that is not less than ``k``; in reverse from there, or from the last record, back."""
        found = self.set_range(k) if len(k) or reverse else self.first()  # type: ignore[arg-type]
        if reverse:
            if not found:
                self.last()
            return self.iterprev()
        return self.iternext() if found else iter(())

    # -- many at once --------------------------------------------------------------------------------------------

    if TYPE_CHECKING:

        @overload
        def getmulti(
            self,
            keys: Iterable[Buffer],
            dupdata: bool = False,
            dupfixed_bytes: int | None = None,
            keyfixed: No = False,
            values: Yes = True,
        ) -> list[Pair[V]]: ...
        @overload
        def getmulti(self, keys: Iterable[Buffer], dupdata: No = False, *, values: No) -> list[V]: ...
        @overload
        def getmulti(
            self, keys: Iterable[Buffer], dupdata: Yes, dupfixed_bytes: int, keyfixed: Yes, values: Yes = True
        ) -> memoryview: ...

    def getmulti(
        self,
        keys: Iterable[Buffer],
        dupdata: bool = False,
        dupfixed_bytes: int | None = None,
        keyfixed: bool = False,
        values: bool = True,
    ) -> Any:
        """Look up many keys; those that are not there are left out.

        Args:
            keys: the keys.
            dupdata: give every value of a key (``dupsort``), else the first.
            dupfixed_bytes: how long each value is (``dupfixed``).
            keyfixed: give one memoryview of all keys and values, one behind another, for NumPy's ``frombuffer``;
                every key must then have one length.
            values: give values; False gives the keys that are there, and reads no value.

        Returns:
            A list of pairs, a list of keys, or with ``keyfixed`` a memoryview.

        Raises:
            ValueError: with ``keyfixed`` the keys, or with ``dupfixed_bytes`` the values, have another length.
        """
        if dupfixed_bytes is not None and dupfixed_bytes < 0:
            raise OverflowError("Integer argument must be >= 0")
        if (dupfixed_bytes or keyfixed) and not dupdata:
            raise TypeError("dupdata is required for dupfixed_bytes/keyfixed.")
        if keyfixed and not dupfixed_bytes:
            raise TypeError("dupfixed_bytes is required for keyfixed.")
        if not values and dupdata:
            raise TypeError("values=False is incompatible with dupdata.")
        wanted = list(keys)  # here: it may wait for another thread
        with self._lock:
            self._live()
            if dupfixed_bytes and not self.db._flags & c.DUPFIXED:
                raise error("mdb_cursor_get", c.INCOMPATIBLE)
            self.db._check_many(wanted)
            what = b.KEYS | b.VALUES * bool(values)
            flags = b.ALL_VALUES * bool(dupdata and self.db._flags & c.DUPSORT)
            found = self.txn._records.get_many(self.txn, self._dbi, wanted, what, flags)
            if wanted:
                self._seek(c.SET_KEY, wanted[-1])
        if not dupfixed_bytes:
            return found
        if any(len(value) != dupfixed_bytes for _, value in found):
            raise ValueError(f"dupfixed_bytes={dupfixed_bytes}, but values have {len(found[0][1])} bytes")
        if not keyfixed:
            return found
        if len({len(key) for key, _ in found}) > 1:
            raise ValueError("keyfixed=True requires all keys to be the same size")
        return memoryview(bytearray().join(chain.from_iterable(found)))

    def putmulti(
        self, items: Iterable[tuple[Buffer, Buffer]], dupdata: bool = True, overwrite: bool = True, append: bool = False
    ) -> tuple[int, int]:
        """Store many records; the arguments are those of :meth:`put`.

        Args:
            items: pairs of key and value, exact tuples.
            dupdata: see :meth:`put`.
            overwrite: see :meth:`put`.
            append: see :meth:`put`; a record that is out of order is not stored.

        Returns:
            How many items were taken, and how many of them stored.

        Raises:
            Error: LMDB's, with the number of the record, from 0, as ``record``; those before it are stored.
        """
        flags = put_flags(self.db._flags, dupdata, overwrite, append)
        taken, added = self.txn._put_many(items, self.db, flags, self._last_put)
        with self._lock:
            self._live()
            if taken == 0:
                self._step(c.GET_CURRENT)
        return taken, added

    def _last_put(self, item: tuple[Any, Any]) -> None:
        """Go where the last of many records was put."""
        if self.db._flags & c.DUPSORT:
            self._seek_pair(c.GET_BOTH, *item)
        else:
            self._seek(c.SET_KEY, item[0])

    # -- writing -------------------------------------------------------------------------------------------------

    def put(
        self, key: Buffer, value: Buffer, dupdata: bool = True, overwrite: bool = True, append: bool = False
    ) -> bool:
        """Store a value and move to it; the arguments and errors are those of :meth:`Transaction.put`."""
        flags = put_flags(self.db._flags, dupdata, overwrite, append)
        with self._lock:
            return self._put_and_look(key, value, flags)

    def _put_and_look(self, key: Any, value: Any, flags: int) -> bool:
        if self._put(key, value, flags):
            return False
        self._step(c.GET_CURRENT)
        self._found = self._seen
        return True

    def _put(self, key: Any, value: Any, flags: int) -> int:
        """``mdb_cursor_put``; what it returns is 0 or ``KEYEXIST``."""
        pinned_key, pinned_value = pinned = _memory.pin(key), _memory.pin(value)
        self.txn._writing()
        handle = self._live()
        _memory.name(self._key, pinned_key)
        _memory.name(self._value, pinned_value)
        self.db._check(self._key)
        rc: int = self._lib.mdb_cursor_put(handle, self._key, self._value, flags)
        del pinned
        # On a failure the position may be kept, and the two MDB_vals name the caller's memory: counted as a write, so
        # that they are read again at the next use.
        if rc and rc != c.KEYEXIST:
            raise error("mdb_cursor_put", rc)
        return rc

    def delete(self, dupdata: bool = False) -> bool:
        """Delete the record at the position, and move to the next one.

        Args:
            dupdata: delete every value of the key.

        Returns:
            False where the cursor is unset.
        """
        with self._lock:
            return self._delete(dupdata)

    def _delete(self, dupdata: bool) -> bool:
        self._live()
        if self._positioned:
            self._find_again()
        if not self._positioned:
            return False
        self.txn._writing()
        if rc := self._lib.mdb_cursor_del(self._handle, c.NODUPDATA if dupdata else 0):
            raise error("mdb_cursor_del", rc)
        self._step(c.GET_CURRENT)
        self._found = self._seen
        if not self._positioned and self.db._flags & c.DUPSORT:
            self._renew()
        return True

    def replace(self, key: Buffer, value: Buffer) -> bytes | None:
        """Store a value, and return the one that was there, or None; of a ``dupsort`` key all values go."""
        with self._lock:
            if self.db._flags & c.DUPSORT:
                old = None
                if self._find(c.SET_KEY, key):
                    old = _memory.copy(self._value)
                    self._delete(dupdata=True)
                self._put_and_look(key, value, 0)
                return old
            if not self._put(key, value, c.NOOVERWRITE):
                self._step(c.GET_CURRENT)
                return None
            self._step(c.GET_CURRENT)
            old = _memory.copy(self._value)
            self._put(key, value, 0)
            self._step(c.GET_CURRENT)
            return old

    def pop(self, key: Buffer) -> bytes | None:
        """Delete the first value of a key, and return it, or None where there is no such key."""
        with self._lock:
            if not self._find(c.SET_KEY, key):
                return None
            old = _memory.copy(self._value)
            self._delete(dupdata=False)
            return old


# The step of an iteration: how it goes through a range.
_ITERATIONS = {
    c.NEXT: 0,
    c.NEXT_NODUP: b.NODUP,
    c.NEXT_DUP: b.DUP,
    c.PREV: b.REVERSE,
    c.PREV_NODUP: b.REVERSE | b.NODUP,
    c.PREV_DUP: b.REVERSE | b.DUP,
}


def put_flags(database_flags: int, dupdata: bool, overwrite: bool, append: bool) -> int:
    """The flags of ``mdb_put`` for py-lmdb's options."""
    flags = 0
    if not dupdata:
        flags |= c.NODUPDATA
    if not overwrite:
        flags |= c.NOOVERWRITE
    if append:
        # In a dupsort database MDB_APPEND would refuse further values of the last key.
        flags |= c.APPENDDUP if database_flags & c.DUPSORT else c.APPEND
    return flags


_fast.install(Cursor)
