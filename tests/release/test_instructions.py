"""Instructions beyond the baseline: each processor that is newer is told from the one that wheels are for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("lief", reason="lief, which reads the native files, has no wheel for this interpreter")

from release.proof.baselines import BASELINES
from release.proof.instructions import examine, faults
from release.proof.native_file import Code, read
from tests.release.bad_wheels import BARE, ENTRY

# Arithmetic, vectors, bits and atomic additions: each architecture has had better ways of some of them.
CODE = """
double dot(double *a, double *b, int n) { double s = 0; for (int i = 0; i < n; i++) s += a[i] * b[i]; return s; }
void scale(int *a, int *b, int n) { for (int i = 0; i < n; i++) a[i] += b[i] * 3; }
unsigned divide(unsigned a, unsigned b) { return a / b; }
int bits(unsigned long long a) { return __builtin_popcountll(a) + __builtin_ctzll(a); }
unsigned long long swap(unsigned long long a, unsigned long long b) { return __builtin_bswap64(a) + (b << 2); }
int count; int add(void) { return __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST); }
"""
SYSTEM_OF = {"linux": "Linux", "macos": "macOS", "windows": "Windows"}

# triple, the baseline as zig knows it, newer processors with an instruction of each
PROCESSORS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("x86_64-linux-gnu.2.17", "x86_64", {"x86_64_v2": "popcnt", "x86_64_v3": "vpaddd", "x86_64_v4": "vpaddd"}),
    ("aarch64-linux-gnu.2.17", "generic", {"generic+lse": "ldaddal", "neoverse_v1": "ptrue"}),
    ("arm-linux-gnueabihf.2.17", "baseline-neon-d32",
     {"baseline-neon": "d16", "baseline": "HasNEON", "baseline-neon-d32+hwdiv_arm": "udiv"}),
    ("riscv64-linux-gnu.2.27", "baseline_rv64",
     {"baseline_rv64+v": "HasVInstructions", "baseline_rv64+zba+zbb": "no instructions of RV64GC"}),
    ("powerpc64le-linux-gnu.2.19", "ppc64le", {"pwr9": "cnttzd", "pwr10": "cnttzd"}),
    ("s390x-linux-gnu.2.17", "arch8", {"arch9": "no instructions of z10", "arch11": "no instructions of z10"}),
    ("x86_64-macos.10.13", "core2", {"nehalem": "popcnt", "haswell": "vpaddd"}),
    ("aarch64-macos.11.0", "apple_m1", {"apple_m1+sve": "ptrue"}),
    ("x86_64-windows-gnu", "x86_64", {"x86_64_v2": "popcnt", "x86_64_v3": "vpaddd"}),
    ("aarch64-windows-gnu", "generic", {"generic+lse": "ldaddal"}),
)  # fmt: skip
NEWER = [(triple, cpu, words) for triple, _, newer in PROCESSORS for cpu, words in newer.items()]


def compile_for(triple: str, cpu: str, compile_c: Callable[..., Path], folder: Path) -> list[str]:
    """What is said of the code, compiled for a processor."""
    source = (ENTRY if "windows" in triple else "") + CODE
    flags = (*BARE, "-s", "-O3", f"-mcpu={cpu}")
    data = compile_c(source, folder / "library", *flags, target=triple).read_bytes()
    file = read(data)
    return faults(examine(file.code, file.machine, SYSTEM_OF[triple.split("-")[1].split(".", maxsplit=1)[0]]))


@pytest.mark.parametrize(("triple", "cpu"), [row[:2] for row in PROCESSORS])
def test_code_for_the_baseline_passes(triple: str, cpu: str, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """The same code, for the oldest processor, has nothing that it lacks: what fails below is newer."""
    assert not compile_for(triple, cpu, compile_c, tmp_path)


@pytest.mark.parametrize(("triple", "cpu", "words"), NEWER, ids=[f"{triple} {cpu}" for triple, cpu, _ in NEWER])
def test_code_for_a_newer_processor_fails(
    triple: str, cpu: str, words: str, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """Whatever the file's header says, its instructions tell for which processor it was compiled."""
    assert any(words in fault for fault in compile_for(triple, cpu, compile_c, tmp_path))


def test_every_baseline_is_tried() -> None:
    """A machine that is added to the table says here which processor is too new for it."""
    tried = {
        (triple.split("-")[0], SYSTEM_OF[triple.split("-")[1].split(".")[0]])
        for triple, _, newer in PROCESSORS
        if newer
    }
    names = {"arm": "armv7l", "powerpc64le": "ppc64le"}
    assert {(names.get(machine, machine), system) for machine, system in tried} == set(BASELINES)


# triple, a processor that has all, instructions of which each is beyond the baseline
ASSEMBLY: dict[str, tuple[str, tuple[str, ...]]] = {
    "x86_64-linux-gnu.2.17": ("x86_64_v4+sha+aes+pclmul+adx+rdrnd+gfni+waitpkg+prfchw", (
        "lahf", "cmpxchg16b (%rax)", "lzcnt %eax, %eax", "popcnt %eax, %eax", "movbe (%rax), %eax", "crc32 %eax, %ebx",
        "pextrb $1, %xmm0, %eax", "pextrw $1, %xmm0, (%rax)", "pshufb %xmm0, %xmm1", "pshufb %mm0, %mm1",
        "addsubpd %xmm0, %xmm1", "lddqu (%rax), %xmm0", "fisttpl (%rax)", "phminposuw %xmm0, %xmm1",
        "pcmpistrm $1, %xmm0, %xmm1", "aesenc %xmm0, %xmm1", "pclmulqdq $0, %xmm0, %xmm1", "gf2p8mulb %xmm0, %xmm1",
        "andn %eax, %ebx, %ecx", "bextr %eax, %ebx, %ecx", "pdep %eax, %ebx, %ecx", "vaddps %ymm0, %ymm1, %ymm2",
        "vpaddd %ymm0, %ymm1, %ymm2", "vpaddd %zmm0, %zmm1, %zmm2", "vfmadd132ps %xmm0, %xmm1, %xmm2", "vzeroupper",
        "kmovw %k0, %k1", "vcvtph2ps %xmm0, %xmm1", "xgetbv", "xsave (%rax)", "rdrand %eax", "rdtscp",
        "sha1nexte %xmm0, %xmm1", "adcx %eax, %ebx", "prefetchw (%rax)", "tpause %eax",
    )),
    "aarch64-linux-gnu.2.17": ("generic+v8_6a+crypto+sve+sve2+mte+sha3+sm4+fullfp16+fp16fml+mops+cssc+aes+sha2", (
        "casal x0, x1, [x2]", "ldaddal w0, w1, [x2]", "swpal w0, w1, [x2]", "crc32x w0, w1, x2", "aese v0.16b, v1.16b",
        "sha256h q0, q1, v2.4s", "sqrdmlah v0.4s, v1.4s, v2.4s", "fadd v0.8h, v1.8h, v2.8h", "fadd h0, h1, h2",
        "udot v0.4s, v1.16b, v2.16b", "fcmla v0.4s, v1.4s, v2.4s, #90", "ldapr w0, [x1]", "ldapur w0, [x1, #4]",
        "retaa", "braa x0, x1", "pacia x0, x1", "fjcvtzs w0, d1", "cfinv", "rmif x0, #1, #1", "frint32z s0, s1",
        "bfdot v0.4s, v1.8h, v2.8h", "smmla v0.4s, v1.16b, v2.16b", "eor3 v0.16b, v1.16b, v2.16b, v3.16b", "sb",
        "add z0.s, z1.s, z2.s", "ptrue p0.b", "stg x0, [x1]", "irg x0, x1", "abs x0, x1", "cpyfp [x0]!, [x1]!, x2!",
    )),
    "arm-linux-gnueabihf.2.17": ("cortex_a53+fullfp16+dotprod", (
        "sdiv r0, r1, r2", "vadd.i32 q0, q1, q2", "vadd.i32 d0, d1, d2", "vadd.f64 d0, d16, d1", "vfma.f32 s0, s1, s2",
        "vcvtb.f16.f32 s0, s1", "lda r0, [r1]", "crc32w r0, r1, r2", "aese.8 q0, q1", "vrintz.f32 s0, s1",
        "vadd.f16 s0, s1, s2", "vudot.u8 d0, d1, d2", "vseleq.f32 s0, s1, s2",
    )),
    "riscv64-linux-gnu.2.27": ("baseline_rv64+v+zba+zbb+zbc+zbs+zicond+zfh+zfa+zcb+zicbom+zihintntl", (
        "sh1add a0, a1, a2", "andn a0, a1, a2", "clz a0, a1", "clmul a0, a1, a2", "bset a0, a1, a2", "rev8 a0, a1",
        "vsetvli a0, a1, e32, m1, ta, ma", "vadd.vv v0, v1, v2", "czero.eqz a0, a1, a2", "fadd.h fa0, fa1, fa2",
        "fli.s fa0, 1.0", "c.mul a0, a1", "cbo.clean (a0)", "csrr a0, vlenb",
    )),
    "powerpc64le-linux-gnu.2.19": ("pwr10", (
        "maddld 3, 4, 5, 6", "modsd 3, 4, 5", "cnttzd 3, 4", "setb 3, 0", "darn 3, 1", "mtvsrdd 0, 3, 4",
        "xxspltib 0, 1", "lxvx 0, 3, 4", "lxv 0, 16(3)", "xsaddqp 0, 1, 2", "vextractub 0, 1, 2", "addpcis 3, 1",
        "paddi 3, 4, 1, 0", "brd 3, 4", "cfuged 3, 4, 5", "lxvp 0, 32(3)", "xxspltiw 0, 1", "vdivsd 0, 1, 2",
        "scv 0", "stxvl 0, 3, 4",
    )),
    "s390x-linux-gnu.2.17": ("arch14", (
        "msrkc %r1, %r2, %r3", "mgrk %r2, %r3, %r4", "agh %r1, 0(%r2)", "vfasb %v0, %v1, %v2", "vbperm %v0, %v1, %v2",
        "vmslg %v0, %v1, %v2, %v3, 0", "selgr %r1, %r2, %r3, 1", "ncgrk %r1, %r2, %r3", "popcnt %r1, %r2, 8",
        "vlbrf %v0, 0(%r1)", "vsld %v0, %v1, %v2, 1", "vpkzr %v0, %v1, %v2, 1, 0", "vcfn %v0, %v1, 0, 1", "mvcrl 0(%r1), 0(%r2)",
    )),
}  # fmt: skip


@pytest.mark.parametrize("triple", ASSEMBLY)
def test_every_feature_is_known(triple: str, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """One instruction of each feature that later processors brought, each in a function of its own."""
    cpu, texts = ASSEMBLY[triple]
    functions = "\n".join(
        f'__attribute__((naked)) void f{n:02}(void) {{ __asm__("{text}"); }}' for n, text in enumerate(texts)
    )
    flags = (*BARE, f"-mcpu={cpu}", "-fno-asynchronous-unwind-tables", "-Wl,--sort-section=name")
    file = read(compile_c(functions, tmp_path / "library", *flags, target=triple).read_bytes())
    [part] = [part for part in file.code if part.section == ".text"]
    starts = [start for start in part.starts if start][-len(texts) :]
    assert len(starts) == len(texts)
    known: list[str] = []
    for start, end, text in zip(starts, [*starts[1:], part.address + len(part.data)], texts, strict=True):
        piece = Code(".text", start, part.data[start - part.address : end - part.address])
        if faults(examine([piece], file.machine, "Linux")):
            known.append(text)
    assert [text for text in texts if text not in known] == []


def test_hints_are_harmless(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """What older processors take for nothing: branch targets, signed returns, and ``rep`` before ``bsf``."""
    arm = compile_c(CODE, tmp_path / "a", *BARE, "-mbranch-protection=standard", target="aarch64-linux-gnu.2.17")
    assert not faults(examine(read(arm.read_bytes()).code, "aarch64", "Linux"))
    intel = compile_c(CODE, tmp_path / "b", *BARE, "-fcf-protection=full", "-O2", target="x86_64-linux-gnu.2.17")
    found = examine(read(intel.read_bytes()).code, "x86_64", "Linux")
    assert not faults(found)
    assert [*found.harmless.values()] == [1]


def test_guarded_code_is_allowed_to_files_of_cxx_alone() -> None:
    """What libunwind asks the processor for before it runs is known by kind and number; one more fails, or elsewhere."""
    cntd = bytes.fromhex("e0e3e004")
    code = [Code(".text", 0, cntd * 8)]
    assert not faults(examine(code, "aarch64", "Linux", cxx=True))
    assert faults(examine(code, "aarch64", "Linux"))
    assert faults(examine([Code(".text", 0, cntd * 9)], "aarch64", "Linux", cxx=True))


def test_system_registers_of_later_processors_fail() -> None:
    """Reading the thread's pointer is everybody's; the second one came with SME."""
    assert not faults(examine([Code(".text", 0, bytes.fromhex("48d03bd5"))], "aarch64", "Linux"))
    assert faults(examine([Code(".text", 0, bytes.fromhex("b0d03bd5"))], "aarch64", "Linux"))


def test_code_outside_sections_is_read(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A file without section headers, which no processor looks at, is executed all the same."""
    flags = (*BARE, "-s", "-O3", "-mcpu=x86_64_v3")
    data = bytearray(compile_c(CODE, tmp_path / "library", *flags, target="x86_64-linux-gnu.2.17").read_bytes())
    sections = faults(examine(read(bytes(data)).code, "x86_64", "Linux"))
    struct.pack_into("<Q", data, 40, 0)  # e_shoff
    struct.pack_into("<HHH", data, 58, 0, 0, 0)  # e_shentsize, e_shnum, e_shstrndx
    file = read(bytes(data))
    assert {part.section for part in file.code} == {"outside sections"}
    assert any("vpaddd" in fault for fault in sections)
    assert any("vpaddd" in fault for fault in faults(examine(file.code, "x86_64", "Linux")))


def test_what_does_not_decode_fails() -> None:
    """Bytes that are no instruction are not passed over, and neither is an instruction that runs into a function."""
    assert faults(examine([Code(".text", 0, b"\x90\x06\x90")], "x86_64", "Linux"))
    assert not faults(examine([Code(".text", 0, b"\xb8\x90\x90\x90\x90")], "x86_64", "Linux"))
    assert faults(examine([Code(".text", 0, b"\xb8\x90\x90\x90\x90", starts=(2,))], "x86_64", "Linux"))


def test_data_among_code_is_proved() -> None:
    """Of a jump table each word must lead to an instruction; zeros, literals and tables count as data, and are told."""
    nop = b"\x90"
    table = Code("__text", 0, nop * 4 + struct.pack("<i", -4), tables=(range(4, 8),))
    assert not faults(examine([table], "x86_64", "macOS"))
    with pytest.raises(ValueError, match="leads out of it"):
        examine([Code("__text", 0, nop * 4 + struct.pack("<i", 99), tables=(range(4, 8),))], "x86_64", "macOS")
    # ldr r0, [pc, #0]; bx lr; the literal is a NEON instruction
    literal = bytes.fromhex("00009fe5 1eff2fe1 0d0a6cf4")
    assert not faults(examine([Code(".text", 0, literal)], "armv7l", "Linux"))
    assert faults(examine([Code(".text", 0, literal[4:])], "armv7l", "Linux"))
    # add pc, r1, r0; two distances, the second to the first instruction; bx lr
    jump = bytes.fromhex("00f081e0 08000000 fcffffff 1eff2fe1")
    assert not faults(examine([Code(".text", 0, jump)], "armv7l", "Linux"))
    assert faults(examine([Code(".text", 0, jump[4:])], "armv7l", "Linux"))
    found = examine([Code(".text", 0, bytes(4) + bytes.fromhex("2000804e"))], "ppc64le", "Linux")  # blr
    assert (found.instructions, sum(found.data.values()), faults(found)) == (1, 4, [])
    found = examine([Code(".text", 0, bytes.fromhex("07fe 0000 0707"))], "s390x", "Linux")  # br %r14; trap; nopr
    assert (found.instructions, faults(found)) == (3, [])
