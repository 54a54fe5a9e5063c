"""The lock of a transaction, made so that a single look-up or store need not pay for it.

A lock of ``threading`` costs half as much as a whole look-up. Here whoever takes the one element out of a list has the
lock: ``del token[0]`` is atomic, and an ``IndexError`` says that somebody else has it. ``Transaction.get`` and ``put``,
and the ``get`` of a table's reader, do that themselves; everything else goes ``with`` the lock, and may do so again
while it has it.

A handler of a signal runs between two steps of Python, and its exception must not lose the token. Python looks for
signals after a call, at the beginning of a function, and where it goes back in a loop: so there is no such thing
between taking the token and the ``try`` whose ``finally`` gives it back, and it goes back by ``+=``. Only the beginning
of ``__exit__`` cannot be helped: what is lost there is found again, see ``_wait``. What such a handler, or a finalizer,
calls in the middle of a get or put of its own thread finds it by the local variable ``held`` there.
"""

from __future__ import annotations

import sys
import time
from _thread import get_ident

from lmdb_bindings._stack import LOST, is_at_work, is_nested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

TOKEN = (None,)

NO_WAYS = (None,) * 5 + (0,)  # 0: nobody's, where a transaction without such ways has None

_COURTESY = 0.0005
"""Seconds that are left to a thread that waits already."""


class TokenLock:
    """A lock that one thread has at a time, as often as it likes.

    Attributes:
        token: a list of one element while nobody has the lock, else of none.
        ways: what a single get or put needs, and the ``_direct`` of the transaction whose it is, since that itself
            would be a cycle; ``NO_WAYS`` where none may go without ``with``.
        left: what finalizers could not do, since they do not wait: whoever has the lock does it.
    """

    __slots__ = ("_borrowed", "_depth", "_owner", "_waiting", "left", "token", "ways")

    def __init__(self) -> None:
        self.token: list[None] = [None]
        self.ways: tuple[Any, ...] = NO_WAYS
        self.left: list[Callable[[], None]] = []
        self._waiting = 0
        self._owner = 0  # of who came by `with`
        self._depth = 0
        self._borrowed = False

    def __enter__(self) -> None:
        me = get_ident()
        if self._owner == me:
            self._depth += 1
            return
        if self._waiting:
            time.sleep(_COURTESY)
        try:
            del self.token[0]
        except IndexError:
            self._wait(me)
        self._owner = me
        self._depth = 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = 0
            if self._borrowed:
                self._borrowed = False
            else:
                self.token += TOKEN
                if self.left:
                    self.finish()

    def finalize(self, end: Callable[[], None]) -> None:
        """Do with the lock what a finalizer has to do, now, or leave it: a finalizer runs in the middle of anything,
        and whoever has the lock may be waiting for what its thread has.
        """
        me = get_ident()
        if self._owner != me:
            try:
                del self.token[0]
            except IndexError:
                self.left.append(end)
                return
            self._owner = me
            self._depth = 0
        self._depth += 1
        try:
            end()
        finally:
            self.__exit__()

    def finish(self) -> None:
        """Do what finalizers have left."""
        with self:
            while self.left:
                self.left.pop()()

    def is_within(self) -> bool:
        """Whether who has the lock came in the middle of a call of this very thread that has it: a handler of a signal,
        a finalizer, or the code of an argument. It may read. It must not write, or end anything, since the call goes on
        with what would have moved or be gone.
        """
        return (self._depth > 1 or self._borrowed) and is_nested()

    def would_be_within(self) -> bool:
        """The same, before the lock is taken."""
        named = self._owner == get_ident() or _holds_it_unnamed(sys._getframe(1), self)
        return named and is_nested()

    def may_go_direct(self) -> bool:
        """Whether single gets and puts may go without ``with``: not while a thread waits, since they give up the
        interpreter's lock just while they have the token, and nobody else would ever see it.
        """
        return not self._waiting

    def _wait(self, me: int) -> None:
        """Take the token when it is there."""
        self._waiting += 1
        try:
            self._take(me)
        finally:
            self._waiting -= 1

    def _take(self, me: int) -> None:
        if _holds_it_unnamed(sys._getframe(1), self):
            # A handler of a signal, or the collector, in the middle of a get or put of this very thread.
            self._borrowed = True
            return
        since, pause = time.monotonic(), 0.0
        while True:
            self.ways = NO_WAYS
            try:
                del self.token[0]
            except IndexError:
                time.sleep(pause)
                pause = min(pause + 0.00001, 0.001)
                if time.monotonic() - since > LOST:
                    owner = self._owner
                    if owner and owner != me and not is_at_work(owner) and owner == self._owner:
                        return  # the token is this thread's now
                    since = time.monotonic()
            else:
                return


def _holds_it_unnamed(frame: FrameType | None, lock: TokenLock) -> bool:
    """Whether a stack has a single get or put, which holds the lock without a name."""
    while frame is not None:
        if frame.f_code.co_name in ("get", "put") and frame.f_globals.get("__name__") in _SINGLE:
            here = frame.f_locals
            if here.get("held") and here["self"]._lock is lock:
                return True
        frame = frame.f_back
    return False


_SINGLE = (f"{__package__}._transaction", f"{__package__}.tables.flatbuffers")
