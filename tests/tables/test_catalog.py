"""The catalog: what it says, and what is not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmdb_bindings as lmdb
from lmdb_bindings.tables import DamagedError, Index, MismatchError, Table, TableError, _catalog, keys, values

INDEXES = {
    "by_mail": Index("mail", keys.string, unique=True),
    "by_place": Index(["home.city", "age"], keys.tuple_of(keys.string, keys.int8)),
    "by_text": Index(str, keys.string),
}


def entry_of(env: lmdb.Environment, name: str) -> Any:
    """The entry of a table, as JSON."""
    with env.begin(env.open_db(b"__tables__")) as txn:
        return json.loads(txn.get(name.encode(), b"null"))


@pytest.fixture
def people(env: lmdb.Environment) -> Table[int, Any]:
    """A table with an index of each kind."""
    return Table(env, "people", key=keys.uint32, value=values.json, indexes=INDEXES, fields="id")


def test_what_it_says(people: Table[int, Any], env: lmdb.Environment) -> None:
    """The entry of docs/tables.md, by which native code finds the table too."""
    assert entry_of(env, "people") == {
        "format": 1,
        "key": "uint32",
        "fields": ["id"],
        "value": "json",
        "indexes": {
            "by_mail": {"key": "string", "unique": True, "fields": ["mail"]},
            "by_place": {"key": "(string, int8)", "unique": False, "fields": ["home.city", "age"]},
            "by_text": {"key": "string", "unique": False, "function": "builtins:str"},
        },
    }
    assert _catalog.parse("people", people.entry.to_json()) == people.entry
    again: Table[int, Any] = Table(env, "people")
    assert again.entry == people.entry
    Table(env, "numbered", key=keys.uint64, value=values.bytes, fields=[])
    assert entry_of(env, "numbered") == {"format": 1, "key": "uint64", "fields": [], "value": "bytes", "indexes": {}}


def test_an_entry_of_native_code(env: lmdb.Environment) -> None:
    """A table that another program has made, with spaces where that writes none."""
    with env.begin(write=True) as txn:
        catalog = env.open_db(b"__tables__", txn)
        txn.put(b"plants", b'{"format":1,"key":"(string,uint8)","value":"string","indexes":{}}', db=catalog)
        txn.put(b"plants\x01/file", b"{}", db=catalog)
        txn.put(b"\0\7", b"x", db=env.open_db(b"plants", txn))
    with env.begin(write=True) as txn:
        txn.delete(b"\0\7", db=env.open_db(b"plants"))
    table: Table[tuple[str, int], str] = Table(env, "plants", key=keys.tuple_of(keys.string, keys.uint8))
    table["ash", 1] = "tall"
    assert Table(env, "plants") == {("ash", 1): "tall"}


@pytest.mark.usefixtures("people")
def test_what_it_says_of_another_table(env: lmdb.Environment) -> None:
    """Opening a table as another names every difference at once."""
    with pytest.raises(MismatchError) as caught:
        Table(
            env, "people", key=keys.string, value=values.bytes, fields=["name", "x"],
            indexes={"by_mail": Index("mail", keys.string), "by_text": Index(repr, keys.string)},
        )  # fmt: skip
    assert str(caught.value) == (
        "table 'people' is another one: its keys are uint32, not string; its values are json, not bytes; its keys are made "
        "of the fields ['id'], not made of the fields ['name', 'x']; its index 'by_mail' is unique, of fields ['mail'] as "
        "string, not of fields ['mail'] as string; its index 'by_text' is of function builtins:str as string, not of "
        "function builtins:repr as string"
    )
    Table(env, "plain", key=keys.uint8, value=values.json)
    with pytest.raises(MismatchError, match=r"its keys are given apart, not made of the fields \[\]"):
        Table(env, "plain", fields=[])


@pytest.mark.parametrize(
    ("fields", "kind", "text"),
    [
        ({"format": 2}, MismatchError, "has format 2, and this version of lmdb_bindings reads 1"),
        ({"format": ...}, MismatchError, "has format None"),
        ({"compression": "zstd"}, MismatchError, "has compression, of a newer version"),
        ({"value": "protobuf"}, MismatchError, "has values of 'protobuf'; known are flatbuffers, "),
        ({"key": "int128"}, DamagedError, "'int128' is no codec of keys"),
        ({"key": ...}, DamagedError, "key is None, and no str"),
        ({"key": "(string, uint8)"}, DamagedError, r"1 fields as \(string, uint8\)"),
        ({"value": 1}, DamagedError, "value is 1, and no str"),
        ({"fields": "id"}, DamagedError, "fields is 'id', and no list"),
        ({"fields": [1]}, DamagedError, r"fields are \[1\], and no list of names"),
        ({"fields": [""]}, DamagedError, r"and no list of names"),
        ({"schema": "1"}, DamagedError, "schema is '1', and no int"),
        ({"indexes": []}, DamagedError, "indexes is \\[\\], and no dict"),
        ({"indexes": {"x": 1}}, DamagedError, "index 'x' is no JSON object"),
        ({"indexes": {"x": {"key": "string", "unique": False}}}, DamagedError, "either fields or a function"),
        ({"indexes": {"x": {"key": "string", "unique": 1, "fields": ["a"]}}}, DamagedError, "unique is 1, and no bool"),
        ({"indexes": {"x": {"key": "string", "unique": True, "fields": ["a"], "sparse": 1}}}, MismatchError, "index 'x' has sparse, of a newer"),
        ({"indexes": {"x": {"key": "nothing", "unique": True, "fields": ["a"]}}}, DamagedError, "'nothing' is no codec"),
        ({"indexes": {"x": {"key": "string", "unique": True, "fields": ["a", "b"]}}}, DamagedError, "index 'x': 2 fields as string"),
        ({"value": "flatbuffers", "schema": 1}, DamagedError, "has values of flatbuffers, and lacks root"),
        ({"value": "flatbuffers"}, DamagedError, "has values of flatbuffers, and lacks root, schema"),
        ({"value": "numpy"}, DamagedError, "has values of numpy, and lacks type"),
        ({"indexes": {"x:y": {"key": "string", "unique": True, "fields": ["a"]}}}, DamagedError, "'x:y' is no name for an index"),
        ({"indexes": {"\ud800": {"key": "string", "unique": True, "fields": ["a"]}}}, DamagedError, "surrogates"),
        ({"indexes": {"x": {"key": "string", "unique": True, "fields": ["a"]}}}, DamagedError, "database 'people:x' is missing, and the catalog has it"),
    ],
)  # fmt: skip
def test_what_is_not_believed(
    people: Table[int, Any],
    env: lmdb.Environment,
    rewrite_entry: Callable[..., None],
    fields: Any,
    kind: type[Exception],
    text: str,
) -> None:
    """An entry of another format, with unknown fields, or that cannot be, is refused with the reason."""
    assert people.entry.fields == ("id",)
    rewrite_entry("people", **fields)
    with pytest.raises(kind, match=text):
        Table(env, "people")


@pytest.mark.parametrize(
    ("key", "fields", "text"),
    [
        (keys.string, ["a", "b"], r"\['a', 'b'\] need a codec of as many parts, and string has 1"),
        (
            keys.tuple_of(keys.string, keys.int8),
            "a",
            r"\['a'\] need a codec of as many parts, and \(string, int8\) has 2",
        ),
        (keys.string, "", "need a codec of as many parts"),
        (keys.string, [], r"fields=\[\] numbers the records, and keys of string are no such numbers"),
        (keys.int64, [], "keys of int64 are no such numbers"),
    ],
)
def test_fields_that_make_no_key(env: lmdb.Environment, key: Any, fields: Any, text: str) -> None:
    """A table is not made if nobody could open it again, and its name is still free."""
    with pytest.raises(ValueError, match=text):
        Table(env, "t", key=key, value=values.json, fields=fields)
    Table(env, "t", key=keys.string, value=values.json, fields="a").add({"a": "x"})
    assert Table(env, "t").keys() == {"x"}


def test_a_table_whose_values_have_become_others(env: lmdb.Environment, rewrite_entry: Callable[..., None]) -> None:
    """It may have been dropped and made anew by another program: who has it open cannot write to it."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.json)
    table[1] = {}
    rewrite_entry("t", type="<f4(3,)")
    with pytest.raises(MismatchError, match="has been changed since it was opened here"):
        table[2] = {}
    assert list(table) == [1]


def test_an_entry_that_is_too_deep() -> None:
    """Neither the parser of JSON nor the process gives up."""
    for data in (b"[" * 100_000, b'{"indexes":' * 100_000):
        with pytest.raises(DamagedError, match="is no JSON"):
            _catalog.parse("t", data)


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda part: st.lists(part) | st.dictionaries(
    st.sampled_from(["format", "key", "value", "fields", "indexes", "root", "schema", "type", "unique", "function"]), part)))  # fmt: skip
def test_any_entry_is_read_or_refused(found: Any) -> None:
    """Whatever stands in the catalog, it is an entry or an error of tables."""
    data = (
        found
        if isinstance(found, bytes)
        else json.dumps({"format": 1, "x": found} if not isinstance(found, dict) else {**found, "format": 1}).encode()
    )
    try:
        entry = _catalog.parse("t", data)
    except TableError:
        return
    assert _catalog.parse("t", entry.to_json()) == entry


@pytest.mark.parametrize("name", ["", "a:b", "__tables__", "a\0b", "a\nb", "\x1f"])
def test_names_that_cannot_be(env: lmdb.Environment, name: str) -> None:
    """Of tables and of indexes."""
    with pytest.raises(ValueError, match="is no name for a table"):
        Table(env, name, key=keys.uint8, value=values.json)
    with pytest.raises(ValueError, match="is no name for an index"):
        Table(env, "t", key=keys.uint8, value=values.json, indexes={name: Index("a", keys.string)})
    assert env.dbs() == []


def test_names_that_can_be(env: lmdb.Environment) -> None:
    """Spaces and letters of any script."""
    table: Table[int, Any] = Table(
        env, "Straße 日本", key=keys.uint8, value=values.json, indexes={"ä b": Index("a", keys.string)}
    )
    table[1] = {"a": "x"}
    assert list(Table[int, Any](env, "Straße 日本").by("ä b")["x"].keys()) == [1]


def test_a_database_that_is_no_table(env: lmdb.Environment) -> None:
    """What stands under the name already is neither taken over nor changed."""
    with env.begin(write=True) as txn:
        txn.put(b"a", b"b", db=env.open_db(b"plain", txn))
        env.open_db(b"doubles", txn, dupsort=True)
    with pytest.raises(TableError, match="the database 'plain' has records, and the catalog lacks it"):
        Table(env, "plain", key=keys.uint8, value=values.json)
    with pytest.raises(TableError, match="the database 'doubles' is there, and was made for other things"):
        Table(env, "doubles", key=keys.uint8, value=values.json)
    assert b"__tables__" not in env.dbs()


def test_what_is_left_of_another_table(people: Table[int, Any], env: lmdb.Environment) -> None:
    """A database that has the name of a new index, and records, is no index; one that is missing is not made anew."""
    with env.begin(write=True) as txn:
        txn.put(b"old", b"\0\0\0\1", db=env.open_db(b"people:by_x", txn, dupsort=True))
    with pytest.raises(TableError, match="the database 'people:by_x' has records, and the catalog lacks it"):
        people.add_index("by_x", Index("x", keys.string))
    with env.begin(write=True) as txn:
        txn.drop(env.open_db(b"people:by_mail"))
    with pytest.raises(DamagedError, match="the database 'people:by_mail' is missing, and the catalog has it"):
        Table(env, "people", indexes={"by_y": Index("y", keys.string)})
    assert b"people:by_mail" not in env.dbs()


def test_clear_forgets_imports(people: Table[int, Any], env: lmdb.Environment) -> None:
    """An import that was interrupted must not go on in a table that was emptied; other tables' stay."""
    catalog = env.open_db(b"__tables__")
    with env.begin(catalog, write=True) as txn:
        for key in (b"people\x01/a", b"people2\x01/a", b"people\0\0\0\0\1"):
            txn.put(key, b"{}")
    people.clear()
    with env.begin(catalog) as txn:
        assert list(txn.scan(values=False)) == [b"people", b"people\0\0\0\0\1", b"people2\x01/a"]
    Table(env, "people2", key=keys.uint8, value=values.json).drop()
    people.drop()
    with env.begin(catalog) as txn:
        assert list(txn.scan(values=False)) == []
