"""The same random calls by two paths side by side, see ``scripts``: nothing that a program can see may differ."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.bindings.paths import Means, engine_of
from tests.bindings.scripts import As, DifferenceError, Script, Side, Step, The, play, scripts

CAREFUL = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

# Many records without the bulk library are compared in test_paths: in a transaction that must abort the words differ.
PAIRS = [("bulk", "fast"), ("bulk", "columns")]

OPTIONS = {"map_size": 1 << 22, "max_spare_txns": 0, "readahead": True}

# What has differed once.
ONCE = {
    "a light transaction is woken by a write with a flag": Script("plain", OPTIONS, [], [
        Step(The("environment"), "begin"),
        Step(The("transaction"), "put", (b"a", b"b"), {"overwrite": 1}),
        Step(The("transaction"), "get", (As("bytearray", b"a"),)),
    ]),
    "a transaction that has looked something up ends where it is dropped": Script("plain", OPTIONS, [], [
        Step(The("environment"), "begin"),
        Step(The("transaction"), "get", (b"a",)),
        Step(The("transaction"), "forget"),
        Step(The("environment"), "readers"),
    ]),
    "waking does not forget the writes that were counted": Script("plain", OPTIONS, [(b"a", b"1")], [
        Step(The("environment"), "begin"),
        Step(The("cursor"), "put", (b"a", b"2")),
        Step(The("cursor"), "set_key", (b"b",)),
        Step(The("transaction"), "stat"),
        Step(The("cursor"), "item"),
    ]),
    "an iteration begins while a nested transaction is open": Script("plain", OPTIONS, [(b"a", b"1")], [
        Step(The("cursor"), "iternext"),
        Step(The("environment"), "begin", (), {"parent": The("transaction"), "write": True}),
        Step(The("iterator"), "next()"),
        Step(The("cursor"), "item"),
    ]),
    "a cursor of no database": Script("dupsort", OPTIONS, [(b"a", b"1")], [
        Step(The("transaction"), "Cursor()", (None,)),
        Step(The("cursor"), "first"),
        Step(The("cursor"), "iternext_dup"),
        Step(The("cursor"), "count"),
    ]),
}  # fmt: skip

Compare = Callable[[Script], None]


@pytest.fixture(autouse=True)
def what_is_there_already() -> Iterator[None]:
    """Is not looked at when an error of the binding collects garbage first."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=PAIRS, ids="-".join)
def compare(request: pytest.FixtureRequest, engine: int) -> Iterator[Compare]:
    """Do a script on two paths."""
    used = engine_of(engine)
    own = Means.of(used)
    means: list[Means] = []
    for path in request.param:
        found = own.path(path, used)
        if isinstance(found, str):
            pytest.skip(found)
        means.append(found)

    def compare(script: Script) -> None:
        folder = Path(tempfile.mkdtemp(prefix="differential-"))
        try:
            for name in "ab":
                folder.joinpath(name).mkdir()
            play(script, used, (means[0], means[1]), folder)
        finally:
            shutil.rmtree(folder)

    yield compare
    own.use(used)


@pytest.mark.counts_references  # a step may forget a thing, which must end then on both sides
def test_no_step_differs(compare: Compare) -> None:
    """Results, exceptions, their messages, and what is left in the end."""

    @CAREFUL
    @given(script=scripts())
    def each(script: Script) -> None:
        compare(script)

    each()


@pytest.mark.counts_references
@pytest.mark.parametrize("what", ONCE)
def test_what_differed_once(compare: Compare, what: str) -> None:
    """Scripts that a longer run has found."""
    compare(ONCE[what])


def test_a_difference_is_found(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that one side has not is named with the step that shows it, and the script."""
    fill = Side.fill
    monkeypatch.setattr(Side, "fill", lambda side, records: fill(side, records) if side.folder.name == "a" else None)
    with pytest.raises(DifferenceError, match=r"name='get'.*\n.*'1'.*\n.*None.*\nScript\('plain'"):
        compare(Script("plain", OPTIONS, [(b"a", b"1")], [Step(The("transaction"), "get", (b"a",))]))
