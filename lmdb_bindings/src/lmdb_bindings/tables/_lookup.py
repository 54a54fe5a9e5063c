"""Records by the keys of an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lmdb_bindings.tables._query import Query, Within, beginning, between
from lmdb_bindings.tables._writing import orphan
from lmdb_bindings.tables.errors import TableError

if TYPE_CHECKING:
    from lmdb_bindings.tables._index import StoredIndex
    from lmdb_bindings.tables._table import Table

I = TypeVar("I")  # noqa: E741 (of the index, as K and V are of the table)
K = TypeVar("K")
V = TypeVar("V")

_MISSING: Any = object()


class Lookup(Generic[I, K, V]):
    """An index of a table: what :meth:`Table.by` gives.

    Of a unique index, ``lookup[key]`` is the value of the record with that key in it, KeyError where there is none; of
    another, it is a query of all such records.
    """

    def __init__(self, table: Table[K, V], index: StoredIndex) -> None:
        self._table = table
        self._stored = index

    def __getitem__(self, key: I) -> Any:
        if not self._stored.entry.unique:
            return self._of(key)
        value = self.get(key, _MISSING)
        if value is _MISSING:
            raise KeyError(key)
        return value

    def _of(self, key: I) -> Query[K, V, tuple[K, V]]:
        data = self._stored.key.encode(key)
        return Query(self._table, self._stored, Within(data, data, include_upper=True))

    def get(self, key: I, default: Any = None) -> Any:
        """The value of the record with a key of a unique index, or ``default`` where there is none.

        Raises:
            TableError: the index is not unique.
        """
        table = self._table
        with table._reading() as txn:
            bound = table if table._txn is not None else table._bound(txn, owning=True)
            raw = self._record_key(bound, key)
            if raw is None:
                return default
            value = bound._find(raw, _MISSING)
        if value is _MISSING:
            raise orphan(table._stored, self._stored, raw)
        return value

    def key(self, key: I) -> K:
        """The key of the record with a key of a unique index; KeyError where there is none.

        Raises:
            TableError: the index is not unique.
        """
        table = self._table
        with table._reading() as txn:
            raw = self._record_key(table._bound(txn, owning=True), key)
        if raw is None:
            raise KeyError(key)
        key_of_record: K = table._stored.key.decode(raw)
        return key_of_record

    def _record_key(self, bound: Table[K, V], key: I) -> bytes | None:
        index = self._stored
        if not index.entry.unique:
            raise TableError(f"index {index.name!r} is not unique: by({index.name!r})[key] gives all records of a key")
        found = bound._live_txn().get(index.key.encode(key), None, index.database)
        if found is not None and not len(found):  # LMDB refuses to look for an empty key
            raise orphan(bound._stored, index, b"")
        return None if found is None else bytes(found)

    def __contains__(self, key: I) -> bool:
        """Whether a record has a key in this index."""
        data = self._stored.key.encode(key)
        with self._table._reading() as txn:
            return txn.get(data, None, self._stored.database) is not None

    def __iter__(self) -> Iterator[I]:
        """The different keys of the index, in their order."""
        decode = self._stored.key.decode
        with self._table._reading() as txn:
            for data in txn.scan(self._stored.database, values=False, dups=False):
                yield decode(bytes(data))

    keys = __iter__

    def __len__(self) -> int:
        """How many different keys the index has."""
        with self._table._reading() as txn:
            return txn.count_range(self._stored.database, dups=False)

    def range(
        self,
        start: Any = None,
        stop: Any = None,
        *,
        include_start: bool = True,
        include_stop: bool = False,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Query[K, V, tuple[K, V]]:
        """The records whose keys in the index lie between two others, in their order; see :meth:`Table.range`."""
        within = between(self._stored.key, start, stop, include_start=include_start, include_stop=include_stop)
        return Query(self._table, self._stored, within, reverse=reverse, limit=limit)

    def prefix(self, prefix: Any, *, reverse: bool = False, limit: int | None = None) -> Query[K, V, tuple[K, V]]:
        """The records whose keys in the index begin with something; see :meth:`Table.prefix`."""
        return Query(self._table, self._stored, beginning(self._stored.key, prefix), reverse=reverse, limit=limit)

    def first(self) -> tuple[K, V] | None:
        """The record with the least key in the index; None where it has no entry."""
        return self.range().first()

    def last(self) -> tuple[K, V] | None:
        """The record with the largest key in the index; None where it has no entry."""
        return self.range(reverse=True).first()
