"""What every place to run in has: this machine, a tree of Debian, a Windows made by Wine."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Failed(Exception):  # noqa: N818 - a finding, and no fault of this program
    """What was tried did not do what it should; the text is what it said."""


class Place(Protocol):
    """Somewhere to run programs."""

    @property
    def title(self) -> str:
        """What a table calls it."""

    @property
    def separator(self) -> str:
        """What stands between folders in its variables."""

    def where(self, file: Path) -> str:
        """What a file of this repository is called there."""

    def emulator(self) -> str | None:
        """What emulates the processor or the system, with its version; None where nothing is emulated."""

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], *, timeout: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with these variables and few others, and wait for it; at most ``timeout`` seconds."""


def output(place: Place, program: Path, *arguments: str) -> str:
    """What a program prints, which must end well.

    Raises:
        Failed: it does not.
    """
    done = place.run([place.where(program), *arguments], {})
    if done.returncode != 0:
        raise Failed(f"{program.name} ends with {done.returncode}: {(done.stdout + done.stderr).strip()}")
    return done.stdout
