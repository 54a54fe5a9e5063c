"""Wheels made bad on purpose: a good one with one change, or one of a few files for another system."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from release.proof.archive import EARLIEST
from sharedlib_loader.build import Target

VERSION = "0.1.0"
INFO = f"liblmdb_wheel-{VERSION}.dist-info"


# Compiled without a C library, so that no test waits for one.
BARE = ("-shared", "-nostdlib", "-fno-stack-protector")
ENTRY = "int DllMainCRTStartup(void *a, int b, void *c) { return 1; }\n"


@dataclass
class Parts:
    """What a wheel is written from, to be changed.

    Attributes:
        name: the file name.
        files: contents by path; RECORD is made of them, unless it is changed.
        modes: permissions by path, where they are not 0o755 for native files and 0o644 for others.
        dates: of entries by path, where they are not the earliest.
        twice: paths that the archive has a second time.
    """

    name: str
    files: dict[str, bytes]
    modes: dict[str, int] = field(default_factory=dict)
    dates: dict[str, tuple[int, int, int, int, int, int]] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, wheel: Path) -> Parts:
        with ZipFile(wheel) as archive:
            parts = cls(wheel.name, {entry.filename: archive.read(entry) for entry in archive.infolist()})
            parts.modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
            return parts

    @classmethod
    def for_target(cls, target: Target, files: dict[str, bytes]) -> Parts:
        """A wheel of liblmdb for a target, of its native files alone and what is needed to read it."""
        tags = [f"py3-none-{tag}" for tag in target.tags]
        wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n" + "".join(f"Tag: {tag}\n" for tag in tags)
        metadata = f"Metadata-Version: 2.4\nName: liblmdb-wheel\nVersion: {VERSION}\n"
        more = {f"{INFO}/WHEEL": wheel.encode(), f"{INFO}/METADATA": metadata.encode(), f"{INFO}/RECORD": b""}
        parts = cls(f"liblmdb_wheel-{VERSION}-py3-none-{'.'.join(target.tags)}.whl", {**files, **more})
        parts.modes = dict.fromkeys(files, 0o100755)
        return parts

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace words in a file, which must have them."""
        text = self.files[path].decode()
        assert old in text, f"{old!r} is not in {path}"
        self.files[path] = text.replace(old, new, 1).encode()

    def write(self, folder: Path, *, record: bool = True) -> Path:
        """Write the wheel, with a RECORD that is right unless told otherwise."""
        info = next(path for path in self.files if path.endswith(".dist-info/WHEEL")).removesuffix("WHEEL")
        if record:
            lines = [
                f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
                for path, data in self.files.items()
                if path != f"{info}RECORD"
            ]
            self.files[f"{info}RECORD"] = "\n".join([*lines, f"{info}RECORD,,", ""]).encode()
        with ZipFile(folder / self.name, "w", ZIP_DEFLATED) as archive:
            for path in [*self.files, *self.twice]:
                entry = ZipInfo(path, self.dates.get(path, EARLIEST))
                entry.external_attr = self.modes.get(path, 0o100644) << 16
                archive.writestr(entry, self.files[path], ZIP_DEFLATED)
        return folder / self.name


Change = Callable[[Parts], None]
