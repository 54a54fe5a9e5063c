"""The installed libflatdb, over each LMDB engine."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from flatc_wheel import flatdb
from tests.flatdb.everything import SCHEMA
from tests.flatdb.native import Library, Schema
from tests.flatdb.place import Place


@pytest.fixture(scope="session", params=["0.9", "1.0"])
def library(request: pytest.FixtureRequest) -> Library:
    """Libflatdb over an engine."""
    loaded = flatdb.load(request.param)
    return Library(ctypes.CDLL(loaded.path, handle=loaded.handle))


@pytest.fixture(scope="session")
def everything(library: Library) -> Schema:
    """The schema with every kind of type."""
    return library.schema(SCHEMA)


@pytest.fixture(params=["0.9", "1.0"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty environment of an engine, in a folder of its own."""
    return Place(tmp_path, request.param)
