"""The machine itself as a place to run in, and the interpreters that it has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from release.runs.trees import UnavailableError


@dataclass(frozen=True)
class Machine:
    """Where this program runs."""

    title = "this machine"
    separator = ":"

    def where(self, file: Path) -> str:
        """A file of this repository is called here as it is called here."""
        return str(file)

    def emulator(self) -> str | None:
        """None: nothing is emulated."""
        return None

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], *, timeout: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, and wait for it; of the environment only ``PATH`` is passed on."""
        given = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=timeout)


@dataclass(frozen=True)
class Found:
    """A CPython of this machine, by its version: ``"3.12"``. Those that pyenv has count, whether chosen or not."""

    version: str

    def make(self) -> Path:
        """The executable.

        Raises:
            UnavailableError: there is none.
        """
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
        places = [*map(str, sorted(pyenv.glob(f"{self.version}.*/bin/python3"))), f"python{self.version}"]
        # Not that of a virtual environment, which has the wheels already.
        base: str = getattr(sys, "_base_executable", sys.executable)
        for place in (base, *places):
            found = shutil.which(place)
            if found is not None and self._is(Path(found)):
                return Path(found)
        raise UnavailableError(f"this machine has no CPython {self.version}")

    def _is(self, executable: Path) -> bool:
        asked = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
        done = subprocess.run([executable, "-c", asked], capture_output=True, text=True, check=False)
        return done.stdout.split() == ["cpython", self.version]
