"""Build flatc as one static executable for the scripts folder, libflatdb for each LMDB engine, and copy the schema.

LMDB is not built here, and no library of it is linked in: libflatdb needs its SONAME. The headers are those of the
build requirement liblmdb-wheel, and what is linked with is a stand-in made of them, so that a build for another
platform takes no LMDB of that platform.
"""

import shutil
from pathlib import Path

from setuptools import setup

import liblmdb_wheel
from sharedlib_loader.build import (
    BuildError,
    SharedObject,
    Toolchain,
    compile_flags,
    native_wheel,
    public_names,
    stand_in,
)

ROOT = Path(__file__).resolve().parent
UPSTREAM = ROOT / "upstream" / "flatbuffers"
FLATDB = ROOT / "flatdb"
HEADER = FLATDB / "flatdb.h"

# engine: SONAME of libflatdb, and of the LMDB that it needs
ENGINES = {"0.9": ("libflatdb.so.0", "liblmdb.so.0"), "1.0": ("libflatdb.so.1", "liblmdb.so.1")}

CXX = (
    "-std=c++17", "-DNDEBUG",
    "-DFLATBUFFERS_LOCALE_INDEPENDENT=0",  # musl has no strtoll_l; flatc stays in the C locale anyway
    "-fsigned-char",  # as upstream's CMake: the default differs by architecture
    "-ffunction-sections", "-fdata-sections",
    f"-ffile-prefix-map={UPSTREAM}/=",
    f"-I{UPSTREAM}", f"-I{UPSTREAM / 'include'}",
)  # fmt: skip

FLATC = (
    *CXX,
    "-O2", "-g0", "-fstack-protector-strong", "-fno-sanitize=undefined",
    *(f"-I{UPSTREAM / folder}" for folder in ("grpc", "src")),
)  # fmt: skip

# FlatBuffers' parser, which needs no LMDB: one object serves both engines.
PARSER = FLATDB / "flatbuffers.cpp"

# Defines a macro named to_string, so nothing can be compiled after it in one unit.
ALONE = Path("grpc/src/compiler/java_generator.cc")


def translation_units(work: Path) -> list[Path]:
    """Files that include the sources: half the compile time of forty, two large ones for two cores.

    Two and not one because the Kotlin generators, neighbours in the list, define the same names in their anonymous
    namespaces.
    """
    sources = sorted(p.relative_to(UPSTREAM) for p in UPSTREAM.rglob("*") if p.suffix in (".cpp", ".cc"))
    if ALONE not in sources:
        raise BuildError(f"{UPSTREAM} is incomplete. In a checkout, run: python -m vendor fetch")
    sources.remove(ALONE)
    work.mkdir(parents=True, exist_ok=True)
    units = []
    for name, part in (("even", sources[0::2]), ("odd", sources[1::2]), ("alone", [ALONE])):
        unit = work / f"flatc_{name}.cpp"
        unit.write_text("".join(f'#include "{source.as_posix()}"\n' for source in part), encoding="utf-8")
        units.append(unit)
    return units


def build_flatc(toolchain: Toolchain, scripts: Path, work: Path) -> None:
    form = toolchain.format
    objects = toolchain.compile(translation_units(work / "flatc"), [*FLATC, *form.program_compile], work / "flatc")
    toolchain.link(toolchain.cxx, objects, form.program_link, scripts / f"flatc{form.suffix}")


def build_flatdb(toolchain: Toolchain, package: Path, work: Path) -> None:
    parser = toolchain.compile([PARSER], [*compile_flags(toolchain, [PARSER]), *CXX], work / "parser")
    for engine, (soname, lmdb) in ENGINES.items():
        include = liblmdb_wheel.include_dir(engine)
        library = SharedObject(
            soname=soname,
            sources=tuple(sorted(set(FLATDB.glob("*.cpp")) - {PARSER})),
            exports=public_names(HEADER, "flatdb_"),
            flags=(*CXX, f"-I{include}"),
            objects=tuple(parser),
            needs=(stand_in(lmdb, public_names(include / "lmdb.h", "mdb_"), toolchain, work),),
        )
        library.build(toolchain, package / "lib", work)
    (package / "include").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HEADER, package / "include" / HEADER.name)


def copy_reflection_schema(package: Path) -> None:
    (package / "schema").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(UPSTREAM / "reflection" / "reflection.fbs", package / "schema" / "reflection.fbs")


def build_package(toolchain: Toolchain, package: Path, work: Path) -> None:
    build_flatdb(toolchain, package, work)
    copy_reflection_schema(package)


setup(
    **native_wheel(
        "flatc_wheel",
        static=True,
        build_package=build_package,
        scripts=("flatc",),
        build_executables=build_flatc,
    )
)
