"""What this project expects of its wheels, as tables: what each is, holds, exports, needs and is made of.

Written down again on purpose, and not taken from what builds the wheels: a mistake there is to be seen here. What is
taken is the table of targets, which the tags are held against, and the lock of third-party sources.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sharedlib_loader.build.targets import Libc

# The table of targets has each system's own names of machines.
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
SYSTEMS: dict[Libc, str] = {"glibc": "Linux", "musl": "Linux", "libSystem": "macOS", "UCRT": "Windows"}

FORMATS = {"Linux": "ELF", "macOS": "Mach-O", "Windows": "PE"}


@dataclass(frozen=True)
class Api:
    """What a library exports: the functions of a header, by the beginning of their names.

    Attributes:
        header: the header in the wheel.
        prefixes: what the names begin with.
        everywhere: whether the library is in the wheels of every system, not of Linux alone.
        provided: the SONAME of a library in another distribution's wheel that it needs, which the loader loads before.
    """

    header: str
    prefixes: tuple[str, ...]
    everywhere: bool = True
    provided: str | None = None


@dataclass(frozen=True)
class Distribution:
    """One of the project's distributions.

    Attributes:
        name: as file names have it; also the import package's.
        folder: the project's folder in the checkout, whose Python files are those of the wheel.
        license: the SPDX expression of its own code.
        sources: what is compiled into it, by the names in the lock of third-party sources.
        libraries: its libraries by SONAME, with what they export.
        tools: its programs beside the libraries, by engine and name.
        scripts: its programs for the environment's scripts folder.
        data: its other files, in the package.
        linux_data: those of Linux alone.
        links: folders in which a linker finds what -llmdb stands for.
        entry_points: whether it has some: libraries and bindings that the loader finds by them, or commands.
        cxx: whether C++ is in it, with the runtime of that; its programs need no library, and on Linux are for both C
            libraries.
    """

    name: str
    folder: str
    license: str = "MIT"
    sources: tuple[str, ...] = ()
    libraries: dict[str, Api] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    linux_data: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    entry_points: bool = False
    cxx: bool = False

    @property
    def pure(self) -> bool:
        return not self.sources


ENGINES = ("0.9", "1.0")

# By system: what a linker finds for -llmdb, and what the name of a program ends with.
LINKS = {"Linux": "liblmdb.so", "macOS": "liblmdb.tbd", "Windows": "lmdb.lib"}
SUFFIXES = {"Linux": "", "macOS": "", "Windows": ".exe"}

DISTRIBUTIONS = {
    one.name: one
    for one in (
        Distribution("sharedlib_loader", "loader"),
        Distribution("lmdb_bindings", "lmdb_bindings", entry_points=True),
        Distribution(
            "liblmdb_wheel",
            "liblmdb_wheel",
            sources=("lmdb-0.9", "lmdb-1.0", "monocypher"),
            libraries={
                "liblmdb.so.0": Api("engines/0.9/include/lmdb.h", ("mdb_",)),
                "liblmdb.so.1": Api("engines/1.0/include/lmdb.h", ("mdb_",)),
                "liblmdb_bulk.so.0": Api("engines/0.9/include/lmdb_bulk.h", ("lmdb_bulk_",)),
                "liblmdb_fast.so.0": Api("engines/0.9/include/lmdb_fast.h", ("lmdb_fast_",), everywhere=False),
                "liblmdb_pages.so.0": Api("engines/1.0/include/lmdb_pages.h", ("lmdb_pages_", "MDB_")),
            },
            tools=tuple(
                f"engines/{engine}/bin/{tool}"
                for engine in ENGINES
                for tool in ("mdb_copy", "mdb_drop", "mdb_dump", "mdb_load", "mdb_stat")
            ),
            data=(
                *(f"engines/{engine}/include/{name}.h" for engine in ENGINES for name in ("lmdb", "lmdb_bulk")),
                "engines/1.0/include/lmdb_pages.h",
                *(f"engines/{engine}/lib/pkgconfig/lmdb.pc" for engine in ENGINES),
                *(f"lib/pkgconfig/{name}.pc" for name in ("lmdb", "lmdb-0.9", "lmdb-1.0")),
                "lib/cmake/liblmdb/liblmdb-config.cmake", "lib/cmake/liblmdb/liblmdb-config-version.cmake",
            ),
            linux_data=tuple(f"engines/{engine}/include/lmdb_fast.h" for engine in ENGINES),
            links=tuple(f"engines/{engine}/lib" for engine in ENGINES),
            entry_points=True,
        ),
        Distribution(
            "flatc_wheel",
            "flatc_wheel",
            sources=("flatbuffers",),
            libraries={
                "libflatdb.so.0": Api("include/flatdb.h", ("flatdb_",), provided="liblmdb.so.0"),
                "libflatdb.so.1": Api("include/flatdb.h", ("flatdb_",), provided="liblmdb.so.1"),
            },
            scripts=("flatc",),
            data=("schema/reflection.fbs", "include/flatdb.h"),
            entry_points=True,
            cxx=True,
        ),
    )
}  # fmt: skip

# -- What native files may need --------------------------------------------------------------------------------------

# The C library's parts, by the table of targets' names; patterns, since Windows' is in many.
NEEDED: dict[Libc, str] = {
    "glibc": r"lib(c\.so\.6|pthread\.so\.0|dl\.so\.2)",
    "musl": r"libc\.musl-{machine}\.so\.1",
    "libSystem": r"/usr/lib/libSystem\.B\.dylib",
    "UCRT": r"(advapi32|kernel32|ntdll|api-ms-win-crt-[a-z]+-l1-1-0)\.dll",
}

# Beside these: what FlatBuffers' parser calls, which has functions of angles.
NEEDED_BY_CXX: dict[Libc, str] = {"glibc": r"libm\.so\.6"}

# glibc's dynamic loader by machine; some keep the stack protector's value there, others what finds the variables of a
# thread (the exceptions of C++ are such), and so it is NEEDED, too.
GLIBC_LOADERS = {
    "x86_64": "/lib64/ld-linux-x86-64.so.2",
    "aarch64": "/lib/ld-linux-aarch64.so.1",
    "armv7l": "/lib/ld-linux-armhf.so.3",
    "riscv64": "/lib/ld-linux-riscv64-lp64d.so.1",
    "ppc64le": "/lib64/ld64.so.2",
    "s390x": "/lib/ld64.so.1",
}

# Where a program beside the libraries looks for them, by system. RPATH and not RUNPATH, so that LD_LIBRARY_PATH does
# not come before it. Windows looks for a DLL where the program is.
TOOLS_SEARCH = {
    "Linux": {("RPATH", "$ORIGIN/../../../lib")},
    "macOS": {("LC_RPATH", "@loader_path/../../../lib")},
    "Windows": set[tuple[str, str]](),
}
SHIM_SEARCH = {("RUNPATH", "$ORIGIN")}

# zig's linker exports these of every Mach-O library, and of programs their header.
OF_THE_LINKER = {"_mh_dylib_header", "__dso_handle", "_mh_execute_header"}

# -- What hardens them -----------------------------------------------------------------------------------------------

PROTECTIONS = {
    "ELF": {
        "RELRO", "BIND_NOW", "no executable stack", "no writable code", "no text relocation", "position-independent",
    },
    "Mach-O": {"no executable stack", "no writable code", "position-independent"},
    "PE": {"ASLR", "high-entropy ASLR", "no executable data", "no writable code"},
}  # fmt: skip

# Beside these: what keeps a library's own calls inside, and the library in the process.
LIBRARY_PROTECTIONS = {"ELF": {"-Bsymbolic", "NODELETE"}, "Mach-O": {"two-level names"}, "PE": set[str]()}

# -- What is in them -------------------------------------------------------------------------------------------------

# What the compiler brings along, by C library: where C++ is in it, and with C alone.
_CXX = {"zig", "libcxx", "libcxxabi", "libunwind"}
CXX_RUNTIME: dict[Libc, set[str]] = {
    "glibc": _CXX | {"musl"},  # on Linux one program for both C libraries, with musl in it
    "musl": _CXX | {"musl"},
    "libSystem": _CXX,
    "UCRT": _CXX | {"mingw-w64"},
}
C_RUNTIME: dict[Libc, set[str]] = {
    "glibc": {"zig"},
    "musl": {"zig"},
    "libSystem": {"zig"},
    "UCRT": {"zig", "mingw-w64"},
}


@dataclass(frozen=True)
class Licence:
    """The licence of a component.

    Attributes:
        expression: in SPDX's terms.
        files: its texts in the wheel's folder of licences.
        words: what is in each of them.
    """

    expression: str
    files: tuple[str, ...]
    words: str


_LLVM = "Apache-2.0 WITH LLVM-exception"

# By the component's name in the bill of materials; ``line`` is the first two numbers of its version.
LICENCES = {
    "lmdb": Licence("OLDAP-2.8", ("upstream/lmdb-{line}/LICENSE", "upstream/lmdb-{line}/COPYRIGHT"), "OpenLDAP"),
    "monocypher": Licence("BSD-2-Clause OR CC0-1.0", ("upstream/monocypher/LICENSE.txt",), "2-clause BSD licence"),
    "flatbuffers": Licence("Apache-2.0", ("upstream/flatbuffers/LICENSE",), "Apache License"),
    "zig": Licence("MIT", ("zig/LICENSE",), "Zig contributors"),
    "libcxx": Licence(_LLVM, ("libcxx/LICENSE.TXT",), "LLVM Exceptions"),
    "libcxxabi": Licence(_LLVM, ("libcxxabi/LICENSE.TXT",), "LLVM Exceptions"),
    "libunwind": Licence(_LLVM, ("libunwind/LICENSE.TXT",), "LLVM Exceptions"),
    "musl": Licence("MIT", ("musl/COPYRIGHT",), "musl"),
    "mingw-w64": Licence("ZPL-2.1", ("mingw-w64/COPYING",), "Zope Public License"),
}
