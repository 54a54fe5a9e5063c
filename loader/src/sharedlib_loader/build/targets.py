"""The platforms that a native wheel can be built for, as a table: add a platform by adding a row."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import Literal

Libc = Literal["glibc", "musl"]


@dataclass(frozen=True)
class Target:
    """One platform.

    Attributes:
        machine: as ``platform.machine()`` gives it.
        libc: the C library that the code is linked for.
        triple: zig's name for it. The glibc version in it is the oldest that the code runs on; the CPU is the
            architecture's baseline, since no ``-mcpu`` is given.
        tags: the wheel's platform tags that this triple earns (PEP 600, PEP 656).
        flags: what the compiler needs to hear for this platform alone.
    """

    machine: str
    libc: Libc
    triple: str
    tags: tuple[str, ...]
    flags: tuple[str, ...] = ()


TARGETS = (
    Target("x86_64", "glibc", "x86_64-linux-gnu.2.17", ("manylinux2014_x86_64", "manylinux_2_17_x86_64")),
    Target("x86_64", "musl", "x86_64-linux-musl", ("musllinux_1_1_x86_64",)),
    Target("aarch64", "glibc", "aarch64-linux-gnu.2.17", ("manylinux2014_aarch64", "manylinux_2_17_aarch64"),
           ("-mbranch-protection=standard",)),
    Target("aarch64", "musl", "aarch64-linux-musl", ("musllinux_1_1_aarch64",), ("-mbranch-protection=standard",)),
)  # fmt: skip


def host(libc: Libc) -> Target | None:
    """The row for this machine and the given C library; None where the table has none."""
    machine = platform.machine() if sys.platform == "linux" else None
    return next((target for target in TARGETS if (target.machine, target.libc) == (machine, libc)), None)
