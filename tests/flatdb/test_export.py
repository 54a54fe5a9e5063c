"""Export and look-up: which records come out, in which order, and a file that is whole or not there."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from flatc_wheel.flatdb._native import BAD_KEY, BAD_RECORD, BAD_TABLE, MDB_RDONLY, STOPPED, Counts, FlatdbError
from tests.flatdb.place import Place

SCHEMA = "table City { country: string; name: string; people: uint; } root_type City;"
CITIES = [
    {"country": country, "name": name, "people": people}
    for country, name, people in [
        ("AT", "Wien", 2000), ("DE", "Berlin", 3700), ("DE", "Bonn", 330), ("DE", "Köln", 1000), ("DK", "Aarhus", 290),
        ("FR", "Paris", 2000), ("FR", "x, y\\z", 1),
    ]
]  # fmt: skip


@pytest.fixture
def cities(place: Place) -> Place:
    place.import_(CITIES, SCHEMA, table="cities", key="country,name", indexes=["people=people", "name=name unique"])
    return place


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, CITIES),
        ({"lower": "DE"}, CITIES[1:]),
        ({"upper": "DE"}, CITIES[:1]),
        ({"lower": "DE", "upper": "DF"}, CITIES[1:4]),
        ({"lower": "DE,Bo", "upper": "DE,C"}, CITIES[2:3]),
        ({"lower": "DE,Bonn"}, CITIES[2:]),
        ({"upper": "DE,Bonn"}, CITIES[:2]),
        ({"lower": "FR,x\\, y\\\\z"}, CITIES[6:]),
        ({"lower": "", "upper": ""}, []),
        ({"lower": "ZZ"}, []),
        ({"limit": 2, "lower": "DE"}, CITIES[1:3]),
        ({"index": "people"}, sorted(CITIES, key=lambda city: (city["people"], city["country"]))),
        ({"index": "people", "lower": "1000", "upper": "2001"}, [CITIES[3], CITIES[0], CITIES[5]]),
        ({"index": "name", "lower": "K"}, [CITIES[3], CITIES[5], CITIES[0], CITIES[6]]),
    ],
)
def test_a_range_is_what_its_bounds_say(cities: Place, options: dict[str, Any], expected: list[Any]) -> None:
    """Of keys or of an index, in its order; the upper end is not included."""
    assert cities.export("cities", **options) == expected


def test_an_array_and_lines_have_the_same_records(cities: Place) -> None:
    """And what is exported can be imported."""
    output = cities.folder / "array.json"
    with cities.open(flags=MDB_RDONLY) as env:
        counts = Counts()
        env.export("cities", str(output), array=True, counts=counts)
        assert (counts.records, counts.bytes) == (len(CITIES), output.stat().st_size)
        assert json.loads(output.read_text(encoding="utf-8")) == CITIES
        env.export("cities", str(output), array=True, lower="ZZ", counts=counts)
        assert json.loads(output.read_text(encoding="utf-8")) == []
        env.export("cities", str(output), array=True, counts=counts)
    cities.import_(output, SCHEMA, table="again", key="country,name")
    assert cities.raw("again") == cities.raw("cities")


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        ({"lower": "a,b,c"}, BAD_KEY, r"is no bound of keys of the codec \(string, string\)"),
        ({"index": "people", "upper": "many"}, BAD_KEY, "is no bound of keys of the codec uint32"),
        ({"index": "height"}, BAD_TABLE, "has no index height: it has name, people"),
    ],
)
def test_wrong_bounds_are_refused(cities: Place, options: dict[str, Any], code: int, why: str) -> None:
    """By their codec; no file appears."""
    (cities.folder / "exported.json").unlink(missing_ok=True)
    with pytest.raises(FlatdbError, match=why) as raised:
        cities.export("cities", **options)
    assert raised.value.code == code
    assert [path.name for path in cities.folder.iterdir() if "exported" in path.name] == []


def test_a_file_appears_when_it_is_whole(cities: Place) -> None:
    """A failure leaves the old one as it was, and nothing beside it."""
    output = cities.folder / "exported.json"
    output.write_text("old")
    key, value = cities.raw("cities")[-1]
    with cities.damage("cities") as (txn, db):
        txn.put(key, value[:6], db=db)
    with pytest.raises(FlatdbError, match=r"the record of the key FR,x\\, y\\\\z: ") as raised:
        cities.export("cities")
    assert raised.value.code == BAD_RECORD
    assert output.read_text() == "old"
    assert [path.name for path in cities.folder.iterdir() if "part" in path.name] == []


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of another kind, and links need a privilege")
def test_what_is_replaced_is_the_file_alone(cities: Place) -> None:
    """A link to it stays a link, and what was for its owner alone stays so."""
    target, link = cities.folder / "target.json", cities.folder / "exported.json"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    assert cities.export("cities") == CITIES
    assert link.is_symlink()
    assert json.loads(target.read_text(encoding="utf-8").splitlines()[0]) == CITIES[0]
    assert target.stat().st_mode & 0o777 == 0o600


def test_what_a_killed_export_left_is_named(cities: Place) -> None:
    """In a container an export often has the same process id as the one before."""
    left = cities.folder / f"exported.json.{os.getpid()}.part"
    left.write_text("half")
    with pytest.raises(FlatdbError, match=r"\.part is there already: .*; remove it if none is running") as raised:
        cities.export("cities")
    assert raised.value.code == errno.EEXIST
    assert left.read_text() == "half"


def test_an_export_is_stopped_by_the_caller(place: Place) -> None:
    """By what the callback gives or raises; no file appears."""
    place.import_([{"country": str(i)} for i in range(60_000)], SCHEMA, key="country")
    with pytest.raises(FlatdbError) as raised:
        place.export(progress=lambda _: True)
    assert raised.value.code == STOPPED

    def fail(_: Counts) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        place.export(progress=fail)
    assert not (place.folder / "exported.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes in folders")
def test_a_reader_that_goes_away_is_an_errno(place: Place) -> None:
    """A device or pipe is written to as it is: nothing takes its place."""
    place.import_([{"country": f"{i:0100}"} for i in range(30_000)], SCHEMA, key="country")
    pipe = place.folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # or opening to write would wait for one
    closing = threading.Timer(0.3, os.close, [reader])
    closing.start()
    with place.open(flags=MDB_RDONLY) as env, pytest.raises(FlatdbError, match=r"cannot write to .*pipe") as raised:
        env.export("things", str(pipe), counts=Counts())
    closing.join()
    assert raised.value.code == errno.EPIPE
    assert pipe.is_fifo()


def test_a_key_is_looked_up_by_table_and_index(cities: Place) -> None:
    """An index that is not unique gives all records of its key."""
    with cities.open(flags=MDB_RDONLY) as env:
        assert json.loads(env.lookup("cities", "DE,Bonn")) == CITIES[2]
        assert json.loads(env.lookup("cities", "Bonn", index="name")) == CITIES[2]
        lines = env.lookup("cities", "2000", index="people").splitlines()
        assert [json.loads(line) for line in lines] == [CITIES[0], CITIES[5]]
        for key, index, name in (
            ("DE,Bon", None, "cities"),
            ("2", "people", "cities:people"),
            ("x" * 1990, "name", "cities:name"),
        ):
            with pytest.raises(
                FlatdbError, match=f"there is no record of the key {key[:99]}.*( in {name}|x)$"
            ) as raised:
                env.lookup("cities", key, index=index)
            assert raised.value.code == -30798  # MDB_NOTFOUND
        with pytest.raises(FlatdbError, match="there is no table towns: the environment has cities"):
            env.lookup("towns", "DE")


def test_a_look_up_by_an_index_with_a_lost_record_says_so(cities: Place) -> None:
    """And what to do."""
    bonn = cities.raw("cities")[2][0]
    with cities.damage("cities") as (txn, db):
        assert txn.delete(bonn, db=db)
    with cities.open(flags=MDB_RDONLY) as env, pytest.raises(FlatdbError, match="flatdb reindex") as raised:
        env.lookup("cities", "Bonn", index="name")
    assert raised.value.code == BAD_TABLE


def test_memory_does_not_grow_with_the_table(place: Place, python: Any) -> None:
    """Ten times the records take no more memory of the process's own than a fifth on top."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not say how much memory is the process's own")
    script = (
        "import sys\nfrom flatc_wheel.flatdb._native import Counts, Library\n"
        "with Library(sys.argv[1]).open(sys.argv[2]) as env:\n"
        "    env.export(sys.argv[3], sys.argv[2] + '.json', counts=Counts())\n"
        "    env.check(sys.argv[3], counts=Counts())\n"
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('RssAnon')))"
    )
    used = []
    for table, count in (("small", 20_000), ("large", 200_000)):
        place.import_(
            [{"country": f"{i:0100}"} for i in range(count)], SCHEMA, table=table, key="country", indexes=["n=country"]
        )
        used.append(int(python(script, place.engine, str(place.env), table)))
    assert used[1] < used[0] * 1.2, used
