"""Checks of the native files in a wheel: for whom they are, what they offer, need and ask, and what hardens them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from zipfile import Path as ZipPath

from packaging.version import Version

from release.proof.expectations import (
    FORMATS,
    GLIBC_LOADERS,
    LIBRARY_PROTECTIONS,
    NEEDED,
    NEEDED_BY_CXX,
    OF_THE_LINKER,
    PROTECTIONS,
    SHIM_SEARCH,
    TOOLS_SEARCH,
)
from release.proof.instructions import examine, faults
from release.proof.native_file import NativeFile, archive_members
from release.proof.outcome import NotApplicable
from release.proof.wheel import Wheel
from sharedlib_loader.build import Target, public_names


def native(wheel: Wheel) -> tuple[Target, dict[str, NativeFile]]:
    """The target of a native wheel, and its native files by path.

    Raises:
        NotApplicable: the wheel is a pure one; or its tag is of no target, which the check of tags says.
    """
    if wheel.distribution.pure:
        raise NotApplicable("no native code")
    if wheel.target is None:
        raise NotApplicable("the tag is of no target, so that nothing is known to hold it against")
    return wheel.target, wheel.native


def libraries(wheel: Wheel) -> dict[str, NativeFile]:
    """Its libraries, without musl's shims."""
    return {path: file for path, file in wheel.native.items() if not file.executable and not path.endswith(".shim")}


def machine(wheel: Wheel, wrong: list[str]) -> str:
    """Every native file is for the tag's system and machine; a pure wheel has none."""
    for path, file in wheel.native.items():
        if wheel.distribution.pure:
            wrong.append(f"{path} is native, for {file.machine}, in a wheel for everybody")
        elif (file.format, file.machine) != (FORMATS.get(wheel.system), wheel.machine):
            wrong.append(
                f"{path} is {file.format} for {file.machine}, in a wheel for {wheel.system} on {wheel.machine}"
            )
    for path, data in wheel.files.items():
        others = {member.machine for member in archive_members(data)} - {None, wheel.machine}
        wrong.extend(f"{path} is for {other}, not {wheel.machine}" for other in others)
    if not wheel.distribution.pure and not wheel.native:
        wrong.append("no native file is in it")
    return f"{len(wheel.native)} native files for {wheel.system} on {wheel.machine}"


def names(wheel: Wheel, wrong: list[str]) -> str:
    """A library says the name that it is found by; on Windows an import library beside it leads to it."""
    for path, file in native(wheel)[1].items():
        name = PurePosixPath(path).name
        expected = None if file.executable else f"@rpath/{name}" if file.format == "Mach-O" else name
        if file.name != expected:
            wrong.append(f"{path} calls itself {file.name}, not {expected}")
        if file.format == "PE" and not file.executable:
            members = [*archive_members(wheel.files.get(str(PurePosixPath(path).with_suffix(".lib")), b""))]
            led = {member.symbol for member in members if member.library == name}
            if led != file.exports:
                wrong.append(f"the import library of {path} does not lead to {_listed(file.exports - led)}")
    return _listed(str(file.name) for file in libraries(wheel).values())


def exports(wheel: Wheel, wrong: list[str]) -> str:
    """A library exports the functions of its header in the wheel, and nothing else; a program nothing.

    Programs of macOS are left out: its linker exports every function that is not static, and nobody looks there.
    """
    target, files = native(wheel)
    one, counts = wheel.distribution, {}
    for path, file in files.items():
        if file.executable and file.format == "Mach-O":
            continue
        name = PurePosixPath(path).name
        soname = next((soname for soname in one.libraries if target.format.file_name(soname) == name), None)
        api = set[str]()
        if soname is not None:
            declared = ZipPath(wheel.path, f"{one.name}/{one.libraries[soname].header}")
            api = {name for prefix in one.libraries[soname].prefixes for name in public_names(declared, prefix)}  # type: ignore[arg-type] # is read like a path
            counts[name] = len(api)
        extra = OF_THE_LINKER if file.format == "Mach-O" else set()
        if missing := api - file.exports:
            wrong.append(f"{path} does not export {_listed(missing)}")
        if surplus := file.exports - api - extra:
            wrong.append(f"{path} exports more than its header has: {_listed(surplus)}")
    return ", ".join(f"{count} of {name}" for name, count in sorted(counts.items())) or "programs alone"


def needed(wheel: Wheel, wrong: list[str]) -> str:
    """Nothing but the system's own libraries, this wheel's, and what a library must have of another wheel.

    A program names the system's dynamic loader; one of C++ on Linux needs nothing.
    """
    target, files = native(wheel)
    pattern, loader = NEEDED[target.libc].format(machine=wheel.machine), f"/lib/ld-musl-{wheel.machine}.so.1"
    if target.libc == "glibc":
        loader = GLIBC_LOADERS[wheel.machine]
        pattern += "|" + re.escape(PurePosixPath(loader).name)
    if wheel.distribution.cxx and target.libc in NEEDED_BY_CXX:
        pattern += "|" + NEEDED_BY_CXX[target.libc]
    own = {library.name for library in libraries(wheel).values()}
    others = provided(wheel)
    for path, file in files.items():
        alone = file.executable and wheel.distribution.cxx and file.format == "ELF"
        system = "(?!)" if alone else pattern
        other = others.get(path, set())
        if missing := other - file.needed:
            wrong.append(f"{path} does not need {_listed(missing)}")
        if surplus := {name for name in file.needed - own - other if not re.fullmatch(system, name)}:
            wrong.append(f"{path} needs {_listed(surplus)}")
        expected = "" if alone else loader
        if file.format == "ELF" and file.executable and (file.interpreter or "") != expected:
            wrong.append(f"{path} names the dynamic loader {file.interpreter}, not {expected or None}")
    return _listed({name for file in files.values() for name in file.needed})


def provided(wheel: Wheel) -> dict[str, set[str]]:
    """What its libraries need of another distribution's wheel: a library's path, and what it records of the other."""
    if wheel.target is None:
        return {}
    one, form = wheel.distribution, wheel.target.format
    return {
        f"{one.name}/lib/{form.file_name(soname)}": {form.recorded_name(api.provided)}
        for soname, api in one.libraries.items()
        if api.provided is not None
    }


def search(wheel: Wheel, wrong: list[str]) -> str:
    """No path to search, but from the tools to the libraries, and musl's shims' own folder."""
    paths = set[str]()
    for path, file in native(wheel)[1].items():
        expected = set[tuple[str, str]]()
        if path.endswith(".shim"):
            expected = SHIM_SEARCH
        elif file.executable and not wheel.distribution.cxx:
            expected = TOOLS_SEARCH[wheel.system]
        if file.search != expected:
            wrong.append(f"{path} has {_listed(map(' '.join, file.search))}, not {_listed(map(' '.join, expected))}")
        paths |= {" ".join(one) for one in file.search}
    return ", ".join(sorted(paths)) or "no path"


def hardening(wheel: Wheel, wrong: list[str]) -> str:
    """What a linker can do against attacks, and for a library to stay by itself and loaded."""
    kinds = set[str]()
    for path, file in native(wheel)[1].items():
        expected = PROTECTIONS[file.format]
        if not file.executable and not path.endswith(".shim"):
            expected = expected | LIBRARY_PROTECTIONS[file.format]
        if file.format == "Mach-O" and file.machine == "aarch64":
            expected = expected | {"signed"}  # Apple's processors start nothing else
        if missing := expected - file.protections:
            wrong.append(f"{path} lacks {_listed(missing)}")
        kinds |= expected
    return ", ".join(sorted(kinds))


def stack_protector(wheel: Wheel, wrong: list[str]) -> str:
    """Functions with arrays look whether their frame was overwritten (-fstack-protector-strong)."""
    ways = Counter[str]()
    for path, file in native(wheel)[1].items():
        if path.endswith(".shim"):
            continue  # has no code
        if way := canary(file):
            ways[way] += 1
        else:
            wrong.append(f"{path} has no stack protector")
    return "; ".join(f"{way}: {count}" for way, count in ways.items())


# musl's __init_ssp multiplies by 1103515245 (0x41C64E6D) where the kernel gives no random bytes. It is in one object
# with __stack_chk_fail, so a static program has it where a function calls that. How each machine loads the number, or
# its half: a mask and the value of an instruction word, or the bytes.
MUSL_CANARY: dict[str, tuple[int, int] | bytes] = {
    "x86_64": bytes.fromhex("6d4ec641"),
    "aarch64": (0x7FFFFFE0, 0x5289CDA0),  # mov x, #0x4e6d
    "armv7l": (0xFFFF0FFF, 0xE3040E6D),  # movw r, #0x4e6d
    "riscv64": (0xFFFFF07F, 0x41C65037),  # lui r, 0x41c65
    "ppc64le": (0xFC1FFFFF, 0x3C0041C6),  # lis r, 0x41c6
    "s390x": bytes.fromhex("41c64e6d"),
}

# How a machine's code reads the canary that glibc has for each thread, where what is called when it has changed is
# zig's.
THREAD_CANARY: dict[str, tuple[int, int] | bytes] = {
    "ppc64le": (0xFC1FFFFF, 0xE80D8FF0),  # ld r, -0x7010(r13)
    "s390x": bytes.fromhex("b24f0011e31010280004"),  # ear r1, a1 (the thread's block); lg r1, 40(r1)
}


def canary(file: NativeFile) -> str | None:
    """How a file is seen to have a stack protector; None where it is not.

    Where the C library has the function that is called, its name is imported. Where it does not (Windows, and glibc on
    armv7l as zig knows it; in C++ where other parts of zig's runtime come along) zig links its own, whose canary is a
    constant in the data, or glibc's. A static program without names has the start of musl's.
    """
    if "__stack_chk_fail" in file.imports:
        return "calls the C library's __stack_chk_fail"
    size = 4 if file.machine == "armv7l" else 8
    constant = bytes(size - 2) + b"\n\xff"
    for name in (".data", ".rdata"):
        data = file.sections.get(name, b"")
        if any(data[at : at + size] == constant for at in range(0, len(data), size)):
            return "zig's own, whose canary is constant: NUL, LF and 0xFF"
    sign = THREAD_CANARY.get(file.machine) if file.format == "ELF" and file.needed else None
    if sign is not None and any(_has(part.data, sign) for part in file.code):
        return "compares glibc's canary of the thread"
    sign = MUSL_CANARY.get(file.machine) if file.format == "ELF" and not file.needed else None
    if sign is not None and any(_has(part.data, sign) for part in file.code):
        return "sets up musl's canary"
    return None


def _has(code: bytes, sign: tuple[int, int] | bytes) -> bool:
    if isinstance(sign, bytes):
        return sign in code
    mask, value = sign
    halves = range(0, len(code) - 3, 2)  # riscv64's instructions begin at every second byte
    return any(int.from_bytes(code[at : at + 4], "little") & mask == value for at in halves)


def oldest_system(wheel: Wheel, wrong: list[str]) -> str:
    """No newer glibc or macOS is asked for than the tag says."""
    target, files = native(wheel)
    if target.libc == "UCRT":
        raise NotApplicable("a tag of Windows names no version")
    asked, promised = set[tuple[int, ...]](), _promised(wheel)
    for path, file in files.items():
        found = file.glibc if file.format == "ELF" else file.macos
        if found is not None and (promised is None or found > promised):
            wrong.append(f"{path} asks for {_dotted(found)}, and the tag promises {_dotted(promised or ())}")
        asked |= {found} if found else set()
    return f"at most {_dotted(max(asked))}" if asked else "no version is asked for"


def _promised(wheel: Wheel) -> tuple[int, ...] | None:
    """The oldest glibc, or macOS, that the tags name."""
    pattern = r"manylinux_(\d+)_(\d+)_" if wheel.system == "Linux" else r"macosx_(\d+)_(\d+)_"
    found = [(int(m[1]), int(m[2])) for platform in wheel.platforms if (m := re.match(pattern, platform))]
    lowest = min(found, default=None)
    return (*lowest, 0) if lowest and wheel.system == "macOS" else lowest


def instructions(wheel: Wheel, wrong: list[str]) -> str:
    """No instruction is beyond the machine's baseline, of any executable byte in it."""
    total, baseline, notes = 0, "", Counter[str]()
    for path, file in native(wheel)[1].items():
        try:
            found = examine(file.code, file.machine, wheel.system, cxx=wheel.distribution.cxx)
        except (KeyError, ValueError) as error:
            wrong.append(f"{path} cannot be examined: {error}")
            continue
        total, baseline = total + found.instructions, found.baseline
        wrong.extend(f"{path}: {fault}" for fault in faults(found))
        notes += found.data + found.harmless + found.guarded
    told = "".join(f"; {count} {what}" for what, count in sorted(notes.items()))
    return f"{total} instructions, all of {baseline}{told}"


def auditwheel(wheel: Wheel, wrong: list[str]) -> str:
    """Auditwheel finds nothing in it that the systems of its tag do not have, but what another wheel has.

    A library that it does not find makes it say "linux", and nothing else by that. Where these are exactly those that
    another distribution provides, which the loader loads before and no RPATH leads to, it is asked what it would say
    without them.
    """
    if native(wheel)[0].libc not in ("glibc", "musl"):
        raise NotApplicable("auditwheel judges wheels for Linux")
    command = [sys.executable, "-m", "auditwheel", "show", "--json", str(wheel.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        wrong.append(f"auditwheel: {done.stderr.strip().splitlines()[-1]}")
        return "no verdict"
    told = json.loads(done.stdout)
    verdict = told["overall_tag"]
    elsewhere = set().union(*provided(wheel).values())
    if elsewhere and set(told["external_libs"]) == elsewhere and not told["unsupported_isa"]:
        verdict = told["sym_tag"]
    if not any(_at_most(verdict, platform) for platform in wheel.platforms):
        wrong.append(f"auditwheel says {verdict}, and the tags are {', '.join(wheel.platforms)}")
    return str(verdict)


def _at_most(verdict: str, platform: str) -> bool:
    """Whether what auditwheel allows is the tag, or an older system of the same kind."""
    parts = [re.fullmatch(r"(manylinux|musllinux)_(\d+_\d+)_(\w+)", text) for text in (verdict, platform)]
    if not parts[0] or not parts[1]:
        return False
    versions = [Version(part[2].replace("_", ".")) for part in parts if part]
    return parts[0][1] == parts[1][1] and parts[0][3] == parts[1][3] and versions[0] <= versions[1]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
