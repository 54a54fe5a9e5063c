"""Checks of a wheel as an archive: its name, its entries, its RECORD and its metadata."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from release.proof.expectations import LINKS, SUFFIXES
from release.proof.native_file import archive_members, format_of
from release.proof.wheel import Wheel

ROOT = Path(__file__).resolve().parents[2]

# The date of each entry: the earliest that zip knows, which is what SOURCE_DATE_EPOCH is set to for a build.
EARLIEST = (1980, 1, 1, 0, 0, 0)

EXECUTABLE, PLAIN = 0o755, 0o644
RECORD_MODE = 0o664  # whatever the builder's umask: the library that writes wheels gives it to what it writes itself


def tag(wheel: Wheel, wrong: list[str]) -> str:
    """The file name's tag is WHEEL's, and a row's of the table of targets; native wheels are platlib."""
    lines = wheel.files.get(f"{wheel.info}/WHEEL", b"").decode().splitlines()
    stated = [line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: ")]
    named = [f"py3-none-{platform}" for platform in wheel.platforms]
    if sorted(stated) != sorted(named):
        wrong.append(f"the file name says {', '.join(named)}, and WHEEL says {', '.join(stated) or 'nothing'}")
    expected = expected_platforms(wheel)
    if set(wheel.platforms) != expected:
        wrong.append(f"the tags are not those of a target: {wheel.tag} is not py3-none-{'.'.join(sorted(expected))}")
    purity = f"Root-Is-Purelib: {str(wheel.distribution.pure).lower()}"
    if purity not in lines:
        wrong.append(f"WHEEL has no line {purity!r}")
    return wheel.tag


def expected_platforms(wheel: Wheel) -> set[str]:
    """The platform tags that a wheel should have: its target's."""
    if wheel.distribution.pure:
        return {"any"}
    if wheel.target is None:
        return {"<one of the table of targets>"}
    return set(wheel.target.tags)


def contents(wheel: Wheel, wrong: list[str]) -> str:
    """What the table says is in it, and nothing else."""
    have, expected = set(wheel.files), expected_files(wheel)
    if len(wheel.entries) != len(have):
        double = [name for name, count in Counter(entry.filename for entry in wheel.entries).items() if count > 1]
        wrong.append(f"in it twice: {', '.join(double)}")
    wrong.extend(f"missing: {name}" for name in sorted(expected - have))
    licences = {name for name in have if name.startswith(f"{wheel.info}/licenses/")}  # these have a check of their own
    wrong.extend(f"not expected: {name}" for name in sorted(have - expected - licences))
    return f"{len(have)} files"


def expected_files(wheel: Wheel) -> set[str]:
    """Every file but the licences, by path in the wheel."""
    one = wheel.distribution
    source = ROOT / one.folder / "src" / one.name
    kinds = {".py", ".c", ".cpp", ".in", ".typed"}
    found = {f"{one.name}/{p.relative_to(source).as_posix()}" for p in source.rglob("*") if p.suffix in kinds}
    found |= {f"{one.name}/{name}" for name in one.data}
    found |= {f"{wheel.info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "top_level.txt")}
    if one.entry_points:
        found |= {f"{wheel.info}/entry_points.txt"}
    if wheel.target is None:
        return found
    found |= {f"{wheel.info}/sboms/{one.name.replace('_', '-')}.cdx.json"}
    suffix = SUFFIXES[wheel.system]
    found |= {f"{one.name}-{wheel.version}.data/scripts/{name}{suffix}" for name in one.scripts}
    found |= {f"{one.name}/{name}{suffix}" for name in one.tools}
    for soname, api in one.libraries.items():
        if not api.everywhere and wheel.system != "Linux":
            continue
        file = f"{one.name}/lib/{wheel.target.format.file_name(soname)}"
        found |= {file}
        if wheel.target.libc == "musl":
            found |= {f"{file}.shim"}
        if wheel.system == "Windows":
            found |= {str(PurePosixPath(file).with_suffix(".lib"))}
    found |= {f"{one.name}/{folder}/{LINKS[wheel.system]}" for folder in one.links}
    found |= {f"{one.name}/{name}" for name in one.linux_data if wheel.system == "Linux"}
    return found


def modes(wheel: Wheel, wrong: list[str]) -> str:
    """Programs and libraries can be executed by all and written by their owner; everything else is read."""
    counts = Counter[str]()
    for entry in wheel.entries:
        mode = entry.external_attr >> 16
        expected = EXECUTABLE if format_of(wheel.files[entry.filename]) else PLAIN
        if entry.filename == f"{wheel.info}/RECORD":
            expected = RECORD_MODE
        if mode & 0o7777 != expected or mode & 0o170000 not in (0o100000, 0):
            wrong.append(f"{entry.filename} has the mode {mode:o}, not {expected:o}")
        counts[f"{expected:o}"] += 1
    return ", ".join(f"{count} of mode {mode}" for mode, count in sorted(counts.items()))


def record(wheel: Wheel, wrong: list[str]) -> str:
    """RECORD lists each file once, with its hash and size, and nothing that is not there."""
    own = f"{wheel.info}/RECORD"
    rows = [row for row in csv.reader(wheel.files.get(own, b"").decode().splitlines()) if row]
    names = [row[0] for row in rows]
    wrong.extend(f"not listed: {name}" for name in sorted(set(wheel.files) - set(names)))
    wrong.extend(f"listed and not there: {name}" for name in sorted(set(names) - set(wheel.files)))
    wrong.extend(f"listed twice: {name}" for name, count in Counter(names).items() if count > 1)
    for row in rows:
        if row[0] not in wheel.files:
            continue
        data = wheel.files[row[0]]
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        expected = ["", ""] if row[0] == own else [f"sha256={digest}", str(len(data))]
        if row[1:] != expected:
            wrong.append(f"{row[0]} is not what RECORD says: {','.join(row[1:])} is not {','.join(expected)}")
    return f"{len(rows)} lines"


def metadata(wheel: Wheel, wrong: list[str]) -> str:
    """The package index takes it, and shows its description: ``twine check --strict``."""
    command = [sys.executable, "-m", "twine", "check", "--strict", str(wheel.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        wrong.append(f"twine: {' '.join((done.stdout + done.stderr).split())}")
    return f"Metadata-Version {wheel.metadata['Metadata-Version']}"


# -- What a build leaves behind --------------------------------------------------------------------------------------

# Where people and services have their files, on the systems that can build.
PLACES = re.compile(rb"/(?:home|Users)/[\w.-]+/[\w.-]+|/root/[\w.-]+|/tmp/[\w.-]{3,}|[A-Za-z]:\\Users\\[\w.-]+")
# C's __DATE__ and __TIME__.
CLOCK = re.compile(rb"\b(?:Jan|Feb|Mar|Apr|May|Ju[nl]|Aug|Sep|Oct|Nov|Dec) [ 1-3]\d 20\d\d\b|\b\d\d:[0-5]\d:[0-5]\d\b")


def origin(wheel: Wheel, wrong: list[str]) -> str:
    """Neither the machine that built it nor the time is in it."""
    dated = [entry for entry in wheel.entries if entry.date_time != EARLIEST]
    wrong.extend(f"{entry.filename} is of {datetime(*entry.date_time)}" for entry in dated)  # noqa: DTZ001
    here = {str(place).encode() for place in (ROOT, Path.home(), Path(sys.prefix)) if place != Path("/")}
    for name, data in wheel.files.items():
        wrong.extend(f"{name} has a path of this machine: {place.decode()}" for place in here if place in data)
        if format_of(data):
            found = {match[0].decode() for pattern in (PLACES, CLOCK) for match in pattern.finditer(data)}
            wrong.extend(f"{name} has a trace of its build: {text}" for text in sorted(found))
        members = (member for member in archive_members(data) if member.time)
        wrong.extend(f"{name}: its member {member.name} has a time, {member.time}" for member in members)
    for name, file in wheel.native.items():
        if not file.repeatable:
            built = datetime.fromtimestamp(file.built or 0, timezone.utc).replace(tzinfo=None)
            wrong.append(f"{name} has the time {built} in its header: link it with /Brepro")
    return "no path, no time; every entry is of 1980-01-01"
