"""Columns: what Arrow gets of records, and that nothing of a damaged record gets there."""

from __future__ import annotations

import datetime as dt
import json
import struct
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flatdb import everything as every
from tests.flatdb.native import BAD_ARGUMENT, BAD_RECORD, FlatdbError, Library, Schema, release

pa = pytest.importorskip("pyarrow")

LISTS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@given(records=st.lists(every.records, max_size=5))
@LISTS
def test_columns_have_the_values_of_the_records(everything: Schema, records: list[dict[str, Any]]) -> None:
    """Every kind of type, by pyarrow, which checks the arrays too."""
    made = [everything.from_json(json.dumps(record)) for record in records]
    assert everything.columns().rows(made) == [every.row(record) for record in records]


@given(records=st.lists(every.records, min_size=1, max_size=3))
@settings(LISTS, max_examples=20)
def test_one_column_alone_is_the_same_as_among_all(everything: Schema, records: list[dict[str, Any]]) -> None:
    """Each field by itself, in the order that is asked for."""
    made = [everything.from_json(json.dumps(record)) for record in records]
    rows = everything.columns().rows(made)
    for name in rows[0]:
        assert everything.columns(name).rows(made) == [{name: row[name]} for row in rows]
    assert list(everything.columns("text", "flag").rows(made)[0]) == ["text", "flag"]


def test_types_are_the_schemas(everything: Schema) -> None:
    """Where null can be, and where not; deprecated fields are left out."""
    made = everything.columns().batch([]).schema
    types = {field.name: (field.type, field.nullable) for field in made}
    at = pa.struct([pa.field("x", pa.float64(), False), pa.field("y", pa.float32(), False)])
    assert types["flag"] == (pa.bool_(), False)
    assert types["u64"] == (pa.uint64(), False)
    assert types["colour"] == (pa.uint8(), False)
    assert types["maybe_int"] == (pa.int32(), True)
    assert types["name"] == (pa.large_string(), False)
    assert types["text"] == (pa.large_string(), True)
    assert types["data"] == (pa.large_binary(), True)
    assert types["colours"] == (pa.large_list(pa.field("item", pa.uint8(), nullable=False)), True)
    assert types["point"] == (at, True)
    assert types["box"][0].field("corners").type == pa.list_(pa.field("item", at, nullable=False), 2)
    assert [field.name for field in types["any"][0]] == ["Note", "Leaf", "Point", "Text"]
    assert all(field.nullable for field in types["any"][0])
    assert "gone" not in types


def test_paths_go_through_tables_and_structs(everything: Schema) -> None:
    """What is missing on the way makes null, also where the field itself has a default."""
    made = [
        everything.from_json('{"name":"a","note":{"id":"i","at":{"x":1.5,"y":2}},"point":{"x":3,"y":4}}'),
        everything.from_json('{"name":"b","note":{"id":"j"}}'),
        everything.from_json('{"name":"c"}'),
    ]
    columns = everything.columns("note.at.x", "note.id", "point.y", "note.at", "box.solid")
    assert columns.rows(made) == [
        {"note.at.x": 1.5, "note.id": "i", "point.y": 4.0, "note.at": {"x": 1.5, "y": 2.0}, "box.solid": None},
        {"note.at.x": None, "note.id": "j", "point.y": None, "note.at": None, "box.solid": None},
        {"note.at.x": None, "note.id": None, "point.y": None, "note.at": None, "box.solid": None},
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nope", "there is no field 'nope' in every.kind.Record"),
        ("note.nope", "there is no field 'nope' in every.kind.Note"),
        ("name.length", "is of type string, which has no fields"),
        ("", "there is no field ''"),
    ],
)
def test_paths_that_lead_nowhere_are_named(everything: Schema, path: str, message: str) -> None:
    """With what there is instead."""
    with pytest.raises(FlatdbError, match=message) as caught:
        everything.columns(path)
    assert caught.value.code == BAD_ARGUMENT


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("table T { child: T; } root_type T;", "child.child"),
        ("table T { name: string; children: [T]; } root_type T;", "children.item.children.item"),
        ("union U { N } table N { u: U; } table T { u: U; } root_type T;", "u.N.u.N"),
    ],
)
def test_a_type_that_contains_itself_is_refused_by_name(library: Library, schema: str, path: str) -> None:
    """It would have no end; other fields of the record can be had."""
    made = library.schema(schema)
    with pytest.raises(FlatdbError, match="contains itself") as caught:
        made.columns()
    assert caught.value.code == BAD_ARGUMENT
    assert f"'{path}'" in str(caught.value)


def test_more_columns_than_anyone_wants_are_refused(library: Library) -> None:
    """Thirty tables can be a thousand million columns."""
    levels = "".join(f"table L{n} {{ a: L{n + 1}; b: L{n + 1}; }}" for n in range(30))
    with pytest.raises(FlatdbError, match="100,000 columns"):
        library.schema(levels + "table L30 { x: int; } root_type L0;").columns()


def test_keys_are_columns_too(library: Library) -> None:
    """Each codec of docs/tables.md, alone and in a tuple."""
    schema = library.schema("table T { x: int; } root_type T;")
    record = schema.from_json("{}")
    number = uuid.UUID(int=5)
    sign = 1 << 63
    keys: dict[str, tuple[bytes, Any]] = {
        "uint8": (b"\xff", 255),
        "uint16": (b"\1\2", 258),
        "uint32": (b"\0\0\1\2", 258),
        "uint64": (b"\xff" * 8, 2**64 - 1),
        "int8": (b"\x7f", -1),
        "int16": (b"\x80\1", 1),
        "int32": (b"\0" * 4, -(2**31)),
        "int64": (struct.pack(">Q", sign - 2), -2),
        "float32": (struct.pack(">I", struct.unpack(">I", struct.pack(">f", 1.5))[0] | 1 << 31), 1.5),
        "float64": (struct.pack(">Q", struct.unpack(">Q", struct.pack(">d", -1.5))[0] ^ (2**64 - 1)), -1.5),
        "bool": (b"\1", True),
        "string": ("é".encode(), "é"),
        "bytes": (b"\xff\0", b"\xff\0"),
        "uuid": (number.bytes, number.bytes),
        "datetime": (struct.pack(">Q", sign + 1), dt.datetime(1970, 1, 1, 0, 0, 0, 1, dt.timezone.utc)),
        "(string, uint8)": (b"a\0\xffb\0\0\7", ("a\0b", 7)),
    }
    for codec, (key, value) in keys.items():
        (row,) = schema.columns("x", key=codec).rows([record], [key])
        expected = {"key": value} if not isinstance(value, tuple) else {"key.0": value[0], "key.1": value[1]}
        assert row == {**expected, "x": 0}, codec


@pytest.mark.parametrize(("codec", "key"), [("uint32", b"\0\0\1"), ("string", b"\xff"), ("bool", b"\2")])
def test_a_key_that_is_none_of_its_codec_is_a_bad_record(library: Library, codec: str, key: bytes) -> None:
    """Files are not trusted in their keys either."""
    schema = library.schema("table T { x: int; } root_type T;")
    with pytest.raises(FlatdbError) as caught:
        schema.columns("x", key=codec).arrow_array([schema.from_json("{}")], [key])
    assert (caught.value.code, caught.value.index) == (BAD_RECORD, 0)


def test_keys_that_are_asked_for_must_be_given(library: Library) -> None:
    """Not a crash."""
    schema = library.schema("table T { x: int; } root_type T;")
    with pytest.raises(FlatdbError, match="needs keys") as caught:
        schema.columns("x", key="uint32").arrow_array([schema.from_json("{}")])
    assert caught.value.code == BAD_ARGUMENT


def test_the_index_of_a_damaged_record_is_told_and_the_decoder_goes_on(everything: Schema) -> None:
    """Nothing of a batch that failed is in the next one."""
    good = everything.from_json('{"name":"x","ints":[1,2,3]}')
    columns = everything.columns()
    with pytest.raises(FlatdbError, match="record 2 of these") as caught:
        columns.arrow_array([good, good, good[:20], good])
    assert (caught.value.code, caught.value.index) == (BAD_RECORD, 2)
    assert columns.rows([good]) == [every.row({"name": "x", "ints": [1, 2, 3]})]


def test_a_string_that_is_not_utf8_is_a_bad_record(library: Library) -> None:
    """Arrow's consumers trust it."""
    schema = library.schema("table T { s: string; v: [string]; } root_type T;")
    for text in ('{"s":"xyz"}', '{"v":["a","xyz"]}'):
        record = schema.from_json(text).replace(b"xyz", b"\xc0\x80!")
        with pytest.raises(FlatdbError, match="not UTF-8") as caught:
            schema.columns().arrow_array([record])
        assert caught.value.code == BAD_RECORD


def test_a_small_record_cannot_fill_the_memory(library: Library) -> None:
    """A table may be named many times, at each of many levels: its columns would be the product."""
    depth, width = 12, 16
    levels = "".join(f"table L{n} {{ v: [L{n + 1}]; }}" for n in range(depth))
    schema = library.schema(levels + f"table L{depth} {{ x: int; }} root_type L0;")
    data = bytearray()  # from the last table to the first, each vector naming one table `width` times
    vtable = struct.pack("<HHH", 6, 8, 4) + b"\0\0"
    vector_at = 0
    data += struct.pack("<I", 0)  # the root's offset, below
    for level in range(depth + 1):
        start = len(data)
        data += vtable + struct.pack("<i", 8)
        if level < depth:
            data += struct.pack("<I", 4)  # to the vector right behind
            data += struct.pack("<I", width)
            vector_at = len(data)
            end = vector_at + 4 * width
            data += b"".join(struct.pack("<I", end + 8 - (vector_at + 4 * i)) for i in range(width))
        else:
            data += struct.pack("<i", 1)
        if level == 0:
            struct.pack_into("<I", data, 0, start + 8)
    with pytest.raises(FlatdbError) as caught:
        schema.columns().arrow_array([bytes(data)])
    assert caught.value.code == BAD_RECORD
    assert "1 GiB" in str(caught.value)
    with pytest.raises(FlatdbError, match="names the same parts over and over"):
        schema.verify(bytes(data))


def test_batches_are_released(everything: Schema) -> None:
    """By a consumer that takes a child out of its parent first, as the interface allows, too."""
    good = everything.from_json('{"name":"x","ints":[1,2,3],"strings":["a"]}')
    columns = everything.columns()
    array, schema = columns.arrow_array([good] * 3), columns.arrow_schema()
    assert array.length == 3
    release(array)
    release(schema)
    batch = columns.batch([good] * 3)
    kept = batch.column("ints")
    del batch
    assert kept.to_pylist() == [[1, 2, 3]] * 3
