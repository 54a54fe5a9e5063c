"""Entries of the catalog that are not what docs/tables.md says: refused by name, by every call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flatc_wheel.flatdb._native import BAD_TABLE, MDB_RDONLY, Counts, FlatdbError
from tests.flatdb.place import Place

SCHEMA = "table Thing { id: uint; name: string; } root_type Thing;"
ENTRY: dict[str, Any] = {
    "format": 1, "key": "uint32", "fields": ["id"], "value": "flatbuffers", "root": "Thing", "schema": 1,
    "indexes": {"by_name": {"key": "string", "fields": ["name"], "unique": False}},
}  # fmt: skip
INDEX = ENTRY["indexes"]["by_name"]


@pytest.fixture
def things(place: Place) -> Place:
    place.import_([{"id": 1, "name": "one"}], SCHEMA, key="id", indexes=["by_name=name"])
    return place


def put(place: Place, entry: Any) -> None:
    with place.damage("__tables__") as (txn, db):
        txn.put(b"things", entry if isinstance(entry, bytes) else json.dumps(entry).encode(), db=db)


def test_an_entry_is_written_as_documented(things: Place) -> None:
    """Byte for byte as Python's json writes it."""
    assert dict(things.raw("__tables__"))[b"things"] == json.dumps(ENTRY).encode()


def test_an_entry_is_read_however_it_is_written(things: Place) -> None:
    """Other blanks, another order, escapes."""
    text = (
        json.dumps(dict(reversed(ENTRY.items())), indent=3)
        .replace("Thing", "\\u0054hing")
        .replace("name", "\\u006eame")
    )
    put(things, text.encode())
    assert things.check() == []
    assert things.import_([{"id": 2, "name": "two"}]).records == 1


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (b"", "is no JSON"), (b"{", "is no JSON"), (b"[]", "is no JSON object"), (b'{"format": 1} x', "more behind"),
        (b'{"format": 1, "format": 1}', "this name is there twice"), (b'{"format": 1.0}', "is no JSON"),
        (b'{"format": 01}', "is no JSON|is missing|not closed|has no"), (b"[" * 5000, "nested too deep"),
        ({**ENTRY, "format": 2}, "it is of format 2, and this version reads format 1: use a newer one"),
        ({**ENTRY, "format": "1"}, '"format" is of a wrong type'),
        ({**ENTRY, "compression": "zstd"}, 'it has "compression", which this version does not know'),
        ({**ENTRY, "key": "int128"}, '"int128" is no codec of keys'),
        ({**ENTRY, "key": "(uint32)"}, r'"\(uint32\)" is no codec of keys'),
        ({**ENTRY, "key": "(uint32, string"}, "is no codec of keys"),
        ({**ENTRY, "key": "(uint32, string)"}, 'its key has as many parts as "fields"'),
        ({**ENTRY, "value": "xml"}, '"xml" is no codec of values'),
        ({**ENTRY, "schema": 0}, '"schema" is no version'), ({**ENTRY, "schema": -1}, '"schema" is negative'),
        ({**ENTRY, "schema": 1 << 32}, '"schema" is no version'), ({**ENTRY, "fields": [1]}, '"fields" is of a wrong type'),
        ({name: value for name, value in ENTRY.items() if name != "root"}, 'it has no "root"'),
        ({name: value for name, value in ENTRY.items() if name != "indexes"}, 'it has no "indexes"'),
        ({**ENTRY, "indexes": {"i": {**INDEX, "sparse": True}}}, 'things:i: it has "sparse"'),
        ({**ENTRY, "indexes": {"i": {**INDEX, "function": "m:f"}}}, 'things:i: it has one of "fields" and "function"'),
        ({**ENTRY, "indexes": {"i": {**INDEX, "fields": []}}}, 'things:i: its key has as many parts as "fields"'),
        ({**ENTRY, "indexes": {"i": {"key": "string", "fields": ["name"]}}}, 'things:i: it has no "unique"'),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_known_is_refused(things: Place, entry: Any, why: str) -> None:
    """By what is wrong with it, in every call; nothing is written."""
    put(things, entry)
    before = things.raw("__tables__")
    with things.open() as env:
        for call in (
            env.stat,
            lambda: env.stat("things"),
            lambda: env.check("things", counts=Counts()),
            lambda: env.lookup("things", "1"),
            lambda: env.reindex("things", counts=Counts()),
            lambda: env.import_("things", things.file([]), counts=Counts()),
        ):
            with pytest.raises(FlatdbError, match=why) as raised:
                call()
            assert raised.value.code == BAD_TABLE
            assert str(raised.value).startswith("the catalog's entry of the ")
    assert things.raw("__tables__") == before


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 2}, "the schema of the table things, version 2, is not in the catalog"),
        ({"root": "Other"}, "the schema of the table things, version 1: .*Other"),
        ({"fields": ["missing"]}, "there is no field 'missing'"),
        ({"key": "string"}, "which the codec string does not take"),
        ({"indexes": {"lost": INDEX}}, "the catalog has the table things, but there is no database things:lost"),
        ({"indexes": {"by_name": {**INDEX, "unique": True}}}, "the database things:by_name has flags"),
        ({"value": "json", "root": None, "schema": None}, "are of the codec json, which only Python reads"),
    ],
)
def test_an_entry_that_does_not_fit_is_refused(things: Place, change: dict[str, Any], why: str) -> None:
    """By what it does not fit."""
    put(things, {name: value for name, value in {**ENTRY, **change}.items() if value is not None})
    with things.open(flags=MDB_RDONLY) as env, pytest.raises(FlatdbError, match=why):
        env.check("things", counts=Counts())


def test_a_schema_that_is_none_is_refused(things: Place) -> None:
    """The file's bytes are not trusted."""
    with things.damage("__tables__") as (txn, db):
        txn.put(b"things\0\0\0\0\x01", b"\xff" * 100, db=db)
    with (
        things.open(flags=MDB_RDONLY) as env,
        pytest.raises(FlatdbError, match="the schema of the table things, version 1: "),
    ):
        env.check("things", counts=Counts())


STATE = b'{"offset": 12, "line": 2, "array": false, "records": 1, "size": 12, "mtime": 0}'


@pytest.mark.parametrize(
    "state",
    [
        b"", b"{}", STATE.replace(b"12,", b"-1,", 1), STATE.replace(b"12,", b"13,", 1), STATE.replace(b"false", b"0"),
        STATE.replace(b"}", b', "more": 1}'),
    ],
)  # fmt: skip
def test_what_is_no_state_of_an_import_is_refused(things: Place, state: bytes) -> None:
    """With the file's name."""
    file = things.file([{"id": 2}])
    with things.damage("__tables__") as (txn, db):
        txn.put(b"things\x01" + file.encode(), state, db=db)
    with pytest.raises(FlatdbError, match=r"what the catalog has of the import of .*records\.json") as raised:
        things.import_([{"id": 2}])
    assert raised.value.code == BAD_TABLE


def test_tables_of_python_s_are_shown(things: Place) -> None:
    """With what flatdb knows of them; it does not read their values."""
    other = {"format": 1, "key": "(string, uuid)", "value": "numpy", "type": "<f8(3,)", "indexes": {}}
    with things.damage("__tables__") as (txn, db):
        txn.put("größe".encode(), json.dumps(other).encode(), db=db)
    with things.damage("größe") as (txn, db):
        txn.put(b"k", b"v", db=db)
    with things.open(flags=MDB_RDONLY) as env:
        first, second = sorted(json.loads(env.stat()), key=lambda table: str(table["name"]))
    assert (second["name"], second["records"], second["indexes"]["by_name"]["records"]) == ("things", 1, 1)
    assert first == {
        "name": "größe", "key": "(string, uuid)", "fields": None, "value": "numpy", "type": "<f8(3,)", "records": 1,
        "bytes": 4096, "depth": 1, "indexes": {},
    }  # fmt: skip
