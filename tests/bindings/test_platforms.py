"""What differs between systems and word sizes: descriptors and handles, disk space and maps, the size of a record."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _copies, _definition, _growth, _states
from lmdb_bindings._engine import file_handle


def test_a_descriptor_is_what_lmdb_takes() -> None:
    """Where the system has no other name for an open file."""
    assert file_handle(3) == 3


def test_windows_has_handles_behind_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """There LMDB is given what the C library has for the descriptor."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(get_osfhandle=lambda descriptor: 1000 + descriptor))
    assert file_handle(3) == 1003


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, int, int], None]:
    """Let a module's descriptor stand for another file's: what is done by it is done there."""

    def led(module: Any, descriptor: int, handle: int) -> None:
        monkeypatch.setattr(module, "file_handle", {descriptor: handle}.__getitem__)

    return led


def test_copies_go_by_the_handle(env: lmdb.Environment, led: Callable[[Any, int, int], None], tmp_path: Path) -> None:
    """copyfd() writes to what the handle means."""
    with (tmp_path / "here").open("wb") as here, (tmp_path / "there").open("wb") as there:
        led(_copies, here.fileno(), there.fileno())
        env.copyfd(here.fileno())
    assert os.path.getsize(tmp_path / "here") == 0
    assert os.path.getsize(tmp_path / "there") >= 2 * env.stat()["psize"]


def test_incremental_dumps_go_by_the_handle(
    opened: Callable[..., lmdb.Environment], led: Callable[[Any, int, int], None], tmp_path: Path
) -> None:
    """dump_incremental() writes to what the handle means, and load_incremental() reads from it."""
    env, other = opened("one", lib_version=1), opened("other", lib_version=1)
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    with (tmp_path / "here").open("w+b") as here, (tmp_path / "there").open("w+b") as there:
        led(_states, here.fileno(), there.fileno())
        env.dump_incremental(here.fileno(), 0)
        assert os.path.getsize(tmp_path / "here") == 0
        os.lseek(there.fileno(), 0, os.SEEK_SET)
        other.load_incremental(here.fileno())
    with other.begin() as txn:
        assert txn.get(b"key") == b"value"


def test_windows_takes_disk_space_for_a_map(monkeypatch: pytest.MonkeyPatch, env: lmdb.Environment) -> None:
    """There ``map_size="auto"`` is no more than a file may take at once; elsewhere it begins with 1 TiB."""
    monkeypatch.setitem(env._options, "map_size", "auto")
    assert _growth.sizes(env)[0] == (1 << 40 if sys.maxsize > 1 << 32 else 1 << 30)
    monkeypatch.setattr(sys, "platform", "win32")
    assert _growth.sizes(env) == [1 << 30]


def test_the_record_of_a_named_database_has_its_size(env: lmdb.Environment) -> None:
    """What the main database has for a named one is as long as what is looked for, on 32 bits as on 64."""
    env.open_db(b"name")
    with env.begin() as txn:
        [(_, record)] = txn.cursor()
        assert len(record) == _definition._RECORD
        assert list(_definition.named(env, txn)) == [b"name"]
