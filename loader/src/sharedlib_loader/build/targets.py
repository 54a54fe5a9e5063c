"""The platforms that a native wheel can be built for, as a table: add a platform by adding a row."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import Literal

from sharedlib_loader.build.object_formats import ELF, MACH_O, PE, ObjectFormat

Libc = Literal["glibc", "musl", "libSystem", "UCRT"]
"""The C library that code is linked for: Linux has two, macOS and Windows one each."""

FORMATS: dict[Libc, ObjectFormat] = {"glibc": ELF, "musl": ELF, "libSystem": MACH_O, "UCRT": PE}


@dataclass(frozen=True)
class Target:
    """One platform.

    Attributes:
        machine: as ``platform.machine()`` gives it.
        libc: the C library that the code is linked for.
        triple: zig's name for it. The version of glibc or macOS in it is the oldest that the code runs on; the CPU
            is the architecture's baseline, since no ``-mcpu`` is given.
        tags: the wheel's platform tags that this triple earns (PEP 600, PEP 656, and by system).
        flags: what the compiler needs to hear for this platform alone.
    """

    machine: str
    libc: Libc
    triple: str
    tags: tuple[str, ...]
    flags: tuple[str, ...] = ()

    @property
    def format(self) -> ObjectFormat:
        return FORMATS[self.libc]


# LMDB's engines are built for each, and the files checked. Wheels are built for Linux so far, and run there.
TARGETS = (
    Target("x86_64", "glibc", "x86_64-linux-gnu.2.17", ("manylinux2014_x86_64", "manylinux_2_17_x86_64")),
    Target("x86_64", "musl", "x86_64-linux-musl", ("musllinux_1_1_x86_64",)),
    Target("aarch64", "glibc", "aarch64-linux-gnu.2.17", ("manylinux2014_aarch64", "manylinux_2_17_aarch64"),
           ("-mbranch-protection=standard",)),
    Target("aarch64", "musl", "aarch64-linux-musl", ("musllinux_1_1_aarch64",), ("-mbranch-protection=standard",)),
    Target("x86_64", "libSystem", "x86_64-macos.10.13", ("macosx_10_13_x86_64",)),
    Target("arm64", "libSystem", "aarch64-macos.11.0", ("macosx_11_0_arm64",)),
    Target("AMD64", "UCRT", "x86_64-windows-gnu", ("win_amd64",)),
    Target("ARM64", "UCRT", "aarch64-windows-gnu", ("win_arm64",)),
)  # fmt: skip


def host(libc: Libc) -> Target | None:
    """The row for this machine and the given C library; None where the table has none."""
    machine = platform.machine() if sys.platform == "linux" else None
    return next((target for target in TARGETS if (target.machine, target.libc) == (machine, libc)), None)
