"""The same random calls by two paths side by side, see ``scripts``: nothing that a program can see may differ."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.bindings.paths import Means, engine_of
from tests.bindings.scripts import Script, play, scripts

CAREFUL = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))

PAIRS = [("bulk", "fast"), ("plain", "fast"), ("plain", "bulk"), ("plain", "columns")]


def means_of(engine: int, paths: tuple[str, str]) -> tuple[Means, Means]:
    used = engine_of(engine)
    own = Means.of(used)
    found = [own.path(path, used) for path in paths]
    for means in found:
        if isinstance(means, str):
            pytest.skip(means)
    return found[0], found[1]  # type: ignore[return-value]


@pytest.mark.counts_references  # a step may forget a thing, which must end then on both sides
@pytest.mark.parametrize("paths", PAIRS, ids="-".join)
def test_no_step_differs(engine: int, paths: tuple[str, str]) -> None:
    """Results, exceptions, their messages, and what is left in the end."""
    used, means = engine_of(engine), means_of(engine, paths)
    own = Means.of(used)

    @CAREFUL
    @given(script=scripts())
    def compare(script: Script) -> None:
        folder = Path(tempfile.mkdtemp(prefix="differential-"))
        try:
            for name in "ab":
                folder.joinpath(name).mkdir()
            play(script, used, means, folder)
        finally:
            shutil.rmtree(folder)

    try:
        compare()
    finally:
        own.use(used)
