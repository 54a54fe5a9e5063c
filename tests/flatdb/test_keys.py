"""Keys as flatdb stores them, beside an implementation of docs/tables.md that shares nothing with it."""

from __future__ import annotations

import contextlib
import json
import math
import struct
import tempfile
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatc_wheel.flatdb._native import BAD_ARGUMENT, BAD_KEY, FlatdbError
from lmdb_bindings.tables import keys
from tests.flatdb.place import Place

SCHEMA = """\
enum Colour : byte { Red = -1, Green, Blue }
struct Point { x: double; y: int; }
table Inner { word: string; number: short = 7; }
table Thing {
  u8: ubyte; u16: ushort; u32: uint; u64: ulong; i8: byte; i16: short; i32: int; i64: long;
  f32: float; f64: double; yes: bool; text: string; more: string; raw: [ubyte]; colour: Colour = Green;
  point: Point; inner: Inner; perhaps: int = null; words: [string]; moment: long; serial: uint;
}
root_type Thing;
"""


# --- docs/tables.md, a second time ---


def integer(size: int, *, signed: bool) -> Any:
    return lambda value, _last: (value + (1 << 8 * size - 1) * signed).to_bytes(size, "big")


def real(form: str) -> Any:
    def encode(value: float, _last: bool) -> bytes:
        data = struct.pack(f">{form}", value + 0.0)
        number = int.from_bytes(data, "big")
        top = 1 << 8 * len(data) - 1
        return (number ^ (2 * top - 1 if number & top else top)).to_bytes(len(data), "big")

    return encode


def text(value: str, last: bool) -> bytes:
    data = value.encode()
    return data if last else data.replace(b"\0", b"\0\xff") + b"\0\0"


def raw(value: list[int], last: bool) -> bytes:
    return bytes(value) if last else bytes(value).replace(b"\0", b"\0\xff") + b"\0\0"


def singles() -> Any:
    return st.floats(width=32, allow_nan=False, allow_infinity=False)


def words() -> Any:
    # Also NULs and what is beside them, which are special in a part.
    return st.text(st.sampled_from("\0\x01aé,\\😀ÿ") | st.characters(exclude_categories=["Cs"]), max_size=12)


# field: the values as JSON has them, and their bytes
FIELDS: dict[str, tuple[Any, Any]] = {
    "u8": (st.integers(0, 2**8 - 1), integer(1, signed=False)),
    "u16": (st.integers(0, 2**16 - 1), integer(2, signed=False)),
    "u32": (st.integers(0, 2**32 - 1), integer(4, signed=False)),
    "u64": (st.integers(0, 2**64 - 1), integer(8, signed=False)),
    "i8": (st.integers(-(2**7), 2**7 - 1), integer(1, signed=True)),
    "i16": (st.integers(-(2**15), 2**15 - 1), integer(2, signed=True)),
    "i32": (st.integers(-(2**31), 2**31 - 1), integer(4, signed=True)),
    "i64": (st.integers(-(2**63), 2**63 - 1), integer(8, signed=True)),
    "f32": (singles(), real("f")),
    "f64": (st.floats(allow_nan=False, allow_infinity=False), real("d")),
    "yes": (st.booleans(), integer(1, signed=False)),
    "text": (words(), text),
    "more": (words(), text),
    "raw": (st.lists(st.integers(0, 255), max_size=12), raw),
}
SPELLED = {"raw": "raw:bytes"}  # the field's type does not say the codec


@st.composite
def tables(draw: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Some fields, and values of them: the parts of some keys."""
    fields = draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=3, unique=True))
    parts = st.tuples(*(FIELDS[field][0] for field in fields))
    return fields, draw(st.lists(parts, min_size=1, max_size=12))


@pytest.mark.parametrize("engine", ["0.9", "1.0"])
@settings(max_examples=120, deadline=None)
@given(tables())
def test_keys_are_the_documented_bytes_in_the_order_of_the_values(
    engine: str, table: tuple[list[str], list[tuple[Any, ...]]]
) -> None:
    """Each key of one to three parts; and by its text each record is found again."""
    fields, rows = table
    records = {}
    for row in rows:
        ends = [i == len(fields) - 1 for i in range(len(fields))]
        key = b"".join(FIELDS[field][1](part, end) for field, part, end in zip(fields, row, ends, strict=True))
        if key:
            records[key] = row
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), engine)
        content = [dict(zip(fields, row, strict=True)) for row in records.values()]
        place.import_(content, SCHEMA, key=",".join(SPELLED.get(field, field) for field in fields))
        stored = [key for key, _ in place.raw()]
        assert stored == sorted(records)
        assert place.check() == []
    values = [tuple(map(comparable, records[key])) for key in stored]
    assert values == sorted(values)


def comparable(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


# expression, the record, and its key as text
TEXTS: list[tuple[str, dict[str, Any], str]] = [
    ("u8", {"u8": 200}, "200"),
    ("i64", {"i64": -(2**63)}, "-9223372036854775808"),
    ("f32", {"f32": 0.1}, "0.1"),
    ("f64", {"f64": -1.5e300}, "-1.5e+300"),
    ("yes", {"yes": True}, "true"),
    ("yes", {}, "false"),
    ("text", {"text": "a,b"}, "a,b"),
    ("text", {"text": "a\\b"}, "a\\\\b"),
    ("text,more", {"text": "a,b", "more": "c\\"}, "a\\,b,c\\\\"),
    ("raw:bytes", {"raw": [0, 255]}, "00ff"),
    ("raw:uuid", {"raw": list(range(16))}, "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    ("text:uuid", {"text": "00010203-0405-0607-0809-0A0B0C0D0E0F"}, "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    ("moment:datetime", {"moment": -1}, "1969-12-31T23:59:59.999999+00:00"),
    ("moment:datetime", {"moment": 951782400000000}, "2000-02-29T00:00:00+00:00"),
    ("colour", {"colour": "Red"}, "-1"),
    ("colour", {}, "0"),
    ("point.x", {"point": {"x": 2.5, "y": 1}}, "2.5"),
    ("point.y,inner.word", {"point": {"x": 2.5, "y": -3}, "inner": {"word": "w"}}, "-3,w"),
    ("inner.number", {"inner": {"word": "w"}}, "7"),
    ("u32:int64", {"u32": 4}, "4"),
    ("perhaps", {"perhaps": 0}, "0"),
]


@pytest.mark.parametrize(("expression", "record", "shown"), TEXTS)
def test_a_key_has_a_text_that_finds_its_record(
    place: Place, expression: str, record: dict[str, Any], shown: str
) -> None:
    """As check shows it of a record that is broken, and as a look-up takes it."""
    place.import_([record], SCHEMA, key=expression)
    with place.open() as env:
        found = env.lookup("things", shown)
    assert [found] == [json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in place.export()]
    [(key, value)] = place.raw()
    with place.damage() as (txn, db):
        txn.put(key, value[:-1] + b"\xff" if len(value) < 4 else b"\xff" * 8, db=db)
    assert [problem[0] for problem in place.check()] == [shown]


@pytest.mark.parametrize(
    ("number", "fits"), [(3.4028235e38, True), (3.4028235677973362e38, True), (-3.4028235677973366e38, False)]
)
def test_doubles_are_rounded_to_float32_as_python_does(place: Place, number: float, fits: bool) -> None:
    """Also those that are a little larger than the largest."""
    if not fits:
        with pytest.raises(ValueError, match="too large"):
            keys.float32.encode(number)
        with pytest.raises(FlatdbError, match="out of the range of float32"):
            place.import_([{"f64": number}], SCHEMA, key="f64:float32")
        return
    place.import_([{"f64": number}], SCHEMA, key="f64:float32")
    assert [key for key, _ in place.raw()] == [keys.float32.encode(number)]


@given(st.datetimes(timezones=st.just(timezone.utc)), st.integers(-23 * 60, 23 * 60))
@settings(max_examples=60, deadline=None)
def test_moments_are_what_python_says(moment: datetime, minutes: int) -> None:
    """As text with any offset from UTC, each is found by its microseconds."""
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), "0.9")
        place.import_([{"moment": microseconds}], SCHEMA, key="moment:datetime")
        texts = [moment.isoformat(), moment.replace(tzinfo=None).isoformat(" ")]
        with contextlib.suppress(OverflowError):  # there is no year 0 or 10000 for Python
            texts.append(moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat())
        with place.open() as env:
            for shown in texts:
                assert json.loads(env.lookup("things", shown)).get("moment", 0) == microseconds


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("u8", "256"), ("u8", "-1"), ("u8", ""), ("u8", "1 "), ("u8", "0x1"), ("i8", "128"), ("yes", "yes"),
        ("f64", "nan"), ("f64", "1e"), ("f64", " 1"), ("f32", "1e39"), ("raw:bytes", "0"), ("raw:bytes", "0g"),
        ("text:uuid", "00010203-0405-0607-0809-0a0b0c0d0e0"), ("text:uuid", "000102030405-0607-0809-0a0b0c0d0e0f0"),
        ("moment:datetime", "2001-02-29"), ("moment:datetime", "2001-13-01"), ("moment:datetime", "2001-01-01T24:00"),
        ("moment:datetime", "2001-01-01T00:00:00.1234567"), ("moment:datetime", "2001-01-01T00:00+24:00"),
        ("moment:datetime", "+999999-01-01"), ("text,more", "a"), ("text,more", "a,b,c"),
    ],
)  # fmt: skip
def test_text_that_is_no_key_is_refused(place: Place, expression: str, wrong: str) -> None:
    """By its codec's name, or its range."""
    place.import_([], SCHEMA, key=expression)
    with place.open() as env, pytest.raises(FlatdbError, match=r"is no key of the codec|is out of the range") as raised:
        env.lookup("things", wrong)
    assert raised.value.code == BAD_KEY


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("missing", "there is no field 'missing' in Thing"),
        ("inner.missing", "there is no field 'missing' in Inner"),
        ("text.more", "is of type string, which has no fields"),
        ("words", r"of type \[string\], of which a key cannot be made"),
        ("point", "of type Point, of which a key cannot be made"),
        ("raw", "name a codec, raw:bytes or raw:uuid"),
        ("u8:string", "which the codec string does not take"),
        ("text:uint8", "which the codec uint8 does not take"),
        ("f32:int32", "which the codec int32 does not take"),
        ("yes:datetime", "which the codec datetime does not take"),
        ("words:bytes", "which the codec bytes does not take"),
        ("u8:number", "is no codec of keys"),
        ("u8,", "there is no field ''"),
    ],
)
def test_an_expression_that_makes_no_key_is_refused(place: Place, expression: str, why: str) -> None:
    """By what the schema lacks, or does not take."""
    with pytest.raises(FlatdbError, match=why) as raised:
        place.import_([{}], SCHEMA, key=expression)
    assert raised.value.code == BAD_ARGUMENT
    with place.open() as env:
        assert env.stat() == "[]"


@pytest.mark.parametrize(
    ("expression", "record", "why"),
    [
        ("text", {}, "lacks a field that its key is made of: text:string"),
        ("inner.word", {"inner": {}}, "lacks a field"),
        ("point.x", {}, "lacks a field"),
        ("perhaps", {}, "lacks a field"),
        ("text", {"text": ""}, "the key is empty"),
        ("f64", {"f64": "nan"}, "f64: NaN has no place"),
        ("u32:uint8", {"u32": 256}, "u32: 256 is out of the range of uint8"),
        ("i32:uint32", {"i32": -1}, "i32: -1 is negative"),
        ("u64:int64", {"u64": 2**63}, "u64: 9223372036854775808 is out of the range of int64"),
        ("text:uuid", {"text": "abc"}, 'text: "abc" is no UUID'),
        ("raw:uuid", {"raw": [1]}, "raw: a UUID has 16 bytes, not 1"),
        ("text", {"text": "x" * 2000}, r"the key has 2000 bytes: this engine takes \d+"),
    ],
)
def test_a_record_that_has_no_key_is_refused_with_its_line(
    place: Place, expression: str, record: dict[str, Any], why: str
) -> None:
    """And nothing is stored."""
    with pytest.raises(FlatdbError, match=rf"records\.json, line 1 \(byte 0\): .*{why}") as raised:
        place.import_([record], SCHEMA, key=expression)
    assert raised.value.code == BAD_KEY
    with place.open() as env:
        assert env.stat() == "[]"


def test_an_index_has_no_entry_for_a_record_without_its_fields(place: Place) -> None:
    """Nor for an empty string alone; but one for a default that is not stored."""
    records = [{"serial": 1}, {"serial": 2, "text": ""}, {"serial": 3, "text": "t", "inner": {}}]
    indexes = ["text=text", "number=inner.number", "both=text,serial", "u8=u8"]
    place.import_(records, SCHEMA, key="serial", indexes=indexes)
    entries = {name: [key for key, _ in place.raw(f"things:{name}")] for name in ("text", "number", "both", "u8")}
    assert entries == {
        "text": [b"t"],
        "number": [b"\x80\x07"],
        "both": [b"\0\0\0\0\0\x02", b"t\0\0\0\0\0\x03"],
        "u8": [b"\0"] * 3,
    }
    assert place.check() == []


def test_infinities_and_both_zeros_have_their_places(place: Place) -> None:
    """-0.0 is 0.0; a UUID of bytes is what Python's is."""
    values = [0.0, -math.inf, 1.0, math.inf, -1.0]
    content = "".join(
        f'{{"f64": {value if math.isfinite(value) else chr(34) + str(value) + chr(34)}}}\n' for value in values
    )
    place.import_(content, SCHEMA, key="f64")
    assert [key for key, _ in place.raw()] == [real("d")(value, True) for value in sorted(values)]
    with pytest.raises(FlatdbError, match="has a record of the key 0 already"):
        place.import_('{"f64": -0.0}', SCHEMA, key="f64")
    name = uuid.UUID("12345678-1234-5678-1234-567812345678")
    place.import_([{"text": str(name)}], SCHEMA, table="named", key="text:uuid")
    assert [key for key, _ in place.raw("named")] == [name.bytes]
