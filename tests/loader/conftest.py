"""A small library to load, decoys of it, what needs it, and a provider of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

# The text is what a static copy with other names is known by.
SOURCE = """
int sample_version(void) { return %d; }
const char *sample_text(void) { return "the sample library says so"; }
"""

# The head of every script: a descriptor of the library whose path is the first argument.
DESCRIPTOR = """
import ctypes, os, sys, json, warnings
from pathlib import Path
import sharedlib_loader
from sharedlib_loader import SharedLibrary, load

def describe(path, **changes):
    fields = dict(name="sample-3", soname="libsample.so.3", path=Path(path), version="3", distribution="sample-wheel",
                  version_of=lambda library: str(library.sample_version()), symbols=("sample_version",))
    return SharedLibrary(**{**fields, **changes})

def mapped(name):
    return sorted({line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if name in line})

library = describe(sys.argv[1])
"""

PROVIDER = """
from pathlib import Path
from sharedlib_loader import SharedLibrary
SAMPLE = SharedLibrary(name="sample-3", soname="libsample.so.3", path=Path(__file__).with_name("libsample.so.3"),
                       version="3", distribution="sample-wheel", symbols=("sample_version",),
                       marks=("the sample library says so",),
                       version_of=lambda library: str(library.sample_version()))
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


@pytest.fixture(scope="session")
def dependent(tmp_path_factory: pytest.TempPathFactory, compile_c: Callable[..., Path], library: Path) -> Path:
    """A library with ``DT_NEEDED libsample.so.3`` and no RPATH, whose ``twice()`` is twice the version it is bound to."""
    source = "int sample_version(void); int twice(void) { return 2 * sample_version(); }"
    flags = ["-shared", "-nostdlib", f"-L{library.parent}", "-l:libsample.so.3"]
    return compile_c(source, tmp_path_factory.mktemp("dependent") / "dependent.so", *flags)


@pytest.fixture
def run(python: Callable[..., str]) -> Callable[..., str]:
    """Run a script that has ``library``, described by its first argument, ``describe()`` and the loader's names."""

    def run(script: str, path: Path, *arguments: str | Path, **environment: str) -> str:
        return python(DESCRIPTOR + script, path, *arguments, **environment)

    return run


def provider_files(library: Path) -> dict[str, bytes]:
    """What a wheel that provides the sample library installs, by path."""
    info = "sample_wheel-3.dist-info"
    files = {
        "sample_provider/__init__.py": PROVIDER.encode(),
        "sample_provider/libsample.so.3": library.read_bytes(),
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: sample-wheel\nVersion: 3\n",
        f"{info}/entry_points.txt": b"[sharedlib_loader.providers]\nsample-3 = sample_provider:SAMPLE\n",
    }
    return {**files, f"{info}/RECORD": "".join(f"{name},,\n" for name in files).encode()}


def install(files: dict[str, bytes], folder: Path) -> Path:
    """Write files into a folder that is, or will be, on ``sys.path``."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def archive(files: dict[str, bytes], file: Path) -> Path:
    """Write files into a zip archive."""
    with ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file
