"""The types that the package promises, of what it gives."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import pytest

import lmdb_bindings as lmdb
from tests.typing import runtime

FOLDER = Path(__file__).resolve().parent.parent / "typing"


@pytest.mark.parametrize("buffers", ["", "1"])
def test_what_type_checkers_believe_is_true(tmp_path: Path, engine: int, buffers: str) -> None:
    """Every expression of the typing tests has at run time the type that it has for a type checker."""
    command = [sys.executable, str(FOLDER / "usage.py"), str(tmp_path / "env"), str(engine)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "BUFFERS": buffers})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"", memoryview),
        (True, int),
        (None, bytes),
        (0, bytes | None),
        ((b"",), tuple[bytes, bytes]),
        ([b"", None], list[bytes]),
        ([], list[bytes]),
        (iter([(b"", b"")]), Iterator[bytes]),
    ],
)
def test_another_type_is_noticed(value: object, kind: object) -> None:
    """The run-time ``assert_type`` refuses what is of another type."""
    with pytest.raises(AssertionError, match=" is no "):
        runtime.assert_type(value, kind)


def test_subscripts_are_kept(env: lmdb.Environment) -> None:
    """A class with a subscript is an alias, as of ``typing``, that makes the same objects."""
    assert get_origin(lmdb.Transaction[bytes]) is lmdb.Transaction
    assert get_args(lmdb.Cursor[memoryview]) == (memoryview,)
    with env.begin() as txn:
        assert type(lmdb.Cursor[bytes](env.open_db(), txn)) is lmdb.Cursor


def test_import_needs_no_typing() -> None:
    """The modules that users import take nothing from ``typing`` at run time."""
    for name in ("_generic", "_transaction", "_cursor", "_environment", "_scan", "_database"):
        module = importlib.import_module(f"lmdb_bindings.{name}")
        taken = {key for key, value in vars(module).items() if getattr(value, "__module__", "") == "typing"}
        assert not taken, name
