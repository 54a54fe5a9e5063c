"""CPythons that no distribution has: for the oldest glibc that the wheels promise, for musl, and without the lock.

Built from Debian's sources by the compiler that builds the wheels, three to five minutes each on two processors, and
relocatable. They have no ssl, lzma, bz2, sqlite3 and no pip: wheels are installed into folders beside them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from release.runs.trees import CACHE, UnavailableError, last_words, mirror

SOURCES = CACHE / "sources"

# Source packages of Debian: the release that has it, and how its archive is called there. A newer libffi comes without
# its configure script.
PACKAGES = {
    "python3.13": ("trixie", "python3.13_*.orig.tar.xz"),
    "libffi": ("bookworm", "libffi_*.orig.tar.gz"),
    "zlib": ("bookworm", "zlib_*.orig.tar.bz2"),
}

# Modules that need libraries which nothing here needs.
LEFT_OUT = ("_lzma", "_bz2", "_sqlite3", "_tkinter", "_uuid", "_curses", "_curses_panel", "_dbm", "_gdbm", "_ssl",
            "_hashlib", "readline")  # fmt: skip


@dataclass(frozen=True)
class Interpreter:
    """A CPython to build.

    Attributes:
        name: of its folder.
        triple: zig's name of the platform that it is built for.
        link: what the linker has to hear for this platform.
        options: of CPython's configure script.
    """

    name: str
    triple: str
    link: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def prefix(self) -> Path:
        return CACHE / "interpreters" / self.name

    def make(self) -> Path:
        """The executable, built where it is not there yet.

        Raises:
            UnavailableError: a source cannot be had, or does not build; the text names the log.
        """
        executable = self.prefix / "bin" / "python3"
        if not executable.exists():
            build(self)
        return executable


GLIBC_2_17 = Interpreter("cpython-3.13-glibc-2.17", "x86_64-linux-gnu.2.17")
# Functions that zig's musl has, and the one that runs it need not.
NEWER_THAN_MUSL_1_2_3 = ("ac_cv_func_preadv2=no", "ac_cv_func_pwritev2=no")
MUSL = Interpreter("cpython-3.13-musl", "x86_64-linux-musl", ("-dynamic",), NEWER_THAN_MUSL_1_2_3)
FREE_THREADED = Interpreter("cpython-3.13t", "x86_64-linux-gnu.2.17", options=("--disable-gil",))


def build(interpreter: Interpreter) -> None:
    """Fetch, compile and install a CPython with what it needs."""
    work = CACHE / "work" / interpreter.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    part = work / "installed"
    compiler = write_compiler(interpreter, work)
    sources = {package: unpack(package, work) for package in PACKAGES}
    needed = work / "needed"
    variables = environment(compiler)
    commands = Commands(work / "log.txt", variables)
    host = interpreter.triple.partition(".")[0]
    commands.run(sources["zlib"], "./configure", "--static", f"--prefix={needed}")
    commands.make(sources["zlib"], "install")
    commands.run(sources["libffi"], "./configure", "-q", "--disable-shared", "--disable-docs", f"--prefix={needed}",
              "--disable-exec-static-tramp",  # its source declares less than it calls
              f"--host={host}", f"--build={host}")  # fmt: skip
    commands.make(sources["libffi"], "install")
    variables |= {
        "ZLIB_CFLAGS": f"-I{needed}/include", "ZLIB_LIBS": f"-L{needed}/lib -lz",
        "LIBFFI_CFLAGS": f"-I{needed}/include", "LIBFFI_LIBS": f"-L{needed}/lib -lffi",
    }  # fmt: skip
    source = sources["python3.13"]
    # How extension modules' files are named. Python asks the headers, and takes those of musl in zig for no libc's.
    (source / "Misc" / "platform_triplet.c").write_text(f"#undef linux\nPLATFORM_TRIPLET={host}\n")
    commands.run(source, "./configure", "-q", f"--prefix={interpreter.prefix}", "--without-ensurepip",
              "--disable-test-modules", "ac_cv_buggy_getaddrinfo=no",
              *(f"py_cv_module_{module}=n/a" for module in LEFT_OUT), *interpreter.options)  # fmt: skip
    commands.make(source)
    commands.make(source, "install", f"DESTDIR={part}")
    installed = part / interpreter.prefix.relative_to("/")
    shutil.copytree(needed, installed, dirs_exist_ok=True)  # for what is compiled for it later
    interpreter.prefix.parent.mkdir(parents=True, exist_ok=True)
    installed.rename(interpreter.prefix)
    shutil.rmtree(work)


def environment(compiler: Path) -> dict[str, str]:
    """The variables of commands that build with a compiler."""
    return {
        "PATH": os.environ["PATH"], "CC": str(compiler), "AR": f"{sys.executable} -m ziglang ar",
        "RANLIB": f"{sys.executable} -m ziglang ranlib", "CFLAGS": "-O2 -fPIC -w -Wno-error=date-time",
        "PKG_CONFIG_LIBDIR": "/nonexistent", "LC_ALL": "C",
        "ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig"), "ZIG_LOCAL_CACHE_DIR": str(CACHE / "zig"),
    }  # fmt: skip


def write_compiler(interpreter: Interpreter, work: Path) -> Path:
    """A compiler as configure scripts call one: a single word, which knows the target."""
    multiarch = interpreter.triple.partition(".")[0]
    zig = shlex.join([sys.executable, "-m", "ziglang", "cc", "-target", interpreter.triple, *interpreter.link])
    compiler = work / "cc"
    compiler.write_text(f"""#!/bin/sh
case "$*" in *--print-multiarch*) echo {multiarch}; exit;; esac
exec {zig} "$@"
""")
    compiler.chmod(0o755)
    return compiler


def unpack(package: str, work: Path) -> Path:
    """The unpacked source of a package, in ``work``."""
    suite, pattern = PACKAGES[package]
    if not list(SOURCES.glob(pattern)):
        download(package, suite)
    folder = work / package
    with tarfile.open(next(SOURCES.glob(pattern))) as tar:
        tar.extractall(folder, filter="tar")
    return next(folder.iterdir())


def download(package: str, suite: str) -> None:
    """A source package from the machine's own mirror, by apt, which checks its signatures."""
    lists = SOURCES / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (SOURCES / "sources.list").write_text(f"deb-src [signed-by={key}] {mirror()} {suite} main\n")
    options = [f"Dir::Etc::sourcelist={SOURCES}/sources.list", "Dir::Etc::sourceparts=-", f"Dir::State::lists={lists}",
               "APT::Sandbox::User=root", "Acquire::Check-Valid-Until=false", "Acquire::Check-Date=false"]  # fmt: skip
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    for command in (["update"], ["source", "--download-only", package]):
        done = subprocess.run([*apt, *command], cwd=SOURCES, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"the source of {package} in Debian {suite}: {last_words(done.stderr)}")


@dataclass(frozen=True)
class Commands:
    """Commands of one build, whose words go into a log.

    Attributes:
        log: a file.
        environment: of each command; what is added to it later counts, too.
    """

    log: Path
    environment: Mapping[str, str]

    def run(self, folder: Path, *command: str) -> None:
        with self.log.open("a") as stream:
            done = subprocess.run(command, cwd=folder, env=self.environment, stdout=stream, stderr=stream, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"{shlex.join(command[:2])} fails in {folder.name}: see {self.log}")

    def make(self, folder: Path, *goals: str) -> None:
        self.run(folder, "make", "-s", f"-j{os.cpu_count()}", *goals)
