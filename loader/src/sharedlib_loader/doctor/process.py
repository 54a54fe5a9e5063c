"""The process that asks, and a fresh one like it: what is mapped, what a load does, what a search finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import sharedlib_loader
from sharedlib_loader import _runtime

BINDINGS = "sharedlib_loader.bindings"
"""Entry points of what uses provided libraries from Python: functions that take nothing, and say what they use as what
JSON can hold, a dict of texts, numbers, truth values, None, and dicts of these.
"""

# A fresh process sees the modules that this one sees, and nothing of what this one has loaded.
_FRESH = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from sharedlib_loader.doctor import process
for answer in getattr(process, sys.argv[2])(*sys.argv[3:]):
    print(json.dumps(answer), flush=True)
"""


def mapped() -> set[Path]:
    """The files that are mapped into this process; none where the system has no /proc."""
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except FileNotFoundError:
        return set()
    fields = [os.fsdecode(line).split(maxsplit=5) for line in lines]
    return {Path(field[5]) for field in fields if len(field) == 6 and field[5].startswith("/")}


def answering(name: str) -> Path | None:
    """The file that a SONAME means in this process now; None where it means none that is loaded."""
    library = _runtime._platform.find(name)
    return None if library is None else Path(_runtime._platform.path_of(library))


def fresh(function: str, *arguments: str) -> tuple[list[Any], str | None]:
    """Run a generator of this module in a fresh process.

    Returns:
        Its answers, and how the process ended where it did not end well.
    """
    command = [sys.executable, "-c", _FRESH, json.dumps(sys.path), function, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode == 0:
        return answers, None
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return answers, f"exit status {done.returncode}: {last}"


def loads(*names: str) -> Iterator[dict[str, str]]:
    """Load each of these libraries, in order, and say what was found, and why it was refused if it was."""
    for name in names:
        answer: dict[str, str] = {}
        try:
            library = sharedlib_loader.find(name)
            record = sharedlib_loader.load(library, on_conflict="accept")
            winner = record.path if record.conflict is None else record.conflict.path
            answer |= {
                "path": str(record.path),
                "version": record.version,
                "winner": "" if winner is None else str(winner),
            }
            sharedlib_loader.load(library)
        except sharedlib_loader.SharedLibraryError as error:
            answer |= {"problem": error.problem, "tried": "; ".join(error.tried), "cure": error.cure}
        yield answer


def says(function: str) -> Iterator[dict[str, Any]]:
    """Ask a binding what it uses, by its entry point's value, and say how it failed if it did."""
    try:
        answer = {"uses": json.loads(json.dumps(EntryPoint("", function, BINDINGS).load()()))}
    except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises is what the report is for
        answer = {"problem": f"{type(error).__name__}: {error}"}
    yield answer


def finds(*sonames: str) -> Iterator[str | None]:
    """The file that the system's own search finds for each SONAME, without any preload; None where it finds none."""
    for soname in sonames:
        with suppress(OSError):
            _runtime._platform.open(soname)
        found = answering(soname)
        yield None if found is None else str(found)
