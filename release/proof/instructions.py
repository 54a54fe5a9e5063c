"""Whether a processor of the baseline can run a file: every executable byte is disassembled, by capstone.

A note in a file's header is no proof, since a compiler writes what it was told, and mostly nothing. Here each
instruction is asked for the feature that it needs, which capstone has from LLVM's own tables.

How code is told from data, so that nothing is skipped and nothing misread:

- Where instructions have one length and are aligned (aarch64, armv7l, ppc64le), each word of a section is decoded by
  itself: whatever can be executed is among them.
- Where lengths differ, decoding begins at each known start of a function anew (exports, unwind tables), and must end
  exactly at the next.
- What the table ``RULES`` proves to be data is left out, and counted. Every other byte that does not decode, or needs
  more than the baseline, fails the check.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import capstone

from release.proof.baselines import BASELINES, KINDS, Baseline
from release.proof.native_file import Code


@dataclass
class Examination:
    """What was found in a file.

    Attributes:
        baseline: what it was held against.
        instructions: how many were decoded.
        data: how many bytes were proved to be data, by the rule that says so.
        harmless: how many instructions, by the reason why they count as the baseline's.
        guarded: how many instructions run only where the processor has them, by the reason.
        beyond: how many instructions the baseline lacks, by what they need, with the last of each.
        undecoded: how many bytes are neither an instruction nor proved to be data, with the last of them.
    """

    baseline: str
    instructions: int = 0
    data: Counter[str] = field(default_factory=Counter)
    harmless: Counter[str] = field(default_factory=Counter)
    guarded: Counter[str] = field(default_factory=Counter)
    beyond: dict[str, tuple[int, str]] = field(default_factory=dict)
    undecoded: dict[str, tuple[int, str]] = field(default_factory=dict)


def faults(found: Examination) -> list[str]:
    """Everything that keeps a processor of the baseline from running the file, in words."""
    wrong = [
        f"{number} times {what}, for which {found.baseline} is too old: {place}"
        for what, (number, place) in sorted(found.beyond.items())
    ]
    if found.undecoded:
        size, (_, place) = sum(n for n, _ in found.undecoded.values()), next(iter(found.undecoded.values()))
        wrong.append(f"{size} bytes are no instructions of {found.baseline}, nor known as data: {place}")
    return wrong


def examine(code: Iterable[Code], machine: str, system: str, *, cxx: bool = False) -> Examination:
    """Disassemble all of a file's code, and hold it against the baseline of a machine and a system.

    Args:
        code: all that the file can execute.
        machine: as Linux names it.
        system: Linux, macOS or Windows.
        cxx: whether it has the runtime of C++ in it, which may have what is guarded.

    Raises:
        KeyError: no baseline is known for them.
    """
    baseline = BASELINES[machine, system]
    disassembler = capstone.Cs(baseline.arch, baseline.mode)
    found = Examination(baseline.title)
    numbers: Counter[bytes] = Counter()
    places: dict[bytes, str] = {}
    for part in code:
        data = sorted((where.start, where.stop, rule) for rule, where in _data(part, machine))
        for start, stop, rule in data:
            found.data[rule] += stop - start
        for address, piece in _pieces(part, data):
            encodings = [*_decode(disassembler, piece, baseline)]
            numbers.update(encodings)
            places.update(dict.fromkeys(encodings, f"{part.section} from {address:#x}"))
    disassembler.detail = True
    for encoding, number in numbers.items():
        verdict, what = _judge(disassembler, baseline, encoding)
        if verdict == "undecoded":
            found.undecoded[what] = (number * len(encoding), f"{encoding[:16].hex()} in {places[encoding]}")
            continue
        found.instructions += number
        if verdict == "harmless":
            found.harmless[what] += number
        elif verdict == "guarded" and cxx:
            found.guarded[what] += number
        elif verdict in ("beyond", "guarded"):
            before, _ = found.beyond.get(what, (0, ""))
            found.beyond[what] = (before + number, f"{encoding.hex()} in {places[encoding]}")
    for guard in baseline.guarded:
        if (number := found.guarded[guard.reason]) > guard.most:
            found.beyond[f"more than {guard.most} of {guard.pattern}"] = (number, guard.reason)
    return found


def _pieces(part: Code, data: list[tuple[int, int, str]]) -> Iterator[tuple[int, bytes]]:
    """The code between known starts of functions, without the data."""
    at, end = part.address, part.address + len(part.data)
    cuts = [(start, start) for start in part.starts] + [(start, stop) for start, stop, _ in data] + [(end, end)]
    for start, stop in sorted(cuts):
        if at < start:
            yield at, part.data[at - part.address : start - part.address]
        at = max(at, stop)


def _decode(disassembler: capstone.Cs, piece: bytes, baseline: Baseline) -> Iterator[bytes]:
    """The encodings in a piece, one after the other; at the end what cannot be decoded."""
    if baseline.word:
        yield from (piece[at : at + baseline.word] for at in range(0, len(piece), baseline.word))
        return
    at, trap = 0, baseline.trap
    while at < len(piece):
        for _, size, _, _ in disassembler.disasm_lite(piece[at:], 0):
            yield piece[at : at + size]
            at += size
        if at < len(piece) and not (trap and piece.startswith(trap, at)):
            yield piece[at:]
            return
        if at < len(piece):
            yield trap
            at += len(trap)


def _judge(disassembler: capstone.Cs, baseline: Baseline, encoding: bytes) -> tuple[str, str]:
    """One of "baseline", "harmless", "guarded", "beyond" or "undecoded", and the words for it."""
    if encoding == baseline.trap:
        return "baseline", ""
    instruction = next(disassembler.disasm(encoding, 0, 1), None)
    if instruction is None or instruction.size != len(encoding):
        return "undecoded", encoding[:8].hex()
    mnemonic = instruction.mnemonic.split()[-1]  # behind prefixes: lock, rep
    text = f"{mnemonic} {instruction.op_str}".lower()
    if reason := baseline.harmless.get(mnemonic):
        return "harmless", reason
    if guard := next((one for one in baseline.guarded if re.fullmatch(one.pattern, text)), None):
        return "guarded", guard.reason
    names = {instruction.group_name(group) for group in instruction.groups} - KINDS
    if wanted := names - baseline.features:
        return "beyond", f"{mnemonic} ({', '.join(sorted(wanted))})"
    if baseline.mnemonics and not {mnemonic, mnemonic.rstrip(".+-")} & baseline.mnemonics:
        return "beyond", f"{mnemonic} (which baselines.py does not list)"
    if re.search(baseline.operands, text):
        return "beyond", text
    return "baseline", ""


# -- Data among code -------------------------------------------------------------------------------------------------


def _data(part: Code, machine: str) -> Iterator[tuple[str, range]]:
    """What is proved to be data in a section, by rule; no two ranges overlap."""
    for table in part.tables:
        if table.start in range(part.address, part.address + len(part.data)):
            yield _jump_table(part, table)
    if rule := RULES.get(machine):
        yield from rule(part)


def _jump_table(part: Code, table: range) -> tuple[str, range]:
    """A table that the linker lists (LC_DATA_IN_CODE): distances, each from the table to an instruction in here."""
    at = table.start - part.address
    for (distance,) in struct.iter_unpack("<i", part.data[at : at + len(table)]):
        if not 0 <= at + distance < len(part.data):
            raise ValueError(f"{part.section} {table.start:#x}, a jump table to the linker, leads out of it")
    return "jump tables, as the linker lists them", table


def _opcode_zero(part: Code) -> Iterator[tuple[str, range]]:
    """ppc64le: words whose first six bits are zeros, which are an instruction of no processor (Power ISA, book III).

    LLVM ends each function with three such, an empty traceback table, and start-up code and PLT have distances there.
    """
    for at, (word,) in zip(range(part.address, part.address + len(part.data), 4), _words(part.data), strict=True):
        if word >> 26 == 0:
            yield "words with the opcode 0", range(at, at + 4)


def _distances_of_s390x(part: Code) -> Iterator[tuple[str, range]]:
    """s390x: each entry of the PLT, 32 bytes after a header of 32, ends with an offset of 4 (psABI, "PLT").

    And musl's start-up code takes the address of a distance (LARL), and adds it to that (AGF).
    """
    for match in re.finditer(rb"\xc0\x30(....)\xe3\x30\x30\x00\x00\x18", part.data, re.DOTALL):
        at = part.address + match.start() + 2 * int.from_bytes(match[1], "big", signed=True)
        yield "a distance in start-up code", range(at, at + 4)
    if part.section == ".plt":
        for at in range(part.address + 32, part.address + len(part.data), 32):
            yield "offsets in the PLT", range(at + 28, at + 32)


def _words(data: bytes) -> Iterator[tuple[int]]:
    return struct.iter_unpack("<I", data)


def _literals(part: Code) -> Iterator[tuple[str, range]]:
    """armv7l: words that instructions load by their distance, and tables of distances behind the jump that uses one."""
    words = [word for (word,) in _words(part.data)]
    literals, tables = set[int](), set[int]()
    for number, word in enumerate(words):
        literals |= {at for at in _loaded(word, number * 4) if 0 <= at < len(part.data)}
        if word & 0xFFF0FFF0 == 0xE080F000:  # ADD PC, table, distance
            tables |= set(_distances(words, number + 1))
    for rule, found in (("literals", literals - tables), ("jump tables", tables)):
        for at in sorted(found):
            yield rule, range(part.address + at, part.address + at + 4)


def _loaded(word: int, at: int) -> range:
    """The words that LDR, LDRD and VLDR load with PC as the base, which is two instructions ahead (ARM ARM, A8.8)."""
    if word >> 28 == 0xF:  # has no such instruction
        return range(0)
    if word & 0x0F3F0000 == 0x051F0000:
        distance, size = word & 0xFFF, 4
    elif word & 0x0F7F00F0 == 0x014F00D0:
        distance, size = (word >> 4 & 0xF0) | (word & 0xF), 8
    elif word & 0x0F3F0E00 == 0x0D1F0A00:
        distance, size = (word & 0xFF) * 4, 8 if word & 0x100 else 4
    else:
        return range(0)
    start = (at + 8 + (distance if word & 1 << 23 else -distance)) & ~3
    return range(start, start + size, 4)


def _distances(words: list[int], first: int) -> Iterator[int]:
    """The entries of a jump table: each the distance from its start to an instruction of the section.

    It ends at the first word that is none, since no instruction of use is as small as a distance, or as negative; and
    where it leads itself.
    """
    end = len(words)
    for number in range(first, len(words)):
        distance = words[number] - (1 << 32 if words[number] >> 31 else 0)
        target = first + distance // 4
        if distance % 4 or not 0 <= target < len(words) or number >= end:
            return
        if target > number:
            end = min(end, target)
        yield number * 4


RULES: dict[str, Callable[[Code], Iterator[tuple[str, range]]]] = {
    "armv7l": _literals,
    "ppc64le": _opcode_zero,
    "s390x": _distances_of_s390x,
}
