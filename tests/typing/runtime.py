"""``assert_type`` at run time: of the value, where type checkers ask it of the expression."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import lmdb_bindings as lmdb
from lmdb_bindings._scan import Scan
from lmdb_bindings.tables import Lookup, Query, Table
from lmdb_bindings.tables._views import TableItems, TableKeys, TableValues

T = TypeVar("T")


def assert_type(value: T, kind: Any) -> T:
    """Refuse a value that is not of a type. An iterator is consumed, and must not be empty: it would prove nothing."""
    assert fits(value, kind), f"{value!r} is no {kind}"
    return value


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type: exactly, so that a bool is no int."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if kind is Any:
        return True
    if origin is UnionType:
        return any(fits(value, argument) for argument in arguments)
    if origin is tuple:
        return type(value) is tuple and len(value) == len(arguments) and all(map(fits, value, arguments))
    if origin in (list, Iterator, Scan, Query):
        items = list(value)
        return isinstance(value, origin) and bool(items) and all(fits(item, arguments[-1]) for item in items)
    if origin in (Table, Lookup, TableKeys, TableValues, TableItems, dict):
        return isinstance(value, origin)
    if origin is lmdb.Transaction and arguments:
        return type(value) is origin and _gives(value.cursor(), arguments[0])
    if origin is lmdb.Cursor:
        return type(value) is origin and _gives(value, arguments[0])
    return value is None if kind is None else type(value) is kind


def _gives(cursor: lmdb.Cursor, kind: Any) -> bool:
    return fits(cursor.key(), kind)
