"""The memory of a read transaction, as Python reads records in it: where they are, and no longer than it lasts.

One memoryview shows all of the address space that matters; a record is that and a position. Before LMDB takes the pages
back, the view is released, after which CPython itself refuses every access, in whatever thread. Only verified records
are read, so none leads outside the map.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lmdb_bindings._abi import ffi

if TYPE_CHECKING:
    from lmdb_bindings._transaction import Transaction

BITS = 8 * ffi.sizeof("size_t") - 2
"""A window begins at a multiple of 2 to this power, and has nearly twice as many bytes, which is all that a view can
have. So every record that begins in its first half lies whole in it; on 64 bits there is never another window.
"""

REST = (1 << BITS) - 1

_SIZE = (1 << BITS + 1) - 1


class Snapshot:
    """The windows of a read transaction. They are opened with its lock held, while it is open.

    Attributes:
        windows: those that are open, by their numbers: read-only memoryviews.
    """

    __slots__ = ("windows",)

    def __init__(self) -> None:
        self.windows: dict[int, memoryview] = {}

    def open(self, address: int) -> None:
        """Open the window that an address is in; there ``address & REST`` is its position."""
        number = address >> BITS
        if number not in self.windows:
            exporter = ffi.buffer(ffi.cast("char *", number << BITS), _SIZE)
            self.windows[number] = memoryview(exporter).toreadonly()

    def close(self) -> list[Any]:
        """Close the windows.

        Returns:
            What exports the memory of those that somebody may have taken a view of, alive as long as there is one.
        """
        exporters = []
        while self.windows:
            window = self.windows.popitem()[1]
            exporter = window.obj
            try:
                window.release()
            except BufferError:
                exporters.append(exporter)
            else:
                # Views of it are not known to it; but without reference counts an exporter without any lives on too.
                exporters += [exporter] if _COUNTS_REFERENCES else []
        return exporters


_COUNTS_REFERENCES = sys.implementation.name == "cpython"


def snapshot_of(txn: Transaction[Any]) -> Snapshot | None:
    """What shows the memory of a transaction; None where pages may change or go while it is open.

    That is in write transactions, where pages are remapped, and where a database was opened: LMDB settles what it
    thinks of the handle at the end of the transaction, which then must not wait for anybody.
    """
    txn._live()
    if txn._write or txn._parent is not None or txn.env._remapped or txn._opened:
        return None
    if txn._snapshot is None:
        txn._snapshot = Snapshot()
    snapshot: Snapshot = txn._snapshot
    return snapshot
