"""What every processor that a wheel is for can do, by machine and system, in the terms of capstone."""

from __future__ import annotations

from dataclasses import dataclass, field

import capstone

# What capstone says of instructions beside the features that they need.
KINDS = {"jump", "call", "return", "ret", "int", "iret", "privilege", "privileged", "branch_relative"}


@dataclass(frozen=True)
class Guarded:
    """Instructions beyond the baseline that a file with the runtime of C++ may have, since that asks first.

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
        mnemonics: all that it has, where capstone's features do not tell; empty where they do.
        harmless: mnemonics that capstone calls newer and that the baseline executes with the same result, and why.
        operands: a pattern of operands, behind their mnemonic, that the baseline does not have.
        guarded: what a file with the runtime of C++ may have besides.
        trap: an encoding that is promised never to be an instruction, and ends a program that comes to it.
        word: the length of every instruction in bytes; 0 where lengths differ.
    """

    title: str
    arch: int
    mode: int
    features: frozenset[str]
    mnemonics: frozenset[str] = frozenset()
    harmless: dict[str, str] = field(default_factory=dict)
    operands: str = "(?!)"
    guarded: tuple[Guarded, ...] = ()
    trap: bytes = b""
    word: int = 0


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


# All that a program can do on the first x86-64 processors: SSE2 and what came before it (psABI, table 3.1). By name,
# since capstone names no feature of much that is newer (FMA, SSE3's fisttp, SSSE3's instructions on MMX's registers).
_X86_64_V1 = _words(
    "adc add addpd addps addsd addss and andnpd andnps andpd andps bsf bsr bswap bt btc btr bts call cbw cdq cdqe clc "
    "cld clflush cmc cmova cmovae cmovb cmovbe cmove cmovg cmovge cmovl cmovle cmovne cmovno cmovnp cmovns cmovo "
    "cmovp cmovs cmp cmpeqpd cmpeqps cmpeqsd cmpeqss cmplepd cmpleps cmplesd cmpless cmpltpd cmpltps cmpltsd cmpltss "
    "cmpneqpd cmpneqps cmpneqsd cmpneqss cmpnlepd cmpnleps cmpnlesd cmpnless cmpnltpd cmpnltps cmpnltsd cmpnltss "
    "cmpordpd cmpordps cmpordsd cmpordss cmpsb cmpsd cmpsq cmpsw cmpunordpd cmpunordps cmpunordsd cmpunordss cmpxchg "
    "cmpxchg8b comisd comiss cpuid cqo cvtdq2pd cvtdq2ps cvtpd2dq cvtpd2pi cvtpd2ps cvtpi2pd cvtpi2ps cvtps2dq "
    "cvtps2pd cvtps2pi cvtsd2si cvtsd2ss cvtsi2sd cvtsi2ss cvtss2sd cvtss2si cvttpd2dq cvttpd2pi cvttps2dq cvttps2pi "
    "cvttsd2si cvttss2si cwd cwde dec div divpd divps divsd divss emms endbr32 endbr64 enter f2xm1 fabs fadd faddp "
    "fbld fbstp fchs fcmovb fcmovbe fcmove fcmovnb fcmovnbe fcmovne fcmovnu fcmovu fcom fcomi fcomp fcompi fcompp "
    "fcos fdecstp fdiv fdivp fdivr fdivrp ffree ffreep fiadd ficom ficomp fidiv fidivr fild fimul fincstp fist fistp "
    "fisub fisubr fld fld1 fldcw fldenv fldl2e fldl2t fldlg2 fldln2 fldpi fldz fmul fmulp fnclex fninit fnop fnsave "
    "fnstcw fnstenv fnstsw fpatan fprem fprem1 fptan frndint frstor fscale fsin fsincos fsqrt fst fstp fsub fsubp "
    "fsubr fsubrp ftst fucom fucomi fucomp fucompi fucompp fxam fxch fxrstor fxrstor64 fxsave fxsave64 fxtract fyl2x "
    "fyl2xp1 hlt idiv imul inc int int3 ja jae jb jbe je jecxz jg jge jl jle jmp jne jno jnp jns jo jp jrcxz js "
    "ldmxcsr lea leave lfence lodsb lodsd lodsq lodsw loop loope loopne maskmovdqu maskmovq maxpd maxps maxsd maxss "
    "mfence minpd minps minsd minss mov movabs movapd movaps movd movdq2q movdqa movdqu movhlps movhpd movhps movlhps "
    "movlpd movlps movmskpd movmskps movntdq movnti movntpd movntps movntq movq movq2dq movsb movsd movsq movss movsw "
    "movsx movsxd movupd movups movzx mul mulpd mulps mulsd mulss neg nop not or orpd orps packssdw packsswb packuswb "
    "paddb paddd paddq paddsb paddsw paddusb paddusw paddw pand pandn pause pavgb pavgw pcmpeqb pcmpeqd pcmpeqw "
    "pcmpgtb pcmpgtd pcmpgtw pextrw pinsrw pmaddwd pmaxsw pmaxub pminsw pminub pmovmskb pmulhuw pmulhw pmullw pmuludq "
    "pop popf popfq por prefetchnta prefetcht0 prefetcht1 prefetcht2 psadbw pshufd pshufhw pshuflw pshufw pslld "
    "pslldq psllq psllw psrad psraw psrld psrldq psrlq psrlw psubb psubd psubq psubsb psubsw psubusb psubusw psubw "
    "punpckhbw punpckhdq punpckhqdq punpckhwd punpcklbw punpckldq punpcklqdq punpcklwd push pushf pushfq pxor rcl "
    "rcpps rcpss rcr rdtsc ret rol ror rsqrtps rsqrtss sal sar sbb scasb scasd scasq scasw seta setae setb setbe sete "
    "setg setge setl setle setne setno setnp setns seto setp sets sfence shl shld shr shrd shufpd shufps sqrtpd "
    "sqrtps sqrtsd sqrtss stc std stmxcsr stosb stosd stosq stosw sub subpd subps subsd subss syscall test ucomisd "
    "ucomiss ud0 ud1 ud2 unpckhpd unpckhps unpcklpd unpcklps wait xadd xchg xlatb xor xorpd xorps"
)
_CORE_2 = _words(
    "addsubpd addsubps haddpd haddps hsubpd hsubps lddqu movddup movshdup movsldup fisttp monitor mwait "  # SSE3
    "pabsb pabsd pabsw palignr phaddd phaddsw phaddw phsubd phsubsw phsubw pmaddubsw pmulhrsw pshufb psignb psignd "
    "psignw "  # SSSE3
    "cmpxchg16b lahf sahf"
)
_X86_FEATURES = _words("mode64 fpu mmx cmov sse1 sse2")
_X86_OPERANDS = r"^pextrw [^,]*\["  # into memory: SSE4.1
_X86_HARMLESS = {"tzcnt": "rep bsf, which older processors execute as bsf: the same for all but 0, where LLVM's is not"}
_ARMV8 = _words("HasFPARMv8 HasNEON HasNEONorSME")
# System registers that each ARMv8.0-A processor lets programs use, as far as Linux does; all others are later ones.
_ARMV8_REGISTERS = (
    r"^(mrs|msr|mrrs|msrr) "
    r"(?!(x\w+, )?(tpidr_el0|tpidrro_el0|fpcr|fpsr|nzcv|ctr_el0|dczid_el0|cntvct_el0|cntfrq_el0)\b)"
)
_LIBUNWIND = (
    Guarded(r"cntd x\d+", 8, "libunwind asks for the length of SVE's vectors, where a frame is described by that"),
    Guarded(r"stg (x\d+), \[\1\]", 1, "libunwind tags memory again that it frees, in frames that say they are tagged"),
    Guarded(r"(str za\[|addsvl |mrs \w+, tpidr2_el0|msr tpidr2_el0, |smstop za|msr svcrza, ).*", 5,
            "libunwind saves SME's ZA, where Linux lists SME among the processor's features, and nowhere else"),
)  # fmt: skip
_LIBUNWIND_ARM = (
    Guarded(r"v(ld|st)mia r0, \{d16, .*, d31\}", 2, "libunwind saves d16 to d31, where a frame is described by them"),
)
_LIBUNWIND_RISCV = (
    Guarded(r"csrr \w+, vlenb", 5, "libunwind asks for the length of vectors, where a frame is described by that"),
)
_RISCV = _words(
    "HasStdExtC HasStdExtCOrZca HasStdExtCOrZcd HasStdExtCOrZcfOrZce HasRVCHints IsRV64 HasStdExtM HasStdExtMOrZmmul "
    "HasStdExtA HasStdExtF HasStdExtD HasStdExtZicsr HasStdExtZifencei"
)

# What compilers use of POWER8's instructions. By name, since capstone decodes much of POWER9's vectors as POWER8's.
# Whether one that is missing here belongs here, Power ISA 2.07 tells. Each stands for its record form (with a dot) and
# its hints to predict a branch (+ and -), too.
_POWER8 = _words(
    "add addc adde addi addic addis addme addze and andc andi. andis. b ba bc bca bcctr bcctrl bcl bcla bclr bclrl "
    "bctr bctrl bdnz bdnzlr bdz bdzlr bf bfctr bfctrl bflr bl bla blr blrl bpermd bt btctr btctrl btlr clrldi clrlwi "
    "cmpb cmpd cmpdi cmpld cmpldi cmplw cmplwi cmpw cmpwi cntlzd cntlzw crand crandc crclr creqv crmove crnand crnor "
    "crnot cror crorc crset crxor divd divde divdeu divdu divw divwe divweu divwu eieio extsb extsh extsw fabs fadd "
    "fadds fcfid fcfids fcfidu fcfidus fcmpo fcmpu fcpsgn fctid fctidu fctiduz fctidz fctiw fctiwuz fctiwz fdiv fdivs "
    "fmadd fmadds fmr fmsub fmsubs fmul fmuls fnabs fneg fnmadd fnmadds fnmsub fnmsubs frim frin frip friz frsp fsel "
    "fsqrt fsqrts fsub fsubs isel iseleq iselgt isellt isync lbarx lbz lbzu lbzux lbzx ld ldarx ldbrx ldu ldux ldx "
    "lfd lfdu lfdux lfdx lfiwax lfiwzx lfs lfsx lha lharx lhau lhaux lhax lhbrx lhz lhzu lhzux lhzx li lis lqarx "
    "lvebx lvehx lvewx lvsl lvsr lvx lvxl lwa lwarx lwaux lwax lwbrx lwsync lwz lwzu lwzux lwzx lxsdx lxsiwax lxsiwzx "
    "lxsspx lxvd2x lxvdsx lxvw4x mcrf mfcr mfctr mffprd mffprwz mffs mflr mfocrf mfspr mfvsrd mfvsrwz mfxer mr mtcr "
    "mtctr mtfprd mtfprwa mtfprwz mtfsb0 mtfsb1 mtfsf mtfsfi mtlr mtocrf mtvsrd mtvsrwa mtvsrwz mulhd mulhdu mulhw "
    "mulhwu mulld mulli mullw nand neg nop not or orc ori oris popcntb popcntd popcntw prtyd prtyw rldcl rldcr rldic "
    "rldicl rldicr rldimi rlwimi rlwinm rlwnm rotld rotldi rotlwi sc sld sldi slw slwi srad sradi sraw srawi srd srw "
    "srwi stb stbcx. stbu stbux stbx std stdbrx stdcx. stdu stdux stdx stfd stfdu stfdx stfiwx stfs stfsu stfsx sth "
    "sthbrx sthcx. sthu sthux sthx stqcx. stvebx stvehx stvewx stvx stvxl stw stwbrx stwcx. stwu stwux stwx stxsdx "
    "stxsiwx stxsspx stxvd2x stxvw4x sub subc subfe subfic subfme subfze sync trap vaddubm vaddubs vaddudm vadduhm "
    "vadduhs vadduwm vadduws vand vandc vavgub vavguh vavguw vclzb vclzd vclzh vclzw vcmpequb vcmpequd vcmpequh "
    "vcmpequw vcmpgtsb vcmpgtsd vcmpgtsh vcmpgtsw vcmpgtub vcmpgtud vcmpgtuh vcmpgtuw veqv vmaxsb vmaxsd vmaxsh "
    "vmaxsw vmaxub vmaxud vmaxuh vmaxuw vminsb vminsd vminsh vminsw vminub vminud vminuh vminuw vmr vmrghb vmrghh "
    "vmrghw vmrglb vmrglh vmrglw vmulesw vmuleuw vmulosw vmulouw vmuluwm vnand vnor vnot vor vorc vperm vpkudum "
    "vpkuhum vpkuwum vpopcntb vpopcntd vpopcnth vpopcntw vrlb vrld vrlh vrlw vsel vsl vslb vsld vsldoi vslh vslo vslw "
    "vspltb vsplth vspltisb vspltish vspltisw vsr vsrab vsrad vsrah vsraw vsrb vsrd vsrh vsro vsrw vsububm vsububs "
    "vsubudm vsubuhm vsubuwm vsum4ubs vsumsws vupkhsb vupkhsh vupkhsw vupklsb vupklsh vupklsw vxor xor xori xoris "
    "xsabsdp xsadddp xsaddsp xscmpodp xscmpudp xscpsgndp xscvdpsp xscvdpspn xscvdpsxds xscvdpsxws xscvdpuxds "
    "xscvdpuxws xscvspdp xscvspdpn xscvsxddp xscvsxdsp xscvuxddp xscvuxdsp xsdivdp xsdivsp xsmaddadp xsmaddasp "
    "xsmaddmdp xsmaddmsp xsmaxdp xsmindp xsmsubadp xsmsubasp xsmsubmdp xsmsubmsp xsmuldp xsmulsp xsnabsdp xsnegdp "
    "xsnmaddadp xsnmaddmdp xsnmsubadp xsnmsubasp xsnmsubmdp xsnmsubmsp xsrdpi xsrdpic xsrdpim xsrdpip xsrdpiz xsrsp "
    "xssqrtdp xssqrtsp xssubdp xssubsp xvabsdp xvadddp xvaddsp xvcmpeqdp xvcmpgedp xvcmpgtdp xvcvdpsp xvcvdpsxds "
    "xvcvdpuxds xvcvspdp xvcvsxddp xvcvsxwdp xvcvuxddp xvcvuxwdp xvdivdp xvdivsp xvmaddadp xvmaddmdp xvmaxdp xvmindp "
    "xvmuldp xvmulsp xvnegdp xvsubdp xvsubsp xxland xxlandc xxleqv xxlnand xxlnor xxlor xxlorc xxlxor xxmrghd xxmrghw "
    "xxmrgld xxmrglw xxpermdi xxsel xxsldwi xxspltd xxspltw xxswapd dcbt"
)

_X86_64 = Baseline(
    "x86-64-v1", capstone.CS_ARCH_X86, capstone.CS_MODE_64, _X86_FEATURES, _X86_64_V1, _X86_HARMLESS, _X86_OPERANDS
)

# (machine, system): the baseline.
BASELINES = {
    ("x86_64", "Linux"): _X86_64,
    ("aarch64", "Linux"): Baseline(
        "ARMv8.0-A", capstone.CS_ARCH_AARCH64, 0, _ARMV8, operands=_ARMV8_REGISTERS, guarded=_LIBUNWIND, word=4
    ),
    # What Debian's and Ubuntu's armhf ask for, and so the images that such wheels are made in: no NEON, no division,
    # and half of the floating point registers.
    ("armv7l", "Linux"): Baseline(
        "ARMv7-A with VFPv3-D16",
        capstone.CS_ARCH_ARM,
        capstone.CS_MODE_ARM,
        _words("IsARM HasV4T HasV5T HasV5TE HasV6 HasV6K HasV6T2 HasV7 HasV7Clrex HasDB HasFPRegs HasFPRegs64 "
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
        guarded=_LIBUNWIND_RISCV,
        operands=r"^csr\w* .*\bv(start|xsat|xrm|csr|l|type|lenb)\b",
    ),
    ("ppc64le", "Linux"): Baseline(
        "POWER8",
        capstone.CS_ARCH_PPC,
        capstone.CS_MODE_64 | capstone.CS_MODE_PWR8,
        _words("HasFPU HasBPERMD HasExtDiv HasPartwordAtomics HasQuadwordAtomics IsISA2_06 IsISA2_07 HasSYNC "
                  "In64BitMode IsNotISA3_1 IsNotISAFuture IsNotBookE HasICBT"),
        _POWER8,
        word=4,
    ),
    # Older than zig's own baseline, which is z13.
    ("s390x", "Linux"): Baseline(
        "z10",
        capstone.CS_ARCH_SYSTEMZ,
        capstone.CS_MODE_BIG_ENDIAN | capstone.CS_MODE_SYSTEMZ_Z10,
        frozenset(),
        trap=b"\0\0",
    ),
    # The first Intel Macs that macOS 10.13 runs on have more: Apple's baseline is Core 2.
    ("x86_64", "macOS"): Baseline(
        "Core 2", capstone.CS_ARCH_X86, capstone.CS_MODE_64, _X86_FEATURES | {"sse3", "ssse3"}, _X86_64_V1 | _CORE_2,
        _X86_HARMLESS, _X86_OPERANDS,
    ),
    ("aarch64", "macOS"): Baseline(
        "Apple M1",
        capstone.CS_ARCH_AARCH64,
        0,
        _ARMV8
        | _words("HasCRC HasLSE HasRDM HasFullFP16 HasFP16FML HasDotProd HasRCPC HasRCPC_IMMO HasAES HasSHA2 "
                    "HasSHA3 HasPAuth HasJS HasComplxNum HasFlagM HasAltNZCV HasFRInt3264 HasSB HasCCDP HasCCPP "
                    "HasDIT HasPAN HasPAN_RWV HasLOR HasVH HasRAS"),
        word=4,
    ),
    ("x86_64", "Windows"): _X86_64,
    ("aarch64", "Windows"): Baseline(
        "ARMv8.0-A", capstone.CS_ARCH_AARCH64, 0, _ARMV8, operands=_ARMV8_REGISTERS, guarded=_LIBUNWIND, word=4
    ),
}  # fmt: skip
