"""A transaction: a snapshot to read, or the one writer; and the cursors that live in it."""

from __future__ import annotations

import errno
import gc
from _thread import get_ident
from itertools import islice

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings import _constants as c
from lmdb_bindings import _fast, _memory, _plain
from lmdb_bindings._abi import ffi
from lmdb_bindings._cursor import Cursor, put_flags
from lmdb_bindings._generic import Generic, V
from lmdb_bindings._ownership import Owner, finalize
from lmdb_bindings._range import check_limit, range_of
from lmdb_bindings._scan import Scan
from lmdb_bindings._token import NO_WAYS, TOKEN, TokenLock
from lmdb_bindings._views import LiveViews, of_copy
from lmdb_bindings.errors import Error, ReadersFullError, error, gone, in_a_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Any, TypedDict, overload

    from typing_extensions import Buffer, Self, Unpack

    from lmdb_bindings._database import _Database
    from lmdb_bindings._environment import Environment, Stat
    from lmdb_bindings._generic import No, Pair, T, Yes

    class Within(TypedDict, total=False):
        """The arguments of :meth:`Transaction.scan` that its type does not depend on."""

        prefix: Buffer | None
        start: Buffer | None
        stop: Buffer | None
        include_start: bool
        include_stop: bool
        reverse: bool
        limit: int | None
        dups: bool


class Transaction(Owner, _fast.TransactionBase, Generic[V]):
    """A transaction. As a context manager it commits at the end of the block, and aborts if an exception leaves it.

    Args:
        env: the environment.
        db: the database that methods use where none is given; None for the main one.
        parent: the write transaction to nest in.
        write: may write. One write transaction exists at a time; others wait, in this and in other processes.
        buffers: give keys and values as read-only memoryviews: of the map in a read transaction, whose snapshot they
            keep, and of copies in a write transaction; False gives bytes.

    Raises:
        Error: a subclass by the return code; or this thread has a write transaction already.
        ReadonlyError: ``write`` in an environment that is read-only.
    """

    __slots__ = ("_bulk", "_dependents", "_finished", "_lib", "_opened", "_out", "_records", "_singles", "_thread")
    IN_PYTHON = (*__slots__, "_token")

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Transaction[bytes],
            env: Environment,
            db: _Database | None = None,
            parent: Transaction | None = None,
            write: bool = False,
            buffers: No = False,
        ) -> None: ...
        @overload
        def __init__(
            self: Transaction[memoryview],
            env: Environment,
            db: _Database | None,
            parent: Transaction | None,
            write: bool,
            buffers: Yes,
        ) -> None: ...
        @overload
        def __init__(
            self: Transaction[memoryview],
            env: Environment,
            db: _Database | None = None,
            parent: Transaction | None = None,
            write: bool = False,
            *,
            buffers: Yes,
        ) -> None: ...
        @overload
        def __init__(
            self,
            env: Environment,
            db: _Database | None = None,
            parent: Transaction | None = None,
            write: bool = False,
            buffers: bool = False,
        ) -> None: ...

    def __init__(
        self,
        env: Environment,
        db: _Database | None = None,
        parent: Transaction | None = None,
        write: bool = False,
        buffers: bool = False,
    ) -> None:
        self._belong(env)
        # Counts writes: what a cursor last read may have moved since (lmdb.h: valid until the next update).
        self._mutations = 0
        self._prepare(parent, write=bool(write), buffers=bool(buffers))
        env._live()
        self._generation = env._generation if parent is None else parent._generation
        if self._write and env.readonly:
            raise error("Cannot start write transaction with read-only env", errno.EACCES)
        if parent is not None:
            self._nest(parent)
        elif self._write:
            self._begin_writing()
        else:
            self._begin_reading()
        self._db = db if db is not None else env._main
        self._functions = 0 if self._buffers else env._functions
        with self._lock:
            if self._handle is not None:  # else another thread has closed the environment meanwhile
                self._address = _fast.address(self._handle)

    def _prepare(self, parent: Transaction | None, *, write: bool, buffers: bool) -> None:
        """Have what a transaction has in Python, but for LMDB's."""
        super().__init__()
        env = self.env
        self._handle = None
        self._lent = False  # a value is being written into a page, of which LMDB must not move any, see _reserve()
        self._lib = env._engine.lib
        self._parent = parent
        self._write = write
        self._thread = get_ident()
        self._buffers = buffers
        self._views = None
        self._snapshot = None  # where records of tables are read in place: see tables._snapshot
        self._out: Callable[[Any], V] = self._reader()
        self._opened: list[_Database] = []
        self._finished: list[tuple[Callable[[Any], int | None], Any]] = []
        self._empty = False  # whether prepare() has ended it, with nothing to commit
        self._iterating = False  # whether an iteration may be ahead of a cursor of this transaction
        self._records = _plain if self._buffers else env._engine.records
        self._bulk = env._engine.bulk
        # Single records with little between Python and LMDB, where built-in methods do not do without Python at all.
        self._singles: Any = None if env._is_short() else self._bulk
        self._direct = None
        # Held by every call in the transaction, in those nested in it, and by their cursors: so another thread that
        # closes the environment waits for the end of the call, and threads may share a read transaction.
        lock = TokenLock() if parent is None else parent._lock
        self._token = lock.token
        self._lock = lock

    def _awake(self) -> tuple[Transaction[Any], Environment, Any]:
        """What a transaction lacks that a built-in method has begun: all in another, what it lives in, and the handle.
        See ``_fast``.
        """
        model: Transaction[Any] = Transaction.__new__(Transaction)
        model._belong(self.env)
        model._prepare(None, write=False, buffers=False)
        return model, self.env, ffi.cast("MDB_txn *", self._address)

    def _reader(self) -> Callable[[Any], Any]:
        """What makes a Python object of an ``MDB_val``."""
        if not self._buffers:
            return _memory.copy
        if self._write or self._parent is not None or self.env._remapped:
            return of_copy
        self._views = LiveViews()
        return self._views.make

    def _let_views_be_copies(self) -> None:
        """Before a database is opened in it: what LMDB thinks of the handle is settled by the end of the transaction,
        which must not wait for views.
        """
        if self._snapshot is not None:
            raise Error("A table was bound to this transaction to read records in place, so no database can be opened "
                        "in it: open tables and databases before.")  # fmt: skip
        if self._views is None:
            return
        if self._views:
            gc.collect()  # some may be garbage
            if self._views:
                raise Error(
                    "Memoryviews of this transaction are alive, so no database can be opened in it: let go of them, or "
                    "open databases before."
                )
        self._views.copy_from_now_on()

    def _nest(self, parent: Transaction) -> None:
        if not parent._write:
            raise error("Read-only transactions cannot be nested.", errno.EINVAL)
        if parent.env is not self.env:
            raise error("Parent transaction belongs to another environment.", errno.EINVAL)
        if not self._write and self.env._engine.name == "0.9":
            raise error("Read-only child transactions require the LMDB 1.0 engine.", errno.EINVAL)
        with self._lock:
            parent._settle()
            self._lock.ways = NO_WAYS
            self._handle = self._begin(parent._live())
            parent._adopt(self)

    def _begin_writing(self) -> None:
        env, access = self.env, self.env._access
        if env._orphans:
            env._end_orphans()
        access.take_turn()
        try:
            with access:
                self._handle = self._begin(ffi.NULL)
                env._adopt(self)
        except BaseException:
            handle, self._handle = self._handle, None
            if handle is not None:
                self._lib.mdb_txn_abort(handle)
            access.pass_turn()
            raise

    def _begin_reading(self) -> None:
        env = self.env
        with env._access:
            env._live()
            handle = self._spare() if env._spare else None
            if handle is None:
                handle = self._begin_snapshot()
            self._handle = handle
            env._adopt(self)

    def _spare(self) -> Any:
        """A finished read transaction of LMDB's, begun again; None where another thread was faster."""
        try:
            handle = ffi.cast("MDB_txn *", self.env._spare.pop())
        except IndexError:
            return None
        if rc := self._lib.mdb_txn_renew(handle):
            self._lib.mdb_txn_abort(handle)
            raise error("mdb_txn_renew", rc)
        return handle

    def _begin_snapshot(self) -> Any:
        try:
            return self._begin(ffi.NULL)
        except ReadersFullError:
            gc.collect()  # views may be garbage, and have the slots of their snapshots
            return self._begin(ffi.NULL)

    def _begin(self, parent: Any) -> Any:
        handle = ffi.new("MDB_txn **")
        try:
            rc = self._lib.mdb_txn_begin(self.env._live(), parent, 0 if self._write else c.RDONLY, handle)
        except BaseException:  # of a handler of a signal, when LMDB had begun it
            if handle[0] != ffi.NULL:
                self._lib.mdb_txn_abort(handle[0])
            raise
        if rc:
            raise error("mdb_txn_begin", rc)
        return handle[0]

    def _top(self) -> Transaction:
        """The transaction that it is nested in, directly or not, or itself."""
        return self if self._parent is None else self._parent._top()

    def _live(self) -> Any:
        """The C handle, if the transaction is open."""
        if self._handle is None:
            raise self._at_work() if self._lent else gone()
        return self._handle

    def _dbi(self, db: _Database | None) -> Any:
        """The handle's number, if it is open and of this environment: a number of another would hit any database."""
        database = self._db if db is None else db
        if database._env() is not self.env:
            raise Error("Database handle belongs to another environment.")
        if database._dbi < 0:
            raise error("Attempt to operate on closed/deleted/dropped object.", errno.EINVAL)
        return database._dbi

    def _direct_to(self, database: _Database) -> None:
        """Let single records of a database go with little between Python and LMDB from now on."""
        if self._singles is None or self._buffers or database._flags & c.INTEGERKEY or self.env._remapped:
            return
        if self._direct is None:
            self._direct = self._singles.direct()
            self._direct.begin(self._live())
        self._direct.use(database)
        if self._lock.may_go_direct():
            self._lock.ways = (*self._direct.ways(), self._direct)

    def _end_direct(self) -> None:
        self._address = 0
        direct, self._direct, self._lock.ways = self._direct, None, NO_WAYS
        if direct is not None:
            direct.end()
            self._singles.put_back(direct)

    def _bulk_of(self, dbi: int) -> Any:
        """What the bulk library calls this transaction and a database, for many records."""
        bulk = ffi.new("lmdb_bulk *")
        bulk.engine, bulk.txn, bulk.dbi = self._bulk.engine, self._live(), dbi
        return bulk

    def _forget(self, database: _Database) -> None:
        """A database handle is closed: no single record may go by it, here and in what is nested here. Without the
        lock, since two transactions may do this to each other.
        """
        direct = self._direct  # another thread may be ending this transaction
        if direct is not None and direct.database is database:
            direct.forget()
            self._lock.ways = NO_WAYS
        for dependent in self._living():
            if isinstance(dependent, Transaction):
                dependent._forget(database)

    def _writing(self) -> None:
        """Before each write: nothing may be ahead of it, and what was read before it may move."""
        self._refuse_in_a_call()
        if self._iterating:
            self._settle()
        self._mutations += 1

    @staticmethod
    def _at_work() -> Error:
        return Error("A value is being written into a page of this transaction: until that is done, it cannot be used.")

    def _refuse_in_a_call(self) -> None:
        """Before a write or an end: not in the middle of what goes on with what was there."""
        if self._lent:
            raise self._at_work()
        if self._lock.is_within():
            raise in_a_call()

    def _settle(self) -> None:
        """Let no iteration be ahead of its cursor."""
        self._iterating = False
        for dependent in self._living():
            if isinstance(dependent, Cursor) and dependent._handle is not None:
                dependent._settle()

    # -- the end -------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make what was written permanent, and end the transaction.

        Raises:
            Error: the write failed; the transaction is aborted. Or it is a write transaction of another thread.
        """
        with self._lock:
            self._refuse_in_a_call()
            if self._empty:
                self._empty = False  # prepare() has found nothing to commit
                return
            self._live()
            self._refuse_strangers()
            self._end_dependents()
            if self._keep():
                return
            try:  # a handler of a signal may raise when LMDB has done it
                rc = self._finish(self._lib.mdb_txn_commit)
                if rc:
                    self.env._forget(self._opened)
                elif self._parent is not None:
                    self._parent._opened += self._opened  # gone if an ancestor aborts
                    self._parent._mutations += 1
            finally:
                self._leave()
        if rc:
            raise error("mdb_txn_commit", rc)

    def prepare(self) -> None:
        """Write and flush everything, so that :meth:`commit` has only to make it valid: the first phase of a commit in
        two phases. From then on the transaction can be committed or aborted, and nothing else. Of LMDB 1.0.

        Raises:
            Error: the write failed; the transaction is aborted. Or the engine is 0.9.
            InvalidParameterError: it is a read-only or a nested transaction.
        """
        with self._lock:
            self._refuse_in_a_call()
            handle = self._live()
            self.env._require_1_0("prepare()")
            if not self._write or self._parent is not None:
                raise error("prepare() is for write transactions that are not nested", errno.EINVAL)
            self._refuse_strangers()
            self._end_dependents()
            if not (self._mutations or self._opened) and self.env._engine.library.origin in ("system", "override"):
                # Without the provider's fix, LMDB ends a transaction that has nothing to write, and frees it twice.
                raise error("prepare() of a transaction that has written nothing", errno.EINVAL)
            self._end_direct()
            if rc := self._lib.mdb_txn_prepare(handle):
                if rc != c.TXN_PENDING:
                    self._handle = None  # it has been freed
                    self.env._forget(self._opened)
                    self._leave()
                raise error("mdb_txn_prepare", rc)
            # LMDB ends a transaction whose writes have changed nothing; it tells by another error of any operation.
            if self._lib.mdb_stat(handle, 1, ffi.new("MDB_stat *")) == errno.EINVAL:
                self._handle, self._empty = None, True
                self._leave()

    def abort(self) -> None:
        """Undo what was written, and end the transaction. Safe to call again.

        Raises:
            Error: it is a write transaction of another thread.
        """
        with self._lock:
            self._refuse_in_a_call()
            if self._handle is not None:
                self._refuse_strangers()
            self._end()

    def _end_by_owner(self) -> None:
        """The environment ends it, from whatever thread."""
        with self._lock:
            self._end()

    def _refuse_strangers(self) -> None:
        # LMDB's writer lock is a mutex that only the thread that has it can give back.
        if self._write and self._parent is None and get_ident() != self._thread:
            raise Error("A write transaction must end in the thread that began it.")

    def _end(self) -> None:
        if self._lent:
            raise self._at_work()
        if self._handle is None:
            return
        self._end_dependents()
        if self._keep():
            return
        try:
            self._finish(self._lib.mdb_txn_abort)
            self.env._forget(self._opened)
        finally:
            self._leave()

    def _end_dependents(self) -> None:
        self._end_lights()
        if self._lock.left:
            self._lock.finish()
        for dependent in self._living():
            dependent._end()

    def _finish(self, function: Callable[[Any], int | None]) -> int | None:
        """Commit or abort in LMDB."""
        self._end_direct()
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
        """Leave LMDB's transaction to the views of it, or keep it as a spare one; False where neither is wanted."""
        self._end_direct()
        env = self.env
        self._close_windows()
        if self._views:
            handle, self._handle = self._handle, None
            env._pin(handle, self._views)
            env._release(self)
            return True
        if self._write or self._opened or self._parent is not None or len(env._spare) >= env._max_spare:
            return False
        self._lib.mdb_txn_reset(self._handle)
        env._spare.append(_fast.address(self._handle))
        self._handle = None
        env._release(self)
        return True

    def _view(self, value: Any) -> memoryview:
        """A view of what an ``MDB_val`` names, in place, as ``buffers=True`` gives it."""
        if self._views is None:
            self._views = LiveViews()
        return self._views.make(value)

    def _close_windows(self) -> None:
        """Let nobody read records in place from now on; what cannot be taken back counts as views."""
        snapshot, self._snapshot = self._snapshot, None
        for exporter in () if snapshot is None else snapshot.close():
            if self._views is None:
                self._views = LiveViews()
            self._views.watch(exporter)

    def _leave(self) -> None:
        """Let the environment know that it has ended. Done again where a handler of a signal raises in the middle."""
        try:
            self._leave_once()
        except BaseException:
            self._leave_once()
            raise

    def _leave_once(self) -> None:
        if self._parent is not None:
            self._parent._release(self)
            return
        self.env._settle_handles(self)
        if self._write:
            self.env._access.pass_turn(self._thread)
        self.env._release(self)

    def __enter__(self) -> Self:
        self._live()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._handle is not None:
            self.commit()
        else:
            self.abort()

    def _disown(self) -> None:
        super()._disown()
        self._close_windows()
        self._lock, self._handle, self._direct, self._address = TokenLock(), None, None, 0
        self._token = self._lock.token

    def __reduce__(self) -> str:
        raise TypeError("a transaction cannot be pickled: it is a state of this process; pickle its environment")

    def __del__(self) -> None:
        if self._light:
            _fast.wake(self)  # which was begun, and interrupted by the handler of a signal
        if getattr(self, "_handle", None) is None:
            return
        if self._write and self._parent is None and get_ident() != self._thread:
            # Only its thread can give LMDB's writer lock back: it does so when it writes next, or closes.
            self.env._orphans.append(self)
            import warnings

            warnings.warn(f"a write transaction of thread {self._thread} was left to the collector", ResourceWarning,
                          source=self, stacklevel=1)  # fmt: skip
            return
        finalize(self._abandon, self._lock, self.env._pid)

    # -- reading and writing -------------------------------------------------------------------------------------

    def id(self) -> int:
        """The transaction's number: for a read transaction that of the snapshot."""
        with self._lock:
            number: int = self._lib.mdb_txn_id(self._live())
            return number

    def address(self) -> int:
        """Where LMDB's ``MDB_txn`` is: for native code of this process that reads in it, while the transaction is open.

        Whoever writes in it from there, moves pages under views of Python.
        """
        with self._lock:
            return int(ffi.cast("uintptr_t", self._live()))

    def stat(self, db: _Database | None = None) -> Stat:
        """Statistics of a database: psize (bytes), depth, branch_pages, leaf_pages, overflow_pages, entries."""
        from lmdb_bindings._environment import stat_dict

        result = ffi.new("MDB_stat *")
        with self._lock:
            if rc := self._lib.mdb_stat(self._live(), self._dbi(db), result):
                raise error("mdb_stat", rc)
        return stat_dict(result)

    if TYPE_CHECKING:

        @overload
        def get(self, key: Buffer, default: None = None, db: _Database | None = None) -> V | None: ...
        @overload
        def get(self, key: Buffer, default: T, db: _Database | None = None) -> V | T: ...

    def get(self, key: Buffer, default: Any = None, db: _Database | None = None) -> Any:
        """The value of a key, the first one where it has several.

        Args:
            key: bytes, or another contiguous buffer.
            default: what to return where there is no such key.
            db: the database; None for the transaction's own.

        Raises:
            BadValsizeError: the key is empty.
        """
        database = self._db if db is None else db
        lock = self._lock  # which wakes what is light, see _fast
        token = lock.token
        try:
            del token[0]  # the lock, see _token
            held = True
            try:
                look_up, _, bulk, copied, pointed_at, whose = lock.ways
                if whose is self._direct and pointed_at is database and type(key) is bytes:
                    size = look_up(bulk, key, len(key))
                    if 0 <= size <= COPIED:
                        return copied[:size]
                    return _memory.copy(bulk.value) if size > 0 else _missing(size, default)
            finally:
                held = False  # noqa: F841 (see _token)
                token += TOKEN
        except IndexError:  # somebody has it
            pass
        return self._get(key, default, database)

    def _get(self, key: Any, default: Any, database: _Database) -> Any:
        # Not the transaction's: a handler of a signal, a finalizer, or a key that is no bytes, may get something else
        # in the middle of this.
        wanted, found = ffi.new("MDB_val *"), ffi.new("MDB_val *")
        with self._lock:
            pinned = _memory.point(wanted, key)
            handle, dbi = self._live(), self._dbi(database)
            database._check(wanted)
            rc = self._lib.mdb_get(handle, dbi, wanted, found)
            del pinned
            if rc and rc != c.NOTFOUND:
                raise error("mdb_get", rc)
            self._direct_to(database)
            return default if rc else self._out(found)

    def put(
        self,
        key: Buffer,
        value: Buffer,
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
        if not (dupdata and overwrite and not append):
            return self._put(key, value, put_flags(database._flags, dupdata, overwrite, append), database)
        lock = self._lock  # likewise
        token = lock.token
        try:
            del token[0]  # the lock, see _token
            held = True
            try:
                _, store, bulk, _, pointed_at, whose = lock.ways
                if whose is self._direct and pointed_at is database and type(key) is bytes is type(value):
                    if self._iterating:
                        self._settle()
                    self._mutations += 1
                    if rc := store(bulk, key, len(key), value, len(value)):
                        raise error("mdb_put", rc)
                    return True
            finally:
                held = False  # noqa: F841 (see _token)
                token += TOKEN
        except IndexError:  # somebody has it
            pass
        return self._put(key, value, 0, database)

    def _put(self, key: Any, value: Any, flags: int, database: _Database) -> bool:
        into, stored = ffi.new("MDB_val *"), ffi.new("MDB_val *")  # see _get
        with self._lock:
            pinned = _memory.point_both(into, key, stored, value)
            handle, dbi = self._live(), self._dbi(database)
            database._check(into)
            self._writing()
            rc = self._lib.mdb_put(handle, dbi, into, stored, flags)
            del pinned
            if rc == 0:
                self._direct_to(database)
                return True
        if rc == c.KEYEXIST:
            return False
        raise error("mdb_put", rc)

    def _reserve(
        self, key: bytes, size: int, write: Callable[[memoryview], None], *, overwrite: bool, db: _Database
    ) -> bool:
        """Store a value by a function that writes it straight into the page (``MDB_RESERVE``).

        Not public: the memory is LMDB's again when this returns, and nothing takes it from who has kept a part of it.

        Args:
            key: exact bytes.
            size: of the value, in bytes.
            write: what writes all of it, into a memoryview of this size. Neither that, nor whatever comes in between (a
                handler of a signal, a finalizer), can write in the transaction meanwhile, or end it: an Error.
            overwrite: see :meth:`put`.
            db: a database without ``dupsort``.

        Returns:
            True if it was stored.

        Raises:
            BufferError: ``write`` has kept a part of the view; the transaction is aborted, as it is where ``write``
                raises, since what was there before is gone.
        """
        with self._lock:
            handle, dbi = self._live(), self._dbi(db)
            self._writing()
            failed = False
            into, room = ffi.new("MDB_val *"), ffi.new("MDB_val *")
            try:
                self._handle, self._lent = None, True
                pinned = _memory.point(into, key)
                room.mv_size = size
                failed = True
                rc = self._lib.mdb_put(handle, dbi, into, room, c.RESERVE | c.NOOVERWRITE * (not overwrite))
                del pinned
                if rc == 0:
                    _memory.lend(room, write)
                failed = False
            finally:
                self._handle, self._lent = handle, False
                if failed:
                    self._end()
            if rc not in (0, c.KEYEXIST):
                raise error("mdb_put", rc)
        return bool(rc == 0)

    def delete(self, key: Buffer, value: Buffer | None = b"", db: _Database | None = None) -> bool:
        """Delete a key.

        Args:
            key: bytes, or another contiguous buffer.
            value: with ``dupsort``, delete this value of the key alone; empty for all of them.
            db: the database; None for the transaction's own.

        Returns:
            True if something was deleted.
        """
        wanted, which = ffi.new("MDB_val *"), ffi.new("MDB_val *")  # see _get
        with self._lock:
            pinned = _memory.point_both(wanted, key, which, b"" if value is None else value)
            handle, dbi = self._live(), self._dbi(db)
            (self._db if db is None else db)._check(wanted)
            self._writing()
            rc = self._lib.mdb_del(handle, dbi, wanted, which if which.mv_size else ffi.NULL)
            del pinned
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
            self._refuse_in_a_call()
            self._writing()
            if rc := self._lib.mdb_drop(self._live(), self._dbi(db), delete):
                raise error("mdb_drop", rc)
            if delete and db._name is not None:
                self.env._forget([db])
                self._close_cursors(db)

    def _close_cursors(self, db: _Database) -> None:
        # LMDB would take the number that they keep for that of the next database opened.
        self._end_lights(db)
        for dependent in self._living():
            if isinstance(dependent, Cursor) and dependent.db is db:
                dependent.close()
        if self._parent is not None:
            self._parent._close_cursors(db)

    def replace(self, key: Buffer, value: Buffer, db: _Database | None = None) -> bytes | None:
        """Store a value, and return the one that was there, or None; of a ``dupsort`` key all values go."""
        with self.cursor(db) as cursor:
            return cursor.replace(key, value)

    def pop(self, key: Buffer, db: _Database | None = None) -> bytes | None:
        """Delete the first value of a key, and return it, or None where there is no such key."""
        with self.cursor(db) as cursor:
            return cursor.pop(key)

    def cursor(self, db: _Database | None = None) -> Cursor[V]:
        """A cursor over a database; None for the transaction's own."""
        return Cursor(self._db if db is None else db, self)

    # -- many at once --------------------------------------------------------------------------------------------

    if TYPE_CHECKING:

        @overload
        def scan(
            self, db: _Database | None = None, *, keys: Yes = True, values: Yes = True, **within: Unpack[Within]
        ) -> Scan[Pair[V]]: ...
        @overload
        def scan(
            self, db: _Database | None = None, *, keys: No, values: Yes = True, **within: Unpack[Within]
        ) -> Scan[V]: ...
        @overload
        def scan(
            self, db: _Database | None = None, *, keys: Yes = True, values: No, **within: Unpack[Within]
        ) -> Scan[V]: ...
        @overload
        def scan(
            self, db: _Database | None = None, *, keys: bool = True, values: bool = True, **within: Unpack[Within]
        ) -> Scan[Any]: ...

    def scan(
        self,
        db: _Database | None = None,
        *,
        prefix: Buffer | None = None,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        include_start: bool = True,
        include_stop: bool = False,
        reverse: bool = False,
        limit: int | None = None,
        keys: bool = True,
        values: bool = True,
        dups: bool = True,
    ) -> Scan[Any]:
        """The records of a range of keys, to iterate over, or to export; nothing is read before that.

        Args:
            db: the database; None for the transaction's own.
            prefix: keys that begin with this.
            start: keys not less than this.
            stop: keys less than this.
            include_start: take in the key ``start`` itself.
            include_stop: take in the key ``stop`` itself.
            reverse: from the last record of the range to the first.
            limit: so many records at most.
            keys: give keys.
            values: give values; with both, pairs.
            dups: of a ``dupsort`` key give every value; else one, the first, or in reverse the last.

        Raises:
            TypeError: a bound is no bytes-like object.
            ValueError: neither keys nor values are asked for, ``limit`` is negative, or ``prefix`` is given for a
                ``reverse_key`` or ``integerkey`` database.
        """
        database = self._db if db is None else db
        flags = b.REVERSE * bool(reverse) | b.NODUP * (not dups)
        within = range_of(database._flags, prefix, start, stop, include_start=include_start, include_stop=include_stop,
                          flags=flags)  # fmt: skip
        return Scan(self, database, within, keys=keys, values=values, limit=limit)

    if TYPE_CHECKING:

        @overload
        def getmany(
            self, keys: Iterable[Buffer], default: None = None, db: _Database | None = None
        ) -> list[V | None]: ...
        @overload
        def getmany(self, keys: Iterable[Buffer], default: T, db: _Database | None = None) -> list[V | T]: ...

    def getmany(self, keys: Iterable[Buffer], default: Any = None, db: _Database | None = None) -> list[Any]:
        """The values of many keys, in their order, ``default`` where there is no such key.

        Args:
            keys: bytes, or other contiguous buffers.
            default: what stands for a missing key.
            db: the database; None for the transaction's own.

        Raises:
            BadValsizeError: a key is empty; ``record`` says which, from 0.
        """
        wanted = list(keys)  # here: it may wait for another thread
        database = self._db if db is None else db
        with self._lock:
            self._live()
            database._check_many(wanted)
            found: list[Any] = self._records.get_many(self, self._dbi(database), wanted, b.VALUES, b.MISSING)
        return found if default is None else [default if value is None else value for value in found]

    def putmany(
        self,
        items: Iterable[tuple[Buffer, Buffer]],
        dupdata: bool = True,
        overwrite: bool = True,
        append: bool = False,
        db: _Database | None = None,
    ) -> int:
        """Store many records.

        Args:
            items: pairs of key and value, exact tuples.
            dupdata: see :meth:`put`.
            overwrite: see :meth:`put`.
            append: the records are sorted, and come behind all that are there, so their places need not be searched.
            db: the database; None for the transaction's own.

        Returns:
            How many were stored; the others are there already (``dupdata``, ``overwrite``).

        Raises:
            Error: LMDB's, with the number of the record, from 0, as ``record``; those before it are stored.
            KeyExistsError: with ``append`` a record is not in order; likewise.
        """
        database = self._db if db is None else db
        _, added = self._put_many(items, database, put_flags(database._flags, dupdata, overwrite, append), None)
        return added

    def _put_many(
        self,
        items: Iterable[tuple[Any, Any]],
        database: _Database,
        flags: int,
        last: Callable[[tuple[Any, Any]], None] | None,
    ) -> tuple[int, int]:
        """Store many records: how many were taken, and how many stored. With ``last``, which is told of the last
        record of each batch, those that are not in order are left out.
        """
        source, taken, added = iter(items), 0, 0
        interruption: BaseException | None = None
        while interruption is None:
            batch: list[Any] = []
            try:  # outside the lock: it may wait for another thread
                batch += islice(source, _SAMPLE)
                if len(batch) == _SAMPLE:
                    alike = _BATCH_BYTES // (64 + len(batch[-1][0]) + len(batch[-1][1]))
                    batch += islice(source, min(alike, _BATCH - _SAMPLE))
            except BaseException as raised:  # noqa: BLE001 (raised again, after what came before it)
                interruption = raised
            if not batch:
                break
            with self._lock:
                self._live()
                dbi = self._dbi(database)
                database._check_many(pair[0] for pair in batch)
                self._writing()
                done, stored, problem = self._records.put_many(self, dbi, batch, flags, lenient=last is not None)
                taken, added = taken + done, added + stored
                if done and last is not None and problem is None:
                    last(batch[done - 1])
            if problem is not None:
                if isinstance(problem, Error):
                    problem.record = taken
                raise problem
        if interruption is not None:
            raise interruption
        return taken, added

    def count_range(
        self,
        db: _Database | None = None,
        *,
        prefix: Buffer | None = None,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        include_start: bool = True,
        include_stop: bool = False,
        dups: bool = True,
    ) -> int:
        """How many records a range of keys has; the arguments are those of :meth:`scan`. It looks at every key."""
        database = self._db if db is None else db
        within = range_of(database._flags, prefix, start, stop, include_start=include_start, include_stop=include_stop,
                          flags=b.NODUP * (not dups))  # fmt: skip
        with self._lock:
            self._live()
            count: int = self._records.count_range(self, self._dbi(database), within)
        return count

    def delete_range(
        self,
        db: _Database | None = None,
        *,
        prefix: Buffer | None = None,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        include_start: bool = True,
        include_stop: bool = False,
        limit: int | None = None,
    ) -> int:
        """Delete the records of a range of keys; the arguments are those of :meth:`scan`, but ``limit`` counts keys,
        each of which goes with all its values.

        Returns:
            How many records went.

        Raises:
            Error: LMDB's, with the number of records that went before it as ``record``.
            IncompatibleError: a named database stands in the range; the transaction must be aborted.
        """
        database = self._db if db is None else db
        within = range_of(database._flags, prefix, start, stop, include_start=include_start, include_stop=include_stop)
        check_limit(limit)
        with self._lock:
            self._live()
            dbi = self._dbi(database)
            self._writing()
            count, problem = self._records.delete_range(self, dbi, within, limit)
        if problem is not None:
            problem.record = count
            raise problem
        number: int = count
        return number


def _missing(code: int, default: Any) -> Any:
    """``default`` for a key that is not there; raises what else ``lmdb_bulk_get`` returned."""
    if code == c.NOTFOUND:
        return default
    raise error("mdb_get", code if code < _ERRNOS else -code)


COPIED = 4096
"""Bytes of a value that ``lmdb_bulk_get`` copies; a larger one is taken from the map."""

_ERRNOS = -30000
"""Above it, what ``lmdb_bulk_get`` returns below 0 is an errno, negated."""

_BATCH = 1000
"""Records that are taken from an iterable at once, at most."""

_SAMPLE = 16
"""Records that are taken first, to see how large they are."""

_BATCH_BYTES = 1 << 22
"""Bytes that the others have, if all are like the last of these."""

_fast.install(Transaction)
