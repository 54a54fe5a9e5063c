"""What holds for each of the four wheels and sdists."""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGES = ("sharedlib_loader", "liblmdb_wheel", "lmdb_bindings", "flatc_wheel")
PURE = ("sharedlib_loader", "lmdb_bindings")

Proved = Callable[..., None]


@pytest.mark.parametrize("package", PURE)
def test_a_pure_wheel_is_for_everybody(package: str, proved: Proved) -> None:
    """Loader and binding are py3-none-any, and have no compiled file."""
    proved(package, "tag", "machine")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_has_its_package_alone(package: str, proved: Proved) -> None:
    """The package, its type hints, its metadata and its licence: nothing else is installed, and RECORD has it all."""
    proved(package, "contents", "licences", "RECORD", "metadata")


@pytest.mark.parametrize(("package", "upstream"), [("liblmdb_wheel", "lmdb-0.9"), ("flatc_wheel", "flatbuffers")])
def test_an_sdist_carries_its_sources(package: str, upstream: str, built: Callable[[str], Path]) -> None:
    """A native sdist has the staged sources, with their licence and the record of where they come from."""
    with tarfile.open(built(f"{package}-*.tar.gz")) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert {f"upstream/{upstream}/PROVENANCE.json", f"upstream/{upstream}/LICENSE"} <= names
    assert not [name for name in names if name.startswith(("build/", "src/liblmdb_wheel/lib/"))]


@pytest.mark.requirement("R30")
@pytest.mark.parametrize("package", PACKAGES)
def test_an_sdist_knows_neither_clock_nor_owner(package: str, built: Callable[[str], Path]) -> None:
    """Its entries are in order, of one date, and of nobody, so that the same sources make the same file."""
    sdist = built(f"{package}-*.tar.gz")
    with tarfile.open(sdist) as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {(0, 0, "", "")}
    assert {entry.mode for entry in entries} <= {0o644, 0o755}
    # RFC 1952: after magic, method and flags, the date of what is packed.
    assert {entry.mtime for entry in entries} == {struct.unpack_from("<I", sdist.read_bytes(), 4)[0]}
