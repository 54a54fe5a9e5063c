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
# Tests that need a build of their own, by how their names begin. Transactions of the wheel's library write pages early
# only when they are huge; and nobody can stop a reader in the middle of its copy of a meta page.
SPECIAL = {"spilled_": "-DMDB_IDL_LOGN=10", "raced_": "-Dmemcpy=raced_memcpy"}
SOURCES = {"0.9": ("mdb.c", "midl.c"), "1.0": ("mdb.c", "midl.c", "module.c")}


@pytest.fixture(scope="module")
def program(compile_c: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The tests with an engine of the wheel, or with one built by a special flag."""

    @cache
    def program(engine: str, special: str) -> Path:
        output = tmp_path_factory.mktemp("fixes") / "test_fixes"
        if not special:
            include, library = f"-I{liblmdb_wheel.include_dir(engine)}", liblmdb_wheel.library_path(engine)
            return compile_c(SOURCE, output, include, library, f"-Wl,-rpath,{liblmdb_wheel.library_dir()}")
        folder = UPSTREAM / f"lmdb-{engine}"
        sources = [folder / name for name in SOURCES[engine]]
        # -fno-sanitize: where there is little optimization the compiler adds traps, and LMDB reads words unaligned.
        flags = ["-UNDEBUG", "-fno-sanitize=undefined", special, "-pthread", "-ldl"]
        return compile_c(SOURCE, output, f"-I{folder}", *sources, *flags)

    return program


def test_the_program_has_tests() -> None:
    """The patterns find the table of tests."""
    special = [sum(name.startswith(prefix) for name in BOTH + NEW) for prefix in SPECIAL]
    assert (len(BOTH), len(NEW), special) == (6, 11, [2, 1])


@pytest.mark.parametrize(
    ("engine", "name"), [*(("0.9", name) for name in BOTH), *(("1.0", name) for name in BOTH + NEW)]
)
def test_in_c(engine: str, name: str, program: Callable[[str, str], Path], tmp_path: Path) -> None:
    """The test of this name in test_fixes.c passes."""
    special = next((flag for prefix, flag in SPECIAL.items() if name.startswith(prefix)), "")
    done = subprocess.run([program(engine, special), name, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
