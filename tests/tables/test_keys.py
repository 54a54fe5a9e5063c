"""The codecs of keys: their bytes, their order, and what they refuse."""

from __future__ import annotations

import datetime as dt
import enum
import pickle
import struct
import uuid
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmdb_bindings.tables import DamagedError, keys
from lmdb_bindings.tables.keys import KeyCodec

UTC = dt.timezone.utc
PAIR = keys.tuple_of(keys.string, keys.uint32)
TEXTS = keys.tuple_of(keys.bytes, keys.string, keys.string)


class Color(enum.IntEnum):
    """An int with a name."""

    RED = 7


# Worked out by hand from docs/tables.md: native code writes the same.
VECTORS: list[tuple[KeyCodec[Any], Any, str]] = [
    (keys.uint8, 255, "ff"),
    (keys.uint16, 258, "0102"),
    (keys.uint32, 1, "00000001"),
    (keys.uint64, 2**64 - 1, "ffffffffffffffff"),
    (keys.int8, -128, "00"),
    (keys.int8, -1, "7f"),
    (keys.int8, 0, "80"),
    (keys.int16, 1, "8001"),
    (keys.int32, -2, "7ffffffe"),
    (keys.int64, 0, "8000000000000000"),
    (keys.int64, -(2**63), "0000000000000000"),
    (keys.float32, 1.0, "bf800000"),
    (keys.float32, -1.0, "407fffff"),
    (keys.float32, -0.0, "80000000"),
    (keys.float64, 0.0, "8000000000000000"),
    (keys.float64, -0.0, "8000000000000000"),
    (keys.float64, 1.5, "bff8000000000000"),
    (keys.float64, -1.5, "4007ffffffffffff"),
    (keys.float64, float("inf"), "fff0000000000000"),
    (keys.float64, float("-inf"), "000fffffffffffff"),
    (keys.bool, False, "00"),
    (keys.bool, True, "01"),
    (keys.string, "aé€", "61c3a9e282ac"),
    (keys.bytes, b"\x00\xff", "00ff"),
    (keys.uuid, uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"), "00112233445566778899aabbccddeeff"),
    (keys.datetime, dt.datetime(1970, 1, 1, tzinfo=UTC), "8000000000000000"),
    (keys.datetime, dt.datetime(1970, 1, 1, 0, 0, 1, 2, tzinfo=UTC), "80000000000f4242"),
    (keys.datetime, dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "7fffffffffffffff"),
    (PAIR, ("ab", 1), "6162000000000001"),
    (PAIR, ("", 1), "000000000001"),
    (PAIR, ("a\0", 1), "6100ff000000000001"),
    (TEXTS, (b"\0\0", "x", "a\0b"), "00ff00ff00007800006100" + "62"),
    (TEXTS, (b"", "", ""), "00000000"),
    (keys.tuple_of(keys.int8, keys.bool), (-1, True), "7f01"),
]


@pytest.mark.parametrize(("codec", "value", "expected"), VECTORS)
def test_bytes(codec: KeyCodec[Any], value: Any, expected: str) -> None:
    """Each codec makes the bytes that docs/tables.md says, and reads them."""
    assert codec.encode(value).hex() == expected
    assert codec.decode(bytes.fromhex(expected)) == value


def test_every_codec_has_a_vector() -> None:
    """No codec is left out above."""
    assert {codec.name for codec, _, _ in VECTORS} >= set(keys._SINGLE)


# Of each codec the values, and what Python compares them by.
moments = st.datetimes(timezones=st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=-7, minutes=-30))]))
texts = st.text(alphabet=st.sampled_from("a\0\x01é€\U0001f600\uffff")) | st.text()
datas = st.binary() | st.lists(st.sampled_from([b"\0", b"\1", b"\xff", b"a"])).map(b"".join)
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "uint8": st.integers(0, 2**8 - 1),
    "uint16": st.integers(0, 2**16 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "int8": st.integers(-(2**7), 2**7 - 1),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32, allow_nan=False),
    "float64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": texts,
    "bytes": datas,
    "uuid": st.uuids(),
    "datetime": moments,
}
names = st.sampled_from(sorted(STRATEGIES))


@given(st.lists(names, min_size=1, max_size=4), st.data())
def test_the_order_of_the_bytes_is_that_of_the_values(parts: list[str], data: st.DataObject) -> None:
    """Two keys compare as their values do, and come back: of every codec, and of tuples of any."""
    if len(parts) == 1:
        codec, one = keys.named(parts[0]), STRATEGIES[parts[0]]
    else:
        codec, one = keys.named(f"({', '.join(parts)})"), st.tuples(*[STRATEGIES[part] for part in parts])
    a = data.draw(one)
    b = data.draw(one | st.just(a))
    if isinstance(a, tuple) and data.draw(st.booleans()):
        b = (*a[:-1], b[-1])
    first, second = codec.part(a), codec.part(b)
    assert (first < second, first == second) == (a < b, a == b)
    assert codec.decode(first) == a
    assert codec.size is None or len(first) == codec.size


@given(st.lists(names, min_size=2, max_size=4), st.data())
def test_leading_parts_are_a_prefix(parts: list[str], data: st.DataObject) -> None:
    """The leading parts of a tuple are what exactly the keys with these parts begin with."""
    codec = keys.named(f"({', '.join(parts)})")
    tuples = st.tuples(*[STRATEGIES[part] for part in parts])
    a, b = data.draw(tuples), data.draw(tuples)
    count = data.draw(st.integers(1, len(parts) - 1))
    if data.draw(st.booleans()):
        b = (*a[:count], *b[count:])
    prefix = codec.prefix(a[:count])
    assert codec.encode(a).startswith(prefix)
    assert codec.encode(b).startswith(prefix) is (b[:count] == a[:count])
    assert codec.bound(a[:count]) == prefix


@given(names, st.binary(max_size=40))
def test_other_bytes_are_damage_or_a_key(name: str, data: bytes) -> None:
    """Bytes of a file are no key, or are read, and nothing else happens."""
    for codec in (keys.named(name), keys.named(f"({name}, string, {name})")):
        with suppress(DamagedError):
            codec.decode(data)


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        *[(codec, b"") for codec in keys._SINGLE.values() if codec.size],
        *[(codec, b"\0" * 20) for codec in keys._SINGLE.values() if codec.size],
        (keys.bool, b"\2"),
        (keys.float64, bytes.fromhex("fff8000000000000")),  # NaN
        (keys.string, b"\xff"),
        (keys.datetime, b"\xff" * 8),
        (PAIR, b"ab"),
        (PAIR, b"ab\0"),
        (PAIR, b"ab\0\1\0\0\0\1"),
        (PAIR, b"ab\0\0\0\0\1"),
        (PAIR, b"ab\0\0\0\0\0\0\1"),
        (PAIR, b"\xff\0\0\0\0\0\1"),
    ],
)
def test_damaged(codec: KeyCodec[Any], data: bytes) -> None:
    """Bytes of another length, or that no value has, raise."""
    with pytest.raises(DamagedError, match="is no "):
        codec.decode(data)


@pytest.mark.parametrize(
    ("codec", "value", "text"),
    [
        (keys.uint8, 256, "256 is no uint8: from 0 to 255"),
        (keys.uint8, -1, "-1 is no uint8: from 0 to 255"),
        (keys.int64, 2**63, "from -9223372036854775808 to 9223372036854775807"),
        (keys.int8, -129, "from -128 to 127"),
        (keys.float64, float("nan"), "NaN"),
        (keys.float32, 1e39, "too large for float32"),
        (keys.float64, 10**400, "too large for float64"),
        (keys.float64, 2**53 + 1, "would be rounded"),
        (keys.string, "", "LMDB has no empty keys"),
        (keys.bytes, b"", "LMDB has no empty keys"),
        (keys.string, "\ud800", "surrogates not allowed"),
        (keys.datetime, dt.datetime(2020, 1, 1), "has no timezone"),  # noqa: DTZ001 (what is refused)
        (PAIR, ("a", 2**32), "from 0 to 4294967295"),
    ],
)
def test_values_that_no_key_can_have(codec: KeyCodec[Any], value: Any, text: str) -> None:
    """What is out of range, or has no place in an order, is a ValueError that says what there can be."""
    with pytest.raises(ValueError, match=text):
        codec.encode(value)


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (keys.uint64, True),
        (keys.uint64, 1.0),
        (keys.uint64, "1"),
        (keys.float64, True),
        (keys.float64, "1.0"),
        (keys.float64, None),
        (keys.bool, 1),
        (keys.string, b"a"),
        (keys.bytes, "a"),
        (keys.bytes, 3),
        (keys.uuid, "00112233-4455-6677-8899-aabbccddeeff"),
        (keys.datetime, dt.date(2020, 1, 1)),
        (PAIR, ("a",)),
        (PAIR, ("a", 1, 2)),
        (PAIR, ["a", 1]),
        (PAIR, (1, "a")),
        (PAIR, ("a", True)),
    ],
)
def test_values_of_another_type(codec: KeyCodec[Any], value: Any) -> None:
    """What is of another type is a TypeError, also a bool where an int is wanted."""
    with pytest.raises(TypeError, match=" is no "):
        codec.encode(value)


def test_what_else_is_a_number() -> None:
    """An int by another class is an int, and an int is a float where it is the same."""
    assert keys.uint8.encode(Color.RED) == b"\7"
    assert keys.float64.encode(3) == keys.float64.encode(3.0)
    assert keys.bytes.encode(memoryview(b"ab")) == keys.bytes.encode(bytearray(b"ab")) == b"ab"


def test_numbers_of_numpy() -> None:
    """NumPy's numbers are keys as Python's are."""
    np = pytest.importorskip("numpy", reason="PyPy has no wheels of it")
    assert keys.int16.encode(np.int64(-1)) == keys.int16.encode(-1)
    assert keys.float64.encode(np.float32(0.5)) == keys.float64.encode(0.5)
    with pytest.raises(TypeError):
        keys.uint8.encode(np.bool_(True))


def test_float32_is_rounded() -> None:
    """A key of float32 is the nearest that there is; what is nearest to zero is zero."""
    assert keys.float32.decode(keys.float32.encode(0.1)) == struct.unpack("f", struct.pack("f", 0.1))[0]
    assert keys.float32.encode(-1e-60) == keys.float32.encode(0.0)


@pytest.mark.parametrize("codec", [keys.uint64, keys.datetime, PAIR])
def test_no_prefix(codec: KeyCodec[Any]) -> None:
    """Numbers have no prefix, and a tuple's is a tuple."""
    with pytest.raises(TypeError):
        codec.prefix(1)


def test_names() -> None:
    """A codec is found by its name, whatever the spaces in it; it compares and pickles by that."""
    assert PAIR.name == "(string, uint32)"
    assert keys.named("(string,uint32)") == PAIR == pickle.loads(pickle.dumps(PAIR))
    assert hash(keys.named(PAIR.name)) == hash(PAIR)
    assert keys.named("uint64") is keys.uint64
    assert keys.uint64 != keys.uint32
    assert repr(PAIR) == "keys.named('(string, uint32)')"
    assert (PAIR.size, PAIR.width, keys.tuple_of(keys.uint8, keys.uuid).size) == (None, 2, 17)


@pytest.mark.parametrize(
    "name", ["", "int", "()", "(string)", "(string, )", "(string, (uint8, uint8))", "uint8 ", "(a"]
)
def test_other_names(name: str) -> None:
    """What is no name of a codec is refused."""
    with pytest.raises(ValueError, match=r"codec|parts"):
        keys.named(name)


def test_tuples_of_tuples() -> None:
    """A tuple is no part of a tuple."""
    with pytest.raises(ValueError, match=r"\(string, uint32\) is a tuple"):
        keys.tuple_of(PAIR, keys.uint8)


ID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


@pytest.mark.parametrize(
    ("codec", "field", "value"),
    [
        (keys.uint8, True, 1),
        (keys.string, "", ""),
        (keys.uuid, str(ID).upper(), ID),
        (keys.uuid, ID.bytes, ID),
        (keys.uuid, list(ID.bytes), ID),
        (keys.uuid, ID, ID),
        (keys.bytes, "é", "é".encode()),
        (keys.bytes, [1, 255], b"\1\xff"),
        (keys.datetime, 1_000_002, dt.datetime(1970, 1, 1, 0, 0, 1, 2, tzinfo=UTC)),
        (keys.datetime, enum.IntEnum("Moment", "EPOCH", start=0)["EPOCH"], dt.datetime(1970, 1, 1, tzinfo=UTC)),
        (keys.datetime, dt.datetime(1970, 1, 1, tzinfo=UTC), dt.datetime(1970, 1, 1, tzinfo=UTC)),
        (keys.tuple_of(keys.bytes, keys.uuid, keys.bytes), ("a\0", str(ID), [7]), (b"a\0", ID, b"\7")),
        (keys.tuple_of(keys.bool, keys.datetime), (False, -1), (False, dt.datetime(1970, 1, 1, tzinfo=UTC) - dt.timedelta(microseconds=1))),
    ],
)  # fmt: skip
def test_what_a_field_has(codec: KeyCodec[Any], field: Any, value: Any) -> None:
    """Fields hold some values as others, since JSON and FlatBuffers have no UUIDs and moments; so it is in native code."""
    assert codec.of_field(field) == codec.part(value)


@pytest.mark.parametrize(
    ("codec", "field", "kind"),
    [
        (keys.uuid, "0011223344556677 8899aabbccddeeff", ValueError),
        (keys.uuid, "{00112233-4455-6677-8899-aabbccddeeff}", ValueError),
        (keys.uuid, b"short", ValueError),
        (keys.uuid, 7, TypeError),
        (keys.datetime, True, TypeError),
        (keys.datetime, 2**63, ValueError),
        (keys.datetime, 1.5, TypeError),
        (keys.bytes, [256], ValueError),
        (keys.bytes, ["a"], TypeError),
        (keys.bytes, 3, TypeError),
        (keys.string, b"a", TypeError),
        (keys.uint8, "1", TypeError),
        (keys.float64, True, TypeError),
    ],
)
def test_what_no_field_has(codec: KeyCodec[Any], field: Any, kind: type[Exception]) -> None:
    """Other things are refused as ever."""
    with pytest.raises(kind):
        codec.of_field(field)
