"""The provider's wheel as it is shipped: one file for each engine, named by its SONAME, sealed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wheels.elf import Elf

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = ROOT / "liblmdb_wheel" / "upstream"
ENGINES = {"0.9": "liblmdb.so.0", "1.0": "liblmdb.so.1"}

Files = Callable[[str], dict[str, bytes]]
Proved = Callable[..., None]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def library(engine: str, files: Files) -> Elf:
    return Elf(files("liblmdb_wheel")[f"liblmdb_wheel/lib/{ENGINES[engine]}"])


@pytest.mark.requirement("R4")
def test_one_wheel_serves_every_interpreter(proved: Proved) -> None:
    """The wheel is py3-none-<platform> and platlib, and auditwheel finds nothing that its systems do not have."""
    proved("liblmdb_wheel", "tag", "machine", "oldest system", "auditwheel")


@pytest.mark.requirement("R1")
def test_each_library_is_one_file_named_by_its_soname(proved: Proved) -> None:
    """One file for each library and no links, no RPATH but the tools', and the C library alone is needed."""
    proved("liblmdb_wheel", "contents", "modes", "names", "needed", "search paths")


@pytest.mark.requirement("R3")
def test_it_exports_its_api_alone_and_stays_loaded(proved: Proved) -> None:
    """The exports are its header's functions; RELRO, BIND_NOW and the like, -Bsymbolic and NODELETE are there."""
    proved("liblmdb_wheel", "exports", "hardening", "stack protector")


def test_the_header_has_the_whole_api(engine: str, library: Elf) -> None:
    """What is exported is as much as upstream documents, with the two functions that the patches add."""
    assert {"mdb_env_copy3", "mdb_env_copyfd3", "mdb_version"} <= library.exports
    assert len(library.exports) == {"0.9": 58, "1.0": 71}[engine]


@pytest.mark.requirement("R3")
def test_its_own_calls_stay_inside(library: Elf) -> None:
    """No relocation names an LMDB function, so no other library in the process can get between (-Bsymbolic)."""
    assert not {name for name in library.relocated_names if name.startswith("mdb_")}
    assert "free" in library.relocated_names  # the reading works: calls that leave the library are seen
    assert "DF_SYMBOLIC" in library.flags


def test_calls_of_the_c_library_are_checked(library: Elf) -> None:
    """Reads and prints into buffers of known size go to the functions that look at it (FORTIFY)."""
    assert any(name.endswith("_chk") for name in library.relocated_names)


def test_upstreams_assertions_are_in_it(engine: str, files: Files) -> None:
    """LMDB's own consistency checks are compiled in, as upstream's build has them (-UNDEBUG)."""
    data = files("liblmdb_wheel")[f"liblmdb_wheel/lib/{ENGINES[engine]}"]
    assert b"Assertion '%.200s' failed" in data
    assert b"mc->mc_" in data


def test_the_header_is_the_patched_one(engine: str, files: Files) -> None:
    """The header shipped is the one that the library was built with."""
    header = files("liblmdb_wheel")[f"liblmdb_wheel/engines/{engine}/include/lmdb.h"]
    assert header == (UPSTREAM / f"lmdb-{engine}" / "lmdb.h").read_bytes()
    assert b"mdb_env_copy3" in header
