"""One page, or a sub-page within a node, and the nodes on it."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import NamedTuple

from lmdb_bindings.verify import _format as f
from lmdb_bindings.verify._report import DamageError


class Node(NamedTuple):
    """A node: its key, and where its data is in the page's buffer.

    Attributes:
        size: of the value, in bytes; of a branch's node, the low 32 bits of the child's number.
        flags: of a branch's node, the high 16 bits of it.
    """

    size: int
    flags: int
    key: bytes
    at: int

    @property
    def child(self) -> int:
        """The page that a branch's node leads to."""
        return self.size | self.flags << 32


class Page:
    """A page as its header describes it.

    Attributes:
        pgno: what it takes for its own number.
        stamps: mp_txnid, where the format has it.
        pad: the size of a LEAF2 page's keys, in bytes.
        flags: its type.
        buffer, start, end: where it is: a sub-page is amid another one, and a checksum is not within.
    """

    def __init__(self, row: f.Format, buffer: bytes, start: int, end: int) -> None:
        self._row = row
        self.buffer, self.start, self.end = buffer, start, end
        fields: tuple[int, ...] = row.header.unpack_from(buffer, start)
        self.pgno, *self.stamps, self.pad, self.flags, self.lower, self.upper = fields

    @property
    def run(self) -> int:
        """How many pages an overflow page and its continuation are."""
        [pages] = f.RUN.unpack_from(self.buffer, self.start + self._row.header.size - f.RUN.size)
        return int(pages)

    def count(self) -> int:
        """The number of its keys.

        Raises:
            DamageError: its bounds are not within it.
        """
        least = self._row.header.size - self._row.base
        count = (self.lower - least) >> 1
        most = self.end - self.start - self._row.base
        if self.flags & f.LEAF2:
            most += 2 * count  # mp_upper only counts there, and a key of one byte makes it grow (mdb_node_add)
        if self.lower < least or (self.lower - least) & 1 or not self.lower <= self.upper <= most:
            raise DamageError(f"bad mp_lower/mp_upper {self.lower}/{self.upper}")
        return count

    def fixed(self) -> list[bytes]:
        """The keys of a LEAF2 page.

        Raises:
            DamageError: they are not within it.
        """
        count, first = self.count(), self.start + self._row.header.size
        if not self.pad or count * self.pad > self.end - first:
            raise DamageError(f"{count} keys of mp_pad {self.pad} bytes do not fit")
        return [self.buffer[at : at + self.pad] for at in range(first, first + count * self.pad, self.pad)]

    def nodes(self) -> list[Node]:
        """The nodes of a branch or leaf.

        Raises:
            DamageError: one of them is not within it, or shares bytes with another.
        """
        row, buffer, branch = self._row, self.buffer, self.flags & f.BRANCH
        offsets = struct.unpack_from(f"={self.count()}H", buffer, self.start + row.header.size)
        nodes, extents = [], []
        for index, offset in enumerate(offsets):
            first = self.start + row.base + offset
            if offset < self.upper or offset & 1 or first + f.NODE.size > self.end:
                raise DamageError(f"node {index}: offset {offset} out of bounds")
            size, flags, key_size = f.NODE.unpack_from(buffer, first)
            key_at = first + f.NODE.size
            at = past = key_at + key_size + -key_size % row.key_unit
            if branch:
                past = key_at + key_size
            else:
                past += row.overflow.size if flags & f.BIGDATA else size
            if past > self.end:
                raise DamageError(f"node {index}: it ends {past - self.end} bytes past the page")
            nodes.append(Node(size, flags, buffer[key_at : key_at + key_size], at))
            extents.append((first, past))
        extents.sort()
        for (_, past), (first, _) in pairwise(extents):
            if first < past:
                raise DamageError(f"two nodes overlap at offset {first - self.start}")
        return nodes
