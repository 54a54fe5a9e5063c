"""Import: what becomes of records, keys and indexes, in a table that is new or that is there."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import pytest

import flatc_wheel
from flatc_wheel.flatdb._native import (
    BAD_ARGUMENT,
    BAD_KEY,
    BAD_TABLE,
    NOT_CONFORM,
    STOPPED,
    Counts,
    FlatdbError,
)  # fmt: skip
from tests.conftest import ROOT
from tests.flatdb.place import Place

SCHEMA = "table Thing { id: uint; name: string; group: ubyte; } root_type Thing;"
CHARACTERS = (ROOT / "examples" / "unicode_db" / "character.fbs").read_text(encoding="utf-8")


def characters() -> Iterator[dict[str, Any]]:
    for code_point in range(0x30000):
        char = chr(code_point)
        if unicodedata.category(char) in ("Cn", "Co", "Cs"):
            continue
        record: dict[str, Any] = {
            "code_point": code_point,
            "name": unicodedata.name(char, None),
            "category": unicodedata.category(char),
            "combining": unicodedata.combining(char),
            "bidirectional": unicodedata.bidirectional(char),
            "decomposition": unicodedata.decomposition(char) or None,
            "numeric": unicodedata.numeric(char, None),
        }
        yield {name: value for name, value in record.items() if value is not None}


def test_every_code_point_is_stored_as_generated_code_reads_it(place: Place, tmp_path: Path) -> None:
    """Keys and all fields of all records, and both indexes, by Python's own flatbuffers."""
    expected = list(characters())
    counts = place.import_(
        random.Random(1).sample(expected, len(expected)), CHARACTERS, key="code_point",
        indexes=["by_name=name unique", "by_category=category,combining"], batch=20_000,
    )  # fmt: skip
    assert counts.records == len(expected)
    [file] = flatc_wheel.compile(
        ROOT / "examples/unicode_db/character.fbs", "python", tmp_path, options=["--gen-onefile"]
    )
    generated: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), generated)
    records = place.raw()
    assert [key for key, _ in records] == [record["code_point"].to_bytes(4, "big") for record in expected]
    for (_, data), record in zip(records, expected, strict=True):
        found = generated["Character"].GetRootAs(data)
        assert flatbuffers.util.BufferHasIdentifier(data, 0, b"UCHR")
        assert found.CodePoint() == record["code_point"]
        assert (found.Name() or b"").decode() == record.get("name", "")
        assert found.Category().decode() == record["category"]
        assert found.Combining() == record["combining"]
        assert found.Bidirectional().decode() == record["bidirectional"]
        assert (found.Decomposition() or b"").decode() == record.get("decomposition", "")
        assert found.Numeric() == record.get("numeric")
    by_name = sorted((r["name"].encode(), r["code_point"].to_bytes(4, "big")) for r in expected if "name" in r)
    assert place.raw("things:by_name") == by_name
    by_category = sorted(
        (r["category"].encode() + b"\0\0" + bytes([r["combining"]]), r["code_point"].to_bytes(4, "big"))
        for r in expected
    )
    assert place.raw("things:by_category") == by_category
    assert place.check() == []


def test_a_map_that_is_too_small_grows(place: Place) -> None:
    """From 64 KiB, also within one batch, and no record is there twice."""
    records = [{"id": i, "name": f"{i:0200}", "group": i % 7} for i in range(20_000)]
    counts = place.import_(records, SCHEMA, key="id", indexes=["group=group", "name=name"], map_size=1 << 16)
    assert counts.records == 20_000
    assert (
        place.export() == [{k: v for k, v in r.items() if v or k == "name"} for r in records]
        or place.export() == records
    )
    assert place.check() == []


def test_records_without_a_key_are_numbered_from_1(place: Place) -> None:
    """And go on behind the last, in each batch and each import."""
    for start in (0, 5):
        place.import_([{"name": str(start + i)} for i in range(5)], SCHEMA, batch=2, key="" if start else None)
    assert [key for key, _ in place.raw()] == [i.to_bytes(8, "big") for i in range(1, 11)]
    assert [record["name"] for record in place.export()] == [str(i) for i in range(10)]
    assert place.stat()["fields"] == []
    assert place.check() == []


def test_the_field_with_the_attribute_key_is_the_key(place: Place) -> None:
    """Unless the call says another."""
    schema = "table Thing { a: uint; b: string (key); } root_type Thing;"
    place.import_([{"a": 1, "b": "x"}], schema)
    assert [key for key, _ in place.raw()] == [b"x"]
    place.import_([{"a": 1, "b": "x"}], schema, table="other", key="a")
    assert [key for key, _ in place.raw("other")] == [b"\0\0\0\x01"]


OLD = [{"id": 1, "name": "one", "group": 1}, {"id": 2, "name": "two", "group": 2}]
NEW = [
    {"id": 2, "name": "deux", "group": 2},
    {"id": 3, "name": "trois", "group": 3},
    {"id": 3, "name": "three", "group": 3},
]
INDEXES = ["name=name unique", "group=group"]


@pytest.mark.parametrize("batch", [1, 100])
def test_duplicates_are_refused(place: Place, batch: int) -> None:
    """With the key and the line; what earlier transactions stored stays."""
    place.import_(OLD, SCHEMA, key="id", indexes=INDEXES)
    with pytest.raises(
        FlatdbError, match=r"records\.json, line 1 \(byte 0\): the table things has a record of the key 2"
    ) as raised:
        place.import_(NEW, batch=batch)
    assert raised.value.code == BAD_KEY
    assert place.export() == OLD
    with pytest.raises(FlatdbError, match=r"line 3 .*the key 3|line 3 .*is that of line 2 too"):
        place.import_([{"id": 9}, *NEW[1:]], batch=batch)
    assert place.check() == []


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_duplicates_replace(place: Place, batch: int) -> None:
    """The last of the file counts; entries of what was there go."""
    place.import_(OLD, SCHEMA, key="id", indexes=INDEXES)
    counts = place.import_(NEW, on_duplicate="replace", batch=batch)
    assert (counts.records, counts.replaced, counts.kept) == (3, 2, 0)
    assert place.export() == [OLD[0], NEW[0], NEW[2]]
    assert [key for key, _ in place.raw("things:name")] == [b"deux", b"one", b"three"]
    assert place.check() == []


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_duplicates_are_kept(place: Place, batch: int) -> None:
    """The first counts, in the table or in the file."""
    place.import_(OLD, SCHEMA, key="id", indexes=INDEXES)
    counts = place.import_(NEW, on_duplicate="keep", batch=batch)
    assert (counts.records, counts.replaced, counts.kept) == (1, 0, 2)
    assert place.export() == [*OLD, NEW[1]]
    assert place.check() == []


def test_many_replacements_leave_every_index_right(place: Place) -> None:
    """Random records over random records, with batches that cut anywhere."""
    chance = random.Random(5)
    kept: dict[int, dict[str, Any]] = {}
    for turn in range(8):
        records = [
            {"id": chance.randrange(300), "name": f"{turn} {i}", "group": chance.randrange(4)} for i in range(200)
        ]
        place.import_(records, SCHEMA, key="id", indexes=INDEXES, on_duplicate="replace", batch=chance.randrange(1, 90))
        kept.update((record["id"], record) for record in records)
    expected = [{k: v for k, v in kept[i].items() if k == "name" or v} for i in sorted(kept)]
    assert [{k: v for k, v in record.items() if v} for record in place.export()] == expected
    assert place.check() == []


def test_a_record_may_take_the_unique_key_that_another_gives_up_at_once(place: Place) -> None:
    """Indexes are what the records of a transaction are at its end."""
    place.import_(OLD, SCHEMA, key="id", indexes=INDEXES)
    swapped = [{"id": 1, "name": "two", "group": 1}, {"id": 2, "name": "one", "group": 2}]
    place.import_(swapped, on_duplicate="replace")
    assert place.export() == swapped
    assert place.check() == []


@pytest.mark.parametrize("records", [[{"id": 5, "name": "one"}], [{"id": 5, "name": "new"}, {"id": 6, "name": "new"}]])
def test_a_unique_index_has_a_key_once(place: Place, records: list[dict[str, Any]]) -> None:
    """The message has both records; nothing of the batch is stored."""
    place.import_(OLD, SCHEMA, key="id", indexes=INDEXES)
    with pytest.raises(
        FlatdbError, match=r"unique index things:name would have the key (one|new) twice: .* (1|5) and (5|6)"
    ) as raised:
        place.import_(records)
    assert raised.value.code == BAD_KEY
    assert place.export() == OLD
    assert place.check() == []


def test_keys_of_an_index_that_are_too_long_are_refused(place: Place) -> None:
    """By the engine's limit."""
    with pytest.raises(
        FlatdbError, match=r"line 1 .*the key in the index name has 3000 bytes: this engine takes \d+"
    ) as raised:
        place.import_([{"id": 1, "name": "x" * 3000}], SCHEMA, key="id", indexes=["name=name"])
    assert raised.value.code == BAD_KEY


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"key": "name"}, "the key of the table things is id:uint32, and not name:string"),
        ({"key": ""}, r"is id:uint32, and not none \(numbers\)"),
        (
            {"indexes": ["name=name"]},
            r"are: group: group:uint8; name \(unique\): name:string; and not: name: name:string",
        ),
    ],
)
def test_an_existing_table_says_what_the_call_has_otherwise(place: Place, options: dict[str, Any], why: str) -> None:
    """Key, indexes."""
    place.import_(OLD, SCHEMA, key="id", indexes=INDEXES)
    with pytest.raises(FlatdbError, match=why) as raised:
        place.import_(NEW, **options)
    assert raised.value.code == BAD_TABLE
    assert place.export() == OLD


def test_a_schema_that_conforms_becomes_the_next_version(place: Place) -> None:
    """The same one adds none, and one that breaks the records is refused."""
    place.import_(OLD, SCHEMA, key="id")
    place.import_([], SCHEMA)
    assert place.stat()["schema"] == 1
    place.import_([{"id": 7, "more": "m"}], SCHEMA.replace("group: ubyte;", "group: ubyte; more: string;"))
    assert place.stat()["schema"] == 2
    assert place.export()[-1] == {"id": 7, "more": "m"}
    assert [key for key, _ in place.raw("__tables__")] == [b"things", b"things\0\0\0\0\x01", b"things\0\0\0\0\x02"]
    assert place.check() == []
    with pytest.raises(FlatdbError, match="has a schema of version 2, which the new one breaks") as raised:
        place.import_([], SCHEMA.replace("id: uint", "id: string"))
    assert raised.value.code == NOT_CONFORM
    with pytest.raises(FlatdbError, match="has records of Thing, and the schema's root is Other") as raised:
        place.import_([], SCHEMA + " table Other { id: uint; } root_type Other;")
    assert raised.value.code == NOT_CONFORM


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"table": ""}, "cannot name a table"), ({"table": "__t"}, "cannot name a table"),
        ({"table": "a:b"}, "cannot name a table"), ({"table": "a\n"}, "cannot name a table"),
        ({"indexes": ["name"]}, "given as name=expression"), ({"indexes": ["a:b=name"]}, "cannot name an index"),
        ({"indexes": ["a=name", "a=group"]}, "the index a is given twice"),
        ({"indexes": ["a=missing"]}, "there is no field 'missing'"),
    ],
)  # fmt: skip
def test_a_wrong_call_makes_nothing(place: Place, options: dict[str, Any], why: str) -> None:
    """Names and expressions are checked before anything is written."""
    with pytest.raises(FlatdbError, match=why) as raised:
        place.import_(OLD, SCHEMA, key="id", **options)
    assert raised.value.code == BAD_ARGUMENT
    with place.open() as env:
        assert env.stat() == "[]"


def test_a_table_needs_a_schema_and_a_free_name(place: Place) -> None:
    """A database that is no table stays as it is; a file that is not there is an errno."""
    with pytest.raises(FlatdbError, match="give the schema that its records are of"):
        place.import_(OLD)
    with place.damage("foreign") as (txn, db):
        txn.put(b"k", b"v", db=db)
    with pytest.raises(FlatdbError, match="a database foreign that is no table") as raised:
        place.import_(OLD, SCHEMA, table="foreign", key="id")
    assert raised.value.code == BAD_TABLE
    assert place.raw("foreign") == [(b"k", b"v")]
    with pytest.raises(FlatdbError, match=r"cannot open .*missing") as raised:
        place.import_(place.folder / "missing", SCHEMA)
    assert raised.value.code == 2


def test_what_a_callback_raises_stops_the_import_after_its_last_commit(place: Place) -> None:
    """And comes out of the call; the same call then goes on."""
    records = [{"id": i, "name": "x" * 100} for i in range(60_000)]

    def progress(counts: Counts) -> None:
        time.sleep(0.11)  # so that it is called behind each commit, however fast these are
        if counts.records >= 10_000:
            raise KeyError("mine")

    def stop(counts: Counts) -> bool:
        time.sleep(0.11)
        return counts.records > 0

    with pytest.raises(KeyError, match="mine"):
        place.import_(records, SCHEMA, key="id", batch=5_000, progress=progress)
    stored = place.stat()["records"]
    assert 10_000 <= stored < 60_000
    assert stored % 5_000 == 0
    counts = place.import_(Path(place.folder, "records.json"))
    assert (counts.resumed, counts.records) == (stored, 60_000 - stored)
    assert len(place.export()) == 60_000
    with pytest.raises(FlatdbError, match="stopped") as raised:
        place.import_(records, on_duplicate="replace", batch=5_000, progress=stop)
    assert raised.value.code == STOPPED


def test_another_writer_s_changes_of_the_table_end_the_import(place: Place) -> None:
    """An index that somebody adds between two transactions would miss records."""
    records = [{"id": i, "name": str(i)} for i in range(20_000)]
    done = False

    def progress(counts: Counts) -> None:
        nonlocal done
        time.sleep(0.11)
        if counts.records and not done:
            done = True
            script = (
                "import sys, json, lmdb_bindings as lmdb\n"
                "env = lmdb.open(sys.argv[1], max_dbs=4)\n"
                "db = env.open_db(b'__tables__')\n"
                "with env.begin(write=True) as txn:\n"
                "    entry = json.loads(txn.get(b'things', db=db)); entry['schema'] = 7\n"
                "    txn.put(b'things', json.dumps(entry).encode(), db=db)\n"
            )
            subprocess.run([sys.executable, "-c", script, str(place.env)], check=True)

    with pytest.raises(FlatdbError, match="was changed by somebody else during the import") as raised:
        place.import_(records, SCHEMA, key="id", batch=1_000, progress=progress)
    assert raised.value.code == BAD_TABLE


MEMORY = """
import resource, sys
from flatc_wheel.flatdb._native import Counts, Library
library = Library(sys.argv[1])
with library.schema(sys.argv[3]) as schema, library.open(sys.argv[2]) as env:
    env.import_("things", sys.argv[4], schema=schema, key="id", batch=2000, counts=Counts())
    with open("/proc/self/status") as status:
        print(*(line.split()[1] for line in status if line.startswith("RssAnon")))
"""


def test_memory_does_not_grow_with_the_file(place: Place, python: Any) -> None:
    """Ten times the data takes no more memory of the process's own than a fifth on top."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not say how much memory is the process's own")
    schema = place.folder / "s.fbs"
    schema.write_text(SCHEMA)
    used = []
    for number, count in enumerate((20_000, 200_000)):
        file = place.file([{"id": i, "name": "x" * 100} for i in range(count)], f"{count}.json")
        env = place.folder / f"memory{number}"
        env.mkdir()
        used.append(int(python(MEMORY, place.engine, str(env), str(schema), file)))
    assert used[1] < used[0] * 1.2, used
