"""Which C object must end before which: cursors and nested transactions before their transaction, and transactions
before their environment.

LMDB frees an owner without asking for what was made from it, so a wrong order is a use after free. What ends by the
caller's word takes its dependents with it. The collector is the other case: it finalizes the objects of a dead cycle
in any order, and clears the weak references between them first, so an owner cannot find its dependents there; it
counts them, and leaves its end to the last of them.
"""

from __future__ import annotations

import os
from _weakref import ref
from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lmdb_bindings._token import TokenLock


class Owner(ABC):
    """An object with dependents, which hold it by a strong reference."""

    _dependents: dict[int, ref[Any]]
    _abandoned: bool

    def __init__(self) -> None:
        self._dependents = {}
        self._abandoned = False

    @abstractmethod
    def _end(self) -> None:
        """End the C object, and whatever depends on it."""

    def _adopt(self, dependent: Any) -> None:
        self._dependents[id(dependent)] = ref(dependent)

    def _release(self, dependent: Any) -> None:
        """Note the end of a dependent."""
        self._dependents.pop(id(dependent), None)
        if self._abandoned and not self._dependents:
            self._end()

    def _living(self) -> list[Any]:
        """The dependents that can be found, the latest first: a nested transaction before the cursors it shadows."""
        found = [reference() for reference in reversed(list(self._dependents.values()))]
        return [dependent for dependent in found if dependent is not None]

    if TYPE_CHECKING:  # the dependents that were made the short way, which only the base classes know: see ``_fast``

        def _end_lights(self, *_: Any) -> None: ...
        def _disown_lights(self) -> None: ...
        def _count_lights(self) -> int: ...

    def _users(self) -> int:
        """How many were made from it, and have not ended, be they garbage."""
        return len(self._dependents) + self._count_lights()

    def _disown(self) -> None:
        """In a child of fork(): what was made from it is the parent's."""
        self._disown_lights()
        for dependent in self._living():
            dependent._disown()
        self._dependents.clear()

    def _abandon(self) -> None:
        """End, by the collector's word."""
        self._end_lights()
        if self._dependents:
            self._abandoned = True
        else:
            self._end()


def finalize(end: Callable[[], None], lock: TokenLock, pid: int) -> None:
    """End an object by the collector's word, where that is safe.

    Args:
        end: what ends it.
        lock: held meanwhile; where another thread has it, ``end`` is left to that one.
        pid: of the process that made it. In a child of fork() it is the parent's, and so is what it would release.
    """
    if pid == os.getpid():
        lock.finalize(end)
