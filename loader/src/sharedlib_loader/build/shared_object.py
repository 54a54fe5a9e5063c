"""A shared library as a provider should build one: named by its SONAME, sealed, and exporting its API only.

What that means for each format of files is in :mod:`sharedlib_loader.build.object_formats`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sharedlib_loader.build.toolchain import EMPTY, BuildError, Toolchain

COMPILE = (
    "-O2", "-g0",
    "-fno-sanitize=undefined",  # zig's default traps what upstream's own builds let pass
    "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
)  # fmt: skip

# musl knows a library by its name only when a search has found it there. So beside the library goes one without code
# that needs it and searches its own folder; the loader opens that too. (To musl, RPATH and RUNPATH are the same.)
SHIM = (*EMPTY, "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed")


@dataclass(frozen=True)
class SharedObject:
    """What to build.

    Attributes:
        soname: the SONAME, ``libname.so.1``, which is the file's name on Linux; other systems' names are made of it.
        sources: the C and C++ files. The runtime of C++ is linked in, by zig.
        exports: the names that it exports; everything else is local to it.
        flags: compiler flags of this library.
        libraries: linker flags such as ``-ldl``.
        objects: further object files, compiled before with :func:`compile_flags`, since several libraries have them.
        needs: the libraries that it is linked with and finds loaded, such as :func:`stand_in` makes them.
    """

    soname: str
    sources: tuple[Path, ...]
    exports: tuple[str, ...]
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    objects: tuple[Path, ...] = ()
    needs: tuple[Path, ...] = ()

    def build(self, toolchain: Toolchain, folder: Path, work: Path) -> Path:
        """Compile and link into ``folder``, with intermediate files in ``work``.

        Beside the library goes its shim for musl, its import library for Windows.

        Returns:
            The library's file.

        Raises:
            BuildError: a source is missing, the compiler fails, or the library lacks a promised export.
        """
        if missing := [str(source) for source in self.sources if not source.exists()]:
            raise BuildError(f"sources are missing: {', '.join(missing)}. In a checkout, run: python -m vendor fetch")
        work = work / self.soname
        form = toolchain.format
        compiled = toolchain.compile(self.sources, [*compile_flags(toolchain, self.sources), *self.flags], work)
        objects = [*compiled, *self.objects]
        compiler = toolchain.cc if all(source.suffix == ".c" for source in self.sources) else toolchain.cxx
        if compiler == toolchain.cxx and toolchain.beside_cxx:
            source = Path(__file__).with_name(toolchain.beside_cxx[0])
            flags = [*compile_flags(toolchain, [source]), *toolchain.beside_cxx[1:]]
            objects += toolchain.compile([source], flags, work / "beside_cxx")
        output = folder / form.file_name(self.soname)
        try:
            interface = form.interface(output, self.exports, objects, work)
        except ValueError as error:
            raise BuildError(str(error)) from error
        toolchain.link_dynamic(
            compiler, [*objects, *self.needs], [*form.link, *interface, *self.libraries], output, work
        )
        if toolchain.libc == "musl":
            shim = folder / f"{output.name}.shim"
            flags = [*SHIM, str(output), f"-Wl,-soname,{shim.name}"]
            toolchain.link(toolchain.cc, toolchain.nothing(work), flags, shim)
        return output


def compile_flags(toolchain: Toolchain, sources: Iterable[Path]) -> list[str]:
    """The compiler flags of a library's sources, which have no path of the build machine in them.

    ``assert()`` puts ``__FILE__`` there.
    """
    mapped = [f"-ffile-prefix-map={folder}/=" for folder in sorted({source.parent for source in sources})]
    return [*COMPILE, *toolchain.format.compile, *mapped]


def stand_in(soname: str, names: Iterable[str], toolchain: Toolchain, work: Path) -> Path:
    """A library without code that has the SONAME and the functions of another, to link with in its place.

    What links it needs the SONAME, and finds the real one loaded. So building for a platform takes no file of that
    platform.

    Args:
        soname: the other library's.
        names: its functions.
        toolchain: of the platform.
        work: for intermediate files; the library is in a folder of its own there.

    Returns:
        What the linker takes.
    """
    folder = work / "stand_ins"  # and not one named like a library: zig would not take the file for one
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{soname}.c"
    source.write_text("".join(f"void {name}(void) {{}}\n" for name in names), encoding="utf-8")
    library = SharedObject(soname, (source,), tuple(names))
    return library.build(toolchain, folder, work).with_name(toolchain.format.linked_name(soname))


def public_names(header: Path, prefix: str) -> tuple[str, ...]:
    """The functions that a C header declares whose names begin with ``prefix``, sorted.

    A reading by pattern, not by a C parser: it wants names followed by ``(`` outside comments, macros and type
    definitions, which is how plain C libraries declare. The linker refuses a name that the library does not define.
    """
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", "", text, flags=re.MULTILINE)
    text = re.sub(r"\btypedef\b[^;{]*;", "", text)
    return tuple(sorted(set(re.findall(rf"\b({re.escape(prefix)}\w+)\s*\(", text))))
