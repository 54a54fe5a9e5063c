"""The post-condition: the SONAME resolves to the very library that was loaded, or everybody hears of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]

LOAD_AND_REPORT = """
try:
    record = load(library)
    print(json.dumps({"conflict": None, "version": record.version}))
except sharedlib_loader.LibraryConflictError as error:
    print(json.dumps({"conflict": str(error), "tried": error.tried, "cure": error.cure}))
"""


def assert_names_the_winner(report: dict[str, str], library: Path, decoy: Path) -> None:
    text = report["conflict"]
    assert f"{library} (version 3) is loaded, and the SONAME libsample.so.3 resolves to {decoy} (version 2)" in text
    assert f"SHAREDLIB_SAMPLE_3={decoy}" in report["cure"]
    assert str(decoy) in report["tried"][0]


def test_a_copy_loaded_first_by_path_is_named(run: Run, library: Path, decoy: Path) -> None:
    """Another file of the SONAME that came first is an error with its path and version."""
    report = json.loads(run("ctypes.CDLL(sys.argv[2])" + LOAD_AND_REPORT, library, decoy))
    assert_names_the_winner(report, library, decoy)


def test_a_preloaded_copy_is_named(run: Run, library: Path, decoy: Path) -> None:
    """Another file of the SONAME by LD_PRELOAD is an error with its path and version."""
    report = json.loads(run(LOAD_AND_REPORT, library, decoy, LD_PRELOAD=str(decoy)))
    assert_names_the_winner(report, library, decoy)


def test_a_copy_that_comes_later_does_not_matter(run: Run, library: Path, decoy: Path) -> None:
    """Once ours is loaded the SONAME is ours, whatever LD_LIBRARY_PATH offers and whoever loads another copy."""
    script = (
        LOAD_AND_REPORT
        + "ctypes.CDLL(sys.argv[2]); print(ctypes.CDLL('libsample.so.3')._handle == load(library).handle)"
    )
    report, same = run(script, library, decoy, LD_LIBRARY_PATH=str(decoy.parent)).splitlines()
    assert json.loads(report) == {"conflict": None, "version": "3"}
    assert same == "True"


def test_warn_warns_with_the_same_words(run: Run, library: Path, decoy: Path) -> None:
    """The policy "warn" returns the record and warns, at the caller's line."""
    script = """
ctypes.CDLL(sys.argv[2])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    record = load(library, on_conflict="warn")
print(record.version, [w.category.__name__ for w in caught], sys.argv[2] in str(caught[0].message), caught[0].filename)
"""
    assert run(script, library, decoy) == "3 ['LibraryConflictWarning'] True <string>"


def test_accept_records_the_winner(run: Run, library: Path, decoy: Path) -> None:
    """The policy "accept" returns our library, with the winner in the record."""
    script = """
ctypes.CDLL(sys.argv[2])
record = load(library, on_conflict="accept")
print(json.dumps([str(record.path), record.version, str(record.conflict.path), record.conflict.version]))
"""
    assert json.loads(run(script, library, decoy)) == [str(library), "3", str(decoy), "2"]


def test_a_conflict_accepted_once_is_not_forgotten(run: Run, library: Path, decoy: Path) -> None:
    """A caller with a stricter policy hears of the conflict although another caller accepted it."""
    script = "ctypes.CDLL(sys.argv[2]); load(library, on_conflict='accept')" + LOAD_AND_REPORT
    assert_names_the_winner(json.loads(run(script, library, decoy)), library, decoy)


def test_a_foreign_library_need_not_tell_its_version(
    run: Run, library: Path, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """A winner without the version function is named, with its version unknown."""
    flags = ["-shared", "-nostdlib", "-Wl,-soname,libsample.so.3"]
    foreign = compile_c("int other;", tmp_path / "foreign.so", *flags)
    report = json.loads(run("ctypes.CDLL(sys.argv[2])" + LOAD_AND_REPORT, library, foreign))
    assert f"resolves to {foreign} (version unknown)" in report["conflict"]


@pytest.mark.parametrize("soname", [None, "libother.so.3"])
def test_a_library_without_the_soname_is_found_out(run: Run, sample: Callable[..., Path], soname: str | None) -> None:
    """A file without the promised SONAME, though named like it, is an error: no DT_NEEDED could resolve to it."""
    path = sample(soname=soname)
    report = json.loads(run(LOAD_AND_REPORT, path))
    assert f"{path} is loaded, and nothing answers to the SONAME libsample.so.3" in report["conflict"]
    assert report["cure"] == "pip install --force-reinstall sample-wheel"
