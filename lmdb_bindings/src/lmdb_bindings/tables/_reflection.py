"""The reflection of a schema: what a binary schema (``.bfbs``) says, as a record itself.

A binary schema is a FlatBuffer too, of a schema that describes itself, ``reflection.fbs``. What is needed of that one
stands below; records of it are read by the same classes as all others.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace as Thing
from typing import Any

from lmdb_bindings.tables import _record as r

# Of each table its fields: number, type, and default where that is not 0.
_TABLES: dict[str, dict[str, tuple[Any, ...]]] = {
    "Type": {
        "base_type": (0, r.BYTE), "element": (1, r.BYTE), "index": (2, r.INT, -1), "fixed_length": (3, r.USHORT),
    },
    "KeyValue": {"key": (0, r.STRING), "value": (1, r.STRING)},
    "EnumVal": {"name": (0, r.STRING), "value": (1, r.LONG), "union_type": (3, "Type")},
    "Enum": {
        "name": (0, r.STRING), "values": (1, ["EnumVal"]), "is_union": (2, r.BOOL), "underlying_type": (3, "Type"),
        "attributes": (4, ["KeyValue"]),
    },
    "Field": {
        "name": (0, r.STRING), "type": (1, "Type"), "id": (2, r.USHORT), "offset": (3, r.USHORT),
        "default_integer": (4, r.LONG), "default_real": (5, r.DOUBLE), "deprecated": (6, r.BOOL),
        "required": (7, r.BOOL), "key": (8, r.BOOL), "attributes": (9, ["KeyValue"]), "optional": (11, r.BOOL),
        "offset64": (13, r.BOOL),
    },
    "Object": {
        "name": (0, r.STRING), "fields": (1, ["Field"]), "is_struct": (2, r.BOOL), "bytesize": (4, r.INT),
        "attributes": (5, ["KeyValue"]),
    },
    "Schema": {
        "objects": (0, ["Object"]), "enums": (1, ["Enum"]), "file_ident": (2, r.STRING), "root_table": (4, "Object"),
    },
}  # fmt: skip


def read(binary: bytes) -> Any:
    """The ``reflection.Schema`` of a binary schema, which has been verified."""
    return r.root(_classes["reflection.Schema"], binary, len(binary))


@lru_cache(maxsize=256)
def has_field(binary: bytes, root: str, path: str) -> bool:
    """Whether records of a table have a field at a path, which goes through tables and structs."""
    objects = read(binary).objects
    kind = next(each for each in objects if each.name == root)
    for name in path.split("."):
        field = None if kind is None else next((each for each in kind.fields if each.name == name), None)
        if field is None or field.deprecated:
            return False
        kind = objects[field.type.index] if field.type.base_type == r.OBJECT else None
    return True


def _describe() -> Thing:
    """The schema of schemas, by the attributes that a record of one has."""
    names = list(_TABLES)

    def type_of(kind: Any) -> Thing:
        if isinstance(kind, list):
            return Thing(base_type=r.VECTOR, element=r.OBJECT, index=names.index(kind[0]), fixed_length=0)
        if isinstance(kind, str):
            return Thing(base_type=r.OBJECT, element=r.NONE, index=names.index(kind), fixed_length=0)
        return Thing(base_type=kind, element=r.NONE, index=-1, fixed_length=0)

    def field(name: str, number: int, kind: Any, default: int = 0) -> Thing:
        return Thing(name=name, type=type_of(kind), offset=4 + 2 * number, default_integer=default,
                     default_real=float(default), deprecated=False, optional=False, offset64=False)  # fmt: skip

    objects = [
        Thing(name=f"reflection.{name}", is_struct=False, fields=[field(*item) for item in fields])
        for name, fields in ((name, [(key, *what) for key, what in table.items()]) for name, table in _TABLES.items())
    ]
    return Thing(objects=objects, enums=[])


_classes = r.Classes(_describe()).by_name
