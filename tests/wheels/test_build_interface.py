"""What the installed provider tells compilers and build systems, in an environment that was moved after installation.

Each way of linking builds a C program with the pinned compiler, for each engine, and runs it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pkgconf
import pytest

import liblmdb_wheel
from liblmdb_wheel import linking
from tests.conftest import TARGET
from tests.wheels.elf import Elf

BIN = Path(sys.executable).parent
ENGINES = {engine: (library.soname, library.version) for engine, library in liblmdb_wheel.engines().items()}
# Without a target, zig gives what it links an RPATH of its own to every -L. Its sanitizer, which it has by default, and
# a linker script are together too much for zig 0.17.0: it cannot start its linker.
ZIG = [sys.executable, "-m", "ziglang", "cc", "-target", TARGET, "-fno-sanitize=undefined"]

# Prints the version of the library that runs, and of the header that it was compiled with: "1.0.2 of 1.0".
SOURCE = """
#include <lmdb.h>
#include <stdio.h>
int main(void)
{
    int major, minor, patch;
    mdb_version(&major, &minor, &patch);
    printf("%d.%d.%d of %d.%d\\n", major, minor, patch, MDB_VERSION_MAJOR, MDB_VERSION_MINOR);
    return 0;
}
"""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def moved(new_environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the provider, at another place than it was installed to."""
    environment = new_environment("liblmdb-wheel").parent.parent
    target = tmp_path_factory.mktemp("moved") / "a place with ñ and spaces"
    environment.rename(target)
    python = target / "bin" / "python"
    # pkgconf is among the tools of the tests' environment. Appended, so what is installed here comes first.
    (site_packages(python) / "tools.pth").write_text(sysconfig.get_path("purelib"))
    return python


def site_packages(python: Path) -> Path:
    return next((python.parent.parent / "lib").glob("python*")) / "site-packages"


def package(python: Path) -> Path:
    return site_packages(python) / "liblmdb_wheel"


def output(*command: str | Path, **environment: str | Path) -> str:
    """What a command prints; it must succeed, and say nothing else."""
    variables = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, cwd="/")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert done.stderr == ""
    return done.stdout


def ask(python: Path, *options: str) -> str:
    return output(python, "-m", "liblmdb_wheel", *options).removesuffix("\n")


def link(folder: Path, flags: str, compiler: list[str] = ZIG) -> Path:
    """Compile and link by a shell, for which flags are quoted; the program has no RPATH but what the flags give it."""
    source, program = folder / "version.c", folder / "version"
    source.write_text(SOURCE)
    command = f"{shlex.join(compiler)} {shlex.quote(str(source))} {flags} -o {shlex.quote(str(program))}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return program


def check(program: Path, python: Path, engine: str) -> None:
    """The program needs the engine by its SONAME, has no RPATH, and runs with the library of the moved environment."""
    soname, version = ENGINES[engine]
    elf = Elf(program.read_bytes())
    assert [needed for needed in elf.needed if "lmdb" in needed] == [soname]
    assert not elf.run_paths
    assert output(program, LD_LIBRARY_PATH=package(python) / "lib") == f"{version} of {engine}\n"


# -- pkg-config ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R22")
def test_pkg_config_finds_the_engine_by_its_name(engine: str, moved: Path, tmp_path: Path) -> None:
    """Pkgconf from the package index finds lmdb-0.9 and lmdb-1.0 by the entry point, with no variable set."""
    flags = output(moved, "-m", "pkgconf", "--cflags", "--libs", f"lmdb-{engine}", PKG_CONFIG_PATH="")
    check(link(tmp_path, flags.strip()), moved, engine)
    assert output(moved, "-m", "pkgconf", "--modversion", f"lmdb-{engine}").strip() == ENGINES[engine][1]


def test_pkg_config_finds_the_default_engine_by_the_usual_name(moved: Path, tmp_path: Path) -> None:
    """The entry point's lmdb.pc is LMDB 0.9, as a distribution's is."""
    flags = output(moved, "-m", "pkgconf", "--cflags", "--libs", "lmdb", PKG_CONFIG_PATH="")
    check(link(tmp_path, flags.strip()), moved, "0.9")


def test_pkg_config_finds_the_chosen_engine_by_the_usual_name(engine: str, moved: Path, tmp_path: Path) -> None:
    """In the folder that --pkgconfigdir names, and in the one in the engine's prefix, lmdb.pc is that engine."""
    tool = pkgconf.get_executable()
    for folder in (
        ask(moved, "--engine", engine, "--pkgconfigdir"),
        f"{ask(moved, '--engine', engine, '--prefix')}/lib/pkgconfig",
    ):
        flags = output(tool, "--cflags", "--libs", "lmdb", PKG_CONFIG_PATH=folder, PKG_CONFIG_LIBDIR="/nowhere")
        check(link(tmp_path, flags.strip()), moved, engine)


@pytest.mark.requirement("R22")
@pytest.mark.parametrize("compiler", ["zig", "cc"])
def test_meson_asks_pkgconf(compiler: str, engine: str, moved: Path, tmp_path: Path) -> None:
    """Meson finds the engine by pkgconf's entry point, and installs the program without the RPATH of its build."""
    if compiler == "cc" and not shutil.which("cc"):
        pytest.skip("this machine has no compiler of its own; zig is tested")
    (tmp_path / "version.c").write_text(SOURCE)
    program = f"executable('version', 'version.c', dependencies: dependency('lmdb-{engine}'), install: true)"
    (tmp_path / "meson.build").write_text(f"project('version', 'c')\n{program}\n")
    tools = {"PKG_CONFIG": shlex.join([str(moved), "-m", "pkgconf"]), "NINJA": BIN / "ninja"}
    if compiler == "zig":
        # Meson names the linker script by its path, with no -L; GNU ld looks beside it, zig in the folders of -L alone.
        folder = Path(ask(moved, "--engine", engine, "--prefix"), "lib")
        tools |= {"CC": shlex.join(ZIG), "LDFLAGS": shlex.quote(f"-L{folder}")}
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    output(*meson, "setup", tmp_path / "build", tmp_path, "--prefix", tmp_path / "installed", **tools)
    output(*meson, "install", "-C", tmp_path / "build", **tools)
    check(tmp_path / "installed" / "bin" / "version", moved, engine)


# -- CMake -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cmake(tmp_path: Path) -> Callable[..., str]:
    """Configure a project whose CMakeLists.txt has the given lines; gives what CMake says of it."""

    def cmake(lines: str, *options: str, language: str = "C", fails: bool = False) -> str:
        (tmp_path / "version.c").write_text(SOURCE)
        project = f"cmake_minimum_required(VERSION 3.15)\nproject(version {language})\n{lines}\n"
        (tmp_path / "CMakeLists.txt").write_text(project)
        tools = [f"-DCMAKE_MAKE_PROGRAM={BIN / 'ninja'}", f"-DCMAKE_C_COMPILER={';'.join(ZIG)}"]
        command = [BIN / "cmake", "-G", "Ninja", "-S", tmp_path, "-B", tmp_path / "build", *tools, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return cmake


def build_and_install(folder: Path) -> tuple[Path, Path]:
    """The program in the build folder, and as installed."""
    output(BIN / "cmake", "--build", folder / "build")
    output(BIN / "cmake", "--install", folder / "build", "--prefix", folder / "installed")
    return folder / "build" / "version", folder / "installed" / "bin" / "version"


@pytest.mark.requirement("R23")
@pytest.mark.parametrize("way", ["liblmdb_DIR", "CMAKE_PREFIX_PATH"])
def test_cmake_finds_the_package(way: str, engine: str, moved: Path, tmp_path: Path, cmake: Callable[..., str]) -> None:
    """By --cmakedir, and by the folder of the entry point cmake.prefix, a project has a target for each engine.

    The program runs from the build folder, where CMake gives it an RPATH, and is installed without one.
    """
    place = {"liblmdb_DIR": ask(moved, "--cmakedir"), "CMAKE_PREFIX_PATH": str(package(moved))}[way]
    lines = f"""
        find_package(liblmdb {engine} REQUIRED COMPONENTS lmdb-{engine})
        find_package(liblmdb REQUIRED) # again, as a subproject might
        add_executable(version version.c)
        target_link_libraries(version PRIVATE liblmdb::lmdb-{engine})
        install(TARGETS version DESTINATION bin)"""
    cmake(lines, f"-D{way}={place}")
    built, installed = build_and_install(tmp_path)
    assert output(built) == f"{ENGINES[engine][1]} of {engine}\n"
    check(installed, moved, engine)


def test_cmake_asks_pkg_config(engine: str, moved: Path, tmp_path: Path, cmake: Callable[..., str]) -> None:
    """FindPkgConfig makes a target of lmdb.pc that links: it keeps no -L, so the library must be found by name."""
    lines = f"""
        find_package(PkgConfig REQUIRED)
        set(ENV{{PKG_CONFIG_PATH}} "{ask(moved, "--engine", engine, "--pkgconfigdir")}")
        pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)
        add_executable(version version.c)
        target_link_libraries(version PRIVATE PkgConfig::LMDB)
        install(TARGETS version DESTINATION bin)"""
    cmake(lines, f"-DPKG_CONFIG_EXECUTABLE={pkgconf.get_executable()}")
    check(build_and_install(tmp_path)[1], moved, engine)


VERSIONS = {
    "": "0.9.36",
    "0.9": "0.9.36",
    "0.9.36": "0.9.36",
    "0.9.36 EXACT": "0.9.36",
    "0.9.24": "0.9.36",
    "1": "1.0.2",
    "1.0": "1.0.2",
    "1.0.2": "1.0.2",
    "1.0.2 EXACT": "1.0.2",
    "0.9...<1.0": "0.9.36",
    "0.9...1.0": "0.9.36",
    "0.9...1.0.2": "1.0.2",
    "0.9...<1.0.2": "0.9.36",
    "1.0...2": "1.0.2",
    "0.9.37": None,
    "0.9 EXACT": None,
    "0.8": None,
    "1.0.3": None,
    "1.0.1 EXACT": None,
    "1.1": None,
    "2": None,
    "99": None,
    "0.9.37...<1.0": None,
    "1.0.3...2": None,
}


@pytest.mark.requirement("R23")
def test_cmake_is_told_the_version_of_the_engine_asked_for(moved: Path, cmake: Callable[..., str]) -> None:
    """A version means the engine of that series, of that patch or later; a range any engine in it; another none."""
    said = cmake(
        "\n".join(
            f"""
            unset(liblmdb_DIR CACHE)
            find_package(liblmdb {version} QUIET)
            message(STATUS "asked: {version}, found: ${{liblmdb_FOUND}} ${{liblmdb_VERSION}}")"""
            for version in VERSIONS
        ),
        f"-DCMAKE_PREFIX_PATH={package(moved)}",
        language="NONE",
    )
    for version, found in VERSIONS.items():
        if found is None:
            assert f"asked: {version}, found: 0 " in said
        else:
            assert f"asked: {version}, found: 1 {found}\n" in said


def test_cmake_is_told_which_component_is_missing(moved: Path, cmake: Callable[..., str]) -> None:
    """A component that there is not fails with its name; one that is optional does not."""
    place = f"-Dliblmdb_DIR={ask(moved, '--cmakedir')}"
    lines = "find_package(liblmdb {} COMPONENTS lmdb-0.9 lmdb-pages lmdb-0.8)"
    assert "there is no component lmdb-0.8" in cmake(lines.format("REQUIRED"), place, language="NONE", fails=True)
    lines = """find_package(liblmdb REQUIRED OPTIONAL_COMPONENTS lmdb-0.8 lmdb-bulk)
        message(STATUS "found: ${liblmdb_lmdb-0.8_FOUND} ${liblmdb_lmdb-bulk_FOUND}")"""
    assert "found: FALSE TRUE" in cmake(lines, place, language="NONE")


# -- a linker and the command line -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compiler", ["zig", "cc -fuse-ld=bfd", "cc -fuse-ld=gold"])
def test_a_linker_finds_the_engine_by_its_prefix(compiler: str, engine: str, moved: Path, tmp_path: Path) -> None:
    """With -I and -L into the engine's prefix, -llmdb is the engine: liblmdb.so there is a script for the linker."""
    command = ZIG if compiler == "zig" else compiler.split()
    if compiler != "zig" and not (shutil.which("cc") and shutil.which(f"ld.{compiler.split('=')[1]}")):
        pytest.skip("this machine has no such linker of its own; zig's is tested")
    prefix = ask(moved, "--engine", engine, "--prefix")
    check(link(tmp_path, f"'-I{prefix}/include' '-L{prefix}/lib' -llmdb", command), moved, engine)


@pytest.mark.requirement("R21")
def test_the_printed_flags_link(engine: str, moved: Path, tmp_path: Path) -> None:
    """--cflags and --libs, pasted into a shell's command line, are enough."""
    check(link(tmp_path, ask(moved, "--engine", engine, "--cflags", "--libs")), moved, engine)


def test_a_program_in_site_packages_finds_the_library(engine: str, moved: Path, tmp_path: Path) -> None:
    """With the RPATH of --rpath-from, a program runs where it is installed, without any variable or preload."""
    folder = site_packages(moved) / "some_package" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    rpath = ask(moved, "--rpath-from", "some_package/bin")
    flags = ask(moved, "--engine", engine, "--cflags", "--libs")
    program = shutil.copy2(link(tmp_path, f"{flags} '-Wl,-rpath,{rpath}'"), folder)
    assert output(program, LD_LIBRARY_PATH="") == f"{ENGINES[engine][1]} of {engine}\n"


@pytest.mark.parametrize(
    ("folder", "rpath"),
    [
        (".", "$ORIGIN/liblmdb_wheel/lib"),
        ("package", "$ORIGIN/../liblmdb_wheel/lib"),
        ("package/", "$ORIGIN/../liblmdb_wheel/lib"),
        ("package/part", "$ORIGIN/../../liblmdb_wheel/lib"),
        ("./package/../other", "$ORIGIN/../liblmdb_wheel/lib"),
        ("..package", "$ORIGIN/../liblmdb_wheel/lib"),
        ("SITE", "$ORIGIN/liblmdb_wheel/lib"),
        ("SITE/package/part", "$ORIGIN/../../liblmdb_wheel/lib"),
    ],
)
def test_an_rpath_leads_to_the_libraries(folder: str, rpath: str) -> None:
    """From a folder of site-packages, relative or absolute, an RPATH has as many steps up as the folder is deep."""
    here = str(liblmdb_wheel.library_dir().parent.parent)
    assert linking.rpath_from(folder.replace("SITE", here)) == rpath


def test_other_systems_have_other_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where linkers take no file by its SONAME, -llmdb is the engine's own; macOS has a word of its own for $ORIGIN."""
    folder = linking.prefix("1.0") / "lib"
    for system in ("darwin", "win32"):
        monkeypatch.setattr("sys.platform", system)
        assert linking.libs("1.0") == [f"-L{folder}", "-llmdb"]
    monkeypatch.setattr("sys.platform", "darwin")
    assert linking.rpath_from("package") == "@loader_path/../liblmdb_wheel/lib"
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(ValueError, match=r"^Windows has no RPATH: call liblmdb_wheel\.load\(\) before"):
        linking.rpath_from("package")


def test_an_rpath_is_not_misled_by_links(tmp_path: Path) -> None:
    """An absolute folder that is reached by a symbolic link is where the link leads."""
    link = tmp_path / "link"
    link.symlink_to(liblmdb_wheel.library_dir().parent.parent)
    assert linking.rpath_from(link / "package") == "$ORIGIN/../liblmdb_wheel/lib"


@pytest.mark.parametrize("folder", ["..", "../package", "package/../..", "/", "/usr/lib", "SITE/.."])
def test_no_rpath_leads_out_of_site_packages(folder: str, moved: Path) -> None:
    """A folder outside site-packages is refused, since nobody knows where it will be."""
    here = str(site_packages(moved))
    command = [moved, "-m", "liblmdb_wheel", "--rpath-from", folder.replace("SITE", here)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"is not in the site-packages folder {here}" in done.stderr


@pytest.mark.requirement("R24")
def test_auditwheel_is_told_to_leave_every_library(moved: Path) -> None:
    """The options name each library that others may link by its SONAME, whatever engine a wheel was linked with."""
    words = ask(moved, "--auditwheel-exclude").split(" ")
    assert words[0::2] == ["--exclude"] * (len(words) // 2)
    shipped = {path.name for path in (package(moved) / "lib").glob("*.so.*")}
    assert sorted(words[1::2]) == sorted(shipped - {"liblmdb_fast.so.0"})


def test_answers_come_in_a_fixed_order(moved: Path) -> None:
    """Each answer is a line of its own, in the order of the usage, whatever the order of the questions."""
    asked = ["--cmakedir", "--rpath-from", "p", "--prefix", "--libs", "--version", "--pkgconfigdir", "--cflags"]
    at = package(moved)
    assert ask(moved, "--engine", "1.0", *asked).splitlines() == [
        "1.0.2",
        f"'-I{at}/engines/1.0/include' '-L{at}/lib' -l:liblmdb.so.1",
        f"{at}/engines/1.0",
        f"{at}/engines/1.0/lib/pkgconfig",
        f"{at}/lib/cmake/liblmdb",
        "$ORIGIN/../liblmdb_wheel/lib",
    ]
    assert ask(moved, "--pkgconfigdir") == f"{at}/lib/pkgconfig"


@pytest.mark.requirement("R21")
def test_programs_are_told_the_same(engine: str, moved: Path) -> None:
    """--json has what the options print."""
    told = json.loads(ask(moved, "--json"))
    one = told["engines"][engine]
    assert shlex.join(one["cflags"] + one["libs"]) == ask(moved, "--engine", engine, "--cflags", "--libs")
    for key, option in (("prefix", "--prefix"), ("pkgconfig_dir", "--pkgconfigdir"), ("version", "--version")):
        assert one[key] == ask(moved, "--engine", engine, option)
    assert told["cmake_dir"] == ask(moved, "--cmakedir")
    assert shlex.join(told["auditwheel_excludes"]) == ask(moved, "--auditwheel-exclude")


@pytest.mark.requirement("R6")
def test_the_build_interface_is_inert(python: Callable[..., str], moved: Path) -> None:
    """Build tools may import the package and ask it anything: no library is loaded, and no program is run."""
    script = """
import sys
sys.addaudithook(lambda event, args: print(event, args) if event in ("ctypes.dlopen", "subprocess.Popen", "os.exec") and args != (None,) else None)
import liblmdb_wheel
from liblmdb_wheel import linking
for engine in liblmdb_wheel.engines():
    linking.cflags(engine), linking.libs(engine), linking.prefix(engine), linking.pkgconfig_dir(engine)
linking.cmake_dir(), linking.rpath_from("p"), linking.auditwheel_excludes()
print("asked")
"""
    assert python(script, executable=moved) == "asked"
