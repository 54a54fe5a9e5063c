"""An import that was interrupted goes on behind its last commit, whatever ended it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from flatc_wheel.flatdb._native import BAD_ARGUMENT, BAD_TABLE, FlatdbError
from tests.flatdb.place import Place

SCHEMA = "table Thing { id: uint; name: string; group: ubyte; } root_type Thing;"
INDEXES = ["name=name unique", "group=group"]
RECORDS = [{"id": i, "name": f"n{i * 7919 % 10007}", "group": 1 + i % 5} for i in range(1, 6001)]


def catalog(place: Place) -> list[bytes]:
    """The keys of the catalog, where there is one."""
    try:
        return [key for key, _ in place.raw("__tables__")]
    except lmdb.NotFoundError:
        return []


def imports(place: Place) -> list[bytes]:
    """What the catalog remembers of imports."""
    return [key for key in catalog(place) if key.startswith(b"things\x01")]


def stop_at(place: Place, after: int, form: Any = None, **options: Any) -> Path:
    """Import a file whose record number ``after`` has a key that an unlucky one in the table has too; then free that key.

    It stops at that very record, with all transactions before it committed, as if it had been killed there.
    """
    content = form(RECORDS) if form else RECORDS
    place.import_([RECORDS[after]], SCHEMA, key="id", indexes=INDEXES, name="other.json")
    with pytest.raises(FlatdbError, match="has a record of the key"):
        place.import_(content, batch=500, **options)
    for database, key in (("things", RECORDS[after]["id"].to_bytes(4, "big")),
                          ("things:name", RECORDS[after]["name"].encode())):  # fmt: skip
        with place.damage(database) as (txn, db):
            assert txn.delete(key, db=db)
    with lmdb.open(str(place.env), max_dbs=8, map_size=1 << 26) as env:
        db = env.open_db(b"things:group", dupsort=True)
        with env.begin(write=True) as txn:
            assert txn.delete(bytes([RECORDS[after]["group"]]), RECORDS[after]["id"].to_bytes(4, "big"), db=db)
    return place.folder / "records.json"


def as_array(records: list[dict[str, Any]]) -> str:
    return json.dumps(records, indent=1)


@pytest.mark.parametrize("form", [None, as_array])
@pytest.mark.parametrize("after", [0, 499, 500, 2750, 5999])
def test_it_goes_on_behind_the_last_commit(place: Place, after: int, form: Any) -> None:
    """Nothing is lost or doubled, in NDJSON and in an array; and then nothing is remembered."""
    file = stop_at(place, after, form)
    done = after // 500 * 500
    assert place.stat()["records"] == done
    assert imports(place) == ([b"things\x01" + os.fsencode(file)] if done else [])
    counts = place.import_(file, batch=700)
    assert (counts.resumed, counts.records, counts.bytes) == (done, 6000 - done, file.stat().st_size)
    assert place.export() == RECORDS
    assert place.check() == []
    assert imports(place) == []


def test_a_file_that_has_changed_is_not_gone_on_with(place: Place) -> None:
    """The message has the cure, and the cure works."""
    file = stop_at(place, 2750)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
    with pytest.raises(
        FlatdbError, match=r"has changed since .* 2500 records were stored: .*--restart.*--on-duplicate"
    ) as raised:
        place.import_(file)
    assert raised.value.code == BAD_ARGUMENT
    counts = place.import_(file, restart=True, on_duplicate="keep")
    assert (counts.resumed, counts.kept, counts.records) == (0, 2500, 3500)
    assert place.export() == RECORDS
    assert imports(place) == []


def test_a_longer_file_of_the_same_time_is_not_gone_on_with(place: Place) -> None:
    """The size counts too."""
    file = stop_at(place, 2750)
    before = file.stat()
    with file.open("a") as stream:
        stream.write("\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(FlatdbError, match="has changed since"):
        place.import_(file)


def test_numbered_records_go_on_with_their_numbers(place: Place) -> None:
    """A number is given by the transaction that stores it."""
    content = "".join(f'{{"id": {i}}}\n' for i in range(1700)) + '{"id": "x"}\n'
    with pytest.raises(FlatdbError, match="line 1701"):
        place.import_(content, SCHEMA, key="", batch=500)
    assert place.stat()["records"] == 1500
    with pytest.raises(FlatdbError, match="line 1701"):  # the file is as it was, and so is its last record
        place.import_(place.folder / "records.json", batch=100)
    assert place.stat()["records"] == 1700
    counts = place.import_(place.folder / "records.json", skip_bad=True)
    assert (counts.resumed, counts.records, counts.bad) == (1700, 0, 1)
    assert [int.from_bytes(key, "big") for key, _ in place.raw()] == list(range(1, 1701))


def test_another_import_of_the_same_file_at_the_same_time_ends(place: Place) -> None:
    """Else both would store its records."""
    file = stop_at(place, 2750)

    def progress(_counts: Any) -> bool:
        entry = b"things\x01" + os.fsencode(file)
        script = (
            "import sys, lmdb_bindings as lmdb\n"
            "with lmdb.open(sys.argv[1], max_dbs=4) as env, env.begin(write=True) as txn:\n"
            "    txn.delete(bytes.fromhex(sys.argv[2]), db=env.open_db(b'__tables__', txn=txn))\n"
        )
        subprocess.run([sys.executable, "-c", script, str(place.env), entry.hex()], check=True)
        return False

    with pytest.raises(FlatdbError, match=r"another import of .* is at work") as raised:
        place.import_(file, batch=1, progress=progress)
    assert raised.value.code == BAD_TABLE


# It is killed by a thread of its own, so many seconds after the import has begun.
IMPORT = """
import os, signal, sys, threading
from flatc_wheel.flatdb._native import Counts, Library
library = Library(sys.argv[1])
with library.schema(sys.argv[3]) as schema, library.open(sys.argv[2], map_size=1 << 20) as env:
    if len(sys.argv) > 5:
        threading.Timer(float(sys.argv[5]), os.kill, [os.getpid(), signal.SIGKILL]).start()
    env.import_("things", sys.argv[4], schema=schema, key="id", batch=150, counts=Counts(),
                indexes=["name=name unique", "group=group"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_an_import_that_is_killed_at_random_moments_loses_and_doubles_nothing(place: Place) -> None:
    """Again and again, until one run comes to the end."""
    schema = place.folder / "s.fbs"
    schema.write_text(SCHEMA)
    command = [sys.executable, "-c", IMPORT, place.engine, str(place.env), str(schema), place.file(RECORDS)]
    chance, ends = random.Random(place.engine), []
    for turn in range(9):
        moment = [str(turn * 0.005 * chance.random())] if turn < 8 else []
        done = subprocess.run([*command, *moment], stderr=subprocess.PIPE, check=False)
        ends.append(done.returncode)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
        if b"things" in catalog(place) and not imports(place):
            break  # the last commit is done, also where it was killed between that and its end
    assert ends[0] == -signal.SIGKILL
    assert place.export() == RECORDS
    assert place.check() == []
    assert imports(place) == []
