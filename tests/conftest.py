"""What all tests share: a C compiler, a Python in a process of its own, and the built wheels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from sharedlib_loader.build import host

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
HOST = host("glibc")
TARGET = HOST.triple if HOST else "native"

# How long an example takes says something of the machine, and of what else it does meanwhile.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def zig(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Call the pinned compiler."""
    return subprocess.run(
        [sys.executable, "-m", "ziglang", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def compile_c() -> Callable[..., Path]:
    """Compile C source text to a file: ``compile_c(source, output, *flags, target=...)``."""

    def compile_c(source: str, output: Path, *flags: str | Path, target: str = TARGET) -> Path:
        output.parent.mkdir(parents=True, exist_ok=True)
        file = output.with_name(output.name + ".c")
        file.write_text(source)
        done = zig("cc", "-target", target, "-O1", "-fPIC", "-w", file, *flags, "-o", output)
        assert done.returncode == 0, done.stderr
        file.unlink()
        return output

    return compile_c


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., str]:
    """Run a script in a fresh process outside the source tree, and give what it prints; fail where it fails."""

    def python(script: str, *arguments: str | Path, executable: str | Path = sys.executable, **environment: str) -> str:
        command = [str(executable), "-c", script, *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, **environment},
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    return python


@pytest.fixture(scope="session")
def built() -> Callable[[str], Path]:
    """The one file in dist/ that matches a pattern; of wheels, the one that this interpreter installs."""
    accepted = set(sys_tags())

    def built(pattern: str) -> Path:
        found = [
            path
            for path in DIST.glob(pattern)
            if path.suffix != ".whl" or accepted & parse_wheel_filename(path.name)[3]
        ]
        assert len(found) == 1, f"dist/ has {len(found)} files {pattern}: `make test` builds them"
        return found[0]

    return built
