"""What an exception between two steps of Python leaves behind: nothing that others would wait for without end.

A handler of a signal may raise anywhere. Here the books are left as such an exception would leave them, or a real signal
is sent at many moments; then somebody else must get on.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import lmdb_bindings as lmdb

Open = Callable[..., lmdb.Environment]


class InterruptionError(Exception):
    """Raised by the handler."""


def in_thread(function: Callable[[], object]) -> None:
    """Run a function in another thread; fail where it does not come back."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as problem:  # noqa: BLE001 (raised below)
            problems.append(problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if problems:
        raise problems[0]


def write(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")


@pytest.mark.parametrize("by", [lambda env: env.close(), lambda env: env.set_mapsize(1 << 22)], ids=["close", "resize"])
def test_a_call_that_was_not_counted_out(env: lmdb.Environment, by: Callable[[lmdb.Environment], object]) -> None:
    """Who wants the environment alone does not wait for a call that was left by an exception."""
    env._access.__enter__()
    in_thread(lambda: by(env))


def test_an_owner_that_left(env: lmdb.Environment) -> None:
    """Calls do not wait for who had the environment alone and was interrupted."""
    env._access.alone().__enter__()
    in_thread(env.stat)


@pytest.mark.parametrize("ended", [False, True], ids=["thread alive", "thread ended"])
def test_a_turn_that_was_lost(env: lmdb.Environment, *, ended: bool) -> None:
    """Writers do not wait for a thread whose turn never became a transaction."""
    if ended:
        in_thread(env._access.take_turn)
    else:
        env._access.take_turn()
    in_thread(lambda: write(env))


def test_ones_own_turn_that_was_lost(env: lmdb.Environment) -> None:
    """Nor does that thread take it for a transaction of its own."""
    env._access.take_turn()
    write(env)
    with env.begin(write=True), pytest.raises(lmdb.Error, match="would deadlock"):
        env.begin(write=True)


def test_a_turn_is_not_lost_while_its_transaction_is_open(env: lmdb.Environment) -> None:
    """However long a writer does something else, the next one waits."""
    txn = env.begin(write=True)
    waiting = threading.Thread(target=write, args=(env,))
    waiting.start()
    waiting.join(2.5)
    assert waiting.is_alive()
    txn.put(b"key", b"first")
    txn.commit()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_handler_in_the_middle_of_begin_may_not_write(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs between a turn and its transaction is told that it would wait for itself."""
    problems: list[lmdb.Error] = []
    begin = lmdb.Transaction._begin

    def interrupted(txn: Any, parent: Any) -> Any:
        monkeypatch.undo()
        exec(compile("try:\n    env.begin(write=True)\nexcept lmdb.Error as problem:\n    problems.append(problem)",
                     "handler", "exec"), {"env": env, "lmdb": lmdb, "problems": problems})  # fmt: skip
        return begin(txn, parent)

    monkeypatch.setattr(lmdb.Transaction, "_begin", interrupted)
    write(env)
    [problem] = problems
    assert "This would deadlock" in str(problem)


Interrupt = Callable[[float, Callable[[], object]], None]


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    """Call a function again and again, until the handler of a signal raises after so many seconds of processor time."""

    def handler(*_: object) -> None:
        raise InterruptionError

    def interrupt(seconds: float, function: Callable[[], object]) -> None:
        with suppress(InterruptionError):
            # Again after a while, since an exception in a finalizer goes nowhere.
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.05)
            try:
                while True:
                    function()
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        gc.collect()  # the transaction that was open is garbage

    before = signal.signal(signal.SIGVTALRM, handler)
    yield interrupt
    signal.signal(signal.SIGVTALRM, before)


def work(env: lmdb.Environment) -> None:
    """Something of everything."""
    with env.begin(write=True) as txn:
        txn.putmany([(b"%04d" % number, b"value") for number in range(200)])
        for key, _value in txn.scan():
            txn.put(key, b"other")
        txn.pop(b"0000")
    with env.begin() as txn:
        list(txn.cursor())
        txn.getmany([b"0001", b"none"])
        txn.get(b"0001")
    env.info()


@pytest.mark.skipif(
    sys.version_info < (3, 11),
    reason="CPython 3.10 calls handlers between any two instructions, which no Python code can guard: docs/platforms.md",
)
@pytest.mark.counts_references
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signals_at_any_moment(opened: Open, interrupt: Interrupt) -> None:
    """After an interruption, whenever it comes, others go on, and the environment can be closed."""
    env = opened(map_size=1 << 24, sync=False)
    began = time.process_time()
    for _ in range(10):
        work(env)
    one = (time.process_time() - began) / 10
    for number in range(100):
        interrupt(one * (number % 50 + 0.5) / 50, lambda: work(env))
        if number % 10 == 9:
            in_thread(lambda: work(env))
    in_thread(env.close)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_iterations_that_are_interrupted(opened: Open, interrupt: Interrupt) -> None:
    """An iterator gives each record once, in order, up to where it was interrupted, and others are not disturbed."""
    env = opened(map_size=1 << 24, sync=False)
    records = [(b"%06d" % number, b"value") for number in range(20_000)]
    with env.begin(write=True) as txn:
        txn.putmany(records)
    with env.begin() as txn:
        for number in range(20):
            found: list[Any] = []

            def iterate(found: list[Any] = found) -> None:
                found.clear()
                for record in txn.cursor():
                    found.append(record)  # noqa: PERF402 (in Python, so that the signal comes between two)

            interrupt(0.0005 * (number + 1), iterate)
            assert found == records[: len(found)]
            assert list(txn.scan()) == records


@pytest.mark.filterwarnings("ignore:a write transaction of thread:ResourceWarning")
@pytest.mark.parametrize("reused", [False, True], ids=["another thread", "a thread of that number"])
def test_writers_left_to_the_collector(env: lmdb.Environment, *, reused: bool) -> None:
    """A write transaction that its thread has dropped, found by the collector elsewhere, does not block the next."""

    def leave() -> None:
        txn: Any = env.begin(write=True)
        txn.put(b"key", b"never")
        txn.itself = txn

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    if reused:  # as likely as not: what ended last is taken first
        in_thread(lambda: write(env))
    else:
        write(env)
    with env.begin() as txn:
        assert txn.get(b"key") == b"value"
