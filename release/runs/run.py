"""One run: a platform's wheels are installed, used by C programs and by an interpreter, and what happened is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from release.runs import cpython, programs, suite, wheels
from release.runs.legs import Interpreter, Leg
from release.runs.place import Failed
from release.runs.programs import Programs
from release.runs.trees import CACHE, ROOT, Tree, UnavailableError
from sharedlib_loader.build import TARGETS

SMOKE = Path(__file__).resolve().parent / "smoke.py"
ENGINES = ("0.9", "1.0")

# Where something is refused that LMDB needs of the system, how it does without: see program.c.
WITHOUT = {"UCRT": "reading", "glibc": "unlocked", "musl": "unlocked"}

Result = dict[str, Any]
"""What is kept of a run, as JSON has it."""


def run(leg: Leg, dist: Path, *, with_suite: bool = False) -> Result:
    """Run a leg with the wheels in a folder.

    Args:
        leg: a row of the table.
        dist: the folder.
        with_suite: the binding's own tests, too, where the leg has them.

    Returns:
        The leg, what ran it, and ``parts``: for each an outcome with words. ``passed`` and ``failed`` say what they
        mean; ``limited`` is a failure by which the place, and no part of the wheels, is known to be unable, and
        ``limit`` then has the evidence. Where nothing could be run at all, ``unavailable`` says why instead.
    """
    about = {"leg": leg.name, "platform": leg.platform, "place": leg.place.title}
    try:
        files = _wheels(leg, dist)
        site = CACHE / "legs" / leg.name / "site"
        wheels.install(list(files.values()), site)
        return {**about, **_use(leg, site, files, with_suite=with_suite and leg.suite)}
    except UnavailableError as error:
        return {**about, "unavailable": str(error)}


def _wheels(leg: Leg, dist: Path) -> dict[str, Path]:
    files = wheels.of_platform(dist, leg.platform)
    # Some platforms have no wheel of flatc: that is no fault of theirs.
    missing = [name for name in wheels.DISTRIBUTIONS if name not in files and name != "flatc-wheel"]
    if missing:
        cure = f"python -m release.build {leg.platform}"
        raise UnavailableError(f"{dist.name}/ has no wheel of {', '.join(missing)} for {leg.platform}: {cure}")
    return files


def _use(leg: Leg, site: Path, files: dict[str, Path], *, with_suite: bool) -> Result:
    target = next(target for target in TARGETS if target.name == leg.platform)
    native = Programs(target, site / "liblmdb_wheel", leg.place, site.parent / "programs")
    system, refusal = native.system()
    use = _Use(leg, site, native, refusal)
    parts = {name: outcome(part, refusal) for name, part in use.by_programs()}
    found = {} if leg.python is None else use.by_interpreter(leg.python, "flatc-wheel" in files, with_suite)
    return {
        "emulator": leg.place.emulator(),
        "limit": refusal and f"{refusal}. {use.by_debian()}".strip(),
        **found,
        "system": found.get("system") or system,
        "wheels": {file.name: wheels.sha256(file) for file in files.values()},
        "parts": {**parts, **found.get("parts", {})},
    }


@dataclass(frozen=True)
class _Use:
    """The use of the wheels in a folder, by all that a leg has.

    Attributes:
        leg: the row.
        site: the folder.
        native: the C programs for it.
        refusal: what the leg's place refuses to LMDB; None where nothing.
    """

    leg: Leg
    site: Path
    native: Programs
    refusal: str | None

    @property
    def how(self) -> str:
        """How LMDB does without what is refused."""
        return WITHOUT[self.native.target.libc]

    def by_programs(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """The parts without an interpreter, or with one that runs the loader's tests."""
        for engine in ENGINES:
            yield f"C program, linked, {engine}", partial(self.native.linked, engine)
            yield f"C program, loading, {engine}", partial(self.native.loaded, engine)
            if self.refusal is not None:
                yield f"C program, {self.how}, {engine}", partial(self.native.loaded, engine, how=self.how)
            if self.refusal is None or self.how != "unlocked":  # the tools always lock
                yield f"tools, {engine}", partial(self.native.tools, engine)
        for flatc in (self.site / "bin").glob("flatc*"):
            folder = self.native.folder / "flatc"
            yield "flatc, started directly", partial(programs.flatc, self.leg.place, flatc, folder)
        place, python = self.leg.place, self.leg.python
        if self.native.target.libc == "musl" and isinstance(place, Tree) and isinstance(python, cpython.Interpreter):
            yield "loader's own tests", partial(_musl_tests, place, python.make())

    def by_debian(self) -> str:
        """What Debian's own liblmdb does in the same place, where that has one for the same C library."""
        if self.native.target.libc != "glibc" or not isinstance(self.leg.place, Tree):
            return ""
        try:
            return f"Debian's own liblmdb0 works there: {self.native.of_debian(self.leg.place.folder)}"
        except Failed as error:
            return f"Debian's own liblmdb0 there: {error}"

    def by_interpreter(self, python: str | Interpreter, with_flatc: bool, with_suite: bool) -> Result:
        """The parts of ``smoke.py``, and what it says of its interpreter."""
        place = self.leg.place
        command = python if isinstance(python, str) else place.where(python.make())
        parts = [part for part in self.leg.parts if with_flatc or part != "flatc"]
        if self.refusal is not None:
            parts += [f"{part}, {self.how}" for part in parts if part.startswith("binding")]
        folders = [self.site, wheels.needed(self.leg.needed, self.leg.platform, self.leg.tag)]
        if self.leg.cffi is not None:
            folders.append(self.leg.cffi.make())
        search = place.separator.join(map(place.where, folders))
        variables = {"PYTHONPATH": search, "SMOKE_FOLDER": place.where(self.native.folder)}
        done = place.run([command, place.where(SMOKE), *parts], variables)
        try:
            found: Result = json.loads(done.stdout)
        except ValueError:
            words = f"it ends with {done.returncode}: {done.stdout}{done.stderr}"
            return {"parts": {part: {"outcome": "failed", "words": words} for part in parts}}
        for part, one in found["parts"].items():
            if one["outcome"] == "failed":
                found["parts"][part] = failure(one["words"], self.refusal)
        if with_suite:
            tests = partial(suite.suite, self.leg, command, search)
            found["parts"]["binding's own tests"] = outcome(tests, self.refusal)
        return found


def _musl_tests(tree: Tree, executable: Path) -> str:
    """The tests of the loader that want a CPython linked with musl: on this machine, by the tree's dynamic loader."""
    starter = executable.parent / "musl-python"
    [loader] = tree.folder.glob("lib/ld-musl-*.so.1")
    starter.write_text(f'#!/bin/sh\nexec {loader} {executable} "$@"\n')
    starter.chmod(0o755)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/loader/test_musl.py"]
    environment = {**os.environ, "MUSL_PYTHON": str(starter)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    last = done.stdout.splitlines()[-1] if done.stdout else done.stderr
    if done.returncode != 0 or "skipped" in last:
        raise Failed(done.stdout + done.stderr)
    return last.partition(" in ")[0]


def outcome(part: Callable[[], str], refusal: str | None) -> dict[str, str]:
    """What became of a part."""
    try:
        return {"outcome": "passed", "words": part()}
    except Failed as error:
        return failure(str(error), refusal)


def failure(words: str, refusal: str | None) -> dict[str, str]:
    """A failure; ``limited`` where all that it says is what the system said when it was asked."""
    said = [line for line in words.splitlines() if line.startswith("FAILED")] or [words]  # of the selftest, each
    known = _words_of_system(refusal)
    limited = all(any(words in one for words in known) for one in said)
    return {"outcome": "limited" if limited else "failed", "words": words}


def _words_of_system(refusal: str | None) -> list[str]:
    """``Operation not supported`` of ``pthread_mutex_init: Operation not supported (95)``."""
    return [] if refusal is None else refusal.partition(": ")[2].partition(" (")[0].split(" or ")
