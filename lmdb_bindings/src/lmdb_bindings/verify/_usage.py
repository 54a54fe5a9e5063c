"""Who uses each page: a tree, the free list, or, in a damaged file, both or neither.

"Each non-metapage up to mm_last_pg is reachable exactly once in the snapshot" (``mdb.c``, ``MDB_page``). The file may
end before that page, where only free ones follow; what those are is kept by their numbers, so that a number in a meta
page cannot ask for memory that the file does not account for. And since a file may be sparse, the state of its pages is
in maps, which take memory only where something was noted.
"""

from __future__ import annotations

import mmap
import operator
from array import array

from lmdb_bindings.verify import _format as f
from lmdb_bindings.verify._report import DamageError, Report, VerifyError

_LIVE, _FREE = b"\1", b"\2"
_BOTH = b"\3"
_BLOCK = 1 << 20


class Usage:
    """The use of every page of a snapshot.

    Args:
        last_page: mm_last_pg.
        in_file: the number of pages that the file has.
    """

    def __init__(self, last_page: int, in_file: int) -> None:
        self.next_pgno = last_page + 1
        self._held = min(self.next_pgno, in_file)
        try:
            self._live, self._free = (mmap.mmap(-1, self._held, access=mmap.ACCESS_COPY) for _ in range(2))
        except (OSError, OverflowError) as reason:
            raise VerifyError(f"no memory for the state of {self._held} pages") from reason
        self._beyond = array("Q")
        self._tail = bytearray()
        self._surplus: list[tuple[int, int, str]] = []

    def free(self) -> bytes:
        """For each page up to the last one, whether the free list has it."""
        return self._free[:] + bytes(self._tail)

    def check(self, first: int, count: int = 1) -> None:
        """See that a run of pages is in the snapshot and in the file.

        Raises:
            DamageError: it is not.
        """
        if first < f.METAS or first + count > self.next_pgno:
            raise DamageError(f"{_pages(first, count)} out of range: the last page is {self.next_pgno - 1}")
        if first + count > self._held:
            raise DamageError(f"{_pages(first, count)} beyond EOF: the file has {self._held} pages")

    def claim(self, first: int, count: int = 1) -> None:
        """Note a run of pages as used by a tree.

        Raises:
            DamageError: it is not there, or one of its pages is used already.
        """
        self.check(first, count)
        used = self._live.find(_LIVE, first, first + count)
        if used >= 0:
            raise DamageError(f"page {used} is used twice")
        self._live[first : first + count] = _LIVE * count

    def claim_surplus(self, first: int, count: int, what: str) -> None:
        """Note the end of an overflow run that its value does not need; to be settled when all others are known.

        LMDB leaves a run as long as it is when a value gets shorter in the transaction that made it.
        """
        self._surplus.append((first, count, what))

    def release(self, ids: array[int], report: Report, where: str) -> None:
        """Note pages as free, and report those that are already."""
        for pgno in ids:
            if pgno >= self._held:
                self._beyond.append(pgno)
            elif self._free[pgno]:
                report.add(f"{where}: page {pgno} is in the freeDB twice")
            else:
                self._free[pgno] = _FREE[0]

    def settle(self, report: Report, complete: bool) -> None:
        """Report what is used twice; and what is not used at all, if all trees could be followed to their ends."""
        self._settle_beyond(report, complete)
        for first, count, what in self._surplus:
            if max(self._live.find(_LIVE, first, first + count), self._free.find(_FREE, first, first + count)) >= 0:
                report.add(f"{what}, and others of them are in use elsewhere")
            for start in range(first, first + count, _BLOCK):
                report.spend(0)
                past = min(start + _BLOCK, first + count)
                self._live[start:past] = _LIVE * (past - start)
        lost, first_lost = 0, 0
        for start in range(0, self._held, _BLOCK):
            report.spend(0)
            past = min(start + _BLOCK, self._held)
            state = _either(self._live[start:past], self._free[start:past])
            if start == 0:
                state = _LIVE * f.METAS + state[f.METAS :]
            at = state.find(_BOTH)
            while at >= 0:
                report.add(f"page {start + at} is both reachable and in the freeDB")
                at = state.find(_BOTH, at + 1)
            if complete and (unused := state.count(0)):
                first_lost = first_lost or start + state.find(0)
                lost += unused
        if lost:
            report.add(f"{lost} pages are neither reachable nor in the freeDB; the first is page {first_lost}")

    def _settle_beyond(self, report: Report, complete: bool) -> None:
        missing = self.next_pgno - self._held - len(self._beyond)
        if missing > 0:
            if complete:
                report.add(f"{missing} pages beyond EOF are not in the freeDB: mm_last_pg is {self.next_pgno - 1}, and "
                           f"the file has {self._held} pages")  # fmt: skip
            return
        self._tail = bytearray(self.next_pgno - self._held)
        for pgno in self._beyond:
            if self._tail[pgno - self._held]:
                report.add(f"page {pgno}, beyond EOF, is in the freeDB twice")
            self._tail[pgno - self._held] = _FREE[0]


def ids_of(data: bytes) -> array[int]:
    """The numbers in a part of a free list record."""
    ids = array("Q")
    ids.frombytes(data)
    return ids


def descends(ids: array[int]) -> bool:
    """Whether each number is less than the one before it."""
    return all(map(operator.gt, ids, ids[1:]))


def _either(one: bytes, other: bytes) -> bytes:
    # As integers: a loop over all pages of a large file would take longer than reading its trees.
    return (int.from_bytes(one, "little") | int.from_bytes(other, "little")).to_bytes(len(one), "little")


def _pages(first: int, count: int) -> str:
    return f"page {first}" if count == 1 else f"pages {first} to {first + count - 1}"
