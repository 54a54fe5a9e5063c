"""A shared library as a provider should build one: named by its SONAME, sealed, and exporting its API only.

What that means for each format of files is in :mod:`sharedlib_loader.build.object_formats`.
"""

from __future__ import annotations

import re
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
        sources: the C files.
        exports: the names that it exports; everything else is local to it.
        flags: compiler flags of this library.
        libraries: linker flags such as ``-ldl``.
    """

    soname: str
    sources: tuple[Path, ...]
    exports: tuple[str, ...]
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

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
        # No path of the build machine in the file: assert() puts __FILE__ there.
        mapped = [f"-ffile-prefix-map={source}/=" for source in {source.parent for source in self.sources}]
        form = toolchain.format
        objects = toolchain.compile(self.sources, [*COMPILE, *form.compile, *self.flags, *mapped], work)
        output = folder / form.file_name(self.soname)
        try:
            interface = form.interface(output, self.exports, objects, work)
        except ValueError as error:
            raise BuildError(str(error)) from error
        toolchain.link_dynamic(objects, [*form.link, *interface, *self.libraries], output, work)
        if toolchain.libc == "musl":
            shim = folder / f"{output.name}.shim"
            flags = [*SHIM, str(output), f"-Wl,-soname,{shim.name}"]
            toolchain.link(toolchain.cc, toolchain.nothing(work), flags, shim)
        return output


def public_names(header: Path, prefix: str) -> tuple[str, ...]:
    """The functions that a C header declares whose names begin with ``prefix``, sorted.

    A reading by pattern, not by a C parser: it wants names followed by ``(`` outside comments and macros, which is
    how plain C libraries declare. The linker refuses a name that the library does not define.
    """
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", "", text, flags=re.MULTILINE)
    return tuple(sorted(set(re.findall(rf"\b({re.escape(prefix)}\w+)\s*\(", text))))
