"""What the tests ask of an ELF file, read by pyelftools."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_DT_FLAGS, ENUM_DT_FLAGS_1
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection


class Elf:
    """One file, given as bytes."""

    def __init__(self, data: bytes) -> None:
        self.file = ELFFile(io.BytesIO(data))

    def _sections(self, kind: type) -> Iterator[Any]:
        return (section for section in self.file.iter_sections() if isinstance(section, kind))

    def _dynamic(self, tag: str) -> list[Any]:
        return [entry for section in self._sections(DynamicSection) for entry in section.iter_tags(tag)]

    @property
    def soname(self) -> str | None:
        return next((entry.soname for entry in self._dynamic("DT_SONAME")), None)

    @property
    def needed(self) -> set[str]:
        return {entry.needed for entry in self._dynamic("DT_NEEDED")}

    @property
    def run_paths(self) -> list[Any]:
        return self._dynamic("DT_RPATH") + self._dynamic("DT_RUNPATH")

    @property
    def flags(self) -> set[str]:
        """The names set in DT_FLAGS and DT_FLAGS_1."""
        found = set()
        for tag, names in (("DT_FLAGS", ENUM_DT_FLAGS), ("DT_FLAGS_1", ENUM_DT_FLAGS_1)):
            for entry in self._dynamic(tag):
                found |= {name for name, bit in names.items() if entry.entry.d_val & bit}
        return found

    @property
    def exports(self) -> set[str]:
        return {symbol.name for symbol in self._symbols() if symbol["st_shndx"] != "SHN_UNDEF" and symbol.name}

    @property
    def imports(self) -> set[str]:
        return {symbol.name for symbol in self._symbols() if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name}

    def _symbols(self) -> Iterator[Any]:
        table = self.file.get_section_by_name(".dynsym")
        assert isinstance(table, SymbolTableSection)
        return table.iter_symbols()

    @property
    def relocated_names(self) -> set[str]:
        """The names of all symbols that a relocation refers to."""
        names = set()
        for section in self._sections(RelocationSection):
            symbols = self.file.get_section(section["sh_link"])
            for relocation in section.iter_relocations():
                if index := relocation["r_info_sym"]:
                    names.add(symbols.get_symbol(index).name)
        return names

    @property
    def segments(self) -> dict[str, int]:
        """Program header types and their flags (1 execute, 2 write, 4 read)."""
        return {segment["p_type"]: segment["p_flags"] for segment in self.file.iter_segments()}
