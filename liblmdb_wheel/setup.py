"""Build both LMDB engines into the wheel, and what extends them, each as one file named by its SONAME, with headers."""

import shutil
from pathlib import Path

from setuptools import setup

from sharedlib_loader.build import BuildError, SharedObject, Toolchain, native_wheel, public_names

ROOT = Path(__file__).resolve().parent
UPSTREAM = ROOT / "upstream"

# engine: SONAME, sources, libraries. The SONAMEs are those that Debian gives 0.9 and upstream's Makefile gives 1.0.
ENGINES = {
    "0.9": ("liblmdb.so.0", ("mdb.c", "midl.c"), ()),
    "1.0": ("liblmdb.so.1", ("mdb.c", "midl.c", "module.c"), ("-ldl",)),
}

# header: SONAME, sources, prefixes of the exported functions, engines. They are compiled against the first engine's
# header, and theirs goes beside each one's. None links an engine: they are handed its functions, or called by it.
EXTENSIONS = {
    "bulk/lmdb_bulk.h": ("liblmdb_bulk.so.0", ("bulk/lmdb_bulk.c",), ("lmdb_bulk_",), ("0.9", "1.0")),
    "fast/lmdb_fast.h": ("liblmdb_fast.so.0", ("fast/lmdb_fast.c",), ("lmdb_fast_",), ("0.9", "1.0")),
    "pages/lmdb_pages.h": (
        "liblmdb_pages.so.0",
        ("pages/lmdb_pages.c", "upstream/monocypher/monocypher.c"),
        ("lmdb_pages_", "MDB_"),
        ("1.0",),
    ),
}

# What the process that loads a library has, and no library that it could be linked with: CPython's stable ABI.
FROM_THE_PROCESS = {"liblmdb_fast.so.0": ("-Wl,-z,undefs",)}

# As upstream builds it: zig defines NDEBUG with any -O, and LMDB's own consistency checks would be gone.
FLAGS = ("-UNDEBUG",)

# Zig's compiler makes conditional moves of the branches in LMDB's binary search, so that each step waits for the
# comparison before it; as branches they are guessed, and memory is fetched ahead. Looking up or storing 1,000 keys at
# once takes a sixth less time.
ZIG_FLAGS = ("-fomit-frame-pointer", "-mllvm", "-x86-cmov-converter-force-all=true")


def build_engines(toolchain: Toolchain, package: Path, work: Path) -> None:
    for engine, (soname, sources, libraries) in ENGINES.items():
        folder = UPSTREAM / f"lmdb-{engine}"
        header = folder / "lmdb.h"
        if not header.exists():
            raise BuildError(f"{header} is missing. In a checkout, run: python -m vendor fetch")
        library = SharedObject(
            soname=soname,
            sources=tuple(folder / name for name in sources),
            exports=public_names(header, "mdb_"),
            flags=(*FLAGS, *(ZIG_FLAGS if toolchain.cache else ())),
            libraries=libraries,
        )
        library.build(toolchain, package / "lib", work)
        (package / "include" / engine).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(header, package / "include" / engine / "lmdb.h")


def build_extensions(toolchain: Toolchain, package: Path, work: Path) -> None:
    for name, (soname, sources, prefixes, engines) in EXTENSIONS.items():
        header = ROOT / name
        included = dict.fromkeys([UPSTREAM / f"lmdb-{engines[0]}", *((ROOT / source).parent for source in sources)])
        library = SharedObject(
            soname=soname,
            sources=tuple(ROOT / source for source in sources),
            exports=tuple(export for prefix in prefixes for export in public_names(header, prefix)),
            flags=(*FLAGS, *(f"-I{folder}" for folder in included)),
            libraries=FROM_THE_PROCESS.get(soname, ()),
        )
        library.build(toolchain, package / "lib", work)
        for engine in engines:
            shutil.copyfile(header, package / "include" / engine / header.name)


def build_package(toolchain: Toolchain, package: Path, work: Path) -> None:
    build_engines(toolchain, package, work)
    build_extensions(toolchain, package, work)


setup(**native_wheel("liblmdb_wheel", build_package=build_package))
