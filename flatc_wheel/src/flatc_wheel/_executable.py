"""Where the installed ``flatc`` is, and calling it. Not for what its options mean: see ``_compile``."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_NAME = "flatc" + (sysconfig.get_config_var("EXE") or "")


class FlatcNotFoundError(FileNotFoundError):
    """The executable is in none of the places where an installer puts scripts; the message lists them."""


@cache
def flatc_path() -> Path:
    """The absolute path of this distribution's ``flatc``.

    ``PATH`` is not searched: another ``flatc`` there may be of another version.

    Raises:
        FlatcNotFoundError: it is in none of the places tried.
    """
    places = list(dict.fromkeys(_places()))
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return place
    tried = "\n".join(f"  tried: {place}" for place in places)
    raise FlatcNotFoundError(f"{_NAME} is not installed\n{tried}\n  cure: pip install --force-reinstall flatc-wheel")


def _places() -> Iterator[Path]:
    try:
        # What the installer recorded is exact wherever it put things.
        for file in distribution("flatc-wheel").files or ():
            if file.name == _NAME:
                yield Path(os.path.abspath(file.locate()))
    except PackageNotFoundError:
        pass
    yield Path(sysconfig.get_path("scripts"), _NAME)
    yield Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")), _NAME)
    # pip install --target DIR moves scripts to DIR/bin after it has recorded them.
    yield Path(__file__).resolve().parent.parent / "bin" / _NAME


def run(
    *arguments: str | os.PathLike[str], check: bool = False, cwd: str | os.PathLike[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Call ``flatc`` and wait for it.

    Args:
        arguments: its command line, without the program.
        check: raise ``subprocess.CalledProcessError`` where its exit status is not 0.
        cwd: the folder to run it in; by default the current one.

    Returns:
        The exit status and what it printed, decoded as UTF-8.
    """
    command = [flatc_path(), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=check, cwd=cwd)


@cache
def version() -> str:
    """The version that the executable gives of itself, such as ``"25.12.19"``."""
    return run("--version", check=True).stdout.split()[-1]
