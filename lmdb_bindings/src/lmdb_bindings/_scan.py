"""The records of a range, to be iterated over, or exported in columns."""

from __future__ import annotations

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings import _iteration
from lmdb_bindings._generic import Generic, Item
from lmdb_bindings._iteration import Iteration
from lmdb_bindings._range import check_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from lmdb_bindings._cursor import Cursor
    from lmdb_bindings._database import _Database
    from lmdb_bindings._plain import Columns, Places
    from lmdb_bindings._range import Range
    from lmdb_bindings._transaction import Transaction

    Made = TypeVar("Made")

BATCH = 65536
"""Records of an exported batch at most; its bytes are bounded too."""


class Scan(Generic[Item]):
    """What :meth:`Transaction.scan` gives. It may be used again and again: each use has a cursor of its own, and lives
    in the transaction. Memory is bounded by a batch, not by the result.
    """

    def __init__(
        self, txn: Transaction, database: _Database, within: Range, *, keys: bool, values: bool, limit: int | None
    ) -> None:
        if not (keys or values):
            raise ValueError("a scan without keys and values gives nothing: use count_range()")
        check_limit(limit)
        self._txn = txn
        self._database = database
        self._range = within
        self._what = b.KEYS * bool(keys) | b.VALUES * bool(values)
        self._limit = limit

    def __iter__(self) -> Iterator[Item]:
        """Iterate: pairs, or keys, or values. What the transaction writes meanwhile is seen as by a cursor."""
        cursor = self._txn.cursor(self._database)
        return Iteration(self._begin(cursor)).of(cursor)

    def _begin(self, cursor: Cursor[Any]) -> Any:
        return cursor._scan(self._range, self._what, b.START, self._limit)

    def to_list(self) -> list[Item]:
        """The records as a list: somewhat faster than ``list()``, which must be ready for writes in between."""
        records: list[Any] = []
        with self._txn.cursor(self._database) as cursor:
            scan = self._begin(cursor)
            while scan.state != b.END:
                with cursor._lock:
                    batch = scan.read(cursor._live(), _iteration.MOST)
                    records += batch if scan.width == 1 else zip(batch, batch)  # noqa: B905 (one iterator, twice)
                    _stay_behind(scan, cursor)
            scan.close()
        return records

    def columns(self, batch: int = BATCH) -> Iterator[Columns]:
        """The records in columns, batch by batch.

        Args:
            batch: records of a batch at most; a batch has some 1 MiB of keys and of values at most, or one record.

        Yields:
            ``records``, how many, ``keys`` and ``values``: None, or a pair of buffers, 64-bit offsets and bytes.
        """
        if batch < 1:
            raise ValueError(f"batch={batch}: a number of records, 1 at least")
        with self._txn.cursor(self._database) as cursor:
            scan = self._begin(cursor)
            while True:
                with cursor._lock:
                    columns: Columns = scan.read_columns(cursor._live(), batch)
                    _stay_behind(scan, cursor)
                if columns.records:
                    yield columns
                if scan.state == b.END:
                    return

    def _batches(self, take: Callable[[Places], Made], batch: int = BATCH) -> Iterator[Made]:
        """What a function makes of each batch of records where they are: it must be done with them when it returns."""
        if batch < 1:
            raise ValueError(f"batch={batch}: a number of records, 1 at least")
        with self._txn.cursor(self._database) as cursor:
            scan = self._begin(cursor)
            while scan.state != b.END:
                with cursor._lock:
                    places: Places = scan.read_places(cursor._live(), batch)
                    made = [take(places)] if places.records else []
                    _stay_behind(scan, cursor)
                yield from made

    def to_arrow(self) -> Any:
        """The records as a ``pyarrow.Table`` with the columns ``key`` and ``value``, as ``large_binary``.

        Raises:
            ImportError: pyarrow is not installed.
        """
        return self.to_arrow_reader().read_all()

    def to_arrow_reader(self, batch: int = BATCH) -> Any:
        """The records as a ``pyarrow.RecordBatchReader``, read batch by batch while the transaction is open.

        Args:
            batch: see :meth:`columns`.

        Raises:
            ImportError: pyarrow is not installed.
        """
        from lmdb_bindings import _arrow

        return _arrow.reader(self._what, self.columns(batch))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Apache Arrow's PyCapsule interface: Polars, DuckDB and others take the scan itself as a table."""
        return self.to_arrow_reader().__arrow_c_stream__(requested_schema)

    def to_numpy(self, key: Any = None, value: Any = None) -> Any:
        """Keys and values of fixed sizes as NumPy arrays.

        Args:
            key: the dtype of a key; None for bytes of the first key's length (``S``).
            value: the dtype of a value; likewise.

        Returns:
            Two arrays, or one where the scan gives only keys or values.

        Raises:
            ValueError: a key or a value has another length; the text says which.
            ImportError: NumPy is not installed.
        """
        from lmdb_bindings import _arrays

        kinds = [kind for what, kind in ((b.KEYS, ("key", key)), (b.VALUES, ("value", value))) if self._what & what]
        return _arrays.fixed(kinds, self.columns())


def _stay_behind(scan: Any, cursor: Cursor[Any]) -> None:
    """Before others may write: go back from a record that was looked at, and not given, since some may be put there."""
    if scan.state == b.CURRENT:
        scan.step_back(cursor._handle, 1)
        scan.state, scan.beyond = b.AFTER, 0
