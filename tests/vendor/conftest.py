"""A tiny upstream with a patch series, and a package index in memory that serves its archive."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pypi_simple
import pytest
import requests

from tests.vendor.carrier import Carrier, diff
from tests.vendor.index import Index
from vendor.lock import Archive, Upstream, sha256

HELLO_C = b"".join(b"line %d\n" % number for number in range(1, 31))
HELLO_H = b"int hello(void);\n"


@pytest.fixture
def carrier(tmp_path: Path) -> Carrier:
    """Two files and two patches; the second patch fits only after the first, which moves its lines."""
    once = HELLO_C.replace(b"line 3\n", b"line 3\nfirst\n")
    twice = once.replace(b"line 20\n", b"line 20, second\n")
    first, second = diff("hello.c", HELLO_C, once), diff("hello.c", once, twice)
    upstream = Upstream(
        name="small",
        version="1.0",
        license="MIT",
        archive=Archive("small", "1.0", ""),
        root="src",
        stage=tmp_path / "staged" / "small",
        files={"hello.c": sha256(HELLO_C), "include/hello.h": sha256(HELLO_H)},
        strip=2,
        patches=(),
        insertions=(),
        patched={"hello.c": sha256(twice)},
    )
    members: dict[str, bytes | tarfile.TarInfo] = {
        "small-1.0/src/hello.c": HELLO_C,
        "small-1.0/src/include/hello.h": HELLO_H,
        "small-1.0/src/not_taken.c": b"",
    }
    carrier = Carrier(tmp_path / "cache", upstream, members, {"hello.c": twice, "include/hello.h": HELLO_H})
    carrier.series(first=first, second=second)
    return carrier


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index that the tool finds; nothing leaves the process."""
    adapter = Index()
    client = pypi_simple.PyPISimple
    with requests.Session() as session:
        session.mount("https://", adapter)
        session.trust_env = False
        monkeypatch.setattr(pypi_simple, "PyPISimple", lambda: client(Index.url, session=session))
        yield adapter
