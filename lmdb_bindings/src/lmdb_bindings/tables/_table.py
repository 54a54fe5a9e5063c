"""A table: a mapping of keys to values in a named database, with its indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from lmdb_bindings._database import _Database
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.tables._catalog import Entry
from lmdb_bindings.tables._index import Index
from lmdb_bindings.tables._opening import Asked, Stored
from lmdb_bindings.tables._query import Query, Within, beginning, between
from lmdb_bindings.tables.errors import TableError
from lmdb_bindings.tables.keys import KeyCodec
from lmdb_bindings.tables.values import ValueCodec

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

_MISSING: Any = object()


class Table(MutableMapping[K, V]):
    """A table of an environment, made if it does not exist.

    It is a mapping, in the order of its keys. Every operation is a transaction of its own, and an iteration is one read
    transaction; :meth:`begin` and :meth:`within` give the table bound to a transaction, which all operations are then
    part of.
    """

    def __init__(
        self,
        env: Environment,
        name: str,
        *,
        key: KeyCodec[K] | None = None,
        value: ValueCodec[V] | None = None,
        indexes: Mapping[str, Index[Any]] | None = None,
        fields: str | Sequence[str] | None = None,
        trusted: bool = False,
    ) -> None:
        paths = (fields,) if isinstance(fields, str) else fields if fields is None else tuple(fields)
        self._txn: Transaction | None = None
        self._reader: Any = None
        self._stored = Stored(env, name, Asked(key, value, indexes or {}, paths, trusted=trusted))
        self._stored.open(self)
        self._encode = self._stored.key.encode
        self._decode_key = self._stored.key.decode
        self._decode = self._stored.value.decode

    @property
    def env(self) -> Environment:
        """The environment that it is in."""
        return self._stored.env

    @property
    def name(self) -> str:
        """Its name."""
        return self._stored.name

    @property
    def entry(self) -> Entry:
        """What the catalog says of it."""
        return self._stored.entry

    @property
    def catalog(self) -> _Database:
        """The database of the catalog, for codecs that store something there."""
        return self._stored.catalog

    # -- transactions ------------------------------------------------------------------------------------------------

    @contextmanager
    def begin(self, *, write: bool = False) -> Iterator[Table[K, V]]:
        """The table bound to a transaction, for a block: it is committed in the end, or aborted by an exception."""
        in_place = self._stored.value.in_place and not write
        with self.env.begin(write=write, buffers=in_place) as txn:
            yield self._bound(txn)

    def within(self, txn: Transaction) -> Table[K, V]:
        """The table bound to a transaction of its environment, which the caller ends."""
        if txn.env is not self.env:
            raise TableError(f"table {self.name!r}: the transaction is one of another environment")
        return self._bound(txn)

    def _bound(self, txn: Transaction, *, owning: bool = False) -> Table[K, V]:
        """Bound to a transaction; ``owning``: values must outlive it."""
        stored = self._stored
        table: Table[K, V] = object.__new__(type(self))
        table.__dict__.update(self.__dict__)
        table._txn = txn
        table._reader = None if owning or txn._write else stored.value.reader(txn, stored.database)
        if txn._buffers:
            decode, decode_key = stored.value.decode, stored.key.decode
            table._decode_key = lambda data: decode_key(bytes(data))
            table._decode = decode if stored.value.in_place else lambda data: decode(bytes(data))
        return table

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        """The transaction that it is bound to, or a read transaction for the block."""
        if self._txn is not None:
            yield self._txn
            return
        with self.env.begin() as txn:
            yield txn

    def _write(self, change: Callable[[Table[K, V], Transaction], T]) -> T:
        """Change it in the transaction that it is bound to, or in one of its own, again with a larger map if need."""
        if self._txn is not None:
            return change(self, self._txn)
        return self.env.update(lambda txn: change(self._bound(txn), txn))

    # -- reading -----------------------------------------------------------------------------------------------------

    def _find(self, key: bytes, default: Any) -> Any:
        """The value of a key as it is stored."""
        if self._reader is not None:
            value = self._reader.get(key)
            return default if value is None else value
        if self._txn is not None:
            data = self._txn.get(key, None, self._stored.database)
        else:
            with self.env.begin() as txn:
                data = txn.get(key, None, self._stored.database)
        return default if data is None else self._decode(data)

    def __getitem__(self, key: K) -> V:
        value: Any = self._find(self._encode(key), _MISSING)
        if value is _MISSING:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[K]:
        return iter(self.range().keys())

    def __len__(self) -> int:
        with self._reading() as txn:
            return txn.stat(self._stored.database)["entries"]

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
        """The records whose keys are between two others."""
        within = between(self._stored.key, start, stop, include_start=include_start, include_stop=include_stop)
        return self._query(within, reverse, limit)

    def prefix(self, prefix: Any, *, reverse: bool = False, limit: int | None = None) -> Query[K, V, tuple[K, V]]:
        """The records whose keys begin with a string or bytes, or with the leading parts of a tuple."""
        return self._query(beginning(self._stored.key, prefix), reverse, limit)

    def _query(self, within: Within, reverse: bool, limit: int | None) -> Query[K, V, tuple[K, V]]:
        return Query(self, None, within, reverse=reverse, limit=limit)

    # -- writing -----------------------------------------------------------------------------------------------------

    def __setitem__(self, key: K, value: V) -> None:
        raw, data = self._encode(key), self._stored.value.encode(value)
        self._write(lambda table, txn: txn.put(raw, data, db=table._stored.database))

    def __delitem__(self, key: K) -> None:
        raw = self._encode(key)
        if not self._write(lambda table, txn: txn.delete(raw, db=table._stored.database)):
            raise KeyError(key)
