"""What ``docs/native.md`` says of platforms is what the table of targets says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sharedlib_loader.build import TARGETS, Target

PAGE = Path(__file__).resolve().parent.parent / "docs" / "native.md"
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))


def oldest_system(target: Target) -> str:
    """As people call what a row's tags name."""
    if target.libc == "UCRT":
        return "Windows with the Universal CRT"
    name = {"glibc": "glibc", "musl": "musl", "libSystem": "macOS"}[target.libc]
    tags = [tag.split("_") for tag in target.tags]
    major, minor = min((int(tag[1]), int(tag[2])) for tag in tags if tag[0] in ("manylinux", "musllinux", "macosx"))
    return f"{name} {major}.{minor}"


def test_every_row_is_there_and_no_other() -> None:
    """The page has the platforms in the table's order."""
    assert [*ROWS] == [target.name for target in TARGETS]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_row_says_the_oldest_system(target: Target) -> None:
    """The version of the system is the oldest that a tag promises."""
    assert ROWS[target.name] == oldest_system(target)
