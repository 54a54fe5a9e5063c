"""The environment switch: one variable for each library, three kinds of value, and an error for anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sharedlib_loader import SharedLibrary, SwitchError, load
from tests.loader.conftest import DESCRIPTOR

Run = Callable[..., str]

pytestmark = pytest.mark.requirement("R11")

REPORT = "record = load(library); print(record.origin, record.version, record.path)"


def test_its_name_comes_from_the_library() -> None:
    """The variable is SHAREDLIB_ and the library's name, in capitals, with underscores."""
    library = SharedLibrary(name="lmdb-0.9", soname="x", path=Path("/x"), version="1", distribution="x")
    assert library.switch == "SHAREDLIB_LMDB_0_9"


def test_wheel_is_the_default(run: Run, library: Path, decoy: Path) -> None:
    """``wheel`` says what is done without the variable: the provider's file, not the system's."""
    system = {"LD_LIBRARY_PATH": str(decoy.parent)}
    assert run(REPORT, library, **system) == f"wheel 3 {library}"
    assert run(REPORT, library, SHAREDLIB_SAMPLE_3="wheel", **system) == f"wheel 3 {library}"


def test_system_asks_the_dynamic_loader(run: Run, library: Path, decoy: Path) -> None:
    """``system`` takes what the SONAME finds by the system's own search."""
    found = run(REPORT, library, SHAREDLIB_SAMPLE_3="system", LD_LIBRARY_PATH=str(decoy.parent))
    assert found == f"system 2 {decoy}"


def test_the_path_is_absolute(run: Run, library: Path, decoy: Path) -> None:
    """The dynamic loader names a file as it was found, relative to a folder that may change; the record does not."""
    script = f"import os; os.chdir({str(decoy.parent)!r}); os.execve(sys.executable, [sys.executable, *sys.argv[2:]], os.environ)"
    relative = {"SHAREDLIB_SAMPLE_3": "system", "LD_LIBRARY_PATH": "."}
    assert run(script, library, "-c", DESCRIPTOR + REPORT, library, **relative) == f"system 2 {decoy}"


def test_system_may_be_there_already(run: Run, library: Path, decoy: Path) -> None:
    """``system`` takes a copy that is in the process already, and says so."""
    found = run("ctypes.CDLL(sys.argv[2]);" + REPORT, library, decoy, SHAREDLIB_SAMPLE_3="system")
    assert found == f"already loaded 2 {decoy}"


def test_system_without_the_library_is_an_error(run: Run, library: Path) -> None:
    """``system`` never falls back to the wheel: it names the SONAME, the system's words and the cure."""
    script = """
try:
    load(library)
except sharedlib_loader.LibraryNotFoundError as error:
    print(error)
"""
    message = run(script, library, SHAREDLIB_SAMPLE_3="system")
    assert "the system has no libsample.so.3 that can be loaded" in message
    assert "tried: libsample.so.3: libsample.so.3: cannot open shared object file" in message
    assert "cure: install the system's package, or unset SHAREDLIB_SAMPLE_3 to use sample-wheel's" in message


def test_an_absolute_path_is_taken(run: Run, library: Path, decoy: Path) -> None:
    """An absolute path is loaded instead of the provider's file."""
    assert run(REPORT, library, SHAREDLIB_SAMPLE_3=str(decoy)) == f"override 2 {decoy}"


def test_a_missing_override_is_blamed_on_the_variable(run: Run, library: Path) -> None:
    """Where the override does not exist, the cure is the variable and not the wheel."""
    script = """
try:
    load(library)
except sharedlib_loader.LibraryNotFoundError as error:
    print(error.cure, error.tried)
"""
    found = run(script, library, SHAREDLIB_SAMPLE_3="/nowhere/lib.so")
    assert found == "correct or unset SHAREDLIB_SAMPLE_3 ('/nowhere/lib.so: No such file or directory',)"


@pytest.mark.parametrize("value", ["", "0", "1", "true", "Wheel", " wheel", "SYSTEM", "lib.so", "./lib.so", "~/lib.so"])
def test_anything_else_is_an_error(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other value is guessed at, and no relative path is looked up, not even one that exists."""
    (tmp_path / "lib.so").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHAREDLIB_STRICT", value)
    library = SharedLibrary(name="strict", soname="lib.so", path=tmp_path / "lib.so", version="1", distribution="x")
    with pytest.raises(SwitchError) as caught:
        load(library)
    assert f"the environment variable SHAREDLIB_STRICT is {value!r}" in str(caught.value)
    assert caught.value.cure == "unset SHAREDLIB_STRICT, or set it to one of these"
