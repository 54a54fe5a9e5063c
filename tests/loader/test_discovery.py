"""Providers are found by entry point, and a missing one is told apart from a broken one."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sharedlib_loader
from sharedlib_loader import ProviderBrokenError, ProviderNotFoundError

WORKING = """
from pathlib import Path
from sharedlib_loader import SharedLibrary
LIBRARY = SharedLibrary(name="{name}", soname="lib.so.1", path=Path(__file__).with_name("lib.so.1"), version="1",
                        distribution="{name}-wheel")
"""

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution that provides a library: a module of the given text, and its entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, text: str) -> None:
        (tmp_path / f"{name}_provider.py").write_text(text)
        info = tmp_path / f"{name}_wheel-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-wheel\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[sharedlib_loader.providers]\n{name} = {name}_provider:LIBRARY\n")

    return install


@pytest.mark.requirement("R25")
def test_the_installed_engines_are_found() -> None:
    """liblmdb-wheel announces both of its engines."""
    assert {"lmdb-0.9", "lmdb-1.0"} <= set(sharedlib_loader.providers())
    assert sharedlib_loader.find("lmdb-1.0").soname == "liblmdb.so.1"


def test_a_provider_is_found_by_name(install: Install) -> None:
    """find() gives the description that the provider's entry point names."""
    install("good", WORKING.format(name="good"))
    assert sharedlib_loader.find("good").distribution == "good-wheel"


@pytest.mark.requirement("R25")
def test_listing_imports_nothing(install: Install) -> None:
    """providers() lists a provider that could not even be imported."""
    install("lazy", "raise SystemExit('imported')")
    assert sharedlib_loader.providers()["lazy"].value == "lazy_provider:LIBRARY"
    assert "lazy_provider" not in sys.modules


@pytest.mark.requirement("R13")
def test_a_provider_that_is_not_installed() -> None:
    """The error lists who provides what, and derives from ImportError."""
    with pytest.raises(ProviderNotFoundError, match="no installed distribution provides this library") as caught:
        sharedlib_loader.find("absent")
    assert isinstance(caught.value, ImportError)
    assert any(place.startswith("lmdb-0.9: liblmdb_wheel:") for place in caught.value.tried)


@pytest.mark.requirement("R13")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("LIBRARY = 1 / 0", "ZeroDivisionError: division by zero"),
        ("OTHER = 1", "AttributeError: module 'broken_provider' has no attribute 'LIBRARY'"),
        ("LIBRARY = 'libx.so'", "broken_provider:LIBRARY is a str, not a SharedLibrary"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_broken_provider_is_not_a_missing_one(
    install: Install, text: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that is installed and fails is ProviderBrokenError, with the failure and the cure."""
    monkeypatch.delitem(sys.modules, "broken_provider", raising=False)
    install("broken", text)
    with pytest.raises(ProviderBrokenError) as caught:
        sharedlib_loader.find("broken")
    assert not isinstance(caught.value, ProviderNotFoundError)
    assert problem in str(caught.value)
    assert caught.value.cure == "pip install --force-reinstall broken-wheel"


def test_two_providers_of_one_library(install: Install, tmp_path: Path) -> None:
    """Two distributions that claim one name are an error that names both, not a matter of luck."""
    install("twice", WORKING.format(name="twice"))
    info = tmp_path / "other-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sharedlib_loader.providers]\ntwice = other_provider:LIBRARY\n")
    with pytest.raises(ProviderBrokenError, match="provide it: other_provider:LIBRARY, twice_provider:LIBRARY"):
        sharedlib_loader.find("twice")


def test_errors_can_be_pickled() -> None:
    """An error of a worker process arrives whole."""
    with pytest.raises(ProviderNotFoundError) as caught:
        sharedlib_loader.find("absent")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.cure) == (ProviderNotFoundError, str(caught.value), caught.value.cure)
