"""Iterators that read ahead of their cursor, and still behave as if they took one record at a time.

Records are read in batches, since a crossing into C costs more than a record. What a batch holds is what stepping
would give for as long as nothing happens in between; so before anything does (a write in the transaction, a use of
the cursor, another iteration), the cursor is put where stepping would have left it, and the rest of the batch is
forgotten. Batches begin small and grow, and are single records again where something keeps happening.
"""

from __future__ import annotations

from itertools import chain

from lmdb_bindings import _bulk_constants as b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from lmdb_bindings._cursor import Cursor

FIRST = 32
"""Records of the first batch: many iterations end soon."""

GROWTH = 128

MOST = 4096
"""Records of a batch at most."""


class Iteration:
    """One iteration of a cursor, which it does not know: the two would be a cycle, and wait for the collector.

    Args:
        scan: what reads its records.
    """

    def __init__(self, scan: Any) -> None:
        self._scan = scan
        self._ahead: Any = iter(())  # over the batch
        self._begun = False
        self._beginning = scan.state
        self._first = 0  # records of the first batch

    def of(self, cursor: Cursor) -> Iterator[Any]:
        """The records, by this cursor, whose position is where the iteration is."""
        return chain.from_iterable(self._batches(cursor))

    def _batches(self, cursor: Cursor) -> Iterator[Iterator[Any]]:
        scan = self._scan
        # Stepping back by keys leads to the first value of a key, and an iteration may begin at any.
        size = 1 if scan.state == b.CURRENT and scan.nodup else FIRST
        while True:
            with cursor._lock:
                cursor._open_handle()
                if cursor._iteration is not self:  # the first time, or something has happened
                    cursor._settle()
                    if not self._begun and scan.state == b.CURRENT and not cursor._positioned:
                        return
                    if self._begun:
                        size = 1
                        if scan.state == b.END and scan.remaining != 0:
                            scan.state = b.AFTER
                self._ahead = ahead = scan.read(cursor._handle, size)
                self._first = 0 if self._begun else ahead.__length_hint__() // scan.width
                self._begun = True
                if not ahead.__length_hint__():
                    cursor._iteration = None
                    cursor._unset()
                    scan.close()
                    return
                cursor._iteration = self
                cursor.txn._iterating = True
            yield ahead if scan.width == 1 else zip(ahead, ahead)  # noqa: B905 (one iterator, twice)
            size = min(size * GROWTH, MOST)

    def forget(self) -> int:
        """Give nothing more of the batch. Returns how many records that leaves out."""
        left = int(self._ahead.__length_hint__())
        for _ in self._ahead:
            pass
        self._scan.close()
        return left // int(self._scan.width)

    def settle(self, cursor: Any) -> None:
        """Put LMDB's cursor on the record given last."""
        scan, left = self._scan, self.forget()
        back = left + scan.beyond
        if left and left == self._first:  # a handler of a signal was faster than the first record
            if self._beginning == b.CURRENT:
                scan.step_back(cursor, back - 1)
            scan.state, self._begun = self._beginning, False
        elif back:
            scan.step_back(cursor, back)
            scan.state = b.AFTER
        elif scan.state == b.END:
            scan.unmark_end(cursor)
        scan.beyond = 0
        if scan.remaining is not None:
            scan.remaining += left
