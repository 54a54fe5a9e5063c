"""The catalog: the database ``__tables__``, which says of each table how it is stored. See docs/tables.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lmdb_bindings._database import _Database
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.tables import keys
from lmdb_bindings.tables.errors import DamagedError, MismatchError
from lmdb_bindings.tables.keys import KeyCodec

NAME = b"__tables__"

FORMAT = 1

# What stands in the keys of the catalog between a table's name and the version of a schema, or the path of an import.
_SCHEMA, _IMPORT = b"\0", b"\1"

VALUES = ("flatbuffers", "bytes", "string", "json", "msgpack", "pickle", "numpy", "dataclass")

# The fields that entries of some codecs of values have, and the types of these in JSON.
_MORE: dict[str, type] = {"root": str, "schema": int, "type": str}


_NEEDED = {"flatbuffers": ("root", "schema"), "numpy": ("type",), "dataclass": ("type",)}


@dataclass(frozen=True)
class IndexEntry:
    """What the catalog says of an index.

    Attributes:
        key: the name of the keys' codec.
        unique: a key leads to one record.
        fields: the paths of the fields that the key is made of; None where a function makes it.
        function: ``module:name`` of that function; None where fields do.
    """

    key: str
    unique: bool
    fields: tuple[str, ...] | None = None
    function: str | None = None


@dataclass(frozen=True)
class Entry:
    """What the catalog says of a table.

    Attributes:
        key: the name of the keys' codec.
        value: the name of the values' codec.
        fields: the paths of the fields that keys are made of, empty where records are numbered; None where keys are
            given apart.
        more: what else it says: ``root`` and ``schema``, or ``type``.
        indexes: the indexes by their names.
    """

    key: str
    value: str
    fields: tuple[str, ...] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    indexes: Mapping[str, IndexEntry] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """As it is stored."""
        found: dict[str, Any] = {"format": FORMAT, "key": self.key}
        if self.fields is not None:
            found["fields"] = self.fields
        found.update(value=self.value, **self.more)
        found["indexes"] = {name: json_of_index(index) for name, index in self.indexes.items()}
        return json.dumps(found, ensure_ascii=False).encode()


def json_of_index(index: IndexEntry) -> dict[str, Any]:
    """What the catalog says of an index, as JSON has it."""
    return {name: value for name, value in asdict(index).items() if value is not None}


def parse(name: str, data: bytes) -> Entry:
    """The entry of a table, as it is stored.

    Raises:
        MismatchError: it has another format, or fields that format 1 lacks.
        DamagedError: it is no entry.
    """
    try:
        found = json.loads(data.decode())
    except (ValueError, RecursionError) as problem:
        raise DamagedError(f"table {name!r}: its entry in the catalog is no JSON: {problem}") from None
    about = f"table {name!r}: its entry in the catalog"
    if not isinstance(found, dict):
        raise DamagedError(f"{about} is no JSON object")
    if found.get("format") != FORMAT:
        raise MismatchError(f"{about} has format {found.get('format')!r}, and this version of lmdb_bindings reads 1")
    known = {"format", "key", "fields", "value", "indexes", *_MORE}
    if unknown := sorted(found.keys() - known):
        raise MismatchError(f"{about} has {', '.join(unknown)}, of a newer version of lmdb_bindings or flatdb")
    more = {field: _typed(found, field, kind, about) for field, kind in _MORE.items() if field in found}
    indexes = _typed(found, "indexes", dict, about)
    codec = _codec(found, about)
    entry = Entry(
        key=codec.name,
        value=_typed(found, "value", str, about),
        fields=_paths(found, codec, about) if "fields" in found else None,
        more=more,
        indexes={index: _parse_index(each, f"{about}: index {index!r}") for index, each in indexes.items()},
    )
    if entry.value not in VALUES:
        raise MismatchError(f"{about} has values of {entry.value!r}; known are {', '.join(VALUES)}")
    if missing := [field for field in _NEEDED.get(entry.value, ()) if field not in more]:
        raise DamagedError(f"{about} has values of {entry.value}, and lacks {', '.join(missing)}")
    for index in indexes:
        _check_index_name(index, about)
    return entry


def _parse_index(found: Any, about: str) -> IndexEntry:
    if not isinstance(found, dict):
        raise DamagedError(f"{about} is no JSON object")
    if unknown := sorted(found.keys() - {"key", "unique", "fields", "function"}):
        raise MismatchError(f"{about} has {', '.join(unknown)}, of a newer version of lmdb_bindings or flatdb")
    if ("fields" in found) == ("function" in found):
        raise DamagedError(f"{about} has either fields or a function")
    codec = _codec(found, about)
    return IndexEntry(
        key=codec.name,
        unique=_typed(found, "unique", bool, about),
        fields=_paths(found, codec, about) if "fields" in found else None,
        function=_typed(found, "function", str, about) if "function" in found else None,
    )


def _check_index_name(index: str, about: str) -> None:
    try:
        check_name(index, "an index")
    except ValueError as problem:
        raise DamagedError(f"{about}: {problem}") from None


def _typed(found: dict[str, Any], field: str, kind: type, about: str) -> Any:
    value = found.get(field)
    if type(value) is not kind:
        raise DamagedError(f"{about}: {field} is {value!r}, and no {kind.__name__}")
    return value


def _codec(found: dict[str, Any], about: str) -> KeyCodec[Any]:
    """The codec of keys; its name is said in one way, where another program may have left out spaces."""
    name = _typed(found, "key", str, about)
    try:
        return keys.named(name)
    except ValueError as problem:
        raise DamagedError(f"{about}: {problem}") from None


def _paths(found: dict[str, Any], codec: KeyCodec[Any], about: str) -> tuple[str, ...]:
    paths = _typed(found, "fields", list, about)
    if not all(type(path) is str and path for path in paths):
        raise DamagedError(f"{about}: fields are {paths!r}, and no list of names")
    if paths and len(paths) != codec.width:
        raise DamagedError(f"{about}: {len(paths)} fields as {codec.name}")
    return tuple(paths)


# -- in the environment ----------------------------------------------------------------------------------------------


def check_name(name: str, what: str = "a table") -> bytes:
    """The bytes of a name that a table, or an index, may have.

    Raises:
        ValueError: it may not.
    """
    data = name.encode()
    if not data or ":" in name or name.startswith("__") or min(data) < 32:
        raise ValueError(
            f"{name!r} is no name for {what}: one is not empty, has no ':' and no control characters, and begins with "
            "something else than '__'"
        )
    return data


def index_database(name: str, index: str) -> bytes:
    """The name of an index's database."""
    return f"{name}:{index}".encode()


def read(txn: Transaction, catalog: _Database, name: str) -> bytes | None:
    """The entry of a table, as it is stored; None where there is no such table."""
    found = txn.get(name.encode(), None, catalog)
    return None if found is None else bytes(found)


def names(txn: Transaction, catalog: _Database) -> list[str]:
    """The names of the tables, in their order by bytes."""
    keys = (bytes(key) for key in txn.scan(catalog, values=False))
    return [key.decode(errors="backslashreplace") for key in keys if not (_SCHEMA in key or _IMPORT in key)]


def forget_imports(txn: Transaction, catalog: _Database, name: str) -> None:
    """Forget how far imports into a table came, since what they had stored is gone."""
    txn.delete_range(catalog, prefix=name.encode() + _IMPORT)


def remove(txn: Transaction, catalog: _Database, name: str) -> None:
    """Remove the entry of a table, and all that is stored with it."""
    key = name.encode()
    txn.delete(key, db=catalog)
    for mark in (_SCHEMA, _IMPORT):
        txn.delete_range(catalog, prefix=key + mark)
