"""What zig links into a file beside the code that it is given: names, versions, licences."""

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
MINGW_VERSION = (
    "libc/include/any-windows-any/_mingw_mac.h",
    r"_MAJOR (\d+)$(?:.|\n)*?_MINOR (\d+)$(?:.|\n)*?_BUGFIX (\d+)$",
)

# Name, licence, and in zig's library folder the licence's file, and the file and the pattern that give the version.
CXX = (
    ("libcxx", LLVM, "libcxx/LICENSE.TXT", LLVM_VERSION),
    ("libcxxabi", LLVM, "libcxxabi/LICENSE.TXT", LLVM_VERSION),
    ("libunwind", LLVM, "libunwind/LICENSE.TXT", LLVM_VERSION),
)
MUSL = (("musl", "MIT", "libc/musl/COPYRIGHT", MUSL_VERSION),)
MINGW = (("mingw-w64", "ZPL-2.1", "libc/mingw/COPYING", MINGW_VERSION),)

# The C library's part: musl is inside a static executable, MinGW-w64's start-up code inside every file of Windows.
OF_THE_LIBC = {("musl", True): MUSL, ("UCRT", True): MINGW, ("UCRT", False): MINGW}


def of_zig(folder: Path, libc: str, *, static: bool) -> tuple[RuntimeLibrary, ...]:
    """The libraries of the ``ziglang`` distribution in a folder: zig's own compiler-rt, and what a platform adds.

    Args:
        folder: the folder of the import package ``ziglang``.
        libc: the C library that files are linked for.
        static: they are executables in C++ that link nothing: LLVM's C++ runtime is inside.

    Raises:
        ValueError: a version is no longer where it was.
    """
    own = RuntimeLibrary("zig", importlib.metadata.version("ziglang"), "MIT", folder / "LICENSE")
    rows = (
        RuntimeLibrary(name, _version(folder / "lib" / place, pattern), licence, folder / "lib" / text)
        for name, licence, text, (place, pattern) in (*(CXX if static else ()), *OF_THE_LIBC.get((libc, static), ()))
    )
    return (own, *rows)


def _version(path: Path, pattern: str) -> str:
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise ValueError(f"{path} does not give a version: correct the table in runtime_libraries.py")
    return ".".join(str(int(part)) for part in match.groups())
