"""The three formats of native files: what a library is called in each, how its exports are listed, and its flags.

A library is described once, by its SONAME (``libname.so.1``), as ELF has it. Each format makes its own names of that.
Programs, too, have a name and flags in each.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

from sharedlib_loader._runtime import _Elf, _MachO, _Windows


class ObjectFormat(ABC):
    """What differs between the formats when a library is built.

    Attributes:
        names: the loader's rules for the names of libraries.
        compile: compiler flags of a library's sources.
        link: linker flags of a library.
        program_compile: compiler flags of a program's sources.
        program_link: linker flags of a program.
        suffix: what the name of a program ends with.
    """

    names: _Elf
    compile: tuple[str, ...]
    link: tuple[str, ...]
    program_compile: tuple[str, ...]
    program_link: tuple[str, ...]
    suffix: str

    def file_name(self, soname: str) -> str:
        """What a library's file is called."""
        return self.names.file_name(soname)

    def recorded_name(self, soname: str) -> str:
        """What whoever links a library records of it, to find it again."""
        return self.names.recorded_name(soname)

    def linked_name(self, soname: str) -> str:
        """The file that a linker is given: the library itself, or one beside it."""
        return self.file_name(soname)

    @abstractmethod
    def run_path(self, way: str) -> list[str]:
        """The linker flags by which a program finds its libraries: ``way`` leads to them from the program's folder.

        Raises:
            ValueError: programs of this format find no library but beside themselves, or by ``PATH``.
        """

    @abstractmethod
    def interface(self, library: Path, exports: Sequence[str], objects: Iterable[Path], work: Path, /) -> list[str]:
        """The linker flags that name the library and let nothing but the exports out of it.

        Args:
            library: the file to be.
            exports: the functions, as C spells them.
            objects: what is linked; a format whose linker takes no list of exports changes them.
            work: for files that the linker reads.

        Raises:
            ValueError: an export is not in the objects, and the linker would not say so.
        """


class Elf(ObjectFormat):
    """Linux: known by its SONAME."""

    names = _Elf()
    compile = ("-fPIC", "-pthread")
    link = (
        "-shared", "-s", "-pthread",
        "-Wl,-Bsymbolic",  # its own calls stay inside, whatever copy is global in the process
        "-Wl,-z,nodelete",  # one consumer's dlclose must not undo the preload for the others
        "-Wl,-z,relro", "-Wl,-z,now",
        "-Wl,-z,defs",  # a symbol that this target lacks fails here, not in a stranger's process
        "-Wl,--gc-sections",
    )  # fmt: skip
    program_compile = ("-fPIE", "-pthread")
    program_link = ("-pie", "-s", "-pthread", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,--gc-sections")
    suffix = ""

    def run_path(self, way: str) -> list[str]:
        # RPATH, not RUNPATH: LD_LIBRARY_PATH does not come before it, and it also serves what the program dlopens.
        return [f"-Wl,-rpath,$ORIGIN/{way}", "-Wl,--disable-new-dtags"]

    def interface(self, library: Path, exports: Sequence[str], _objects: Iterable[Path], work: Path) -> list[str]:
        script = work / "exports.map"
        names = " ".join(f"{name};" for name in exports)
        script.write_text(f"{{ global: {names} local: *; }};\n", encoding="utf-8")
        return [f"-Wl,-soname,{library.name}", f"-Wl,--version-script={script}"]


class MachO(ObjectFormat):
    """macOS: known by its install name, which consumers copy. Calls inside stay inside, by two-level namespaces.

    zig's linker exports ``__mh_dylib_header`` and ``___dso_handle`` of every library, which no C program names.
    """

    names = _MachO()
    compile = ("-fPIC", "-pthread")
    link = (
        "-dynamiclib", "-s", "-pthread",
        "-Wl,-compatibility_version,1.0.0",  # the name has the major version, and is the whole of the promise
        "-Wl,-headerpad_max_install_names",  # delocate and install_name_tool can write longer names
        "-Wl,-dead_strip",
    )  # fmt: skip
    program_compile = ("-fPIE", "-pthread")
    program_link = ("-s", "-pthread", "-Wl,-headerpad_max_install_names", "-Wl,-dead_strip")
    suffix = ""

    def run_path(self, way: str) -> list[str]:
        return [f"-Wl,-rpath,@loader_path/{way}"]

    def interface(self, library: Path, exports: Sequence[str], objects: Iterable[Path], _work: Path) -> list[str]:
        # By the objects, since zig 0.17.0 takes -exported_symbols_list and does not heed it.
        defined = set().union(*(hide_symbols(path, {f"_{name}" for name in exports}) for path in objects))
        if missing := sorted(name for name in exports if f"_{name}" not in defined):
            raise ValueError(f"{library.name} does not define what it should export: {', '.join(missing)}")
        return [f"-Wl,-install_name,@rpath/{library.name}"]


class Pe(ObjectFormat):
    """Windows: known by its file name alone. Consumers link the import library beside it, ``libname-1.lib``."""

    names = _Windows()
    compile = ()
    link = (
        "-shared", "-s",
        "-Wl,/Brepro",  # a hash in place of the time
        "-Wl,--gc-sections",
    )  # fmt: skip
    program_compile = ()
    program_link = ("-s", "-Wl,/Brepro", "-Wl,--gc-sections")
    suffix = ".exe"

    def run_path(self, way: str) -> list[str]:
        raise ValueError(f"a program of Windows does not find libraries in {way}: link what it needs into it")

    def linked_name(self, soname: str) -> str:
        return self.file_name(soname).removesuffix(".dll") + ".lib"

    def interface(self, library: Path, exports: Sequence[str], _objects: Iterable[Path], work: Path) -> list[str]:
        # Without a list everything is exported, the C runtime's own start-up code too.
        script = work / "exports.def"
        names = "".join(f"  {name}\n" for name in exports)
        script.write_text(f"LIBRARY {library.name}\nEXPORTS\n{names}", encoding="utf-8")
        return [str(script), f"-Wl,--out-implib,{library.with_suffix('.lib')}"]


ELF, MACH_O, PE = Elf(), MachO(), Pe()

# mach-o/loader.h and mach-o/nlist.h, for 64 bits.
MH_MAGIC_64, LC_SYMTAB = 0xFEEDFACF, 0x2
N_PEXT, N_EXT, N_TYPE, N_UNDF = 0x10, 0x01, 0x0E, 0x0


def hide_symbols(path: Path, shown: set[str]) -> set[str]:
    """Make the global symbols of a Mach-O object file local to the library that it is linked into, but for some.

    Args:
        path: an object file for a 64-bit little-endian machine, as a compiler writes it; changed in place.
        shown: the symbols that stay global.

    Returns:
        The symbols of ``shown`` that the file defines.
    """
    data = bytearray(path.read_bytes())
    magic, commands = struct.unpack_from("<I12xI", data)
    if magic != MH_MAGIC_64:
        raise ValueError(f"{path} is no Mach-O object file of 64 bits")
    found = set()
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", data, at)
        if command == LC_SYMTAB:
            symbols, count, strings, _ = struct.unpack_from("<4I", data, at + 8)
            for entry in range(symbols, symbols + 16 * count, 16):
                name_at, kind = struct.unpack_from("<IB", data, entry)
                if not kind & N_EXT or kind & N_TYPE == N_UNDF:
                    continue
                start = strings + name_at
                name = data[start : data.index(0, start)].decode()
                if name in shown:
                    found.add(name)
                else:
                    data[entry + 4] |= N_PEXT
        at += size
    path.write_bytes(data)
    return found
