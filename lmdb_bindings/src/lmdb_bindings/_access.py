"""Who may use an environment's C object, and when.

LMDB leaves two things to its caller that threads would get wrong. Closing and resizing take the map away under
whoever reads it, so they have the environment alone. And a writer that waits in LMDB waits where nobody sees it, so
the writers of this process wait here: first come first served, since a thread that writes again and again would never
let go of a plain lock, and ``close()`` would wait for it forever.

What goes on within a transaction is not seen here: each has a lock of its own, and ends before the environment does.
"""

from __future__ import annotations

import errno
import gc
import time
from _thread import get_ident

from lmdb_bindings._stack import LOST, is_at_work, is_nested
from lmdb_bindings._token import TOKEN
from lmdb_bindings.errors import error, in_a_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_LOOK = 0.1
"""Seconds after which who waits for a writer looks whether it is one that will never come back."""


class Access:
    """The access to one environment. As a context manager: a call that shares it.

    Args:
        look: ends writers that will never come back; called now and then by who waits.
        is_writing: whether a thread has an open write transaction.
        is_in_a_call: whether its caller comes in the middle of a call of this thread in a transaction.
    """

    def __init__(
        self, look: Callable[[], None], is_writing: Callable[[int], bool], is_in_a_call: Callable[[], bool]
    ) -> None:
        self._look = look
        self._is_writing = is_writing
        self._is_in_a_call = is_in_a_call
        # Not above: an import that opens nothing yet is the faster by a third.
        from collections import deque
        from threading import Condition, RLock

        self._lock = RLock()  # re-entrant: the collector may end a transaction in the middle of anything
        self._changed = Condition(self._lock)
        self._waiting = 0  # to notify nobody takes time, too
        # Threads. What an interrupted one has left here is found by those who wait: see _stack.
        self._callers: list[int] = []
        self._alone = 0
        self.doors: list[None] = [None]  # empty while somebody has, or waits to have, the environment alone
        self._line: deque[int] = deque()  # the first has the write transaction, or waits in LMDB for it

    def __enter__(self) -> None:
        with self._lock:
            while self._alone:
                self._wait()
            self._callers.append(get_ident())

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._callers.remove(get_ident())
            if self._waiting:
                self._changed.notify_all()

    def alone(self) -> _Block:
        """Wait until no call is under way, and keep others out.

        Raises:
            Error: one of this very thread is: what comes in the middle of it would wait for itself, or take away what
                it goes on with.
        """
        return _Block(self._keep_out, self._let_in)

    def _keep_out(self) -> None:
        if (get_ident() in self._callers and is_nested()) or self._is_in_a_call():
            raise in_a_call()
        with self._lock:
            me = get_ident()
            self._callers = [thread for thread in self._callers if thread != me]  # lost: it is here
            while self._alone:
                self._wait()
            self._alone = get_ident()
            self.doors.clear()
            try:
                while self._callers:
                    self._wait()
            except BaseException:
                self._let_in()
                raise

    def _let_in(self) -> None:
        with self._lock:
            self._alone = 0
            self.doors[:] = TOKEN
            self._changed.notify_all()

    def _wait(self) -> None:
        """Wait for a change; where there is none for long, drop what was lost."""
        self._waiting += 1
        try:
            changed = self._changed.wait(LOST)
        finally:
            self._waiting -= 1
        if not changed:
            self._callers = [thread for thread in self._callers if is_at_work(thread)]
            if self._alone and not is_at_work(self._alone):
                self._alone = 0
                self.doors[:] = TOKEN

    # -- the writers' turns ----------------------------------------------------------------------------------------

    def is_mine(self) -> bool:
        """Whether this thread has the write transaction."""
        return get_ident() in self._line

    def take_turn(self, timeout: float | None = None) -> bool:
        """Wait for the writers that came first.

        Args:
            timeout: for so many seconds at most; then the result is False.

        Raises:
            Error: this thread has the write transaction already, and would wait for itself.
        """
        me = get_ident()
        with self._lock:
            if me in self._line and self._is_writing(me):
                gc.collect()  # it may be garbage, of a thread that is no more and had the same number
            if me in self._line:
                if self._is_writing(me) or is_nested():
                    raise error("Attempt to start a write transaction while another write transaction is active on the "
                                "same thread. This would deadlock.", errno.EBUSY)  # fmt: skip
                self._line.remove(me)  # lost
            self._line.append(me)
            mine = False
            try:
                mine = self._line[0] == me or self._becomes_first(me, timeout)
            finally:
                if not mine:
                    self._line.remove(me)
                    self._changed.notify_all()
        return mine

    def _becomes_first(self, me: int, timeout: float | None) -> bool:
        since = time.monotonic()
        looked, collected = since, False
        while not self._changed.wait_for(lambda: self._line[0] == me, _LOOK):
            self._look()
            now = time.monotonic()
            if now - looked > LOST:
                looked = now
                if not collected:
                    collected = True
                    gc.collect()  # the transaction may be garbage, and nobody else may have a reason to look for that
                self._drop_lost_turn()
            if timeout is not None and now - since > timeout:
                return False
        return True

    def _drop_lost_turn(self) -> None:
        first = self._line[0]
        if not (is_at_work(first) or self._is_writing(first)):
            self._line.popleft()
            self._changed.notify_all()

    def pass_turn(self, thread: int | None = None) -> None:
        """Let the next writer have its turn, if it was that of this thread, or of another one given."""
        mine = get_ident() if thread is None else thread
        with self._lock:
            if self._line and self._line[0] == mine:
                self._line.popleft()
            if self._line:
                self._changed.notify_all()

    def turn(self) -> _Block:
        """Keep the writers of other threads away; one of this thread stays."""
        with self._lock:
            mine = bool(self._line) and self._line[0] == get_ident()
        return _Block(lambda: None, lambda: None) if mine else _Block(self.take_turn, self.pass_turn)


class _Block:
    """A context manager of two functions: for before the block, and for its end."""

    def __init__(self, enter: Callable[[], object], leave: Callable[[], object]) -> None:
        self._enter = enter
        self._leave = leave

    def __enter__(self) -> None:
        self._enter()

    def __exit__(self, *_: object) -> None:
        self._leave()
