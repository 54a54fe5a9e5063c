"""A shared library as a provider should build one: named by its SONAME, sealed, and exporting its API only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sharedlib_loader.build.toolchain import BuildError, Toolchain

COMPILE = (
    "-O2", "-g0", "-fPIC", "-pthread",
    "-fno-sanitize=undefined",  # zig's default traps what upstream's own builds let pass
    "-fstack-protector-strong",
    "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
)  # fmt: skip

LINK = (
    "-shared", "-s", "-pthread",
    "-Wl,-Bsymbolic",  # its own calls stay inside, whatever copy is global in the process
    "-Wl,-z,nodelete",  # one consumer's dlclose must not undo the preload for the others
    "-Wl,-z,relro", "-Wl,-z,now",
    "-Wl,-z,defs",  # a symbol that this target lacks fails here, not in a stranger's process
    "-Wl,--gc-sections",
)  # fmt: skip

# musl knows a library by its name only when a search has found it there. So beside the library goes one without code
# that needs it and searches its own folder; the loader opens that too.
SHIM = (
    "-shared", "-s", "-nostdlib",
    "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", "-Wl,--disable-new-dtags",
)  # fmt: skip


@dataclass(frozen=True)
class SharedObject:
    """What to build.

    Attributes:
        soname: the SONAME and the file's name.
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
        """Compile and link into ``folder``, with intermediate files in ``work``; for musl, its shim too.

        Raises:
            BuildError: a source is missing, or the compiler fails.
        """
        if missing := [str(source) for source in self.sources if not source.exists()]:
            raise BuildError(f"sources are missing: {', '.join(missing)}. In a checkout, run: python -m vendor fetch")
        work = work / self.soname
        # No path of the build machine in the file: assert() puts __FILE__ there.
        mapped = [f"-ffile-prefix-map={source}/=" for source in {source.parent for source in self.sources}]
        objects = toolchain.compile(self.sources, [*COMPILE, *self.flags, *mapped], work)
        script = work / "exports.map"
        names = " ".join(f"{name};" for name in self.exports)
        script.write_text(f"{{ global: {names} local: *; }};\n", encoding="utf-8")
        output = folder / self.soname
        named = [f"-Wl,-soname,{self.soname}", f"-Wl,--version-script={script}"]
        toolchain.link(toolchain.cc, objects, [*LINK, *named, *self.libraries], output)
        if toolchain.libc == "musl":
            toolchain.link(
                toolchain.cc, [output], [*SHIM, f"-Wl,-soname,{self.soname}.shim"], folder / f"{self.soname}.shim"
            )
        return output


def public_names(header: Path, prefix: str) -> tuple[str, ...]:
    """The functions that a C header declares whose names begin with ``prefix``, sorted.

    A reading by pattern, not by a C parser: it wants names followed by ``(`` outside comments and macros, which is
    how plain C libraries declare. The linker refuses a name that the library does not define.
    """
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", "", text, flags=re.MULTILINE)
    return tuple(sorted(set(re.findall(rf"\b({re.escape(prefix)}\w+)\s*\(", text))))
