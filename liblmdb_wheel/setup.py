"""Build both LMDB engines into the wheel, and what extends them, each as one file named by its SONAME, with headers.

In the package, ``lib/`` has the libraries, and ``engines/0.9/`` and ``engines/1.0/`` are each what ``make install`` of
that LMDB alone leaves in a prefix, but for the library itself: whatever takes a prefix can be given one.
"""

import os
import re
import shutil
from pathlib import Path

from setuptools import setup

from sharedlib_loader.build import BuildError, SharedObject, Toolchain, native_wheel, public_names
from sharedlib_loader.build.elf_dynamic import runpath_to_rpath
from sharedlib_loader.build.object_formats import ELF, MACH_O, PE

ROOT = Path(__file__).resolve().parent
UPSTREAM = ROOT / "upstream"
LINK = ROOT / "link"  # templates of what compilers and build systems read

# engine: SONAME, sources. The SONAMEs are those that Debian gives 0.9 and upstream's Makefile gives 1.0.
ENGINES = {
    "0.9": ("liblmdb.so.0", ("mdb.c", "midl.c")),
    "1.0": ("liblmdb.so.1", ("mdb.c", "midl.c", "module.c")),
}

# What an engine links beside the C library: it sets Windows' security descriptors, and 1.0 loads modules.
LIBRARIES = {("0.9", "UCRT"): ("-ladvapi32",), ("1.0", "UCRT"): ("-ladvapi32",), ("1.0", "glibc"): ("-ldl",)}

DEFAULT = "0.9"  # where nobody names an engine: the one that distributions have

# header: SONAME, sources, prefixes of the exported functions, engines. They are compiled against the first engine's
# header, and theirs goes beside each one's. None links an engine: they are handed its functions, or called by it.
EXTENSIONS = {
    "bulk/lmdb_bulk.h": ("liblmdb_bulk.so.0", ("bulk/lmdb_bulk.c",), ("lmdb_bulk_",), ("0.9", "1.0")),
    "fast/lmdb_fast.h": (
        "liblmdb_fast.so.0",
        ("fast/objects.c", "fast/transaction.c", "fast/cursor.c", "fast/stand_in.c"),
        ("lmdb_fast_",),
        ("0.9", "1.0"),
    ),
    "pages/lmdb_pages.h": (
        "liblmdb_pages.so.0",
        ("pages/lmdb_pages.c", "upstream/monocypher/monocypher.c"),
        ("lmdb_pages_", "MDB_"),
        ("1.0",),
    ),
}

# What the process that loads a library has, and no library that it could be linked with: CPython's stable ABI. Such a
# library is for Linux: elsewhere nobody has tried it, and the binding does without.
FROM_THE_PROCESS = {"liblmdb_fast.so.0": ("-Wl,-z,undefs",)}

TOOLS = ("mdb_copy", "mdb_drop", "mdb_dump", "mdb_load", "mdb_stat")

# Upstream has mdb_drop since 1.0. Its source is good for 0.9, too, without the modules that 0.9 does not load.
BORROWED_TOOLS = {("0.9", "mdb_drop"): ("1.0", ("-include", str(ROOT / "tools" / "without_modules.h")))}

TOOL_COMPILE = (
    "-O2", "-g0", "-fno-sanitize=undefined", "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
)  # fmt: skip

TO_LIBRARIES = "../../../lib"  # from engines/<engine>/bin, wherever the package is

# What -llmdb finds in an engine's prefix: wheels hold no symbolic links, and a copy would be another library. A script
# for GNU's linkers and LLVM's, a stub in text for Apple's, the import library for Windows'.
LINKS = {ELF: "liblmdb.so", MACH_O: "liblmdb.tbd", PE: "lmdb.lib"}

# As upstream builds it: zig defines NDEBUG with any -O, and LMDB's own consistency checks would be gone.
FLAGS = ("-UNDEBUG",)

# Zig's compiler makes conditional moves of the branches in LMDB's binary search, so that each step waits for the
# comparison before it; as branches they are guessed, and memory is fetched ahead. Looking up or storing 1,000 keys at
# once takes a sixth less time.
ZIG_FLAGS = ("-fomit-frame-pointer", "-mllvm", "-x86-cmov-converter-force-all=true")


def build_engines(toolchain: Toolchain, package: Path, work: Path) -> None:
    for engine, (soname, sources) in ENGINES.items():
        folder = UPSTREAM / f"lmdb-{engine}"
        header = folder / "lmdb.h"
        if not header.exists():
            raise BuildError(f"{header} is missing. In a checkout, run: python -m vendor fetch")
        library = SharedObject(
            soname=soname,
            sources=tuple(folder / name for name in sources),
            exports=public_names(header, "mdb_"),
            flags=(*FLAGS, *(ZIG_FLAGS if toolchain.cache else ())),
            libraries=LIBRARIES.get((engine, toolchain.libc), ()),
        )
        library.build(toolchain, package / "lib", work)
        include = package / "engines" / engine / "include"
        include.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(header, include / "lmdb.h")


def build_extensions(toolchain: Toolchain, package: Path, work: Path) -> None:
    for name, (soname, sources, prefixes, engines) in EXTENSIONS.items():
        if soname in FROM_THE_PROCESS and toolchain.format is not ELF:
            continue
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
            shutil.copyfile(header, package / "engines" / engine / "include" / header.name)


def build_tools(toolchain: Toolchain, package: Path, work: Path) -> None:
    form = toolchain.format
    for engine, (soname, engine_sources) in ENGINES.items():
        folder = UPSTREAM / f"lmdb-{engine}"
        libraries = LIBRARIES.get((engine, toolchain.libc), ())
        if form is PE:
            # Windows finds no library from a program's folder but beside it: the engine goes into each tool.
            engine_flags = [*TOOL_COMPILE, *FLAGS, f"-ffile-prefix-map={folder}/="]
            engine_code = toolchain.compile([folder / name for name in engine_sources], engine_flags, work / engine)
            link = [*form.program_link, *libraries]
        else:
            engine_code = [package / "lib" / form.file_name(soname)]
            link = [*form.program_link, *form.run_path(TO_LIBRARIES)]
        for tool in TOOLS:
            origin, flags = BORROWED_TOOLS.get((engine, tool), (engine, ()))
            source = UPSTREAM / f"lmdb-{origin}" / f"{tool}.c"
            included = (f"-I{folder}", f"-ffile-prefix-map={source.parent}/=")
            tool_flags = [*TOOL_COMPILE, *form.program_compile, *included, *flags]
            objects = toolchain.compile([source], tool_flags, work / f"{tool}-{engine}")
            output = package / "engines" / engine / "bin" / (tool + form.suffix)
            toolchain.link_dynamic(toolchain.cc, [*objects, *engine_code], link, output, work / f"{tool}-{engine}")
            if form is ELF and toolchain.cache:
                runpath_to_rpath(output)


def version_of(header: Path) -> str:
    """The version of LMDB that a ``lmdb.h`` is of."""
    text = header.read_text(encoding="utf-8")
    return ".".join(re.findall(r"^#define MDB_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)$", text, re.MULTILINE))


def fill(template: str, target: Path, **values: str) -> None:
    """Write a file from a template, in which ``@name@`` stands for a value."""
    text = (LINK / template).read_text(encoding="utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(re.sub(r"@(\w+)@", lambda match: values[match[1]], text), encoding="utf-8")


def write_link(toolchain: Toolchain, library: Path, prefix: Path) -> None:
    """Write what ``-llmdb`` finds in an engine's prefix."""
    form = toolchain.format
    link = prefix / "lib" / LINKS[form]
    if form is PE:
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library.with_suffix(".lib"), link)
        return
    symbols = ", ".join(f"_{name}" for name in public_names(prefix / "include" / "lmdb.h", "mdb_"))
    fill(f"{link.name}.in", link, library=library.name, machine=toolchain.machine, symbols=symbols)


def write_link_files(toolchain: Toolchain, package: Path) -> None:
    """Write what ``-llmdb``, pkg-config and CMake find the libraries by, each relative to its own place."""
    form = toolchain.format
    versions = {engine: version_of(package / "engines" / engine / "include" / "lmdb.h") for engine in ENGINES}
    for engine, (soname, _) in ENGINES.items():
        prefix = package / "engines" / engine
        write_link(toolchain, package / "lib" / toolchain.format.file_name(soname), prefix)
        # An engine is known by its name everywhere. In its prefix it is also called as upstream and distributions call
        # the file; and where no prefix was chosen, that name is the default engine's, which is what they have.
        places = [package / "lib" / "pkgconfig" / f"lmdb-{engine}.pc", prefix / "lib" / "pkgconfig" / "lmdb.pc"]
        if engine == DEFAULT:
            places.append(package / "lib" / "pkgconfig" / "lmdb.pc")
        for place in places:
            way = os.path.relpath(prefix, place.parent)
            fill("lmdb.pc.in", place, prefix=way, engine=engine, version=versions[engine], soname=soname)
    linkable = {f"lmdb-{engine}": (soname, f"engines/{engine}/include") for engine, (soname, _) in ENGINES.items()}
    linkable |= {
        Path(name).stem.replace("_", "-"): (soname, "")
        for name, (soname, *_) in EXTENSIONS.items()
        if soname not in FROM_THE_PROCESS
    }
    targets = [
        f'{name} {form.recorded_name(soname)} {form.file_name(soname)} {form.linked_name(soname)} "{include}"'
        for name, (soname, include) in linkable.items()
    ]
    cmake = package / "lib" / "cmake" / "liblmdb"
    libraries = "\n".join(f"_liblmdb_add_library({target})" for target in targets)
    fill("liblmdb-config.cmake.in", cmake / "liblmdb-config.cmake", libraries=libraries)
    version_file = "liblmdb-config-version.cmake"
    fill(f"{version_file}.in", cmake / version_file, default=versions[DEFAULT], versions=" ".join(versions.values()))


def build_package(toolchain: Toolchain, package: Path, work: Path) -> None:
    build_engines(toolchain, package, work)
    build_extensions(toolchain, package, work)
    build_tools(toolchain, package, work)
    write_link_files(toolchain, package)


setup(**native_wheel("liblmdb_wheel", build_package=build_package))
