"""Memoryviews of the map, and how long they hold the snapshot that they show.

A view is of memory that LMDB takes back when its transaction ends. So a read transaction that ends while views of it
are alive ends for its user alone: LMDB's keeps its snapshot, and its reader slot, until the last of the views is gone.
A write transaction changes pages in place, so it gives views of copies.
"""

from __future__ import annotations

from _weakref import ref
from itertools import count

from lmdb_bindings import _memory
from lmdb_bindings._abi import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def of_copy(value: Any) -> memoryview:
    """A view of a copy of what an ``MDB_val`` names."""
    return memoryview(_memory.copy(value))


class _Reference(ref[object]):
    """A weak reference that knows its number."""

    __slots__ = ("number",)
    number: int


class LiveViews:
    """The views of one snapshot that somebody still has."""

    def __init__(self) -> None:
        # Of the objects that export the memory: whatever is derived from a memoryview keeps its exporter.
        self._exporters: dict[int, _Reference] = {}
        self._numbers = count()
        self._at_last: Callable[[], None] | None = None
        self._copies = False

    def __bool__(self) -> bool:
        # The collector clears weak references that are garbage themselves, without a word.
        for reference in list(self._exporters.values()):  # not items(): their tuples may start the collector
            if reference() is None:
                self._exporters.pop(reference.number, None)
        return bool(self._exporters)

    def make(self, value: Any) -> memoryview:
        """A read-only view of what an ``MDB_val`` names, in place: a store would hit the read-only map."""
        if self._copies:
            return of_copy(value)
        exporter = ffi.buffer(value.mv_data, value.mv_size)
        self.watch(exporter)
        return memoryview(exporter).toreadonly()

    def watch(self, exporter: Any) -> None:
        """Take it that whatever shows the memory of an exporter is a view."""
        number = next(self._numbers)
        self._exporters[number] = reference = _Reference(exporter, self._gone)
        reference.number = number

    def copy_from_now_on(self) -> None:
        """Give views of copies, which hold nothing."""
        self._copies = True

    def when_gone(self, action: Callable[[], None]) -> None:
        """Call ``action`` when the last view is gone, now if there is none."""
        self._at_last = action
        _waiting.add(self)
        if not self:
            self._finish()

    def _gone(self, reference: _Reference) -> None:
        self._exporters.pop(reference.number, None)
        if not self._exporters:
            self._finish()

    def _finish(self) -> None:
        action, self._at_last = self._at_last, None
        if action is not None:
            _waiting.discard(self)
            action()


# What waits for its last view is known to that view's weak reference alone, which does not keep it.
_waiting: set[LiveViews] = set()
