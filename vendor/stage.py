"""Staging: from a verified archive to a patched tree, complete or not there at all.

Each tree carries ``PROVENANCE.json`` (archive, patches, insertions, and the hash of every file), so that an sdist built
from it still says where its sources come from.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vendor import archive as archives
from vendor.errors import VendorError
from vendor.insertion import insert
from vendor.lock import Upstream, sha256
from vendor.patching import apply

PROVENANCE = "PROVENANCE.json"


def provenance(upstream: Upstream) -> dict[str, Any]:
    """What a staged tree must say of itself: everything that the lock pins for it."""
    return {
        "name": upstream.name,
        "version": upstream.version,
        "license": upstream.license,
        "archive": {
            "name": upstream.archive.name,
            "version": upstream.archive.version,
            "sha256": upstream.archive.sha256,
        },
        "patches": [{"name": patch.name, "sha256": patch.sha256} for patch in upstream.patches],
        "insertions": [asdict(insertion) for insertion in upstream.insertions],
        "files": upstream.staged_files,
    }


def differences(upstream: Upstream) -> list[str]:
    """How the staged tree differs from the lock, a line each; empty where it is exactly what the lock says."""
    if not upstream.stage.is_dir():
        return ["not staged"]
    paths = (path for path in upstream.stage.rglob("*") if path.is_symlink() or not path.is_dir())
    found = {path.relative_to(upstream.stage).as_posix(): path for path in paths}
    record = found.pop(PROVENANCE, None)
    lines = [f"{path}: not in the lock" for path in sorted(set(found) - set(upstream.staged_files))]
    for path, digest in upstream.staged_files.items():
        if path not in found:
            lines.append(f"{path}: missing")
        elif not _holds(found[path], digest):
            lines.append(f"{path}: changed")
    if record is None or not _holds(record, sha256(_render(upstream))):
        lines.append(f"{PROVENANCE}: missing, or written for another lock")
    return lines


def stage(upstream: Upstream, cache: Path = archives.CACHE) -> None:
    """Fetch, verify, patch and stage one upstream, replacing what is staged.

    The new tree is written beside the old one and renamed when it is complete, so an error leaves the old tree, or
    none, and never half a tree.

    Raises:
        VendorError: see :mod:`vendor.archive`, :mod:`vendor.patching` and :mod:`vendor.insertion`; or the result is
            not what the lock says (a patch is missing or in another order, an insertion stands elsewhere), or the tree
            cannot be written.
    """
    files = _patched_files(upstream, archives.obtain(upstream.archive, cache))
    new = None
    try:
        upstream.stage.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{upstream.name}-", dir=upstream.stage.parent))
        new.chmod(0o755)
        for path, data in files.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(data)
        (new / PROVENANCE).write_bytes(_render(upstream))
        _swap(new, upstream.stage)
    except OSError as error:
        raise VendorError(
            f"{upstream.stage} cannot be written: {error}", cure="free some space, or make the folder writable"
        ) from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)


def _patched_files(upstream: Upstream, path: Path) -> dict[str, bytes]:
    archive = upstream.archive
    sources = {name: archive.member(f"{upstream.root}/{name}") for name in upstream.files}
    wanted = [(member, upstream.files[name]) for name, member in sources.items()]
    wanted += [(archive.member(patch.path), patch.sha256) for patch in upstream.patches]
    contents = archives.read_members(path, wanted)
    files = {name: contents[member] for name, member in sources.items()}
    for patch in upstream.patches:
        apply(patch.name, contents[archive.member(patch.path)], files, strip=upstream.strip)
    insert(upstream.insertions, files)
    for name, digest in upstream.staged_files.items():
        if sha256(files[name]) != digest:
            changes = f"{len(upstream.patches)} patches and {len(upstream.insertions)} insertions"
            raise VendorError(
                f"{upstream.name}: {name} is not what the lock says after its {changes}",
                cure="a patch is missing, added or out of order: compare the lock with its carrier's list; "
                "after a change of insertions: python -m vendor pin",
            )
    return files


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and not path.is_symlink() and sha256(path.read_bytes()) == digest


def _render(upstream: Upstream) -> bytes:
    return (json.dumps(provenance(upstream), indent=1) + "\n").encode()


def _swap(new: Path, target: Path) -> None:
    # rename(2) cannot replace a folder that has entries, so the old tree steps aside first.
    if target.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        try:
            target.rename(aside / "tree")
            try:
                new.rename(target)
            except OSError:
                (aside / "tree").rename(target)
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    else:
        new.rename(target)
