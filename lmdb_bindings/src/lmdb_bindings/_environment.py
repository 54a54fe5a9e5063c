"""An LMDB environment: its files, its options, and the transactions that are open in it."""

from __future__ import annotations

import gc
import os
import sys
from _thread import RLock, get_ident
from itertools import count

from lmdb_bindings import _constants as c
from lmdb_bindings import _fast, _pages, _registry, _selection
from lmdb_bindings._abi import ffi
from lmdb_bindings._access import Access
from lmdb_bindings._database import CLOSED, _Database
from lmdb_bindings._ownership import Owner, finalize
from lmdb_bindings._token import TokenLock
from lmdb_bindings._transaction import Transaction
from lmdb_bindings._views import LiveViews
from lmdb_bindings.errors import (
    DbsFullError,
    Error,
    IncompatibleError,
    NotFoundError,
    error,
    gone,
)
from lmdb_bindings.errors import MemoryError as OutOfMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Literal, TypedDict, overload

    from typing_extensions import Self

    from lmdb_bindings._generic import No, T, V, Yes

    class Stat(TypedDict):
        """What :meth:`Environment.stat` and :meth:`Transaction.stat` give."""

        psize: int
        depth: int
        branch_pages: int
        leaf_pages: int
        overflow_pages: int
        entries: int

    class Info(TypedDict):
        """What :meth:`Environment.info` gives."""

        map_addr: int
        map_size: int
        last_pgno: int
        last_txnid: int
        max_readers: int
        num_readers: int

    class Flags(TypedDict):
        """What :meth:`Environment.flags` gives."""

        subdir: bool
        readonly: bool
        metasync: bool
        sync: bool
        map_async: bool
        readahead: bool
        writemap: bool
        meminit: bool
        lock: bool


_numbers = count(1)

_CROWD = 32
"""Snapshots left to views from which on one looks whether the views are garbage."""

# Each option of Environment(): the flag it stands for, and the value of the option that sets the flag.
_FLAGS = {
    "subdir": (c.NOSUBDIR, False),
    "readonly": (c.RDONLY, True),
    "metasync": (c.NOMETASYNC, False),
    "sync": (c.NOSYNC, False),
    "map_async": (c.MAPASYNC, True),
    "readahead": (c.NORDAHEAD, False),
    "writemap": (c.WRITEMAP, True),
    "meminit": (c.NOMEMINIT, False),
    "lock": (c.NOLOCK, False),
}


class Environment(Owner, _fast.EnvironmentBase):
    """An environment: one or more databases in one file, open in this process.

    Args:
        path: the folder of the environment, or with ``subdir=False`` its data file.
        map_size: the size in bytes up to which the data file may grow; ``"auto"`` takes address space for 1 TiB, or as
            much as the process can have, of which only what is used is ever backed by memory or disk. With
            ``writemap=True`` the file has that size at once, so then it is 1 GiB, or twice the file.
        subdir: ``path`` is a folder that holds ``data.mdb`` and ``lock.mdb``.
        readonly: refuse write transactions; the lock file must still be writable unless ``lock=False``.
        metasync: flush the meta page at each commit; without, a crash of the system may undo the last transaction.
        sync: flush data at each commit; without, a crash of the system may destroy the file.
        map_async: with ``writemap=True``, let the system flush when it likes.
        mode: permissions of the files that are made, without the execute bits.
        create: make the folder if it does not exist.
        readahead: let the system read ahead; turn it off for random reads of a file larger than memory.
        writemap: write through the map; faster, and a stray write elsewhere in the process can destroy the file.
        meminit: clear new pages before they are written.
        max_readers: how many read transactions may be open at once, in all processes.
        max_dbs: how many named databases may be open at once.
        max_spare_txns: how many finished read transactions are kept for the next :meth:`begin`.
        lock: lock the files; without, the caller must keep writers apart and readers away from them.
        lib_version: LMDB's major version, 0 (engine 0.9) or 1 (engine 1.0); None chooses by the data format of the
            file, and for a new file the default engine, or 1.0 where one of the options below is given.
        page_size: of LMDB 1.0: the size of the pages of a new environment, a power of two from 256 to 65536 bytes.
        checksum: of LMDB 1.0: give each page a checksum, and verify it when it is read: ``"crc32c"`` (4 bytes, against
            accidents) or ``"blake2b"`` (32 bytes). An environment made with it must always be opened with it.
        encryption_key: of LMDB 1.0: 32 bytes; encrypt and authenticate each page but the two meta pages
            (XChaCha20 and BLAKE2b, see ``lmdb_pages.h``). See :func:`key_from_passphrase`.
        previous_snapshot: of LMDB 1.0, with ``readonly=True``: open the state before the last commit.

    Raises:
        ValueError: an option has a value that cannot be, or two options exclude each other.
        Error: a subclass by the return code; or the environment is open in this process already.
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        map_size: int | Literal["auto"] = 10485760,
        subdir: bool = True,
        readonly: bool = False,
        metasync: bool = True,
        sync: bool = True,
        map_async: bool = False,
        mode: int = 0o755,
        create: bool = True,
        readahead: bool = True,
        writemap: bool = False,
        meminit: bool = True,
        max_readers: int = 126,
        max_dbs: int = 0,
        max_spare_txns: int = 0,
        lock: bool = True,
        lib_version: int | None = None,
        *,
        page_size: int | None = None,
        checksum: str | None = None,
        encryption_key: bytes | None = None,
        previous_snapshot: bool = False,
    ) -> None:
        if "_options" in vars(self):
            raise Error("An environment is opened once: make another.")
        super().__init__()
        self._options: dict[str, Any] = dict(
            path=os.path.abspath(os.fsdecode(path)), map_size=map_size, subdir=subdir, readonly=readonly,
            metasync=metasync, sync=sync, map_async=map_async, mode=mode, create=create, readahead=readahead,
            writemap=writemap, meminit=meminit,
            max_readers=max_readers, max_dbs=max_dbs, max_spare_txns=max_spare_txns, lock=lock, lib_version=lib_version,
            page_size=page_size, checksum=checksum, encryption_key=encryption_key, previous_snapshot=previous_snapshot,
        )  # fmt: skip
        if isinstance(map_size, str) and map_size != "auto":
            raise TypeError(f"map_size={map_size!r}: a number of bytes, or 'auto'")
        of_1_0 = _pages.check(self._options)
        # Pages are mapped in chunks, which LMDB may give back between two calls: nothing may point into them.
        self._remapped = checksum is not None or encryption_key is not None
        self._beyond_memory = not readahead  # so that reading may wait for the disk
        self.readonly = bool(readonly)
        self._path: str = os.fsdecode(path)
        self._number = next(_numbers)
        self._handle: Any = None
        self._inherited = False
        self._shares = 1
        self._max_spare = max_spare_txns
        self._databases: dict[bytes | None, _Database] = {}
        self._snapshots: set[Any] = set()  # transactions that wait for the last of their views
        self._crowd = _CROWD
        self._lingering: Any = None  # the C object, closed for its users, while there are such
        self._start_afresh()
        if create and subdir and not readonly:
            try:  # noqa: SIM105 (contextlib would cost the import milliseconds)
                os.mkdir(self._path, mode)
            except FileExistsError:
                pass
        with _registry.lock:
            if self._is_open_already():
                raise Error(f"The environment {self._path!r} is already open in this process.")
            data_file = self._files()[0]
            self._engine = _selection.choose(data_file, lib_version, of_1_0=of_1_0)
            if of_1_0:
                self._require_1_0("page_size, checksum, encryption_key and previous_snapshot")
            self._open()

    def _start_afresh(self) -> None:
        """Have locks that nobody holds, and nothing that is open."""
        self._pid = os.getpid()
        self._access = Access(self._end_orphans, self._is_writing, self._is_in_a_call)
        self._naming = RLock()  # mdb_dbi_open must not be called by two transactions of a process at once
        self._last_views = TokenLock()  # held where a snapshot is left to its views, and where they let go
        self._address = self._functions = 0
        self._spare = []
        self._doors = self._access.doors
        self._orphans: list[Transaction] = []  # write transactions that the collector found in another thread
        # mdb_dbi_open takes the first number that is free as its transaction sees it. So a transaction that began
        # before others opened handles, or beside one that has, would give one number to two databases.
        self._generation = 0
        self._opening: Transaction | None = None

    def _is_open_already(self) -> bool:
        identities = _registry.keys(*self._files())
        if _registry.is_open(identities):
            gc.collect()  # it may be waiting for views that are garbage
        return _registry.is_open(identities)

    def _files(self) -> tuple[str, str]:
        """The data file and the lock file."""
        return _files(self._options["path"], bool(self._options["subdir"]))

    def _open(self) -> None:
        """Open the environment as its options say, and its databases."""
        from lmdb_bindings import _growth

        options = self._options
        fast = self._engine.fast  # it is tried at its first use: before there is anything to lose
        # NOTLS: reader slots belong to transactions, not threads, so one thread may have several.
        flags = c.NOTLS | sum(flag for name, (flag, when) in _FLAGS.items() if bool(options[name]) is when)
        sizes = _growth.sizes(self)
        for size in sizes:
            try:
                env = self._open_mapped(flags, size)
            except OutOfMemory:  # noqa: PERF203 (of address space: the next one is smaller)
                if size == sizes[-1]:
                    raise
            else:
                break
        try:
            self._open_databases(env)
        except BaseException:
            self._engine.lib.mdb_env_close(env)
            raise
        self._identities = _registry.keys(*self._files())
        _registry.add(self._identities, self)
        self._abandoned = False
        self._functions = 0 if fast is None or self._remapped or self._beyond_memory else fast.address
        self._handle = env  # at last: from now on other threads use it
        self._address = _fast.address(env)

    def _open_databases(self, env: Any) -> None:
        """Open the main database, and those that were open before a fork or a new beginning, if they are there."""
        lib, txn = self._engine.lib, ffi.new("MDB_txn **")
        _check("mdb_txn_begin", lib.mdb_txn_begin(env, ffi.NULL, c.RDONLY, txn))
        try:
            for database in list(self._databases.values()) or [_Database(self, None)]:
                try:
                    database._open(lib, txn[0], 0)
                    self._databases[database._name] = database
                except NotFoundError:  # noqa: PERF203 (a few)
                    del self._databases[database._name]
            self._main = self._databases.get(None)
            _check("mdb_txn_commit", lib.mdb_txn_commit(txn[0]))
        except BaseException:
            lib.mdb_txn_abort(txn[0])
            raise

    def _open_mapped(self, flags: int, map_size: int) -> Any:
        """``mdb_env_open``, with a map of this size."""
        lib, options = self._engine.lib, self._options
        handle = ffi.new("MDB_env **")
        if rc := lib.mdb_env_create(handle):
            raise error("mdb_env_create", rc)
        env = handle[0]
        try:
            _check("mdb_env_set_mapsize", lib.mdb_env_set_mapsize(env, map_size))
            _check("mdb_env_set_maxreaders", lib.mdb_env_set_maxreaders(env, options["max_readers"]))
            _check("mdb_env_set_maxdbs", lib.mdb_env_set_maxdbs(env, options["max_dbs"]))
            flags |= _pages.apply(self._engine, env, options)
            _check(self._path, lib.mdb_env_open(env, os.fsencode(options["path"]), flags, options["mode"] & ~0o111))
        except BaseException:
            lib.mdb_env_close(env)  # also after a failed mdb_env_open, says lmdb.h
            raise
        return env

    def _require_1_0(self, what: str) -> None:
        if self._engine.name != "1.0":
            raise Error(f"{what}: of LMDB 1.0, and this environment has LMDB {self._engine.name}: use lib_version=1")

    # -- lifetime ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the environment. Safe to call again.

        Waits for a write transaction of another thread; aborts every other transaction, and whatever was made from
        them is unusable from then on. Memoryviews of ``buffers=True`` stay as they are: while there are any, the map
        stays, and so does the environment's claim to its files. One that is shared (:func:`open_shared`) is closed by
        the last of its users.
        """
        with _registry.lock:
            if self._shares > 1:
                self._shares -= 1
                return
            if self._inherited:
                self._inherited = False
                return
        self._end_orphans()
        with self._access.turn(), self._access.alone(), _registry.lock:
            if self._shares > 1:  # somebody came while this waited
                self._shares -= 1
            else:
                self._end()

    def _end(self) -> None:
        self._address = 0
        self._end_transactions()
        with self._last_views:
            handle, self._handle = self._handle, None
            if handle is not None:
                for database in self._databases.values():
                    database._dbi = CLOSED
                self._lingering = handle
            self._abandoned = True  # a transaction that the collector has, and has not ended yet, comes back here
        self._close_lingering()

    def _close_lingering(self) -> None:
        with self._last_views:
            if self._lingering is None or self._snapshots or self._dependents:
                return
            handle, self._lingering = self._lingering, None
        self._abort_spare()
        self._engine.lib.mdb_env_close(handle)
        _registry.remove(self._identities)

    def _pin(self, handle: Any, views: LiveViews) -> None:
        """Leave a read transaction of LMDB's to the views of it."""
        self._snapshots.add(handle)
        if len(self._snapshots) >= self._crowd:  # each has a reader slot: on PyPy most of their views are garbage
            gc.collect()
            self._crowd = max(_CROWD, 2 * len(self._snapshots))

        def release() -> None:
            self._snapshots.discard(handle)
            self._engine.lib.mdb_txn_abort(handle)

        lock, pid = self._last_views, self._pid  # those of now: in a child of fork() they are others

        def at_last() -> None:
            finalize(release, lock, pid)
            self._close_lingering()

        views.when_gone(at_last)

    def _end_orphans(self) -> None:
        """End write transactions that the collector found in another thread than theirs: those of this thread, and of
        threads that are no more, whose lock the system has given back.
        """
        others = set(sys._current_frames()) - {get_ident()}
        for orphan in [orphan for orphan in self._orphans if orphan._thread not in others]:
            if _taken(self._orphans, orphan):
                orphan._end_by_owner()

    def _is_writing(self, thread: int) -> bool:
        """Whether a thread has an open write transaction, maybe one that the collector has found elsewhere."""
        return any(txn._write and txn._thread == thread for txn in [*self._living(), *self._orphans])

    def _is_in_a_call(self) -> bool:
        """Whether who asks comes in the middle of a call of this thread in a transaction."""
        return any(txn._lock.would_be_within() for txn in self._living())

    def _end_transactions(self) -> None:
        self._end_lights()
        for txn in self._living():
            txn._end_by_owner()
        self._abort_spare()

    def _abort_spare(self) -> None:
        while self._spare:
            self._engine.lib.mdb_txn_abort(ffi.cast("MDB_txn *", self._spare.pop()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            finalize(self._abandon, _registry.lock, self._pid)

    def _live(self) -> Any:
        """The C handle, if the environment is open."""
        handle = self._handle
        return self._revived() if handle is None else handle

    def _revived(self) -> Any:
        """The C handle of an environment that was inherited by fork(), and is opened now."""
        with _registry.lock:
            if self._handle is None:
                if not self._inherited:
                    raise gone()
                if self._is_open_already():
                    raise Error(
                        f"The environment {self._path!r} was inherited by fork(), and has been opened again in this "
                        "process: use that one."
                    )
                self._open()
                self._inherited = False
            return self._handle

    def _is_short(self) -> bool:
        """Whether its calls go the short way: see ``_fast``."""
        fast = self._engine.fast
        return self._functions != 0 and fast is not None and fast.is_on

    def _lacks(self, options: dict[str, Any]) -> str:
        """What these options ask for and the open environment has not, in words; nothing where there is no such."""
        mine = self._options
        if self.readonly and not options.get("readonly", False):
            return "is read-only"
        if options.get("max_dbs", 0) > mine["max_dbs"]:
            return f"has max_dbs={mine['max_dbs']}"
        # Not by info(): whoever has the environment alone may be waiting for the registry, which this caller holds.
        info = ffi.new("MDB_envinfo *")
        self._engine.lib.mdb_env_info(self._handle, info)
        size, wanted = info.me_mapsize, options.get("map_size", 0)
        if mine["map_size"] != "auto" and (wanted == "auto" or wanted > size):
            return f"has map_size={size}"
        version = options.get("lib_version")
        if version is not None and version != _selection.major(self._engine):
            return f"has LMDB {self._engine.name}"
        for name in ("page_size", "checksum", "previous_snapshot"):
            if name in options and (options[name] or None) != (mine[name] or None):
                return f"has {name}={mine[name]!r}"
        if "encryption_key" in options and options["encryption_key"] != mine["encryption_key"]:
            return "has another encryption_key"
        return ""

    def _disown(self) -> None:
        """In a child of fork(): what is open here is the parent's, with its locks and its reader slots."""
        super()._disown()
        self._start_afresh()
        self._inherited = self._handle is not None
        self._handle = self._lingering = None
        self._snapshots = set()
        for database in self._databases.values():
            database._dbi = CLOSED

    def __reduce__(self) -> tuple[Any, ...]:
        if self._options["encryption_key"] is not None:
            raise TypeError("an encrypted environment is not pickled, since its key would be: open it where it is used")
        options = dict(self._options, lib_version=_selection.major(self._engine))
        return _restore, (options,)

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a function of LMDB on the environment, and raise its error."""
        with self._access:
            if rc := getattr(self._engine.lib, name)(self._live(), *arguments):
                raise error(name, rc)

    # -- what it is ----------------------------------------------------------------------------------------------

    def path(self) -> str:
        """The path that it was opened with."""
        self._live()
        return self._path

    def lib_version(self) -> tuple[int, int, int]:
        """The version of the LMDB in use for this environment."""
        return self._engine.version()

    def stat(self) -> Stat:
        """Statistics of the main database: psize (bytes), depth, branch_pages, leaf_pages, overflow_pages, entries."""
        result = ffi.new("MDB_stat *")
        self._call("mdb_env_stat", result)
        return stat_dict(result)

    def info(self) -> Info:
        """The map: map_addr, map_size (bytes), last_pgno, last_txnid, max_readers, num_readers."""
        result = ffi.new("MDB_envinfo *")
        self._call("mdb_env_info", result)
        return {
            "map_addr": int(ffi.cast("uintptr_t", result.me_mapaddr)),
            "map_size": result.me_mapsize,
            "last_pgno": result.me_last_pgno,
            "last_txnid": result.me_last_txnid,
            "max_readers": result.me_maxreaders,
            "num_readers": result.me_numreaders,
        }

    def flags(self) -> Flags:
        """The options in force, as the keyword arguments of :class:`Environment`."""
        result = ffi.new("unsigned int *")
        self._call("mdb_env_get_flags", result)
        flags: Any = {name: bool(result[0] & flag) is when for name, (flag, when) in _FLAGS.items()}
        return flags  # type: ignore[no-any-return]

    def max_key_size(self) -> int:
        """The longest key in bytes."""
        with self._access:
            size: int = self._engine.lib.mdb_env_get_maxkeysize(self._live())
            return size

    def max_readers(self) -> int:
        """How many read transactions may be open at once, in all processes."""
        result = ffi.new("unsigned int *")
        self._call("mdb_env_get_maxreaders", result)
        readers: int = result[0]
        return readers

    # -- what it does --------------------------------------------------------------------------------------------

    if TYPE_CHECKING:

        @overload
        def begin(
            self,
            db: _Database | None = None,
            parent: Transaction | None = None,
            write: bool = False,
            buffers: No = False,
        ) -> Transaction[bytes]: ...
        @overload
        def begin(
            self, db: _Database | None, parent: Transaction | None, write: bool, buffers: Yes
        ) -> Transaction[memoryview]: ...
        @overload
        def begin(
            self,
            db: _Database | None = None,
            parent: Transaction | None = None,
            write: bool = False,
            *,
            buffers: Yes,
        ) -> Transaction[memoryview]: ...
        @overload
        def begin(
            self,
            db: _Database | None = None,
            parent: Transaction | None = None,
            write: bool = False,
            buffers: bool = False,
        ) -> Transaction: ...

    def begin(
        self, db: _Database | None = None, parent: Transaction | None = None, write: bool = False, buffers: bool = False
    ) -> Transaction:
        """Begin a transaction; the arguments are those of :class:`Transaction`."""
        return Transaction(self, db, parent, write, buffers)

    def open_db(
        self,
        key: bytes | None = None,
        txn: Transaction | None = None,
        reverse_key: bool = False,
        dupsort: bool = False,
        create: bool = True,
        integerkey: bool = False,
        integerdup: bool = False,
        dupfixed: bool = False,
    ) -> _Database:
        """Open a database, and make it if it does not exist.

        Args:
            key: its name; None for the main database.
            txn: the transaction to make it in; None for one of its own.
            reverse_key: keys are compared from the end.
            dupsort: a key may have several values, which are sorted.
            create: make it if it does not exist.
            integerkey: keys are C ``unsigned int`` or ``size_t`` in native byte order.
            integerdup: values are such integers; implies ``dupfixed``.
            dupfixed: the values of a key have one length; implies ``dupsort``.

        Raises:
            NotFoundError: it does not exist, and ``create`` is False.
            DbsFullError: ``max_dbs`` databases are open.
            TypeError: ``key`` is a str.
            ValueError: flags for the main database.
        """
        if isinstance(key, str):
            raise TypeError("key must be bytes")
        if key is None and (reverse_key or dupsort or integerkey or integerdup or dupfixed):
            raise ValueError("May not set flags on the main database")
        if key is not None:
            key = bytes(memoryview(key)).partition(b"\0")[0]  # a C string: one name, one handle
        self._live()
        if known := self._known(key, txn):
            return known
        dupfixed = dupfixed or integerdup
        dupsort = dupsort or dupfixed
        flags = (
            c.REVERSEKEY * bool(reverse_key)
            | c.DUPSORT * bool(dupsort)
            | c.CREATE * bool(create)
            | c.INTEGERKEY * bool(integerkey)
            | c.INTEGERDUP * bool(integerdup)
            | c.DUPFIXED * bool(dupfixed)
        )
        if txn is not None:
            return self._open_in(txn, key, flags)
        # By a transaction that is not one of the spare ones: a handle opened in a read transaction stays only if that
        # very transaction commits. What need not be made need not wait for a writer.
        if self.readonly or not create:
            with self._naming, Transaction(self) as own:
                return self._open_in(own, key, flags)
        while True:
            with Transaction(self, write=True) as own:
                if own._generation == self._generation:
                    return self._open_in(own, key, flags)

    def _open_in(self, txn: Transaction, key: bytes | None, flags: int) -> _Database:
        if txn.env is not self:
            raise Error("The transaction belongs to another environment.")
        top = txn._top()
        with self._naming, txn._lock:
            if known := self._known(key, txn):
                return known  # by another thread, meanwhile
            if self._opening not in (None, top):
                raise Error("Another transaction has opened databases, and has not ended: open them one after another.")
            if self._generation != top._generation:
                raise Error(
                    "Databases were opened since this transaction began, so it can open none: open databases before "
                    "the transactions that use them, or begin it again."
                )
            txn._let_views_be_copies()
            database = _Database(self, key)
            database._open(txn._lib, txn._live(), flags)
            self._opening = database._pending = top
            self._databases[key] = database
            txn._opened.append(database)
            return database

    def _settle_handles(self, txn: Transaction) -> None:
        """A transaction has ended, and so has what it said of the handles that it opened."""
        if self._opening is txn:
            self._opening = None
            self._generation += 1
            for database in list(self._databases.values()):
                if database._pending is txn:
                    database._pending = None

    def _known(self, key: bytes | None, txn: Transaction | None) -> _Database | None:
        """The handle that is open already, unless another transaction has opened it and has not ended."""
        known = self._databases.get(key)
        opener = None if known is None else known._pending
        mine = opener is None or opener._thread == get_ident() or (txn is not None and opener is txn._top())
        return known if mine else None

    def _forget(self, databases: list[_Database]) -> None:
        """Drop handles that LMDB has closed: those of an aborted transaction, or of a deleted database."""
        for database in databases:
            database._dbi = CLOSED
            if self._databases.get(database._name) is database:
                del self._databases[database._name]
            for txn in self._living():
                txn._forget(database)

    if TYPE_CHECKING:

        @overload
        def dbs(self, txn: None = None) -> list[bytes]: ...
        @overload
        def dbs(self, txn: Transaction[V]) -> list[V]: ...

    def dbs(self, txn: Transaction | None = None) -> list[Any]:
        """The names of the named databases.

        Each is opened, so at most ``max_dbs`` are found; and records of the main database are tried too, if it has any.

        Args:
            txn: the transaction to look in; None for a read transaction of its own.
        """
        if txn is None:
            with Transaction(self) as own:
                return self.dbs(own)
        txn._let_views_be_copies()
        names = []
        with txn.cursor(self._databases[None]) as cursor:
            for key in cursor.iternext(values=False):
                name = bytes(key)
                try:
                    self.open_db(name, txn, create=False)
                except (IncompatibleError, NotFoundError, DbsFullError):
                    continue
                # LMDB 1.0 stores the zero byte at the end of a name, 0.9 does not.
                names.append(key[:-1] if name.endswith(b"\0") else key)
        return names

    def copy(self, path: str | bytes | os.PathLike[str], compact: bool = False, txn: Transaction | None = None) -> None:
        """Copy the environment to a folder (or, with ``subdir=False``, a file), while it is in use.

        Args:
            path: an existing empty folder, or the name of a file to be made.
            compact: leave out free pages, and renumber.
            txn: copy the snapshot of this read transaction; only with ``compact``.
        """
        from lmdb_bindings import _copies

        _copies.copy(self, "mdb_env_copy", os.fsencode(path), compact, txn)

    def copyfd(self, fd: int, compact: bool = False, txn: Transaction | None = None) -> None:
        """Copy the environment to an open file; the arguments are those of :meth:`copy`."""
        from lmdb_bindings import _copies

        _copies.copy(self, "mdb_env_copyfd", fd, compact, txn)

    def sync(self, force: bool = False) -> None:
        """Flush what was written; with ``sync=False`` only if ``force`` is set."""
        self._call("mdb_env_sync", force)

    def readers(self) -> str:
        """The reader table as text: a line for each slot with process, thread and transaction; as LMDB words it."""
        lines: list[bytes] = []

        def take(message: Any, _: Any) -> int:
            lines.append(ffi.string(message))
            return 0

        # The list returns how many calls it made, or an error below 0.
        with self._access:
            rc = self._engine.lib.mdb_reader_list(self._live(), ffi.callback("mdb_msg_func", take), ffi.NULL)
        if rc < 0:
            raise error("mdb_reader_list", rc)
        return b"".join(lines).decode()

    def reader_check(self) -> int:
        """Clear the reader table of processes that have died.

        Returns:
            How many slots were cleared.
        """
        dead = ffi.new("int *")
        self._call("mdb_reader_check", dead)
        count: int = dead[0]
        return count

    def update(
        self, function: Callable[[Transaction[bytes]], T], *, most: int | None = None, timeout: float = 10.0
    ) -> T:
        """Call ``function`` with a write transaction and commit it; where the map is full, make it larger, and do it
        again.

        Args:
            function: what writes. It may be called several times, each time with a new transaction, the effects of
                the one before being undone; what it returns is returned.
            most: the size in bytes that the map may reach; None for no bound.
            timeout: seconds to wait for the other transactions of this process when the map is to grow: they would
                lose their map.

        Raises:
            MapFullError: the map has the size ``most`` and is full, or cannot be larger.
            Error: there were other transactions in this process all the time, so the map could not grow; whatever
                else ``function`` or the commit raises, and the transaction is aborted.
        """
        from lmdb_bindings import _growth

        return _growth.update(self, function, most, timeout)

    def rollback(self, txnid: int) -> None:
        """Take back the last commit, by the number that its transaction had (:meth:`Transaction.id`). Of LMDB 1.0.

        Raises:
            CantRollbackError: it is not the last commit, or the last one was taken back already.
            Error: a transaction is open in this process, the environment is read-only, or the engine is 0.9.
        """
        from lmdb_bindings import _states

        _states.rollback(self, txnid)

    def dump_incremental(self, fd: int, since: int) -> None:
        """Write the pages that have changed since a transaction to an open file. Of LMDB 1.0.

        Args:
            fd: the file.
            since: the number of the last transaction that the base has; 0 for everything. A base is made by
                :meth:`copy` (not ``compact``) or by loading earlier dumps.

        Raises:
            Error: the environment has checksums or encryption, where LMDB 1.0.2 writes dumps that cannot be read; or
                the engine is 0.9.
        """
        from lmdb_bindings import _states

        _states.dump(self, fd, since)

    def load_incremental(self, fd: int) -> None:
        """Load what :meth:`dump_incremental` has written into a copy of its base, and open the result. Of LMDB 1.0.

        LMDB believes the dump, and does not ask whether this is its base: load your own dumps, in their order.

        Args:
            fd: an open file.

        Raises:
            Error: a transaction is open in this process, the environment is read-only, or the engine is 0.9. Where
                LMDB fails, the environment is closed.
        """
        from lmdb_bindings import _states

        _states.load(self, fd)

    def set_mapsize(self, map_size: int) -> None:
        """Change the size of the map. Ends every transaction of this environment, since the map may move.

        Args:
            map_size: in bytes; 0 takes the size that another process has given it.

        Raises:
            Error: a write transaction is active; or the map cannot be made, and then the environment is closed.
            BufferError: memoryviews of a transaction with ``buffers=True`` are alive.
        """
        from lmdb_bindings import _growth

        _growth.set_mapsize(self, map_size)


def open_shared(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], **options: Any) -> Environment:
    """The environment of these files, which this process may have open already.

    Every call is one use of the environment, and :meth:`Environment.close` ends one; the last closes it.

    Args:
        path: as for :class:`Environment`.
        options: as for :class:`Environment`. They count where the environment is opened; where it is open already,
            none may ask for more than it has.

    Raises:
        Error: it is open with less than ``options`` ask for: read-only, with a smaller map, with less room for named
            databases, or with another engine, key, checksum or snapshot.
    """
    with _registry.lock:
        where = os.path.abspath(os.fsdecode(path))
        found = _registry.find(_registry.keys(*_files(where, options.get("subdir", True))))
        if found is None or found._handle is None:
            return Environment(path, **options)
        if other := found._lacks(options):
            raise Error(
                f"The environment {where!r} is open in this process, and {other}: open it so where it is opened first."
            )
        found._shares += 1
        return found


def _taken(things: list[Any], thing: object) -> bool:
    """Take a thing out of a list, unless another thread has."""
    try:
        things.remove(thing)
    except ValueError:
        return False
    return True


def _files(path: str, subdir: bool) -> tuple[str, str]:
    """The data file and the lock file of an environment."""
    if subdir:
        return os.path.join(path, "data.mdb"), os.path.join(path, "lock.mdb")
    return path, path + "-lock"


def _restore(options: dict[str, Any]) -> Environment:
    """Unpickle an environment."""
    return open_shared(**options)


def _check(what: str, rc: int) -> None:
    if rc:
        raise error(what, rc)


def stat_dict(stat: Any) -> Stat:
    """An ``MDB_stat`` as py-lmdb gives it."""
    return {
        "psize": stat.ms_psize,
        "depth": stat.ms_depth,
        "branch_pages": stat.ms_branch_pages,
        "leaf_pages": stat.ms_leaf_pages,
        "overflow_pages": stat.ms_overflow_pages,
        "entries": stat.ms_entries,
    }


_fast.install(Environment)
