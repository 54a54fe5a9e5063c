"""The lock: what ``lock.toml`` pins, read into frozen records and checked for paths that could escape.

Not for fetching or writing: this module knows names and hashes only.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from vendor.errors import VendorError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILE = ROOT / "vendor" / "lock.toml"

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Archive:
    """An sdist that carries upstream sources, named as the package index names it."""

    name: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}.tar.gz"

    def member(self, path: str) -> str:
        """The name in the archive of ``path``, which is relative to the sdist's top folder (root ".")."""
        return f"{self.name}-{self.version}/{path.removeprefix('./')}"


@dataclass(frozen=True)
class Patch:
    """One patch file of a series; ``path`` is relative to the sdist's top folder."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Insertion:
    """Lines of this project's own: ``text``, for the reason ``why``, put behind line ``after`` of ``file``.

    Lines count from 1, in the file as the patch series leaves it, before any insertion.
    """

    file: str
    after: int
    text: str
    why: str


@dataclass(frozen=True)
class Upstream:
    """One third-party project: the files taken from its archive, the patches in order, and where they are staged.

    ``files`` maps each path (relative to ``root`` in the archive and to ``stage`` here) to the sha256 of the file
    as published; ``patched`` maps the paths that the series or an insertion changes to the sha256 afterwards.
    """

    name: str
    version: str
    license: str
    archive: Archive
    root: str
    stage: Path
    files: dict[str, str]
    strip: int
    patches: tuple[Patch, ...]
    insertions: tuple[Insertion, ...]
    patched: dict[str, str]

    @property
    def staged_files(self) -> dict[str, str]:
        """Each staged path and its sha256 after patches and insertions."""
        return {**self.files, **self.patched}


def sha256(data: bytes) -> str:
    """The lower-case hexadecimal SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def read_lock(path: Path = LOCK_FILE) -> dict[str, Upstream]:
    """Read the lock.

    Returns:
        The upstreams by name, in the file's order.

    Raises:
        VendorError: the file cannot be read, a hash or an insertion is malformed, or a path would leave its folder.
    """
    cure = f"restore it: git checkout -- {path}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: _upstream(name, table, document["archives"]) for name, table in document["upstreams"].items()}
    except (OSError, ValueError) as error:
        raise VendorError(f"{path} cannot be read: {error}", cure=cure) from error
    except KeyError as error:
        raise VendorError(f"{path} lacks the key {error}", cure=cure) from error


def read_archives(path: Path = LOCK_FILE) -> dict[str, Archive]:
    """The archives by name, among them the witnesses that no upstream is taken from."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _archive(name, table) for name, table in document["archives"].items()}


def read_insertions(name: str, table: dict[str, Any]) -> tuple[Insertion, ...]:
    """The insertions of the upstream ``name``, whose ``table`` may still lack its hashes.

    Raises:
        VendorError: a key is unknown or missing, a value is not what it must be, the file is not among those taken, or
            the insertions are not in the order of files and lines, one behind each line.
    """
    entries = table.get("insertions", [])
    if not isinstance(entries, list):
        problem = f"{name}: insertions is not an array of tables"
        raise VendorError(problem, cure=f'head each with [[upstreams."{name}".insertions]]')
    insertions = [_insertion(f"{name}, insertion {n}", entry, table["files"]) for n, entry in enumerate(entries, 1)]
    for one, other in pairwise(insertions):
        if (one.file, one.after) == (other.file, other.after):
            problem = f"{name}: two insertions stand behind line {one.after} of {one.file}"
            raise VendorError(problem, cure="make one of them")
        if (one.file, one.after) > (other.file, other.after):
            places = f"line {one.after} of {one.file} and then line {other.after} of {other.file}"
            problem = f"{name}: the insertions are not sorted: behind {places}"
            raise VendorError(problem, cure="sort them by file and line")
    return tuple(insertions)


def _insertion(what: str, entry: Any, files: dict[str, str]) -> Insertion:
    keys = [field.name for field in fields(Insertion)]
    if not isinstance(entry, dict) or sorted(entry) != sorted(keys):
        found = f"the keys {sorted(entry)}" if isinstance(entry, dict) else repr(entry)
        raise VendorError(f"{what}: it has {found}, not {keys}", cure="correct the lock")
    file, after, text, why = (entry[key] for key in keys)
    rules = {
        "file is none of the files taken": type(file) is str and file in files,
        "after is not the number of a line, from 1": type(after) is int and after > 0,
        "text is not a string of whole lines": type(text) is str and text.endswith("\n"),
        "why is not a sentence": type(why) is str and bool(why.strip()),
    }
    if wrong := [problem for problem, kept in rules.items() if not kept]:
        raise VendorError(f"{what}: {', '.join(wrong)}", cure="correct the lock")
    return Insertion(file, after, text, why)


def _archive(name: str, table: dict[str, str]) -> Archive:
    version = table["version"]
    _inside(f"{name}-{version}")
    return Archive(name, version, _digest(table["sha256"], name))


def _upstream(name: str, table: dict[str, Any], archives: dict[str, dict[str, str]]) -> Upstream:
    files = {_inside(path): _digest(digest, path) for path, digest in table["files"].items()}
    patched = {_inside(path): _digest(digest, path) for path, digest in table.get("patched", {}).items()}
    if stray := sorted(set(patched) - set(files)):
        raise VendorError(f"{name}: the lock gives a patched hash for files that it does not take: {stray}",
                          cure="add them to the files of that upstream, or drop the hashes")  # fmt: skip
    patches = [_patch(table["patch_root"], entry) for entry in table.get("patches", [])]
    return Upstream(
        name=_inside(name),
        version=table["version"],
        license=table["license"],
        archive=_archive(table["archive"], archives[table["archive"]]),
        root="." if table["root"] == "." else _inside(table["root"]),
        stage=ROOT / _inside(table["stage"]),
        files=files,
        strip=table.get("strip", 1),
        patches=tuple(patches),
        insertions=read_insertions(name, table),
        patched=patched,
    )


def _patch(root: str, entry: dict[str, str]) -> Patch:
    return Patch(_inside(f"{root}/{entry['name']}"), _digest(entry["sha256"], entry["name"]))


def _digest(text: str, what: str) -> str:
    if not _SHA256.fullmatch(text):
        problem = f"{what}: {text!r} is not a sha256 (64 lower-case hexadecimal digits)"
        raise VendorError(problem, cure="correct the lock")
    return text


def _inside(path: str) -> str:
    """``path`` unchanged, if it stays in the folder that it is relative to."""
    parts = path.split("/")
    if "\\" in path or ":" in path or any(part in ("", ".", "..") for part in parts):
        raise VendorError(f"{path!r} would leave its folder, or is not a plain relative path", cure="correct the lock")
    return path
