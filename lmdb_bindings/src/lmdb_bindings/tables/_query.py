"""The records of a table between two keys, in the order of the keys or of an index: found when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lmdb_bindings._range import check_limit, prefix_end
from lmdb_bindings.tables._exports import Exports
from lmdb_bindings.tables._writing import orphan, remove
from lmdb_bindings.tables.keys import KeyCodec

if TYPE_CHECKING:
    from lmdb_bindings._transaction import Transaction
    from lmdb_bindings.tables._index import StoredIndex
    from lmdb_bindings.tables._table import Table

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class Within:
    """The keys between two bounds, as bytes: the arguments of :meth:`Transaction.scan`.

    Attributes:
        lower: the least key; None for no bound.
        upper: the first key behind them; None for no bound.
        include_lower: ``lower`` itself is among them.
        include_upper: ``upper`` itself is among them.
    """

    __slots__ = ("include_lower", "include_upper", "lower", "upper")

    def __init__(
        self, lower: bytes | None, upper: bytes | None, *, include_lower: bool = True, include_upper: bool = False
    ) -> None:
        self.lower = lower
        self.upper = upper
        self.include_lower = include_lower
        self.include_upper = include_upper

    def arguments(self) -> dict[str, Any]:
        """For methods of :class:`Transaction`."""
        return {"start": self.lower, "stop": self.upper, "include_start": self.include_lower,
                "include_stop": self.include_upper}  # fmt: skip


def between(codec: KeyCodec[Any], start: Any, stop: Any, *, include_start: bool, include_stop: bool) -> Within:
    """The keys from one to another; leading parts of a tuple stand for all keys that begin with them."""
    lower = None if start is None else codec.bound(start)
    upper = None if stop is None else codec.bound(stop)
    if lower is not None and not include_start and _is_leading(codec, start):
        lower, include_start = prefix_end(lower), True
        if lower is None:
            return _NOTHING
    if upper is not None and include_stop and _is_leading(codec, stop):
        upper, include_stop = prefix_end(upper), False
    return Within(lower, upper, include_lower=include_start, include_upper=include_stop)


def beginning(codec: KeyCodec[Any], prefix: Any) -> Within:
    """The keys that begin with a prefix."""
    data = codec.prefix(prefix)
    return Within(data, prefix_end(data))


def _is_leading(codec: KeyCodec[Any], value: Any) -> bool:
    return isinstance(value, tuple) and len(value) < codec.width


_NOTHING = Within(None, b"")


class Query(Exports, Generic[K, V, T]):
    """Records of a table, in order: pairs of key and value, or keys, or values.

    Nothing is read before it is asked for, and then in the transaction that the table is bound to, or else in one for
    each use. Iterating again finds what is there then. Memory is bounded by a batch, not by the result.
    """

    def __init__(
        self,
        table: Table[K, V],
        index: StoredIndex | None,
        within: Within,
        *,
        reverse: bool = False,
        limit: int | None = None,
        give: str = "items",
    ) -> None:
        check_limit(limit)
        self._table = table
        self._index = index
        self._within = within
        self._reverse = reverse
        self._limit = limit
        self._give = give

    def _limited_to(self, limit: int) -> Query[K, V, T]:
        if self._limit is not None:
            limit = min(limit, self._limit)
        return Query(self._table, self._index, self._within, reverse=self._reverse, limit=limit, give=self._give)

    def _giving(self, give: str) -> Query[K, V, Any]:
        return Query(self._table, self._index, self._within, reverse=self._reverse, limit=self._limit, give=give)

    def items(self) -> Query[K, V, tuple[K, V]]:
        """The records as pairs of key and value."""
        return self._giving("items")

    def keys(self) -> Query[K, V, K]:
        """The keys of the records alone; values are not read."""
        return self._giving("keys")

    def values(self) -> Query[K, V, V]:
        """The values of the records alone."""
        return self._giving("values")

    def __iter__(self) -> Iterator[T]:
        """Iterate, by one read transaction where the table is not bound to one."""
        table = self._table
        if table._txn is not None:
            yield from self._read(table, table._txn)
            return
        with table.env.begin() as txn:
            yield from self._read(table._bound(txn, owning=True), txn)

    def _read(self, table: Table[K, V], txn: Transaction) -> Iterable[Any]:
        decode_key = table._decode_key
        if self._give == "keys":
            return map(decode_key, self._record_keys(txn))
        read = getattr(table._reader, "scan", None) if self._index is None else None
        if read is not None:
            if self._give == "values":
                return read(self._scan(txn)(), keys=False)  # type: ignore[no-any-return]
            return ((decode_key(key), value) for key, value in read(self._scan(txn)(), keys=True))
        if self._index is None and table._reader is None:
            decode, scan = table._decode, self._scan(txn)
            if self._give == "values":
                return (decode(data) for data in scan(keys=False))
            return ((decode_key(key), decode(data)) for key, data in scan())
        if table._reader is None and not txn._write:
            return self._read_by_index(table, txn)
        value_of = self._value_of(table)
        if self._give == "values":
            return map(value_of, self._record_keys(txn))
        return ((decode_key(key), value_of(key)) for key in self._record_keys(txn))

    def _read_by_index(self, table: Table[K, V], txn: Transaction) -> Iterator[Any]:
        """The records, which are looked up some at once: in a read transaction nothing changes in between."""
        decode, decode_key, record_keys = table._decode, table._decode_key, iter(self._record_keys(txn))
        while wanted := list(islice(record_keys, _LOOK_UPS)):
            if b"" in wanted:  # which LMDB refuses to look for
                raise orphan(table._stored, self._index, b"")
            for key, data in zip(wanted, txn.getmany(wanted, db=table._database), strict=True):
                if data is None:
                    raise orphan(table._stored, self._index, bytes(key))
                yield decode(data) if self._give == "values" else (decode_key(key), decode(data))

    def _scan(self, txn: Transaction) -> Callable[..., Any]:
        database = self._table._stored.database if self._index is None else self._index.database
        arguments = self._within.arguments()

        def scan(*, keys: bool = True, values: bool = True) -> Any:
            return txn.scan(database, keys=keys, values=values, reverse=self._reverse, limit=self._limit, **arguments)

        return scan

    def _record_keys(self, txn: Transaction) -> Any:
        """The keys of the records, as they are stored."""
        return self._scan(txn)(values=False) if self._index is None else self._scan(txn)(keys=False)

    def _value_of(self, table: Table[K, V]) -> Callable[[bytes], V]:
        """What looks up the value of a record that must be there."""
        find, index = table._find, self._index

        def value_of(key: bytes) -> V:
            value: Any = find(bytes(key), _MISSING) if len(key) else _MISSING
            if value is _MISSING:
                raise orphan(table._stored, index, bytes(key))
            return value  # type: ignore[no-any-return]

        return value_of

    def _exported(self) -> Query[K, V, T]:
        return self

    def first(self) -> T | None:
        """The first of the records; None where there is none."""
        return next(iter(self._limited_to(1)), None)

    def count(self) -> int:
        """How many records there are; no value is read."""
        with self._table._reading() as txn:
            if self._limit is not None:
                return sum(1 for _ in self._record_keys(txn))
            index = self._index
            database = self._table._stored.database if index is None else index.database
            return txn.count_range(database, **self._within.arguments())

    __len__ = count

    def delete(self) -> int:
        """Delete the records, and their entries in the indexes, in one transaction; how many there were."""
        return self._table._write(self._delete)

    def _delete(self, table: Table[K, V]) -> int:
        stored, txn = table._stored, table._live_txn()
        if self._index is None and not stored.indexes and not (self._reverse and self._limit is not None):
            return txn.delete_range(stored.database, limit=self._limit, **self._within.arguments())
        deleted = 0
        while keys := self._next_keys(txn, deleted):
            for key in keys:
                if not remove(stored, txn, key):
                    raise orphan(stored, self._index, key)
            deleted += len(keys)
        return deleted

    def _next_keys(self, txn: Transaction, deleted: int) -> list[bytes]:
        """The keys of the next records to delete, when so many have gone."""
        left = _BATCH if self._limit is None else self._limit - deleted
        return [bytes(key) for key in self._limited_to(min(left, _BATCH))._record_keys(txn)]

    def __bool__(self) -> bool:
        return self.keys().first() is not None


_MISSING = object()

_LOOK_UPS = 64
"""Records that are looked up at once."""

_BATCH = 1000
"""Records that are deleted between two looks at what is left of the range."""
