"""Installing from sources: from an sdist without a network, and editable."""

from __future__ import annotations

import calendar
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pip(new_environment: Callable[..., Path]) -> Callable[..., Path]:
    """Pip without index or network, in a fresh environment that has the build requirements; gives its interpreter."""
    python = new_environment()
    site = next((python.parent.parent / "lib").glob("python*")) / "site-packages"
    # The build requirements are those of the tools' environment. Appended, so what is installed here comes first.
    (site / "build-requirements.pth").write_text(sysconfig.get_path("purelib"))

    def pip(command: str, *arguments: str | Path, **environment: str) -> Path:
        base = [command, "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
        nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(python), *base, *map(str, arguments)],
            capture_output=True, text=True, check=False, env={**os.environ, **nowhere, **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return python

    return pip


def where(python: Path, package: str) -> Path:
    """The folder that a package is imported from."""
    script = f"import {package}; print({package}.__file__)"
    found = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    return Path(found.stdout.strip()).parent


def date_of(wheel: Path) -> str:
    """The SOURCE_DATE_EPOCH that a wheel was built with."""
    with ZipFile(wheel) as file:
        [date] = {entry.date_time for entry in file.infolist()}
    return str(calendar.timegm(date))


@pytest.mark.requirement("R30")
@pytest.mark.parametrize("package", ["sharedlib_loader", "liblmdb_wheel", "lmdb_bindings", "flatc_wheel"])
def test_an_sdist_makes_the_very_wheel_without_a_network(
    package: str, built: Callable[[str], Path], pip: Callable[..., Path], tmp_path: Path
) -> None:
    """Each sdist carries all of its sources: with the index disabled, pip makes the wheel of them, bit for bit.

    It is a build of its own, at another time: pip unpacks the sdist into a new folder, and the compiler's flags name
    that, so that objects in zig's cache are no match. What is the same is the compiler, and its own runtime's cache.
    """
    known = built(f"{package}-*.whl")
    pip("wheel", "--wheel-dir", tmp_path, built(f"{package}-*.tar.gz"), SOURCE_DATE_EPOCH=date_of(known))
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name == known.name
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == hashlib.sha256(known.read_bytes()).hexdigest()

    python = pip("install", "--force-reinstall", wheel)
    assert where(python, package).is_relative_to(python.parent.parent)
    if package == "flatc_wheel":
        assert subprocess.run([python.parent / "flatc", "--version"], capture_output=True, check=True).stdout
    if package == "liblmdb_wheel":
        script = "import liblmdb_wheel; print(*(liblmdb_wheel.load(e).version for e in liblmdb_wheel.engines()))"
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True, cwd="/")
        assert done.stdout == "0.9.36 1.0.2\n"


@pytest.mark.requirement("R17")
def test_an_editable_provider_works(pip: Callable[..., Path], tmp_path: Path) -> None:
    """An editable install builds the libraries beside the sources, where the package is then imported from."""
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    project = shutil.copytree(ROOT / "liblmdb_wheel", tmp_path / "liblmdb_wheel", ignore=ignored)
    python = pip("install", "--force-reinstall", "--editable", project)
    assert where(python, "liblmdb_wheel") == project / "src" / "liblmdb_wheel"
    script = "import liblmdb_wheel; print(liblmdb_wheel.load('1.0').path)"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == str(project / "src" / "liblmdb_wheel" / "lib" / "liblmdb.so.1")


def test_a_distributors_compiler_builds_it(tmp_path: Path) -> None:
    """With CC set, the wheel is built by that compiler and tagged for this kind of machine, not for manylinux."""
    compiler = {"CC": shlex.join([sys.executable, "-m", "ziglang", "cc"])}
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    project = shutil.copytree(ROOT / "liblmdb_wheel", tmp_path / "project", ignore=shutil.ignore_patterns("build"))
    done = subprocess.run(
        [*command, "--wheel-dir", tmp_path, project],
        env={**os.environ, **compiler},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert next(tmp_path.glob("*.whl")).name.endswith(f"-py3-none-linux_{platform.machine()}.whl")


def test_an_unstaged_tree_says_what_to_do(tmp_path: Path) -> None:
    """A build without the third-party sources fails with the command that fetches them."""
    ignored = shutil.ignore_patterns("build", "upstream", "*.egg-info", "__pycache__", "lib", "include")
    project = shutil.copytree(ROOT / "liblmdb_wheel", tmp_path / "liblmdb_wheel", ignore=ignored)
    command = [sys.executable, "setup.py", "--quiet", "build_py"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "lmdb.h is missing. In a checkout, run: python -m vendor fetch" in done.stderr
