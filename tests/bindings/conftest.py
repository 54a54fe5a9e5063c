"""Environments for the tests of the binding, on each engine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _bulk, _columns, _engine, _plain, _streams


@pytest.fixture(params=[0, 1], ids=["engine 0.9", "engine 1.0"])
def engine(request: pytest.FixtureRequest) -> int:
    """py-lmdb's lib_version: 0 or 1."""
    return int(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what expects references to be counted where the collector alone ends things."""
    if sys.implementation.name != "cpython":
        for item in items:
            if item.get_closest_marker("counts_references"):
                item.add_marker(pytest.mark.skip(reason="this interpreter does not count references"))


# How records cross: as CPython does it in this process (single ones by built-in methods, many by the bulk library); by
# the bulk library alone, as CPython or as PyPy does it; and without it, in Python.
PATHS: dict[str, tuple[bool, Any]] = {
    "fast": (True, _streams),
    "bulk": (False, _streams),
    "columns": (False, _columns),
    "plain": (False, None),
}


@pytest.fixture
def take(engine: int) -> Iterator[Callable[[str], None]]:
    """Let the transactions of the engine that begin from now on take one of the paths."""
    used = _engine.engine("1.0" if engine else "0.9")
    bulk, fast, records = used.bulk, used.fast, used.records

    def go(shortly: bool) -> None:
        if fast is not None:
            fast.is_on = shortly

    def take(path: str) -> None:
        wants_fast, exchange = PATHS[path]
        if (wants_fast and fast is None) or (exchange is not None and bulk is None):
            pytest.skip("not on this interpreter, or a switch says so")
        if exchange is _streams and sys.implementation.name != "cpython":
            pytest.skip("by C code of CPython's standard library")
        go(wants_fast)
        used.bulk = None if exchange is None else _bulk.Library(bulk.lib, used.lib, exchange)
        used.records = _plain if exchange is None else _bulk

    yield take
    used.bulk, used.records = bulk, records
    go(True)


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, take: Callable[[str], None]) -> str:
    """How records cross."""
    take(request.param)
    return str(request.param)


@pytest.fixture
def opened(engine: int, tmp_path: Path) -> Iterator[Callable[..., lmdb.Environment]]:
    """Open an environment with the engine; all are closed in the end."""
    environments = []

    def opened(name: str = "env", **options: Any) -> lmdb.Environment:
        env = lmdb.open(tmp_path / name, **{"lib_version": engine, "max_dbs": 8, **options})
        environments.append(env)
        return env

    yield opened
    for env in environments:
        env.close()


@pytest.fixture
def env(opened: Callable[..., lmdb.Environment]) -> lmdb.Environment:
    """One empty environment."""
    return opened()
