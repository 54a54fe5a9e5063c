"""The installed libflatdb, over each LMDB engine."""

from __future__ import annotations

import ctypes

import pytest

from flatc_wheel import flatdb
from tests.flatdb.everything import SCHEMA
from tests.flatdb.native import Library, Schema


@pytest.fixture(scope="session", params=["0.9", "1.0"])
def library(request: pytest.FixtureRequest) -> Library:
    """libflatdb over an engine."""
    loaded = flatdb.load(request.param)
    return Library(ctypes.CDLL(loaded.path, handle=loaded.handle))


@pytest.fixture(scope="session")
def everything(library: Library) -> Schema:
    """The schema with every kind of type."""
    return library.schema(SCHEMA)
