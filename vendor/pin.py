"""Pinning: fill in the hashes of ``lock.toml`` after a person has changed its versions, files, patches or insertions.

The only place where a file is believed without a hash; what it writes is a diff for a person to review.
"""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Any

import tomlkit

from vendor import archive as archives
from vendor.errors import VendorError
from vendor.insertion import insert
from vendor.lock import LOCK_FILE, Archive, read_insertions, sha256
from vendor.patching import apply


def pin(path: Path = LOCK_FILE, cache: Path = archives.CACHE) -> None:
    """Recompute every hash in the lock from the archives that it names.

    Raises:
        VendorError: an archive cannot be had or read, lacks a file that the lock names, a patch does not apply, or an
            insertion is malformed or has no place.
    """
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    tables: dict[str, Any] = document.unwrap()
    contents: dict[str, dict[str, bytes]] = {}
    for name, table in tables["archives"].items():
        unchecked = Archive(name, table["version"], sha256="")
        file = archives.cached(unchecked, cache)
        if not file.exists():
            archives.download(unchecked, file, check=lambda archive, path: None)
        document["archives"][name]["sha256"] = sha256(file.read_bytes())
        contents[name] = _members(file)
    for name, table in tables["upstreams"].items():
        target: Any = document["upstreams"][name]
        archive = Archive(table["archive"], tables["archives"][table["archive"]]["version"], "")
        members = contents[archive.name]
        files = {f: _member(members, archive, f"{table['root']}/{f}") for f in table["files"]}
        published = {f: sha256(data) for f, data in files.items()}
        for entry, pinned in zip(table.get("patches", []), target.get("patches", []), strict=True):
            text = _member(members, archive, f"{table['patch_root']}/{entry['name']}")
            pinned["sha256"] = sha256(text)
            apply(entry["name"], text, files, strip=table.get("strip", 1))
        insert(read_insertions(name, table), files)
        for file_name, digest in published.items():
            target["files"][file_name] = digest
        changed = {f: sha256(data) for f, data in files.items() if sha256(data) != published[f]}
        if set(changed) != set(table.get("patched", {})):
            target["patched"] = changed
        elif changed:
            target["patched"].update(changed)  # keeps the layout of the file
    path.write_text(tomlkit.dumps(document), encoding="utf-8")


def _members(path: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(path) as tar:
            return {m.name: stream.read() for m in tar if m.isreg() and (stream := tar.extractfile(m))}
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise VendorError(f"{path} cannot be read: {error}", cure=f"delete {path} and run again") from error


def _member(members: dict[str, bytes], archive: Archive, path: str) -> bytes:
    try:
        return members[archive.member(path)]
    except KeyError:
        problem = f"{archive.filename} has no file {archive.member(path)}"
        raise VendorError(problem, cure="correct the path in the lock") from None
