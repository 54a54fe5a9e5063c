"""LMDB from asyncio: every method of the binding as a coroutine that runs in a thread.

>>> aenv = wrap(lmdb.open("/tmp/example"))                                         # doctest: +SKIP
>>> async with aenv.begin(write=True) as txn:                                      # doctest: +SKIP
...     await txn.put(b"key", b"value")

A write transaction must begin, work and end in one thread, since the lock that it holds in LMDB belongs to that
thread: so each has a thread of its own until it ends. Read transactions use the threads of an executor. Calls in one
transaction wait for each other, whichever tasks they come from.

A thread cannot be interrupted. So a cancelled coroutine that has a call under way in a transaction waits until that has
ended, and has taken effect. What may wait for a writer for long (``begin(write=True)``, ``open_db``, ``close``), and
whatever is called on the environment, is cancelled at once, and goes on in its thread; a transaction that begins there
after all is aborted at once.
"""

from __future__ import annotations

import _thread
import asyncio
import errno
import functools
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from lmdb_bindings._cursor import Cursor
from lmdb_bindings._database import _Database
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import error

__all__ = ["AsyncCursor", "AsyncEnvironment", "AsyncTransaction", "Rows", "wrap"]

P = ParamSpec("P")
R = TypeVar("R")
Function = TypeVar("Function", bound=Callable[..., Any])

# What `async for` reads ahead in one visit to a thread: so many records, or fewer that come to so many bytes.
_BATCH_RECORDS = 1000
_BATCH_BYTES = 1 << 20


def wrap(env: Environment, executor: Executor | None = None) -> AsyncEnvironment:
    """An environment for asyncio.

    Args:
        env: the environment. Its methods may still be called, but a call that waits for a writer stops the event loop.
        executor: the threads for all but write transactions; None for the event loop's own. It is never shut down.
    """
    return AsyncEnvironment(env, executor)


# -- into a thread, and back -------------------------------------------------------------------------------------------


async def _finished(call: asyncio.Future[R]) -> R:
    """The result of a call in a thread, not before the call has ended, even if this is cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not call.done():
        try:
            await asyncio.wait([call])
        except asyncio.CancelledError as cancellation:  # noqa: PERF203 (comes seldom, and must not end the loop)
            cancelled = cancellation
    if cancelled is not None:
        call.exception()  # else asyncio would log that nobody has seen it
        raise cancelled
    return call.result()


async def _apart(function: Callable[[], R]) -> R:
    """Run in a thread of its own what may wait for a writer: in an executor, it could keep that writer waiting."""
    executor = ThreadPoolExecutor(1, "lmdb")
    call = executor.submit(function)
    executor.shutdown(wait=False)
    return await asyncio.wrap_future(call)


def _undo(begun: Future[Transaction]) -> None:
    if not begun.cancelled() and begun.exception() is None:
        begun.result().abort()


def _commit(txn: Transaction) -> None:
    try:
        txn.commit()
    except BaseException:
        txn.abort()  # this is the last time that anything runs in its thread
        raise


def _abandon(executor: Executor, txn: Transaction, pass_turn: Callable[[], None]) -> None:
    """Abort a write transaction that was dropped, in its thread."""
    # From another thread: the collector may have come in the middle of submit(), whose locks are not re-entrant.
    _thread.start_new_thread(_end_in, (executor, txn.abort))
    pass_turn()


def _end_in(executor: Executor, end: Callable[[], None]) -> Future[None]:
    ended = executor.submit(end)
    executor.shutdown(wait=False)
    return ended


class _Pending(Generic[R]):
    """What is about to begin: ``await`` it, or let ``async with`` begin and end it."""

    def __init__(self, coroutine: Coroutine[Any, Any, R]) -> None:
        self._coroutine = coroutine
        self._result: Any = None

    def __await__(self) -> Generator[Any, Any, R]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> R:
        self._result = await self._coroutine
        return cast("R", self._result)

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._result.__aexit__(kind, value, trace)


# -- a method of the binding as a method of these classes --------------------------------------------------------------


class _Mirror(ABC):
    """An object of the binding, seen from asyncio."""

    def __init__(self, mirrored: Any) -> None:
        self._mirrored = mirrored

    @abstractmethod
    async def _call(self, function: Callable[[], R]) -> R:
        """Call a function in the thread that the object is used in."""

    if not TYPE_CHECKING:  # or every misspelt name would have the type Any

        def __getattr__(self, name: str) -> Any:
            """Attributes that are no methods are those of the object."""
            if name == "_mirrored":
                raise AttributeError(name)
            return getattr(self._mirrored, name)


def _like(method: Callable[..., Any]) -> Callable[[Function], Function]:
    """Give a function the name of the method that it stands for, and the docstring if it has none."""

    def dressed(function: Function) -> Function:
        docstring = function.__doc__ or method.__doc__
        functools.update_wrapper(function, method)
        function.__doc__ = docstring
        return function

    return dressed


def _direct(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The method itself, where it is too quick to be worth a thread."""

    @_like(method)
    def direct(self: _Mirror, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast("R", getattr(self._mirrored, method.__name__)(*args, **kwargs))

    return direct


def _coroutine(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """The method as a coroutine."""

    @_like(method)
    async def coroutine(self: _Mirror, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._call(functools.partial(getattr(self._mirrored, method.__name__), *args, **kwargs))

    return coroutine


def _rows(method: Callable[Concatenate[Any, P], Iterable[R]]) -> Callable[Concatenate[Any, P], Rows[R]]:
    """A method that iterates, as something to await or to iterate."""

    @_like(method)
    def rows(self: AsyncTransaction | AsyncCursor, /, *args: P.args, **kwargs: P.kwargs) -> Rows[R]:
        return Rows(self, lambda thing: getattr(thing, method.__name__)(*args, **kwargs))

    return rows


# -- environment -------------------------------------------------------------------------------------------------------


class AsyncEnvironment(_Mirror):
    """An :class:`Environment` for asyncio, made by :func:`wrap`. ``async with`` closes it.

    May be used from several event loops.
    """

    def __init__(self, env: Environment, executor: Executor | None = None) -> None:
        super().__init__(env)
        self._env = env
        self._executor = executor
        # The latest write transaction, by a weak reference: what waits for it must not keep it when it is dropped.
        self._latest: Callable[[], AsyncTransaction | None] = lambda: None
        self._turns: weakref.WeakValueDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._turns = weakref.WeakValueDictionary()

    async def __aenter__(self) -> AsyncEnvironment:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, function: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    async def _call_in(self, txn: AsyncTransaction | Transaction | None, function: Callable[[Any], R]) -> R:
        if isinstance(txn, AsyncTransaction):
            return await txn._call(functools.partial(function, txn._txn))
        return await self._call(functools.partial(function, txn))

    @property
    def readonly(self) -> bool:
        """Whether write transactions are refused."""
        return self._env.readonly

    # What is known without waiting
    path = _direct(Environment.path)
    lib_version = _direct(Environment.lib_version)
    max_key_size = _direct(Environment.max_key_size)
    max_readers = _direct(Environment.max_readers)
    flags = _direct(Environment.flags)

    # What takes a thread
    stat = _coroutine(Environment.stat)
    info = _coroutine(Environment.info)
    sync = _coroutine(Environment.sync)
    readers = _coroutine(Environment.readers)
    reader_check = _coroutine(Environment.reader_check)
    set_mapsize = _coroutine(Environment.set_mapsize)
    rollback = _coroutine(Environment.rollback)
    dump_incremental = _coroutine(Environment.dump_incremental)
    load_incremental = _coroutine(Environment.load_incremental)

    @_like(Environment.update)
    async def update(
        self, function: Callable[[Transaction], R], *, most: int | None = None, timeout: float = 10.0
    ) -> R:
        return await self._call(functools.partial(self._env.update, function, most=most, timeout=timeout))

    # What may take an asynchronous transaction
    @_like(Environment.copy)
    async def copy(
        self,
        path: str | bytes | PathLike[str],
        compact: bool = False,
        txn: AsyncTransaction | Transaction | None = None,
    ) -> None:
        await self._call_in(txn, lambda txn: self._env.copy(path, compact, txn))

    @_like(Environment.copyfd)
    async def copyfd(self, fd: int, compact: bool = False, txn: AsyncTransaction | Transaction | None = None) -> None:
        await self._call_in(txn, lambda txn: self._env.copyfd(fd, compact, txn))

    @_like(Environment.dbs)
    async def dbs(self, txn: AsyncTransaction | Transaction | None = None) -> list[Any]:
        return await self._call_in(txn, self._env.dbs)

    @_like(Environment.open_db)
    async def open_db(
        self,
        key: bytes | None = None,
        txn: AsyncTransaction | Transaction | None = None,
        reverse_key: bool = False,
        dupsort: bool = False,
        create: bool = True,
        integerkey: bool = False,
        integerdup: bool = False,
        dupfixed: bool = False,
    ) -> _Database:
        def open_in(txn: Transaction | None) -> _Database:
            return self._env.open_db(key, txn, reverse_key, dupsort, create, integerkey, integerdup, dupfixed)

        if txn is not None:
            return await self._call_in(txn, open_in)
        # It may have to begin a write transaction. Where this task has one, the binding refuses that in the thread of
        # the one; in another thread it would wait forever.
        if writer := self._writer_of_this_task():
            return await writer._call(functools.partial(open_in, None))
        return await _apart(functools.partial(open_in, None))

    def _writer_of_this_task(self) -> AsyncTransaction | None:
        writer = self._latest()
        return writer if writer is not None and writer._of_this_task() else None

    def _writer_of_no_task(self) -> AsyncTransaction | None:
        writer = self._latest()
        return writer if writer is not None and writer._of_no_task() else None

    @_like(Environment.begin)
    def begin(
        self, db: _Database | None = None, parent: None = None, write: bool = False, buffers: bool = False
    ) -> _Pending[AsyncTransaction]:
        """Begin a transaction; the arguments are those of :class:`Transaction`.

        A write transaction waits for others without stopping the event loop, and in the order of their calls. A task
        may have one at a time, as a thread may have one of :meth:`Environment.begin`.

        Returns:
            What is awaited, or entered by ``async with``, for the :class:`AsyncTransaction`.

        Raises:
            Error: a subclass by the return code; or this task has a write transaction already.
            InvalidParameterError: ``parent`` is given.
        """
        if parent is not None:
            raise error("Nested transactions have no asynchronous form; use Environment.begin().", errno.EINVAL)
        return _Pending((self._begin_writing if write else self._begin_reading)(db, buffers))

    async def _begin_reading(self, db: _Database | None, buffers: bool) -> AsyncTransaction:
        begin: Callable[[], Transaction] = functools.partial(self._env.begin, db, buffers=buffers)
        begun = asyncio.get_running_loop().run_in_executor(self._executor, begin)
        try:
            return AsyncTransaction(await _finished(begun), self._executor)
        except asyncio.CancelledError:
            if begun.exception() is None:
                begun.result().abort()
            raise

    async def _begin_writing(self, db: _Database | None, buffers: bool) -> AsyncTransaction:
        if self._writer_of_this_task():
            raise error("Attempt to start a write transaction while another write transaction of the same task is "
                        "active. This would deadlock.", errno.EBUSY)  # fmt: skip
        loop = asyncio.get_running_loop()
        # The writers of a loop wait here, so that only the first of them needs a thread to wait for those elsewhere.
        turn = self._turns.setdefault(loop, asyncio.Lock())
        await turn.acquire()
        try:
            txn, executor = await self._begin_apart(db, buffers)
        except BaseException:
            turn.release()
            raise

        def pass_turn() -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(turn.release)

        writer = AsyncTransaction(txn, executor, owns_executor=True, afterwards=self._executor, pass_turn=pass_turn)
        self._latest = weakref.ref(writer)
        return writer

    async def _begin_apart(self, db: _Database | None, buffers: bool) -> tuple[Transaction, ThreadPoolExecutor]:
        executor = ThreadPoolExecutor(1, "lmdb-writer")
        begun = executor.submit(self._env.begin, db, None, write=True, buffers=buffers)
        try:
            return await asyncio.wrap_future(begun), executor
        except BaseException:
            # Cancelled, it may begin nevertheless.
            _end_in(executor, functools.partial(_undo, begun))
            raise

    @_like(Environment.close)
    async def close(self) -> None:
        """Close the environment. Safe to call again.

        Waits for a write transaction of another task or thread; aborts every other transaction, a write transaction of
        this task and of one that has ended among them. Cancelled, it closes as soon as it can nevertheless.
        """
        if writer := self._writer_of_this_task() or self._writer_of_no_task():
            await writer.abort()  # nobody else would end it, and the environment would wait for it forever
        await _apart(self._env.close)


# -- transaction -------------------------------------------------------------------------------------------------------


class AsyncTransaction(_Mirror):
    """A :class:`Transaction` for asyncio, made by :meth:`AsyncEnvironment.begin`.

    As a context manager it commits at the end of the block, and aborts if an exception or a cancellation leaves it.
    Belongs to the event loop that it was begun in.
    """

    def __init__(
        self,
        txn: Transaction,
        executor: Executor | None = None,
        owns_executor: bool = False,
        *,
        afterwards: Executor | None = None,
        pass_turn: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(txn)
        self._txn = txn
        self._executor = executor
        self._owns_executor = owns_executor
        self._writes = owns_executor
        self._afterwards = afterwards
        self._pass_turn = pass_turn
        self._lock = asyncio.Lock()
        self._done = False
        task = asyncio.current_task()
        self._task = (lambda: None) if task is None else weakref.ref(task)
        if owns_executor:
            # Dropped, it must not be aborted by the collector, in whatever thread that runs.
            self._dropped = weakref.finalize(self, _abandon, cast("Executor", executor), txn, pass_turn)
            self._dropped.atexit = False

    async def __aenter__(self) -> AsyncTransaction:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._done:
                await self.commit()
        finally:
            if not self._done:  # an exception; or a cancellation that came before the commit
                await self.abort()

    async def _call(self, function: Callable[[], R]) -> R:
        async with self._lock:
            return await _finished(asyncio.get_running_loop().run_in_executor(self._executor, function))

    async def _end(self, end: Callable[[], None]) -> None:
        ended = asyncio.get_running_loop().run_in_executor(self._executor, end)
        self._done = True
        if self._owns_executor:
            self._dropped.detach()
            cast("Executor", self._executor).shutdown(wait=False)
            self._owns_executor = False
            self._executor = self._afterwards
            self._pass_turn()
        await _finished(ended)

    def _reader(self) -> Transaction:
        return self._txn

    def _of_this_task(self) -> bool:
        task = self._task()
        return not self._done and task is not None and task is asyncio.current_task()

    def _of_no_task(self) -> bool:
        task = self._task()
        return not self._done and (task is None or task.done())

    @_like(Transaction.commit)
    async def commit(self) -> None:
        async with self._lock:
            await self._end(functools.partial(_commit, self._txn))

    @_like(Transaction.abort)
    async def abort(self) -> None:
        """Undo what was written, and end the transaction. Safe to call again.

        Does not wait for calls of other tasks that have not begun; they will find the transaction ended.
        """
        # Without the asyncio lock, so that nothing can cancel it: a call that is under way is waited for in the thread.
        await self._end(self._txn.abort)

    @_like(Transaction.cursor)
    def cursor(self, db: _Database | None = None) -> _Pending[AsyncCursor]:
        """A cursor over a database, None for the transaction's own: to be awaited, or entered by ``async with``."""
        return _Pending(self._open_cursor(db))

    async def _open_cursor(self, db: _Database | None) -> AsyncCursor:
        return AsyncCursor(await self._call(functools.partial(self._txn.cursor, db)), self)

    id = _direct(Transaction.id)
    address = _direct(Transaction.address)

    stat = _coroutine(Transaction.stat)
    get = _coroutine(Transaction.get)
    put = _coroutine(Transaction.put)
    replace = _coroutine(Transaction.replace)
    pop = _coroutine(Transaction.pop)
    delete = _coroutine(Transaction.delete)
    drop = _coroutine(Transaction.drop)

    prepare = _coroutine(Transaction.prepare)
    getmany = _coroutine(Transaction.getmany)
    putmany = _coroutine(Transaction.putmany)
    count_range = _coroutine(Transaction.count_range)
    delete_range = _coroutine(Transaction.delete_range)
    scan = _rows(Transaction.scan)


# -- cursor ------------------------------------------------------------------------------------------------------------


class AsyncCursor(_Mirror):
    """A :class:`Cursor` for asyncio, made by :meth:`AsyncTransaction.cursor`. ``async with`` closes it.

    What iterates gives a list when awaited, and is read ahead in batches by ``async for`` (see :class:`Rows`), which
    takes the cursor itself for ``cursor.iternext()``.
    """

    def __init__(self, cursor: Cursor, txn: AsyncTransaction) -> None:
        super().__init__(cursor)
        self._cursor = cursor
        self._transaction = txn

    @property
    def _executor(self) -> Executor | None:
        return self._transaction._executor

    async def __aenter__(self) -> AsyncCursor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, function: Callable[[], R]) -> R:
        return await self._transaction._call(function)

    @property
    def _writes(self) -> bool:
        return self._transaction._writes

    def _reader(self) -> Cursor:
        """Another cursor at the same position."""
        reader = Cursor(self._cursor.db, self._cursor.txn)
        key, value = self._cursor.item()
        if len(key):
            reader.set_key_dup(key, value) if self._cursor.db.flags()["dupsort"] else reader.set_key(key)
        return reader

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.iternext().__aiter__()

    key = _direct(Cursor.key)
    value = _direct(Cursor.value)
    item = _direct(Cursor.item)

    close = _coroutine(Cursor.close)
    first = _coroutine(Cursor.first)
    first_dup = _coroutine(Cursor.first_dup)
    last = _coroutine(Cursor.last)
    last_dup = _coroutine(Cursor.last_dup)
    next = _coroutine(Cursor.next)
    next_dup = _coroutine(Cursor.next_dup)
    next_nodup = _coroutine(Cursor.next_nodup)
    prev = _coroutine(Cursor.prev)
    prev_dup = _coroutine(Cursor.prev_dup)
    prev_nodup = _coroutine(Cursor.prev_nodup)
    set_key = _coroutine(Cursor.set_key)
    set_key_dup = _coroutine(Cursor.set_key_dup)
    set_range = _coroutine(Cursor.set_range)
    set_range_dup = _coroutine(Cursor.set_range_dup)
    get = _coroutine(Cursor.get)
    getmulti = _coroutine(Cursor.getmulti)
    count = _coroutine(Cursor.count)
    put = _coroutine(Cursor.put)
    putmulti = _coroutine(Cursor.putmulti)
    replace = _coroutine(Cursor.replace)
    pop = _coroutine(Cursor.pop)
    delete = _coroutine(Cursor.delete)

    iternext = _rows(Cursor.iternext)
    iternext_dup = _rows(Cursor.iternext_dup)
    iternext_nodup = _rows(Cursor.iternext_nodup)
    iterprev = _rows(Cursor.iterprev)
    iterprev_dup = _rows(Cursor.iterprev_dup)
    iterprev_nodup = _rows(Cursor.iterprev_nodup)


class Rows(Coroutine[Any, Any, list[R]], Generic[R]):
    """What a cursor iterates over: ``await`` it for all of it, or ``async for`` it in batches.

    Awaited, it gives a list, and moves the cursor as iterating does. Iterated, it reads ahead, up to 1,000 records in
    one visit to a thread, by a cursor of its own that starts where the other one is; that one stays. In a write
    transaction it does not read ahead: each step is a visit to the thread, and sees what was written before it.
    """

    def __init__(self, source: AsyncTransaction | AsyncCursor, iterate: Callable[[Any], Iterable[R]]) -> None:
        self._source = source
        self._iterate = iterate
        self._coroutine: Coroutine[Any, Any, list[R]] | None = None

    async def _list(self) -> list[R]:
        return await self._source._call(lambda: list(self._iterate(self._source._mirrored)))

    async def __aiter__(self) -> AsyncIterator[R]:
        source = self._source
        rows = await source._call(lambda: iter(self._iterate(source._reader())))
        records = 1 if source._writes else _BATCH_RECORDS
        while batch := await source._call(functools.partial(_batch, rows, records)):
            for row in batch:
                yield row

    # A coroutine, so that it can be made a task too.

    def _begun(self) -> Coroutine[Any, Any, list[R]]:
        if self._coroutine is None:
            self._coroutine = self._list()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, list[R]]:
        return self._begun().__await__()

    def send(self, value: Any) -> Any:
        """Go on."""
        return self._begun().send(value)

    def throw(self, *exception: Any) -> Any:
        """Go on by an exception."""
        return self._begun().throw(*exception)

    def close(self) -> None:
        """Go on no more."""
        if self._coroutine is not None:
            self._coroutine.close()


def _batch(rows: Iterator[R], records: int) -> list[R]:
    batch = []
    room = _BATCH_BYTES
    for row in islice(rows, records):
        batch.append(row)
        room -= len(row[0]) + len(row[1]) if isinstance(row, tuple) else len(cast("bytes", row))
        if room <= 0:
            break
    return batch
