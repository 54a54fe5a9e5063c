"""``min_version``: the library is asked, and an older one is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sharedlib_loader import LibraryVersionError, SharedLibrary, load

Run = Callable[..., str]

pytestmark = pytest.mark.requirement("R9")

ATTEMPT = """
try:
    print(load(library, min_version=sys.argv[3]).version)
except sharedlib_loader.LibraryVersionError as error:
    print(error.problem, error.tried, error.cure, mapped("libsample") == [], sep=" | ")
"""


@pytest.mark.parametrize("enough", ["3", "3.0", "2.9.9", "0", "3.0.0rc1"])
def test_a_version_that_is_enough(run: Run, library: Path, decoy: Path, enough: str) -> None:
    """Numbers are compared as numbers, and zeros at the end count for nothing."""
    assert run(ATTEMPT, library, decoy, enough) == "3"


@pytest.mark.parametrize("more", ["3.0.1", "4", "3.1", "10"])
def test_a_provider_that_is_too_old(run: Run, library: Path, decoy: Path, more: str) -> None:
    """The shipped version is known before anything is loaded, so nothing is; the cure is to upgrade the provider."""
    problem, tried, cure, nothing_mapped = run(ATTEMPT, library, decoy, more).split(" | ")
    assert problem == f"version 3 is not enough: {more} or later is needed"
    assert tried == f"('{library}: version 3',)"
    assert cure == "pip install --upgrade sample-wheel"
    assert nothing_mapped == "True"


def test_an_override_that_is_too_old(run: Run, library: Path, decoy: Path) -> None:
    """Another file is asked for its version when it is loaded, and the cure is the variable."""
    found = run(ATTEMPT, library, decoy, "3", SHAREDLIB_SAMPLE_3=str(decoy)).split(" | ")
    assert found[0] == "version 2 is not enough: 3 or later is needed"
    assert found[1] == f"('{decoy}: version 2',)"
    assert found[2] == "correct or unset SHAREDLIB_SAMPLE_3"


def test_an_override_may_be_newer_than_the_provider(run: Run, library: Path, decoy: Path) -> None:
    """What the provider ships is not held against another file."""
    script = "print(load(describe(sys.argv[2], version='1'), min_version='3').version)"
    assert run(script, library, decoy, SHAREDLIB_SAMPLE_3=str(library)) == "3"


def test_the_library_is_believed_and_not_the_provider(run: Run, library: Path) -> None:
    """A provider that promises more than its library has is found out once it is loaded."""
    script = """
try:
    load(describe(sys.argv[1], version="9"), min_version="9")
except sharedlib_loader.LibraryVersionError as error:
    print(error.problem)
"""
    assert run(script, library) == "version 3 is not enough: 9 or later is needed"


def test_a_version_that_nobody_knows(run: Run, library: Path, decoy: Path) -> None:
    """A file that cannot tell its version is not taken for a new one."""
    script = """
try:
    load(describe(sys.argv[1], version_of=None), min_version="1")
except sharedlib_loader.LibraryVersionError as error:
    print(error.problem)
"""
    found = run(script, library, SHAREDLIB_SAMPLE_3=str(decoy))
    assert found == "version unknown is not enough: 1 or later is needed"


def test_each_caller_is_asked_anew(run: Run, library: Path) -> None:
    """One caller's modest wish does not satisfy the next one's."""
    script = """
load(library, min_version="1")
try:
    load(library, min_version="4")
except sharedlib_loader.LibraryVersionError as error:
    print(error.problem)
"""
    assert run(script, library) == "version 3 is not enough: 4 or later is needed"


@pytest.mark.parametrize("wish", ["", "latest", ">=3", "v3"])
def test_a_wish_that_is_no_version(wish: str, library: Path) -> None:
    """A min_version without numbers would be met by anything, and is refused."""
    described = SharedLibrary(name="x", soname="libsample.so.3", path=library, version="3", distribution="x")
    with pytest.raises(ValueError, match=f"^min_version must be numbers with dots, and is '{wish}'$"):
        load(described, min_version=wish)


def test_the_error_is_an_import_error() -> None:
    """Whoever guards an import guards against an old library too."""
    assert issubclass(LibraryVersionError, ImportError)
