"""A table: a mapping of keys to values in a named database, with its indexes."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, Literal, TypeVar, overload

from lmdb_bindings._database import _Database
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import KeyExistsError
from lmdb_bindings.tables import _catalog, _checking, _writing
from lmdb_bindings.tables._catalog import Entry
from lmdb_bindings.tables._checking import Problem
from lmdb_bindings.tables._exports import Exports
from lmdb_bindings.tables._index import Index, StoredIndex
from lmdb_bindings.tables._lookup import Lookup
from lmdb_bindings.tables._opening import Asked, Stored
from lmdb_bindings.tables._query import Query, beginning, between
from lmdb_bindings.tables._views import TableItems, TableKeys, TableValues
from lmdb_bindings.tables.errors import TableError
from lmdb_bindings.tables.keys import KeyCodec
from lmdb_bindings.tables.values import ValueCodec

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

_MISSING: Any = object()

_AT_ONCE = 1000
"""Records with entries in indexes that are stored at once."""


class Table(Exports, MutableMapping[K, V]):
    """A table of an environment, made if it does not exist: a mapping, in the order of its keys.

    Every operation is a transaction of its own, and every iteration one read transaction. :meth:`begin` and
    :meth:`within` give the table bound to a transaction, which all operations are then part of. Unbound, a table may be
    used by any thread, and a full map grows, as by :meth:`Environment.update`.

    Args:
        env: the environment; its ``max_dbs`` must have room for the table, its indexes, and the catalog of all tables.
        name: the table's name: not empty, without ``:`` and control characters, not beginning with ``__``.
        key: the codec of the keys, see :mod:`lmdb_bindings.tables.keys`; None for what the catalog says.
        value: the codec of the values, see :mod:`lmdb_bindings.tables.values`; None for what the catalog says.
        indexes: secondary indexes by their names. Those that the table lacks are built; those that it has beside them
            stay, and are kept.
        fields: the field, or fields, of a value that its key is made of, checked by every write; an empty list: records
            are numbered from 1. See :meth:`add`. None for what the catalog says, and for keys given apart.
        trusted: import what the catalog names: functions of indexes and classes of values. Whoever can write the
            environment's file can then run any code here.

    Raises:
        TableError: there is no such table, and ``key`` and ``value`` are not both given; the environment has no room
            for its databases; or its values need a codec that is not given.
        MismatchError: the catalog says something else of it; the text names each difference.
        UniqueError: a unique index that it lacks cannot be built.
        ValueError: it cannot have this name.
    """

    _stored: Stored
    _database: _Database
    _longest: int
    _encode: Callable[[K], bytes]
    _decode_key: Callable[[Any], K]
    _encode_value: Callable[[V], Any]
    _decode: Callable[[Any], V]
    _sized: bool
    _plain: bool  # a record can be stored without a look at its value

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
        paths = (fields,) if isinstance(fields, str) else None if fields is None else tuple(fields)
        self._txn: Transaction | None = None
        self._reader: Any = None
        self._may_write = False  # whether the transaction that it is bound to has been asked
        self._open(Stored(env, name, Asked(key, value, indexes or {}, paths, trusted=trusted)))

    def _open(self, stored: Stored) -> None:
        """Open what is found, and be it from now on: at once, for other threads."""
        stored.open()
        self.__dict__.update(
            _stored=stored,
            _database=stored.database,
            _longest=stored.longest,
            _encode=stored.key.encode,
            _decode_key=stored.key.decode,
            _encode_value=stored.value.encode,
            _decode=stored.value.decode,
            _sized=stored.value.sized,
            _plain=not (stored.indexes or stored.key_of),
        )

    def __repr__(self) -> str:
        bound = "" if self._txn is None else ", bound to a transaction"
        return f"<table {self.name!r} of {self.entry.key} to {self.entry.value}{bound}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """A table pickles as its environment, and what it was asked to be."""
        if self._txn is not None:
            raise TypeError("a table that is bound to a transaction cannot be pickled: pickle the table itself")
        return _reopened, (type(self), self.env, self.name, self._stored.asked)

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
    def txn(self) -> Transaction | None:
        """The transaction that it is bound to; None where it is not."""
        return self._txn

    # -- transactions ------------------------------------------------------------------------------------------------

    @contextmanager
    def begin(self, *, write: bool = False) -> Iterator[Table[K, V]]:
        """The table bound to a transaction, for a block: it is committed in the end, or aborted by an exception."""
        with self.env.begin(write=write, buffers=self._stored.value.in_place and not write) as txn:
            yield self._bound(txn)

    def within(self, txn: Transaction) -> Table[K, V]:
        """The table bound to a transaction of its environment, which the caller ends.

        Raises:
            TableError: it is a transaction of another environment.
        """
        if txn.env is not self.env:
            raise TableError(f"table {self.name!r}: the transaction is one of another environment")
        return self._bound(txn)

    def _bound(self, txn: Transaction, *, owning: bool = False) -> Table[K, V]:
        """Bound to a transaction; ``owning``: values must outlive it."""
        stored = self._stored
        table: Table[K, V] = object.__new__(type(self))
        table.__dict__.update(self.__dict__)
        table._txn = txn
        table._may_write = False
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

    def _write(self, change: Callable[[Table[K, V]], T]) -> T:
        """Change it in the transaction that it is bound to, or in one of its own, again where the map was full."""
        if self._txn is None:
            return self.env.update(lambda txn: self._bound(txn)._write(change))
        if not self._may_write:
            self._stored.check_writable(self._txn)
            self._may_write = True
        return change(self)

    def _live_txn(self) -> Transaction:
        """The transaction that it is bound to."""
        if self._txn is None:
            raise TableError(f"table {self.name!r} is bound to no transaction")
        return self._txn

    # -- reading -----------------------------------------------------------------------------------------------------

    def _find(self, key: bytes, default: Any) -> Any:
        """The value of a key as it is stored."""
        if self._reader is not None:
            value = self._reader.get(key)
            return default if value is None else value
        if self._txn is not None:
            data = self._txn.get(key, None, self._database)
        else:
            with self.env.begin() as txn:
                data = txn.get(key, None, self._database)
        return default if data is None else self._decode(data)

    def __getitem__(self, key: K) -> V:
        raw = self._encode(key)
        value: Any
        if self._reader is not None:  # here and below as _find() does, without the call
            value = self._reader.get(raw)
            if value is not None:
                return value  # type: ignore[no-any-return]
        elif self._txn is not None:
            data = self._txn.get(raw, None, self._database)
            if data is not None:
                return self._decode(data)
        else:
            value = self._find(raw, _MISSING)
            if value is not _MISSING:
                return value  # type: ignore[no-any-return]
        raise KeyError(key)

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T, /) -> V | T: ...

    def get(self, key: K, default: Any = None, /) -> Any:
        """The value of a key, or ``default`` where there is no such key."""
        return self._find(self._encode(key), default)

    def __contains__(self, key: object) -> bool:
        """Whether there is a record with a key; TypeError or ValueError where no record can have it."""
        raw = self._encode(key)  # type: ignore[arg-type]
        with self._reading() as txn:
            return txn.get(raw, None, self._database) is not None

    def __len__(self) -> int:
        with self._reading() as txn:
            return txn.stat(self._database)["entries"]

    def __iter__(self) -> Iterator[K]:
        return iter(self.range().keys())

    def __reversed__(self) -> Iterator[K]:
        return iter(self.range(reverse=True).keys())

    def keys(self) -> TableKeys[K]:
        """The keys, in their order; the view can also be reversed, and is a set."""
        return TableKeys(self)

    def values(self) -> TableValues[V]:
        """The values, in the order of their keys; the view can also be reversed."""
        return TableValues(self)

    def items(self) -> TableItems[K, V]:
        """Pairs of key and value, in the order of the keys; the view can also be reversed."""
        return TableItems(self)

    def __eq__(self, other: object) -> bool:
        """Whether another mapping has the same keys with the same values."""
        if not isinstance(other, Mapping):
            return NotImplemented
        with self._reading() as txn:
            mine = self if self._txn is not None else self._bound(txn, owning=True)
            return len(mine) == len(other) and all(
                _has(other, key) and value == other[key] for key, value in mine.items()
            )

    __hash__ = None  # type: ignore[assignment]

    # -- ranges ------------------------------------------------------------------------------------------------------

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
        """The records whose keys lie between two others.

        Args:
            start: the least key, in either direction; None for no bound. Leading parts of a tuple stand for all keys
                that begin with them.
            stop: the key before which it ends, likewise.
            include_start: take in ``start`` itself.
            include_stop: take in ``stop`` itself.
            reverse: from the last record of the range to the first.
            limit: so many records at most.
        """
        within = between(self._stored.key, start, stop, include_start=include_start, include_stop=include_stop)
        return Query(self, None, within, reverse=reverse, limit=limit)

    def prefix(self, prefix: Any, *, reverse: bool = False, limit: int | None = None) -> Query[K, V, tuple[K, V]]:
        """The records whose keys begin with a string or bytes, or with the leading parts of a tuple: where all parts
        are given, the last may be the beginning of a string or bytes.

        Raises:
            TypeError: other keys have no prefix.
        """
        return Query(self, None, beginning(self._stored.key, prefix), reverse=reverse, limit=limit)

    def _exported(self) -> Query[K, V, tuple[K, V]]:
        return self.range()

    def first(self) -> tuple[K, V] | None:
        """The record with the least key; None where the table is empty."""
        return self.range().first()

    def last(self) -> tuple[K, V] | None:
        """The record with the largest key; None where the table is empty."""
        return self.range(reverse=True).first()

    def by(self, index: str) -> Lookup[Any, K, V]:
        """An index, to look up records in, and to go through them in its order.

        Raises:
            TableError: there is no such index.
        """
        return Lookup(self, self._index(index))

    def _index(self, name: str) -> StoredIndex:
        try:
            return self._stored.indexes[name]
        except KeyError:
            known = ", ".join(self._stored.indexes) or "none"
            raise TableError(f"table {self.name!r} has no index {name!r}; it has {known}") from None

    # -- writing -----------------------------------------------------------------------------------------------------

    def put(self, key: K, value: V, *, overwrite: bool = True, conflict: Literal["raise", "replace"] = "raise") -> bool:
        """Store a record.

        Args:
            key: its key.
            value: its value.
            overwrite: replace a record with this key; else leave it, and return False.
            conflict: what becomes of other records that have its key in a unique index: ``"raise"`` UniqueError, or
                ``"replace"``: they are removed, with all of their entries.

        Returns:
            True if it was stored.

        Raises:
            UniqueError: see ``conflict``; nothing is changed, and a transaction can be used further.
            TypeError, ValueError: the key or the value cannot be stored, or a key of an index made of it; likewise.
        """
        if conflict not in ("raise", "replace"):
            raise ValueError(f"conflict={conflict!r}: 'raise' or 'replace'")
        return self._put(self._storable(key), value, overwrite, conflict == "replace")

    def _storable(self, key: K) -> bytes:
        """A key as it is stored.

        Raises:
            TypeError, ValueError: it cannot be.
        """
        raw = self._encode(key)
        if len(raw) > self._longest:
            raise ValueError(f"table {self.name!r}: a key of {len(raw)} bytes is too long: {self._longest} at most")
        return raw

    def _put(self, raw: bytes, value: V, overwrite: bool, replacing: bool) -> bool:
        if self._plain and self._sized:
            size = self._stored.value.size(value)
            return self._write(lambda table: table._reserve(raw, size, value, overwrite))
        data = self._encode_value(value)
        return self._write(lambda table: table._put_encoded(raw, data, overwrite, replacing))

    def _reserve(self, raw: bytes, size: int, value: V, overwrite: bool) -> bool:
        stored = self._stored
        write = stored.value.write
        return self._live_txn()._reserve(
            raw, size, lambda into: write(value, into), overwrite=overwrite, db=stored.database
        )

    def _put_encoded(self, raw: bytes, data: Any, overwrite: bool, replacing: bool) -> bool:
        stored, txn = self._stored, self._live_txn()
        if self._plain:
            if overwrite:
                return txn.put(raw, data, db=self._database)
            return txn.put(raw, data, overwrite=False, db=self._database)
        if not overwrite and txn.get(raw, None, self._database) is not None:
            return False
        stored.check_key(raw, data)
        _writing.store(stored, txn, raw, data, replacing=replacing)
        return True

    def __setitem__(self, key: K, value: V) -> None:
        raw = self._storable(key)
        if self._may_write and self._plain and not self._sized:  # as _put() does, without the calls
            self._txn.put(raw, self._encode_value(value), db=self._database)  # type: ignore[union-attr]
        else:
            self._put(raw, value, True, False)

    def add(self, value: V, *, overwrite: bool = False) -> K:
        """Store a record whose key is made of its fields, or is the next number.

        Args:
            value: its value.
            overwrite: replace a record with this key.

        Returns:
            Its key.

        Raises:
            TableError: the keys of this table are given apart, see ``fields`` of :class:`Table`.
            KeyExistsError: there is a record with this key, and ``overwrite`` is not set; nothing is changed.
            TypeError, ValueError: the value lacks a field of the key, or cannot be stored.
            UniqueError: see :meth:`put`.
        """
        if self.entry.fields is None:
            raise TableError(
                f"table {self.name!r}: keys are given apart, and not made of fields: use table[key] = value"
            )
        data = self._encode_value(value)

        def add(table: Table[K, V]) -> K:
            raw = table._made_key(data)
            key: K = table._decode_key(raw)
            if not table._put_encoded(raw, data, overwrite, False):
                raise KeyExistsError(f"table {self.name!r} has a record {key!r} already")
            return key

        return self._write(add)

    def _made_key(self, data: Any) -> bytes:
        """The key of a record, of its fields, or the next number."""
        stored = self._stored
        if stored.key_of is not None:
            return stored.made_key(data)
        last = self.range(reverse=True, limit=1).keys().first()
        number: Any = 1 if last is None else last + 1  # type: ignore[operator]
        return self._storable(number)

    def __delitem__(self, key: K) -> None:
        raw = self._encode(key)
        if not self._write(lambda table: _writing.remove(table._stored, table._live_txn(), raw)):
            raise KeyError(key)

    def discard(self, key: K) -> bool:
        """Delete a record if it is there, also one whose value is damaged, which nothing else can delete where there
        are indexes: these are looked through for its entries.

        Returns:
            True if it was there.
        """
        raw = self._encode(key)
        return self._write(lambda table: _writing.discard(table._stored, table._live_txn(), raw))

    @overload
    def pop(self, key: K, /) -> V: ...
    @overload
    def pop(self, key: K, /, default: V | T) -> V | T: ...

    def pop(self, key: K, /, default: Any = _MISSING) -> Any:
        """Delete a record, and return its value, or ``default`` where there is no such key."""
        raw = self._encode(key)

        def pop(table: Table[K, V]) -> Any:
            value = table._find(raw, default)
            _writing.remove(table._stored, table._live_txn(), raw)
            return value

        value = self._write(pop)
        if value is _MISSING:
            raise KeyError(key)
        return value

    def popitem(self) -> tuple[K, V]:
        """Delete the record with the largest key, and return it; KeyError where the table is empty."""

        def popitem(table: Table[K, V]) -> tuple[K, V] | None:
            last = table.last()
            if last is not None:
                del table[last[0]]
            return last

        found = self._write(popitem)
        if found is None:
            raise KeyError(f"popitem(): table {self.name!r} is empty")
        return found

    def setdefault(self, key: K, default: V = None) -> V:  # type: ignore[assignment]
        """The value of a key, which is ``default`` from now on where there is no such key."""

        def setdefault(table: Table[K, V]) -> V:
            raw = table._storable(key)
            value: Any = table._find(raw, _MISSING)
            if value is not _MISSING:
                return value  # type: ignore[no-any-return]
            table._put(raw, default, True, False)
            return table[key]

        return self._write(setdefault)

    def update(self, other: Any = (), /, **more: V) -> None:
        """Store many records, in one transaction.

        Args:
            other: a mapping, or pairs of key and value. Where the table is unbound, pairs that are given one by one are
                read into memory first, since the transaction may have to be done again with a larger map.
            more: keys that are strings.

        Raises:
            UniqueError: see :meth:`put`. Where the table is bound, the records before it are stored.
        """
        pairs: Iterable[Any] = _pairs(other)
        if more:
            pairs = chain(pairs, more.items())
        if self._txn is None and not isinstance(pairs, (ItemsView, list, tuple)):
            pairs = list(pairs)
        self._write(lambda table: table._update(pairs))

    def _update(self, pairs: Iterable[tuple[K, V]]) -> None:
        storable, encode = self._storable, self._encode_value
        if self._plain and self._sized:
            for key, value in pairs:
                self[key] = value
        elif self._plain:
            self._live_txn().putmany(((storable(key), encode(value)) for key, value in pairs), db=self._database)
        else:
            records = ((storable(key), bytes(encode(value))) for key, value in pairs)
            while self._update_some(records):
                pass

    def _update_some(self, records: Iterator[tuple[bytes, bytes]]) -> bool:
        """Store the next records, which have entries in indexes; whether there may be more."""
        some: list[tuple[bytes, bytes]] = []
        try:
            some += islice(records, _AT_ONCE)
        finally:  # where one of them cannot be, those before it are stored, as they would be one by one
            if some and not _writing.store_new(self._stored, self._live_txn(), some):
                for raw, data in some:
                    self._put_encoded(raw, data, True, False)
        return len(some) == _AT_ONCE

    def delete_range(
        self,
        start: Any = None,
        stop: Any = None,
        *,
        prefix: Any = None,
        include_start: bool = True,
        include_stop: bool = False,
        limit: int | None = None,
    ) -> int:
        """Delete the records of a range of keys, in one transaction; the arguments are those of :meth:`range`, or that
        of :meth:`prefix`.

        Returns:
            How many there were.
        """
        if prefix is None:
            chosen = self.range(start, stop, include_start=include_start, include_stop=include_stop, limit=limit)
        elif start is None is stop:
            chosen = self.prefix(prefix, limit=limit)
        else:
            raise ValueError("a prefix, or start and stop")
        return chosen.delete()

    def clear(self) -> None:
        """Delete all records, and all entries of the indexes."""

        def clear(table: Table[K, V]) -> None:
            stored, txn = table._stored, table._live_txn()
            for database in stored.databases():
                txn.drop(database, delete=False)
            _catalog.forget_imports(txn, stored.catalog, stored.name)

        self._write(clear)

    # -- indexes and the whole table ---------------------------------------------------------------------------------

    def add_index(self, name: str, index: Index[Any]) -> None:
        """Add an index, and build it of the records.

        Raises:
            MismatchError: there is another index of this name.
            UniqueError: two records have the same key in it; nothing is changed.
            TableError: the table is bound to a transaction: this needs one of its own.
        """
        self._refuse_bound("add_index")
        asked = self._stored.asked
        self._open(Stored(self.env, self.name, asked.with_indexes({**asked.indexes, name: index})))

    def drop_index(self, name: str) -> None:
        """Remove an index.

        Raises:
            TableError: there is no such index, or the table is bound to a transaction: this needs one of its own.
        """
        self._refuse_bound("drop_index")
        self._index(name)
        stored = self._stored
        self.env.update(lambda txn: stored.drop_index(txn, name))
        indexes = {each: index for each, index in stored.asked.indexes.items() if each != name}
        self._open(Stored(self.env, self.name, stored.asked.with_indexes(indexes)))

    def reindex(self, name: str | None = None) -> int:
        """Make an index, or all of them, anew from the records, in one transaction.

        Returns:
            How many entries there are now.

        Raises:
            UniqueError: two records have the same key in a unique index; nothing is changed.
            TableError: there is no such index, or the table is bound to a transaction: this needs one of its own.
        """
        self._refuse_bound("reindex")
        indexes = list(self._stored.indexes) if name is None else [self._index(name).name]

        def reindex(table: Table[K, V]) -> int:
            stored, txn, entries = table._stored, table._live_txn(), 0
            for each in indexes:
                index = stored.indexes[each]
                txn.drop(index.database, delete=False)
                entries += _writing.build(stored, txn, index)
            return entries

        return self._write(reindex)

    def check(self) -> Iterator[Problem]:
        """Look at every record and every entry of the indexes, in one read transaction.

        Yields:
            What is wrong: records that cannot be read, keys that are not what the fields say, entries that are missing,
            that lead to no record, or that are not those of their record.
        """
        with self._reading() as txn:
            yield from _checking.problems(self._stored, txn)

    def drop(self) -> None:
        """Remove the table from its environment: records, indexes, and what the catalog has of it.

        Raises:
            TableError: the table is bound to a transaction: this needs one of its own.
        """
        self._refuse_bound("drop")
        self.env.update(self._stored.drop)

    def _refuse_bound(self, what: str) -> None:
        if self._txn is not None:
            raise TableError(f"table {self.name!r} is bound to a transaction: {what}() needs one of its own")


def _pairs(other: Any) -> Iterable[Any]:
    """Pairs of what ``dict.update`` takes."""
    if isinstance(other, dict):
        return other.items()
    if hasattr(other, "keys"):
        return ((key, other[key]) for key in other.keys())  # noqa: SIM118 (all that it need have)
    return other  # type: ignore[no-any-return]


def _has(other: Mapping[Any, Any], key: Any) -> bool:
    """Whether a mapping has a key, also where it is a table whose keys are others."""
    try:
        return key in other
    except (TypeError, ValueError):
        return False


def _reopened(kind: type[Table[Any, Any]], env: Environment, name: str, asked: Asked) -> Table[Any, Any]:
    """Unpickle a table."""
    return kind(
        env, name, key=asked.key, value=asked.value, indexes=asked.indexes, fields=asked.fields, trusted=asked.trusted
    )
