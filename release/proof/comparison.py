"""What differs between two builds of the same wheels, down to the section of a native file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from release.proof.native_file import format_of, read

# What an archive says of an entry beside its bytes, by the names of zipfile.
ATTRIBUTES = ("date_time", "external_attr", "compress_type", "create_system", "create_version", "extra", "flag_bits")


def compare(one: Path, other: Path) -> Iterator[str]:
    """Each difference between the wheels of two folders, in words; none where they are the same, bit by bit."""
    names = sorted({path.name for folder in (one, other) for path in folder.glob("*.whl")})
    if not names:
        yield f"there is no wheel in {one} and {other}"
    for name in names:
        files = [folder / name for folder in (one, other)]
        if missing := [file for file in files if not file.exists()]:
            yield f"{name}: not in {missing[0].parent}"
        elif files[0].read_bytes() != files[1].read_bytes():
            differences = [*_archives(*files)] or ["the archives themselves, and nothing in them"]
            yield from (f"{name}: {difference}" for difference in differences)


def _archives(one: Path, other: Path) -> Iterator[str]:
    with ZipFile(one) as first, ZipFile(other) as second:
        entries = [{entry.filename: entry for entry in archive.infolist()} for archive in (first, second)]
        if [*entries[0]] != [*entries[1]] and set(entries[0]) == set(entries[1]):
            yield "the order of the entries"
        for name in sorted(set(entries[0]) | set(entries[1])):
            pair = [found.get(name) for found in entries]
            if pair[0] is None or pair[1] is None:
                yield f"{name}: in one alone"
                continue
            yield from (f"{name}: {what}" for what in _attributes(pair[0], pair[1]))
            contents = first.read(name), second.read(name)
            if contents[0] != contents[1]:
                yield f"{name}: {_contents(*contents)}"


def _attributes(one: ZipInfo, other: ZipInfo) -> Iterator[str]:
    for attribute in ATTRIBUTES:
        values = getattr(one, attribute), getattr(other, attribute)
        if values[0] != values[1]:
            yield f"{attribute} is {values[0]} and {values[1]}"


def _contents(one: bytes, other: bytes) -> str:
    """Where two files differ: the first byte, and of native files the sections."""
    first = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    told = f"{len(one)} and {len(other)} bytes, which differ from byte {first} on"
    if format_of(one) and format_of(other):
        sections = [read(data).sections for data in (one, other)]
        names = [name for name in sections[0] | sections[1] if sections[0].get(name) != sections[1].get(name)]
        told += f", in {', '.join(names) or 'no section, but the headers'}"
    return told
