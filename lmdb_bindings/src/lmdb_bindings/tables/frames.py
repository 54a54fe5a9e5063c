"""The same table of one or many environments as one frame: a relation of DuckDB's, or a dataframe of Dask's.

>>> from lmdb_bindings.tables import frames
>>> frames.duckdb(["north", "south"], "orders").filter("price > 100").df()               # doctest: +SKIP

Both read through Apache Arrow, when they are asked for results. They are optional, and so is pyarrow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lmdb_bindings._environment import Environment, open_shared
from lmdb_bindings.tables._table import Table

if TYPE_CHECKING:
    Place = str | os.PathLike[str] | Environment

__all__ = ["dask", "duckdb"]


def duckdb(
    environments: Place | Iterable[Place],
    table: str,
    columns: Sequence[str] | None = None,
    *,
    connection: Any = None,
    **options: Any,
) -> Any:
    """A ``duckdb.DuckDBPyRelation`` over the records of a table, environment after environment.

    Each query reads the environments anew, each in one snapshot.

    Args:
        environments: environments, or their paths, which are opened read-only while they are read.
        table: the table's name, the same in all.
        columns: see :meth:`Query.to_arrow_reader`.
        connection: of DuckDB; None for its default one.
        options: of :class:`Environment`, for paths: ``map_size``, ``subdir`` and so on.

    Raises:
        ValueError: there is no environment, or the tables have other columns; the text says where.
        ImportError: DuckDB or pyarrow is not installed.
    """
    try:
        import duckdb as library
    except ImportError as problem:
        raise ImportError("frames.duckdb() needs DuckDB: pip install lmdb-bindings[duckdb]") from problem
    records = _Records(_listed(environments), table, columns, options)
    return (library if connection is None else connection).from_arrow(records)


def dask(
    environments: Place | Iterable[Place],
    table: str,
    columns: Sequence[str] | None = None,
    *,
    splits: Sequence[Any] = (),
    arrow_types: bool = False,
    **options: Any,
) -> Any:
    """A ``dask.dataframe.DataFrame`` over the records of a table: a partition for each environment, or range of keys.

    Whoever computes a partition opens its environment by the path, read-only, in whatever process.

    Args:
        environments: environments that are not encrypted, or their paths.
        table: the table's name, the same in all.
        columns: see :meth:`Query.to_arrow_reader`.
        splits: keys, ascending, at which each environment is divided into partitions. Of one environment whose keys are
            one column, ``key``, that becomes the index then, and Dask knows its divisions.
        arrow_types: see :meth:`Query.to_pandas`.
        options: of :class:`Environment`, for paths.

    Raises:
        ValueError: there is no environment, or ``splits`` are not ascending.
        ImportError: Dask, pandas or pyarrow is not installed.
    """
    try:
        import dask.dataframe as dd
    except ImportError as problem:
        raise ImportError("frames.dask() needs Dask: pip install lmdb-bindings[dask]") from problem
    if any(one >= next_one for one, next_one in pairwise(splits)):
        raise ValueError(f"splits={splits!r}: keys, each larger than the one before")
    places = [_place(place, options) for place in _listed(environments)]
    ranges = list(pairwise([None, *splits, None]))
    from_map: Any = dd.from_map
    read = _Partition(table, columns, arrow_types)
    with _opened(places[0], {}) as env, Table[Any, Any](env, table).begin() as bound:
        meta = bound.range(limit=1).to_pandas(columns, arrow_types=arrow_types).iloc[:0]
        if splits and len(places) == 1 and "key" in meta.columns and bound:
            first, last = next(iter(bound.keys())), next(iter(bound.range(reverse=True).keys()))
            read.index, meta = "key", meta.set_index("key")
            divisions = (min(first, splits[0]), *splits, max(last, splits[-1]))
            return from_map(read, [(places[0], *each) for each in ranges], meta=meta, divisions=divisions)
    return from_map(read, [(place, *each) for place in places for each in ranges], meta=meta)


class _Partition:
    """Reads a partition, in whatever process."""

    def __init__(self, table: str, columns: Sequence[str] | None, arrow_types: bool) -> None:
        self._table = table
        self._columns = columns
        self._arrow_types = arrow_types
        self.index: str | None = None

    def __call__(self, part: tuple[dict[str, Any], Any, Any]) -> Any:
        place, start, stop = part
        with _opened(place, {}) as env:
            query = Table[Any, Any](env, self._table).range(start, stop)
            frame = query.to_pandas(self._columns, arrow_types=self._arrow_types)
        return frame if self.index is None else frame.set_index(self.index)


class _Records:
    """The records of a table in several environments, as one stream of Arrow's for each who asks."""

    def __init__(self, places: list[Place], table: str, columns: Sequence[str] | None, options: dict[str, Any]) -> None:
        self._places = places
        self._table = table
        self._columns = columns
        self._options = options

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow as pa

        batches = self._batches()
        schema = next(batches)
        return pa.RecordBatchReader.from_batches(schema, batches).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[Any]:
        """The schema, and then all batches."""
        schema = None
        for place in self._places:
            with _opened(place, self._options) as env, Table[Any, Any](env, self._table).begin() as bound:
                reader = bound.range().to_arrow_reader(self._columns)
                if schema is None:
                    schema = reader.schema
                    yield schema
                elif reader.schema != schema:
                    raise ValueError(
                        f"table {self._table!r} has other columns in {env.path()!r} than in the first environment: "
                        f"{reader.schema}, and there {schema}"
                    )
                yield from reader


def _listed(environments: Place | Iterable[Place]) -> list[Place]:
    one = isinstance(environments, (str, os.PathLike, Environment))
    places: Any = [environments] if one else list(environments)  # type: ignore[arg-type]
    if not places:
        raise ValueError("no environment is given")
    return places  # type: ignore[no-any-return]


def _place(place: Place, options: dict[str, Any]) -> dict[str, Any]:
    """How an environment is opened for reading, for any process."""
    if not isinstance(place, Environment):
        return {"max_dbs": _DATABASES, **options, "path": os.fspath(place), "readonly": True}
    _, (found,) = place.__reduce__()
    return {**found, "readonly": True}


@contextmanager
def _opened(place: Place | dict[str, Any], options: dict[str, Any]) -> Iterator[Environment]:
    """An environment for the time of a block."""
    if isinstance(place, Environment):
        yield place
        return
    env = open_shared(**(place if isinstance(place, dict) else _place(place, options)))
    try:
        yield env
    finally:
        env.close()


_DATABASES = 64
"""Named databases that can be open: those of the table, its indexes, and the catalog."""
