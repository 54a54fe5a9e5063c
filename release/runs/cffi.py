"""cffi for a CPython that nobody compiles it for: 3.13 without the global lock.

Its C code is written for such builds, and says so to the interpreter, which then leaves the lock off; its setup refuses
3.13, where they were experimental, and there is no wheel. So it is compiled here without that setup, as it is, by the
compiler that has built the interpreter. Not a cffi that its authors stand for, and no way to install one: it lets the
binding be tested without the lock where Debian has no sources of CPython 3.14.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from release.runs.cpython import SOURCES, Commands, Interpreter, environment, write_compiler
from release.runs.trees import CACHE, UnavailableError
from vendor import archive
from vendor.errors import VendorError
from vendor.lock import Archive

SDIST = Archive("cffi", "2.1.1", "dd31f52ea1086513bb9df30f8fcee9b8918323ae067a3d5b78bc826a000712be")

# What its setup finds out of a compiler, and this one has: variables of threads, and barriers.
DEFINED = ("-DFFI_BUILDING=1", "-DUSE__THREAD", "-DHAVE_SYNC_SYNCHRONIZE")


@dataclass(frozen=True)
class Cffi:
    """cffi, compiled.

    Attributes:
        interpreter: the CPython that it is for.
    """

    interpreter: Interpreter

    def make(self) -> Path:
        """A folder to import it from, made where it is not there yet.

        Raises:
            UnavailableError: its source cannot be had, or does not build; the text names the log.
        """
        folder = CACHE / "needed" / f"{self.interpreter.name}-cffi-{SDIST.version}"
        if not folder.exists():
            self._build(folder)
        return folder

    def _build(self, folder: Path) -> None:
        executable = self.interpreter.make()
        work = CACHE / "work" / folder.name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        source, installed = unpack(work), work / "installed"
        shutil.copytree(source / "src" / "cffi", installed / "cffi")
        information = installed / f"cffi-{SDIST.version}.dist-info"
        information.mkdir()
        shutil.copy(source / "PKG-INFO", information / "METADATA")
        include, suffix = asked(executable, "get_path('include')", "get_config_var('EXT_SUFFIX')")
        compiler, prefix = write_compiler(self.interpreter, work), self.interpreter.prefix
        Commands(work / "log.txt", environment(compiler)).run(
            source, str(compiler), "-shared", "-fPIC", "-O2", "-w", *DEFINED, f"-I{include}", f"-I{prefix}/include",
            "src/c/_cffi_backend.c", f"-L{prefix}/lib", "-lffi", "-o", str(installed / f"_cffi_backend{suffix}"),
        )  # fmt: skip
        folder.parent.mkdir(exist_ok=True)
        installed.rename(folder)
        shutil.rmtree(work)


def unpack(work: Path) -> Path:
    """The unpacked source, in ``work``."""
    try:
        file = archive.obtain(SDIST, SOURCES)
    except VendorError as error:
        raise UnavailableError(f"the source of cffi: {error}") from error
    with tarfile.open(file) as tar:
        tar.extractall(work, filter="tar")
    return work / f"cffi-{SDIST.version}"


def asked(executable: Path, *expressions: str) -> list[str]:
    """What the module ``sysconfig`` of an interpreter says."""
    script = f"import sysconfig; print({', '.join(f'sysconfig.{one}' for one in expressions)}, sep='\\n')"
    return subprocess.run([executable, "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
