"""Archives: found or downloaded, and refused unless they are what the lock says."""

from __future__ import annotations

import errno
import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vendor.carrier import Carrier
from tests.vendor.index import Index
from vendor.archive import obtain, read_members
from vendor.errors import VendorError
from vendor.lock import sha256

MEMBER = "small-1.0/src/hello.c"


@pytest.fixture
def served(carrier: Carrier, index: Index) -> Index:
    """The index serves the carrier's archive, and the cache no longer has it."""
    index.files[carrier.path.name] = carrier.path.read_bytes()
    carrier.path.unlink()
    return index


def test_cached_archive_is_taken_without_the_index(carrier: Carrier, index: Index) -> None:
    """An archive in the cache is verified and returned, and the package index is not asked."""
    assert obtain(carrier.upstream.archive, carrier.cache) == carrier.path
    assert index.asked == []


def test_wrong_archive_hash(carrier: Carrier, index: Index) -> None:
    """An archive with another hash is refused with its path, both hashes and the cure, and is left for inspection."""
    archive = replace(carrier.upstream.archive, sha256="0" * 64)
    with pytest.raises(VendorError) as caught:
        obtain(archive, carrier.cache)
    actual = sha256(carrier.path.read_bytes())
    assert caught.value.problem.startswith(f"{carrier.path} has sha256 {actual}, and the lock says {'0' * 64}: ")
    assert caught.value.cure.startswith(f"delete {carrier.path}, if it is still there, and run again")
    assert str(caught.value) == f"{caught.value.problem}\n  cure: {caught.value.cure}"
    assert index.asked == []


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_truncated_archive_in_the_cache(carrier: Carrier, kept: int) -> None:
    """An archive cut short anywhere is refused before anything is read from it."""
    carrier.path.write_bytes(carrier.path.read_bytes()[:kept])
    with pytest.raises(VendorError, match=r"small-1\.0\.tar\.gz has sha256 .* it was cut short or is another file"):
        obtain(carrier.upstream.archive, carrier.cache)


def test_reads_the_members_named_and_no_others(carrier: Carrier) -> None:
    """Only named members are read, whatever else the archive holds."""
    carrier.members["../escape"] = b"harmless while nobody asks for it"
    carrier.pack()
    data = carrier.members[MEMBER]
    assert isinstance(data, bytes)
    assert read_members(carrier.path, [(MEMBER, sha256(data))]) == {MEMBER: data}


def test_missing_member(carrier: Carrier) -> None:
    """A member that the archive lacks is named, with the archive and the cure."""
    with pytest.raises(VendorError, match=r"^small-1\.0\.tar\.gz has no member small-1\.0/src/gone\.c\n  cure: .*lock"):
        read_members(carrier.path, [("small-1.0/src/gone.c", "0" * 64)])


def test_wrong_member_hash(carrier: Carrier) -> None:
    """A member with another hash is refused with its name and both hashes."""
    actual = sha256(b"".join(b"line %d\n" % number for number in range(1, 31)))
    expected = f"{MEMBER} in small-1.0.tar.gz has sha256 {actual}, and the lock says {'0' * 64}\n  cure: "
    with pytest.raises(VendorError, match=f"^{re.escape(expected)}"):
        read_members(carrier.path, [(MEMBER, "0" * 64)])


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        pytest.param(tarfile.SYMTYPE, "hello.c", id="symlink"),
        pytest.param(tarfile.LNKTYPE, MEMBER, id="hardlink"),
        pytest.param(tarfile.DIRTYPE, "", id="directory"),
        pytest.param(tarfile.FIFOTYPE, "", id="fifo"),
    ],
)
def test_member_that_is_not_a_regular_file(carrier: Carrier, kind: bytes, target: str) -> None:
    """A link is refused even where the file that it points at has the pinned content."""
    info = tarfile.TarInfo("small-1.0/src/link.c")
    info.type, info.linkname = kind, target
    carrier.members[info.name] = info
    carrier.pack()
    data = carrier.members[MEMBER]
    assert isinstance(data, bytes)
    with pytest.raises(VendorError, match=r"^small-1\.0/src/link\.c in small-1\.0\.tar\.gz is not a regular file\n"):
        read_members(carrier.path, [(info.name, sha256(data))])


def test_download(carrier: Carrier, served: Index) -> None:
    """What the cache lacks is downloaded by package name, and only the finished file remains."""
    assert obtain(carrier.upstream.archive, carrier.cache) == carrier.path
    assert sha256(carrier.path.read_bytes()) == carrier.upstream.archive.sha256
    assert os.listdir(carrier.cache) == [carrier.path.name]
    assert [url.rsplit("/", 2)[1:] for url in served.asked] == [["small", ""], ["files", carrier.path.name]]


def test_second_run_does_not_ask_the_index(carrier: Carrier, served: Index) -> None:
    """A downloaded archive is found in the cache from then on."""
    obtain(carrier.upstream.archive, carrier.cache)
    served.asked.clear()
    obtain(carrier.upstream.archive, carrier.cache)
    assert served.asked == []


@pytest.mark.usefixtures("served")
def test_download_makes_the_cache_folder(carrier: Carrier, tmp_path: Path) -> None:
    """The cache folder is made where it does not exist yet."""
    cache = tmp_path / "deep" / "cache"
    assert obtain(carrier.upstream.archive, cache) == cache / carrier.path.name


def test_every_request_has_a_timeout(carrier: Carrier, served: Index) -> None:
    """No request can wait for ever on an index that stalls."""
    obtain(carrier.upstream.archive, carrier.cache)
    assert served.timeouts == [60, 60]


def test_index_lacks_the_file(carrier: Carrier, served: Index) -> None:
    """A version that the index does not have is named, with the way to bring the file by hand."""
    served.files = {"small-2.0.tar.gz": b""}
    with pytest.raises(VendorError) as caught:
        obtain(carrier.upstream.archive, carrier.cache)
    assert caught.value.problem == "the package index has no small-1.0.tar.gz"
    by_hand = f"put small-1.0.tar.gz (sha256 {carrier.upstream.archive.sha256}) into {carrier.cache} by hand"
    assert caught.value.cure == f"run again with a network, or {by_hand}"
    assert os.listdir(carrier.cache) == []


@pytest.mark.usefixtures("served")
def test_index_does_not_know_the_project(carrier: Carrier) -> None:
    """A project that the index does not know is named."""
    with pytest.raises(VendorError, match=r"^the package index does not know smell: .*\n  cure: .*put smell-1\.0\.tar"):
        obtain(replace(carrier.upstream.archive, name="smell"), carrier.cache)


def test_answer_is_not_an_index(carrier: Carrier, served: Index) -> None:
    """An answer of another type, as from a portal that wants a login, is reported as such."""
    served.content_type = "text/plain"
    with pytest.raises(VendorError, match=r"^the answer for small is not a package index's: .*text/plain.*\n  cure: "):
        obtain(carrier.upstream.archive, carrier.cache)


@pytest.mark.parametrize("unreachable", [f"https://index.invalid/{folder}" for folder in ("simple", "files")])
def test_no_connection(carrier: Carrier, served: Index, unreachable: str) -> None:
    """A failed connection, for the page or for the file, is reported with the cure and leaves nothing."""
    served.unreachable = unreachable
    with pytest.raises(VendorError) as caught:
        obtain(carrier.upstream.archive, carrier.cache)
    assert caught.value.problem == "the download of small-1.0.tar.gz failed or was cut short: no route to host"
    assert caught.value.cure.startswith("run again with a network, or put small-1.0.tar.gz (sha256 ")
    assert os.listdir(carrier.cache) == []


def test_download_cut_short(carrier: Carrier, served: Index) -> None:
    """A connection that ends before the announced length leaves neither the file nor a part of it."""
    served.missing_bytes = 10
    expected = r"^the download of small-1\.0\.tar\.gz failed or was cut short: .*IncompleteRead.*\n  cure: run again"
    with pytest.raises(VendorError, match=expected):
        obtain(carrier.upstream.archive, carrier.cache)
    assert os.listdir(carrier.cache) == []


def test_download_of_another_file(carrier: Carrier, served: Index) -> None:
    """A download with the wrong hash leaves neither the file nor a part of it, so that it is never believed later."""
    served.files[carrier.path.name] = b"something else"
    expected = f"{carrier.path}.part has sha256 {sha256(b'something else')}, and the lock says "
    with pytest.raises(VendorError, match=f"^{re.escape(expected)}"):
        obtain(carrier.upstream.archive, carrier.cache)
    assert os.listdir(carrier.cache) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.usefixtures("served")
def test_disk_full(carrier: Carrier) -> None:
    """A disk that fills during the download is reported with the file, the system's own words and the cure."""
    part = carrier.path.with_name(carrier.path.name + ".part")
    part.symlink_to("/dev/full")
    with pytest.raises(VendorError) as caught:
        obtain(carrier.upstream.archive, carrier.cache)
    assert caught.value.problem == f"{part} cannot be written: {os.strerror(errno.ENOSPC)}"
    assert caught.value.cure == "free some space, or name another folder in VENDOR_CACHE"
    assert os.listdir(carrier.cache) == []


def test_cache_folder_cannot_be_made(carrier: Carrier, served: Index, tmp_path: Path) -> None:
    """A cache folder that cannot be made is reported like a file that cannot be written."""
    (tmp_path / "file").touch()
    with pytest.raises(
        VendorError, match=r"file/cache/small-1\.0\.tar\.gz\.part cannot be written: .*\n.*VENDOR_CACHE"
    ):
        obtain(carrier.upstream.archive, tmp_path / "file" / "cache")
    assert served.asked == []
