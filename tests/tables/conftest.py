"""Environments for the tests of tables, on each engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb


@pytest.fixture(params=[0, 1], ids=["engine 0.9", "engine 1.0"])
def engine(request: pytest.FixtureRequest) -> int:
    """py-lmdb's lib_version: 0 or 1."""
    return int(request.param)


@pytest.fixture
def opened(engine: int, tmp_path: Path) -> Iterator[Callable[..., lmdb.Environment]]:
    """Open an environment with the engine; all are closed in the end."""
    environments = []

    def opened(name: str = "env", **options: Any) -> lmdb.Environment:
        env = lmdb.open(tmp_path / name, **{"lib_version": engine, "max_dbs": 16, **options})
        environments.append(env)
        return env

    yield opened
    for env in environments:
        env.close()


@pytest.fixture
def env(opened: Callable[..., lmdb.Environment]) -> lmdb.Environment:
    """One empty environment."""
    return opened()


@pytest.fixture
def rewrite_entry(env: lmdb.Environment) -> Callable[..., None]:
    """Change fields of a table's entry in the catalog, as another program may: ``rewrite_entry("users", format=2)``."""

    def rewrite_entry(name: str, **fields: Any) -> None:
        catalog = env.open_db(b"__tables__")
        with env.begin(catalog, write=True) as txn:
            entry = {**json.loads(txn.get(name.encode(), b"{}")), **fields}
            txn.put(
                name.encode(), json.dumps({key: value for key, value in entry.items() if value is not ...}).encode()
            )

    return rewrite_entry
