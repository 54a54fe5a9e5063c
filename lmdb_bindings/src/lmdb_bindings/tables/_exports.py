"""What tables and queries have in common: their records as Arrow, and as frames of pandas and Polars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmdb_bindings.tables._query import Query


class Exports:
    """Records that can be exported."""

    __slots__ = ()

    def _exported(self) -> Query[Any, Any, Any]:
        """The records."""
        raise NotImplementedError

    def to_arrow(self, columns: Sequence[str] | None = None, *, schema: Any = None) -> Any:
        """The records as a ``pyarrow.Table``; the arguments are those of :meth:`to_arrow_reader`."""
        return self.to_arrow_reader(columns, schema=schema).read_all()

    def to_arrow_reader(
        self, columns: Sequence[str] | None = None, *, schema: Any = None, batch: int | None = None
    ) -> Any:
        """The records as a ``pyarrow.RecordBatchReader``, read batch by batch: in the transaction that the table is
        bound to, while that is open, or in one that lasts as long as batches are asked for.

        Args:
            columns: the paths of fields (``"price"``, ``"at.x"``); None for all, behind ``key``, or ``key.0``,
                ``key.1`` and so on, where keys are not made of fields.
            schema: the ``pyarrow.Schema`` of the columns; what no record has is null there. None where it is to be told
                by the first batch. Not for FlatBuffers, whose schema says it.
            batch: records of a batch at most, by default 65,536. Of FlatBuffers 8,192, and some 4 MiB of them, or one
                record.

        Raises:
            DamagedError: a record is not what the schema of the table says.
            ValueError: a later batch has other columns than the first; or values are not of the types of ``schema``; or
                the keys and a field have the same name.
            ImportError: pyarrow is not installed.
        """
        from lmdb_bindings.tables import _arrow

        return _arrow.reader(self._exported(), columns, schema, batch)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Apache Arrow's PyCapsule interface: Polars, DuckDB and others take a query as it is. Some take a table for
        the mapping that it also is: give them its ``range()``.
        """
        return self.to_arrow_reader().__arrow_c_stream__(requested_schema)

    def to_pandas(self, columns: Sequence[str] | None = None, *, schema: Any = None, arrow_types: bool = False) -> Any:
        """The records as a ``pandas.DataFrame``.

        Args:
            columns: see :meth:`to_arrow_reader`.
            schema: likewise.
            arrow_types: keep Arrow's types (``pandas.ArrowDtype``); else what pyarrow makes of them: integers that may
                be absent become floats.

        Raises:
            ImportError: pandas or pyarrow is not installed.
        """
        try:
            import pandas as pd
        except ImportError as problem:
            raise ImportError("the export to pandas needs it: pip install lmdb-bindings[pandas]") from problem
        return self.to_arrow(columns, schema=schema).to_pandas(types_mapper=pd.ArrowDtype if arrow_types else None)

    def to_polars(self, columns: Sequence[str] | None = None, *, schema: Any = None) -> Any:
        """The records as a ``polars.DataFrame``; the arguments are those of :meth:`to_arrow_reader`.

        Raises:
            ImportError: Polars or pyarrow is not installed.
        """
        try:
            import polars as pl
        except ImportError as problem:
            raise ImportError("the export to Polars needs it: pip install lmdb-bindings[polars]") from problem
        return pl.DataFrame(self.to_arrow(columns, schema=schema))
