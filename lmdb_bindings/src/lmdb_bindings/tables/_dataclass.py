"""Dataclasses as values: JSON objects of their fields, which come back as what the fields' types say."""

from __future__ import annotations

import datetime as dt
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from lmdb_bindings.tables.errors import DamagedError
from lmdb_bindings.tables.values import ValueCodec
from lmdb_bindings.tables.values import json as json_values

V = TypeVar("V")

Convert = Callable[[Any], Any]
Both = tuple[Convert, Convert]  # to what JSON has, and back; TypeError or ValueError: it is none


class DataclassCodec(ValueCodec[V]):
    """See :func:`lmdb_bindings.tables.values.dataclass`."""

    name = "dataclass"

    def __init__(self, kind: type[V]) -> None:
        if not (isinstance(kind, type) and is_dataclass(kind)):
            raise TypeError(f"{kind!r} is no dataclass")
        self.kind = kind
        self._to_json, self._of_json = _of_dataclass(kind, {})

    def entry(self) -> dict[str, Any]:
        """The class, as ``"module:Class"``."""
        return {"type": f"{self.kind.__module__}:{self.kind.__qualname__}"}

    def encode(self, value: V) -> Any:
        """As for every codec."""
        return json_values.encode(self._to_json(value))

    def decode(self, data: Any) -> V:
        """As for every codec."""
        found = json_values.decode(data)
        try:
            return self._of_json(found)  # type: ignore[no-any-return]
        except (TypeError, ValueError, RecursionError) as problem:
            raise DamagedError(f"a value is no {self.kind.__qualname__}: {problem}") from None

    def field(self, value: V, path: tuple[str, ...]) -> Any:
        """As for every codec. A field that the class lacks is a mistake, and an AttributeError."""
        return super().field(getattr(value, path[0]), path[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind,)

    def __repr__(self) -> str:
        return f"values.dataclass({self.kind.__qualname__})"


def _of_dataclass(kind: Any, known: dict[Any, Both]) -> Both:
    """The conversions of a dataclass; ``known`` has those that are under way, since a class may contain itself."""
    converters: dict[str, Both] = {}

    def to_json(value: Any) -> dict[str, Any]:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is no {kind.__qualname__}, but {type(value).__name__}")
        return {name: to(getattr(value, name)) for name, (to, _) in converters.items()}

    def of_json(found: Any) -> Any:
        if not isinstance(found, dict):
            raise TypeError(f"{kind.__qualname__} is {found!r}")
        if unknown := found.keys() - converters:
            raise ValueError(f"{kind.__qualname__} has no field {', '.join(sorted(unknown))}")
        # A field that is not there has its default, or is missed by the class itself.
        return kind(**{name: of(found[name]) for name, (_, of) in converters.items() if name in found})

    known[kind] = to_json, of_json
    hints = get_type_hints(kind)
    for field in fields(kind):
        if not field.init:
            raise TypeError(f"{kind.__qualname__}.{field.name} is not given to the class, so it cannot be read back")
        try:
            converters[field.name] = _of(hints[field.name], known)
        except TypeError as problem:
            raise TypeError(f"{kind.__qualname__}.{field.name}: {problem}") from None
    return known[kind]


def _of(kind: Any, known: dict[Any, Both]) -> Both:
    """The conversions of a type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return _same, _same
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind in known:
        return known[kind]
    if origin in (Union, UnionType):
        return _of_optional(kind, arguments, known)
    if origin is list and len(arguments) == 1:
        return _of_items(list, *_of(arguments[0], known))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _of_items(tuple, *_of(arguments[0], known))
    if origin is tuple and arguments:
        return _of_tuple([_of(each, known) for each in arguments])
    if origin is dict and len(arguments) == 2 and arguments[0] is str:
        return _of_dict(*_of(arguments[1], known))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _exactly(kind, lambda value: value.value), kind
    if isinstance(kind, type) and is_dataclass(kind):
        return _of_dataclass(kind, known)
    raise TypeError(f"{kind!r} is no type that values.dataclass knows")


def _of_optional(kind: Any, arguments: tuple[Any, ...], known: dict[Any, Both]) -> Both:
    others = [each for each in arguments if each is not NoneType]
    if len(others) != 1 or len(arguments) != 2:
        raise TypeError(f"{kind!r}: only unions with None can be told apart")
    to, of = _of(others[0], known)
    return lambda value: None if value is None else to(value), lambda found: None if found is None else of(found)


def _of_items(kind: Any, to: Convert, of: Convert) -> Both:
    check = _exactly(list, _same)
    return _exactly(kind, lambda value: [to(each) for each in value]), lambda found: kind(
        of(each) for each in check(found)
    )


def _of_tuple(parts: list[Both]) -> Both:
    check, check_list = _exactly(tuple, _same), _exactly(list, _same)

    def to_json(value: Any) -> list[Any]:
        return [to(each) for each, (to, _) in zip(check(value), parts, strict=True)]

    def of_json(found: Any) -> tuple[Any, ...]:
        return tuple(of(each) for each, (_, of) in zip(check_list(found), parts, strict=True))

    return to_json, of_json


def _of_dict(to: Convert, of: Convert) -> Both:
    name = _exactly(str, _same)
    return (
        _exactly(dict, lambda value: {name(key): to(each) for key, each in value.items()}),
        _exactly(dict, lambda found: {key: of(each) for key, each in found.items()}),
    )


def _same(value: Any) -> Any:
    return value


def _exactly(kind: type, convert: Convert) -> Convert:
    """A conversion that refuses what is of another type: also a bool for an int."""

    def checked(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{value!r} is no {kind.__name__}, but {type(value).__name__}")
        return convert(value)

    return checked


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no float, but {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("an int that is too large for a float") from None


def _nothing(value: Any) -> None:
    if value is not None:
        raise TypeError(f"{value!r} is not None")


def _by_text(kind: type, to: Convert, of: Convert) -> Both:
    """The conversions of what is text in JSON."""
    return _exactly(kind, to), _exactly(str, of)


def _day(value: dt.date) -> str:
    if isinstance(value, dt.datetime):
        raise TypeError(f"{value!r} is no date, but datetime")
    return value.isoformat()


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no Decimal") from None


_SCALARS: dict[Any, Both] = {
    str: (_exactly(str, _same), _exactly(str, _same)),
    int: (_exactly(int, int), _exactly(int, _same)),
    float: (_number, _number),
    bool: (_exactly(bool, _same), _exactly(bool, _same)),
    NoneType: (_nothing, _nothing),
    bytes: _by_text(bytes, lambda value: b64encode(value).decode(), lambda text: b64decode(text, validate=True)),
    dt.datetime: _by_text(dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: _by_text(dt.date, _day, dt.date.fromisoformat),
    dt.time: _by_text(dt.time, dt.time.isoformat, dt.time.fromisoformat),
    UUID: _by_text(UUID, str, UUID),
    Decimal: _by_text(Decimal, str, _decimal),
}
