"""A second archive, of another project, carries the same LMDB sources and patches.

The only test that may need the network: once, where the cache lacks that archive.
"""

from __future__ import annotations

import tarfile
from pathlib import PurePosixPath

import pytest

from vendor.archive import obtain
from vendor.lock import read_archives, read_lock, sha256


@pytest.fixture(scope="module")
def witness() -> dict[str, str]:
    """The sha256 of each file in py-lmdb's sdist, by its path there."""
    with tarfile.open(obtain(read_archives()["lmdb"])) as tar:
        files = {member.name: stream.read() for member in tar if (stream := tar.extractfile(member))}
    return {name.partition("/")[2]: sha256(data) for name, data in files.items()}


@pytest.mark.parametrize(("upstream", "folder"), [("lmdb-0.9", "lib"), ("lmdb-1.0", "lib1")])
def test_sources_are_the_same(witness: dict[str, str], upstream: str, folder: str) -> None:
    """The library's sources, as published, are byte for byte those that py-lmdb carries."""
    sources = ("lmdb.h", "mdb.c", "midl.c", "midl.h")
    published = read_lock()[upstream].files
    assert {name: witness[f"{folder}/{name}"] for name in sources} == {name: published[name] for name in sources}


@pytest.mark.parametrize(("upstream", "folder"), [("lmdb-0.9", "lib"), ("lmdb-1.0", "lib1")])
def test_patches_are_the_same(witness: dict[str, str], upstream: str, folder: str) -> None:
    """The lock takes every patch that py-lmdb carries, unchanged, and no other."""
    theirs = {
        PurePosixPath(path).name: digest
        for path, digest in witness.items()
        if PurePosixPath(path).match(f"{folder}/py-lmdb/*.patch")
    }
    assert {patch.name: patch.sha256 for patch in read_lock()[upstream].patches} == theirs
