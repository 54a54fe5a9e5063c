"""Records of tables as Apache Arrow, by pyarrow, which is optional: batch by batch, of FlatBuffers by native code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from lmdb_bindings._scan import Scan
from lmdb_bindings.tables._writing import orphan
from lmdb_bindings.tables.flatbuffers import FlatBuffers

if TYPE_CHECKING:
    from lmdb_bindings._plain import Places
    from lmdb_bindings._transaction import Transaction
    from lmdb_bindings.tables._flatdb import Columns
    from lmdb_bindings.tables._opening import Stored
    from lmdb_bindings.tables._query import Query

Batches = Callable[["Transaction"], Iterator[Any]]
"""Gives ``pyarrow.RecordBatch`` after batch, read in a transaction."""


BATCH = 65536
"""Records of a batch at most: many, since the first batch says what columns there are."""

NATIVE_BATCH = 8192
"""The same of FlatBuffers, whose schema says it: what is read is still in the processor's cache when it is decoded."""


def reader(query: Query[Any, Any, Any], columns: Sequence[str] | None, schema: Any, batch: int | None) -> Any:
    """A ``pyarrow.RecordBatchReader`` over the records of a query: see :meth:`Exports.to_arrow_reader`."""
    try:
        import pyarrow as pa
    except ImportError as problem:
        raise ImportError("the export to Arrow needs pyarrow: pip install lmdb-bindings[arrow]") from problem
    if batch is not None and batch < 1:
        raise ValueError(f"batch={batch}: a number of records, 1 at least")
    value = query._table._stored.value
    if isinstance(value, FlatBuffers) and query._give != "keys":
        if schema is not None:
            raise ValueError("schema=: the records of a FlatBuffers table have one already")
        decoder = _Native(pa, query, columns)
        return pa.RecordBatchReader.from_batches(
            decoder.schema, _within(query, lambda txn: decoder.batches(txn, batch or NATIVE_BATCH))
        )
    converter = _Python(pa, query, columns, schema)
    found = _within(query, lambda txn: converter.batches(txn, batch or BATCH))
    first = next(found, None)  # it says what the columns are
    if first is None:
        return pa.RecordBatchReader.from_batches(converter.empty(), iter(()))
    return pa.RecordBatchReader.from_batches(first.schema, _chained(first, found))


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _within(query: Query[Any, Any, Any], batches: Batches) -> Iterator[Any]:
    """Batches that are read in the transaction of the table, or in one that lasts as long as they are asked for."""
    with query._table._reading() as txn:
        yield from batches(txn)


# -- FlatBuffers -------------------------------------------------------------------------------------------------------


class _Native:
    """Records of FlatBuffers: native code makes the columns, of the records where they are in the map."""

    def __init__(self, pa: Any, query: Query[Any, Any, Any], columns: Sequence[str] | None) -> None:
        stored = query._table._stored
        self._pa = pa
        self._query = query
        key = stored.key.name if _key_of(query, columns) else None
        codec: Any = stored.value
        self._columns: Columns = codec.columns(stored.env._engine.name, columns, key)
        self.schema = pa.Schema._import_from_c(self._columns.schema())
        names = self.schema.names
        if key is not None and (twice := {name for name in names if names.count(name) > 1}):
            raise _ambiguous(query, twice)

    def batches(self, txn: Transaction, batch: int) -> Iterator[Any]:
        query = self._query
        if query._index is None:
            scan: Scan[Any] = query._scan(txn)()
            return scan._batches(self._decode, batch)
        return self._by_index(txn, batch)

    def _by_index(self, txn: Transaction, batch: int) -> Iterator[Any]:
        stored, index, keys = self._query._table._stored, self._query._index, iter(self._query._record_keys(txn))
        batch = _bounded(txn, stored, batch)
        while wanted := [bytes(key) for key in islice(keys, batch)]:
            with txn._lock:
                txn._live()
                places: Places = txn._records.get_places(txn, txn._dbi(stored.database), wanted)
                for place in range(places.records):
                    if index is not None and not places.values[place].mv_data:
                        raise orphan(stored, index, wanted[place])
                made = self._decode(places)
            yield made

    def _decode(self, places: Places) -> Any:
        array = self._columns.decode(places, f"table {self._query._table.name!r}")
        return self._pa.RecordBatch._import_from_c(array, self.schema)


def _bounded(txn: Transaction, stored: Stored, batch: int) -> int:
    """So many records at most that a batch of them is not too large, as large as they are on average."""
    stat = txn.stat(stored.database)
    size = (stat["leaf_pages"] + stat["overflow_pages"]) * stat["psize"]
    return max(1, min(batch, _BYTES * stat["entries"] // max(1, size)))


_BYTES = 1 << 22
"""Bytes of a batch."""


def _key_of(query: Query[Any, Any, Any], columns: Sequence[str] | None) -> bool:
    """Whether there are columns of the keys: not where the records have what keys are made of."""
    return query._give != "values" and columns is None and not query._table.entry.fields


def _ambiguous(query: Query[Any, Any, Any], names: set[str]) -> ValueError:
    """The exception for columns of keys that have the names of fields: one would be taken for the other."""
    return ValueError(
        f"table {query._table.name!r}: its keys and a field of its values are both the column {min(names)!r}: name the "
        "columns=, or take the values() alone"
    )


# -- all others --------------------------------------------------------------------------------------------------------


class _Python:
    """Records of other codecs: columns are made of Python's values."""

    def __init__(self, pa: Any, query: Query[Any, Any, Any], columns: Sequence[str] | None, schema: Any) -> None:
        stored = query._table._stored
        self._pa = pa
        self._query = query
        self._columns = columns
        self._schema = schema
        self._given = schema is not None
        self._names: set[str] | None = None  # those of the first batch, where no schema is given
        self._field = stored.value.field
        self._key = query._table._stored.key if query._give == "keys" or _key_of(query, columns) else None

    def batches(self, txn: Transaction, batch: int) -> Iterator[Any]:
        query = self._query
        table = query._table._bound(txn, owning=True) if query._table._txn is None else query._table
        records = iter(query.items()._read(table, txn) if query._give != "keys" else query._read(table, txn))
        while found := list(islice(records, batch)):
            yield self._batch(found)

    def _batch(self, found: list[Any]) -> Any:
        pa = self._pa
        keys, values = (found, None) if self._query._give == "keys" else zip(*found, strict=True)
        columns = {} if self._key is None else _keys(pa, self._key, keys)
        of_values = {} if values is None else self._values(list(values))
        if twice := columns.keys() & of_values.keys():
            raise _ambiguous(self._query, twice)
        columns.update(of_values)
        types = {} if self._schema is None else {field.name: field.type for field in self._schema}
        try:
            self._check_same(set(columns))
            absent = [None] * len(found)
            arrays = {name: _array(pa, columns.get(name, absent), types.get(name)) for name in types or columns}
            made = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
        except (ValueError, TypeError, pa.ArrowException) as problem:
            raise ValueError(
                f"table {self._query._table.name!r}: these records are no columns "
                f"{'of one type' if self._schema is None else f'of {self._schema}'}: {problem}"
                f"{'' if self._given else '; give schema='}"
            ) from problem
        if self._schema is None:
            self._schema, self._names = made.schema, set(columns)
        return made

    def _check_same(self, names: set[str]) -> None:
        """Refuse columns that are not those of the first batch, which says what they are where no schema is given."""
        if self._names is None:
            return
        if missing := self._names - names:
            raise ValueError(f"there is no {', '.join(sorted(missing))}")
        if new := names - self._names:
            raise ValueError(f"the records before them have no {', '.join(sorted(new))}")

    def _values(self, values: list[Any]) -> dict[str, Any]:
        """The columns of values: of dicts and dataclasses one for each field, of all others one."""
        if self._query._table._stored.value.name in _WHOLE:
            return self._value(values)
        if self._columns is not None:
            paths = [(name, tuple(name.split("."))) for name in self._columns]
            return {name: [self._field(value, path) for value in values] for name, path in paths}
        if dataclasses.is_dataclass(values[0]):
            values = [dataclasses.asdict(value) for value in values]
        if all(isinstance(value, dict) for value in values):
            names = list(dict.fromkeys(name for value in values for name in value))
            return {str(name): [value.get(name) for value in values] for name in names}
        return {"value": values}

    def _value(self, values: list[Any]) -> dict[str, Any]:
        """The only column of values that have no fields."""
        if self._columns is not None and (unknown := set(self._columns) - {"value"}):
            raise ValueError(
                f"columns= of values without fields: there is no {', '.join(sorted(unknown))}, but 'value'"
            )
        return {"value": values}

    def empty(self) -> Any:
        """The schema where there is no record."""
        if self._schema is not None:
            return self._schema
        pa = self._pa
        keys = {} if self._key is None else _keys(pa, self._key, [])
        return pa.schema([pa.field(name, array.type) for name, array in keys.items()])


_WHOLE = ("bytes", "string", "numpy")
"""The codecs of values without fields."""


def _array(pa: Any, values: Any, wanted: Any) -> Any:
    if isinstance(values, pa.Array):
        return values if wanted is None else values.cast(wanted)
    if hasattr(values[0], "dtype"):
        values = _stacked(pa, values)
        return values if wanted is None else values.cast(wanted)
    return pa.array(values, wanted)


def _stacked(pa: Any, values: list[Any]) -> Any:
    """Arrays of NumPy's, all of one shape."""
    import numpy as np

    stacked = np.stack(values)
    made = pa.array(stacked.ravel())
    for size in reversed(stacked.shape[1:]):
        made = pa.FixedSizeListArray.from_arrays(made, size)
    return made


def _keys(pa: Any, codec: Any, keys: Sequence[Any]) -> dict[str, Any]:
    """The columns of keys, named and typed as native code does."""
    parts = codec.name.strip("()").split(", ")
    if codec.width == 1:
        return {"key": _part(pa, parts[0], keys)}
    return {f"key.{place}": _part(pa, name, [key[place] for key in keys]) for place, name in enumerate(parts)}


def _part(pa: Any, name: str, keys: Sequence[Any]) -> Any:
    types = {
        "string": pa.large_string(), "bytes": pa.large_binary(), "uuid": pa.binary(16), "bool": pa.bool_(),
        "datetime": pa.timestamp("us", "UTC"), "float32": pa.float32(), "float64": pa.float64(),
    }  # fmt: skip
    if name == "uuid":
        keys = [key.bytes for key in keys]
    return pa.array(keys, types[name] if name in types else getattr(pa, name)())
