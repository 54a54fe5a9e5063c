"""A wheel as an archive: its file name, its entries, its metadata, and the native files in it. Nothing is installed."""

from __future__ import annotations

import email
import hashlib
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from release.proof.expectations import DISTRIBUTIONS, MACHINES, SYSTEMS, Distribution
from release.proof.native_file import BrokenFileError, NativeFile, format_of, read
from sharedlib_loader.build import TARGETS, Target


class NotAWheelError(Exception):
    """A file is no wheel of this project; the text says why."""


@dataclass(frozen=True)
class Wheel:
    """One wheel, read as a whole.

    Attributes:
        path: the file.
        distribution: what this project expects of it.
        version: as the file name has it.
        platforms: the platform tags of the file name, in its order.
        tag: the whole tag of the file name.
        entries: the archive's, in its order, files alone.
        files: what is in each.
    """

    path: Path
    distribution: Distribution
    version: str
    platforms: tuple[str, ...]
    tag: str
    entries: tuple[ZipInfo, ...]
    files: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> Wheel:
        """Read a wheel.

        Raises:
            NotAWheelError: the file cannot be read, or its name is of no distribution of this project.
        """
        try:
            name, version, _, _ = parse_wheel_filename(path.name)
            with ZipFile(path) as archive:
                entries = tuple(archive.infolist())
                files = {entry.filename: archive.read(entry) for entry in entries}
        except (OSError, BadZipFile, InvalidWheelFilename) as error:
            raise NotAWheelError(f"{path} is no wheel: {error}") from error
        distribution = DISTRIBUTIONS.get(name.replace("-", "_"))
        if distribution is None:
            raise NotAWheelError(f"{path} is of {name}, which is none of {', '.join(DISTRIBUTIONS)}")
        tag = "-".join(path.stem.split("-")[-3:])
        return cls(path, distribution, str(version), tuple(tag.split("-")[2].split(".")), tag, entries, files)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def info(self) -> str:
        """The folder of the metadata."""
        return f"{self.distribution.name}-{self.version}.dist-info"

    @cached_property
    def metadata(self) -> Message:
        return email.message_from_bytes(self.files.get(f"{self.info}/METADATA", b""))

    @cached_property
    def native(self) -> dict[str, NativeFile]:
        """Every native file in it, by path.

        Raises:
            BrokenFileError: one cannot be read.
        """
        found = {}
        for path, data in self.files.items():
            if format_of(data):
                try:
                    found[path] = read(data)
                except BrokenFileError as error:
                    raise BrokenFileError(f"{path}: {error}") from error
        return found

    @cached_property
    def target(self) -> Target | None:
        """The row of the table of targets that the first platform tag is of; None for a pure wheel."""
        return next((target for target in TARGETS if self.platforms[0] in target.tags), None)

    @property
    def machine(self) -> str:
        """The target's machine, as Linux names it; "any" for a pure wheel."""
        return MACHINES.get(self.target.machine, self.target.machine) if self.target else "any"

    @property
    def system(self) -> str:
        """The target's system: Linux, macOS or Windows; "any" for a pure wheel."""
        return SYSTEMS[self.target.libc] if self.target else "any"
