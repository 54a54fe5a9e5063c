"""What zig links into a static executable beside the code that it is given: names, versions, licences."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RuntimeLibrary:
    """One library that the compiler brings along.

    Attributes:
        name: as its own project calls it.
        version: the one that the compiler has.
        license: an SPDX expression.
        text: the file with the licence.
    """

    name: str
    version: str
    license: str
    text: Path


LLVM = "Apache-2.0 WITH LLVM-exception"
LLVM_VERSION = ("libcxx/include/__config", r"_LIBCPP_VERSION (\d\d)(\d\d)(\d\d)$")
MUSL_VERSION = ("libc/musl/src/internal/version.h", r'VERSION "(\d+)\.(\d+)\.(\d+)"$')

# Name, licence, and in zig's library folder the licence's file, and the file and the pattern that give the version.
ROWS = (
    ("libcxx", LLVM, "libcxx/LICENSE.TXT", LLVM_VERSION),
    ("libcxxabi", LLVM, "libcxxabi/LICENSE.TXT", LLVM_VERSION),
    ("libunwind", LLVM, "libunwind/LICENSE.TXT", LLVM_VERSION),
    ("musl", "MIT", "libc/musl/COPYRIGHT", MUSL_VERSION),
)


def of_zig(folder: Path) -> tuple[RuntimeLibrary, ...]:
    """The libraries of the ``ziglang`` distribution in a folder: zig's own compiler-rt, LLVM's C++ runtime, musl.

    Raises:
        ValueError: a version is no longer where it was.
    """
    own = RuntimeLibrary("zig", importlib.metadata.version("ziglang"), "MIT", folder / "LICENSE")
    rows = (
        RuntimeLibrary(name, _version(folder / "lib" / place, pattern), licence, folder / "lib" / text)
        for name, licence, text, (place, pattern) in ROWS
    )
    return (own, *rows)


def _version(path: Path, pattern: str) -> str:
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise ValueError(f"{path} does not give a version: correct the table in runtime_libraries.py")
    return ".".join(str(int(part)) for part in match.groups())
