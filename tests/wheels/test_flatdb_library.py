"""libflatdb in a clean environment: whose LMDB it binds to, and what is said where that is missing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Python = Callable[..., str]
Proved = Callable[..., None]

ROOT = Path(__file__).resolve().parents[2]

# `mapped` gives the files of LMDB and of libflatdb in the process.
HEAD = """
import ctypes, json, sys
from pathlib import Path
import sharedlib_loader
from sharedlib_loader import SharedLibrary

def mapped():
    lines = Path("/proc/self/maps").read_text().splitlines()
    files = {line.split(maxsplit=5)[-1] for line in lines}
    return sorted(Path(file).name for file in files if Path(file).name.startswith(("liblmdb.so", "libflatdb.so")))

def address(record, name):
    return ctypes.cast(ctypes.CDLL(None, handle=record.handle)[name], ctypes.c_void_p).value
"""


def test_it_needs_the_providers_library_alone(proved: Proved) -> None:
    """Each library exports the functions of flatdb.h, needs its engine by SONAME, and has no path to search."""
    proved("flatc_wheel", "names", "exports", "needed", "search paths", "auditwheel")


def test_importing_it_loads_nothing(python: Python, installed: Path) -> None:
    """The package that describes it is inert; and flatc's own neither knows of LMDB nor of the loader."""
    script = """
import flatc_wheel
print([name for name in ("liblmdb_wheel", "sharedlib_loader", "ctypes") if name in sys.modules])
"""
    assert python("import sys" + script, executable=installed) == "[]"
    assert python(HEAD + "from flatc_wheel import flatdb; print(mapped())", executable=installed) == "[]"


@pytest.mark.parametrize(("engine", "number"), [("0.9", 0), ("1.0", 1)])
def test_its_engine_is_loaded_before(engine: str, number: int, python: Python, installed: Path) -> None:
    """One call loads both, and the record says what was loaded for it."""
    script = """
from flatc_wheel import flatdb
record = flatdb.load(sys.argv[1])
[lmdb] = record.requires
print(json.dumps([mapped(), record.version, record.soname, lmdb.name, flatdb.load(sys.argv[1]) is record]))
"""
    found = json.loads(python(HEAD + script, engine, executable=installed))
    names = [f"libflatdb.so.{number}", f"liblmdb.so.{number}"]
    assert found == [names, "1", names[0], f"lmdb-{engine}", True]


@pytest.mark.requirement("R27")
def test_it_is_bound_to_the_bindings_lmdb(python: Python, installed: Path, tmp_path: Path) -> None:
    """In one process with the binding there is one liblmdb for each engine, and both use it: a record that the binding
    has stored and not committed is found by libflatdb in the same transaction.
    """
    script = """
import lmdb_bindings as lmdb
from flatc_wheel import flatdb
from flatc_wheel.flatdb._native import Library

class Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]

schema = Path(sys.argv[1]) / "t.fbs"
schema.write_text("table T { a: int; } root_type T;")
for major, engine in enumerate(flatdb.LIBRARIES):
    native = Library(engine)
    handle = native._library
    handle.flatdb_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t,
                                  ctypes.c_void_p, ctypes.c_void_p]
    with native.schema(str(schema)) as fbs:
        made = (ctypes.c_void_p * 2)()
        error = ctypes.create_string_buffer(4096)
        assert not handle.flatdb_from_json(fbs, b'{"a": 7}', ctypes.c_size_t(8), made, error), error.raw[4:99]
        record = ctypes.string_at(made[0], made[1])
        with lmdb.open(f"{sys.argv[1]}/{engine}", lib_version=major) as env, env.begin(write=True) as txn:
            txn.put(b"k", record)
            found = Value()
            main = 1  # the number of the unnamed database, in LMDB as in its headers
            assert not handle.flatdb_get(fbs, txn.address(), main, b"k", 1, ctypes.byref(found), error), error.raw[4:99]
            assert ctypes.string_at(found.data, found.size) == record
    loaded = lmdb.loaded_libraries()[engine]
    assert loaded.handle == flatdb.load(engine).requires[0].handle
print(json.dumps(mapped()))
"""
    found = json.loads(python(HEAD + script, tmp_path, executable=installed))
    assert found == ["libflatdb.so.0", "libflatdb.so.1", "liblmdb.so.0", "liblmdb.so.1"]


def test_both_engines_serve_one_process(python: Python, installed: Path, tmp_path: Path) -> None:
    """Two environments of two data formats are written and checked side by side."""
    script = """
from flatc_wheel.flatdb import cli
folder = Path(sys.argv[1])
(folder / "t.fbs").write_text("table T { a: int (key); b: string; } root_type T;")
(folder / "t.json").write_text('[{"a": 1, "b": "one"}, {"a": 2, "b": "two"}]')
for engine in ("0.9", "1.0"):
    command = ["import", str(folder / engine), "t", str(folder / "t.json"), "--schema", str(folder / "t.fbs"),
               "--engine", engine, "--index", "by_b=b", "--quiet"]
    assert cli.main(command) == 0
for engine in ("0.9", "1.0"):
    assert cli.main(["check", str(folder / engine), "t", "--quiet"]) == 0
    assert cli.main(["get", str(folder / engine), "t", "two", "--index", "by_b"]) == 0
print(json.dumps(mapped()))
"""
    first, second, libraries = python(HEAD + script, tmp_path, executable=installed).splitlines()
    assert json.loads(first) == json.loads(second) == {"a": 2, "b": "two"}
    assert len(json.loads(libraries)) == 4


def test_without_its_engine_it_is_refused(python: Python, installed: Path) -> None:
    """There is no RPATH to a liblmdb: who loads the file alone is told which library is missing, and what to do."""
    script = """
from flatc_wheel import flatdb
shipped = flatdb.FLATDB_0_9
alone = SharedLibrary(name="alone", soname=shipped.soname, path=shipped.path, version="1", distribution="flatc-wheel")
try:
    sharedlib_loader.load(alone)
except sharedlib_loader.LibraryLoadError as error:
    print(error)
"""
    told = python(HEAD + script, executable=installed)
    assert "liblmdb.so.0: cannot open shared object file" in told
    assert "a library that it needs is missing" in told
    assert "cure: install what has the library named above" in told


def test_an_unknown_engine_is_refused(python: Python, installed: Path) -> None:
    """The error names those that there are; headers and libraries are where the functions say."""
    script = """
from flatc_wheel import flatdb
assert (flatdb.include_dir() / "flatdb.h").is_file()
assert flatdb.library_path("1.0").parent == flatdb.library_dir()
for ask in (flatdb.load, flatdb.library_path):
    try:
        ask("2.0")
    except ValueError as error:
        print(error)
"""
    line = "there is no libflatdb for an LMDB engine '2.0': choose one of '0.9', '1.0'"
    assert python(HEAD + script, executable=installed).splitlines() == [line, line]


def test_the_environment_chooses_another_file(python: Python, installed: Path, tmp_path: Path) -> None:
    """Its switch is as every library's: an absolute path is loaded, and a name of no file is told."""
    script = HEAD + "from flatc_wheel import flatdb; print(flatdb.load('0.9').origin)"
    path = python("from flatc_wheel import flatdb; print(flatdb.library_path('0.9'))", executable=installed)
    assert python(script, executable=installed, SHAREDLIB_FLATDB_0_9=path) == "override"
    absent = str(tmp_path / "absent.so")
    environment = {**os.environ, "SHAREDLIB_FLATDB_0_9": absent}
    done = subprocess.run([installed, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert (
        f"LibraryNotFoundError: flatdb-0.9: SHAREDLIB_FLATDB_0_9 names {absent}" in done.stderr or absent in done.stderr
    )


def test_the_doctor_shows_it(installed: Path, tmp_path: Path) -> None:
    """Both libraries are listed beside LMDB's, with what is loaded; nothing is wrong with any."""
    (tmp_path / "uses_flatdb.py").write_text("from flatc_wheel import flatdb\nflatdb.load('0.9')\n")
    command = [installed, "-m", "sharedlib_loader", "doctor", "--strict", "--json", "--import", "uses_flatdb"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.dumps(json.loads(done.stdout))
    assert "flatdb-0.9" in told
    assert "flatdb-1.0" in told
