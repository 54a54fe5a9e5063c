"""Build both LMDB engines into the wheel, each as one file named by its SONAME, with its header beside it."""

import shutil
from pathlib import Path

from setuptools import setup

from sharedlib_loader.build import BuildError, SharedObject, Toolchain, native_wheel, public_names

UPSTREAM = Path(__file__).resolve().parent / "upstream"

# engine: SONAME, sources, libraries. The SONAMEs are those that Debian gives 0.9 and upstream's Makefile gives 1.0.
ENGINES = {
    "0.9": ("liblmdb.so.0", ("mdb.c", "midl.c"), ()),
    "1.0": ("liblmdb.so.1", ("mdb.c", "midl.c", "module.c"), ("-ldl",)),
}

# As upstream builds it: zig defines NDEBUG with any -O, and LMDB's own consistency checks would be gone.
FLAGS = ("-UNDEBUG",)


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
            flags=FLAGS,
            libraries=libraries,
        )
        library.build(toolchain, package / "lib", work)
        (package / "include" / engine).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(header, package / "include" / engine / "lmdb.h")


setup(**native_wheel("liblmdb_wheel", build_package=build_engines))
