"""A transaction: a snapshot to read, or the one writer; and the cursors that live in it."""

from __future__ import annotations

import errno
import os
import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lmdb_bindings import _constants as c
from lmdb_bindings import _memory
from lmdb_bindings._abi import ffi
from lmdb_bindings._cursor import Cursor
from lmdb_bindings.errors import Error, error, gone

if TYPE_CHECKING:
    from lmdb_bindings._database import _Database
    from lmdb_bindings._environment import Environment


class Transaction:
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
        self._handle: Any = None
        self.env = env
        self._lib = env._engine.lib
        self._parent = parent
        self._write = bool(write)
        self._out = _memory.view if buffers else _memory.copy
        self._key = ffi.new("MDB_val *")
        self._value = ffi.new("MDB_val *")
        self._cursors: weakref.WeakSet[Cursor] = weakref.WeakSet()
        self._children: weakref.WeakSet[Transaction] = weakref.WeakSet()
        self._opened: list[bytes | None] = []
        # Counts writes: what a cursor last read may have moved since (lmdb.h: valid until the next update).
        self._mutations = 0
        if parent is not None:
            self._check_parent(parent)
        if write and env.readonly:
            raise error("Cannot start write transaction with read-only env", errno.EACCES)
        if write and parent is None:
            self._begin_writing()
        else:
            self._begin(env._live(), parent)
        self._db: Any = db if db is not None else env._databases.get(None)

    def _check_parent(self, parent: Transaction) -> None:
        if not parent._write:
            raise error("Read-only transactions cannot be nested.", errno.EINVAL)
        parent._live()
        if parent.env is not self.env:
            raise error("Parent transaction belongs to another environment.", errno.EINVAL)
        if not self._write and self.env._engine.name == "0.9":
            raise error("Read-only child transactions require the LMDB 1.0 engine.", errno.EINVAL)

    def _begin_writing(self) -> None:
        """Wait for the writers of this process here, where it can be seen who they are, and for others in LMDB."""
        env, me = self.env, threading.get_ident()
        with env._writer_left:
            while env._writer is not None:
                if env._writer == me:
                    raise error("Attempt to start a write transaction while another write transaction is active on the "
                                "same thread. This would deadlock.", errno.EBUSY)  # fmt: skip
                env._writer_left.wait()
            handle = env._live()
            env._writer = me
        try:
            self._begin(handle, None)
        except BaseException:
            self._leave()
            raise

    def _begin(self, environment: Any, parent: Transaction | None) -> None:
        env = self.env
        with env._lock if not self._write else _NOTHING:
            if not self._write and parent is None and env._spare:
                spare = env._spare.pop()
                if rc := self._lib.mdb_txn_renew(spare):
                    self._lib.mdb_txn_abort(spare)
                    raise error("mdb_txn_renew", rc)
                self._handle = spare
            else:
                handle = ffi.new("MDB_txn **")
                outer = ffi.NULL if parent is None else parent._live()
                if rc := self._lib.mdb_txn_begin(environment, outer, 0 if self._write else c.RDONLY, handle):
                    raise error("mdb_txn_begin", rc)
                self._handle = handle[0]
        env._transactions.add(self)
        if parent is not None:
            parent._children.add(self)

    def _live(self) -> Any:
        """The C handle, if the transaction is open."""
        if self._handle is None:
            raise gone()
        return self._handle

    def _dbi(self, db: _Database | None) -> Any:
        """The handle's number, if it is open and of this environment: a number of another would hit any database."""
        database = self._db if db is None else db
        if database._env is not self.env:
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
        self._live()
        self._close_dependents()
        if not self._write and self._keep():
            return
        handle, self._handle = self._handle, None
        rc = self._lib.mdb_txn_commit(handle)
        if rc:
            self._undo_opened()
        elif self._parent is not None:
            self._parent._opened += self._opened  # gone if an ancestor aborts
            self._parent._mutations += 1
        self._leave()
        if rc:
            raise error("mdb_txn_commit", rc)

    def abort(self) -> None:
        """Undo what was written, and end the transaction. Safe to call again."""
        if self._handle is None:
            return
        self._close_dependents()
        if not self._write and not self._opened and self._keep():
            return
        handle, self._handle = self._handle, None
        self._lib.mdb_txn_abort(handle)
        self._undo_opened()
        self._leave()

    def _close_dependents(self) -> None:
        for child in list(self._children):
            child.abort()
        for cursor in list(self._cursors):
            cursor.close()

    def _keep(self) -> bool:
        """Keep a finished read transaction for the next one, if the environment wants spare ones."""
        env = self.env
        with env._lock:
            if self._opened or self._parent is not None or len(env._spare) >= env._max_spare:
                return False
            self._lib.mdb_txn_reset(self._handle)
            env._spare.append(self._handle)
            self._handle = None
            env._transactions.discard(self)
            return True

    def _undo_opened(self) -> None:
        self.env._forget(self._opened)

    def _leave(self) -> None:
        env = self.env
        env._transactions.discard(self)
        if self._write and self._parent is None:
            with env._writer_left:
                env._writer = None
                env._writer_left.notify_all()

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.abort()

    def __del__(self) -> None:
        # Not in a child of fork(): the transaction is the parent's.
        if getattr(self, "_handle", None) is not None and self.env._pid == os.getpid():
            self.abort()

    # -- reading and writing -------------------------------------------------------------------------------------

    def id(self) -> int:
        """The transaction's number: for a read transaction that of the snapshot."""
        number: int = self._lib.mdb_txn_id(self._live())
        return number

    def stat(self, db: _Database | None = None) -> dict[str, int]:
        """Statistics of a database: psize (bytes), depth, branch_pages, leaf_pages, overflow_pages, entries."""
        from lmdb_bindings._environment import stat_dict

        result = ffi.new("MDB_stat *")
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
        pinned = _memory.point(self._key, key), _memory.point(self._value, value)
        flags = put_flags(database._flags, dupdata, overwrite, append)
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
        pinned = _memory.point(self._key, key), _memory.point(self._value, value or b"")
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
        """Empty a database; with ``delete``, remove it and its handle too."""
        if rc := self._lib.mdb_drop(self._live(), self._dbi(db), delete):
            raise error("mdb_drop", rc)
        self._mutations += 1
        if delete:
            for name, known in list(self.env._databases.items()):
                if known is db:
                    self.env._forget([name])

    def cursor(self, db: _Database | None = None) -> Cursor:
        """A cursor over a database; None for the transaction's own."""
        return Cursor(self._db if db is None else db, self)


class _Nothing:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_NOTHING = _Nothing()


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
