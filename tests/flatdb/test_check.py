"""Check finds every kind of damage, and nothing else; reindex repairs what can be repaired."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import lmdb_bindings as lmdb
from flatc_wheel.flatdb._native import BAD_KEY, BAD_RECORD, BAD_TABLE, MDB_RDONLY, STOPPED, Counts, FlatdbError
from tests.flatdb.place import Place

SCHEMA = "table Thing { id: uint; name: string; group: ubyte = 3; } root_type Thing;"
RECORDS = [{"id": i, "name": f"n{i}", "group": i % 3} for i in range(1, 20)]


def key(number: int) -> bytes:
    return number.to_bytes(4, "big")


@pytest.fixture
def things(place: Place) -> Place:
    place.import_(RECORDS, SCHEMA, key="id", indexes=["name=name unique", "group=group"])
    assert place.check() == []
    return place


def in_group(place: Place) -> Any:
    """The index that is not unique, open for writing."""
    return lmdb.open(str(place.env), map_size=1 << 26, max_dbs=8)


def test_a_record_that_is_none_is_found(things: Place) -> None:
    """And its entries are not taken for wrong, since nobody knows its fields."""
    with things.damage() as (txn, db):
        value = txn.get(key(5), db=db)
        txn.put(key(5), value[:-4] + b"\xff\xff\xff\x7f", db=db)
    [(name, text)] = things.check()
    assert name == "5"
    assert "index" not in text


def test_a_key_that_is_not_its_record_s_is_found(things: Place) -> None:
    """The record of 5 under the key 6."""
    with things.damage() as (txn, db):
        txn.put(key(6), txn.get(key(5), db=db), db=db)
    problems = things.check()
    assert ("6", "the key that the record's fields make is another: 5") in problems
    # n5 and the group 2 stay with the record 5; what is under 6 has neither an entry of its own nor the ones it had.
    assert sorted(problems) == [
        ("6", "the index group has the entry 0 of this record, whose fields make 2"),
        ("6", "the index group lacks its entry 2"),
        ("6", "the index name has the entry n6 of this record, whose fields make n5"),
        ("6", "the index name lacks its entry n5"),
        ("6", "the key that the record's fields make is another: 5"),
    ]


def test_a_key_that_is_none_is_found(things: Place) -> None:
    """Its bytes are shown."""
    with things.damage() as (txn, db):
        txn.put(b"\x01\x02", txn.get(key(5), db=db), db=db)
    assert ("0x0102", "the key is not of the codec uint32") in things.check()


def test_a_record_that_its_key_cannot_be_made_of_is_found(place: Place) -> None:
    """It lacks the field."""
    place.import_(RECORDS[:2], SCHEMA, key="name")
    place.import_([{"id": 9}], SCHEMA, table="donor", key="id")
    [(_, nameless)] = place.raw("donor")
    with place.damage() as (txn, db):
        txn.put(b"n1", nameless, db=db)
    assert place.check() == [("n1", "the record lacks a field that its key is made of")]


def test_an_entry_that_is_missing_is_found(things: Place) -> None:
    """Of a unique index and of the other."""
    with things.damage("things:name") as (txn, db):
        assert txn.delete(b"n7", db=db)
    assert things.check() == [("7", "the index name lacks its entry n7")]
    with in_group(things) as env, env.begin(write=True) as txn:
        assert txn.delete(b"\x01", key(7), db=env.open_db(b"things:group", txn=txn, dupsort=True))
    assert things.check() == [("7", "the index group lacks its entry 1"), ("7", "the index name lacks its entry n7")]


def test_an_entry_of_another_record_is_found(things: Place) -> None:
    """The right key with a wrong record."""
    with things.damage("things:name") as (txn, db):
        txn.put(b"n7", key(8), db=db)
    assert things.check() == [
        ("7", "the index name lacks its entry n7"),
        ("8", "the index name has the entry n7 of this record, whose fields make n8"),
    ]


def test_an_entry_that_is_stale_is_found(things: Place) -> None:
    """It is more than there should be: all that should be there is."""
    with things.damage("things:name") as (txn, db):
        txn.put(b"old", key(8), db=db)
    assert things.check() == [("8", "the index name has the entry old of this record, whose fields make n8")]


def test_an_entry_without_a_record_is_found(things: Place) -> None:
    """Where a record was removed, and its entries were not."""
    with things.damage() as (txn, db):
        assert txn.delete(key(9), db=db)
    assert sorted(things.check()) == [
        ("9", "the index group has the entry 0 of this record, which is not there"),
        ("9", "the index name has the entry n9 of this record, which is not there"),
    ]


def test_an_entry_whose_record_key_is_none_is_found(things: Place) -> None:
    """Also an empty one."""
    with things.damage("things:name") as (txn, db):
        txn.put(b"x", b"", db=db)
        txn.put(b"y", b"\xff" * 3, db=db)
    assert things.check() == [
        ("0x", "the index name has the entry x of this record, which is not there"),
        ("0xffffff", "the index name has the entry y of this record, which is not there"),
    ]


def test_every_index_is_made_anew(things: Place) -> None:
    """From whatever it was; or one of them alone."""
    sound = {name: things.raw(f"things:{name}") for name in ("name", "group")}
    with things.damage("things:name") as (txn, db):
        txn.put(b"old", key(8), db=db)
        txn.delete(b"n3", db=db)
    with in_group(things) as env, env.begin(write=True) as txn:
        db = env.open_db(b"things:group", txn=txn, dupsort=True)
        txn.drop(db, delete=False)
        txn.put(b"\x09", key(1), db=db)
    with things.open() as env:
        counts = Counts()
        env.reindex("things", "name", counts=counts)
        assert counts.records == len(RECORDS)
    assert things.raw("things:name") == sound["name"]
    assert things.raw("things:group") != sound["group"]
    with things.open() as env:
        env.reindex("things", counts=Counts())
    assert things.raw("things:group") == sound["group"]
    assert things.check() == []


def test_an_index_is_made_anew_in_a_map_that_is_too_small(place: Place) -> None:
    """Which grows, and the work begins again."""
    place.import_(
        [{"id": i, "name": f"{i:0200}"} for i in range(5000)], SCHEMA, key="id", indexes=["n=name"], map_size=1 << 16
    )
    before = place.raw("things:n")
    with place.open() as env:
        counts = Counts()
        env.reindex("things", counts=counts)
    assert counts.records == 5000
    assert place.raw("things:n") == before


def test_a_unique_index_that_cannot_be_stays_as_it_was(things: Place) -> None:
    """The message has both records."""
    with things.damage() as (txn, db):
        txn.put(key(6), txn.get(key(5), db=db), db=db)
    before = things.raw("things:name")
    with things.open() as env, pytest.raises(FlatdbError, match="the key n5 twice: of the records 5 and 6") as raised:
        env.reindex("things", counts=Counts())
    assert raised.value.code == BAD_KEY
    assert things.raw("things:name") == before


def test_an_index_that_is_gone_is_made_by_reindex_alone(things: Place) -> None:
    """An import would make an empty one, that lacks the records before."""
    with things.damage("things:name") as (txn, db):
        txn.drop(db)
    gone = "there is no database things:name: make all indexes anew by flatdb reindex"
    with pytest.raises(FlatdbError, match=gone):
        things.import_([{"id": 77, "name": "n77"}])
    with pytest.raises(FlatdbError, match=gone):
        things.check()
    with things.open() as env:
        with pytest.raises(FlatdbError, match=gone):
            env.reindex("things", "group", counts=Counts())
        env.reindex("things", counts=Counts())
        assert json.loads(env.lookup("things", "n5", index="name"))["id"] == 5
    assert things.check() == []


def test_records_that_are_gone_are_not_begun_anew(things: Place) -> None:
    """The catalog says that there were some."""
    with things.damage() as (txn, db):
        txn.drop(db)
    with pytest.raises(FlatdbError, match=r"the catalog has the table things, but there is no database things$"):
        things.import_(RECORDS)


def test_a_record_that_is_none_ends_reindex_and_replacement(things: Place) -> None:
    """With its key: what its entries were cannot be known."""
    with things.damage() as (txn, db):
        txn.put(key(5), b"\xff" * 12, db=db)
    with things.open() as env, pytest.raises(FlatdbError, match="the record of the key 5: ") as raised:
        env.reindex("things", counts=Counts())
    assert raised.value.code == BAD_RECORD
    with pytest.raises(FlatdbError, match="the record of the key 5: "):
        things.import_([{"id": 5, "name": "n5"}], on_duplicate="replace")


def test_a_replacement_over_an_index_that_lacks_entries_ends(things: Place) -> None:
    """An index that is wrong is not made wronger in silence."""
    with things.damage("things:name") as (txn, db):
        txn.put(b"n7", key(8), db=db)
    with pytest.raises(
        FlatdbError, match="the index things:name lacks the entry n7 of the record 7: make it anew"
    ) as raised:
        things.import_([{"id": 7, "name": "new"}], on_duplicate="replace")
    assert raised.value.code == BAD_TABLE


def test_a_check_is_stopped_by_the_caller(things: Place) -> None:
    """By either callback."""
    with things.damage() as (txn, db):
        for number in range(1, 20):
            txn.put(key(number), b"", db=db)
    counts = Counts()
    with things.open(flags=MDB_RDONLY) as env, pytest.raises(FlatdbError) as raised:
        env.check("things", counts=counts, problem=lambda _key, _text: True)
    assert raised.value.code == STOPPED
    assert counts.bad == 1


def test_an_index_of_python_s_is_checked_one_way(things: Place) -> None:
    """Its entries have records; it is not written to."""
    entry = dict(things.raw("__tables__"))[b"things"].decode()
    with things.damage("__tables__") as (txn, db):
        txn.put(b"things", entry.replace('"fields": ["name"]', '"function": "mine:key"').encode(), db=db)
    with things.damage("things:name") as (txn, db):
        txn.put(b"anything", key(3), db=db)
        txn.put(b"lost", key(300), db=db)
    assert things.check() == [("300", "the index name has the entry lost of this record, which is not there")]
    with pytest.raises(FlatdbError, match="things:name is made by Python's mine:key") as raised:
        things.import_([{"id": 100}])
    assert raised.value.code == BAD_TABLE
    with things.open() as env, pytest.raises(FlatdbError, match="is made by Python's mine:key"):
        env.reindex("things", counts=Counts())


@pytest.mark.skipif(sys.platform == "win32", reason="the other engine's copy of the file")
def test_the_other_engine_is_refused_with_the_reason(things: Place) -> None:
    """Its data format is another."""
    other = {"0.9": "1.0", "1.0": "0.9"}[things.engine]
    script = (
        "import sys\nfrom flatc_wheel.flatdb._native import Library\nwith Library(sys.argv[1]).open(sys.argv[2]): pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, other, str(things.env)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "the other LMDB engine" in done.stderr or "one of the other engine" in done.stderr
