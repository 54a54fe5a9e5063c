"""The binding in a fresh process: what it loads, what it imports, and what a fork leaves alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import liblmdb_wheel
from lmdb_bindings import _fast
from lmdb_bindings._engine import SWITCHES

Python = Callable[..., str]

MAPS = """
import sys
def mapped():
    found = {line.split()[-1] for line in open("/proc/self/maps") if "lmdb" in line.split()[-1].rpartition("/")[2]}
    return sorted(path for path in found if ".so" in path)
"""


IS_FAST = sys.implementation.name == "cpython" and os.environ.get(_fast.SWITCH) != "0"
HELPERS = [liblmdb_wheel.LMDB_BULK, *([liblmdb_wheel.LMDB_FAST] if IS_FAST else [])]


def libraries(*names: str) -> list[str]:
    return [str(liblmdb_wheel.library_path(name).resolve()) for name in names]


def test_one_library_is_mapped(python: Python) -> None:
    """The import maps the liblmdb of the wheel for the default engine, and no more; the provider's import maps none."""
    script = MAPS + "import liblmdb_wheel; assert mapped() == []; import lmdb_bindings; print(mapped())"
    assert python(script, LMDB_DEFAULT_LIB_VERSION="0") == str(libraries("0.9"))
    assert python(script, LMDB_DEFAULT_LIB_VERSION="1") == str(libraries("1.0"))


def test_the_other_engine_is_mapped_when_it_is_used(python: Python) -> None:
    """Using an environment of the other engine maps its library and those that bring records, and nothing else."""
    script = (
        MAPS
        + """
import lmdb_bindings as lmdb
before = mapped()
with lmdb.open("env", lib_version=1) as env, env.begin(write=True) as txn: txn.put(b"key", b"value")
print(before, mapped(), sorted(lmdb.loaded_libraries()))
"""
    )
    helpers = [str(library.path.resolve()) for library in HELPERS]
    expected = f"{libraries('0.9')} {libraries('0.9', '1.0') + helpers} ['0.9', '1.0']"
    assert python(script, LMDB_DEFAULT_LIB_VERSION="0") == expected


@pytest.mark.parametrize(("switch", "library"), SWITCHES.items())
def test_a_wrong_switch_fails_the_import(python: Python, switch: str, library: str) -> None:
    """A value of a switch that is neither 0 nor 1 is an error at once, though its library is loaded later."""
    script = """
try:
    import lmdb_bindings
except ImportError as error:
    print(error)
"""
    expected = f"{switch} is 'no': set it to 0 (do without {library}) or 1, or unset it"
    assert python(script, **{switch: "no"}) == expected


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="other interpreters' ctypes is written in Python")
def test_the_import_is_light(python: Python) -> None:
    """The import needs no module of the standard library that takes milliseconds, beyond those that ctypes has."""
    script = """
import ctypes, sys
before = set(sys.modules)
import lmdb_bindings
heavy = {"collections", "contextlib", "dataclasses", "functools", "importlib.metadata", "inspect", "pathlib", "re",
         "threading", "typing"}
print(sorted((set(sys.modules) - before) & heavy))
"""
    assert python(script) == "[]"


def test_nothing_is_global(python: Python) -> None:
    """The symbols of both engines stay out of the global scope, where others would bind to them."""
    script = """
import ctypes
import lmdb_bindings as lmdb
lmdb.open("old", lib_version=0), lmdb.open("new", lib_version=1)
print(hasattr(ctypes.CDLL(None), "mdb_env_open"), hasattr(ctypes.CDLL(None), "malloc"))
"""
    assert python(script) == "False True"


def test_record_of_the_library(python: Python) -> None:
    """loaded_libraries() says which file is in use, of which version, and from where."""
    script = """
import lmdb_bindings as lmdb
record = lmdb.loaded_libraries()["0.9"]
print(record.path, record.version, record.origin, record.conflict)
"""
    path = liblmdb_wheel.library_path("0.9").resolve()
    assert python(script, LMDB_DEFAULT_LIB_VERSION="0") == f"{path} 0.9.36 wheel None"


def test_nothing_is_parsed(python: Python) -> None:
    """The import needs neither the C parser nor cffi's own modules, and no compiler."""
    script = """
import sys
import lmdb_bindings
print(sorted({name.partition(".")[0] for name in sys.modules} & {"pycparser", "cffi", "setuptools", "subprocess"}))
"""
    assert python(script) == "[]"


@pytest.mark.counts_references
@pytest.mark.parametrize(
    "leave", ["os._exit(0)", "sys.exit(0)", "gc.collect(); del env, txn, reader, cursor; gc.collect(); sys.exit(0)"]
)
def test_fork(python: Python, engine: int, tmp_path: Path, leave: str) -> None:
    """A child of fork() that does not touch the environment leaves its transactions, its locks and its readers alone."""
    script = f"""
import gc, os, subprocess, sys
import lmdb_bindings as lmdb
engine, path = int(sys.argv[1]), sys.argv[2]
env = lmdb.open(path, lib_version=engine, max_spare_txns=1)
with env.begin(write=True) as txn: txn.put(b"key", b"old")
env.begin().abort()
reader = env.begin(); cursor = reader.cursor(); cursor.first()
txn = env.begin(write=True); txn.put(b"key", b"new")
child = os.fork()
if child == 0:
    {leave}
assert os.waitpid(child, 0)[1] == 0
other = '''
import sys, lmdb_bindings as lmdb
env = lmdb.open(sys.argv[1])
print(env.reader_check(), env.begin().get(b"key"), flush=True)
with env.begin(write=True) as txn: print(txn.get(b"key"))
'''
process = subprocess.Popen([sys.executable, "-c", other, path], stdout=subprocess.PIPE, text=True)
print(process.stdout.readline().strip())
txn.commit()
print(process.stdout.read().strip(), process.wait())
print(cursor.item(), reader.get(b"key"), env.begin().get(b"key"), env.reader_check())
"""
    assert python(script, str(engine), tmp_path / "env").splitlines() == [
        "0 b'old'", "b'new' 0", "(b'key', b'old') b'old' b'new' 0",
    ]  # fmt: skip


def test_child_opens_for_itself(python: Python, engine: int, tmp_path: Path) -> None:
    """A child of fork() may open the files itself, and the parent's environment stays as it is."""
    script = """
import os, sys
import lmdb_bindings as lmdb
engine, path = int(sys.argv[1]), sys.argv[2]
env = lmdb.open(path, lib_version=engine)
child = os.fork()
if child == 0:
    with lmdb.open(path) as own, own.begin(write=True) as txn: txn.put(b"key", b"value")
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
with env.begin(write=True) as txn: print(txn.get(b"key"))
"""
    assert python(script, str(engine), tmp_path / "env") == "b'value'"
