"""Each example's wheel: what it needs, that it works beside the provider, and that all share one liblmdb."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from abi3info import DATAS, FUNCTIONS
from abi3info.models import PyVersion, Symbol

from tests.examples.conftest import ALL, EXTENSIONS, PROGRAMS, missing
from tests.wheels.elf import Elf

Python = Callable[..., str]
Wheel = Callable[[str], Path]

# What pip compares with an interpreter: who can install the wheel. None is for the building Python alone.
TAGS = {"c_extension": "cp310-abi3", "rust_extension": "cp310-abi3", "c_program": "py3-none"}

RUN_PATH = "$ORIGIN/../liblmdb_wheel/lib"

RECORDS = 1000
BYTES = RECORDS * 3 + sum(range(RECORDS))

# Write what the examples count. `mapped` gives the liblmdb files in the process.
HEAD = """
import ctypes, json, sys
from importlib import import_module
from pathlib import Path

def write(path):
    import lmdb_bindings
    with lmdb_bindings.open(path, max_dbs=1) as env, env.begin(write=True) as txn:
        database = env.open_db(b"numbers", txn=txn)
        for i in range(1000):
            txn.put(b"%03d" % i, b"x" * i, db=database)

def mapped():
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sorted({line.split(maxsplit=5)[5] for line in lines if "liblmdb" in line.rpartition("/")[2]})
"""


@pytest.fixture
def database(environment: Path, python: Python, tmp_path: Path) -> Path:
    """An environment of LMDB with 1,000 records in a database of the name ``numbers``."""
    python(HEAD + "write(sys.argv[1])", tmp_path / "database", executable=environment)
    return tmp_path / "database"


def provided(environment: Path) -> Path:
    """The liblmdb.so.0 of the installed provider."""
    [site] = (environment.parent.parent / "lib").glob("python*")
    return site / "site-packages" / "liblmdb_wheel" / "lib" / "liblmdb.so.0"


def native(wheel: Path) -> dict[str, Elf]:
    with ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return {name: Elf(data) for name, data in files.items() if data[:4] == b"\x7fELF"}


def run_paths(elf: Elf) -> list[str]:
    """Where the dynamic loader is told to search, but for what this Python's own build tells (pyenv's does)."""
    paths = [getattr(entry, "rpath", None) or entry.runpath for entry in elf.run_paths]
    return [path for path in paths if f"-rpath,{path}" not in str(sysconfig.get_config_var("LDFLAGS"))]


@pytest.mark.requirement("R24")
@pytest.mark.parametrize("example", ALL)
def test_its_wheel_needs_the_library_and_carries_none(example: str, repaired_example: Wheel) -> None:
    """The repaired wheel is tagged for everybody, and has one native file, which needs the SONAME and no other place."""
    wheel = repaired_example(example)
    python, abi, platforms = wheel.stem.split("-")[-3:]
    assert "manylinux" in platforms
    if example in TAGS:
        assert f"{python}-{abi}" == TAGS[example]
    [(name, elf)] = native(wheel).items()
    assert name.startswith(f"{ALL[example]}/")
    assert "liblmdb.so.0" in elf.needed
    assert run_paths(elf) == ([RUN_PATH] if example in PROGRAMS else [])


@pytest.mark.parametrize("example", [example for example, tag in TAGS.items() if tag.endswith("abi3")])
def test_an_abi3_wheel_keeps_to_the_limited_api(example: str, built_example: Wheel) -> None:
    """Every function and variable of Python that it uses has been in the stable ABI since CPython 3.10."""
    [elf] = native(built_example(example)).values()
    used = {Symbol(name) for name in elf.imports if name.startswith(("Py", "_Py"))}
    assert used
    known = {**FUNCTIONS, **DATAS}
    assert [symbol.name for symbol in used if symbol not in known or known[symbol].added > PyVersion(3, 10)] == []


@pytest.mark.requirement("R24")
def test_without_the_flag_a_private_copy_comes_along(
    built_example: Wheel, repair: Callable[..., Path], environment: Path, tmp_path: Path
) -> None:
    """The flag keeps auditwheel from what it does otherwise: give the wheel a liblmdb of its own, under a name of its own."""
    found = {"AUDITWHEEL_LD_LIBRARY_PATH": str(provided(environment).parent)}
    files = native(repair(built_example("c_program"), tmp_path, **found))
    assert [name for name in files if re.search(r"\.libs/liblmdb-[0-9a-f]+\.so", name)]


@pytest.mark.parametrize("example", EXTENSIONS)
def test_an_extension_counts(example: str, environment: Path, database: Path, python: Python) -> None:
    """Alone in its process, a package preloads the provider's library, and its extension binds to it and works."""
    if reason := missing(example):
        pytest.skip(reason)
    script = f"""
package = import_module({EXTENSIONS[example]!r})
print(json.dumps([mapped(), package.count(sys.argv[1], "numbers")]))
for arguments in ([sys.argv[1], "letters"], [sys.argv[1] + "/absent", "numbers"]):
    try:
        package.count(*arguments)
    except RuntimeError as error:
        print(error)
"""
    first, *errors = python(HEAD + script, database, executable=environment).splitlines()
    assert json.loads(first) == [[str(provided(environment))], [RECORDS, BYTES]]
    assert errors[0].startswith(f"{database}: MDB_NOTFOUND")
    assert errors[1] == f"{database}/absent: No such file or directory"


@pytest.mark.requirement("R26")
def test_the_program_counts(environment: Path, database: Path) -> None:
    """The command becomes the program, which finds the provider's library by RPATH, whatever LD_LIBRARY_PATH says."""
    command = environment.parent / "lmdb-count"
    found = subprocess.run([command, database, "numbers"], capture_output=True, text=True, check=True, cwd="/")
    assert found.stdout == f"{RECORDS} {BYTES} 0.9.36\n"
    wrong = subprocess.run([command, database, "letters"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("letters: MDB_NOTFOUND")
    program = provided(environment).parents[2] / "lmdb_count_program" / "lmdb-count"
    trace = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1"}  # the dynamic loader lists what it finds, as ldd does
    listed = subprocess.run([program], capture_output=True, text=True, check=True, env=trace).stdout
    [place] = re.findall(r"liblmdb\.so\.0 => (.+) \(0x", listed)
    assert os.path.samefile(place, provided(environment))


@pytest.mark.requirement("R27")
@pytest.mark.parametrize("binding", ["first", "last"])
def test_in_one_process_all_share_one_liblmdb(binding: str, environment: Path, database: Path, python: Python) -> None:
    """In either order of imports, ``mdb_version`` has one address for the binding and every extension."""
    packages = [package for example, package in EXTENSIONS.items() if not missing(example)]
    assert packages
    script = """
names = ["lmdb_bindings", *sys.argv[3:]] if sys.argv[2] == "first" else [*sys.argv[3:], "lmdb_bindings"]
modules = {name: import_module(name) for name in names}
binding = modules.pop("lmdb_bindings")
binding.open(sys.argv[1], readonly=True).close()
handle = binding.loaded_libraries()["0.9"].handle
address = ctypes.cast(ctypes.CDLL(None, handle=handle).mdb_version, ctypes.c_void_p).value
print(json.dumps({
    "addresses": [module.version_address() == address for module in modules.values()],
    "counts": [module.count(sys.argv[1], "numbers") for module in modules.values()],
    "mapped": mapped(),
    "global": hasattr(ctypes.CDLL(None), "mdb_env_open")}))
"""
    found = json.loads(python(HEAD + script, database, binding, *packages, executable=environment))
    assert found["addresses"] == [True] * len(packages)
    assert found["counts"] == [[RECORDS, BYTES]] * len(packages)
    assert [file for file in found["mapped"] if "/liblmdb.so" in file] == [str(provided(environment))]
    assert found["global"] is False


def test_an_rpath_takes_the_place_of_the_preload(
    build: Wheel, repair: Callable[..., Path], new_environment: Callable[..., Path], python: Python, tmp_path: Path
) -> None:
    """Linked with ``--rpath-from``, an extension finds the provider's library by itself, also after auditwheel."""
    asked = [sys.executable, "-m", "liblmdb_wheel", "--rpath-from", "lmdb_count"]
    rpath = subprocess.run(asked, capture_output=True, text=True, check=True, cwd="/").stdout.strip()
    wheel = build("c_extension", tmp_path / "build", LDFLAGS=f"-Wl,-rpath,{rpath}")
    repaired = repair(wheel, tmp_path / "repaired", "--exclude", "liblmdb.so.0")
    [elf] = native(repaired).values()
    assert any(RUN_PATH in path.split(":") for path in run_paths(elf))
    environment = new_environment(repaired)
    script = """
import importlib.util, sysconfig
[file] = Path(sysconfig.get_path("platlib"), "lmdb_count").glob("_count.*")  # not its package, which would preload
importlib.util.module_from_spec(importlib.util.spec_from_file_location("_count", file))
print(*mapped())
"""
    assert os.path.samefile(python(HEAD + script, executable=environment), provided(environment))
