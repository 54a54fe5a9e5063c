"""Every block of every README, and of some pages, runs: files are written, Python and shell blocks are run, in order, as a reader would.

A block whose first line is a comment with a file name is that file. Blocks that call make are only looked up in the
Makefile: this very test is part of ``make test``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "docs" / f"{name}.md" for name in ("binding", "installation", "native", "tables")]
READMES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "CONTRIBUTING.md", *ROOT.glob("README.md"), *ROOT.glob("[a-z]*/README.md"), *PAGES]
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"(?:#|//|/\*) ([\w./-]+\.\w+)(?: \*/)?\n")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of a reader's environment: the wheels and their build requirements, ``python``, and a ``cc``."""
    site = tmp_path / "environment"
    subprocess.run(
        [Path(sys.executable).parent / "uv", "venv", "--quiet", "--python", sys.executable, site], check=True
    )
    packages = next((site / "lib").glob("python*")) / "site-packages"
    (packages / "installed.pth").write_text(sysconfig.get_path("purelib"))
    cc = site / "bin" / "cc"
    cc.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang cc "$@"\n')
    cc.chmod(0o755)
    path = f"{site / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**os.environ, **offline, "PATH": path}


@pytest.mark.parametrize("readme", READMES)
def test_the_blocks_run(readme: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Each block of the README does what it says, from an empty folder."""
    blocks = BLOCK.findall((ROOT / readme).read_text())
    folder = tmp_path / "reader"
    folder.mkdir()
    for language, text in blocks:
        if name := FILE.match(text):
            target = folder / name[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        elif language == "json":
            json.loads(text)
        elif language == "python":
            subprocess.run(["python", "-c", text], cwd=folder, env=environment, check=True)
        elif text.startswith("make "):
            targets = re.findall(r"^make (\w+)", text, re.MULTILINE)
            subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, check=True, capture_output=True)
        else:
            assert language == "sh", f"{readme}: nobody runs a block of {language}"
            subprocess.run(["bash", "-euc", text], cwd=folder, env=environment, check=True)


def test_there_are_blocks_to_run() -> None:
    """The pattern finds the blocks: the four distributions and the project each show how they are used."""
    found = {readme for readme in READMES if BLOCK.search((ROOT / readme).read_text())}
    distributions = {"loader", "liblmdb_wheel", "lmdb_bindings", "flatc_wheel"}
    pages = {
        "README.md",
        "CONTRIBUTING.md",
        "docs/binding.md",
        "docs/installation.md",
        "docs/native.md",
        "docs/tables.md",
    }
    assert found == {*pages, *(f"{folder}/README.md" for folder in distributions)}


def test_ci_runs_the_readmes_test_command() -> None:
    """What CI runs is what the README tells a reader to run."""
    assert "make test" in (ROOT / "README.md").read_text()
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
