"""Both engines for every row of the table of targets, read as files: what can be known without the system itself."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sharedlib_loader.build import TARGETS, Target, Toolchain, public_names
from sharedlib_loader.build.object_formats import ELF, MACH_O, PE
from tests.wheels.elf import Elf

lief = pytest.importorskip("lief", reason="lief, which reads Mach-O and PE, has no wheel for this interpreter")
lief.logging.disable()

pytestmark = pytest.mark.requirement("R5")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "liblmdb_wheel"
ENGINES = ("0.9", "1.0")

# zig builds MinGW's C runtime first, some 40 seconds for a machine: once, for all of pytest's processes and later runs.
CACHE = ROOT / "build" / "zig"

# The platform: machine, and the system's own libraries that an engine may need.
GLIBC = {"libc.so.6", "libpthread.so.0", "libdl.so.2"}
EXPECTED = {
    "manylinux_x86_64": ("EM_X86_64", GLIBC),
    # Where the dynamic loader has the stack protector's canary, it is needed, too.
    "manylinux_aarch64": ("EM_AARCH64", GLIBC | {"ld-linux-aarch64.so.1"}),
    "manylinux_armv7l": ("EM_ARM", GLIBC | {"ld-linux-armhf.so.3"}),
    "manylinux_riscv64": ("EM_RISCV", GLIBC | {"ld-linux-riscv64-lp64d.so.1"}),
    "manylinux_ppc64le": ("EM_PPC64", GLIBC | {"ld64.so.2"}),
    "manylinux_s390x": ("EM_S390", GLIBC | {"ld64.so.1"}),
    "musllinux_x86_64": ("EM_X86_64", {"libc.musl-x86_64.so.1"}),
    "musllinux_aarch64": ("EM_AARCH64", {"libc.musl-aarch64.so.1"}),
    "macosx_x86_64": ("X86_64", {"/usr/lib/libSystem.B.dylib"}),
    "macosx_arm64": ("ARM64", {"/usr/lib/libSystem.B.dylib"}),
    "win_amd64": ("AMD64", {"advapi32.dll", "kernel32.dll"}),
    "win_arm64": ("ARM64", {"advapi32.dll", "kernel32.dll"}),
}

# What Windows 10 and later have of the C library, in parts.
UCRT = "api-ms-win-crt-"

NAMES = {
    ELF: {"0.9": "liblmdb.so.0", "1.0": "liblmdb.so.1"},
    MACH_O: {"0.9": "liblmdb.0.dylib", "1.0": "liblmdb.1.dylib"},
    PE: {"0.9": "liblmdb-0.dll", "1.0": "liblmdb-1.dll"},
}

# zig's linker exports these of every Mach-O library.
OF_THE_LINKER = {"__mh_dylib_header", "___dso_handle"}


@dataclass(frozen=True)
class Library:
    """What a file says of itself: machine, the name that consumers record, exports as C spells them, libraries."""

    machine: str
    name: str | None
    exports: set[str]
    needed: set[str]


def read_elf(path: Path) -> Library:
    elf = Elf(path.read_bytes())
    assert not elf.run_paths
    return Library(elf.file["e_machine"], elf.soname, elf.exports, elf.needed)


def read_mach_o(path: Path) -> Library:
    file = lief.MachO.parse(str(path)).at(0)
    [own] = [one for one in file.libraries if one.command == lief.MachO.LoadCommand.TYPE.ID_DYLIB]
    assert own.compatibility_version == [1, 0, 0]
    assert not list(file.rpaths)
    assert file.has_code_signature == (file.header.cpu_type.name == "ARM64")  # nothing else is loaded on Apple's CPUs
    exports = {symbol.name for symbol in file.exported_symbols} - OF_THE_LINKER
    assert all(name.startswith("_") for name in exports)
    needed = {one.name for one in file.libraries} - {own.name}
    return Library(file.header.cpu_type.name, own.name, {name[1:] for name in exports}, needed)


def read_pe(path: Path) -> Library:
    file = lief.PE.parse(str(path))
    export = file.get_export()
    needed = {one.name.lower() for one in file.imports}
    return Library(file.header.machine.name, export.name, {entry.name for entry in export.entries}, needed)


READERS: dict[Any, Callable[[Path], Library]] = {ELF: read_elf, MACH_O: read_mach_o, PE: read_pe}


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


@pytest.fixture
def library(target: Target, path: Path) -> Library:
    return READERS[target.format](path)


def test_every_target_is_checked() -> None:
    """A row that is added to the table says here what its files must be."""
    assert set(EXPECTED) == {target.name for target in TARGETS}


def test_it_is_for_the_machine(target: Target, library: Library) -> None:
    """The file's header names the target's architecture."""
    assert library.machine == EXPECTED[target.name][0]


def test_consumers_record_its_name(target: Target, path: Path, library: Library) -> None:
    """SONAME, install name or the DLL's own name: the file's name, by which it is found again."""
    assert library.name == (f"@rpath/{path.name}" if target.format is MACH_O else path.name)


def test_it_exports_the_header(engine: str, library: Library) -> None:
    """The exports are the functions of the header, no internals, and nothing of the C runtime's."""
    assert library.exports == set(public_names(PROJECT / "upstream" / f"lmdb-{engine}" / "lmdb.h", "mdb_"))


def test_it_needs_the_system_alone(target: Target, library: Library) -> None:
    """No library is needed but those that every such system has."""
    needed = {name for name in library.needed if not (target.format is PE and name.startswith(UCRT))}
    assert needed
    assert needed <= EXPECTED[target.name][1]


def test_it_asks_for_no_newer_system(target: Target, path: Path) -> None:
    """The oldest glibc or macOS that the triple names is enough."""
    if target.libc == "glibc":
        promised = max(tuple(map(int, tag.split("_")[1:3])) for tag in target.tags if tag.startswith("manylinux_"))
        assert max(Elf(path.read_bytes()).glibc_versions) <= promised
        assert target.name == "manylinux_riscv64" or promised == (2, 17)
    elif target.libc == "libSystem":
        file = lief.MachO.parse(str(path)).at(0)
        stated = file.build_version.minos if file.has_build_version else file.version_min.version
        oldest = tuple(int(part) for part in target.triple.split(".")[1:])
        assert tuple(stated) == (*oldest, 0)


def test_no_path_of_the_build_is_in_it(path: Path, folder: Path) -> None:
    """Neither the sources', the compiler's nor the build's folders are in the file."""
    for place in {ROOT, Path.home(), Path(sys.prefix), folder.parent} - {Path("/")}:
        assert str(place).encode() not in path.read_bytes()


def test_what_else_is_beside_it(target: Target, folder: Path) -> None:
    """For musl a shim for each engine, for Windows an import library, for the others nothing."""
    libraries = [folder / name for name in NAMES[target.format].values()]
    companions = {path for path in folder.iterdir() if path.is_file()} - set(libraries)
    if target.libc == "musl":
        assert {path.name for path in companions} == {f"{path.name}.shim" for path in libraries}
        for path in libraries:
            shim = Elf((folder / f"{path.name}.shim").read_bytes())
            assert (shim.soname, shim.needed, shim.exports) == (f"{path.name}.shim", {path.name}, set())
            assert [entry.runpath for entry in shim.run_paths] == ["$ORIGIN"]
    elif target.format is PE:
        assert {path.name for path in companions} == {"liblmdb-0.lib", "liblmdb-1.lib"}
    else:
        assert companions == set()


def test_the_import_library_leads_to_the_dll(target: Target, path: Path, engine: str) -> None:
    """What a consumer on Windows links names the DLL, and every function with its pointer."""
    if target.format is not PE:
        assert not path.with_suffix(".lib").exists()
        return
    data = path.with_suffix(".lib").read_bytes()
    assert data.startswith(b"!<arch>\n")
    assert path.name.encode() in data
    for name in public_names(PROJECT / "upstream" / f"lmdb-{engine}" / "lmdb.h", "mdb_"):
        assert b"\0__imp_" + name.encode() + b"\0" in data


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
    if target.format is ELF:
        needed = Elf(consumer.read_bytes()).needed
    elif target.format is MACH_O:
        mach_o = lief.MachO.parse(str(consumer))  # what is read of it does not keep it
        needed = {one.name for one in mach_o.at(0).libraries}
    else:
        pe = lief.PE.parse(str(consumer))
        needed = {one.name for one in pe.imports}
    assert (f"@rpath/{path.name}" if target.format is MACH_O else path.name) in needed


def test_another_build_makes_the_same_files(target: Target, folder: Path, tmp_path: Path) -> None:
    """No clock, and no folder, is in any file: not in the import libraries and the shims either."""
    again = build(target, tmp_path / "another")
    assert {path.name: path.read_bytes() for path in again.iterdir() if path.is_file()} == {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()
    }
