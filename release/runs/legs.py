"""What is run, as a table: which wheels, in which place, by which interpreter. Add a run by adding a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from release.runs.cffi import Cffi
from release.runs.cpython import FREE_THREADED, GLIBC_2_17, MUSL
from release.runs.machine import Found, Machine
from release.runs.place import Place
from release.runs.trees import Tree
from release.runs.wine import WINDOWS_CPYTHON, Wine


class Interpreter(Protocol):
    """An interpreter that is found, built or fetched."""

    def make(self) -> Path:
        """Its executable, a file of this machine."""


BINDING = ("binding 0.9", "binding 1.0")
ALL = ("doctor", "selftest", *BINDING, "flatc")


@dataclass(frozen=True)
class Leg:
    """One run.

    Attributes:
        name: what the command line calls it.
        platform: of the wheels, as the table of targets names it.
        place: where they are used.
        python: the interpreter: a command of the place, or something made for it; None where there is none to be had,
            and only C programs are run.
        tag: of the interpreter, by which its cffi is chosen.
        parts: what ``smoke.py`` tries.
        needed: other projects' distributions that the wheels need and the place has not.
        cffi: compiled for its interpreter; None where there is a wheel of it, or the place has it.
        suite: the binding's own tests can be run there, too.
    """

    name: str
    platform: str
    place: Place
    python: str | Interpreter | None
    tag: str
    parts: tuple[str, ...] = ALL
    needed: tuple[str, ...] = ("cffi", "flatbuffers")
    cffi: Cffi | None = None
    suite: bool = False


SID = Tree("sid", "amd64", ("python3.14", "python3.13", "python3.15", "pypy3"))
TRIXIE = Tree("trixie", "amd64", ("python3.13", "pypy3"))
BULLSEYE = Tree("bullseye", "amd64", ("libc6",))  # the oldest that the mirrors still have
WITH_MUSL = Tree("trixie", "amd64", ("musl",))
ARM64 = Tree("trixie", "arm64", ("python3.13", "pypy3", "musl", "liblmdb0"))
# cffi has no wheels for these two: Debian's own is used.
ARMHF = Tree("bookworm", "armhf", ("python3.11", "python3-cffi-backend", "liblmdb0"))
RISCV64 = Tree("trixie", "riscv64", ("python3.13", "python3-cffi-backend", "liblmdb0"))
PPC64EL = Tree("bookworm", "ppc64el", ("python3.11", "liblmdb0"))
S390X = Tree("bookworm", "s390x", ("python3.11", "liblmdb0"))

PYPY = ("flatbuffers",)  # it has its own cffi

LEGS = (
    *(Leg(f"cpython-{version}", "manylinux_x86_64", Machine(), Found(version), f"cp{version.replace('.', '')}",
          suite=version == "3.10")
      for version in ("3.10", "3.11", "3.12", "3.13")),
    *(Leg(f"sid-cpython-{version}", "manylinux_x86_64", SID, f"python{version}", f"cp{version.replace('.', '')}",
          suite=version == "3.14")
      for version in ("3.13", "3.14", "3.15")),
    Leg("sid-pypy", "manylinux_x86_64", SID, "pypy3", "pp311", needed=PYPY, suite=True),
    Leg("trixie-cpython-3.13", "manylinux_x86_64", TRIXIE, "python3.13", "cp313"),
    Leg("trixie-pypy", "manylinux_x86_64", TRIXIE, "pypy3", "pp311", needed=PYPY),
    Leg("glibc-2.31", "manylinux_x86_64", BULLSEYE, GLIBC_2_17, "cp313"),
    Leg("free-threaded", "manylinux_x86_64", Machine(), FREE_THREADED, "cp313t", needed=("flatbuffers",),
        cffi=Cffi(FREE_THREADED), suite=True),
    Leg("musl", "musllinux_x86_64", WITH_MUSL, MUSL, "cp313"),
    Leg("aarch64-cpython-3.13", "manylinux_aarch64", ARM64, "python3.13", "cp313"),
    Leg("aarch64-pypy", "manylinux_aarch64", ARM64, "pypy3", "pp311", needed=PYPY),
    Leg("aarch64-musl", "musllinux_aarch64", ARM64, None, "cp313", parts=()),
    Leg("armv7l", "manylinux_armv7l", ARMHF, "python3.11", "cp311", needed=("flatbuffers",)),
    Leg("riscv64", "manylinux_riscv64", RISCV64, "python3.13", "cp313", needed=("flatbuffers",)),
    Leg("ppc64le", "manylinux_ppc64le", PPC64EL, "python3.11", "cp311"),
    Leg("s390x", "manylinux_s390x", S390X, "python3.11", "cp311"),
    Leg("windows", "win_amd64", Wine(), WINDOWS_CPYTHON, "cp313"),
)  # fmt: skip

# Rows of the table of targets that no leg runs, and why: the page says it with these words.
NOT_RUN = {
    "macosx_x86_64": "no macOS can be had here: its files are checked, and nothing of them was run",
    "macosx_arm64": "no macOS can be had here: its files are checked, and nothing of them was run",
    "win_arm64": "Wine runs programs for the machine's own processor only: its files are checked, and were not run",
}
