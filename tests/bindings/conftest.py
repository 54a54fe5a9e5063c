"""Environments for the tests of the binding, on each engine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from tests.bindings.paths import PATHS, Means, engine_of


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


@pytest.fixture
def take(engine: int) -> Iterator[Callable[[str], None]]:
    """Let the transactions of the engine that begin from now on take one of the paths."""
    used = engine_of(engine)
    own = Means.of(used)

    def use(means: Means) -> None:
        means.use(used)
        if own.fast is not None:  # of environments that are open already
            own.fast.is_on = means.fast is not None

    def take(path: str) -> None:
        means = own.path(path, used)
        if isinstance(means, str):
            pytest.skip(means)
        use(means)

    yield take
    use(own)


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
