"""Building a provider: which compiler, which names, and what is said when it fails."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from sharedlib_loader.build import (
    TARGETS,
    BuildError,
    SharedObject,
    Target,
    Toolchain,
    elf_dynamic,
    host,
    public_names,
    runtime_libraries,
    targets,
    toolchain,
)
from sharedlib_loader.build.object_formats import ELF, MACH_O, PE, hide_symbols
from tests.wheels.elf import Elf

MACOS = next(target for target in TARGETS if target.libc == "libSystem")


@pytest.fixture
def zig(tmp_path: Path) -> Toolchain:
    """The toolchain for this machine, with a cache of its own."""
    target = host("glibc")
    assert target is not None
    return Toolchain.zig(target, tmp_path / "cache")


def test_zig_is_the_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without CC it is the zig of the ziglang distribution, for the row of this machine, with the row's tags."""
    monkeypatch.delenv("CC", raising=False)
    chosen, row = Toolchain.choose(tmp_path), host()
    assert row is not None
    assert chosen.cc[1:] == ("cc", "-target", row.triple, "-mcpu=baseline")
    assert Path(chosen.cc[0]).parent.name == "ziglang"
    assert chosen.tags == row.tags


def test_cc_overrides_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CC and CXX replace zig, and the wheel's tag then promises this kind of machine alone."""
    monkeypatch.setenv("CC", "ccache gcc -m64")
    monkeypatch.setenv("CXX", "g++")
    chosen, row = Toolchain.choose(tmp_path), host()
    assert row is not None
    assert (chosen.libc, chosen.machine) == (row.libc, row.machine)
    assert (chosen.cc, chosen.cxx) == (("ccache", "gcc", "-m64"), ("g++",))
    assert chosen.tags == (sysconfig.get_platform().replace("-", "_").replace(".", "_"),)


def test_no_compiler_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where ziglang is not installed and CC not set, the error says what to install."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(BuildError, match="there is no compiler: pip install ziglang, or set CC and CXX"):
        Toolchain.choose(tmp_path)


@pytest.mark.parametrize(
    ("accepted", "libc"),
    [(["manylinux_2_36_pdp11", "linux_pdp11"], "glibc"), (["musllinux_1_2_pdp11", "linux_pdp11"], "musl")],
)
def test_an_unknown_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, accepted: list[str], libc: str) -> None:
    """A machine without a row in the table is told apart, and CC is the way out, for its C library."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(targets, "platform_tags", lambda: iter(accepted))
    monkeypatch.setattr("platform.machine", lambda: "pdp11")
    assert host() is host("glibc") is None
    with pytest.raises(BuildError, match=r"^targets\.py has no row for this machine: set CC and CXX"):
        Toolchain.choose(tmp_path)
    monkeypatch.setenv("CC", "cc")
    chosen = Toolchain.choose(tmp_path)
    assert (chosen.machine, chosen.libc, chosen.flags) == ("pdp11", libc, ())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_host_is_the_row_whose_wheels_are_installed(monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    """On each platform of the table, an interpreter that accepts the row's tag builds that row."""
    monkeypatch.setattr(targets, "platform_tags", lambda: iter(["newer", target.tags[-1], "older"]))
    assert host() is target
    assert host(target.libc) is target


@pytest.mark.parametrize(("system", "libc"), [("darwin", "libSystem"), ("win32", "UCRT")])
def test_systems_with_one_c_library(monkeypatch: pytest.MonkeyPatch, system: str, libc: str) -> None:
    """Elsewhere than on Linux, the system says what the C library is."""
    monkeypatch.setattr("sys.platform", system)
    assert targets.system_libc() == libc


def test_another_platform_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SHAREDLIB_TARGET names a row; a name that is in no row is refused, with those that are."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("SHAREDLIB_TARGET", "manylinux_armv7l")
    chosen = Toolchain.choose(tmp_path)
    assert chosen.cc[1:] == ("cc", "-target", "arm-linux-gnueabihf.2.17", "-mcpu=baseline-neon-d32")
    assert chosen.tags == ("manylinux2014_armv7l", "manylinux_2_17_armv7l")
    monkeypatch.setenv("SHAREDLIB_TARGET", "linux_armv7l")
    with pytest.raises(BuildError, match=r"^SHAREDLIB_TARGET is 'linux_armv7l', .* choose one of manylinux_x86_64, "):
        Toolchain.choose(tmp_path)


@pytest.mark.parametrize(
    ("name", "tags"), [("manylinux_armv7l", ("linux_armv7l",)), ("macosx_arm64", ("macosx_11_0_arm64",))]
)
def test_cc_for_another_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, tags: tuple[str, ...]
) -> None:
    """CC may be a cross compiler; on Linux nobody knows what C library it links, and the tag promises none."""
    monkeypatch.setenv("CC", "cross-cc")
    monkeypatch.setenv("SHAREDLIB_TARGET", name)
    assert Toolchain.choose(tmp_path).tags == tags


@pytest.mark.parametrize("name", ["manylinux_riscv64", "musllinux_x86_64", "macosx_arm64", "win_amd64"])
def test_executables_for_either_c_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Executables that link nothing have musl inside, whatever C library of Linux the wheel is for."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("SHAREDLIB_TARGET", name)
    row = next(target for target in TARGETS if target.name == name)
    chosen = Toolchain.choose(tmp_path, static=True)
    assert chosen.tags == row.tags
    if row.format is not ELF:
        assert chosen.cc[3] == row.triple
        return
    assert chosen.cc[3] == f"{row.machine}-linux-musl"
    assert {one.name for one in chosen.runtime} == {"zig", "libcxx", "libcxxabi", "libunwind", "musl"}


def test_a_compiler_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A CC that cannot be run is named."""
    monkeypatch.setenv("CC", "no-such-compiler")
    source = tmp_path / "a.c"
    source.write_text("int a;")
    with pytest.raises(BuildError, match=r"no-such-compiler cannot be run: No such file or directory. Correct CC"):
        Toolchain.choose(tmp_path).compile([source], [], tmp_path)


def test_an_error_of_the_compiler_is_shown(zig: Toolchain, tmp_path: Path) -> None:
    """The error has the command and what the compiler said."""
    source = tmp_path / "wrong.c"
    source.write_text("int f(void) { return undeclared; }")
    with pytest.raises(BuildError, match=r"(?s)-c \S+wrong\.c.*exit status 1:.*undeclared identifier 'undeclared'"):
        zig.compile([source], [], tmp_path)


def test_an_undefined_symbol_fails_here(zig: Toolchain, tmp_path: Path) -> None:
    """A library that calls what nothing defines does not link (-z defs), nor one that lacks a promised export."""
    source = tmp_path / "calls.c"
    source.write_text("int elsewhere(void); int f(void) { return elsewhere(); }")
    with pytest.raises(BuildError, match="undefined symbol: elsewhere"):
        SharedObject("libcalls.so.1", (source,), ("f",)).build(zig, tmp_path / "lib", tmp_path / "work")
    source.write_text("int f(void) { return 1; }")
    with pytest.raises(BuildError, match="version script assignment of 'global' to symbol 'g' failed"):
        SharedObject("libcalls.so.1", (source,), ("f", "g")).build(zig, tmp_path / "lib", tmp_path / "work")


def test_a_missing_export_is_named_for_macos(tmp_path: Path) -> None:
    """Where the linker takes no list of exports, the objects are asked."""
    source = tmp_path / "one.c"
    source.write_text("int f(void) { return 1; } int g; static int h(void) { return g; } int (*i)(void) = h;")
    zig = Toolchain.zig(MACOS, tmp_path / "cache")
    with pytest.raises(BuildError, match=r"^libone\.1\.dylib does not define what it should export: absent, h$"):
        SharedObject("libone.so.1", (source,), ("f", "h", "absent")).build(zig, tmp_path / "lib", tmp_path / "work")


def test_only_object_files_of_macos_are_changed(tmp_path: Path) -> None:
    """Another file is refused, and left as it is."""
    path = tmp_path / "elf.o"
    path.write_bytes(b"\x7fELF" + bytes(60))
    with pytest.raises(ValueError, match=r"elf\.o is no Mach-O object file of 64 bits$"):
        hide_symbols(path, set())
    assert path.read_bytes() == b"\x7fELF" + bytes(60)


@pytest.mark.parametrize(
    ("soname", "mach_o", "pe"),
    [
        ("libz.so.1", "libz.1.dylib", "libz-1.dll"),
        ("libfoo-2.0.so.0.1", "libfoo-2.0.0.1.dylib", "libfoo-2.0-0.1.dll"),
        ("libplain.so", "libplain.dylib", "libplain.dll"),
    ],
)
def test_each_format_makes_its_name_of_the_soname(soname: str, mach_o: str, pe: str) -> None:
    """ELF takes the SONAME as it is; the others put the version where their systems have it."""
    names = ELF.file_name(soname), MACH_O.file_name(soname), PE.file_name(soname)
    assert names == (soname, mach_o, pe)


def test_sources_of_one_name(zig: Toolchain, tmp_path: Path) -> None:
    """Two sources of one name in two folders are two objects."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "unit.c").write_text(f"int {folder}(void) {{ return 1; }}")
    sources = tuple(tmp_path / folder / "unit.c" for folder in "ab")
    SharedObject("libab.so.1", sources, ("a", "b")).build(zig, tmp_path / "lib", tmp_path / "work")


def test_missing_sources_are_named(zig: Toolchain, tmp_path: Path) -> None:
    """The error names the files and the command that stages them."""
    library = SharedObject("liba.so.1", (tmp_path / "a.c", tmp_path / "b.c"), ())
    with pytest.raises(
        BuildError, match=r"sources are missing: \S+a\.c, \S+b\.c\. In a checkout, run: python -m vendor"
    ):
        library.build(zig, tmp_path / "lib", tmp_path / "work")


def test_flag_sets_have_caches_of_their_own(monkeypatch: pytest.MonkeyPatch, zig: Toolchain, tmp_path: Path) -> None:
    """Zig's cache mixes up objects with and without a stack protector, so each set of flags gets another one."""
    used = []
    run = toolchain.subprocess.run
    monkeypatch.setattr(
        toolchain.subprocess,
        "run",
        lambda *a, env, **k: used.append(env["ZIG_GLOBAL_CACHE_DIR"]) or run(*a, env=env, **k),
    )
    source = tmp_path / "a.c"
    source.write_text("#include <string.h>\nvoid g(char *); void f(void) { char b[64]; memset(b, 0, 64); g(b); }")
    plain = zig.compile([source], ["-O2"], tmp_path / "plain")[0].read_bytes()
    protected = zig.compile([source], ["-O2", "-fstack-protector-strong"], tmp_path / "protected")[0].read_bytes()
    assert len(set(used)) == 2
    assert (b"__stack_chk_fail" in plain, b"__stack_chk_fail" in protected) == (False, True)


@pytest.mark.requirement("R28")
def test_what_the_link_flags_are_for(zig: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flag that seals a library is missed where it is taken away: the checks of the wheels can fail."""
    inner, outer = tmp_path / "inner.c", tmp_path / "outer.c"
    inner.write_text("int a_inner(void) { return 1; }")
    outer.write_text("int a_inner(void); int a_outer(void) { return a_inner(); }")
    library = SharedObject("liba.so.1", (inner, outer), ("a_inner", "a_outer"))

    linked = ELF.link

    def built(*removed: str) -> Elf:
        monkeypatch.setattr(ELF, "link", tuple(flag for flag in linked if flag not in removed))
        return Elf(library.build(zig, tmp_path / "lib", tmp_path / "work").read_bytes())

    sealed = built()
    assert "DF_SYMBOLIC" in sealed.flags
    assert "DF_1_NODELETE" in sealed.flags
    assert "a_inner" not in sealed.relocated_names
    assert "a_inner" in built("-Wl,-Bsymbolic").relocated_names
    assert "DF_1_NODELETE" not in built("-Wl,-z,nodelete").flags


def test_public_names_are_read_from_a_header(tmp_path: Path) -> None:
    """Functions are found; what stands in comments and macros is not."""
    header = tmp_path / "api.h"
    header.write_text("""
/** x_commented(1) calls
 *  x_commented_too(). */
#define x_macro(a) \\
    x_continued(a)
// x_line_comment()
int x_first(void);
const char *x_second (int, void (*x_callback)(int));
int other(void);
typedef int x_type;
typedef int x_callback(void *x_context, int);
typedef struct x_struct { int (*x_member)(void); } x_struct;
""")
    assert public_names(header, "x_") == ("x_first", "x_second")


def test_a_compiler_that_hides_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where zig no longer has a version of its runtime where it had it, the bill of materials is not made up."""
    import ziglang

    folder = Path(ziglang.__file__).parent
    assert [one.name for one in runtime_libraries.of_zig(folder, "musl", static=True)][-1] == "musl"
    place, _ = runtime_libraries.MUSL_VERSION
    rows = (("musl", "MIT", "libc/musl/COPYRIGHT", (place, "no version")),)
    monkeypatch.setitem(runtime_libraries.OF_THE_LIBC, ("musl", True), rows)
    with pytest.raises(ValueError, match=r"version\.h does not give a version: correct the table in runtime_libraries"):
        runtime_libraries.of_zig(folder, "musl", static=True)


@pytest.mark.parametrize(
    ("libc", "static", "linked"),
    [
        ("glibc", False, {"zig"}),
        ("musl", False, {"zig"}),
        ("musl", True, {"zig", "libcxx", "libcxxabi", "libunwind", "musl"}),
        ("libSystem", False, {"zig"}),
        ("libSystem", True, {"zig", "libcxx", "libcxxabi", "libunwind"}),
        ("UCRT", False, {"zig", "mingw-w64"}),
        ("UCRT", True, {"zig", "libcxx", "libcxxabi", "libunwind", "mingw-w64"}),
    ],
)
def test_what_is_linked_in(libc: str, *, static: bool, linked: set[str]) -> None:
    """Each platform adds what its files have inside of the compiler's libraries, with a version of three numbers."""
    import ziglang

    found = runtime_libraries.of_zig(Path(ziglang.__file__).parent, libc, static=static)
    assert {one.name for one in found} == linked
    assert all(one.version.count(".") == 2 and one.text.exists() for one in found)


def test_the_table_has_unique_rows() -> None:
    """A name, a tag, or a machine and a C library, choose one row."""
    for keys in (
        [target.name for target in TARGETS],
        [tag for target in TARGETS for tag in target.tags],
        [(target.machine, target.libc) for target in TARGETS],
    ):
        assert len(set(keys)) == len(keys)


# -- what the linker has no option for -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manylinux_x86_64", "manylinux_armv7l", "manylinux_s390x"])
def test_a_library_is_forgotten(name: str, tmp_path: Path) -> None:
    """One DT_NEEDED goes, in files of each word size and byte order, and the rest stays as it was."""
    target = next(target for target in TARGETS if target.name == name)
    zig = Toolchain.zig(target, tmp_path / "cache")
    objects = zig.nothing(tmp_path)
    for library in ("one", "two"):
        flags = [*toolchain.EMPTY, f"-Wl,-soname,{library}"]
        zig.link(zig.cc, objects, flags, tmp_path / f"{library}.so")
    path = tmp_path / "needs.so"
    flags = [*toolchain.EMPTY, "-Wl,-rpath,$ORIGIN", "-Wl,-soname,needs", "-Wl,--no-as-needed"]
    zig.link(zig.cc, objects, [*flags, str(tmp_path / "one.so"), str(tmp_path / "two.so")], path)
    elf_dynamic.forget_needed(path, "one")
    elf_dynamic.runpath_to_rpath(path)
    elf = Elf(path.read_bytes())
    assert (elf.needed, elf.soname) == ({"two"}, "needs")
    assert [entry.rpath for entry in elf.run_paths] == ["$ORIGIN"]
    once = path.read_bytes()
    elf_dynamic.forget_needed(path, "one")
    assert path.read_bytes() == once
