"""A native file as data, whatever its format: ELF, Mach-O and PE read into one record, by lief.

Names are as C spells them: Mach-O's leading underscore is taken off.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import lief

lief.logging.disable()

Format = Literal["ELF", "Mach-O", "PE"]

MAGIC: dict[bytes, Format] = {b"\x7fELF": "ELF", b"\xcf\xfa\xed\xfe": "Mach-O", b"MZ": "PE"}

# Each format's name for a machine: for ELF with class, byte order and the flags of its ABI (arm: EABI 5, hard float;
# riscv: compressed, double float; ppc64: ELF ABI 2).
MACHINES = {
    ("X86_64", "ELF64", "LSB", 0): "x86_64",
    ("AARCH64", "ELF64", "LSB", 0): "aarch64",
    ("ARM", "ELF32", "LSB", 0x5000400): "armv7l",
    ("RISCV", "ELF64", "LSB", 0x5): "riscv64",
    ("PPC64", "ELF64", "LSB", 0x2): "ppc64le",
    ("S390", "ELF64", "MSB", 0): "s390x",
    ("X86_64",): "x86_64",  # Mach-O
    ("ARM64",): "aarch64",  # Mach-O, PE
    ("AMD64",): "x86_64",  # PE
}


@dataclass(frozen=True)
class Code:
    """Bytes that the processor may execute.

    Attributes:
        section: the section's name.
        address: of the first byte, as the file has it.
        data: the bytes.
        starts: addresses in it at which a function is known to begin, in order.
        tables: ranges of addresses that the linker says are data (Mach-O's LC_DATA_IN_CODE).
    """

    section: str
    address: int
    data: bytes
    starts: tuple[int, ...] = ()
    tables: tuple[range, ...] = ()


@dataclass(frozen=True)
class NativeFile:
    """What a file says of itself.

    Attributes:
        format: how it is written.
        machine: as Linux names it, or the header's own words where it is of no machine that is known here.
        executable: whether it is a program, not a library.
        name: SONAME, install name, or the name in a DLL's export table; None where it has none.
        interpreter: the dynamic loader that a program names.
        exports, imports: names that it offers and wants.
        needed: libraries that it names.
        search: what it says of where they are: the kind of path, and the path.
        protections: the names of what hardens it.
        glibc: the highest symbol version asked of glibc.
        macos: the lowest version of macOS that it runs on.
        built: for PE, the time in the header: seconds since 1970, or a hash where ``repeatable`` says so.
        repeatable: for PE, whether the header's time is said to be a hash.
        code: what can be executed.
        sections: the bytes of every section, by its name.
    """

    format: Format
    machine: str
    executable: bool
    name: str | None
    interpreter: str | None
    exports: frozenset[str]
    imports: frozenset[str]
    needed: frozenset[str]
    search: frozenset[tuple[str, str]]
    protections: frozenset[str]
    glibc: tuple[int, ...] | None
    macos: tuple[int, ...] | None
    built: int | None
    repeatable: bool
    code: tuple[Code, ...]
    sections: dict[str, bytes]


class BrokenFileError(Exception):
    """A native file cannot be read; the text says why."""


def format_of(data: bytes) -> Format | None:
    """The format that a file's first bytes name; None for what is not native."""
    return next((form for magic, form in MAGIC.items() if data.startswith(magic)), None)


def read(data: bytes) -> NativeFile:
    """Read a native file.

    Raises:
        BrokenFileError: it is none, or is broken.
    """
    form = format_of(data)
    if form == "ELF" and (elf := lief.ELF.parse(io.BytesIO(data))):
        return _read_elf(elf)
    if form == "Mach-O" and (mach_o := _one_mach_o(data)):
        return _read_mach_o(mach_o)
    if form == "PE" and (pe := lief.PE.parse(io.BytesIO(data), lief.PE.ParserConfig.all)):
        return _read_pe(pe)
    raise BrokenFileError(f"it begins with {data[:4]!r}, and cannot be read as a native file")


def _one_mach_o(data: bytes) -> lief.MachO.Binary | None:
    """The file for one machine, if it has code at all."""
    parsed = lief.MachO.parse(io.BytesIO(data))
    one = parsed.at(0) if parsed and parsed.size else None
    return one if one and one.get_segment("__TEXT") else None


def _machine(*words: str | int) -> str:
    return MACHINES.get(words, " ".join(f"{word:#x}" if isinstance(word, int) else word for word in words))


def _text(name: str | bytes) -> str:
    """A name, which lief gives as bytes where it is no text."""
    return name if isinstance(name, str) else name.decode("latin-1")


# -- ELF -------------------------------------------------------------------------------------------------------------


def _read_elf(file: lief.ELF.Binary) -> NativeFile:
    header, entries = file.header, list(file.dynamic_entries)
    tags = {entry.tag for entry in entries}
    executable = file.has_interpreter or (lief.ELF.DynamicEntry.TAG.SONAME not in tags and file.entrypoint != 0)
    libraries = [entry for entry in entries if isinstance(entry, lief.ELF.DynamicEntryLibrary)]
    paths = [("RPATH", _text(entry.rpath)) for entry in entries if isinstance(entry, lief.ELF.DynamicEntryRpath)]
    paths += [("RUNPATH", _text(one.runpath)) for one in entries if isinstance(one, lief.ELF.DynamicEntryRunPath)]
    versions = [_text(aux.name) for need in file.symbols_version_requirement for aux in need.get_auxiliary_symbols()]
    glibc = [match[1] for name in versions if (match := re.match(r"GLIBC_([\d.]+)$", name))]
    return NativeFile(
        format="ELF",
        machine=_machine(header.machine_type.name, header.identity_class.name, header.identity_data.name,
                         header.processor_flag),
        executable=executable,
        name=next((_text(one.name) for one in entries if isinstance(one, lief.ELF.DynamicSharedObject)), None),
        interpreter=file.interpreter if file.has_interpreter else None,
        exports=frozenset(_text(one.name) for one in file.dynamic_symbols if one.name and one.shndx != 0),
        imports=frozenset(_text(one.name) for one in file.dynamic_symbols if one.name and one.shndx == 0),
        needed=frozenset(_text(entry.name) for entry in libraries),
        search=frozenset(paths),
        protections=frozenset(_elf_protections(file, tags)),
        glibc=max((tuple(map(int, number.split("."))) for number in glibc), default=None),
        macos=None,
        built=None,
        repeatable=True,
        code=tuple(_elf_code(file)),
        sections={_text(section.name): bytes(section.content) for section in file.sections},
    )  # fmt: skip


def _elf_protections(file: lief.ELF.Binary, tags: set[lief.ELF.DynamicEntry.TAG]) -> Iterator[str]:
    kinds, flags = lief.ELF.Segment.TYPE, lief.ELF.Segment.FLAGS
    segments = {segment.type: segment for segment in file.segments}
    if kinds.GNU_RELRO in segments:
        yield "RELRO"
    now = [entry for entry in file.dynamic_entries if isinstance(entry, lief.ELF.DynamicEntryFlags)]
    bits = lief.ELF.DynamicEntryFlags.FLAG
    if any(entry.has(bits.BIND_NOW) or entry.has(bits.NOW) for entry in now):
        yield "BIND_NOW"
    if kinds.GNU_STACK in segments and not segments[kinds.GNU_STACK].has(flags.X):
        yield "no executable stack"
    if not any(segment.has(flags.W) and segment.has(flags.X) for segment in file.segments):
        yield "no writable code"
    if lief.ELF.DynamicEntry.TAG.TEXTREL not in tags and not any(entry.has(bits.TEXTREL) for entry in now):
        yield "no text relocation"
    if file.header.file_type == lief.ELF.Header.FILE_TYPE.DYN:
        yield "position-independent"
    if any(entry.has(bits.SYMBOLIC) for entry in now):
        yield "-Bsymbolic"
    if any(entry.has(bits.NODELETE) for entry in now):
        yield "NODELETE"


def _elf_code(file: lief.ELF.Binary) -> Iterator[Code]:
    frames = file.get_section(".eh_frame_hdr") if file.has_section(".eh_frame_hdr") else None
    starts = {symbol.value for symbol in file.exported_symbols} | {file.entrypoint}
    if frames is not None:
        starts |= set(_frames(bytes(frames.content), frames.virtual_address, file.header.identity_data.name))
    covered = []
    for section in file.sections:
        if section.has(lief.ELF.Section.FLAGS.EXECINSTR):
            yield _code(_text(section.name), section.virtual_address, bytes(section.content), starts)
            covered.append((section.virtual_address, section.virtual_address + section.size))
    for segment in file.segments:
        if segment.type == lief.ELF.Segment.TYPE.LOAD and segment.has(lief.ELF.Segment.FLAGS.X):
            yield from _gaps(segment.virtual_address, bytes(segment.content), sorted(covered), starts)


def _gaps(address: int, data: bytes, covered: list[tuple[int, int]], starts: set[int]) -> Iterator[Code]:
    """What no section names in an executable segment, but for zeros that fill it: it can be executed all the same."""
    at, end = address, address + len(data)
    for start, stop in [*covered, (end, end)]:
        gap = data[at - address : max(0, min(start, end) - address)]
        if any(gap):
            yield _code("outside sections", at, gap, starts)
        at = max(at, stop)


def _frames(table: bytes, address: int, order: str) -> Iterator[int]:
    """The functions' addresses in .eh_frame_hdr (LSB Core, 10.6.2), written as pairs of 32-bit distances."""
    end = "<" if order == "LSB" else ">"
    version, pointer, count, entries = table[:4]
    if (version, pointer, count, entries) != (1, 0x1B, 0x03, 0x3B):
        raise BrokenFileError(f".eh_frame_hdr is encoded as {table[:4].hex()}, which is not known here")
    (number,) = struct.unpack_from(f"{end}I", table, 8)
    for distance, _ in struct.iter_unpack(f"{end}ii", table[12 : 12 + 8 * number]):
        yield address + distance


def _code(section: str, address: int, data: bytes, starts: set[int], tables: tuple[range, ...] = ()) -> Code:
    inside = range(address, address + len(data))
    return Code(section, address, data, tuple(sorted(start for start in starts if start in inside)), tables)


# -- Mach-O ----------------------------------------------------------------------------------------------------------


def _read_mach_o(file: lief.MachO.Binary) -> NativeFile:
    commands = lief.MachO.LoadCommand.TYPE
    own = [one for one in file.libraries if one.command == commands.ID_DYLIB]
    stated = file.build_version.minos if file.build_version else file.version_min.version if file.version_min else ()
    return NativeFile(
        format="Mach-O",
        machine=_machine(file.header.cpu_type.name),
        executable=file.header.file_type == lief.MachO.Header.FILE_TYPE.EXECUTE,
        name=_text(own[0].name) if own else None,
        interpreter=file.dylinker.name if file.dylinker else None,
        exports=frozenset(_text(symbol.name).removeprefix("_") for symbol in file.exported_symbols),
        imports=frozenset(_text(symbol.name).removeprefix("_") for symbol in file.imported_symbols),
        needed=frozenset(_text(one.name) for one in file.libraries if one.command != commands.ID_DYLIB),
        search=frozenset(("LC_RPATH", one.path) for one in file.rpaths),
        protections=frozenset(_mach_o_protections(file)),
        glibc=None,
        macos=tuple(stated),
        built=None,
        repeatable=True,
        code=tuple(_mach_o_code(file)),
        sections={f"{one.segment_name},{_text(one.name)}": bytes(one.content) for one in file.sections},
    )


def _mach_o_protections(file: lief.MachO.Binary) -> Iterator[str]:
    flags = lief.MachO.Header.FLAGS
    if file.header.file_type == lief.MachO.Header.FILE_TYPE.DYLIB or file.header.has(flags.PIE):
        yield "position-independent"
    if not file.header.has(flags.ALLOW_STACK_EXECUTION):
        yield "no executable stack"
    if not any(one.init_protection & 2 and one.init_protection & 4 for one in file.segments):
        yield "no writable code"
    if file.has_code_signature:
        yield "signed"
    if file.header.has(flags.TWOLEVEL):
        yield "two-level names"


def _mach_o_code(file: lief.MachO.Binary) -> Iterator[Code]:
    """The sections that are said to hold instructions (mach-o/loader.h, S_ATTR_*_INSTRUCTIONS)."""
    base = next(one.virtual_address for one in file.segments if one.name == "__TEXT")
    starts = {base + symbol.value if symbol.value < base else symbol.value for symbol in file.exported_symbols}
    tables = tuple(
        range(base + one.offset, base + one.offset + one.length)
        for one in (file.data_in_code.entries if file.data_in_code else ())
    )
    flags = lief.MachO.Section.FLAGS
    for section in file.sections:
        if section.has(flags.PURE_INSTRUCTIONS) or section.has(flags.SOME_INSTRUCTIONS):
            yield _code(_text(section.name), section.virtual_address, bytes(section.content), starts, tables)


# -- PE --------------------------------------------------------------------------------------------------------------


def _read_pe(file: lief.PE.Binary) -> NativeFile:
    export = file.get_export()
    return NativeFile(
        format="PE",
        machine=_machine(file.header.machine.name),
        executable=not file.header.has_characteristic(lief.PE.Header.CHARACTERISTICS.DLL),
        name=_text(export.name) if export else None,
        interpreter=None,
        exports=frozenset(_text(entry.name) for entry in export.entries) if export else frozenset(),
        imports=frozenset(_text(entry.name) for one in file.imports for entry in one.entries),
        needed=frozenset(_text(one.name).lower() for one in file.imports),
        search=frozenset(),
        protections=frozenset(_pe_protections(file)),
        glibc=None,
        macos=None,
        built=file.header.time_date_stamps,
        repeatable=file.is_reproducible_build,
        code=tuple(_pe_code(file)),
        sections={_text(section.name): bytes(section.content) for section in file.sections},
    )


def _pe_protections(file: lief.PE.Binary) -> Iterator[str]:
    flags = lief.PE.OptionalHeader.DLL_CHARACTERISTICS
    kept = not file.header.has_characteristic(lief.PE.Header.CHARACTERISTICS.RELOCS_STRIPPED) and file.has_relocations
    if file.optional_header.has(flags.DYNAMIC_BASE) and kept:
        yield "ASLR"
    if file.optional_header.has(flags.HIGH_ENTROPY_VA):
        yield "high-entropy ASLR"
    if file.optional_header.has(flags.NX_COMPAT):
        yield "no executable data"
    kinds = lief.PE.Section.CHARACTERISTICS
    if not any(one.has_characteristic(kinds.MEM_WRITE) and one.has_characteristic(kinds.MEM_EXECUTE)
               for one in file.sections):  # fmt: skip
        yield "no writable code"


def _pe_code(file: lief.PE.Binary) -> Iterator[Code]:
    base, export = file.imagebase, file.get_export()
    starts = {base + entry.address for entry in (export.entries if export else ())}
    starts |= {base + entry.rva_start for entry in file.exceptions} | {file.entrypoint}
    for section in file.sections:
        if section.has_characteristic(lief.PE.Section.CHARACTERISTICS.MEM_EXECUTE):
            used = bytes(section.content)[: section.virtual_size]  # the rest fills a block of the file
            yield _code(_text(section.name), base + section.virtual_address, used, starts)


# -- Archives: import libraries --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """One part of an archive (PE/COFF specification, "Archive (Library) File Format").

    Attributes:
        name: the member's.
        machine: as Linux names it; None for an index.
        time: the highest of the times in it: the archive's and the object's own.
        symbol: the function that it imports; None for what is no import.
        library: the DLL that has it.
    """

    name: str
    machine: str | None
    time: int
    symbol: str | None
    library: str | None


_COFF_MACHINES = {0x8664: "x86_64", 0xAA64: "aarch64"}


def archive_members(data: bytes) -> Iterator[Member]:
    """The members of an archive; none of what is no archive."""
    if not data.startswith(b"!<arch>\n"):
        return
    at = 8
    while at < len(data):
        head = data[at : at + 60].decode("ascii")
        name, date, size = head[:16].strip(), int(head[16:28].strip() or 0), int(head[48:58])
        body = data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
        if name in ("/", "//"):  # the index of symbols, and long names
            yield Member(name, None, date, None, None)
        elif body.startswith(b"\0\0\xff\xff"):
            machine, own = struct.unpack_from("<HI", body, 6)
            symbol, library = (text.decode() for text in body[20:].split(b"\0")[:2])
            yield Member(name, _COFF_MACHINES.get(machine), max(date, own), symbol, library)
        else:
            machine, own = struct.unpack_from("<H2xI", body)
            yield Member(name, _COFF_MACHINES.get(machine), max(date, own), None, None)
