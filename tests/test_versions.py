"""Versions are written where readers look for them, and checked to agree here."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import flatbuffers
import pytest

import flatc_wheel
import liblmdb_wheel
import lmdb_bindings
import sharedlib_loader
from vendor.lock import read_lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = {
    "loader": sharedlib_loader,
    "liblmdb_wheel": liblmdb_wheel,
    "lmdb_bindings": lmdb_bindings,
    "flatc_wheel": flatc_wheel,
}


def project(folder: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text())


@pytest.mark.parametrize("folder", PROJECTS)
def test_the_package_has_the_projects_version(folder: str) -> None:
    """``__version__`` is the version in pyproject.toml."""
    assert PROJECTS[folder].__version__ == project(folder)["project"]["version"]


@pytest.mark.parametrize("folder", PROJECTS)
def test_the_tests_see_the_installed_package(folder: str) -> None:
    """What is tested is the built wheel, not the source folder."""
    assert not Path(PROJECTS[folder].__file__ or "").is_relative_to(ROOT / folder)


@pytest.mark.parametrize("engine", ["0.9", "1.0"])
def test_an_engine_has_one_version(engine: str) -> None:
    """The lock, the header, the description and the library itself agree."""
    pinned = read_lock()[f"lmdb-{engine}"].version
    header = (liblmdb_wheel.include_dir(engine) / "lmdb.h").read_text()
    numbers = [re.search(rf"#define MDB_VERSION_{part}\s+(\d+)", header) for part in ("MAJOR", "MINOR", "PATCH")]
    assert ".".join(number[1] for number in numbers if number) == pinned
    assert liblmdb_wheel.engines()[engine].version == pinned
    assert liblmdb_wheel.load(engine).version == pinned


def test_flatbuffers_has_one_version() -> None:
    """The lock, the distribution, its dependency, the executable and the runtime agree."""
    pinned = read_lock()["flatbuffers"].version
    table = project("flatc_wheel")["project"]
    assert table["version"] == pinned
    assert f"flatbuffers=={pinned}" in table["dependencies"]
    assert flatc_wheel.version() == flatc_wheel.check_versions() == flatbuffers.__version__ == pinned


@pytest.mark.parametrize("folder", ["liblmdb_wheel", "flatc_wheel"])
def test_one_compiler_is_pinned(folder: str) -> None:
    """Both native projects and the tools' environment name the same ziglang."""
    [pin] = [line for line in project(folder)["build-system"]["requires"] if line.startswith("ziglang")]
    assert pin in tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["build"]
    assert f"\n{pin} " in (ROOT / "constraints.txt").read_text()
