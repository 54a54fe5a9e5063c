"""``python -m liblmdb_wheel selftest``: it passes where all is well, and names what is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKS = 18


@pytest.fixture
def copy(installed: Path, tmp_path: Path) -> Path:
    """A copy of the installed package, with its metadata and the loader, to be broken."""
    site = next((installed.parent.parent / "lib").glob("python*")) / "site-packages"
    for name in ("liblmdb_wheel", "sharedlib_loader"):
        for folder in site.glob(f"{name}*"):
            shutil.copytree(folder, tmp_path / "site" / folder.name)
    return tmp_path / "site" / "liblmdb_wheel"


def selftest(python: Path, **environment: str | Path) -> tuple[int, list[str]]:
    """The exit status, and the lines printed."""
    variables = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    command = [python, "-m", "liblmdb_wheel", "selftest"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, cwd="/")
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.mark.requirement("R29")
def test_an_installation_passes(installed: Path) -> None:
    """What was just installed passes, each check in a line that says what it found."""
    status, lines = selftest(installed, PATH=f"{installed.parent}:{os.environ['PATH']}")
    assert status == 0
    assert [line for line in lines if not line.startswith("ok      ")] == [f"all {CHECKS} checks passed"]
    assert lines[-2] == "ok      the tools on PATH: all are this package's"
    assert any(line.startswith("ok      LMDB 1.0 loads: liblmdb.so.1 is /") for line in lines)
    assert "ok      LMDB 0.9 writes and reads: put, committed and got b'value'" in lines


def test_another_tool_on_path_is_named(installed: Path, tmp_path: Path) -> None:
    """A tool of another LMDB that comes first on PATH is named, and so is one that is not there; neither fails."""
    (tmp_path / "mdb_stat").write_text("#!/bin/sh\n")
    (tmp_path / "mdb_stat").chmod(0o755)
    status, lines = selftest(installed, PATH=tmp_path)
    assert status == 0
    assert "mdb_copy is not on PATH" in lines[-2]
    assert f"mdb_stat is another's, {tmp_path / 'mdb_stat'}" in lines[-2]


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


Break = Callable[[Path], object]

BREAKAGES: dict[str, tuple[Break, tuple[str, ...]]] = {
    "an engine is missing": (
        lambda p: (p / "lib/liblmdb.so.1").unlink(),
        (
            "LMDB 1.0 loads: lmdb-1.0: the file does not exist",
            "LMDB 1.0 writes and reads: it does not load",
            "LMDB 1.0 has its header: it does not load",
            "LMDB 1.0 has its tools: mdb_copy ends with status 127: ",
            "LMDB 1.0 is found by -llmdb: PACKAGE/lib/liblmdb.so.1 is missing: pip install --force-reinstall",
            "CMake finds the libraries: PACKAGE/lib/liblmdb.so.1 is missing",
        ),
    ),
    "an engine is the other one": (
        lambda p: shutil.copy(p / "lib/liblmdb.so.1", p / "lib/liblmdb.so.0"),
        (
            # It is refused before it is loaded, so engine 1.0 still finds its SONAME free.
            "LMDB 0.9 loads: lmdb-0.9: PACKAGE/lib/liblmdb.so.0 does not answer to the SONAME liblmdb.so.0",
            "LMDB 0.9 writes and reads: it does not load",
            "LMDB 0.9 has its header: it does not load",
            "LMDB 0.9 has its tools: it does not load",
        ),
    ),
    "an extension is missing": (
        lambda p: (p / "lib/liblmdb_bulk.so.0").unlink(),
        ("the bulk extension loads: lmdb-bulk: the file does not exist", "CMake finds the libraries: "),
    ),
    "an extension of the binding is missing": (
        lambda p: (p / "lib/liblmdb_fast.so.0").unlink(),
        ("the fast extension loads: lmdb-fast: the file does not exist",),
    ),
    "another extension is damaged": (
        lambda p: (p / "lib/liblmdb_pages.so.0").write_bytes(b""),
        ("the pages extension loads: lmdb-pages: the file is not a shared library",),
    ),
    "a header is the other engine's": (
        lambda p: shutil.copy(p / "engines/1.0/include/lmdb.h", p / "engines/0.9/include/lmdb.h"),
        (
            "LMDB 0.9 has its header: the version in PACKAGE/engines/0.9/include/lmdb.h is '1.0.2', and should be '0.9.36'",
        ),
    ),
    "a tool is the other engine's": (
        lambda p: shutil.copy(p / "engines/1.0/bin/mdb_drop", p / "engines/0.9/bin/mdb_drop"),
        ("LMDB 0.9 has its tools: what mdb_drop -V says is 'LMDB 1.0.2', and should be 'LMDB 0.9.36'",),
    ),
    "a tool is not executable": (
        lambda p: (p / "engines/1.0/bin/mdb_stat").chmod(0o644),
        ("LMDB 1.0 has its tools: PermissionError(",),
    ),
    "a pkg-config file leads astray": (
        lambda p: replace(p / "lib/pkgconfig/lmdb-1.0.pc", "engines/1.0", "engines/0.9"),
        ("LMDB 1.0 is found by pkg-config: PACKAGE/lib/pkgconfig/lmdb-1.0.pc leads to ",),
    ),
    "a pkg-config file has another version": (
        lambda p: replace(p / "engines/1.0/lib/pkgconfig/lmdb.pc", "1.0.2", "1.0.3"),
        ("LMDB 1.0 is found by pkg-config: the version in PACKAGE/engines/1.0/lib/pkgconfig/lmdb.pc is '1.0.3'",),
    ),
    "the usual pkg-config file is missing": (
        lambda p: (p / "lib/pkgconfig/lmdb.pc").unlink(),
        ("LMDB 0.9 is found by pkg-config: FileNotFoundError(",),
    ),
    "the linker script leads astray": (
        lambda p: replace(p / "engines/0.9/lib/liblmdb.so", "liblmdb.so.0", "liblmdb.so.1"),
        ("LMDB 0.9 is found by -llmdb: PACKAGE/engines/0.9/lib/liblmdb.so leads to ",),
    ),
    "the linker script is a library": (
        lambda p: shutil.copy(p / "lib/liblmdb.so.0", p / "engines/0.9/lib/liblmdb.so"),
        ("LMDB 0.9 is found by -llmdb: UnicodeDecodeError(",),
    ),
    "CMake's package lacks a library": (
        lambda p: replace(p / "lib/cmake/liblmdb/liblmdb-config.cmake", "(lmdb-bulk ", "(lmdb-bulk\n"),
        ("CMake finds the libraries: the libraries in PACKAGE/lib/cmake/liblmdb/liblmdb-config.cmake is ",),
    ),
    "CMake's package has other headers": (
        lambda p: replace(p / "lib/cmake/liblmdb/liblmdb-config.cmake", '"engines/1.0/', '"engines/1.1/'),
        ("CMake finds the libraries: PACKAGE/engines/1.1/include is missing",),
    ),
    "CMake's package has another version": (
        lambda p: replace(p / "lib/cmake/liblmdb/liblmdb-config-version.cmake", "1.0.2", "1.0.3"),
        ("CMake finds the libraries: that 0.9.36 1.0.2 are in the version file is False, and should be True",),
    ),
    "an entry point is of another package": (
        lambda p: replace(next(p.parent.glob("liblmdb_wheel-*/entry_points.txt")), ".lib.pkgconfig", ".pkgconfig"),
        ("build systems find the folders: the entry point of pkg_config is {'liblmdb_wheel.pkgconfig'}",),
    ),
}


@pytest.mark.requirement("R29")
@pytest.mark.parametrize("breakage", BREAKAGES)
def test_what_is_broken_is_named(breakage: str, installed: Path, copy: Path) -> None:
    """Each damage fails the checks that it concerns, with the file and what is wrong with it, and no other check."""
    do, expected = BREAKAGES[breakage]
    do(copy)
    status, lines = selftest(installed, PYTHONPATH=copy.parent)
    failed = [line for line in lines if line.startswith("FAILED  ")]
    assert len(failed) == len(expected), "\n".join(lines)
    for line, start in zip(failed, expected, strict=True):
        assert line.startswith("FAILED  " + start.replace("PACKAGE", str(copy)))
    assert lines[-1] == f"{len(expected)} of {CHECKS} checks failed"
    assert status == 1


def test_selftest_asks_nothing_else(installed: Path) -> None:
    """Options beside it would be left unanswered, and are refused."""
    command = [installed, "-m", "liblmdb_wheel", "selftest", "--cflags"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "selftest takes no options" in done.stderr
