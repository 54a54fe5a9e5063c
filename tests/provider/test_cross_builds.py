"""Both engines for every row of the table of targets, read as files: what can be known without the system itself."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytest.importorskip("lief", reason="lief, which reads native files, has no wheel for this interpreter")

import lief

from release.proof.checks import prove
from release.proof.native_file import read
from release.proof.wheel import Wheel
from sharedlib_loader.build import TARGETS, Target, Toolchain
from sharedlib_loader.build.object_formats import ELF, MACH_O, PE
from tests.release.bad_wheels import Parts

pytestmark = pytest.mark.requirement("R5")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "liblmdb_wheel"
ENGINES = ("0.9", "1.0")

# zig builds MinGW's C runtime first, some 40 seconds for a machine: once, for all of pytest's processes and later runs.
CACHE = ROOT / "build" / "zig"

NAMES = {
    ELF: {"0.9": "liblmdb.so.0", "1.0": "liblmdb.so.1"},
    MACH_O: {"0.9": "liblmdb.0.dylib", "1.0": "liblmdb.1.dylib"},
    PE: {"0.9": "liblmdb-0.dll", "1.0": "liblmdb-1.dll"},
}

# What the proof of wheels can check of two libraries, their headers and what is beside them.
CHECKS = (
    "machine", "names", "exports", "needed", "search paths", "hardening", "stack protector", "oldest system",
    "instructions", "origin",
)  # fmt: skip


@pytest.fixture(scope="module", params=TARGETS, ids=lambda target: target.name)
def target(request: pytest.FixtureRequest) -> Target:
    return request.param


def build(target: Target, folder: Path) -> Path:
    """Both engines in a folder, by the provider's own ``setup.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **_: None)
        patch.delenv("SOURCE_DATE_EPOCH", raising=False)  # a linker may heed it in place of its own flag
        project = runpy.run_path(str(PROJECT / "setup.py"))
        toolchain = Toolchain.zig(target, CACHE)
        project["build_engines"](toolchain, folder, folder / "work")
        project["write_link_files"](toolchain, folder)
    return folder / "lib"


@pytest.fixture(scope="module")
def folder(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both engines for the target."""
    return build(target, tmp_path_factory.mktemp(target.triple))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(target: Target, folder: Path, engine: str) -> Path:
    return folder / NAMES[target.format][engine]


@pytest.fixture(scope="module")
def wheel(target: Target, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """A wheel of these files alone, for the proof to read."""
    package = folder.parent
    places = [folder, *(package / "engines" / engine for engine in ENGINES)]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    contents = {f"liblmdb_wheel/{path.relative_to(package).as_posix()}": path.read_bytes() for path in files}
    return Wheel.read(Parts.for_target(target, contents).write(tmp_path_factory.mktemp("wheel")))


@pytest.mark.parametrize("check", CHECKS)
def test_the_engines_pass(check: str, wheel: Wheel, target: Target) -> None:
    """Each platform's engines are what their wheel must have, down to the last instruction."""
    [found] = prove(wheel, [check])
    assert not found.wrong
    assert found.verdict == ("not applicable" if (target.libc, check) == ("UCRT", "oldest system") else "passed")
    assert len(wheel.native) == len(ENGINES) * (2 if target.libc == "musl" else 1)


def test_a_newer_major_version_is_another_library(target: Target, path: Path) -> None:
    """On macOS the name has the major version, so that consumers of any of it find this one compatible."""
    if target.format is MACH_O:
        mach_o = lief.MachO.parse(str(path))  # what is read of it does not keep it
        [own] = [one for one in mach_o.at(0).libraries if one.command == lief.MachO.LoadCommand.TYPE.ID_DYLIB]
        assert own.compatibility_version == [1, 0, 0]


def test_what_else_is_beside_it(target: Target, folder: Path) -> None:
    """For musl a shim for each engine, for Windows an import library, for the others nothing."""
    libraries = [folder / name for name in NAMES[target.format].values()]
    companions = {path for path in folder.iterdir() if path.is_file()} - set(libraries)
    if target.libc == "musl":
        assert {path.name for path in companions} == {f"{path.name}.shim" for path in libraries}
        for path in libraries:
            shim = read((folder / f"{path.name}.shim").read_bytes())
            assert (shim.name, shim.needed, shim.exports) == (f"{path.name}.shim", {path.name}, frozenset())
    elif target.format is PE:
        assert {path.name for path in companions} == {"liblmdb-0.lib", "liblmdb-1.lib"}
    else:
        assert companions == set()


def test_a_consumer_is_linked_by_llmdb(target: Target, path: Path, folder: Path, engine: str, tmp_path: Path) -> None:
    """In an engine's prefix -llmdb leads every system's linker to the library, and the consumer records its name."""
    source = tmp_path / "consumer.c"
    source.write_text('#include "lmdb.h"\nchar *version(void) { return mdb_version(0, 0, 0); }\n')
    prefix = folder.parent / "engines" / engine
    consumer = tmp_path / target.format.file_name("libconsumer.so")
    zig = Toolchain.zig(target, CACHE)
    # A library, as extension modules are: zig 0.17.0 fails to link a program by a script of the linker.
    flags = ["-shared", f"-I{prefix / 'include'}", f"-L{prefix / 'lib'}", "-llmdb", *target.flags]
    zig.link(zig.cc, [source], [*target.format.compile, *flags], consumer)
    needed = read(consumer.read_bytes()).needed
    assert (f"@rpath/{path.name}" if target.format is MACH_O else path.name) in needed


def test_another_build_makes_the_same_files(target: Target, folder: Path, tmp_path: Path) -> None:
    """No clock, and no folder, is in any file: not in the import libraries and the shims either."""
    again = build(target, tmp_path / "another")
    assert {path.name: path.read_bytes() for path in again.iterdir() if path.is_file()} == {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()
    }
