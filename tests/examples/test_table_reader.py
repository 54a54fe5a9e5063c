"""The reader of tables in C: as a program, and in a transaction of Python's, on the same snapshot."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import liblmdb_wheel
from flatc_wheel import flatdb
from tests.conftest import ROOT

SOURCE = (ROOT / "examples" / "table_reader" / "table_reader.c").read_text()
SCHEMA = "table City { id: uint (key); name: string; people: ulong; }\nroot_type City;\n"
CITIES = [{"id": 1, "name": "Bern", "people": 134591}, {"id": 513, "name": "Zürich"}]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A table that ``flatdb`` imported, with a second version of its schema, which the reader must take."""
    (tmp_path / "old.fbs").write_text(SCHEMA.replace(" people: ulong;", ""))
    (tmp_path / "city.fbs").write_text(SCHEMA)
    (tmp_path / "none.json").write_text("[]")
    (tmp_path / "cities.json").write_text(json.dumps(CITIES))
    for schema, file in (("old.fbs", "none.json"), ("city.fbs", "cities.json")):
        command = ["import", tmp_path / "db", "cities", tmp_path / file, "--schema", tmp_path / schema, "--quiet"]
        subprocess.run([sys.executable, "-m", "flatc_wheel.flatdb", *command], check=True)
    return tmp_path / "db"


def flags() -> list[str]:
    lmdb, library = liblmdb_wheel.library_path("0.9"), flatdb.library_path("0.9")
    return [f"-I{liblmdb_wheel.include_dir('0.9')}", f"-I{flatdb.include_dir()}", str(lmdb), str(library)]


def test_a_program_reads_a_record(database: Path, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """It takes the newest schema from the file, prints the record, and says what is wrong where there is none."""
    paths = [f"-Wl,-rpath,{folder}" for folder in (flatdb.library_dir(), liblmdb_wheel.library_dir())]
    program = compile_c(SOURCE, tmp_path / "table_reader", *flags(), *paths)
    for city in CITIES:
        command = [program, database, "cities", str(city["id"])]
        text, size, number = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rsplit(
            maxsplit=2
        )
        assert json.loads(text) == city
        assert int(size) > 0
        assert int(number) > 0
    for table, key, words in (("cities", "2", "MDB_NOTFOUND"), ("towns", "1", "towns: MDB_NOTFOUND")):
        done = subprocess.run([program, database, table, key], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(words)


def test_c_and_python_read_one_snapshot(
    database: Path, compile_c: Callable[..., Path], python: Callable[..., str], tmp_path: Path
) -> None:
    """What a later transaction writes, neither sees; and what they read is the same, byte for byte."""
    reader = compile_c(SOURCE, tmp_path / "table_reader.so", "-shared", *flags())
    script = """
import ctypes, json, subprocess, sys
sys.path.insert(0, sys.argv[3])
import lmdb_bindings as lmdb
from lmdb_bindings.tables import Table
from unicode_table import Bytes, Value

with lmdb.open(sys.argv[1], max_dbs=4) as env:
    cities = Table(env, "cities")
    with env.begin(buffers=True) as txn:
        snapshot = cities.within(txn)
        assert snapshot[513].name == "Zürich"
        native = ctypes.CDLL(sys.argv[2])
        # A thread of its own, since LMDB has one read transaction for each.
        import threading
        writer = threading.Thread(target=lambda: cities.put(513, {"id": 513, "name": "Turicum"}))
        writer.start()
        writer.join()
        record, text, error = Value(), Bytes(), ctypes.create_string_buffer(4096)
        code = native.read_record(ctypes.c_void_p(txn.address()), b"cities", 513, ctypes.byref(record),
                                  ctypes.byref(text), error)
        assert code == 0, error.raw[4:99]
        assert json.loads(ctypes.string_at(text.data, text.size)) == {"id": 513, "name": "Zürich"}
        place = txn.get((513).to_bytes(4, "big"), db=env.open_db(b"cities", txn=txn))
        assert bytes(place) == ctypes.string_at(record.data, record.size)
        assert snapshot[513].name == "Zürich"
    assert cities[513].name == "Turicum"
    try:
        txn.address()
    except lmdb.Error as problem:
        print(problem)
"""
    said = python(script, database, reader, ROOT / "examples" / "unicode_db")
    assert "terminated" in said or "closed" in said
