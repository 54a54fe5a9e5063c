"""The platforms that a native wheel can be built for, as a table: add a platform by adding a row."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import Literal

from packaging.tags import platform_tags

from sharedlib_loader.build.object_formats import ELF, MACH_O, PE, ObjectFormat

Libc = Literal["glibc", "musl", "libSystem", "UCRT"]
"""The C library that code is linked for: Linux has two, macOS and Windows one each."""

FORMATS: dict[Libc, ObjectFormat] = {"glibc": ELF, "musl": ELF, "libSystem": MACH_O, "UCRT": PE}


@dataclass(frozen=True)
class Target:
    """One platform.

    Attributes:
        name: as cibuildwheel calls the platform.
        machine: the architecture, as the platform's tags end.
        libc: the C library that the code is linked for.
        triple: zig's name for it. The version of glibc or macOS in it is the oldest that the code runs on.
        tags: the wheel's platform tags that this triple earns (PEP 600, PEP 656, and by system).
        flags: what the compiler needs to hear for this platform alone.
        cpu: zig's name for the oldest CPU that the code runs on.
        beside_cxx: a file beside this one that is linked into libraries of C++, with what the compiler's runtime of C++
            lacks here, or has otherwise than a library should, and the compiler flags of that; empty where none is.
        static: on Linux, zig's name for the platform where executables link nothing and run with either C library.
    """

    name: str
    machine: str
    libc: Libc
    triple: str
    tags: tuple[str, ...]
    flags: tuple[str, ...] = ()
    cpu: str = "baseline"
    beside_cxx: tuple[str, ...] = ()
    static: str | None = None

    @property
    def format(self) -> ObjectFormat:
        return FORMATS[self.libc]


BRANCHES = ("-mbranch-protection=standard",)  # hints, which older CPUs do not heed
IBM_DOUBLES = ("-mabi=ibmlongdouble",)  # the long double of glibc before 2.32, whose printf has the plain name

# zig compiles its runtime of C++ for the long double of later glibcs all the same.
IEEE_DOUBLES = ("ieee128.c", "-mabi=ieeelongdouble", "-fno-builtin")
DIVISION = ("divti3.c",)
MEMORY = ("new.cpp", "-std=c++17")

# glibc 2.17, the floor of manylinux2014, where the architecture has it: RISC-V came with 2.27, for which auditwheel's
# policies begin at 2.31. zig has no headers of 2.17 for POWER; what is linked with those of 2.19 asks for 2.17 alone.
# zig's baseline has NEON on ARM, which the hard-float ABI does not ask for, and is z13 on s390x: here it is z10.
TARGETS = (
    Target("manylinux_x86_64", "x86_64", "glibc", "x86_64-linux-gnu.2.17",
           ("manylinux2014_x86_64", "manylinux_2_17_x86_64"), beside_cxx=DIVISION, static="x86_64-linux-musl"),
    Target("manylinux_aarch64", "aarch64", "glibc", "aarch64-linux-gnu.2.17",
           ("manylinux2014_aarch64", "manylinux_2_17_aarch64"), BRANCHES, static="aarch64-linux-musl"),
    Target("manylinux_armv7l", "armv7l", "glibc", "arm-linux-gnueabihf.2.17",
           ("manylinux2014_armv7l", "manylinux_2_17_armv7l"), cpu="baseline-neon-d32", static="arm-linux-musleabihf"),
    Target("manylinux_riscv64", "riscv64", "glibc", "riscv64-linux-gnu.2.27",
           ("manylinux_2_27_riscv64", "manylinux_2_31_riscv64"), static="riscv64-linux-musl"),
    Target("manylinux_ppc64le", "ppc64le", "glibc", "powerpc64le-linux-gnu.2.19",
           ("manylinux2014_ppc64le", "manylinux_2_17_ppc64le"), IBM_DOUBLES, beside_cxx=IEEE_DOUBLES,
           static="powerpc64le-linux-musl"),
    Target("manylinux_s390x", "s390x", "glibc", "s390x-linux-gnu.2.17",
           ("manylinux2014_s390x", "manylinux_2_17_s390x"), cpu="arch8", static="s390x-linux-musl"),
    Target("musllinux_x86_64", "x86_64", "musl", "x86_64-linux-musl",
           ("musllinux_1_2_x86_64",), beside_cxx=DIVISION, static="x86_64-linux-musl"),
    Target("musllinux_aarch64", "aarch64", "musl", "aarch64-linux-musl",
           ("musllinux_1_2_aarch64",), BRANCHES, static="aarch64-linux-musl"),
    Target("macosx_x86_64", "x86_64", "libSystem", "x86_64-macos.10.13", ("macosx_10_13_x86_64",), beside_cxx=MEMORY),
    Target("macosx_arm64", "arm64", "libSystem", "aarch64-macos.11.0", ("macosx_11_0_arm64",), beside_cxx=MEMORY),
    Target("win_amd64", "amd64", "UCRT", "x86_64-windows-gnu", ("win_amd64",)),
    Target("win_arm64", "arm64", "UCRT", "aarch64-windows-gnu", ("win_arm64",)),
)  # fmt: skip

SWITCH = "SHAREDLIB_TARGET"
"""The environment variable that names a row to build for; without it, it is the interpreter's own."""


def host(libc: Libc | None = None) -> Target | None:
    """The row that this interpreter installs wheels of; None where the table has none.

    Args:
        libc: the row of another C library for the same machine.
    """
    accepted = set(platform_tags())
    row = next((target for target in TARGETS if accepted.intersection(target.tags)), None)
    if row is None or libc is None:
        return row
    return next((target for target in TARGETS if (target.machine, target.libc) == (row.machine, libc)), None)


def chosen() -> Target | None:
    """The row to build for: the one that the environment names, else the host's.

    Raises:
        ValueError: the environment names no row.
    """
    name = os.environ.get(SWITCH)
    if name is None:
        return host()
    row = next((target for target in TARGETS if target.name == name), None)
    if row is None:
        known = ", ".join(target.name for target in TARGETS)
        raise ValueError(f"{SWITCH} is {name!r}, and targets.py has no such row: choose one of {known}")
    return row


def system_libc() -> Libc:
    """The C library of this interpreter, also where the table has no row for its machine."""
    if sys.platform in _LIBCS:
        return _LIBCS[sys.platform]
    return "musl" if any(tag.startswith("musllinux") for tag in platform_tags()) else "glibc"


_LIBCS: dict[str, Libc] = {"darwin": "libSystem", "win32": "UCRT"}


def for_executables(target: Target) -> Target:
    """The platform for executables that link nothing: on Linux with musl inside, for either C library."""
    if target.static is None:
        return target
    return replace(target, libc="musl", triple=target.static)
