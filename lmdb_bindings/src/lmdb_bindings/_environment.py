"""An LMDB environment: its files, its options, and the transactions that are open in it."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, cast

from lmdb_bindings import _constants as c
from lmdb_bindings import _registry, _selection
from lmdb_bindings._abi import ffi
from lmdb_bindings._access import Access
from lmdb_bindings._database import _Database
from lmdb_bindings._ownership import Owner, finalize
from lmdb_bindings._transaction import Transaction
from lmdb_bindings._views import LiveViews
from lmdb_bindings.errors import Error, error, gone

_PATIENCE = 1.0
"""Seconds to wait for a writer before the map is resized."""

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


class Environment(Owner):
    """An environment: one or more databases in one file, open in this process.

    Args:
        path: the folder of the environment, or with ``subdir=False`` its data file.
        map_size: the size in bytes up to which the data file may grow.
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
            file, and for a new file the default engine.

    Raises:
        Error: a subclass by the return code; or the environment is open in this process already.
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        map_size: int = 10485760,
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
    ) -> None:
        super().__init__()
        self._options = dict(
            path=os.fsdecode(path), map_size=map_size, subdir=subdir, readonly=readonly, metasync=metasync, sync=sync,
            map_async=map_async, mode=mode, create=create, readahead=readahead, writemap=writemap, meminit=meminit,
            max_readers=max_readers, max_dbs=max_dbs, max_spare_txns=max_spare_txns, lock=lock, lib_version=lib_version,
        )  # fmt: skip
        self.readonly = bool(readonly)
        self._path: str = os.fsdecode(path)
        self._handle: Any = None
        self._inherited = False
        self._shares = 1
        self._max_spare = max_spare_txns
        self._databases: dict[bytes | None, _Database] = {}
        self._snapshots: set[Any] = set()  # transactions that wait for the last of their views
        self._lingering: Any = None  # the C object, closed for its users, while there are such
        self._start_afresh()
        if create and subdir and not readonly:
            with suppress(FileExistsError):
                os.mkdir(self._path, mode)
        with _registry.lock:
            if self._is_open_already():
                raise Error(f"The environment {self._path!r} is already open in this process.")
            data_file = self._files()[0]
            self._engine = _selection.for_file(data_file) if lib_version is None else _selection.by_major(lib_version)
            self._open()

    def _start_afresh(self) -> None:
        """Have locks that nobody holds, and nothing that is open."""
        self._pid = os.getpid()
        self._access = Access()
        self._naming = threading.RLock()  # mdb_dbi_open must not be called by two transactions of a process at once
        self._last_views = threading.RLock()  # held where a snapshot is left to its views, and where they let go
        self._spare: list[Any] = []

    def _is_open_already(self) -> bool:
        identities = _registry.keys(*self._files())
        if _registry.is_open(identities):
            gc.collect()  # it may be waiting for views that are garbage
        return _registry.is_open(identities)

    def _files(self) -> tuple[str, str]:
        """The data file and the lock file."""
        if self._options["subdir"]:
            return os.path.join(self._path, "data.mdb"), os.path.join(self._path, "lock.mdb")
        return self._path, self._path + "-lock"

    def _open(self) -> None:
        """Open the environment as its options say, and its databases."""
        options: dict[str, Any] = self._options
        # NOTLS: reader slots belong to transactions, not threads, so one thread may have several.
        flags = c.NOTLS | sum(flag for name, (flag, when) in _FLAGS.items() if bool(options[name]) is when)
        lib = self._engine.lib
        handle = ffi.new("MDB_env **")
        if rc := lib.mdb_env_create(handle):
            raise error("mdb_env_create", rc)
        try:
            _check("mdb_env_set_mapsize", lib.mdb_env_set_mapsize(handle[0], options["map_size"]))
            _check("mdb_env_set_maxreaders", lib.mdb_env_set_maxreaders(handle[0], options["max_readers"]))
            _check("mdb_env_set_maxdbs", lib.mdb_env_set_maxdbs(handle[0], options["max_dbs"]))
            mode = options["mode"] & ~0o111
            _check(self._path, lib.mdb_env_open(handle[0], os.fsencode(self._path), flags, mode))
        except BaseException:
            lib.mdb_env_close(handle[0])  # also after a failed mdb_env_open, says lmdb.h
            raise
        self._handle = handle[0]
        self._identities = _registry.keys(*self._files())
        _registry.add(self._identities, self)
        try:
            with Transaction(self, write=False) as txn:
                for database in self._databases.values() or [_Database(self, None)]:
                    database._open(txn, 0)
                    self._databases[database._name] = database
        except BaseException:
            self.close()
            raise

    # -- lifetime ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the environment. Safe to call again.

        Waits for a write transaction of another thread; aborts every other transaction, and whatever was made from
        them is unusable from then on. Memoryviews of ``buffers=True`` stay as they are: while there are any, the map
        stays, and so does the environment's claim to its files. One that is shared (:func:`open_shared`) is closed by
        the last of its users.
        """
        if self._inherited:
            self._inherited = False
            return
        with _registry.lock:
            if self._shares > 1:
                self._shares -= 1
                return
        with self._access.turn(), self._access.alone():
            self._end()

    def _end(self) -> None:
        self._end_transactions()
        self._abandoned = bool(self._dependents)
        if self._abandoned:
            return  # the collector has them, and the last one comes back here
        handle, self._handle = self._handle, None
        if handle is None:
            return
        for database in self._databases.values():
            database._dbi = None
        with self._last_views:
            self._lingering = handle
            self._close_lingering()

    def _close_lingering(self) -> None:
        if self._lingering is not None and not self._snapshots:
            handle, self._lingering = self._lingering, None
            self._engine.lib.mdb_env_close(handle)
            _registry.remove(self._identities)

    def _pin(self, handle: Any, views: LiveViews) -> None:
        """Leave a read transaction of LMDB's to the views of it."""
        self._snapshots.add(handle)

        def release() -> None:
            self._snapshots.discard(handle)
            self._engine.lib.mdb_txn_abort(handle)
            self._close_lingering()

        views.when_gone(lambda: finalize(release, self._last_views, self._pid))

    def _end_transactions(self) -> None:
        for txn in self._living():
            txn.abort()
        while self._spare:
            self._engine.lib.mdb_txn_abort(self._spare.pop())

    def __enter__(self) -> Environment:
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
        if self._handle is None:
            if not self._inherited:
                raise gone()
            self._reopen()
        return self._handle

    def _disown(self) -> None:
        """In a child of fork(): what is open here is the parent's, with its locks and its reader slots."""
        super()._disown()
        self._start_afresh()
        self._inherited = self._handle is not None
        self._handle = self._lingering = None
        self._snapshots = set()
        for database in self._databases.values():
            database._dbi = None

    def _reopen(self) -> None:
        with _registry.lock:
            if self._inherited:
                self._inherited = False
                self._open()

    def __reduce__(self) -> tuple[Any, ...]:
        options = dict(self._options, path=os.path.abspath(self._path), lib_version=_selection.major(self._engine))
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

    def stat(self) -> dict[str, int]:
        """Statistics of the main database: psize (bytes), depth, branch_pages, leaf_pages, overflow_pages, entries."""
        result = ffi.new("MDB_stat *")
        self._call("mdb_env_stat", result)
        return stat_dict(result)

    def info(self) -> dict[str, int]:
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

    def flags(self) -> dict[str, bool]:
        """The options in force, as the keyword arguments of :class:`Environment`."""
        result = ffi.new("unsigned int *")
        self._call("mdb_env_get_flags", result)
        return {name: bool(result[0] & flag) is when for name, (flag, when) in _FLAGS.items()}

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
        if known := self._databases.get(key):
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
        # By a transaction that is not one of the spare ones: a handle opened in a read transaction stays only if
        # that very transaction commits.
        with Transaction(self, write=not self.readonly) as own:
            return self._open_in(own, key, flags)

    def _open_in(self, txn: Transaction, key: bytes | None, flags: int) -> _Database:
        if txn.env is not self:
            raise Error("The transaction belongs to another environment.")
        with self._naming, txn._lock:
            if known := self._databases.get(key):
                return known  # by another thread, meanwhile
            database = _Database(self, key)
            database._open(txn, flags)
            self._databases[key] = database
            txn._opened.append(database)
            return database

    def dbs(self, txn: Transaction | None = None) -> list[Any]:
        """The names of the named databases.

        Each is opened, so at most ``max_dbs`` are found; and records of the main database are tried too, if it has any.

        Args:
            txn: the transaction to look in; None for a read transaction of its own.
        """
        if txn is None:
            with Transaction(self) as own:
                return self.dbs(own)
        names = []
        with txn.cursor(self._databases[None]) as cursor:
            for key in cursor.iternext(values=False):
                name = bytes(key)
                try:
                    self.open_db(name, txn, create=False)
                except Error:
                    continue
                # LMDB 1.0 stores the zero byte at the end of a name, 0.9 does not.
                names.append(key[:-1] if name.endswith(b"\0") else key)
        return names

    def _forget(self, databases: list[_Database]) -> None:
        """Drop handles that LMDB has closed: those of an aborted transaction, or of a deleted database."""
        for database in databases:
            database._dbi = None
            for txn in self._living():
                txn._forget(database)
            if self._databases.get(database._name) is database:
                del self._databases[database._name]

    def copy(self, path: str | bytes | os.PathLike[str], compact: bool = False, txn: Transaction | None = None) -> None:
        """Copy the environment to a folder (or, with ``subdir=False``, a file), while it is in use.

        Args:
            path: an existing empty folder, or the name of a file to be made.
            compact: leave out free pages, and renumber.
            txn: copy the snapshot of this read transaction; only with ``compact``.
        """
        self._copy("mdb_env_copy", os.fsencode(path), compact, txn)

    def copyfd(self, fd: int, compact: bool = False, txn: Transaction | None = None) -> None:
        """Copy the environment to an open file; the arguments are those of :meth:`copy`."""
        self._copy("mdb_env_copyfd", fd, compact, txn)

    def _copy(self, function: str, target: bytes | int, compact: bool, txn: Transaction | None) -> None:
        flags = c.CP_COMPACT * bool(compact)
        if txn is None:
            self._call(function + "2", target, flags)
            return
        if not compact:
            raise TypeError("txn argument only compatible with compact=True")
        if txn.env is not self:
            raise Error("The transaction belongs to another environment.")
        name = function + "3"
        if not hasattr(self._engine.lib, name):  # from a patch: a system's liblmdb lacks it
            raise TypeError("Non-patched LMDB doesn't support transaction with env.copy")
        with self._access, txn._lock:
            _check(name, getattr(self._engine.lib, name)(self._live(), target, flags, txn._live()))

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

    def set_mapsize(self, map_size: int) -> None:
        """Change the size of the map. Ends every transaction of this environment, since the map may move.

        Args:
            map_size: in bytes; 0 takes the size that another process has given it.

        Raises:
            Error: a write transaction is active; or the map cannot be made, and then the environment is closed.
            BufferError: memoryviews of a transaction with ``buffers=True`` are alive.
        """
        access = self._access
        self._live()
        if access.is_mine() or not access.take_turn(_PATIENCE):
            raise Error("Cannot set_mapsize while a write transaction is active")
        try:
            with access.alone():
                self._live()
                self._refuse_views()
                self._end_transactions()
                if rc := self._engine.lib.mdb_env_set_mapsize(self._handle, map_size):
                    self._end()  # LMDB has taken the old map away
                    raise error("mdb_env_set_mapsize", rc)
                self._options["map_size"] = map_size
        finally:
            access.pass_turn()

    def _refuse_views(self) -> None:
        def are_there() -> bool:
            return bool(self._snapshots) or any(txn._views for txn in self._living())

        if are_there():
            gc.collect()  # some may be garbage
            if are_there():
                raise BufferError(
                    "the map cannot move while memoryviews of it are alive: let go of what transactions with "
                    "buffers=True have given"
                )


def open_shared(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], **options: Any) -> Environment:
    """The environment of these files, which this process may have open already.

    Every call is one use of the environment, and :meth:`Environment.close` ends one; the last closes it.

    Args:
        path: as for :class:`Environment`.
        options: as for :class:`Environment`. They count where the environment is opened; where it is open already,
            none may ask for more than it has.

    Raises:
        Error: it is open read-only, and ``options`` ask to write; or it has room for fewer named databases.
    """
    subdir = options.get("subdir", True)
    folder = os.fsdecode(path)
    files = (
        (os.path.join(folder, "data.mdb"), os.path.join(folder, "lock.mdb")) if subdir else (folder, folder + "-lock")
    )
    with _registry.lock:
        found = _registry.find(_registry.keys(*files))
        if found is None or (found._handle is None and not found._inherited):
            return Environment(path, **options)
        if found.readonly and not options.get("readonly", False):
            raise Error(f"The environment {folder!r} is open read-only in this process: ask for readonly=True.")
        if options.get("max_dbs", 0) > cast("int", found._options["max_dbs"]):
            raise Error(
                f"The environment {folder!r} is open in this process with max_dbs={found._options['max_dbs']}: open "
                f"it with max_dbs={options['max_dbs']} where it is opened first."
            )
        found._shares += 1
        return found


def _restore(options: dict[str, Any]) -> Environment:
    """Unpickle an environment."""
    return open_shared(**options)


def _check(what: str, rc: int) -> None:
    if rc:
        raise error(what, rc)


def stat_dict(stat: Any) -> dict[str, int]:
    """An ``MDB_stat`` as py-lmdb gives it."""
    return {
        "psize": stat.ms_psize,
        "depth": stat.ms_depth,
        "branch_pages": stat.ms_branch_pages,
        "leaf_pages": stat.ms_leaf_pages,
        "overflow_pages": stat.ms_overflow_pages,
        "entries": stat.ms_entries,
    }
