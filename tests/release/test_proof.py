"""The proof of wheels: what was built passes every check, and each check fails on a wheel that is bad in its way."""

from __future__ import annotations

import json
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lief", reason="lief, which reads the native files, has no wheel for this interpreter")

from release.proof.__main__ import main
from release.proof.baselines import BASELINES
from release.proof.checks import CHECKS, prove
from release.proof.instructions import examine, faults
from release.proof.native_file import Code, read
from release.proof.outcome import Outcome
from release.proof.wheel import NotAWheelError, Wheel
from sharedlib_loader.build import TARGETS, Target, host
from tests.conftest import DIST, TARGET
from tests.release.bad_wheels import INFO, Change, Parts

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
    ("licences", "License-Expression is 'MIT AND OLDAP-2.8'",
     lambda parts: parts.edit(METADATA, " AND (BSD-2-Clause OR CC0-1.0)", "")),
    ("licences", "is no SPDX expression", lambda parts: parts.edit(METADATA, "OLDAP-2.8", "OLDAP-99")),
    ("licences", "no licence is known of zlib",
     change_bill(lambda bill: bill["components"].append({"type": "library", "name": "zlib", "version": "1"}))),
    ("bill of materials", "there is no", lambda parts: parts.files.pop(BILL)),
    ("bill of materials", "another bill", lambda parts: parts.files.update({f"{INFO}/sboms/other.json": b"{}"})),
    ("bill of materials", "is not valid", lambda parts: parts.files.update({BILL: b"{}"})),
    ("bill of materials", "is not valid", lambda parts: parts.edit(BILL, '"purl"', '"pearl"')),
    ("pedigree", "lmdb-0.9: its patches",
     change_bill(lambda bill: [part["pedigree"].pop("patches", None) for part in bill["components"]])),
    ("pedigree", "lmdb-1.0: its patches",
     change_bill(lambda bill: bill["components"][1]["pedigree"]["patches"].pop(0))),
    ("pedigree", "lmdb-1.0: its insertions",
     change_bill(lambda bill: bill["components"][1]["pedigree"]["patches"].pop())),
    ("pedigree", "monocypher: its files", change_bill(lambda bill: bill["components"][2]["components"].pop())),
    ("pedigree", "lmdb-0.9: its licence",
     change_bill(lambda bill: bill["components"][0].update(licenses=[{"expression": "MIT"}]))),
    ("pedigree", "lmdb-0.9: its archive",
     change_bill(lambda bill: bill["components"][0]["pedigree"]["ancestors"][0].update(purl="pkg:pypi/other@1"))),
    ("pedigree", "monocypher 4.0.3 is in it 0 times", change_bill(lambda bill: bill["components"].pop())),
    ("pedigree", "does not depend on each", change_bill(lambda bill: bill["dependencies"][0].pop("dependsOn"))),
    ("pedigree", "linked in are ['zlib']",
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


# -- Other systems ---------------------------------------------------------------------------------------------------

# Compiled without a C library, so that no test waits for one.
BARE = ("-shared", "-nostdlib", "-fno-stack-protector")
ENTRY = "int DllMainCRTStartup(void *a, int b, void *c) { return 1; }\n"


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


@pytest.mark.parametrize("triple", ["x86_64-windows-gnu", "aarch64-windows-gnu"])
def test_bad_libraries_for_windows_fail(triple: str, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """The DLL's name, no import library, more exports, no ASLR, and the time of its build."""
    library = compile_c(ENTRY + BULK, tmp_path / "other.dll", *BARE, "-Wl,--no-dynamicbase", target=triple)
    path = "liblmdb_wheel/lib/liblmdb_bulk-0.dll"
    parts = Parts.for_target(target(triple), {path: library.read_bytes()})
    parts.files["liblmdb_wheel/engines/0.9/include/lmdb_bulk.h"] = b"int lmdb_bulk_get(void);"
    wheel = parts.write(tmp_path)
    assert_fails(wheel, "names", "calls itself other.dll, not liblmdb_bulk-0.dll")
    assert_fails(wheel, "names", "does not lead to DllMainCRTStartup, lmdb_bulk_x")
    assert_fails(wheel, "exports", "exports more than its header has: DllMainCRTStartup, lmdb_bulk_x")
    assert_fails(wheel, "hardening", "lacks ASLR")
    assert_fails(wheel, "origin", "link it with /Brepro")


# Arithmetic, vectors, bits and atomic additions: each architecture has had better ways of some of them.
CODE = """
double dot(double *a, double *b, int n) { double s = 0; for (int i = 0; i < n; i++) s += a[i] * b[i]; return s; }
void scale(int *a, int *b, int n) { for (int i = 0; i < n; i++) a[i] += b[i] * 3; }
unsigned divide(unsigned a, unsigned b) { return a / b; }
int bits(unsigned long long a) { return __builtin_popcountll(a) + __builtin_ctzll(a); }
unsigned long long swap(unsigned long long a, unsigned long long b) { return __builtin_bswap64(a) + (b << 2); }
int count; int add(void) { return __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST); }
"""
SYSTEM_OF = {"linux": "Linux", "macos": "macOS", "windows": "Windows"}

# triple, the baseline as zig knows it, newer processors with an instruction of each
PROCESSORS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("x86_64-linux-gnu.2.17", "x86_64", {"x86_64_v2": "popcnt", "x86_64_v3": "vpaddd", "x86_64_v4": "vpaddd"}),
    ("aarch64-linux-gnu.2.17", "generic", {"generic+lse": "ldaddal", "neoverse_v1": "ptrue"}),
    ("arm-linux-gnueabihf.2.17", "baseline-neon-d32",
     {"baseline-neon": "d16", "baseline": "HasNEON", "baseline-neon-d32+hwdiv_arm": "udiv"}),
    ("riscv64-linux-gnu.2.27", "baseline_rv64",
     {"baseline_rv64+v": "HasVInstructions", "baseline_rv64+zba+zbb": "no instructions of RV64GC"}),
    ("powerpc64le-linux-gnu.2.19", "ppc64le", {"pwr9": "cnttzd", "pwr10": "cnttzd"}),
    ("s390x-linux-gnu.2.17", "arch8", {"arch9": "no instructions of z10", "arch11": "no instructions of z10"}),
    ("x86_64-macos.10.13", "core2", {"nehalem": "popcnt", "haswell": "vpaddd"}),
    ("aarch64-macos.11.0", "apple_m1", {"apple_m1+sve": "ptrue"}),
    ("x86_64-windows-gnu", "x86_64", {"x86_64_v2": "popcnt", "x86_64_v3": "vpaddd"}),
    ("aarch64-windows-gnu", "generic", {"generic+lse": "ldaddal"}),
)  # fmt: skip
NEWER = [(triple, cpu, words) for triple, _, newer in PROCESSORS for cpu, words in newer.items()]


def compile_for(triple: str, cpu: str, compile_c: Callable[..., Path], folder: Path) -> list[str]:
    """What is said of the code, compiled for a processor."""
    source = (ENTRY if "windows" in triple else "") + CODE
    flags = (*BARE, "-s", "-O3", f"-mcpu={cpu}")
    data = compile_c(source, folder / "library", *flags, target=triple).read_bytes()
    file = read(data)
    return faults(examine(file.code, file.machine, SYSTEM_OF[triple.split("-")[1].split(".", maxsplit=1)[0]]))


@pytest.mark.parametrize(("triple", "cpu"), [row[:2] for row in PROCESSORS])
def test_code_for_the_baseline_passes(triple: str, cpu: str, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """The same code, for the oldest processor, has nothing that it lacks: what fails below is newer."""
    assert not compile_for(triple, cpu, compile_c, tmp_path)


@pytest.mark.parametrize(("triple", "cpu", "words"), NEWER, ids=[f"{triple} {cpu}" for triple, cpu, _ in NEWER])
def test_code_for_a_newer_processor_fails(
    triple: str, cpu: str, words: str, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """Whatever the file's header says, its instructions tell for which processor it was compiled."""
    assert any(words in fault for fault in compile_for(triple, cpu, compile_c, tmp_path))


def test_every_baseline_is_tried() -> None:
    """A machine that is added to the table says here which processor is too new for it."""
    tried = {
        (triple.split("-")[0], SYSTEM_OF[triple.split("-")[1].split(".")[0]])
        for triple, _, newer in PROCESSORS
        if newer
    }
    names = {"arm": "armv7l", "powerpc64le": "ppc64le"}
    assert {(names.get(machine, machine), system) for machine, system in tried} == set(BASELINES)


# triple, a processor that has all, instructions of which each is beyond the baseline
ASSEMBLY: dict[str, tuple[str, tuple[str, ...]]] = {
    "x86_64-linux-gnu.2.17": ("x86_64_v4+sha+aes+pclmul+adx+rdrnd+gfni+waitpkg+prfchw", (
        "lahf", "cmpxchg16b (%rax)", "lzcnt %eax, %eax", "popcnt %eax, %eax", "movbe (%rax), %eax", "crc32 %eax, %ebx",
        "pextrb $1, %xmm0, %eax", "pextrw $1, %xmm0, (%rax)", "pshufb %xmm0, %xmm1", "pshufb %mm0, %mm1",
        "addsubpd %xmm0, %xmm1", "lddqu (%rax), %xmm0", "fisttpl (%rax)", "phminposuw %xmm0, %xmm1",
        "pcmpistrm $1, %xmm0, %xmm1", "aesenc %xmm0, %xmm1", "pclmulqdq $0, %xmm0, %xmm1", "gf2p8mulb %xmm0, %xmm1",
        "andn %eax, %ebx, %ecx", "bextr %eax, %ebx, %ecx", "pdep %eax, %ebx, %ecx", "vaddps %ymm0, %ymm1, %ymm2",
        "vpaddd %ymm0, %ymm1, %ymm2", "vpaddd %zmm0, %zmm1, %zmm2", "vfmadd132ps %xmm0, %xmm1, %xmm2", "vzeroupper",
        "kmovw %k0, %k1", "vcvtph2ps %xmm0, %xmm1", "xgetbv", "xsave (%rax)", "rdrand %eax", "rdtscp",
        "sha1nexte %xmm0, %xmm1", "adcx %eax, %ebx", "prefetchw (%rax)", "tpause %eax",
    )),
    "aarch64-linux-gnu.2.17": ("generic+v8_6a+crypto+sve+sve2+mte+sha3+sm4+fullfp16+fp16fml+mops+cssc+aes+sha2", (
        "casal x0, x1, [x2]", "ldaddal w0, w1, [x2]", "swpal w0, w1, [x2]", "crc32x w0, w1, x2", "aese v0.16b, v1.16b",
        "sha256h q0, q1, v2.4s", "sqrdmlah v0.4s, v1.4s, v2.4s", "fadd v0.8h, v1.8h, v2.8h", "fadd h0, h1, h2",
        "udot v0.4s, v1.16b, v2.16b", "fcmla v0.4s, v1.4s, v2.4s, #90", "ldapr w0, [x1]", "ldapur w0, [x1, #4]",
        "retaa", "braa x0, x1", "pacia x0, x1", "fjcvtzs w0, d1", "cfinv", "rmif x0, #1, #1", "frint32z s0, s1",
        "bfdot v0.4s, v1.8h, v2.8h", "smmla v0.4s, v1.16b, v2.16b", "eor3 v0.16b, v1.16b, v2.16b, v3.16b", "sb",
        "add z0.s, z1.s, z2.s", "ptrue p0.b", "stg x0, [x1]", "irg x0, x1", "abs x0, x1", "cpyfp [x0]!, [x1]!, x2!",
    )),
    "arm-linux-gnueabihf.2.17": ("cortex_a53+fullfp16+dotprod", (
        "sdiv r0, r1, r2", "vadd.i32 q0, q1, q2", "vadd.i32 d0, d1, d2", "vadd.f64 d0, d16, d1", "vfma.f32 s0, s1, s2",
        "vcvtb.f16.f32 s0, s1", "lda r0, [r1]", "crc32w r0, r1, r2", "aese.8 q0, q1", "vrintz.f32 s0, s1",
        "vadd.f16 s0, s1, s2", "vudot.u8 d0, d1, d2", "vseleq.f32 s0, s1, s2",
    )),
    "riscv64-linux-gnu.2.27": ("baseline_rv64+v+zba+zbb+zbc+zbs+zicond+zfh+zfa+zcb+zicbom+zihintntl", (
        "sh1add a0, a1, a2", "andn a0, a1, a2", "clz a0, a1", "clmul a0, a1, a2", "bset a0, a1, a2", "rev8 a0, a1",
        "vsetvli a0, a1, e32, m1, ta, ma", "vadd.vv v0, v1, v2", "czero.eqz a0, a1, a2", "fadd.h fa0, fa1, fa2",
        "fli.s fa0, 1.0", "c.mul a0, a1", "cbo.clean (a0)", "csrr a0, vlenb",
    )),
    "powerpc64le-linux-gnu.2.19": ("pwr10", (
        "maddld 3, 4, 5, 6", "modsd 3, 4, 5", "cnttzd 3, 4", "setb 3, 0", "darn 3, 1", "mtvsrdd 0, 3, 4",
        "xxspltib 0, 1", "lxvx 0, 3, 4", "lxv 0, 16(3)", "xsaddqp 0, 1, 2", "vextractub 0, 1, 2", "addpcis 3, 1",
        "paddi 3, 4, 1, 0", "brd 3, 4", "cfuged 3, 4, 5", "lxvp 0, 32(3)", "xxspltiw 0, 1", "vdivsd 0, 1, 2",
        "scv 0", "stxvl 0, 3, 4",
    )),
    "s390x-linux-gnu.2.17": ("arch14", (
        "msrkc %r1, %r2, %r3", "mgrk %r2, %r3, %r4", "agh %r1, 0(%r2)", "vfasb %v0, %v1, %v2", "vbperm %v0, %v1, %v2",
        "vmslg %v0, %v1, %v2, %v3, 0", "selgr %r1, %r2, %r3, 1", "ncgrk %r1, %r2, %r3", "popcnt %r1, %r2, 8",
        "vlbrf %v0, 0(%r1)", "vsld %v0, %v1, %v2, 1", "vpkzr %v0, %v1, %v2, 1, 0", "vcfn %v0, %v1, 0, 1", "mvcrl 0(%r1), 0(%r2)",
    )),
}  # fmt: skip


@pytest.mark.parametrize("triple", ASSEMBLY)
def test_every_feature_is_known(triple: str, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """One instruction of each feature that later processors brought, each in a function of its own."""
    cpu, texts = ASSEMBLY[triple]
    functions = "\n".join(
        f'__attribute__((naked)) void f{n:02}(void) {{ __asm__("{text}"); }}' for n, text in enumerate(texts)
    )
    flags = (*BARE, f"-mcpu={cpu}", "-fno-asynchronous-unwind-tables", "-Wl,--sort-section=name")
    file = read(compile_c(functions, tmp_path / "library", *flags, target=triple).read_bytes())
    [part] = [part for part in file.code if part.section == ".text"]
    starts = [start for start in part.starts if start][-len(texts) :]
    assert len(starts) == len(texts)
    known: list[str] = []
    for start, end, text in zip(starts, [*starts[1:], part.address + len(part.data)], texts, strict=True):
        piece = Code(".text", start, part.data[start - part.address : end - part.address])
        if faults(examine([piece], file.machine, "Linux")):
            known.append(text)
    assert [text for text in texts if text not in known] == []


def test_hints_are_harmless(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """What older processors take for nothing: branch targets, signed returns, and ``rep`` before ``bsf``."""
    arm = compile_c(CODE, tmp_path / "a", *BARE, "-mbranch-protection=standard", target="aarch64-linux-gnu.2.17")
    assert not faults(examine(read(arm.read_bytes()).code, "aarch64", "Linux"))
    intel = compile_c(CODE, tmp_path / "b", *BARE, "-fcf-protection=full", "-O2", target="x86_64-linux-gnu.2.17")
    found = examine(read(intel.read_bytes()).code, "x86_64", "Linux")
    assert not faults(found)
    assert [*found.harmless.values()] == [1]


def test_guarded_code_is_allowed_to_static_programs_alone() -> None:
    """What libunwind asks the processor for before it runs is known by kind and number; one more fails, or elsewhere."""
    cntd = bytes.fromhex("e0e3e004")
    code = [Code(".text", 0, cntd * 8)]
    assert not faults(examine(code, "aarch64", "Linux", static=True))
    assert faults(examine(code, "aarch64", "Linux"))
    assert faults(examine([Code(".text", 0, cntd * 9)], "aarch64", "Linux", static=True))


def test_system_registers_of_later_processors_fail() -> None:
    """Reading the thread's pointer is everybody's; the second one came with SME."""
    assert not faults(examine([Code(".text", 0, bytes.fromhex("48d03bd5"))], "aarch64", "Linux"))
    assert faults(examine([Code(".text", 0, bytes.fromhex("b0d03bd5"))], "aarch64", "Linux"))


def test_what_does_not_decode_fails() -> None:
    """Bytes that are no instruction are not passed over, and neither is an instruction that runs into a function."""
    assert faults(examine([Code(".text", 0, b"\x90\x06\x90")], "x86_64", "Linux"))
    assert not faults(examine([Code(".text", 0, b"\xb8\x90\x90\x90\x90")], "x86_64", "Linux"))
    assert faults(examine([Code(".text", 0, b"\xb8\x90\x90\x90\x90", starts=(2,))], "x86_64", "Linux"))


def test_data_among_code_is_proved() -> None:
    """Of a jump table each word must lead to an instruction; zeros, literals and tables count as data, and are told."""
    nop = b"\x90"
    table = Code("__text", 0, nop * 4 + struct.pack("<i", -4), tables=(range(4, 8),))
    assert not faults(examine([table], "x86_64", "macOS"))
    with pytest.raises(ValueError, match="leads out of it"):
        examine([Code("__text", 0, nop * 4 + struct.pack("<i", 99), tables=(range(4, 8),))], "x86_64", "macOS")
    # ldr r0, [pc, #0]; bx lr; the literal is a NEON instruction
    literal = bytes.fromhex("00009fe5 1eff2fe1 0d0a6cf4")
    assert not faults(examine([Code(".text", 0, literal)], "armv7l", "Linux"))
    assert faults(examine([Code(".text", 0, literal[4:])], "armv7l", "Linux"))
    # add pc, r1, r0; two distances, the second to the first instruction; bx lr
    jump = bytes.fromhex("00f081e0 08000000 fcffffff 1eff2fe1")
    assert not faults(examine([Code(".text", 0, jump)], "armv7l", "Linux"))
    assert faults(examine([Code(".text", 0, jump[4:])], "armv7l", "Linux"))
    found = examine([Code(".text", 0, bytes(4) + bytes.fromhex("2000804e"))], "ppc64le", "Linux")  # blr
    assert (found.instructions, sum(found.data.values()), faults(found)) == (1, 4, [])
    found = examine([Code(".text", 0, bytes.fromhex("07fe 0000 0707"))], "s390x", "Linux")  # br %r14; trap; nopr
    assert (found.instructions, faults(found)) == (3, [])


# -- The whole -------------------------------------------------------------------------------------------------------


def test_every_check_is_shown_to_fail() -> None:
    """A check that is added to the table says here which wheel it refuses."""
    elsewhere = {"RECORD", "machine", "oldest system", "auditwheel", "instructions"}
    assert {row[0] for row in ARCHIVES} | {row[0] for row in LIBRARIES} | elsewhere == set(CHECKS)


def test_newer_code_in_a_wheel_fails(parts: Parts, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """The check of instructions reads each native file of a wheel."""
    newer = {"x86_64": "x86_64_v3", "aarch64": "neoverse_v1"}[Wheel.read(built("liblmdb_wheel")).machine]
    parts.files[TOOL] = compile_c(CODE, tmp_path / "tool", *BARE, "-O3", f"-mcpu={newer}").read_bytes()
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
