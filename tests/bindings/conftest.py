"""Environments for the tests of the binding, on each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _bulk, _engine, _plain


@pytest.fixture(params=[0, 1], ids=["engine 0.9", "engine 1.0"])
def engine(request: pytest.FixtureRequest) -> int:
    """py-lmdb's lib_version: 0 or 1."""
    return int(request.param)


@pytest.fixture
def take(engine: int) -> Iterator[Callable[[str], None]]:
    """Let the transactions of the engine that begin from now on handle many records by ``bulk``, the bulk library, or by
    ``plain``, the same in Python.
    """
    used = _engine.engine("1.0" if engine else "0.9")
    bulk, records = used.bulk, used.records

    def take(path: str) -> None:
        if path == "bulk" and bulk is None:
            pytest.skip("the bulk library is not in use: PyPy, or the switch says so")
        used.bulk = bulk if path == "bulk" else None
        used.records = _bulk if path == "bulk" else _plain

    yield take
    used.bulk = bulk
    used.records = records


@pytest.fixture(params=["bulk", "plain"])
def path(request: pytest.FixtureRequest, take: Callable[[str], None]) -> str:
    """How many records at once are handled."""
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
