"""Archives: found in the cache or downloaded by package name, and never trusted before their hash is checked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

from vendor.errors import VendorError
from vendor.lock import ROOT, Archive, sha256

CACHE = Path(os.environ.get("VENDOR_CACHE", ROOT / "vendor" / "cache"))

_TIMEOUT = 60  # seconds without a byte, after which the network counts as gone


def cached(archive: Archive, cache: Path = CACHE) -> Path:
    """Where the archive is, or would be, kept."""
    return cache / archive.filename


def obtain(archive: Archive, cache: Path = CACHE) -> Path:
    """The verified archive, from the cache or, failing that, from the package index.

    Raises:
        VendorError: it cannot be downloaded or written, or its sha256 is not the lock's.
    """
    path = cached(archive, cache)
    if not path.exists():
        download(archive, path, check=check)
    check(archive, path)
    return path


def download(archive: Archive, path: Path, *, check: Callable[[Archive, Path], None]) -> None:
    """Download to a ``.part`` file, check it, then rename: ``path`` exists only whole and accepted by ``check``."""
    # Imported here, so that a run that finds everything in the cache needs neither library nor network.
    import requests
    from pypi_simple import NoSuchProjectError, PyPISimple, UnsupportedContentTypeError, UnsupportedRepoVersionError

    wanted = f"{archive.filename} (sha256 {archive.sha256})"
    by_hand = f"run again with a network, or put {wanted} into {path.parent} by hand"
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with PyPISimple() as index:
            page = index.get_project_page(archive.name, timeout=_TIMEOUT)
            package = next((p for p in page.packages if p.filename == archive.filename), None)
            if package is None:
                raise VendorError(f"the package index has no {archive.filename}", cure=by_hand)
            index.download_package(package, part, verify=False, keep_on_error=False, timeout=_TIMEOUT)
        check(archive, part)
        part.replace(path)
    except requests.RequestException as error:
        problem = f"the download of {archive.filename} failed or was cut short: {error}"
        raise VendorError(problem, cure=by_hand) from error
    except NoSuchProjectError as error:
        raise VendorError(f"the package index does not know {archive.name}: {error}", cure=by_hand) from error
    except (UnsupportedContentTypeError, UnsupportedRepoVersionError) as error:
        raise VendorError(f"the answer for {archive.name} is not a package index's: {error}", cure=by_hand) from error
    except OSError as error:
        cure = "free some space, or name another folder in VENDOR_CACHE"
        raise VendorError(f"{part} cannot be written: {error.strerror}", cure=cure) from error
    finally:
        with contextlib.suppress(OSError):  # where it could not be written, and the error on its way says why
            part.unlink()


def check(archive: Archive, path: Path) -> None:
    """Compare the file's sha256 with the lock's."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != archive.sha256:
        raise VendorError(
            f"{path} has sha256 {digest.hexdigest()}, and the lock says {archive.sha256}: "
            "it was cut short or is another file",
            cure=f"delete {path}, if it is still there, and run again; if the hash stays wrong, do not use that file",
        )


def read_members(path: Path, wanted: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    """Read the named members, and nothing else, into memory.

    Args:
        path: the archive, verified.
        wanted: pairs of member name and sha256.

    Raises:
        VendorError: a member is missing, is not a regular file, or has another hash.
    """
    cure = "the lock and the archive disagree: correct the lock, or restore it from the repository"
    contents = {}
    with tarfile.open(path) as tar:
        members = {member.name: member for member in tar}
        for name, digest in wanted:
            if name not in members:
                raise VendorError(f"{path.name} has no member {name}", cure=cure)
            stream = tar.extractfile(members[name]) if members[name].isreg() else None
            if stream is None:
                raise VendorError(f"{name} in {path.name} is not a regular file", cure=cure)
            data = stream.read()
            if sha256(data) != digest:
                problem = f"{name} in {path.name} has sha256 {sha256(data)}, and the lock says {digest}"
                raise VendorError(problem, cure=cure)
            contents[name] = data
    return contents
