"""Each requirement has a test, and the page that says so is what the tests would write."""

from __future__ import annotations

import re

import pytest

from tests.loader.requirements import PAGE, REQUIREMENTS, ROOT, holders, page

NAMES = [one.name for one in REQUIREMENTS]


def test_the_list_is_whole() -> None:
    """R1 and R3 to R30, each once."""
    assert [f"R{number}" for number in range(1, 31) if number != 2] == NAMES


def test_marks_name_requirements() -> None:
    """A mark with a slip of the pen would hold nothing."""
    assert set(holders()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_requirement_has_a_test(name: str) -> None:
    """Somebody would notice if it was no longer met."""
    assert holders().get(name)


def test_the_page_is_fresh() -> None:
    """``python -m tests.loader.requirements`` was run when the marks or the table changed."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_tests_that_the_loaders_page_names_exist() -> None:
    """Each rule on docs/loading.md that names a test has it."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "loading.md").read_text(encoding="utf-8")))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) >= 10
    assert {name for name in named if f"def {name}(" not in sources} == set()
