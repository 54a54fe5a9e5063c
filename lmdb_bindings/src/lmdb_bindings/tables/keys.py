"""Codecs of keys: between Python's values and bytes whose order is the order of the values.

What the bytes are is said in docs/tables.md; native code writes the same. A codec is an object, found by its name or as
an attribute of this module: ``keys.uint64``, ``keys.tuple_of(keys.string, keys.uint32)``.
"""

from __future__ import annotations

import datetime as dt
import re
from builtins import bool as bool_  # names that codecs have here
from builtins import bytes as bytes_
from collections.abc import Callable, Sequence
from math import isnan
from operator import index
from struct import Struct, error
from typing import Any, Generic, TypeVar, overload
from uuid import UUID

from lmdb_bindings.tables.errors import DamagedError

__all__ = [
    "KeyCodec", "bool", "bytes", "datetime", "float32", "float64", "int8", "int16", "int32", "int64", "named", "string",
    "tuple_of", "uint8", "uint16", "uint32", "uint64", "uuid",
]  # fmt: skip

K = TypeVar("K")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


class KeyCodec(Generic[K]):
    """How the keys of a table, or of an index, are stored.

    Attributes:
        name: what the catalog calls it.
        encode: a value as a key. TypeError: it is of another type; ValueError: no key can be that.
        decode: the value of a key. DamagedError: the bytes are no such key.
        part: as ``encode``, but empty strings and bytes are empty, and no error.
        of_field: as ``part``, of what a field has; it also takes a UUID as its text or 16 bytes, a datetime as
            microseconds since 1970, bytes as a string or numbers, and a bool for an integer.
        bound: an end of a range, as bytes: also the empty string, and the leading parts of a tuple.
        prefix: what the keys begin with that begin with a string or bytes, or with the leading parts of a tuple; where
            every part is given, the last may be the beginning of a string or bytes. TypeError: of other codecs.
        size: how many bytes each key has; None where they differ.
        width: how many parts a key has; 1 where it is no tuple.
    """

    __slots__ = ("bound", "decode", "encode", "name", "of_field", "part", "prefix", "size", "width")

    def __init__(
        self,
        name: str,
        encode: Callable[[K], bytes_],
        decode: Callable[[bytes_], K],
        *,
        size: int | None,
        width: int = 1,
        part: Callable[[K], bytes_] | None = None,
        of_field: Callable[[Any], bytes_] | None = None,
        bound: Callable[[Any], bytes_] | None = None,
        prefix: Callable[[Any], bytes_] | None = None,
    ) -> None:
        self.name = name
        self.encode = encode
        self.decode = decode
        self.size = size
        self.width = width
        self.part: Callable[[K], bytes_] = encode if part is None else part
        self.of_field: Callable[[Any], bytes_] = self.part if of_field is None else of_field
        self.bound: Callable[[Any], bytes_] = self.part if bound is None else bound
        self.prefix: Callable[[Any], bytes_] = self._no_prefix if prefix is None else prefix

    def _no_prefix(self, value: object) -> bytes_:
        raise TypeError(f"prefix {value!r}: keys of {self.name} have none; those of strings, bytes and tuples do")

    def __repr__(self) -> str:
        return f"keys.named({self.name!r})"

    def __eq__(self, other: object) -> bool_:
        return isinstance(other, KeyCodec) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return named, (self.name,)


def _integer(name: str, code: str, *, signed: bool_) -> KeyCodec[int]:
    """Big-endian; of signed ones, adding half of the range inverts the sign bit."""
    layout = Struct(f">{code}")
    pack, unpack, bits = layout.pack, layout.unpack, 8 * layout.size
    shift = 1 << bits - 1 if signed else 0

    def encode(value: int) -> bytes_:
        if type(value) is not int:
            value = _as_int(value, name)
        try:
            return pack(value + shift)
        except error:
            pass
        raise ValueError(f"{value} is no {name}: from {-shift} to {(1 << bits) - 1 - shift}")

    def decode(data: bytes_) -> int:
        try:
            number: int = unpack(data)[0]
        except error:
            raise _damaged(data, name) from None
        return number - shift

    def of_field(value: Any) -> bytes_:
        return encode(int(value) if type(value) is bool_ else value)

    return KeyCodec(name, encode, decode, size=layout.size, of_field=of_field)


def _as_int(value: Any, name: str) -> int:
    if not isinstance(value, bool_) and getattr(getattr(value, "dtype", None), "kind", "") != "b":  # nor one of NumPy's
        try:
            return int(index(value))
        except TypeError:
            pass
    raise TypeError(f"{value!r} is no {name}, but {type(value).__name__}")


def _float(name: str, code: str, bits_code: str) -> KeyCodec[float]:
    """IEEE 754, big-endian, in which negative numbers have the sign bit, and larger bits are less: both are turned."""
    layout, of_bits = Struct(f">{code}"), Struct(f">{bits_code}")
    pack, unpack, pack_bits, unpack_bits = layout.pack, layout.unpack, of_bits.pack, of_bits.unpack
    sign = 1 << 8 * layout.size - 1
    every = (sign << 1) - 1

    def encode(value: float) -> bytes_:
        if type(value) is not float:
            value = _as_float(value, name)
        if isnan(value):
            raise ValueError(f"a {name} key that is no number (NaN) has no place in an order")
        try:
            bits = unpack_bits(pack(value))[0]
        except OverflowError:
            raise ValueError(f"{value} is too large for {name}") from None
        if bits & sign:
            return pack_bits(sign if bits == sign else bits ^ every)  # -0.0 is 0.0
        return pack_bits(bits | sign)

    def decode(data: bytes_) -> float:
        try:
            bits = unpack_bits(data)[0]
        except error:
            raise _damaged(data, name) from None
        value: float = unpack(pack_bits(bits ^ sign if bits & sign else bits ^ every))[0]
        if isnan(value):
            raise _damaged(data, name)
        return value

    return KeyCodec(name, encode, decode, size=layout.size)


def _as_float(value: Any, name: str) -> float:
    if not isinstance(value, bool_) and hasattr(value, "__float__"):
        try:
            converted = float(value)
        except OverflowError:
            raise ValueError(f"{value} is too large for {name}") from None
        if converted == value or isnan(converted):
            return converted
        raise ValueError(f"{value!r} would be rounded: give a float")
    raise TypeError(f"{value!r} is no {name}, but {type(value).__name__}")


def _encode_bool(value: bool_) -> bytes_:
    if type(value) is not bool_:
        raise TypeError(f"{value!r} is no bool, but {type(value).__name__}")
    return b"\1" if value else b"\0"


def _decode_bool(data: bytes_) -> bool_:
    if data == b"\0":
        return False
    if data == b"\1":
        return True
    raise _damaged(data, "bool")


def _string_part(value: str) -> bytes_:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no string, but {type(value).__name__}")
    return value.encode()


def _encode_string(value: str) -> bytes_:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no string, but {type(value).__name__}")
    return value.encode() or _refuse_empty("string")


def _decode_string(data: bytes_) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _damaged(data, "string") from None


def _bytes_part(value: bytes_) -> bytes_:
    if type(value) is bytes_:
        return value
    if isinstance(value, (bytes_, bytearray, memoryview)):
        return bytes_(value)
    raise TypeError(f"{value!r} is no bytes, but {type(value).__name__}")


def _bytes_of_field(value: Any) -> bytes_:
    if isinstance(value, str):
        return value.encode()
    return bytes_(value) if isinstance(value, Sequence) else _bytes_part(value)


def _encode_bytes(value: bytes_) -> bytes_:
    return _bytes_part(value) or _refuse_empty("bytes")


def _refuse_empty(name: str) -> bytes_:
    raise ValueError(f"an empty {name} is no key: LMDB has no empty keys")


def _decode_bytes(data: bytes_) -> bytes_:
    return data


def _encode_uuid(value: UUID) -> bytes_:
    if not isinstance(value, UUID):
        raise TypeError(f"{value!r} is no UUID, but {type(value).__name__}")
    return value.int.to_bytes(16, "big")  # what its property `bytes` does, without the call


def _uuid_of_field(value: Any) -> bytes_:
    if isinstance(value, UUID):
        return value.bytes
    if not isinstance(value, str):
        data = _bytes_of_field(value)
        if len(data) != 16:
            raise ValueError(f"a UUID has 16 bytes, and not {len(data)}")
        return data
    if _UUID.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no UUID: it has 8-4-4-4-12 hexadecimal digits")
    return bytes_.fromhex(value.replace("-", ""))


_UUID = re.compile("-".join(f"[0-9a-fA-F]{{{digits}}}" for digits in (8, 4, 4, 4, 12)))


def _decode_uuid(data: bytes_) -> UUID:
    if len(data) != 16:
        raise _damaged(data, "uuid")
    return UUID(bytes=data)


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def _encode_datetime(value: dt.datetime) -> bytes_:
    if not isinstance(value, dt.datetime):
        raise TypeError(f"{value!r} is no datetime, but {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError(f"{value!r} has no timezone, so it is no moment: give it one, such as datetime.timezone.utc")
    since = value - _EPOCH
    return _encode_int64(since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds)


def _datetime_of_field(value: Any) -> bytes_:
    is_number = isinstance(value, int) and not isinstance(value, bool_)  # also a member of an enum
    return _encode_int64(value) if is_number else _encode_datetime(value)


def _decode_datetime(data: bytes_) -> dt.datetime:
    try:
        return _EPOCH + dt.timedelta(microseconds=_decode_int64(data))
    except (OverflowError, DamagedError):
        raise _damaged(data, "datetime") from None


def _damaged(data: bytes_, name: str) -> DamagedError:
    return DamagedError(f"the key {data!r} is no {name}: {len(data)} bytes, or others than such a key has")


uint8 = _integer("uint8", "B", signed=False)
uint16 = _integer("uint16", "H", signed=False)
uint32 = _integer("uint32", "I", signed=False)
uint64 = _integer("uint64", "Q", signed=False)
int8 = _integer("int8", "B", signed=True)
int16 = _integer("int16", "H", signed=True)
int32 = _integer("int32", "I", signed=True)
int64 = _integer("int64", "Q", signed=True)
float32 = _float("float32", "f", "I")
float64 = _float("float64", "d", "Q")
bool = KeyCodec("bool", _encode_bool, _decode_bool, size=1)
string = KeyCodec("string", _encode_string, _decode_string, size=None, part=_string_part, prefix=_string_part)
bytes = KeyCodec(
    "bytes", _encode_bytes, _decode_bytes, size=None, part=_bytes_part, of_field=_bytes_of_field, prefix=_bytes_part
)
uuid = KeyCodec("uuid", _encode_uuid, _decode_uuid, size=16, of_field=_uuid_of_field)
datetime = KeyCodec("datetime", _encode_datetime, _decode_datetime, size=8, of_field=_datetime_of_field)

_encode_int64, _decode_int64 = int64.encode, int64.decode

_SINGLE: dict[str, KeyCodec[Any]] = {
    codec.name: codec
    for codec in (
        uint8, uint16, uint32, uint64, int8, int16, int32, int64, float32, float64, bool, string, bytes, uuid, datetime,
    )
}  # fmt: skip


# -- tuples ----------------------------------------------------------------------------------------------------------


@overload
def tuple_of(a: KeyCodec[A], b: KeyCodec[B], /) -> KeyCodec[tuple[A, B]]: ...
@overload
def tuple_of(a: KeyCodec[A], b: KeyCodec[B], c: KeyCodec[C], /) -> KeyCodec[tuple[A, B, C]]: ...
@overload
def tuple_of(a: KeyCodec[A], b: KeyCodec[B], c: KeyCodec[C], d: KeyCodec[D], /) -> KeyCodec[tuple[A, B, C, D]]: ...
@overload
def tuple_of(*parts: KeyCodec[Any]) -> KeyCodec[tuple[Any, ...]]: ...


def tuple_of(*parts: KeyCodec[Any]) -> KeyCodec[Any]:
    """The codec of tuples with parts of these codecs, compared part by part.

    Raises:
        ValueError: fewer than two parts, or one that is a tuple itself.
    """
    if len(parts) < 2:
        raise ValueError("a tuple has two parts or more: use the codec of its part")
    for part in parts:
        if part.name not in _SINGLE:
            raise ValueError(f"{part.name} is a tuple, and cannot be a part of one: give its parts")
    name = f"({', '.join(part.name for part in parts)})"
    *before, last = parts
    count = len(parts)
    as_leading = [part.part if part.size else _terminated(part.part) for part in parts]
    as_parts = [*as_leading[:-1], last.part]
    of_fields = [*(part.of_field if part.size else _terminated(part.of_field) for part in before), last.of_field]
    fixed = [part.size for part in parts]
    size = None if None in fixed else sum(part or 0 for part in fixed)

    join = _joined(as_parts)

    def encode(value: tuple[Any, ...]) -> bytes_:
        if not isinstance(value, tuple) or len(value) != count:
            raise TypeError(f"{value!r} is no {name}: give a tuple of {count}")
        return join(value)

    def decode(data: bytes_) -> tuple[Any, ...]:
        values, place = [], 0
        try:
            for part in before:
                value, place = _take(part, data, place)
                values.append(value)
            values.append(last.decode(data[place:]))
        except DamagedError:
            raise _damaged(data, name) from None
        return tuple(values)

    def bound(value: tuple[Any, ...]) -> bytes_:
        if isinstance(value, tuple) and 0 < len(value) < count:
            return b"".join([part(one) for part, one in zip(as_leading, value)])  # noqa: B905 (those that there are)
        return encode(value)

    return KeyCodec(
        name, encode, decode, size=size, width=count, of_field=_joined(of_fields), bound=bound, prefix=bound
    )


def _joined(parts: list[Callable[[Any], bytes_]]) -> Callable[[tuple[Any, ...]], bytes_]:
    """What makes a key of a tuple with these parts."""
    if len(parts) == 2:
        first, second = parts
        return lambda value: first(value[0]) + second(value[1])
    return lambda value: b"".join([part(one) for part, one in zip(parts, value)])  # noqa: B905 (of one length)


def _terminated(encode: Callable[[Any], bytes_]) -> Callable[[Any], bytes_]:
    """What a string or bytes is where parts follow: shorter ones come first, whatever follows them."""

    def encode_terminated(value: Any) -> bytes_:
        data = encode(value)
        return (data.replace(b"\0", b"\0\xff") if 0 in data else data) + b"\0\0"

    return encode_terminated


def _take(part: KeyCodec[Any], data: bytes_, place: int) -> tuple[Any, int]:
    """The value of a part that begins at a place, and where the next one begins."""
    if part.size is not None:
        end = place + part.size
        return part.decode(data[place:end]), end
    end = place
    while (end := data.find(b"\0", end)) >= 0:
        following = data[end + 1 : end + 2]
        if following == b"\0":
            return part.decode(data[place:end].replace(b"\0\xff", b"\0")), end + 2
        if following != b"\xff":
            break
        end += 2
    raise _damaged(data, part.name)


def named(name: str) -> KeyCodec[Any]:
    """The codec of a name, as the catalog has it.

    Raises:
        ValueError: there is no such codec.
    """
    if name.startswith("(") and name.endswith(")"):
        return tuple_of(*[named(part.strip()) for part in name[1:-1].split(",")])
    if name not in _SINGLE:
        raise ValueError(f"{name!r} is no codec of keys: {', '.join(_SINGLE)}, or a tuple such as (string, uint32)")
    return _SINGLE[name]
