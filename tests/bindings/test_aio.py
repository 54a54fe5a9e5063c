"""The binding from asyncio: what is cancelled, which threads there are, and who waits for whom.

A call is stopped in the middle by a :class:`Gate`, so that nothing here depends on how fast it is.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import gc
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import aio
from lmdb_bindings.errors import BadValsizeError, DiskError, InvalidParameterError

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"

Open = Callable[..., lmdb.Environment]
Python = Callable[..., str]

MIRRORS = [
    (lmdb.Environment, aio.AsyncEnvironment),
    (lmdb.Transaction, aio.AsyncTransaction),
    (lmdb.Cursor, aio.AsyncCursor),
]


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Gate:
    """Stops a method in its thread until it is opened.

    Args:
        kind: the class whose method it is.
        name: the method.
        after: stop when it is done, not before it begins.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type, name: str, *, after: bool = False) -> None:
        self._reached = threading.Event()
        self._opened = threading.Event()
        self.running = self.most = 0
        self.results: list[Any] = []
        method = getattr(kind, name)

        @functools.wraps(method)
        def stopped(*args: Any, **kwargs: Any) -> Any:
            self.running += 1
            self.most = max(self.most, self.running)
            if after:
                self.results.append(method(*args, **kwargs))
            self._reached.set()
            assert self._opened.wait(60)
            self.running -= 1
            return self.results[-1] if after else method(*args, **kwargs)

        monkeypatch.setattr(kind, name, stopped)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 60)

    def open(self) -> None:
        self._opened.set()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that a thread does."""
    while not condition():  # noqa: ASYNC110 (threads know nothing of asyncio's events)
        await asyncio.sleep(0.001)


async def settle() -> None:
    """Let every task go on as far as it can by itself."""
    for _ in range(10):
        await asyncio.sleep(0)


def threads() -> list[threading.Thread]:
    """The threads that the module has made."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("lmdb")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """After each test every thread that the module has made ends by itself."""
    yield
    for thread in threads():
        thread.join(60)
        assert not thread.is_alive()


async def store(aenv: aio.AsyncEnvironment, *keys: bytes) -> None:
    async with aenv.begin(write=True) as txn:
        for key in keys:
            await txn.put(key, b"value of " + key)


async def stored(aenv: aio.AsyncEnvironment, key: bytes) -> bool:
    async with aenv.begin() as txn:
        return await txn.get(key) is not None


# -- the mirror ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mirrored", "mirror"), MIRRORS)
def test_every_method_is_mirrored(mirrored: type, mirror: type) -> None:
    """Each class has the public methods of the one that it mirrors, and no others."""

    def methods(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}

    assert methods(mirror) == methods(mirrored)


@pytest.mark.parametrize(
    ("mirrored", "mirror", "name"),
    [
        *[(*MIRRORS[0], name) for name in ("begin", "close", "copy", "copyfd", "dbs", "open_db")],
        *[(*MIRRORS[1], name) for name in ("abort", "commit", "cursor")],
    ],
)
def test_methods_written_out_take_the_same_arguments(mirrored: type, mirror: type, name: str) -> None:
    """Names, order and defaults of their arguments are those of the method mirrored; the others just pass theirs on."""

    def arguments(function: Any) -> list[tuple[str, Any]]:
        found = inspect.signature(function, follow_wrapped=False).parameters.values()
        return [(parameter.name, parameter.default) for parameter in found]

    assert arguments(getattr(mirror, name)) == arguments(getattr(mirrored, name))


def test_attributes_are_those_of_the_object(env: lmdb.Environment) -> None:
    """What is no method is read from the object mirrored; a name that it lacks is an error."""
    aenv = aio.wrap(env)
    assert aenv.readonly is False
    with pytest.raises(AttributeError, match="nonsense"):
        aenv.nonsense  # type: ignore[attr-defined]  # noqa: B018


@asynchronous
async def test_a_transaction_may_be_handed_to_the_environment(opened: Open, tmp_path: Path) -> None:
    """open_db(), dbs() and copy() take a transaction of this module, and use it in its thread."""
    aenv = aio.wrap(opened())
    async with aenv.begin(write=True) as txn:
        db = await aenv.open_db(b"made", txn=txn)  # without txn it would wait for this very transaction
        await txn.put(b"key", b"value", db=db)
        assert await aenv.dbs(txn) == [b"made"]
    (tmp_path / "copy").mkdir()
    async with aenv.begin() as snapshot:
        await store(aenv, b"later")
        await aenv.copy(tmp_path / "copy", compact=True, txn=snapshot)
    copy = opened("copy")
    made = copy.open_db(b"made")
    with copy.begin() as reader:
        assert reader.get(b"later") is None
        assert reader.get(b"key", db=made) == b"value"


@asynchronous
async def test_buffers(env: lmdb.Environment) -> None:
    """With ``buffers=True`` values are read-only views, which another thread may read while the transaction lives."""
    aenv = aio.wrap(env)
    await store(aenv, b"key")
    async with aenv.begin(buffers=True) as txn:
        value = await txn.get(b"key")
        assert isinstance(value, memoryview)
        assert value.readonly
        assert bytes(value) == b"value of key"
        del value


# -- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["commit", "abort"])
@asynchronous
async def test_a_write_transaction_has_one_thread(
    env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """It begins, works and ends in one thread, which is not the event loop's."""
    seen = []

    def recorded(kind: type, name: str) -> None:
        method = getattr(kind, name)

        @functools.wraps(method)
        def record(*args: Any, **kwargs: Any) -> Any:
            seen.append((name, threading.get_ident()))
            return method(*args, **kwargs)

        monkeypatch.setattr(kind, name, record)

    recorded(lmdb.Environment, "begin")
    recorded(lmdb.Transaction, "put")
    recorded(lmdb.Cursor, "put")
    recorded(lmdb.Transaction, end)
    txn = await aio.wrap(env, ThreadPoolExecutor(4, "other")).begin(write=True)
    await asyncio.gather(*(txn.put(b"key %d" % number, b"") for number in range(10)))
    async with txn.cursor() as cursor:
        await cursor.put(b"key", b"")
    await getattr(txn, end)()
    assert {name for name, _ in seen} == {"begin", "put", end}
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


@asynchronous
async def test_waiting_writers_have_no_threads(env: lmdb.Environment) -> None:
    """However many tasks wait for a write transaction, one thread works and one at most waits."""
    aenv = aio.wrap(env)
    async with aenv.begin(write=True) as txn:
        tasks = [asyncio.create_task(store(aenv, b"key %d" % number)) for number in range(50)]
        await settle()
        assert len(threads()) == 1
        await txn.put(b"key", b"value")
    await asyncio.gather(*tasks)
    assert (await aenv.stat())["entries"] == 51


@asynchronous
async def test_the_executor_is_the_callers(env: lmdb.Environment) -> None:
    """The executor that was handed in runs what reads, and outlives the environment."""
    with ThreadPoolExecutor(1, "reader") as executor:
        async with aio.wrap(env, executor) as aenv:
            names = []
            async with aenv.begin() as txn:
                await txn._call(lambda: names.append(threading.current_thread().name))
        assert names == ["reader_0"]
        assert executor.submit(int).result() == 0


@asynchronous
async def test_what_waits_for_a_writer_takes_no_thread_of_the_executor(env: lmdb.Environment) -> None:
    """open_db() and close() leave the executor's threads free, which that writer may need to go on."""
    with ThreadPoolExecutor(1) as executor:
        aenv = aio.wrap(env, executor)
        async with aenv.begin(write=True):
            made = asyncio.create_task(aenv.open_db(b"made"))
            await settle()
            assert not await stored(aenv, b"key")
        assert (await made).flags()["dupsort"] is False
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            async with aenv.begin(write=True):
                begun.set()
                await go_on.wait()
                assert not await stored(aenv, b"key")

        task = asyncio.create_task(write())
        await begun.wait()
        closing = asyncio.create_task(aenv.close())
        await until(lambda: len(env._access._line) == 2)
        go_on.set()
        await asyncio.gather(task, closing)


# -- who waits for whom ----------------------------------------------------------------------------------------------


@asynchronous
async def test_calls_in_a_transaction_take_turns(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the calls in one transaction one runs at a time, read transactions and their cursors included."""
    aenv = aio.wrap(env)
    async with aenv.begin() as txn, txn.cursor() as cursor:
        gate = Gate(monkeypatch, lmdb.Transaction, "get")
        gets = [asyncio.create_task(txn.get(b"key")) for _ in range(3)]
        await gate.reached()
        first = asyncio.create_task(cursor.first())
        await settle()
        assert gate.running == 1
        assert not first.done()
        gate.open()
        assert await asyncio.gather(*gets, first) == [None, None, None, False]
    assert gate.most == 1


@asynchronous
async def test_a_task_has_one_write_transaction(env: lmdb.Environment) -> None:
    """A second one in the same task is an error, since it would wait forever; another task waits."""
    aenv = aio.wrap(env)
    async with aenv.begin(write=True):
        with pytest.raises(lmdb.Error, match="would deadlock") as caught:
            await aenv.begin(write=True)
        assert caught.value.code == errno.EBUSY
        other = asyncio.create_task(store(aenv, b"key"))
        await settle()
        assert not other.done()
    await other
    await store(aenv, b"again")


@asynchronous
async def test_open_db_in_the_task_of_a_write_transaction(env: lmdb.Environment) -> None:
    """Without ``txn=`` it is an error there, unless the database is open already."""
    aenv = aio.wrap(env)
    known = await aenv.open_db(b"known")
    async with aenv.begin(write=True):
        assert await aenv.open_db(b"known") is known
        with pytest.raises(lmdb.Error, match="This would deadlock"):
            await aenv.open_db(b"new")


def test_no_nested_transactions(env: lmdb.Environment) -> None:
    """There is no ``parent=`` here, and it says so at once."""
    with env.begin(write=True) as parent, pytest.raises(InvalidParameterError, match="no asynchronous form"):
        aio.wrap(env).begin(parent=parent, write=True)  # type: ignore[arg-type]


# -- cancellation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [False, True])
@asynchronous
async def test_a_cancelled_call_ends_first(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch, write: bool) -> None:
    """A cancelled call in a transaction is waited for, however often it is cancelled, and none runs beside it."""
    aenv = aio.wrap(env)
    txn = await aenv.begin(write=write)
    gate = Gate(monkeypatch, lmdb.Transaction, "stat")
    call = asyncio.create_task(txn.stat())
    await gate.reached()
    other = asyncio.create_task(txn.stat())
    for _ in range(3):
        call.cancel()
        await settle()
    assert not call.done()
    assert gate.running == 1
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await other)["entries"] == 0
    assert gate.most == 1
    await txn.abort()


@asynchronous
async def test_a_call_cancelled_in_the_queue_never_runs(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for another one of its transaction is cancelled at once, and leaves the queue."""
    aenv = aio.wrap(env)
    async with aenv.begin(write=True) as txn:
        gate = Gate(monkeypatch, lmdb.Transaction, "stat")
        call = asyncio.create_task(txn.stat())
        await gate.reached()
        put = asyncio.create_task(txn.put(b"key", b"value"))
        await settle()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        gate.open()
        await call
        assert await txn.get(b"key") is None


@asynchronous
async def test_a_cancelled_call_that_fails_is_not_logged(
    env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exception of a cancelled call gives way to the cancellation, and asyncio does not miss it."""
    logged: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: logged.append(context))
    aenv = aio.wrap(env)
    async with aenv.begin(write=True) as txn:
        gate = Gate(monkeypatch, lmdb.Transaction, "put")
        call = asyncio.create_task(txn.put(b"", b"an empty key"))
        await gate.reached()
        call.cancel()
        gate.open()
        await asyncio.wait([call])
        assert call.cancelled()
        del call
    gc.collect()
    assert logged == []


@pytest.mark.parametrize("cancellations", [1, 2])
@asynchronous
async def test_a_cancelled_block_aborts(
    env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch, cancellations: int
) -> None:
    """A task that is cancelled in its transaction aborts it, even if it is cancelled again in the middle of that."""
    aenv = aio.wrap(env)

    async def write() -> None:
        async with aenv.begin(write=True) as txn:
            await txn.put(b"key", b"value")
            gate_put.set()
            await asyncio.Event().wait()

    gate_put = asyncio.Event()
    gate = Gate(monkeypatch, lmdb.Transaction, "abort")
    task = asyncio.create_task(write())
    await gate_put.wait()
    task.cancel()
    await gate.reached()
    if cancellations == 2:
        task.cancel()
        await settle()
    assert not task.done()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await stored(aenv, b"key")
    await store(aenv, b"key")


@asynchronous
async def test_cancelled_before_the_commit(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that is cancelled while its commit waits for another call aborts instead."""
    aenv = aio.wrap(env)
    gate = Gate(monkeypatch, lmdb.Transaction, "stat")
    calls, transactions = [], []

    async def write() -> None:
        async with aenv.begin(write=True) as txn:
            transactions.append(txn)  # not to be dropped, which would abort it too
            await txn.put(b"key", b"value")
            calls.append(asyncio.create_task(txn.stat()))
            await gate.reached()

    task = asyncio.create_task(write())
    await gate.reached()
    await settle()
    for _ in range(2):
        task.cancel()
        await settle()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
    await calls[0]
    with pytest.raises(lmdb.Error, match=GONE):
        await transactions[0].get(b"key")
    assert not await stored(aenv, b"key")


@asynchronous
async def test_cancelled_in_the_commit(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that is under way cannot be cancelled: the task is, when it has taken effect."""
    aenv = aio.wrap(env)
    gate = Gate(monkeypatch, lmdb.Transaction, "commit")
    task = asyncio.create_task(store(aenv, b"key"))
    await gate.reached()
    task.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored(aenv, b"key")


@asynchronous
async def test_begin_is_cancelled_while_another_writes(env: lmdb.Environment) -> None:
    """Waiting for a writer elsewhere is given up at once, and what begins in the end is aborted."""
    aenv = aio.wrap(env)
    with env.begin(write=True):  # of this thread: the task waits in LMDB's queue
        task = asyncio.create_task(store(aenv, b"key"))
        await until(lambda: len(env._access._line) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store(aenv, b"other")
    assert not await stored(aenv, b"key")


@asynchronous
async def test_begin_is_cancelled_in_the_queue(env: lmdb.Environment) -> None:
    """A task that gives up waiting for another task's transaction does not hold up those behind it."""
    aenv = aio.wrap(env)
    async with aenv.begin(write=True):
        first, second = (asyncio.create_task(store(aenv, key)) for key in (b"first", b"second"))
        await settle()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not second.done()
    await second
    assert not await stored(aenv, b"first")


@pytest.mark.parametrize("write", [False, True])
@asynchronous
async def test_begin_is_cancelled_too_late(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch, write: bool) -> None:
    """A transaction that has begun in its thread when the task is cancelled is aborted."""
    aenv = aio.wrap(env)
    with monkeypatch.context() as patch:
        gate = Gate(patch, lmdb.Environment, "begin", after=True)

        async def begin() -> None:
            await aenv.begin(write=write)

        task = asyncio.create_task(begin())
        await gate.reached()
        task.cancel()
        await settle()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store(aenv, b"key")
    [txn] = gate.results
    with pytest.raises(lmdb.Error, match=GONE):
        txn.get(b"key")


@asynchronous
async def test_a_timeout_breaks_a_wait(env: lmdb.Environment) -> None:
    """begin(), open_db() and close() can be waited for with a timeout, whoever else writes."""
    aenv = aio.wrap(env)
    with env.begin(write=True) as txn:
        for waiting in (aenv.begin(write=True), aenv.open_db(b"db"), aenv.close()):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(waiting, 0.01)
        assert txn.put(b"key", b"value")


# -- exceptions ------------------------------------------------------------------------------------------------------


@asynchronous
async def test_an_error_leaves_the_transaction_open(env: lmdb.Environment) -> None:
    """A call that fails raises LMDB's error, and the transaction goes on."""
    aenv = aio.wrap(env)
    async with aenv.begin(write=True) as txn:
        with pytest.raises(BadValsizeError):
            await txn.put(b"", b"an empty key")
        await txn.put(b"key", b"value")
    assert await stored(aenv, b"key")


@asynchronous
async def test_a_commit_that_fails(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes out of the block, and the transaction does not stay open, in whatever state it was."""
    aenv = aio.wrap(env)

    def commit(_: lmdb.Transaction) -> None:
        raise DiskError("no space", errno.ENOSPC)

    with monkeypatch.context() as patch:
        patch.setattr(lmdb.Transaction, "commit", commit)
        with pytest.raises(DiskError, match="no space"):
            await store(aenv, b"key")
    assert not await stored(aenv, b"key")
    await store(aenv, b"key")


@pytest.mark.parametrize("write", [False, True])
@asynchronous
async def test_an_ended_transaction_is_gone(env: lmdb.Environment, write: bool) -> None:
    """Calls in a transaction that has ended, and in its cursors, raise the binding's error; abort() may be repeated."""
    aenv = aio.wrap(env)
    txn = await aenv.begin(write=write)
    cursor = await txn.cursor()
    await txn.abort()
    for call in (txn.get(b"key"), cursor.first(), txn.commit(), txn.cursor()):
        with pytest.raises(lmdb.Error, match=GONE):
            await call
    await txn.abort()
    await cursor.close()


@asynchronous
async def test_a_block_whose_transaction_is_gone_does_not_end_well(env: lmdb.Environment) -> None:
    """What set_mapsize() has ended under a block is an error at its end: the block did not do what it says."""
    aenv = aio.wrap(env)
    with pytest.raises(lmdb.Error, match=GONE):
        async with aenv.begin():
            await aenv.set_mapsize(1 << 24)


# -- the end of the environment ----------------------------------------------------------------------------------------


@asynchronous
async def test_close_waits_for_another_task(env: lmdb.Environment) -> None:
    """close() waits for the write transaction of another task, as it does for that of another thread."""
    aenv = aio.wrap(env)
    begun, go_on = asyncio.Event(), asyncio.Event()
    committed = []

    async def write() -> None:
        async with aenv.begin(write=True) as txn:
            begun.set()
            await go_on.wait()
            committed.append(await txn.put(b"key", b"value"))

    task = asyncio.create_task(write())
    await begun.wait()
    closing = asyncio.create_task(aenv.close())
    await settle()
    assert not closing.done()
    go_on.set()
    await asyncio.gather(closing, task)
    assert committed == [True]
    with pytest.raises(lmdb.Error, match=GONE):
        await aenv.stat()
    await aenv.close()


@pytest.mark.parametrize("apart", [False, True])
@asynchronous
async def test_close_aborts_what_nobody_else_would(opened: Open, apart: bool) -> None:
    """close() ends the write transaction of its own task, or of a task that has ended."""

    async def begin(aenv: aio.AsyncEnvironment) -> aio.AsyncTransaction:
        return await aenv.begin(write=True)

    async with aio.wrap(opened()) as aenv:
        task = asyncio.create_task(begin(aenv)) if apart else None
        txn = await (task or begin(aenv))
        await txn.put(b"key", b"value")
    with pytest.raises(lmdb.Error, match=GONE):
        await txn.get(b"key")
    with opened() as env:
        assert env.stat()["entries"] == 0


@asynchronous
async def test_close_after_a_transaction_was_dropped(env: lmdb.Environment) -> None:
    """close() that waits for another task's write transaction does not keep it from being dropped."""
    aenv = aio.wrap(env)
    held: list[aio.AsyncTransaction] = []

    async def write() -> None:
        held.append(await aenv.begin(write=True))
        await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await until(lambda: held)
    closing = asyncio.create_task(aenv.close())
    await settle()
    held.clear()
    await closing
    task.cancel()


@pytest.mark.parametrize("cycle", [False, True])
@asynchronous
async def test_a_dropped_write_transaction_is_aborted_in_its_thread(
    env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch, cycle: bool
) -> None:
    """A write transaction that nobody refers to any more ends in the thread that has LMDB's lock."""
    aenv = aio.wrap(env)
    ended: list[str] = []
    abort = lmdb.Transaction.abort

    def recorded(self: lmdb.Transaction) -> None:
        ended.append(threading.current_thread().name)
        abort(self)

    monkeypatch.setattr(lmdb.Transaction, "abort", recorded)
    txn = await aenv.begin(write=True)
    thread = [await txn._call(lambda: threading.current_thread().name)]
    if cycle:
        txn.itself = txn  # type: ignore[attr-defined]
    other = asyncio.create_task(store(aenv, b"key"))
    await settle()
    del txn
    gc.collect()
    await other
    assert ended == thread


def test_a_process_exits_with_a_transaction_open(python: Python, engine: int, tmp_path: Path) -> None:
    """Neither an open write transaction nor its thread keeps a process from ending."""
    script = """
import asyncio, sys
import lmdb_bindings as lmdb
from lmdb_bindings import aio
env = lmdb.open(sys.argv[2], lib_version=int(sys.argv[1]))
async def main():
    txn = await aio.wrap(env).begin(write=True)
    await txn.put(b"key", b"value")
    return txn
txn = asyncio.run(main())
print("done")
"""
    assert python(script, str(engine), tmp_path / "env") == "done"
    with lmdb.open(tmp_path / "env") as env, env.begin(write=True) as txn:
        assert txn.get(b"key") is None


# -- event loops -----------------------------------------------------------------------------------------------------


def test_several_loops(env: lmdb.Environment) -> None:
    """One environment serves event loops in several threads."""
    aenv = aio.wrap(env)

    async def write(name: bytes) -> None:
        await asyncio.gather(*(store(aenv, name + b" %d" % number) for number in range(20)))

    workers = [threading.Thread(target=lambda name=name: asyncio.run(write(name))) for name in (b"a", b"b", b"c")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert env.stat()["entries"] == 60


def test_a_loop_that_ends_with_tasks(env: lmdb.Environment) -> None:
    """A task that is cancelled by the end of asyncio.run() aborts its transaction."""
    aenv = aio.wrap(env)

    async def write(begun: asyncio.Event) -> None:
        async with aenv.begin(write=True) as txn:
            await txn.put(b"key", b"value")
            begun.set()
            await asyncio.Event().wait()

    async def main() -> asyncio.Task[None]:
        begun = asyncio.Event()
        task = asyncio.create_task(write(begun))
        await begun.wait()
        return task

    asyncio.run(main())
    assert not asyncio.run(stored(aenv, b"key"))
    asyncio.run(store(aenv, b"key"))


@pytest.mark.parametrize("dropped", [False, True])
def test_a_loop_that_ends_with_a_transaction(env: lmdb.Environment, dropped: bool) -> None:
    """A write transaction left behind by a closed loop is ended by the next loop, by close(), or when it is dropped."""
    aenv = aio.wrap(env)

    async def begin() -> aio.AsyncTransaction:
        return await aenv.begin(write=True)

    txn: aio.AsyncTransaction | None = asyncio.run(begin())
    if dropped:
        txn = None
        gc.collect()
        asyncio.run(store(aenv, b"key"))
    asyncio.run(aenv.close())
    assert (txn is None) == dropped


def test_a_loop_that_is_just_forgotten(env: lmdb.Environment) -> None:
    """A coroutine that is destroyed in its transaction, with its loop, aborts it."""
    aenv = aio.wrap(env)

    async def write() -> None:
        async with aenv.begin(write=True) as txn:
            await txn.put(b"key", b"value")
            reached.append(True)
            await asyncio.get_running_loop().create_future()

    reached: list[bool] = []
    loop = asyncio.new_event_loop()
    coroutine = write()
    task = loop.create_task(coroutine)
    while not reached:
        loop.run_until_complete(asyncio.sleep(0.001))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    with suppress(RuntimeError):  # no event loop is running, says the block's end
        coroutine.close()
    loop.close()
    del task, coroutine
    gc.collect()
    asyncio.run(store(aenv, b"other"))
    assert not asyncio.run(stored(aenv, b"key"))


# -- iteration -------------------------------------------------------------------------------------------------------

KEYS = [b"%04d" % number for number in range(10)]
ITEMS = [(key, b"value of " + key) for key in KEYS]


@pytest.mark.parametrize(
    ("name", "where", "expected"),
    [
        ("iternext", None, ITEMS),
        ("iternext", KEYS[4], ITEMS[4:]),
        ("iterprev", None, ITEMS[::-1]),
        ("iterprev", KEYS[4], ITEMS[4::-1]),
        ("iternext_nodup", KEYS[8], KEYS[8:]),
        ("iterprev_nodup", KEYS[1], KEYS[1::-1]),
    ],
)
@pytest.mark.parametrize("write", [False, True])
@asynchronous
async def test_iteration(
    env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch, write: bool, name: str, where: bytes | None, expected: Any
) -> None:
    """``async for`` gives what the list has, across batches, and leaves the cursor where it is."""
    monkeypatch.setattr(aio, "_BATCH_RECORDS", 3)
    aenv = aio.wrap(env)
    await store(aenv, *KEYS)
    async with aenv.begin(write=write) as txn, txn.cursor() as cursor:
        if where is not None:
            await cursor.set_key(where)
        assert [row async for row in getattr(cursor, name)()] == expected
        assert cursor.key() == (where or b"")
        assert await getattr(cursor, name)() == expected
        assert cursor.key() == b""


@asynchronous
async def test_iteration_over_the_values_of_a_key(opened: Open) -> None:
    """In a ``dupsort`` database it starts at the very value that the cursor is on."""
    aenv = aio.wrap(opened())
    db = await aenv.open_db(b"db", dupsort=True)
    async with aenv.begin(write=True, db=db) as txn:
        for value in (b"1", b"2", b"3"):
            await txn.put(b"key", value)
            await txn.put(b"other", value)
    async with aenv.begin(db=db) as txn, txn.cursor() as cursor:
        assert await cursor.set_key_dup(b"key", b"2")
        assert [row async for row in cursor.iternext_dup()] == [b"2", b"3"]
        assert [row async for row in cursor.iterprev_dup(keys=True)] == [(b"key", b"2"), (b"key", b"1")]
        assert [row async for row in cursor][1:3] == [(b"key", b"3"), (b"other", b"1")]


@asynchronous
async def test_rows_can_be_a_task(env: lmdb.Environment) -> None:
    """What iterates is a coroutine too, as in py-lmdb."""
    aenv = aio.wrap(env)
    await store(aenv, *KEYS)
    async with aenv.begin() as txn, txn.cursor() as cursor:
        assert await asyncio.create_task(cursor.iternext(values=False)) == KEYS
        assert list(await asyncio.gather(cursor.iterprev(), cursor.iternext())) == [ITEMS[::-1], ITEMS]


@asynchronous
async def test_iteration_reads_ahead(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A visit to the thread brings a batch of records, bounded in number and in bytes."""
    aenv = aio.wrap(env)
    await store(aenv, *KEYS)
    visits: list[int] = []
    batch = aio._batch

    def counted(*args: Any) -> list[Any]:
        rows = batch(*args)
        visits.append(len(rows))
        return rows

    monkeypatch.setattr(aio, "_batch", counted)
    async with aenv.begin() as txn, txn.cursor() as cursor:
        assert [row async for row in cursor] == ITEMS
        assert visits == [10, 0]
        visits.clear()
        monkeypatch.setattr(aio, "_BATCH_RECORDS", 4)
        assert [row async for row in cursor.iternext(values=False)] == KEYS
        assert visits == [4, 4, 2, 0]
        visits.clear()
        monkeypatch.setattr(aio, "_BATCH_BYTES", 18)  # a record has 17
        assert [row async for row in cursor] == ITEMS
        assert visits == [2, 2, 2, 2, 2, 0]


@asynchronous
async def test_iteration_in_a_write_transaction_sees_its_writes(env: lmdb.Environment) -> None:
    """There each record is read when its turn comes."""
    aenv = aio.wrap(env)
    await store(aenv, b"1", b"3", b"5")
    seen = []
    async with aenv.begin(write=True) as txn, txn.cursor() as cursor:
        async for key in cursor.iternext(values=False):
            seen.append(key)
            if key == b"1":
                await txn.put(b"2", b"")
                await txn.delete(b"3")
    assert seen == [b"1", b"2", b"5"]


@asynchronous
async def test_iteration_may_be_left(env: lmdb.Environment) -> None:
    """A loop that is left early holds nothing up, and another may run beside it."""
    aenv = aio.wrap(env)
    await store(aenv, *KEYS)
    pairs = []
    async with aenv.begin(write=True) as txn, txn.cursor() as cursor:
        async for key in cursor.iternext(values=False):
            async for other in cursor.iterprev(values=False):
                pairs.append((key, other))
                break
            if key == KEYS[1]:
                break
        await cursor.put(b"later", b"")
    assert pairs == [(KEYS[0], KEYS[9]), (KEYS[1], KEYS[9])]


def test_scan(opened: Open) -> None:
    """scan() is awaited for a list, or iterated in batches; it may be iterated again."""
    env = lmdb.aio.wrap(opened())

    async def work() -> None:
        async with env.begin(write=True) as txn:
            assert await txn.putmany([(b"%04d" % i, b"%d" % i) for i in range(3000)]) == 3000
            assert await txn.delete_range(start=b"2500") == 500
        async with env.begin() as txn:
            assert await txn.scan(prefix=b"000", limit=2) == [(b"0000", b"0"), (b"0001", b"1")]
            assert len([row async for row in txn.scan(reverse=True, values=False)]) == 2500
            assert await txn.getmany([b"0007", b"none"]) == [b"7", None]
            assert await txn.count_range(prefix=b"1") == 1000
        await env.close()

    asyncio.run(work())
