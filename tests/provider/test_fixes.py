"""What the insertions in ``vendor/lock.toml`` mend in LMDB, tested by a C program with the libraries of the wheel."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import liblmdb_wheel

UPSTREAM = Path(__file__).resolve().parent.parent.parent / "liblmdb_wheel" / "upstream"
SOURCE = Path(__file__).with_suffix(".c").read_text()
BOTH, NEW = (re.findall(r"\bTEST\((\w+)\)", part) for part in SOURCE.partition("} TESTS[] = ")[2].split("#if"))
# Transactions of the wheel's library write pages early only when they are huge; so these tests get a build of their own.
SPILLED = [name for name in NEW if name.startswith("spilled_")]


@pytest.fixture(scope="module")
def program(compile_c: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The tests with an engine of the wheel, or with 1.0 built for short lists of dirty pages (``"spilling"``)."""

    @cache
    def program(engine: str) -> Path:
        output = tmp_path_factory.mktemp(f"fixes-{engine}") / "test_fixes"
        if engine != "spilling":
            include, library = f"-I{liblmdb_wheel.include_dir(engine)}", liblmdb_wheel.library_path(engine)
            return compile_c(SOURCE, output, include, library, f"-Wl,-rpath,{liblmdb_wheel.library_dir()}")
        folder = UPSTREAM / "lmdb-1.0"
        sources = [folder / name for name in ("mdb.c", "midl.c", "module.c")]
        # -fno-sanitize: where there is little optimization the compiler adds traps, and LMDB reads words unaligned.
        flags = ["-UNDEBUG", "-fno-sanitize=undefined", "-DMDB_IDL_LOGN=10", "-pthread", "-ldl"]
        return compile_c(SOURCE, output, f"-I{folder}", *sources, *flags)

    return program


def test_the_program_has_tests() -> None:
    """The patterns find the table of tests."""
    assert (len(BOTH), len(NEW), len(SPILLED)) == (3, 11, 2)


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        *[("0.9", name) for name in BOTH],
        *[("spilling" if name in SPILLED else "1.0", name) for name in BOTH + NEW],
    ],
)
def test_in_c(engine: str, name: str, program: Callable[[str], Path], tmp_path: Path) -> None:
    """The test of this name in test_fixes.c passes."""
    done = subprocess.run([program(engine), name, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
