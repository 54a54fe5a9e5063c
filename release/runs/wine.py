"""Windows, as far as Wine is it: its programs, and the CPython for Windows that a Java project publishes with its jars.

Not a proof that something runs on Windows, but that it runs on the documented interfaces as Wine has them.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from release.runs.trees import CACHE, ROOT, Tree, UnavailableError

# Wine's user32.dll needs zlib1.dll, which a maintainer script would have copied beside it.
TREE = Tree(
    "trixie",
    "amd64",
    ("wine64", "wine"),
    links=(("usr/lib/x86_64-linux-gnu/wine/x86_64-windows/zlib1.dll", "/usr/x86_64-w64-mingw32/lib/zlib1.dll"),),
)

PREFIX = CACHE / "wine"  # what Wine keeps of a Windows: its registry and drive C


@dataclass(frozen=True)
class Wine:
    """A Windows 10 for one user, made at its first use."""

    title = "Wine"
    separator = ";"

    def where(self, file: Path) -> str:
        """What a file of this repository is called there: drive Z is Unix' root."""
        return "Z:" + TREE.where(file).replace("/", "\\")

    def emulator(self) -> str | None:
        """Wine's version."""
        said = TREE.run(["/usr/lib/wine/wine64", "--version"], {}).stdout
        return "Wine " + said.removeprefix("wine-").split()[0]

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], *, timeout: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of Windows, and wait for it."""
        if not PREFIX.exists():
            # It ends with an error, since the tree has no 32-bit programs, and has made what is needed.
            TREE.run(["/usr/lib/wine/wine64", "wineboot", "--init"], self._environment())
        given = {**self._environment(), **environment}
        return TREE.run(["/usr/lib/wine/wine64", *command], given, timeout=timeout)

    def _environment(self) -> dict[str, str]:
        # It needs neither .NET nor HTML, and would ask to install them.
        return {"WINEPREFIX": TREE.where(PREFIX), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree=;mshtml="}


@dataclass(frozen=True)
class WindowsPython:
    """A CPython for Windows in a jar, by its Maven coordinates: group, artifact, version and classifier."""

    group: str
    artifact: str
    version: str
    classifier: str

    def make(self) -> Path:
        """The executable, fetched and unpacked where it is not there yet.

        Raises:
            UnavailableError: there is no Maven, or it cannot fetch the jar.
        """
        folder = CACHE / "interpreters" / f"{self.artifact}-{self.version}-{self.classifier}"
        executable = folder.joinpath(*self.group.split("."), self.artifact, self.classifier, "python.exe")
        if not executable.exists():
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            with zipfile.ZipFile(self._fetch()) as jar:
                jar.extractall(part)
            part.rename(folder)
        return executable

    def _fetch(self) -> Path:
        repository = CACHE / "maven"
        coordinates = f"{self.group}:{self.artifact}:{self.version}:jar:{self.classifier}"
        command = ["mvn", "-q", f"-Dmaven.repo.local={repository}", "dependency:get", f"-Dartifact={coordinates}",
                   "-Dtransitive=false"]  # fmt: skip
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise UnavailableError("Maven is not installed: apt-get install maven") from None
        jar = repository.joinpath(*self.group.split("."), self.artifact, self.version)
        found = list(jar.glob(f"*-{self.classifier}.jar"))
        if done.returncode != 0 or not found:
            raise UnavailableError(f"Maven cannot fetch {coordinates}: {done.stdout.strip()[:200]}")
        return found[0]


WINDOWS_CPYTHON = WindowsPython("org.bytedeco", "cpython", "3.13.5-1.5.12", "windows-x86_64")
