"""A small library to load, and decoys of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = "int sample_version(void) { return %d; }"

# The head of every script: a descriptor of the library whose path is the first argument.
DESCRIPTOR = """
import ctypes, os, sys, json, warnings
from pathlib import Path
import sharedlib_loader
from sharedlib_loader import SharedLibrary, load

def describe(path, **changes):
    fields = dict(name="sample-3", soname="libsample.so.3", path=Path(path), version="3", distribution="sample-wheel",
                  version_of=lambda library: str(library.sample_version()))
    return SharedLibrary(**{**fields, **changes})

library = describe(sys.argv[1])
"""


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, compile_c: Callable[..., Path]) -> Callable[..., Path]:
    """Build the library: ``sample(version=3, soname="libsample.so.3", target=...)``, each in a folder of its own."""

    def sample(version: int = 3, soname: str | None = "libsample.so.3", **options: str) -> Path:
        path = tmp_path_factory.mktemp("sample") / "libsample.so.3"
        flags = ["-shared", "-s", "-nostdlib", *([f"-Wl,-soname,{soname}"] if soname else [])]
        return compile_c(SOURCE % version, path, *flags, **options)

    return sample


@pytest.fixture(scope="session")
def library(sample: Callable[..., Path]) -> Path:
    """The library that the provider ships, version 3."""
    return sample()


@pytest.fixture(scope="session")
def decoy(sample: Callable[..., Path]) -> Path:
    """Another file of the same SONAME, version 2."""
    return sample(version=2)


@pytest.fixture
def run(python: Callable[..., str]) -> Callable[..., str]:
    """Run a script that has ``library``, described by its first argument, ``describe()`` and the loader's names."""

    def run(script: str, path: Path, *arguments: str | Path, **environment: str) -> str:
        return python(DESCRIPTOR + script, path, *arguments, **environment)

    return run
