"""Environments for the tests of the binding, on each engine."""

from __future__ import annotations

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


# How many records at once are handled: by the bulk library, as CPython or as PyPy does it, or by the same in Python.
EXCHANGES: dict[str, Any] = {"bulk": _streams, "columns": _columns, "plain": None}


@pytest.fixture
def take(engine: int) -> Iterator[Callable[[str], None]]:
    """Let the transactions of the engine that begin from now on handle many records in one of the ways."""
    used = _engine.engine("1.0" if engine else "0.9")
    bulk, records = used.bulk, used.records

    def take(path: str) -> None:
        exchange = EXCHANGES[path]
        if exchange is None:
            used.bulk, used.records = None, _plain
        elif bulk is None:
            pytest.skip("the bulk library is not in use: the switch says so")
        else:
            used.bulk, used.records = _bulk.Library(bulk.lib, used.lib, exchange), _bulk

    yield take
    used.bulk, used.records = bulk, records


@pytest.fixture(params=EXCHANGES)
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
