"""Reading ELF files: both word sizes, both byte orders, and what is damaged; a well-kept reader is the witness."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from sharedlib_loader._runtime import DT_NEEDED, DT_RUNPATH, DT_SONAME, ElfFile
from sharedlib_loader.build import host
from sharedlib_loader.doctor import objects
from tests.conftest import TARGET
from tests.wheels.elf import Elf

TARGETS = {
    TARGET: None,
    "x86-linux-gnu.2.17": "x86 (32-bit, little-endian)",
    "powerpc-linux-gnu": "ppc (32-bit, big-endian)",
    "s390x-linux-gnu": "s390 (64-bit, big-endian)",
}
SYMBOLS = ("sample_version", "hidden_one", "sample_text", "calls", "absent")


@pytest.fixture(scope="session", params=TARGETS)
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, compile_c: Callable[..., Path]
) -> Path:
    """A library for one target that needs another, has a RUNPATH, and a symbol that it does not export."""
    folder = tmp_path_factory.mktemp("elf")
    flags = ["-shared", "-nostdlib", "-Wl,-soname"]
    needed = compile_c(
        "int calls(void) { return 1; }",
        folder / "libneeded.so",
        *flags[:2],
        "-Wl,-soname,libneeded.so.1",
        target=request.param,
    )
    source = """
int calls(void);
__attribute__((visibility("hidden"), noinline, used)) int hidden_one(void) { return 1; }
int sample_version(void) { return hidden_one() + calls(); }
const char *text = "sample_text is only mentioned";
"""
    rest = ["-Wl,-soname,libsample.so.3", "-Wl,-rpath,$ORIGIN/../a:/b", "-Wl,--enable-new-dtags", needed]
    return compile_c(source, folder / "libsample.so.3", *flags[:2], *rest, target=request.param)


def test_what_the_loader_reads(built: Path, request: pytest.FixtureRequest) -> None:
    """SONAME, DT_NEEDED and RUNPATH are what pyelftools reads, and the architecture has its name."""
    witness = Elf(built.read_bytes())
    with built.open("rb") as stream:
        file = ElfFile(stream)
        assert file.is_elf
        assert file.is_whole(built.stat().st_size)
        assert file.names(DT_SONAME) == [witness.soname] == ["libsample.so.3"]
        assert file.names(DT_NEEDED) == list(witness.needed) == ["libneeded.so.1"]
        assert file.names(DT_RUNPATH) == ["$ORIGIN/../a:/b"]
        expected = TARGETS[request.node.callspec.params["built"]]
        assert expected is None or file.architecture == expected


def test_what_the_doctor_reads(built: Path) -> None:
    """Symbols that are defined, exported or not, are told from those that are only needed or mentioned."""
    read = objects.read(built, SYMBOLS, ["is only mentioned", "is not in it"])
    assert read is not None
    assert read.defines == {"sample_version", "hidden_one"}
    assert read.contains == {"is only mentioned"}
    assert (read.soname, read.needed, read.is_extension) == ("libsample.so.3", ("libneeded.so.1",), False)
    assert read.rpath == ()
    assert read.runpath == (built.parent.parent / "a", Path("/b"))


def test_an_rpath_is_read_too(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """DT_RPATH, which comes before LD_LIBRARY_PATH, is told from DT_RUNPATH, which comes after."""
    flags = ["-shared", "-nostdlib", "-Wl,-rpath,${ORIGIN}/x", "-Wl,--disable-new-dtags"]
    read = objects.read(compile_c("int a;", tmp_path / "a.so", *flags), (), ())
    assert read is not None
    assert (read.rpath, read.runpath, read.soname) == ((tmp_path / "x",), (), None)


def test_a_runpath_replaces_an_rpath(built: Path, tmp_path: Path) -> None:
    """Where an object has both, which no linker writes today, the dynamic loader ignores DT_RPATH."""
    data = bytearray(built.read_bytes())
    with built.open("rb") as stream:
        file = ElfFile(stream)
    layout = struct.Struct(file.order + ("q" if file.is_64 else "i"))
    at = next(at for at in range(0, len(data), layout.size) if data[at:].startswith(soname_entry(built, layout)))
    layout.pack_into(data, at, 15)  # DT_SONAME becomes DT_RPATH, with the same string
    both = tmp_path / "both.so"
    both.write_bytes(data)
    with both.open("rb") as stream:
        assert ElfFile(stream).names(15) == ["libsample.so.3"]
    read = objects.read(both, (), ())
    assert read is not None
    assert read.rpath == ()
    assert len(read.runpath) == 2


def soname_entry(built: Path, layout: struct.Struct) -> bytes:
    """The bytes of the DT_SONAME entry: its tag, and the place of the name in the string table."""
    witness = Elf(built.read_bytes())
    [entry] = witness._dynamic("DT_SONAME")
    return layout.pack(14) + struct.pack(layout.format.upper(), entry.entry.d_val)


def damaged(whole: bytes, at: int, value: int, layout: str = "<Q") -> bytes:
    data = bytearray(whole)
    struct.pack_into(layout, data, at, value)
    return bytes(data)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "text": lambda whole: b"INPUT(-l:libsample.so.3)" * 10,
    "cut": lambda whole: whole[: len(whole) // 2],
    "program headers beyond the end": lambda whole: damaged(whole, 32, 1 << 40),
    "section headers beyond the end": lambda whole: damaged(whole, 40, 1 << 40),
    "section headers at an impossible offset": lambda whole: damaged(whole, 40, (1 << 64) - 1),
    "section entries too small": lambda whole: damaged(whole, 58, 1, "<H"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_doctor_passes_over_what_it_cannot_read(damage: str, library: Path, tmp_path: Path) -> None:
    """A file of an environment that contradicts itself does not end the report."""
    path = tmp_path / "libdamaged.so"
    path.write_bytes(DAMAGE[damage](library.read_bytes()))
    assert objects.read(path, ["sample_version"], []) is None


def test_the_doctor_passes_over_what_is_not_there(tmp_path: Path) -> None:
    """A file that was removed meanwhile, or a dangling link, does not end the report."""
    assert objects.read(tmp_path / "absent.so", (), ()) is None


def test_a_static_program_needs_nothing(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A file without a dynamic section has no SONAME and no DT_NEEDED."""
    row = host("musl")
    assert row is not None
    path = compile_c("int main(void) { return 0; }", tmp_path / "program.so", "-static", target=row.triple)
    read = objects.read(path, (), ())
    assert read is not None
    assert (read.soname, read.needed, read.runpath) == (None, (), ())


def test_an_address_in_no_segment(library: Path) -> None:
    """A string table outside every segment is an error, not another part of the file."""
    whole = bytearray(library.read_bytes())
    file = ElfFile(io.BytesIO(whole))
    offset = next(p_offset for p_type, p_offset, _, _ in file.segments() if p_type == 2)
    table = struct.Struct("<qQ")
    at = next(at for at in range(offset, len(whole), 16) if table.unpack_from(whole, at)[0] == 5)
    table.pack_into(whole, at, 5, 1 << 40)
    with pytest.raises(ValueError, match=r"^no segment holds the address 0x10000000000$"):
        ElfFile(io.BytesIO(whole)).names(DT_SONAME)
