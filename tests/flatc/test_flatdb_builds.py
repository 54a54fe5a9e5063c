"""libflatdb's sources for systems and machines that differ: that they compile. Whole libraries of all platforms are built
and proved with the wheels.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

import liblmdb_wheel
from sharedlib_loader.build import TARGETS, BuildError, Toolchain, compile_flags

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "zig"

# What each has alone, and the engine that it is compiled for.
DIFFERENT = {
    "manylinux_armv7l": ("words of 32 bits", "0.9"),
    "manylinux_s390x": ("big-endian", "1.0"),
    "musllinux_x86_64": ("musl", "0.9"),
    "macosx_arm64": ("macOS", "1.0"),
    "win_amd64": ("Windows", "1.0"),
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """What the project's ``setup.py`` defines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **_: None)
        return runpy.run_path(str(ROOT / "flatc_wheel" / "setup.py"))


def compile_all(project: dict[str, Any], name: str, engine: str, sources: list[Path], folder: Path) -> None:
    """Compile sources as the build does, but for the optimizer, which takes most of the time."""
    toolchain = Toolchain.zig(next(target for target in TARGETS if target.name == name), CACHE)
    include = f"-I{liblmdb_wheel.include_dir(engine)}"
    flags = [*compile_flags(toolchain, sources), *project["CXX"], f"-I{project['FLATDB']}", include, "-O0"]
    toolchain.compile(sources, flags, folder)


@pytest.mark.parametrize("name", DIFFERENT, ids=lambda name: f"{name}: {DIFFERENT[name][0]}")
def test_every_source_compiles(name: str, project: dict[str, Any], tmp_path: Path) -> None:
    """Against the header of an engine, with the flags of the wheel."""
    sources = sorted(project["FLATDB"].glob("*.cpp"))
    assert project["PARSER"] in sources
    compile_all(project, name, DIFFERENT[name][1], sources, tmp_path)


def test_a_source_for_one_system_alone_does_not(project: dict[str, Any], tmp_path: Path) -> None:
    """What Windows lacks is seen here, before a wheel is built."""
    source = tmp_path / "only.cpp"
    source.write_text('#include <unistd.h>\n#include "flatdb.h"\nint f() { return fork() + flatdb_version(); }\n')
    compile_all(project, "musllinux_x86_64", "1.0", [source], tmp_path)
    with pytest.raises(BuildError, match="undeclared identifier 'fork'"):
        compile_all(project, "win_amd64", "1.0", [source], tmp_path)
