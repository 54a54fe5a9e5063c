"""The post-condition: the SONAME resolves to the very library that was loaded, or everybody hears of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]

pytestmark = pytest.mark.requirement("R8")

LOAD_AND_REPORT = """
try:
    record = load(library)
    print(json.dumps({"conflict": None, "version": record.version}))
except sharedlib_loader.LibraryConflictError as error:
    print(json.dumps({"conflict": str(error), "tried": error.tried, "cure": error.cure}))
"""


def assert_names_the_winner(report: dict[str, str], library: Path, decoy: Path) -> None:
    text = report["conflict"]
    assert f"the SONAME libsample.so.3 resolves to {decoy} (version 2), not to {library} (version 3)" in text
    assert f"SHAREDLIB_SAMPLE_3={decoy}" in report["cure"]
    assert str(decoy) in report["tried"][0]


@pytest.mark.requirement("R9")
@pytest.mark.requirement("R28")
def test_a_copy_loaded_first_by_path_is_named(run: Run, library: Path, decoy: Path) -> None:
    """Another file of the SONAME that came first is an error with its path and version."""
    report = json.loads(run("ctypes.CDLL(sys.argv[2])" + LOAD_AND_REPORT, library, decoy))
    assert_names_the_winner(report, library, decoy)


def test_a_preloaded_copy_is_named(run: Run, library: Path, decoy: Path) -> None:
    """Another file of the SONAME by LD_PRELOAD is an error with its path and version."""
    report = json.loads(run(LOAD_AND_REPORT, library, decoy, LD_PRELOAD=str(decoy)))
    assert_names_the_winner(report, library, decoy)


def test_nothing_is_loaded_beside_a_foreign_copy(run: Run, library: Path, decoy: Path) -> None:
    """Under the policy "raise" a conflict that can be foreseen leaves one copy in the process, not two."""
    script = LOAD_AND_REPORT + "print(mapped('libsample') == [sys.argv[2]])"
    assert run("ctypes.CDLL(sys.argv[2])" + script, library, decoy).splitlines()[1] == "True"
    script = "load(library, on_conflict='accept'); print(len(mapped('libsample')))"
    assert run("ctypes.CDLL(sys.argv[2]);" + script, library, decoy) == "2"


def test_a_copy_found_by_the_search_path_is_named(run: Run, library: Path, decoy: Path, dependent: Path) -> None:
    """A copy that another package's module found first, by LD_LIBRARY_PATH, is an error with its path and version."""
    script = "assert ctypes.CDLL(sys.argv[3]).twice() == 4" + LOAD_AND_REPORT
    report = json.loads(run(script, library, decoy, dependent, LD_LIBRARY_PATH=str(decoy.parent)))
    assert_names_the_winner(report, library, decoy)


def test_a_global_copy_of_the_soname_is_named(run: Run, library: Path, decoy: Path) -> None:
    """Another file of the SONAME, loaded first with RTLD_GLOBAL, is an error with its path and version."""
    script = "ctypes.CDLL(sys.argv[2], mode=os.RTLD_GLOBAL)" + LOAD_AND_REPORT
    assert_names_the_winner(json.loads(run(script, library, decoy)), library, decoy)


def test_a_global_copy_of_another_soname_is_named(
    run: Run, library: Path, sample: Callable[..., Path], dependent: Path
) -> None:
    """The global scope comes before any DT_NEEDED: who has our functions there would be called in place of ours."""
    other = sample(version=2, soname="libother.so.9")
    script = """
ctypes.CDLL(sys.argv[2], mode=os.RTLD_GLOBAL)
try:
    load(library)
except sharedlib_loader.LibraryConflictError as error:
    print(error)
    print(mapped("libsample") == [sys.argv[2]])
record = load(library, on_conflict="accept")
print(ctypes.CDLL(sys.argv[3]).twice(), record.version, record.conflict.version, record.conflict.symbol)
"""
    # By a relative path, as whoever loads it may; the error has the whole of it.
    script = "os.chdir(os.path.dirname(sys.argv[2]))" + script.replace("CDLL(sys.argv[2],", "CDLL('./libsample.so.3',")
    problem, tried, cause, cure, alone, called = run(script, library, other, dependent).splitlines()
    assert problem.startswith(f"sample-3: {other} (version 2) has sample_version in the global scope")
    assert problem.endswith(f"which comes before {library} (version 3)")
    assert tried == f"  tried: dlsym(RTLD_DEFAULT, 'sample_version'): {other}"
    assert "RTLD_GLOBAL" in cause
    assert cure.startswith("  cure: have that copy loaded without RTLD_GLOBAL")
    assert alone == "True"
    assert called == "4 3 2 sample_version"


def test_our_own_file_in_the_global_scope_is_no_conflict(run: Run, library: Path, dependent: Path) -> None:
    """Who loaded this very file with RTLD_GLOBAL, or LD_PRELOAD, did no harm."""
    script = "print(load(library).conflict, ctypes.CDLL(sys.argv[2]).twice())"
    everywhere = "ctypes.CDLL(sys.argv[1], mode=os.RTLD_GLOBAL);"
    assert run(everywhere + script, library, dependent) == "None 6"
    assert run(script, library, dependent, LD_PRELOAD=str(library)) == "None 6"


def test_a_program_that_has_the_functions_itself(run: Run, library: Path) -> None:
    """A static copy in the program is the global scope too, and is named; it has no handle to ask a version of."""
    script = """
program = describe(sys.argv[1], symbols=("sample_version", "Py_GetVersion"))
print(load(program, on_conflict="accept").conflict)
"""
    conflict = run(script, library)
    assert "version=None, symbol='Py_GetVersion'" in conflict


def test_two_providers_of_one_soname(run: Run, library: Path, decoy: Path) -> None:
    """The second is refused, and the first is named; each library's own file stays what its description says."""
    script = """
first, second = load(library), describe(sys.argv[2], name="rival-3")
try:
    load(second)
except sharedlib_loader.LibraryConflictError as error:
    print(error)
print(mapped("libsample") == [str(first.path)])
"""
    message, *_, alone = run(script, library, decoy).splitlines()
    assert message == (
        f"rival-3: the SONAME libsample.so.3 resolves to {library} (version 3), not to {decoy} (version 3)"
    )
    assert alone == "True"


def test_a_conflict_found_in_a_file_that_was_there(run: Run, library: Path, decoy: Path) -> None:
    """Where both are loaded already, the version in the error is what our library says of itself."""
    script = "ctypes.CDLL(sys.argv[2]); ctypes.CDLL(sys.argv[1]); library = describe(sys.argv[1], version='9')"
    report = json.loads(run(script + LOAD_AND_REPORT, library, decoy))
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


@pytest.mark.requirement("R9")
def test_a_foreign_library_need_not_tell_its_version(
    run: Run, library: Path, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """A winner without the version function is named, with its version unknown."""
    flags = ["-shared", "-nostdlib", "-Wl,-soname,libsample.so.3"]
    foreign = compile_c("int other;", tmp_path / "foreign.so", *flags)
    report = json.loads(run("ctypes.CDLL(sys.argv[2])" + LOAD_AND_REPORT, library, foreign))
    assert f"resolves to {foreign} (version unknown)" in report["conflict"]


@pytest.mark.requirement("R28")
@pytest.mark.parametrize("soname", [None, "libother.so.3"])
def test_a_library_without_the_soname_is_found_out(run: Run, sample: Callable[..., Path], soname: str | None) -> None:
    """A file without the promised SONAME, though named like it, is an error: no DT_NEEDED could resolve to it."""
    path = sample(soname=soname)
    report = json.loads(run(LOAD_AND_REPORT, path))
    assert f"{path} does not answer to the SONAME libsample.so.3" in report["conflict"]
    assert "cause: the file's DT_SONAME is not libsample.so.3" in report["conflict"]
    assert report["cure"] == "pip install --force-reinstall sample-wheel"
