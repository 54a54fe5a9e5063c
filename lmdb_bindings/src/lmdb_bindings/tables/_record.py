"""Records of FlatBuffers, read where they are: a class for each table, struct and enum of a schema, without generated
code. A record is a window of memory and a place in it; nothing is read before it is asked for.

It reads what has been verified: see ``_snapshot`` and ``flatbuffers``. The format: FlatBuffers' "Internals".
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence
from enum import IntEnum, IntFlag
from struct import Struct, unpack_from
from typing import TYPE_CHECKING, Any, ClassVar, overload

from lmdb_bindings.errors import Error
from lmdb_bindings.tables._snapshot import REST
from lmdb_bindings.tables.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable

    Window = memoryview | bytes
    Read = Callable[[Window, int, int], Any]  # the value at a place


# reflection.BaseType, as far as a record has them.
NONE, UTYPE, BOOL, BYTE, UBYTE, SHORT, USHORT, INT, UINT, LONG, ULONG, FLOAT, DOUBLE = range(13)
STRING, VECTOR, OBJECT, UNION, ARRAY, VECTOR64 = range(13, 19)

SCALARS = {
    UTYPE: "B", BOOL: "?", BYTE: "b", UBYTE: "B", SHORT: "h", USHORT: "H", INT: "i", UINT: "I", LONG: "q", ULONG: "Q",
    FLOAT: "f", DOUBLE: "d",
}  # fmt: skip
"""Of scalars the format in ``struct``."""

_u16, _i32, _u32, _u64 = (Struct(f"<{letter}").unpack_from for letter in "HiIQ")


class Record:
    """A table or struct of FlatBuffers, with an attribute for each field.

    A field has the name that it has in the schema, with an underscore behind it where that is a word of Python's or a
    method of records. A record is usable as long as the transaction that it was read in; :meth:`copy` gives one that
    lasts. Two records of a table are equal where their values are.
    """

    __slots__ = ("_extent", "_position", "_window")

    _attributes: ClassVar[dict[str, str]] = {}  # name in the schema to name in Python
    _window: Window
    _position: int
    _extent: int  # of the whole buffer that it is in

    def copy(self) -> Any:
        """The same record with memory of its own, which outlives the transaction."""
        begin, size = _place_of(self._extent)
        try:
            data = raw(self._window, begin, size)
        except ValueError:
            raise ended() from None
        return make(type(self), data, self._position - begin, size)

    def to_dict(self) -> dict[str, Any]:
        """The values of all fields by their names in the schema: records as dicts, vectors as lists, what is absent as
        None or as its default.
        """
        return {name: _plain(getattr(self, attribute)) for name, attribute in self._attributes.items()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        if self._full_name() != other._full_name():  # of the same table by another version of the schema they may be
            return False
        if other._window is self._window and other._position == self._position:
            return True
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def _full_name(cls) -> str:
        return f"{cls.__module__}.{cls.__name__}".lstrip(".")

    def __repr__(self) -> str:
        kind = self._full_name()
        try:
            fields = ((name, getattr(self, name)) for name in self._attributes.values())
            return f"{kind}({', '.join(f'{name}={value!r}' for name, value in fields if value is not None)})"
        except Error as problem:
            return f"<{kind}: {problem}>"

    def __reduce__(self) -> str:
        raise TypeError("a record is a place in memory, and cannot be pickled: take its to_dict()")


def make(kind: type[Any], window: Window, position: int, extent: int) -> Any:
    """A record. As a function: ``__init__`` costs twice as much."""
    record = _new(kind)
    record._window = window
    record._position = position
    record._extent = extent
    return record


_new: Any = object.__new__


def root(kind: type[Any], window: Window, extent: int) -> Any:
    """The record that a whole buffer is."""
    record = _new(kind)
    begin = extent >> 32 & REST
    record._window = window
    record._position = begin + _u32(window, begin)[0]
    record._extent = extent
    return record


def _place_of(extent: int) -> tuple[int, int]:
    """Where in its window a buffer begins, and its size."""
    return extent >> 32 & REST, extent & 0xFFFFFFFF


def raw(window: Window, begin: int, size: int) -> bytes:
    """Bytes of a window, copied in one step: a slice would be a view of its own, and outlive the window's release."""
    data: bytes = unpack_from(f"{size}s", window, begin)[0]
    return data


def whole(record: Record) -> bytes | None:
    """The bytes of the buffer that a record is in, if it is that buffer's root."""
    window, (begin, size) = record._window, _place_of(record._extent)
    try:
        if begin + _u32(window, begin)[0] != record._position:
            return None
        return raw(window, begin, size)
    except ValueError:
        raise ended() from None


def ended() -> Error:
    """The exception for a record whose memory is LMDB's again."""
    return Error(
        "the transaction that this record was read in has ended: read it within, or take record.copy() before its end"
    )


def _explain(problem: ValueError, name: str) -> Error:
    """The exception for what reading a field has raised."""
    if isinstance(problem, UnicodeDecodeError):
        return DamagedError(f"the string {name!r} of the record is not UTF-8: {problem.reason} at byte {problem.start}")
    return ended()


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Vector) or (value and isinstance(value, tuple) and isinstance(value[0], Record)):
        return [_plain(item) for item in value]
    return list(value) if isinstance(value, tuple) else value


class TableRecord(Record):
    """A record that is a table: it may lack fields."""

    __slots__ = ()


class StructRecord(Record):
    """A record that is a struct: all fields are there."""

    __slots__ = ()


class Vector(Sequence[Any]):
    """A vector of strings, tables, structs or unions; what it holds is read when it is asked for."""

    __slots__ = ("_begin", "_count", "_extent", "_read", "_stride", "_window")

    def __init__(self, window: Window, begin: int, count: int, extent: int, stride: int, read: Read) -> None:
        self._window = window
        self._begin = begin
        self._count = count
        self._extent = extent
        self._stride = stride
        self._read = read

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self._count))]
        place = index + self._count if index < 0 else index
        if not 0 <= place < self._count:
            raise IndexError(f"index {index} of a vector of {self._count}")
        try:
            return self._read(self._window, self._begin + place * self._stride, self._extent)
        except ValueError as problem:
            raise _explain(problem, f"[{index}]") from None

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(self._count))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Vector, list, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


# -- what stands at a place: functions that read it --------------------------------------------------------------------


def _text(window: Window, place: int, _extent: int) -> str:
    return str(raw(window, place + 4, _u32(window, place)[0]), "utf-8")


def _scalar(letter: str, named: Callable[[int], Any] | None) -> Read:
    unpack = Struct(f"<{letter}").unpack_from
    if named is None:
        return lambda window, place, extent: unpack(window, place)[0]
    return lambda window, place, extent: named(unpack(window, place)[0])


def _scalars(letter: str, named: Callable[[int], Any] | None) -> Callable[[Window, int, int], Any]:
    """What reads so many scalars from a place on."""
    if named is not None:
        return lambda window, place, count: tuple(map(named, unpack_from(f"<{count}{letter}", window, place)))
    if letter == "B":
        return raw
    return lambda window, place, count: unpack_from(f"<{count}{letter}", window, place)


def _record(kind: type[Record]) -> Read:
    return lambda window, place, extent: make(kind, window, place, extent)


def _by_offset(read: Read) -> Read:
    """What reads by an offset, from where that stands on."""
    return lambda window, place, extent: read(window, place + _u32(window, place)[0], extent)


def _by_wide_offset(read: Read) -> Read:
    return lambda window, place, extent: read(window, place + _u64(window, place)[0], extent)


def _place(record: Record, slot: int) -> int:
    """Where a field of a table is; 0 where it is not stored."""
    window, position = record._window, record._position
    vtable = position - _i32(window, position)[0]
    offset: int = _u16(window, vtable + slot)[0] if slot < _u16(window, vtable)[0] else 0
    return offset and position + offset


class Classes:
    """The classes of a schema.

    Args:
        schema: its reflection, a record of ``reflection.Schema``.

    Attributes:
        by_name: the classes of tables, structs and enums by their full names; a union's is the enum of its types.
        has_unions: there is a vector of unions.
    """

    def __init__(self, schema: Any) -> None:
        self._things = list(schema.objects)
        self._kinds = [_class(thing.name, StructRecord if thing.is_struct else TableRecord) for thing in self._things]
        self._enums = list(schema.enums)
        self._members = [_enum(enum) for enum in self._enums]
        names = [thing.name for thing in (*self._things, *self._enums)]
        self.by_name: dict[str, Any] = dict(zip(names, (*self._kinds, *self._members), strict=True))
        self.has_unions = any(field.type.element == UNION for thing in self._things for field in thing.fields)
        for thing, kind in zip(self._things, self._kinds, strict=True):
            kind._attributes = {}
            for field in sorted(thing.fields, key=lambda field: field.offset):
                if not field.deprecated:
                    attribute = kind._attributes[field.name] = _attribute(field.name, kind)
                    getter = self._in_struct(field) if thing.is_struct else self._in_table(field)
                    setattr(kind, attribute, property(getter))

    # -- fields

    def _in_struct(self, field: Any) -> Callable[[Record], Any]:
        name, offset, read = field.name, field.offset, self._value(field.type)

        def get(record: Record) -> Any:
            try:
                return read(record._window, record._position + offset, record._extent)
            except ValueError as problem:
                raise _explain(problem, name) from None

        return get

    def _in_table(self, field: Any) -> Callable[[Record], Any]:
        type_ = field.type
        if UNION in (type_.base_type, type_.element):
            return self._union(field)
        default, named = self._default(field), self._named(type_)
        if type_.base_type in SCALARS and named is None:
            return _plain_scalar(field, default)
        name, slot, read = field.name, field.offset, self._value(type_, wide=field.offset64)

        def get(record: Record) -> Any:
            try:
                place = _place(record, slot)
                return read(record._window, place, record._extent) if place else default
            except ValueError as problem:
                raise _explain(problem, name) from None

        return get

    def _union(self, field: Any) -> Callable[[Record], Any]:
        """Of a union field: its type stands in the slot before. A type that the schema does not know gives None."""
        name, slot, type_ = field.name, field.offset, field.type
        variants = {value.value: self._variant(value.union_type) for value in self._enums[type_.index].values
                    if value.value}  # fmt: skip
        several = type_.base_type == VECTOR

        def of(kind: int) -> Read:
            return variants.get(kind, lambda window, place, extent: None)

        def get(record: Record) -> Any:
            window, extent = record._window, record._extent
            try:
                kinds, place = _place(record, slot - 2), _place(record, slot)
                if not (kinds and place):
                    return None
                if not several:
                    return of(window[kinds])(window, place, extent)
                kinds, place = kinds + _u32(window, kinds)[0], place + _u32(window, place)[0]
                count = min(_u32(window, kinds)[0], _u32(window, place)[0])
                reads = [of(kind) for kind in raw(window, kinds + 4, count)]
            except ValueError as problem:
                raise _explain(problem, name) from None
            begin = place + 4
            return Vector(window, begin, count, extent, 4, lambda window, place, extent:
                          reads[(place - begin) // 4](window, place, extent))  # fmt: skip

        return get

    def _default(self, field: Any) -> Any:
        type_ = field.type
        if field.optional or type_.base_type not in SCALARS:
            return None
        if type_.base_type in (FLOAT, DOUBLE):
            return field.default_real
        number = field.default_integer & _MASKS.get(type_.base_type, -1)
        named = self._named(type_)
        return bool(number) if type_.base_type == BOOL else number if named is None else named(number)

    # -- types

    def _named(self, type_: Any) -> Callable[[int], Any] | None:
        """What makes a member of an enum of a number; one that the schema has no name for stays a number."""
        base = type_.element if type_.base_type in (VECTOR, VECTOR64, ARRAY) else type_.base_type
        if type_.index < 0 or base not in SCALARS:
            return None
        kind: Any = self._members[type_.index]
        members = {} if issubclass(kind, IntFlag) else {int(member): member for member in kind}
        named: Callable[[int], Any] = (lambda number: members.get(number, number)) if members else kind
        return named

    def _value(self, type_: Any, *, wide: bool = False) -> Read:
        """What reads a value where its field is; ``wide``: by an offset of 64 bits."""
        base = type_.base_type
        if base in SCALARS:
            return _scalar(SCALARS[base], self._named(type_))
        if base == ARRAY:
            return self._array(type_)
        if base == OBJECT and self._things[type_.index].is_struct:
            return _record(self._kinds[type_.index])
        return (_by_wide_offset if wide else _by_offset)(self._behind(type_))

    def _behind(self, type_: Any) -> Read:
        """What reads a value where its offset leads to."""
        if type_.base_type == STRING:
            return _text
        if type_.base_type == OBJECT:
            return _record(self._kinds[type_.index])
        length, head = (_u64, 8) if type_.base_type == VECTOR64 else (_u32, 4)
        if type_.element in SCALARS:
            scalars = _scalars(SCALARS[type_.element], self._named(type_))
            return lambda window, place, extent: scalars(window, place + head, length(window, place)[0])
        element, stride = self._element(type_)
        return lambda window, place, extent: Vector(
            window, place + head, length(window, place)[0], extent, stride, element
        )

    def _element(self, type_: Any) -> tuple[Read, int]:
        """What reads an element that is no scalar, and how many bytes there are from one to the next."""
        if type_.element == STRING:
            return _by_offset(_text), 4
        thing, kind = self._things[type_.index], self._kinds[type_.index]
        return (_record(kind), thing.bytesize) if thing.is_struct else (_by_offset(_record(kind)), 4)

    def _variant(self, type_: Any) -> Read:
        return _by_offset(_text if type_.base_type == STRING else _record(self._kinds[type_.index]))

    def _array(self, type_: Any) -> Read:
        count = type_.fixed_length
        if type_.element in SCALARS:
            scalars = _scalars(SCALARS[type_.element], self._named(type_))
            return lambda window, place, extent: scalars(window, place, count)
        element, stride = self._element(type_)
        return lambda window, place, extent: tuple(
            element(window, place + stride * index, extent) for index in range(count)
        )


_MASKS = {UTYPE: 0xFF, UBYTE: 0xFF, USHORT: 0xFFFF, UINT: 0xFFFFFFFF, ULONG: 0xFFFFFFFFFFFFFFFF}
"""Of unsigned integers: reflection has their defaults as signed ones."""


def _plain_scalar(field: Any, default: Any) -> Callable[[Record], Any]:
    """Of most fields: one function, since each call more would be felt."""
    name, slot, unpack = field.name, field.offset, Struct(f"<{SCALARS[field.type.base_type]}").unpack_from

    def get(record: Record) -> Any:
        window, position = record._window, record._position
        try:
            vtable = position - _i32(window, position)[0]
            if slot < _u16(window, vtable)[0] and (offset := _u16(window, vtable + slot)[0]):
                return unpack(window, position + offset)[0]
        except ValueError as problem:
            raise _explain(problem, name) from None
        return default

    return get


def _class(full_name: str, base: type[Record]) -> Any:
    namespace, _, name = full_name.rpartition(".")
    return type(name, (base,), {"__slots__": (), "__module__": namespace, "__doc__": f"``{full_name}`` of a schema."})


def _enum(enum: Any) -> Any:
    """The class of an enum; of a union that of its types."""
    namespace, _, name = enum.name.rpartition(".")
    base = enum.underlying_type.base_type
    members = {}
    for value in enum.values:
        member = _free(value.name, lambda word: word in members or hasattr(IntFlag, word))
        members[member] = value.value & _MASKS.get(base, -1)
    kind: Any = IntFlag if any(pair.key == "bit_flags" for pair in enum.attributes or ()) else IntEnum
    return kind(name, members, module=namespace)


def _attribute(name: str, kind: Any) -> str:
    """The name in Python of a field."""
    return _free(name, lambda word: hasattr(kind, word))


def _free(name: str, taken: Callable[[str], bool]) -> str:
    """A name with underscores behind it, as far as it is a word of Python's or taken."""
    while keyword.iskeyword(name) or taken(name):
        name += "_"
    return name
