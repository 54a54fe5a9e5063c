"""The ELF objects of an environment: what each calls itself, needs, searches, defines and contains."""

from __future__ import annotations

import mmap
import os
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sharedlib_loader._runtime import DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, ElfFile

_SHT_SYMTAB, _SHT_DYNSYM = 2, 11
_SHN_UNDEF = 0


@dataclass(frozen=True)
class NativeObject:
    """An extension module or a shared library.

    Attributes:
        path: the file, links resolved.
        is_extension: true where it is a module that Python can import.
        soname: its ``DT_SONAME``.
        needed: its ``DT_NEEDED``.
        rpath: its ``DT_RPATH``, as folders; empty where a ``DT_RUNPATH`` replaces it.
        runpath: its ``DT_RUNPATH``, as folders.
        defines: those of the symbols asked for that it defines, exported or not.
        contains: those of the texts asked for that are in it.
    """

    path: Path
    is_extension: bool
    soname: str | None
    needed: tuple[str, ...]
    rpath: tuple[Path, ...]
    runpath: tuple[Path, ...]
    defines: frozenset[str]
    contains: frozenset[str]


def folders() -> list[Path]:
    """Where Python finds extension modules: the folders of ``sys.path``, but not the standard library's own."""
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.getcwd(), ""}
    return [Path(entry) for entry in dict.fromkeys(sys.path) if entry not in standard and os.path.isdir(entry)]


def files(roots: Iterable[Path]) -> Iterator[Path]:
    """The files below these folders that are named as shared objects are, each once, links resolved."""
    seen = set()
    for root in roots:
        for folder, below, names in os.walk(root):
            below[:] = [name for name in below if name[0] != "."]  # environments and caches of others
            for name in names:
                path = Path(folder, name)
                if (name.endswith(".so") or ".so." in name) and (real := path.resolve()) not in seen:
                    seen.add(real)
                    yield real


def read(path: Path, symbols: Iterable[str], texts: Iterable[str]) -> NativeObject | None:
    """Read one file; None where it is no ELF file, or one that contradicts itself, or cannot be read."""
    try:
        with path.open("rb") as stream:
            file = _ElfFileWithSymbols(stream)
            if not file.is_elf or not file.is_whole(os.fstat(stream.fileno()).st_size):
                return None
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                # Few files have one: only for these the symbols are read, one by one.
                candidates = {name for name in symbols if data.find(name.encode() + b"\0") >= 0}
                runpath = _search_path(file.names(DT_RUNPATH), path.parent)
                return NativeObject(
                    path=path,
                    is_extension=data.find(b"\0PyInit_") >= 0,
                    soname=next(iter(file.names(DT_SONAME)), None),
                    needed=tuple(file.names(DT_NEEDED)),
                    rpath=() if runpath else _search_path(file.names(DT_RPATH), path.parent),
                    runpath=runpath,
                    defines=frozenset(candidates and candidates & file.defined()),
                    contains=frozenset(text for text in texts if data.find(text.encode()) >= 0),
                )
    except (OSError, ValueError, OverflowError, struct.error):
        return None


class _ElfFileWithSymbols(ElfFile):
    def defined(self) -> set[str]:
        """The names that the symbol tables define: the dynamic one, and the linker's where it was not stripped."""
        sections = self._sections()
        layout = struct.Struct(self.order + ("IBBH16x" if self.is_64 else "I8xBBH"))
        found = set()
        for kind, offset, size, link in sections:
            if kind in (_SHT_SYMTAB, _SHT_DYNSYM):
                _, strings, length, _ = sections[link]
                names = self._at(strings, length)
                table = self._at(offset, size // layout.size * layout.size)
                found |= {
                    os.fsdecode(names[name : names.index(b"\0", name)])
                    for name, _, _, section in layout.iter_unpack(table)
                    if section != _SHN_UNDEF
                }
        return found

    def _sections(self) -> list[tuple[int, int, int, int]]:
        """``sh_type, sh_offset, sh_size, sh_link`` of each section header."""
        (offset,) = struct.unpack_from(self.order + ("Q" if self.is_64 else "I"), self.head, 40 if self.is_64 else 32)
        entry, count = struct.unpack_from(self.order + "HH", self.head, 58 if self.is_64 else 46)
        layout = struct.Struct(self.order + ("4xI16xQQI" if self.is_64 else "4xI8xIII"))
        table = self._at(offset, entry * count)
        return [layout.unpack_from(table, entry * number) for number in range(count)]


def _search_path(entries: list[str], origin: Path) -> tuple[Path, ...]:
    """The folders of ``DT_RPATH`` or ``DT_RUNPATH`` entries; ``$ORIGIN`` is the folder of the object itself."""
    folders = [folder for entry in entries for folder in entry.split(":") if folder]
    return tuple(
        Path(os.path.normpath(folder.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", str(origin))))
        for folder in folders
    )
