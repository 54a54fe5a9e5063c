"""Whether a processor of the baseline can run a file: every executable byte is disassembled, by capstone.

A note in a file's header is no proof, since a compiler writes what it was told, and mostly nothing. Here each
instruction is asked for the feature that it needs, which capstone has from LLVM's own tables.

How code is told from data, so that nothing is skipped and nothing misread:

- Where instructions have one length and are aligned (aarch64, armv7l, ppc64le), each word of a section is decoded by
  itself: whatever can be executed is among them.
- Where lengths differ, decoding begins at each known start of a function anew (exports, unwind tables), and must end
  exactly at the next.
- What the rules of ``DATA`` prove to be data is left out, and counted. Every other byte that does not decode, or needs
  more than the baseline, fails the check.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import capstone

from release.proof.native_file import Code

# What capstone says of instructions beside the features that they need.
KINDS = {"jump", "call", "return", "ret", "int", "iret", "privilege", "privileged", "branch_relative"}


@dataclass(frozen=True)
class Guarded:
    """Instructions beyond the baseline that a static program may have, since it asks first.

    Attributes:
        pattern: mnemonic and operands, as capstone writes them.
        most: how many there may be: one more is another use, and nobody has looked whether that asks.
        reason: where they are, and what is asked.
    """

    pattern: str
    most: int
    reason: str


@dataclass(frozen=True)
class Baseline:
    """What every processor of an architecture can do.

    Attributes:
        title: as people call it.
        arch, mode: capstone's numbers. Where capstone knows generations, the mode is the baseline's, and what is newer
            does not decode.
        features: capstone's names for what the baseline has; an instruction that names another is beyond it.
        beyond: mnemonics that are beyond it though capstone names no feature.
        harmless: mnemonics that capstone calls newer and that the baseline executes with the same result, and why.
        operands: a pattern of operands, behind their mnemonic, that the baseline does not have.
        guarded: what a static program may have besides.
        word: the length of every instruction in bytes; 0 where lengths differ.
    """

    title: str
    arch: int
    mode: int
    features: frozenset[str]
    beyond: frozenset[str] = frozenset()
    harmless: dict[str, str] = field(default_factory=dict)
    operands: str = "(?!)"
    guarded: tuple[Guarded, ...] = ()
    word: int = 0


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


def _features(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Features of x86-64's levels: the psABI's table 3.1. lahf, sahf and cmpxchg16b came with v2; no feature is named.
_X86 = _features("mode64 fpu mmx cmov sse1 sse2 fxsr")
_X86_BEYOND = _features(
    "lahf sahf cmpxchg16b popcnt movbe lzcnt crc32 xgetbv xsave xsavec xsaveopt xrstor rdrand rdseed rdfsbase rdgsbase "
    "wrfsbase wrgsbase rdtscp rdpid invpcid clflushopt clwb adcx adox sha1rnds4 sha256rnds2 pclmulqdq serialize "
    "monitor mwait movdiri movdir64b enqcmd ptwrite tpause umonitor umwait cldemote wbnoinvd rdpkru wrpkru"
)
_X86_HARMLESS = {"tzcnt": "rep bsf, which older processors execute as bsf: the same for all but 0, where LLVM's is not"}
_ARMV8 = _features("HasFPARMv8 HasNEON HasNEONorSME")
# System registers that each ARMv8.0-A processor lets programs use, as far as Linux does; all others are later ones.
_ARMV8_REGISTERS = (
    r"^(mrs|msr|mrrs|msrr) "
    r"(?!(x\w+, )?(tpidr_el0|tpidrro_el0|fpcr|fpsr|nzcv|ctr_el0|dczid_el0|cntvct_el0|cntfrq_el0)\b)"
)
_LIBUNWIND = (
    Guarded(r"cntd x\d+", 8, "libunwind asks for the length of SVE's vectors, where a frame is described by that"),
    Guarded(r"stg (x\d+), \[\1\]", 1, "libunwind tags memory again that it frees, in frames that say they are tagged"),
    Guarded(r"(str za\[|addsvl |mrs \w+, tpidr2_el0|msr tpidr2_el0, |smstop za|msr svcrza, ).*", 5,
            "libunwind saves SME's ZA, where the kernel's list of features has SME"),
)  # fmt: skip
_LIBUNWIND_ARM = (
    Guarded(r"v(ld|st)mia r0, \{d16, .*, d31\}", 2, "libunwind saves d16 to d31, where a frame is described by them"),
)
_RISCV = _features(
    "HasStdExtC HasStdExtCOrZca HasStdExtCOrZcd HasStdExtCOrZcfOrZce HasRVCHints IsRV64 HasStdExtM HasStdExtMOrZmmul "
    "HasStdExtA HasStdExtF HasStdExtD HasStdExtZicsr HasStdExtZifencei"
)

# (machine, system): the baseline.
BASELINES = {
    ("x86_64", "Linux"): Baseline(
        "x86-64-v1", capstone.CS_ARCH_X86, capstone.CS_MODE_64, _X86, _X86_BEYOND, _X86_HARMLESS
    ),
    ("aarch64", "Linux"): Baseline(
        "ARMv8.0-A", capstone.CS_ARCH_AARCH64, 0, _ARMV8, operands=_ARMV8_REGISTERS, guarded=_LIBUNWIND, word=4
    ),
    # What Debian's and Ubuntu's armhf ask for, and so the images that such wheels are made in: no NEON, no division,
    # and half of the floating point registers.
    ("armv7l", "Linux"): Baseline(
        "ARMv7-A with VFPv3-D16",
        capstone.CS_ARCH_ARM,
        capstone.CS_MODE_ARM,
        _features("IsARM HasV4T HasV5T HasV5TE HasV6 HasV6K HasV6T2 HasV7 HasV7Clrex HasDB HasFPRegs HasFPRegs64 "
                  "HasVFP2 HasVFP3 HasDPVFP HasDSP PreV8 UseNegativeImmediates"),
        guarded=_LIBUNWIND_ARM,
        operands=r"\b(d(1[6-9]|2\d|3[01])|q([89]|1[0-5]))\b",
        word=4,
    ),
    ("riscv64", "Linux"): Baseline(
        "RV64GC",
        capstone.CS_ARCH_RISCV,
        capstone.CS_MODE_RISCV64 | capstone.CS_MODE_RISCV_C | capstone.CS_MODE_RISCV_FD | capstone.CS_MODE_RISCV_A,
        _RISCV,
    ),
    ("ppc64le", "Linux"): Baseline(
        "POWER8",
        capstone.CS_ARCH_PPC,
        capstone.CS_MODE_64 | capstone.CS_MODE_PWR8,
        _features("HasFPU HasBPERMD HasExtDiv HasPartwordAtomics HasQuadwordAtomics IsISA2_06 IsISA2_07 HasSYNC "
                  "In64BitMode IsNotISA3_1 IsNotISAFuture IsNotBookE HasICBT"),
        word=4,
    ),
    # zig's baseline, and that of current distributions. By the mode alone: all that decodes in it is in z13.
    ("s390x", "Linux"): Baseline(
        "z13",
        capstone.CS_ARCH_SYSTEMZ,
        capstone.CS_MODE_BIG_ENDIAN | capstone.CS_MODE_SYSTEMZ_Z13,
        _features("FeatureDistinctOps FeatureFastSerialization FeatureFPExtension FeatureHighWord "
                  "FeatureInterlockedAccess1 FeatureLoadStoreOnCond FeaturePopulationCount "
                  "FeatureMessageSecurityAssist3 FeatureMessageSecurityAssist4 "
                  "FeatureResetReferenceBitsMultiple FeatureExecutionHint "
                  "FeatureLoadAndTrap FeatureMiscellaneousExtensions FeatureProcessorAssist "
                  "FeatureTransactionalExecution FeatureDFPZonedConversion FeatureEnhancedDAT2 "
                  "FeatureLoadAndZeroRightmostByte FeatureLoadStoreOnCond2 FeatureMessageSecurityAssist5 "
                  "FeatureDFPPackedConversion FeatureVector"),
    ),
    # The first Intel Macs that macOS 10.13 runs on have more: Apple's baseline is Core 2.
    ("x86_64", "macOS"): Baseline(
        "Core 2",
        capstone.CS_ARCH_X86,
        capstone.CS_MODE_64,
        _X86 | _features("sse3 ssse3"),
        _X86_BEYOND - {"lahf", "sahf", "cmpxchg16b"},
        _X86_HARMLESS,
    ),
    ("aarch64", "macOS"): Baseline(
        "Apple M1",
        capstone.CS_ARCH_AARCH64,
        0,
        _ARMV8
        | _features("HasCRC HasLSE HasRDM HasFullFP16 HasFP16FML HasDotProd HasRCPC HasRCPC_IMMO HasAES HasSHA2 "
                    "HasSHA3 HasPAuth HasJS HasComplxNum HasFlagM HasAltNZCV HasFRInt3264 HasSB HasCCDP HasCCPP "
                    "HasDIT HasPAN HasPAN_RWV HasLOR HasVH HasRAS"),
        word=4,
    ),
    ("x86_64", "Windows"): Baseline(
        "x86-64-v1", capstone.CS_ARCH_X86, capstone.CS_MODE_64, _X86, _X86_BEYOND, _X86_HARMLESS
    ),
    ("aarch64", "Windows"): Baseline(
        "ARMv8.0-A", capstone.CS_ARCH_AARCH64, 0, _ARMV8, operands=_ARMV8_REGISTERS, word=4
    ),
}  # fmt: skip


def examine(code: Iterable[Code], machine: str, system: str, *, static: bool = False) -> Examination:
    """Disassemble all of a file's code, and hold it against the baseline of a machine and a system.

    Args:
        code: all that the file can execute.
        machine: as Linux names it.
        system: Linux, macOS or Windows.
        static: whether it is a program with the C++ runtime in it, which may have what is guarded.

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
            encodings = [*_decode(disassembler, piece, baseline.word)]
            numbers.update(encodings)
            places.update(dict.fromkeys(encodings, f"{part.section} from {address:#x}"))
    disassembler.detail = True
    for encoding, number in numbers.items():
        verdict, what = _judge(disassembler, baseline, encoding)
        if verdict == "undecoded":
            found.undecoded[what] = (number * len(encoding), f"{encoding.hex()} in {places[encoding]}")
            continue
        found.instructions += number
        if verdict == "harmless":
            found.harmless[what] += number
        elif verdict == "guarded" and static:
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


def _decode(disassembler: capstone.Cs, piece: bytes, word: int) -> Iterator[bytes]:
    """The encodings in a piece, one after the other; at the end what cannot be decoded."""
    if word:
        yield from (piece[at : at + word] for at in range(0, len(piece), word))
        return
    at = 0
    for _, size, _, _ in disassembler.disasm_lite(piece, 0):
        yield piece[at : at + size]
        at += size
    if at < len(piece):
        yield piece[at:]


def _judge(disassembler: capstone.Cs, baseline: Baseline, encoding: bytes) -> tuple[str, str]:
    """One of "baseline", "harmless", "guarded", "beyond" or "undecoded", and the words for it."""
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
    if mnemonic in baseline.beyond:
        return "beyond", mnemonic
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


def _zeros(part: Code) -> Iterator[tuple[str, range]]:
    """ppc64le: words of zeros, which are no instruction (Power ISA, appendix "Illegal Instructions").

    LLVM ends each function with some, an empty traceback table. The linker keeps the distance to the PLT in .glink.
    """
    for at in range(0, len(part.data), 4):
        if part.section == ".glink" and at == _GLINK_DISTANCE:
            yield "the distance to the PLT, in the linker's resolver", range(part.address + at, part.address + at + 8)
        elif part.data[at : at + 4] == bytes(4) and not (part.section == ".glink" and at == _GLINK_DISTANCE + 4):
            yield "zeros that end functions", range(part.address + at, part.address + at + 4)


_GLINK_DISTANCE = 52  # in LLD's resolver for ELF ABI 2, after its 13 instructions


def _plt_offsets(part: Code) -> Iterator[tuple[str, range]]:
    """s390x: each entry of the PLT, 32 bytes after a header of 32, ends with an offset of 4 (psABI, "PLT")."""
    if part.section == ".plt":
        for at in range(part.address + 32, part.address + len(part.data), 32):
            yield "offsets in the PLT", range(at + 28, at + 32)


def _literals(part: Code) -> Iterator[tuple[str, range]]:
    """armv7l: words that instructions load by their distance, and tables of distances behind the jump that uses one."""
    words = [word for (word,) in struct.iter_unpack("<I", part.data)]
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
    "ppc64le": _zeros,
    "s390x": _plt_offsets,
}
