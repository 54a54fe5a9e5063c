"""Records as Apache Arrow, by pyarrow, which is optional. Its buffers are those that the columns were read into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lmdb_bindings import _bulk_constants as b

if TYPE_CHECKING:
    from lmdb_bindings._plain import Columns


def reader(what: int, batches: Iterator[Columns]) -> Any:
    """A ``pyarrow.RecordBatchReader`` over batches of records."""
    try:
        import pyarrow as pa
    except ImportError as problem:
        raise ImportError("the export to Arrow needs pyarrow: pip install pyarrow") from problem
    names = [name for flag, name in ((b.KEYS, "key"), (b.VALUES, "value")) if what & flag]
    schema = pa.schema([pa.field(name, pa.large_binary(), nullable=False) for name in names])

    def convert() -> Iterator[Any]:
        for columns in batches:
            arrays = [
                pa.LargeBinaryArray.from_buffers(
                    pa.large_binary(), columns.records, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
                )
                for offsets, data in filter(None, (columns.keys, columns.values))
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, convert())
