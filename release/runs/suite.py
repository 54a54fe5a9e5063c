"""The binding's own tests, run in a leg's place by its interpreter against the installed wheels.

Not those that need a compiler or a type checker, which look at the sources and not at the place.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from release.runs.legs import Leg
from release.runs.place import Failed
from release.runs.trees import CACHE, ROOT, UnavailableError

TESTS = ROOT / "tests" / "bindings"
LEFT_OUT = ("test_abi.py", "test_typing.py")

# pytest is pinned as here. Later versions of hypothesis are compiled, and have no wheels for PyPy.
TOOLS = ("pytest", "pytest-timeout", "packaging", "setuptools", "hypothesis<6.140")


def tools(tag: str) -> Path:
    """A folder with what runs the tests, for an interpreter such as ``cp313``. All of it is written in Python."""
    folder = CACHE / "needed" / f"tests-{tag}"
    if not folder.exists():
        version = f"{tag[2]}.{tag[3:].rstrip('t')}"
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-config",
                   f"--target={part}", f"--python-version={version}", "--only-binary=:all:", *TOOLS]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"what runs the tests cannot be had: {done.stderr.strip().splitlines()[-1]}")
        part.rename(folder)
    return folder


def suite(leg: Leg, command: str, search: str) -> str:
    """Run the tests.

    Args:
        leg: with place and tag.
        command: the interpreter, as the place calls it.
        search: the folders of the wheels and of what they need, as the place's ``PYTHONPATH``.

    Returns:
        pytest's last line, without the time.
    """
    place = leg.place
    given = [place.where(ROOT / "pyproject.toml"), place.where(TESTS)]
    ignored = [f"--ignore={place.where(TESTS / name)}" for name in LEFT_OUT]
    environment = {"PYTHONPATH": place.separator.join([search, place.where(tools(leg.tag))])}
    # Where a test hangs in C, only the end of the process helps.
    options = ["-q", "-p", "no:cacheprovider", "--timeout=300", "--timeout-method=thread", "-c", *given, *ignored]
    done = place.run([command, "-m", "pytest", *options], environment, timeout=3600)
    last = done.stdout.strip().rpartition("\n")[2]
    if done.returncode != 0 or not re.match(r"\d+ passed", last):
        raise Failed(f"{done.stdout[-6000:]}{done.stderr[-2000:]}")
    return last.partition(" in ")[0]
