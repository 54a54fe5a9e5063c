"""Build flatc as one static executable for the scripts folder, and put the reflection schema into the package."""

import shutil
from pathlib import Path

from setuptools import setup

from sharedlib_loader.build import BuildError, Toolchain, native_wheel

UPSTREAM = Path(__file__).resolve().parent / "upstream" / "flatbuffers"

COMPILE = (
    "-std=c++17", "-O2", "-g0", "-DNDEBUG",
    "-DFLATBUFFERS_LOCALE_INDEPENDENT=0",  # musl has no strtoll_l; flatc stays in the C locale anyway
    "-fsigned-char",  # as upstream's CMake: the default differs by architecture
    "-fstack-protector-strong", "-fno-sanitize=undefined",
    "-ffunction-sections", "-fdata-sections",
    f"-ffile-prefix-map={UPSTREAM}/=",
    *(f"-I{UPSTREAM / folder}" for folder in (".", "include", "grpc", "src")),
)  # fmt: skip

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
    objects = toolchain.compile(translation_units(work / "flatc"), [*COMPILE, *form.program_compile], work / "flatc")
    toolchain.link(toolchain.cxx, objects, form.program_link, scripts / f"flatc{form.suffix}")


def copy_reflection_schema(_toolchain: Toolchain, package: Path, _work: Path) -> None:
    (package / "schema").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(UPSTREAM / "reflection" / "reflection.fbs", package / "schema" / "reflection.fbs")


setup(
    **native_wheel(
        "flatc_wheel",
        static=True,
        build_package=copy_reflection_schema,
        scripts=("flatc",),
        build_executables=build_flatc,
    )
)
