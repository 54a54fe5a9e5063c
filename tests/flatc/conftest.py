"""A small schema, and a process that knows nothing yet about where flatc is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flatc_wheel import flatc_path, version

SCHEMA = """\
namespace demo.shop;
enum Colour : byte { Red = 0, Green, Blue }
struct Point { x: float; y: float; }
table Item { name: string (required); price: double; colour: Colour = Green; tags: [string]; at: Point; }
table Order { id: ulong; items: [Item]; }
root_type Order;
"""


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """A schema with a namespace, an enum, a struct and two tables."""
    path = tmp_path / "shop.fbs"
    path.write_text(SCHEMA, encoding="utf-8")
    return path


@pytest.fixture
def nothing_cached() -> Iterator[None]:
    """Forget, before the test and after it, what earlier calls have found."""
    flatc_path.cache_clear()
    version.cache_clear()
    yield
    flatc_path.cache_clear()
    version.cache_clear()
