"""The codecs of values."""

from __future__ import annotations

import datetime as dt
import enum
import pickle
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmdb_bindings as lmdb
from lmdb_bindings.tables import DamagedError, MismatchError, Table, TableError, keys, values
from lmdb_bindings.tables.values import ValueCodec

UTC = dt.timezone.utc
has_numpy = pytest.mark.skipif(sys.implementation.name != "cpython", reason="PyPy has no wheels of NumPy")


class Color(enum.Enum):
    """Stored by its value."""

    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    """A part of another dataclass."""

    x: float
    y: float = 0.0


@dataclass
class Chain:
    """A class that contains itself, as often as a file says."""

    next: "Chain | None" = None  # noqa: UP037 (read at run time)


@dataclass(frozen=True)
class Everything:
    """A field of each type."""

    text: str
    number: int
    ratio: float
    flag: bool
    nothing: None
    data: bytes
    moment: dt.datetime
    day: dt.date
    hour: dt.time
    id: uuid.UUID
    price: Decimal
    color: Color
    point: Point
    points: list[Point]
    pair: tuple[int, str]
    row: tuple[float, ...]
    named: dict[str, Point]
    maybe: Optional[Point]  # noqa: UP045 (both spellings)
    plain: Any = None
    older: "Everything | None" = None  # noqa: UP037 (a class may contain itself)


EVERYTHING = Everything(
    "é", 2**70, 1.0, True, None, b"\0\xff", dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), dt.date(2026, 1, 2), dt.time(3, 4),
    uuid.UUID(int=7), Decimal("1.10"), Color.BLUE, Point(1.0), [Point(2.0, 3.0)], (1, "a"), (1.0, 2.0),
    {"a": Point(4.0)}, None, {"any": [1, None]},
)  # fmt: skip
NESTED = Everything(**{**EVERYTHING.__dict__, "older": EVERYTHING, "maybe": Point(9.0)})

# Codecs with values, and with what comes back where that is something else.
ROUND_TRIPS: list[tuple[ValueCodec[Any], Any, Any]] = [
    (values.bytes, b"", b""),
    (values.bytes, b"\0\xff", b"\0\xff"),
    (values.bytes, bytearray(b"ab"), b"ab"),
    (values.bytes, memoryview(b"ab"), b"ab"),
    (values.string, "", ""),
    (values.string, "é\0", "é\0"),
    (values.json, None, None),
    (values.json, {"a": [1, 2.5, "é", None, True]}, {"a": [1, 2.5, "é", None, True]}),
    (values.json, (1, 2), [1, 2]),
    (values.json, {1: 2}, {"1": 2}),
    (values.msgpack, {"a": [1, b"\xff", None], 2: "é"}, {"a": [1, b"\xff", None], 2: "é"}),
    (values.msgpack, 0, 0),
    (values.pickle(trusted=True), {Color.RED: (1, {2})}, {Color.RED: (1, {2})}),
    (values.dataclass(Everything), EVERYTHING, EVERYTHING),
    (values.dataclass(Everything), NESTED, NESTED),
]


@pytest.mark.parametrize(("codec", "value", "expected"), ROUND_TRIPS)
def test_round_trip(env: lmdb.Environment, codec: ValueCodec[Any], value: Any, expected: Any) -> None:
    """A value comes back, of the same type, in every kind of transaction."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=codec)
    table[1] = value
    assert table[1] == expected
    assert type(table[1]) is type(expected)
    with table.begin() as reading:
        assert (reading[1], list(reading.values())) == (expected, [expected])
    with env.begin(buffers=True) as txn:
        within = table.within(txn)
        assert (within[1], list(within.items()), list(within)) == (expected, [(1, expected)], [1])
    with table.begin(write=True) as writing:
        writing[2] = value
        assert writing.pop(2) == expected


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
))  # fmt: skip
def test_json_and_message_pack_keep_what_they_know(value: Any) -> None:
    """Plain values come back equal."""
    for codec in (values.json, values.msgpack):
        try:
            data = codec.encode(value)
        except UnicodeEncodeError:
            continue  # a lone surrogate is no text
        assert codec.decode(data) == value


@pytest.mark.parametrize(
    ("codec", "value", "kind", "text"),
    [
        (values.bytes, "a", TypeError, "'a' is no bytes, but str"),
        (values.bytes, None, TypeError, "None is no bytes"),
        (values.string, b"a", TypeError, "no string, but bytes"),
        (values.json, float("nan"), ValueError, "not JSON compliant"),
        (values.json, {1, 2}, TypeError, "not JSON serializable"),
        (values.msgpack, {1, 2}, TypeError, "serialize"),
        (values.dataclass(Point), {"x": 1.0}, TypeError, "is no Point, but dict"),
        (values.dataclass(Point), Point("a"), TypeError, "'a' is no float, but str"),  # type: ignore[arg-type]
        (values.dataclass(Point), Point(True), TypeError, "True is no float, but bool"),
        (
            values.dataclass(Everything),
            Everything(**{**EVERYTHING.__dict__, "number": True}),
            TypeError,
            "no int, but bool",
        ),
        (
            values.dataclass(Everything),
            Everything(**{**EVERYTHING.__dict__, "day": EVERYTHING.moment}),
            TypeError,
            "no date, but datetime",
        ),
        (values.dataclass(Everything), Everything(**{**EVERYTHING.__dict__, "pair": (1,)}), ValueError, "zip"),
        (
            values.dataclass(Everything),
            Everything(**{**EVERYTHING.__dict__, "named": {1: Point(1.0)}}),
            TypeError,
            "1 is no str",
        ),
    ],
)
def test_values_that_cannot_be_stored(
    env: lmdb.Environment, codec: ValueCodec[Any], value: Any, kind: type[Exception], text: str
) -> None:
    """What a codec cannot keep is refused, and nothing is stored."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=codec)
    with pytest.raises(kind, match=text):
        table[1] = value
    assert len(table) == 0


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (values.string, b"\xff"),
        (values.json, b"{"),
        (values.json, b"\xff"),
        (values.msgpack, b""),
        (values.msgpack, b"\x81"),
        (values.msgpack, b"\xa1\xff"),
        (values.msgpack, b"\x01\x02"),
        (values.pickle(trusted=True), b""),
        (values.pickle(trusted=True), b"junk"),
        (values.pickle(trusted=True), b"cnothing_of_that_name\nname\n."),
        (values.pickle(trusted=True), b"cos\nnothing\n."),
        (values.pickle(trusted=True), b"."),
        (values.json, b"[" * 100_000),
        (values.json, b'{"":' * 100_000),
        (values.msgpack, b"\x91" * 100_000),
        (values.dataclass(Chain), b'{"next":' * 5000 + b"{}" + b"}" * 5000),
        (values.dataclass(Point), b"[]"),
        (values.dataclass(Point), b"{}"),
        (values.dataclass(Point), b'{"x": "1"}'),
        (values.dataclass(Point), b'{"x": 1, "z": 2}'),
        (values.dataclass(Point), b'{"x": true}'),
    ],
)
def test_damaged_values(env: lmdb.Environment, codec: ValueCodec[Any], data: bytes) -> None:
    """Bytes that are no such value raise when they are read, wherever that is, and check() names the record."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=codec)
    Table(env, "raw", key=keys.uint8, value=values.bytes)
    with env.begin(write=True) as txn:
        txn.put(b"\1", data, db=env.open_db(b"t"))
    with pytest.raises(DamagedError, match="a value is no "):
        table[1]
    with pytest.raises(DamagedError, match="a value is no "):
        list(table.values())
    assert [(problem.key, problem.index) for problem in table.check()] == [(b"\1", None)]
    assert list(table) == [1]
    del table[1]
    assert list(table.check()) == []


def test_a_default_stands_for_a_field_that_is_not_stored() -> None:
    """A class may gain fields with defaults."""
    assert values.dataclass(Point).decode(b'{"x":1}') == Point(1.0, 0.0)


def test_classes_that_cannot_be_stored() -> None:
    """A type that would not come back is refused when the codec is made, by the field's name."""

    @dataclass
    class Odd:
        name: str
        tags: set[str]

    @dataclass
    class Made:
        name: str = field(init=False)

    for kind, text in (
        (Odd, r"Odd.tags: set\[str\] is no type"),
        (Made, "Made.name is not given"),
        (int, "is no dataclass"),
    ):
        with pytest.raises(TypeError, match=text):
            values.dataclass(kind)  # type: ignore[type-var,arg-type,unused-ignore]


def test_the_catalog_alone_is_not_trusted(env: lmdb.Environment) -> None:
    """A pickle, and a class, are read only where the program says so: naming them in a file must run nothing."""
    Table(env, "pickles", key=keys.uint8, value=values.pickle(trusted=True))[1] = "a"
    Table(env, "points", key=keys.uint8, value=values.dataclass(Point))[1] = Point(1.0)
    for name, cure in (("pickles", r"values.pickle\(trusted=True\)"), ("points", "values.dataclass")):
        with pytest.raises(TableError, match=f"the catalog alone is not trusted.*{cure}"):
            Table(env, name)
    with pytest.raises(TableError, match=r"give value=values.pickle\(trusted=True\)"):
        Table(env, "pickles", trusted=True)
    with pytest.raises(ValueError, match="a pickle runs code"):
        values.pickle(trusted=1)  # type: ignore[arg-type]
    assert Table(env, "pickles", value=values.pickle(trusted=True))[1] == "a"
    assert Table(env, "points", value=values.dataclass(Point))[1] == Point(1.0)


def test_a_trusted_catalog_names_a_class(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``trusted=True`` the class is imported; one that is not there is an error that names it."""
    monkeypatch.setitem(sys.modules, Point.__module__, sys.modules[__name__])
    Table(env, "points", key=keys.uint8, value=values.dataclass(Point))[1] = Point(1.0)
    assert Table(env, "points", trusted=True)[1] == Point(1.0)
    monkeypatch.delattr(sys.modules[__name__], "Point")
    with pytest.raises(TableError, match="Point of the catalog cannot be imported"):
        Table(env, "points", trusted=True)


def test_an_optional_package_that_is_not_there(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without msgpack or NumPy the error names the extra to install, and other tables work."""
    monkeypatch.setitem(sys.modules, "msgpack", None)
    values._msgpack.cache_clear()
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.msgpack)
    with pytest.raises(ImportError, match=r"install lmdb-bindings\[msgpack\]"):
        table[1] = 1
    values._msgpack.cache_clear()
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "lmdb_bindings.tables._numpy", raising=False)
    with pytest.raises(ImportError, match=r"install lmdb-bindings\[numpy\]"):
        values.numpy("<f8")


def test_codecs_pickle() -> None:
    """A codec may go to another process, with its table."""
    for codec, value, expected in ROUND_TRIPS:
        again = pickle.loads(pickle.dumps(codec))
        assert (again.entry(), repr(again)) == (codec.entry(), repr(codec))
        assert again.decode(bytes(codec.encode(value))) == expected


def test_numbers_that_are_too_large(env: lmdb.Environment) -> None:
    """An int that no float can be, or MessagePack has not, is a ValueError; of a file, as is a list as a key, damage."""
    points: Table[int, Any] = Table(env, "p", key=keys.uint8, value=values.dataclass(Point))
    with pytest.raises(ValueError, match="too large for a float"):
        points[1] = Point(10**400)
    packed: Table[int, Any] = Table(env, "m", key=keys.uint8, value=values.msgpack)
    with pytest.raises(ValueError, match="cannot be MessagePack"):
        packed[1] = 2**70
    for table, data in ((points, b'{"x":1%s}' % (b"0" * 400)), (packed, b"\x81\x90\x01")):
        with env.begin(write=True) as txn:
            txn.put(b"\1", data, db=env.open_db(table.name.encode()))
        with pytest.raises(DamagedError, match="a value is no "):
            table[1]


# -- NumPy -----------------------------------------------------------------------------------------------------------


@has_numpy
@pytest.mark.parametrize(
    ("dtype", "shape", "text"),
    [
        ("<f8", (3,), "<f8(3,)"),
        (">i2", (2, 3), ">i2(2, 3)"),
        ("bool", (), "|b1()"),
        ("<M8[us]", 2, "<M8[us](2,)"),
        ("S5", (2,), "|S5(2,)"),
        ("<U3", (), "<U3()"),
        ("<c16", (0, 4), "<c16(0, 4)"),
    ],
)
def test_arrays(env: lmdb.Environment, dtype: str, shape: Any, text: str) -> None:
    """Arrays of a dtype and shape come back, and the catalog says which they are."""
    import numpy as np

    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.numpy(dtype, shape))
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    table[1] = array
    assert table.entry.more == {"type": text}
    again: Table[int, Any] = Table(env, "t")
    assert again[1].dtype.kind == np.dtype(dtype).kind
    assert np.array_equal(again[1], array)
    assert list(again.check()) == []


@has_numpy
def test_arrays_are_written_into_the_page_and_read_in_place(env: lmdb.Environment) -> None:
    """An array of a read transaction shows the page, read-only, and keeps its snapshot when the transaction has ended."""
    import numpy as np

    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.numpy("<f4", (1000,)))
    table[1] = np.arange(2000, dtype="<f4")[::2]  # not contiguous: it goes straight into the page
    with table.begin() as reading:
        array = reading[1]
        assert reading[1].ctypes.data == array.ctypes.data
    assert table[1].ctypes.data != array.ctypes.data
    assert not array.flags.owndata
    assert not array.flags.writeable
    table[1] = np.zeros(1000, "<f4")
    assert array.tolist() == list(range(0, 2000, 2))
    assert table[1].tolist() == [0.0] * 1000
    assert table.get(2) is None


@has_numpy
def test_arrays_that_cannot_be_stored(env: lmdb.Environment) -> None:
    """An array of another shape, or whose numbers would change, is refused before anything is written."""
    import numpy as np

    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.numpy("<i4", (2,)))
    with table.begin(write=True) as writing:
        writing[1] = [1, 2]
        with pytest.raises(ValueError, match=r"an array of the shape \(3,\): this table has arrays of \(2,\)"):
            writing[1] = [1, 2, 3]
        with pytest.raises(TypeError, match="without a loss"):
            writing[1] = np.array([1.5, 2.5])
        with pytest.raises(TypeError, match="without a loss"):
            writing[1] = np.array([1, 2], "<i8")
        with pytest.raises(ValueError, match="cannot be stored as int32"):
            writing[1] = [2**40, 0]
        for lossy in ([1.5, 2], [np.float64(1.5), 2], [1.0, 2.0]):
            with pytest.raises(TypeError, match="without a loss"):
                writing[1] = lossy
        writing[2] = np.array([3, 4], ">i2")
    assert [array.tolist() for array in table.values()] == [[1, 2], [3, 4]]
    for dtype in (object, [("a", "i4")], "S0"):
        with pytest.raises(TypeError, match="plain dtypes"):
            values.numpy(dtype)
    with pytest.raises(ValueError, match="lengths"):
        values.numpy("f8", (-1,))


@has_numpy
@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [
        ("S3", b"abcd", TypeError),
        ("<U3", "abcd", TypeError),
        ("<f4", 1e300, ValueError),
        ("bool", 2.5, TypeError),
        ("<u1", 256, ValueError),
        ("<i8", "7", TypeError),
    ],
)
def test_lists_that_cannot_be_stored(env: lmdb.Environment, dtype: str, value: Any, kind: type[Exception]) -> None:
    """What a list says is not cut off either: strings, fractions, and numbers beyond the largest."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.numpy(dtype, (1,)))
    for one in ([value], (value,)):
        with pytest.raises(kind, match="cannot be stored as"):
            table[1] = one
    assert len(table) == 0


@has_numpy
@pytest.mark.parametrize(
    ("dtype", "value"),
    [("<f4", 0.1), ("<f4", 7), ("<f4", float("inf")), ("<i8", True), ("<u8", 2**64 - 1), ("S3", b"abc"), ("<M8[D]", "2026-01-02"), ("<c8", 1)],
)  # fmt: skip
def test_lists_that_can_be_stored(env: lmdb.Environment, dtype: str, value: Any) -> None:
    """Numbers become those of the dtype, as near as it has them."""
    import numpy as np

    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.numpy(dtype, (1,)))
    table[1] = [value]
    assert table[1].tolist() == np.array([value], dtype).tolist()


@has_numpy
def test_damaged_arrays(env: lmdb.Environment, rewrite_entry: Callable[..., None]) -> None:
    """A value of another length raises, and so does a catalog with no dtype, which is never evaluated."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.numpy("<i4", (2,)))
    for data in (b"1234567", b"123456789", b""):
        with env.begin(write=True) as txn:
            txn.put(b"\1", data, db=env.open_db(b"t"))
        with pytest.raises(DamagedError, match=f"a value of {len(data)} bytes is no array of int32"):
            table[1]
    with pytest.raises(MismatchError, match=r"the type of its values is '<i4\(2,\)', not '<i4\(3,\)'"):
        Table(env, "t", value=values.numpy("<i4", (3,)))
    for kind in ("O(2,)", "|O8(2,)", "|V4(2,)", "<i4(-1,)", "<i4", "__import__('os')(2,)", "<i4(2)(3)", 7):
        rewrite_entry("t", type=kind)
        with pytest.raises(DamagedError, match=r"no dtype and shape|no str"):
            Table(env, "t")
