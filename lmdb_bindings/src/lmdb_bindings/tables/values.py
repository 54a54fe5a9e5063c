"""Codecs of values: between Python's values and the bytes of a record.

A codec is an object that derives from :class:`ValueCodec`, and which the catalog names by ``name`` and what ``entry()``
gives. ``values.json``, ``values.numpy("<f4", (3,))``; those of FlatBuffers are in ``lmdb_bindings.tables.flatbuffers``.
"""

from __future__ import annotations

import json as _json
import pickle as _pickle
from builtins import bytes as bytes_  # a name that a codec has here
from collections.abc import Mapping
from functools import cache, reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lmdb_bindings.tables.errors import DamagedError, TableError

if TYPE_CHECKING:
    from lmdb_bindings._database import _Database
    from lmdb_bindings._transaction import Transaction
    from lmdb_bindings.tables._catalog import Entry
    from lmdb_bindings.tables._opening import Stored

V = TypeVar("V")


class ValueCodec(Generic[V]):
    """How the values of a table are stored. The methods below ``decode`` may be left as they are.

    Attributes:
        name: what the catalog's ``value`` says.
        in_place: ``decode`` also takes a memoryview of the page, and gives a value that keeps it: read transactions of
            the table are then begun with ``buffers=True``. Else it gets bytes.
        sized: how many bytes a value has is known before it is encoded: ``size`` and ``write`` are called in place of
            ``encode``, and what is written goes straight into the page.
    """

    name: str
    in_place = False
    sized = False

    def entry(self) -> dict[str, Any]:
        """The further fields of the catalog's entry; a table whose entry has others is not opened with this codec."""
        return {}

    def encode(self, value: V) -> Any:
        """A value as bytes, or another contiguous buffer. TypeError or ValueError: it cannot be one of this table."""
        raise NotImplementedError

    def decode(self, data: Any) -> V:
        """The value of a record, which owns its memory, or keeps ``data``. DamagedError: the bytes are none."""
        raise NotImplementedError

    def size(self, value: V) -> int:
        """How many bytes a value has. TypeError or ValueError: it cannot be one of this table."""
        raise NotImplementedError

    def write(self, value: V, into: memoryview) -> None:
        """Write a value into memory of its size, of which nothing may be kept."""
        raise NotImplementedError

    def field(self, value: V, path: tuple[str, ...]) -> Any:
        """What a value has at a path, for keys and indexes; None where it lacks a part of the path."""
        found: Any = value
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
            if found is None:
                return None
        return found

    def attach(self, table: Stored, txn: Transaction, *, may_write: bool) -> bool:
        """The table is being opened: check what is stored with it against the codec, and store what is missing.

        Args:
            table: has its ``name``, ``env``, ``entry`` (what the catalog says, or will) and ``catalog`` (its database);
                what the codec adds to ``entry.more`` is stored with it.
            txn: the transaction to look in.
            may_write: it is a write transaction. Else the table is opened for reading, and nothing may be stored.

        Returns:
            Whether something is left to be stored: then the table calls again in a write transaction, or in a read-only
            environment goes on without.

        Raises:
            MismatchError: what is stored cannot be read, or must not be written, by this codec.
        """
        del table, txn, may_write
        return False

    def description(self, table: Stored, txn: Transaction) -> bytes_ | None:
        """What is stored with the table, beside its entry, by which the codec reads: writing is refused once that is
        another.
        """
        del table, txn
        return None

    def reader(self, txn: Transaction, database: _Database) -> Any:
        """What reads the records of a table that is bound to a read transaction, in place: an object with
        ``get(key: bytes)``, which gives the value of a key, or None where there is no such key. It may also have
        ``scan(scan, keys=)``, which gives the values of a :class:`Scan`, with ``keys`` pairs of key and value. None:
        ``decode`` is called.
        """
        del txn, database
        return

    def __repr__(self) -> str:
        return f"values.{self.name}"


class _Bytes(ValueCodec[bytes_]):
    name = "bytes"

    def encode(self, value: bytes_) -> Any:
        if isinstance(value, (bytes_, bytearray, memoryview)):
            return value
        raise TypeError(f"{value!r} is no bytes, but {type(value).__name__}")

    def decode(self, data: Any) -> bytes_:
        return data  # type: ignore[no-any-return]


class _String(ValueCodec[str]):
    name = "string"

    def encode(self, value: str) -> bytes_:
        if isinstance(value, str):
            return value.encode()
        raise TypeError(f"{value!r} is no string, but {type(value).__name__}")

    def decode(self, data: Any) -> str:
        try:
            return data.decode()  # type: ignore[no-any-return]
        except UnicodeDecodeError as problem:
            raise DamagedError(f"a value is no string: {problem}") from None


_to_json = _json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_from_json = _json.JSONDecoder().decode


class _Json(ValueCodec[Any]):
    """JSON text, UTF-8, without spaces. What JSON lacks, such as NaN, is refused; tuples come back as lists."""

    name = "json"

    def encode(self, value: Any) -> bytes_:
        return _to_json(value).encode()

    def decode(self, data: Any) -> Any:
        try:
            return _from_json(data.decode())
        except (ValueError, RecursionError) as problem:
            raise DamagedError(f"a value is no JSON: {problem}") from None


class _MessagePack(ValueCodec[Any]):
    """MessagePack, by the package msgpack; tuples come back as lists."""

    name = "msgpack"

    def encode(self, value: Any) -> bytes_:
        try:
            packed: bytes_ = _msgpack().packb(value)
        except OverflowError as problem:
            raise ValueError(f"{value!r} cannot be MessagePack: {problem}") from None
        return packed

    def decode(self, data: Any) -> Any:
        msgpack = _msgpack()
        try:
            return msgpack.unpackb(data, strict_map_key=False)
        except (TypeError, ValueError, msgpack.UnpackException) as problem:  # TypeError: a map with a list as a key
            raise DamagedError(f"a value is no MessagePack: {problem or type(problem).__name__}") from None


@cache
def _msgpack() -> Any:
    try:
        return import_module("msgpack")
    except ImportError as problem:
        raise ImportError("values.msgpack needs msgpack: install lmdb-bindings[msgpack]") from problem


# What pickle.loads() raises, says the standard library's documentation.
_UNREADABLE = (_pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, ValueError)


class _Pickle(ValueCodec[Any]):
    name = "pickle"

    def __init__(self, protocol: int | None) -> None:
        self._protocol = protocol

    def encode(self, value: Any) -> bytes_:
        return _pickle.dumps(value, self._protocol)

    def decode(self, data: Any) -> Any:
        try:
            return _pickle.loads(data)  # noqa: S301 (who opened the table says that its records are trusted)
        except _UNREADABLE as problem:
            raise DamagedError(f"a value is no pickle that can be read: {problem!r}") from problem


def pickle(*, trusted: bool, protocol: int | None = None) -> ValueCodec[Any]:
    """The codec of whatever pickles.

    Args:
        trusted: must be True: reading a pickle runs any code that who wrote it wants, so whoever can write to the
            environment's file can run code here. For the same reason the codec is never taken from the catalog.
        protocol: of :func:`pickle.dumps`.

    Raises:
        ValueError: ``trusted`` is not True.
    """
    if trusted is not True:
        raise ValueError(
            "values.pickle(trusted=True): a pickle runs code when it is read, so whoever can write to the file must be "
            "trusted; values.json and values.msgpack need no such trust"
        )
    return _Pickle(protocol)


def numpy(dtype: Any, shape: int | tuple[int, ...] = ()) -> ValueCodec[Any]:
    """The codec of NumPy arrays of one dtype and shape; see :mod:`lmdb_bindings.tables._numpy`.

    Args:
        dtype: their dtype: numbers, bool, times, bytes or str of fixed lengths.
        shape: their shape; ``()`` for single numbers.

    Raises:
        TypeError: a dtype with fields, or of Python objects.
        ImportError: NumPy is not installed.
    """
    from lmdb_bindings.tables._numpy import ArrayCodec

    return ArrayCodec(dtype, shape)


def dataclass(kind: type[V]) -> ValueCodec[V]:
    """The codec of instances of a dataclass, as JSON objects; see :mod:`lmdb_bindings.tables._dataclass`.

    Args:
        kind: the class. Its fields are of str, int, float, bool, None, bytes, datetime, date, time, UUID, Decimal,
            enums, other such dataclasses, list, tuple, dict with keys of str, unions with None, or Any for plain JSON.

    Raises:
        TypeError: it is no dataclass, or a field has another type.
    """
    from lmdb_bindings.tables._dataclass import DataclassCodec

    return DataclassCodec(kind)


bytes, string, json, msgpack = _Bytes(), _String(), _Json(), _MessagePack()

_PLAIN: dict[str, ValueCodec[Any]] = {codec.name: codec for codec in (bytes, string, json, msgpack)}


def of_entry(name: str, entry: Entry, *, trusted: bool) -> ValueCodec[Any]:
    """The codec that the catalog says.

    Args:
        name: the table's name.
        entry: what the catalog says of it.
        trusted: import a class that the catalog names.

    Raises:
        TableError: it must be given when the table is opened.
        DamagedError: the catalog says nothing that can be.
    """
    if entry.value in _PLAIN:
        return _PLAIN[entry.value]
    if entry.value == "flatbuffers":
        found: ValueCodec[Any] = import_module("lmdb_bindings.tables.flatbuffers").of_entry(entry)
        return found
    if entry.value == "numpy":
        from lmdb_bindings.tables._numpy import of_type

        return of_type(entry.more.get("type"))
    if entry.value == "dataclass" and trusted:
        kind = imported(str(entry.more.get("type")))
        try:
            return dataclass(kind)
        except TypeError as problem:
            raise TableError(f"table {name!r}: {problem}") from None
    what = "values.pickle(trusted=True)" if entry.value == "pickle" else f"values.dataclass({entry.more.get('type')})"
    raise TableError(
        f"table {name!r} has values of {entry.value}, and the catalog alone is not trusted to say how they are read: "
        f"give value={what}"
    )


def imported(name: str) -> Any:
    """What a name of the catalog stands for, ``module:name``, imported.

    Raises:
        TableError: there is no such thing.
    """
    module, _, path = name.partition(":")
    try:
        return reduce(getattr, path.split("."), import_module(module))
    except (ImportError, AttributeError, ValueError) as problem:
        raise TableError(f"{name} of the catalog cannot be imported: {problem}") from None
