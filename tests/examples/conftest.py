"""The examples as a user has them: each built into a wheel by its own backend, repaired, and installed beside the provider.

A wheel is built once, whichever of pytest's processes needs it first.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import DIST, ROOT, TARGET

EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent

# example: the package that it installs.
EXTENSIONS = {
    "c_extension": "lmdb_count",
    "cmake_extension": "lmdb_count_cmake",
    "cython_extension": "lmdb_count_cython",
    "rust_extension": "lmdb_count_rust",
}
PROGRAMS = {"c_program": "lmdb_count_program"}
ALL = {**EXTENSIONS, **PROGRAMS}


def missing(example: str) -> str | None:
    """Why an example cannot be built on this machine; None where it can."""
    if example in ("c_extension", "cmake_extension", "cython_extension"):
        include = sysconfig.get_path("include")
        if not Path(include, "Python.h").exists():
            return "this Python was installed without Python.h, so no extension can be compiled for it"
    if example == "c_extension" and sys.implementation.name != "cpython":
        return "the limited API is CPython's"
    if example == "rust_extension":
        return _missing_rust()
    return None


def _missing_rust() -> str | None:
    manifest = (EXAMPLES / "rust_extension" / "Cargo.toml").read_text()
    needed = re.search(r'^rust-version = "([\d.]+)"', manifest, re.MULTILINE)
    assert needed
    if not shutil.which("cargo"):
        return f"Rust is not installed: cargo {needed[1]} or later builds this example"
    version = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split("-")[0].split("."))) < tuple(map(int, needed[1].split("."))):
        return f"cargo is {version}, and this example needs {needed[1]} or later"
    return None


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all of pytest's processes share in this run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "examples"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def compilers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for a build: the tools and a ``cc`` on PATH, for old glibc, so that no system compiler is needed.

    C++ is the exception where the system has a compiler: zig would build its C++ library first, which takes a minute.
    """
    folder = tmp_path_factory.mktemp("compilers")

    def compiler(name: str) -> str:
        script = folder / name
        command = shlex.join([sys.executable, "-m", "ziglang", name, "-target", TARGET])
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
        return str(script)

    return {
        "PATH": os.pathsep.join([str(folder), str(BIN), os.environ["PATH"]]),
        "CC": compiler("cc"),  # also on PATH: rustc looks for it there
        "CXX": shutil.which("c++") or compiler("c++"),
    }


@pytest.fixture(scope="session")
def build(compilers: dict[str, str]) -> Callable[..., Path]:
    """Let an example's own backend make a wheel of a copy of its folder; skip where that cannot be."""

    def build(example: str, folder: Path, **environment: str) -> Path:
        if reason := missing(example):
            pytest.skip(reason)
        source = shutil.copytree(EXAMPLES / example, folder / "source")
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps"]
        here = ["--no-build-isolation", "--check-build-dependencies", "--wheel-dir", folder / "dist"]
        run(*pip, *here, ".", cwd=source, **{**compilers, **environment})
        [wheel] = (folder / "dist").iterdir()
        return wheel

    return build


@pytest.fixture(scope="session")
def built_example(build: Callable[..., Path], shared: Path) -> Callable[[str], Path]:
    """An example's wheel, built once for all of pytest's processes."""

    def built_example(example: str) -> Path:
        folder = shared / example
        with FileLock(shared / f"{example}.lock"):
            if not (folder / "dist").exists():
                shutil.rmtree(folder, ignore_errors=True)  # a build that failed in another process
                return build(example, folder)
        [wheel] = (folder / "dist").iterdir()
        return wheel

    return built_example


@pytest.fixture(scope="session")
def repair(compilers: dict[str, str]) -> Callable[..., Path]:
    """Call ``auditwheel repair`` for a wheel, with the given options; the wheel that it writes."""

    def repair(wheel: Path, folder: Path, *options: str, **environment: str) -> Path:
        command = [sys.executable, "-m", "auditwheel", "repair", *options, "--wheel-dir", folder, wheel]
        run(*command, cwd=wheel.parent, **{**compilers, **environment})
        [repaired] = folder.iterdir()
        return repaired

    return repair


@pytest.fixture(scope="session")
def repaired_example(
    built_example: Callable[[str], Path], repair: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """An example's wheel after ``auditwheel repair`` with the flag that the guide tells."""
    known: dict[str, Path] = {}

    def repaired_example(example: str) -> Path:
        if example not in known:
            asked = run(sys.executable, "-m", "liblmdb_wheel", "--auditwheel-exclude", cwd=Path("/"))
            known[example] = repair(built_example(example), tmp_path_factory.mktemp("repaired"), *shlex.split(asked))
        return known[example]

    return repaired_example


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The interpreter of a fresh environment with the given wheels and distributions, and what they depend on."""

    def new_environment(*wanted: str | Path) -> Path:
        folder = tmp_path_factory.mktemp("environment") / "with spaces and ü"
        python = folder / "bin" / "python"
        found = ["--find-links", DIST, "--find-links", ROOT / "build" / "wheelhouse"]
        run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder, cwd=Path("/"))
        # No cache: uv's takes a wheel that was built again, of the same version, for the one that it knows.
        run(BIN / "uv", "pip", "install", "--quiet", "--no-cache", "--no-index", "--only-binary", ":all:", *found,
            "--python", python, *wanted, cwd=Path("/"))  # fmt: skip
        return python

    return new_environment


@pytest.fixture(scope="session")
def environment(repaired_example: Callable[[str], Path], new_environment: Callable[..., Path]) -> Path:
    """An environment with the binding and all examples that can be built here."""
    return new_environment("lmdb-bindings", *(repaired_example(example) for example in ALL if not missing(example)))
