"""The provider's wheel as it is shipped: one file for each engine, named by its SONAME, sealed, and nothing else."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

from sharedlib_loader.build import host, public_names
from tests.wheels.elf import Elf

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = ROOT / "liblmdb_wheel" / "upstream"
ENGINES = {"0.9": "liblmdb.so.0", "1.0": "liblmdb.so.1"}
TOOLS = ("mdb_copy", "mdb_drop", "mdb_dump", "mdb_load", "mdb_stat")

Files = Callable[[str], dict[str, bytes]]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def library(engine: str, files: Files) -> Elf:
    return Elf(files("liblmdb_wheel")[f"liblmdb_wheel/lib/{ENGINES[engine]}"])


@pytest.mark.requirement("R4")
def test_the_tag_names_no_interpreter(built: Callable[[str], Path]) -> None:
    """The wheel is py3-none-<platform>, for glibc 2.17 and later."""
    _, _, _, tags = parse_wheel_filename(built("liblmdb_wheel-*.whl").name)
    row = host("glibc")
    assert row is not None
    assert {(tag.interpreter, tag.abi, tag.platform) for tag in tags} == {("py3", "none", tag) for tag in row.tags}
    assert any(tag.startswith("manylinux2014_") for tag in row.tags)


@pytest.mark.requirement("R4")
def test_the_wheel_is_platlib(files: Files) -> None:
    """Native code installs into platlib, and the WHEEL file says so."""
    wheel = files("liblmdb_wheel")["liblmdb_wheel-0.1.0.dist-info/WHEEL"].decode()
    assert "Root-Is-Purelib: false" in wheel


@pytest.mark.requirement("R4")
def test_auditwheel_accepts_it_as_manylinux2014(built: Callable[[str], Path]) -> None:
    """Auditwheel finds nothing in it that manylinux2014 (manylinux_2_17) does not have."""
    command = [sys.executable, "-m", "auditwheel", "show", "--json", str(built("liblmdb_wheel-*.whl"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["overall_tag"] == f"manylinux_2_17_{platform.machine()}"


@pytest.mark.requirement("R1")
def test_the_wheel_has_these_files_and_no_others(files: Files) -> None:
    """One file for each library, what links it, the tools, the Python side, and the licences of all of it."""
    names = set(files("liblmdb_wheel"))
    info = "liblmdb_wheel-0.1.0.dist-info/"
    assert {name for name in names if not name.startswith(info)} == {
        "liblmdb_wheel/__init__.py",
        "liblmdb_wheel/__main__.py",
        "liblmdb_wheel/data_format.py",
        "liblmdb_wheel/linking.py",
        "liblmdb_wheel/selftest.py",
        "liblmdb_wheel/tools.py",
        "liblmdb_wheel/py.typed",
        "liblmdb_wheel/lib/liblmdb.so.0",
        "liblmdb_wheel/lib/liblmdb.so.1",
        "liblmdb_wheel/lib/liblmdb_bulk.so.0",
        "liblmdb_wheel/lib/liblmdb_fast.so.0",
        "liblmdb_wheel/lib/liblmdb_pages.so.0",
        "liblmdb_wheel/lib/cmake/liblmdb/liblmdb-config-version.cmake",
        "liblmdb_wheel/lib/cmake/liblmdb/liblmdb-config.cmake",
        "liblmdb_wheel/lib/pkgconfig/lmdb-0.9.pc",
        "liblmdb_wheel/lib/pkgconfig/lmdb-1.0.pc",
        "liblmdb_wheel/lib/pkgconfig/lmdb.pc",
        "liblmdb_wheel/engines/0.9/include/lmdb.h",
        "liblmdb_wheel/engines/0.9/include/lmdb_bulk.h",
        "liblmdb_wheel/engines/0.9/include/lmdb_fast.h",
        "liblmdb_wheel/engines/0.9/lib/liblmdb.so",
        "liblmdb_wheel/engines/0.9/lib/pkgconfig/lmdb.pc",
        "liblmdb_wheel/engines/1.0/include/lmdb.h",
        "liblmdb_wheel/engines/1.0/include/lmdb_bulk.h",
        "liblmdb_wheel/engines/1.0/include/lmdb_fast.h",
        "liblmdb_wheel/engines/1.0/include/lmdb_pages.h",
        "liblmdb_wheel/engines/1.0/lib/liblmdb.so",
        "liblmdb_wheel/engines/1.0/lib/pkgconfig/lmdb.pc",
        *(f"liblmdb_wheel/engines/{engine}/bin/{tool}" for engine in ENGINES for tool in TOOLS),
    }
    assert {name[len(info) :] for name in names if name.startswith(info + "licenses/")} == {
        "licenses/LICENSE",
        "licenses/upstream/lmdb-0.9/COPYRIGHT",
        "licenses/upstream/lmdb-0.9/LICENSE",
        "licenses/upstream/lmdb-1.0/COPYRIGHT",
        "licenses/upstream/lmdb-1.0/LICENSE",
        "licenses/upstream/monocypher/LICENSE.txt",
        "licenses/zig/LICENSE",
    }


@pytest.mark.requirement("R1")
def test_the_soname_is_the_file_name(engine: str, library: Elf) -> None:
    """DT_SONAME is the file's own name: what a consumer records is what is found."""
    assert library.soname == ENGINES[engine]


@pytest.mark.requirement("R3")
def test_it_exports_the_api_and_nothing_else(engine: str, library: Elf) -> None:
    """The exports are exactly the functions of the header, with the two that the patches add."""
    api = set(public_names(UPSTREAM / f"lmdb-{engine}" / "lmdb.h", "mdb_"))
    assert library.exports == api
    assert {"mdb_env_copy3", "mdb_env_copyfd3", "mdb_version"} <= api
    assert len(api) == {"0.9": 58, "1.0": 71}[engine]


@pytest.mark.requirement("R3")
def test_its_own_calls_stay_inside(library: Elf) -> None:
    """No relocation names an LMDB function, so no other library in the process can get between (-Bsymbolic)."""
    assert not {name for name in library.relocated_names if name.startswith("mdb_")}
    assert "free" in library.relocated_names  # the reading works: calls that leave the library are seen
    assert "DF_SYMBOLIC" in library.flags


@pytest.mark.requirement("R3")
def test_it_stays_loaded(library: Elf) -> None:
    """A consumer's dlclose does not undo the preload for the others (NODELETE)."""
    assert "DF_1_NODELETE" in library.flags


def test_it_is_hardened(library: Elf) -> None:
    """RELRO, BIND_NOW, no executable stack, no text relocation, stack protector, checked libc calls."""
    assert {"DF_BIND_NOW", "DF_1_NOW"} <= library.flags
    assert "PT_GNU_RELRO" in library.segments
    assert library.segments["PT_GNU_STACK"] & 1 == 0
    assert not library.text_relocations
    assert "__stack_chk_fail" in library.relocated_names
    assert any(name.endswith("_chk") for name in library.relocated_names)


@pytest.mark.requirement("R1")
def test_it_needs_the_c_library_alone(library: Elf) -> None:
    """NEEDED is glibc in parts, nothing newer than glibc 2.17 is asked of it, and there is no RPATH."""
    assert library.needed <= {"libc.so.6", "libpthread.so.0", "libdl.so.2"}
    assert library.glibc_versions
    assert max(library.glibc_versions) <= (2, 17)
    assert not library.run_paths


def test_only_the_tools_have_an_rpath(files: Files) -> None:
    """Of all native files, the executables alone have a path to search."""
    native = {name: Elf(data) for name, data in files("liblmdb_wheel").items() if data[:4] == b"\x7fELF"}
    assert {name.split("/")[-2] for name, elf in native.items() if elf.run_paths} == {"bin"}
    assert {name.split("/")[-2] for name, elf in native.items() if not elf.run_paths} == {"lib"}
    assert len(native) == len(ENGINES) * len(TOOLS) + 5


def test_upstreams_assertions_are_in_it(engine: str, files: Files) -> None:
    """LMDB's own consistency checks are compiled in, as upstream's build has them (-UNDEBUG)."""
    data = files("liblmdb_wheel")[f"liblmdb_wheel/lib/{ENGINES[engine]}"]
    assert b"Assertion '%.200s' failed" in data
    assert b"mc->mc_" in data


def test_no_path_of_the_build_is_in_it(engine: str, files: Files) -> None:
    """Neither the source folder nor the home folder of whoever built it is in the file."""
    data = files("liblmdb_wheel")[f"liblmdb_wheel/lib/{ENGINES[engine]}"]
    for path in {ROOT, Path.home(), Path(sys.prefix)} - {Path("/")}:
        assert str(path).encode() not in data


def test_the_header_is_the_patched_one(engine: str, files: Files) -> None:
    """The header shipped is the one that the library was built with."""
    header = files("liblmdb_wheel")[f"liblmdb_wheel/engines/{engine}/include/lmdb.h"]
    assert header == (UPSTREAM / f"lmdb-{engine}" / "lmdb.h").read_bytes()
    assert b"mdb_env_copy3" in header
