"""A transaction: a snapshot to read, or the one writer; and the cursors that live in it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lmdb_bindings import _constants as c
from lmdb_bindings import _memory
from lmdb_bindings._abi import ffi
from lmdb_bindings._cursor import Cursor
from lmdb_bindings._ownership import Owner, finalize
from lmdb_bindings.errors import Error, error, gone

if TYPE_CHECKING:
    from lmdb_bindings._database import _Database
    from lmdb_bindings._environment import Environment


class Transaction(Owner):
    """A transaction. As a context manager it commits at the end of the block, and aborts if an exception leaves it.

    Args:
        env: the environment.
        db: the database that methods use where none is given; None for the main one.
        parent: the write transaction to nest in.
        write: may write. One write transaction exists at a time; others wait, in this and in other processes.
        buffers: give keys and values as read-only memoryviews of the map, valid until the transaction ends or
            writes; False gives bytes.

    Raises:
        Error: a subclass by the return code; or this thread has a write transaction already.
        ReadonlyError: ``write`` in an environment that is read-only.
    """

    def __init__(
        self,
        env: Environment,
        db: _Database | None = None,
        parent: Transaction | None = None,
        write: bool = False,
        buffers: bool = False,
    ) -> None:
        super().__init__()
        self._handle: Any = None
        self.env = env
        self._lib = env._engine.lib
        self._parent = parent
        self._write = bool(write)
        # Held by every call in the transaction, in those nested in it, and by their cursors: so another thread that
        # closes the environment waits for the end of the call, and threads may share a read transaction.
        self._lock: threading.RLock = threading.RLock() if parent is None else parent._lock
        self._out = _memory.view if buffers else _memory.copy
        self._key = ffi.new("MDB_val *")
        self._value = ffi.new("MDB_val *")
        self._opened: list[_Database] = []
        self._finished: list[tuple[Callable[[Any], int | None], Any]] = []
        # Counts writes: what a cursor last read may have moved since (lmdb.h: valid until the next update).
        self._mutations = 0
        env._live()
        if self._write and env.readonly:
            raise error("Cannot start write transaction with read-only env", errno.EACCES)
        if parent is not None:
            self._nest(parent)
        elif self._write:
            self._begin_writing()
        else:
            self._begin_reading()
        self._db: Any = db if db is not None else env._databases.get(None)

    def _nest(self, parent: Transaction) -> None:
        if not parent._write:
            raise error("Read-only transactions cannot be nested.", errno.EINVAL)
        if parent.env is not self.env:
            raise error("Parent transaction belongs to another environment.", errno.EINVAL)
        if not self._write and self.env._engine.name == "0.9":
            raise error("Read-only child transactions require the LMDB 1.0 engine.", errno.EINVAL)
        with self._lock:
            self._handle = self._begin(parent._live())
            parent._adopt(self)

    def _begin_writing(self) -> None:
        access = self.env._access
        access.take_turn()
        try:
            with access:
                self._handle = self._begin(ffi.NULL)
                self.env._adopt(self)
        except BaseException:
            access.pass_turn()
            raise

    def _begin_reading(self) -> None:
        env = self.env
        with env._access:
            env._live()
            try:
                handle = env._spare.pop()
            except IndexError:
                handle = self._begin(ffi.NULL)
            else:
                if rc := self._lib.mdb_txn_renew(handle):
                    self._lib.mdb_txn_abort(handle)
                    raise error("mdb_txn_renew", rc)
            self._handle = handle
            env._adopt(self)

    def _begin(self, parent: Any) -> Any:
        handle = ffi.new("MDB_txn **")
        if rc := self._lib.mdb_txn_begin(self.env._live(), parent, 0 if self._write else c.RDONLY, handle):
            raise error("mdb_txn_begin", rc)
        return handle[0]

    def _live(self) -> Any:
        """The C handle, if the transaction is open."""
        if self._handle is None:
            raise gone()
        return self._handle

    def _dbi(self, db: _Database | None) -> Any:
        """The handle's number, if it is open and of this environment: a number of another would hit any database."""
        database = self._db if db is None else db
        if database._env() is not self.env:
            raise Error("Database handle belongs to another environment.")
        if database._dbi is None:
            raise gone()
        return database._dbi

    # -- the end -------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make what was written permanent, and end the transaction.

        Raises:
            Error: the write failed; the transaction is aborted.
        """
        with self._lock:
            self._live()
            self._end_dependents()
            if self._keep():
                return
            rc = self._finish(self._lib.mdb_txn_commit)
            if rc:
                self.env._forget(self._opened)
            elif self._parent is not None:
                self._parent._opened += self._opened  # gone if an ancestor aborts
                self._parent._mutations += 1
            self._leave()
        if rc:
            raise error("mdb_txn_commit", rc)

    def abort(self) -> None:
        """Undo what was written, and end the transaction. Safe to call again."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._handle is None:
            return
        self._end_dependents()
        if self._keep():
            return
        self._finish(self._lib.mdb_txn_abort)
        self.env._forget(self._opened)
        self._leave()

    def _end_dependents(self) -> None:
        for dependent in self._living():
            dependent._end()

    def _finish(self, function: Callable[[Any], int | None]) -> int | None:
        """Commit or abort in LMDB."""
        if self._ended():
            self._handle = None
            return 0
        handle, self._handle = self._handle, None
        if self._write or self._parent is None:
            return function(handle)
        # LMDB 1.0 keeps a pointer to the latest read-only child, and follows it when another begins, but not when
        # that child has ended before its siblings: so each is kept until the last of them has ended.
        finished = self._parent._finished
        finished.append((function, handle))
        if not any(isinstance(other, Transaction) and other is not self for other in self._parent._living()):
            while finished:
                function, handle = finished.pop()
                function(handle)
        return 0

    def _ended(self) -> bool:
        """Whether it has ended, or one that it is nested in, which ends it in LMDB too."""
        return self._handle is None or (self._parent is not None and self._parent._ended())

    def _keep(self) -> bool:
        """Keep a finished read transaction for the next one, if the environment wants spare ones."""
        env = self.env
        if self._write or self._opened or self._parent is not None or len(env._spare) >= env._max_spare:
            return False
        self._lib.mdb_txn_reset(self._handle)
        env._spare.append(self._handle)
        self._handle = None
        env._release(self)
        return True

    def _leave(self) -> None:
        if self._parent is not None:
            self._parent._release(self)
            return
        self.env._release(self)
        if self._write:
            self.env._access.pass_turn()

    def __enter__(self) -> Transaction:
        self._live()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._handle is not None:
            self.commit()
        else:
            self.abort()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            finalize(self._abandon, self._lock, self.env._pid)

    # -- reading and writing -------------------------------------------------------------------------------------

    def id(self) -> int:
        """The transaction's number: for a read transaction that of the snapshot."""
        with self._lock:
            number: int = self._lib.mdb_txn_id(self._live())
            return number

    def stat(self, db: _Database | None = None) -> dict[str, int]:
        """Statistics of a database: psize (bytes), depth, branch_pages, leaf_pages, overflow_pages, entries."""
        from lmdb_bindings._environment import stat_dict

        result = ffi.new("MDB_stat *")
        with self._lock:
            if rc := self._lib.mdb_stat(self._live(), self._dbi(db), result):
                raise error("mdb_stat", rc)
        return stat_dict(result)

    def get(self, key: Any, default: Any = None, db: _Database | None = None) -> Any:
        """The value of a key, the first one where it has several.

        Args:
            key: bytes, or another contiguous buffer.
            default: what to return where there is no such key.
            db: the database; None for the transaction's own.

        Raises:
            BadValsizeError: the key is empty or longer than :meth:`Environment.max_key_size`.
        """
        with self._lock:
            pinned = _memory.point(self._key, key)
            rc = self._lib.mdb_get(self._live(), self._dbi(db), self._key, self._value)
            del pinned
            if rc:
                if rc == c.NOTFOUND:
                    return default
                raise error("mdb_get", rc)
            return self._out(self._value)

    def put(
        self,
        key: Any,
        value: Any,
        dupdata: bool = True,
        overwrite: bool = True,
        append: bool = False,
        db: _Database | None = None,
    ) -> bool:
        """Store a value.

        Args:
            key: bytes, or another contiguous buffer.
            value: likewise.
            dupdata: with ``dupsort``, accept a pair that is there already; else return False.
            overwrite: replace the value of a key; else return False where it has one.
            append: the key is the largest so far, so it need not be searched for; with ``dupsort`` the value is the
                largest of its key.
            db: the database; None for the transaction's own.

        Returns:
            True if it was stored.

        Raises:
            MapFullError: the map is full; the transaction must be aborted.
            BadValsizeError: the key is empty or too long, or a ``dupsort`` value is too long.
            ReadonlyError: the transaction may not write.
            KeyExistsError: never; it is the return value False.
        """
        database = self._db if db is None else db
        flags = put_flags(database._flags, dupdata, overwrite, append)
        with self._lock:
            pinned = _memory.point_both(self._key, key, self._value, value)
            rc = self._lib.mdb_put(self._live(), self._dbi(database), self._key, self._value, flags)
            del pinned
            self._mutations += 1
        if rc:
            if rc == c.KEYEXIST:
                return False
            raise error("mdb_put", rc)
        return True

    def delete(self, key: Any, value: Any = b"", db: _Database | None = None) -> bool:
        """Delete a key.

        Args:
            key: bytes, or another contiguous buffer.
            value: with ``dupsort``, delete this value of the key alone; empty for all of them.
            db: the database; None for the transaction's own.

        Returns:
            True if something was deleted.
        """
        with self._lock:
            pinned = _memory.point_both(self._key, key, self._value, b"" if value is None else value)
            which = self._value if self._value.mv_size else ffi.NULL
            rc = self._lib.mdb_del(self._live(), self._dbi(db), self._key, which)
            del pinned
            self._mutations += 1
        if rc:
            if rc == c.NOTFOUND:
                return False
            raise error("mdb_del", rc)
        return True

    def drop(self, db: _Database, delete: bool = True) -> None:
        """Empty a database; with ``delete``, remove it and its handle too, and close its cursors in this transaction.

        The main database is never removed.
        """
        with self._lock:
            if rc := self._lib.mdb_drop(self._live(), self._dbi(db), delete):
                raise error("mdb_drop", rc)
            self._mutations += 1
            if delete and db._name is not None:
                self.env._forget([db])
                self._close_cursors(db)

    def _close_cursors(self, db: _Database) -> None:
        # LMDB would take the number that they keep for that of the next database opened.
        for dependent in self._living():
            if isinstance(dependent, Cursor) and dependent._db is db:
                dependent.close()
        if self._parent is not None:
            self._parent._close_cursors(db)

    def cursor(self, db: _Database | None = None) -> Cursor:
        """A cursor over a database; None for the transaction's own."""
        return Cursor(self._db if db is None else db, self)


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
