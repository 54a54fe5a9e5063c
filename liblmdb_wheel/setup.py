"""Build both LMDB engines into the wheel, and what extends them, each as one file named by its SONAME, with headers.

In the package, ``lib/`` has the libraries, and ``engines/0.9/`` and ``engines/1.0/`` are each what ``make install`` of
that LMDB alone leaves in a prefix, but for the library itself: whatever takes a prefix can be given one.
"""

import os
import re
import shutil
import struct
from pathlib import Path

from setuptools import setup

from sharedlib_loader.build import BuildError, SharedObject, Toolchain, native_wheel, public_names

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

TOOLS = ("mdb_copy", "mdb_drop", "mdb_dump", "mdb_load", "mdb_stat")

# Upstream has mdb_drop since 1.0. Its source is good for 0.9, too, without the modules that 0.9 does not load.
BORROWED_TOOLS = {("0.9", "mdb_drop"): ("1.0", ("-include", str(ROOT / "tools" / "without_modules.h")))}

TOOL_COMPILE = (
    "-O2", "-g0", "-fPIE", "-pthread", "-fno-sanitize=undefined", "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
)  # fmt: skip

TOOL_LINK = (
    "-pie", "-s", "-pthread", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,--gc-sections",
    "-Wl,-rpath,$ORIGIN/../../../lib",  # from engines/<engine>/bin, wherever the package is
    # RPATH, not RUNPATH: LD_LIBRARY_PATH does not come before it, and it also serves the dlopen of mdb_stat's -m.
    "-Wl,--disable-new-dtags",
)  # fmt: skip

PT_DYNAMIC, DT_RPATH, DT_RUNPATH = 2, 15, 29  # ELF gABI, chapter 5

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
    for engine, (soname, _) in ENGINES.items():
        for tool in TOOLS:
            origin, flags = BORROWED_TOOLS.get((engine, tool), (engine, ()))
            source = UPSTREAM / f"lmdb-{origin}" / f"{tool}.c"
            included = (f"-I{UPSTREAM / f'lmdb-{engine}'}", f"-ffile-prefix-map={source.parent}/=")
            objects = toolchain.compile([source], [*TOOL_COMPILE, *included, *flags], work / f"{tool}-{engine}")
            output = package / "engines" / engine / "bin" / tool
            toolchain.link(toolchain.cc, [*objects, package / "lib" / soname], TOOL_LINK, output)
            if toolchain.cache:
                runpath_to_rpath(output)


def runpath_to_rpath(program: Path) -> None:
    """Do what ``--disable-new-dtags`` asks for: zig 0.17.0 takes it, and does not hand it to its linker.

    For the targets of zig here, which are 64-bit and little-endian.
    """
    data = bytearray(program.read_bytes())
    headers = struct.unpack_from("<Q14xHH", data, 32)  # e_phoff, e_phentsize, e_phnum
    for at in range(headers[0], headers[0] + headers[1] * headers[2], headers[1]):
        p_type, p_offset, p_filesz = struct.unpack_from("<I4xQ16xQ", data, at)
        if p_type == PT_DYNAMIC:
            for entry in range(p_offset, p_offset + p_filesz, 16):
                if struct.unpack_from("<q", data, entry) == (DT_RUNPATH,):
                    struct.pack_into("<q", data, entry, DT_RPATH)
    program.write_bytes(data)


def version_of(header: Path) -> str:
    """The version of LMDB that a ``lmdb.h`` is of."""
    text = header.read_text(encoding="utf-8")
    return ".".join(re.findall(r"^#define MDB_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)$", text, re.MULTILINE))


def fill(template: str, target: Path, **values: str) -> None:
    """Write a file from a template, in which ``@name@`` stands for a value."""
    text = (LINK / template).read_text(encoding="utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(re.sub(r"@(\w+)@", lambda match: values[match[1]], text), encoding="utf-8")


def write_link_files(package: Path) -> None:
    """Write what ``-llmdb``, pkg-config and CMake find the libraries by, each relative to its own place."""
    versions = {engine: version_of(package / "engines" / engine / "include" / "lmdb.h") for engine in ENGINES}
    for engine, (soname, _) in ENGINES.items():
        prefix = package / "engines" / engine
        fill("liblmdb.so.in", prefix / "lib" / "liblmdb.so", soname=soname)
        # An engine is known by its name everywhere. In its prefix it is also called as upstream and distributions call
        # the file; and where no prefix was chosen, that name is the default engine's, which is what they have.
        places = [package / "lib" / "pkgconfig" / f"lmdb-{engine}.pc", prefix / "lib" / "pkgconfig" / "lmdb.pc"]
        if engine == DEFAULT:
            places.append(package / "lib" / "pkgconfig" / "lmdb.pc")
        for place in places:
            way = os.path.relpath(prefix, place.parent)
            fill("lmdb.pc.in", place, prefix=way, engine=engine, version=versions[engine], soname=soname)
    targets = [f'lmdb-{engine} {soname} "engines/{engine}/include"' for engine, (soname, _) in ENGINES.items()]
    linkable = {name: soname for name, (soname, *_) in EXTENSIONS.items() if soname not in FROM_THE_PROCESS}
    targets += [f'{Path(name).stem.replace("_", "-")} {soname} ""' for name, soname in linkable.items()]
    cmake = package / "lib" / "cmake" / "liblmdb"
    libraries = "\n".join(f"_liblmdb_add_library({target})" for target in targets)
    fill("liblmdb-config.cmake.in", cmake / "liblmdb-config.cmake", libraries=libraries)
    version_file = "liblmdb-config-version.cmake"
    fill(f"{version_file}.in", cmake / version_file, default=versions[DEFAULT], versions=" ".join(versions.values()))


def build_package(toolchain: Toolchain, package: Path, work: Path) -> None:
    build_engines(toolchain, package, work)
    build_extensions(toolchain, package, work)
    build_tools(toolchain, package, work)
    write_link_files(package)


setup(**native_wheel("liblmdb_wheel", build_package=build_package))
