"""One run: a platform's wheels are installed, used by C programs and by an interpreter, and what happened is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from release.runs import cpython, programs, wheels
from release.runs import suite as tests
from release.runs.legs import Interpreter, Leg
from release.runs.place import Failed
from release.runs.programs import Programs
from release.runs.trees import CACHE, ROOT, Tree, UnavailableError
from sharedlib_loader.build import TARGETS

SMOKE = Path(__file__).resolve().parent / "smoke.py"
ENGINES = ("0.9", "1.0")

Result = dict[str, Any]
"""What is kept of a run, as JSON has it."""


def run(leg: Leg, dist: Path, *, suite: bool = False) -> Result:
    """Run a leg with the wheels in a folder; with ``suite`` the binding's own tests, too, where the leg has them.

    Returns:
        The leg, what ran it, and ``parts``: for each an outcome with words. ``passed`` and ``failed`` say what they
        mean; ``limited`` is a failure by which the place, and no part of the wheels, is known to be unable, and
        ``limit`` then has the evidence. Where nothing could be run at all, ``unavailable`` says why instead.
    """
    about = {"leg": leg.name, "platform": leg.platform, "place": leg.place.title, "without": leg.without}
    try:
        return {**about, **_run(leg, dist, suite=suite and leg.suite)}
    except UnavailableError as error:
        return {**about, "unavailable": str(error)}


def _run(leg: Leg, dist: Path, *, suite: bool) -> Result:
    files = _wheels(leg, dist)
    folder = CACHE / "legs" / leg.name
    site = folder / "site"
    wheels.install(list(files.values()), site)
    target = next(target for target in TARGETS if target.name == leg.platform)
    native = Programs(target, site / "liblmdb_wheel", leg.place, folder / "programs")
    system, refusal = native.system()
    parts = {name: _outcome(part, refusal) for name, part in _native_parts(leg, native, site, refusal)}
    found = (
        {}
        if leg.python is None
        else _smoke(leg, leg.python, native, site, refusal, with_flatc="flatc-wheel" in files, suite=suite)
    )
    return {
        "emulator": leg.place.emulator(),
        "limit": refusal and f"{refusal}. {_by_debian(native)}".strip(),
        "system": system,
        **found,
        "wheels": {file.name: wheels.sha256(file) for file in files.values()},
        "parts": {**parts, **found.get("parts", {})},
    }


def _wheels(leg: Leg, dist: Path) -> dict[str, Path]:
    files = wheels.of_platform(dist, leg.platform)
    # Some platforms have no wheel of flatc: that is no fault of theirs.
    missing = [name for name in wheels.DISTRIBUTIONS if name not in files and name != "flatc-wheel"]
    if missing:
        cure = f"python -m release.build {leg.platform}"
        raise UnavailableError(f"{dist.name}/ has no wheel of {', '.join(missing)} for {leg.platform}: {cure}")
    return files


# Where something is refused that LMDB needs, how it does without: see program.c.
WITHOUT = {
    "UCRT": "reading",
    "glibc": "unlocked",
    "musl": "unlocked",
}


def _native_parts(
    leg: Leg, native: Programs, site: Path, refusal: str | None
) -> Iterator[tuple[str, Callable[[], str]]]:
    how = WITHOUT[native.target.libc]
    for engine in ENGINES:
        yield f"C program, linked, {engine}", partial(native.linked, engine)
        yield f"C program, loading, {engine}", partial(native.loaded, engine)
        if refusal is not None:
            yield f"C program, {how}, {engine}", partial(native.loaded, engine, how=how)
        if refusal is None or how != "unlocked":  # the tools always lock
            yield f"tools, {engine}", partial(native.tools, engine)
    for flatc in (site / "bin").glob("flatc*"):
        yield "flatc, started directly", partial(programs.flatc, leg.place, flatc, native.folder / "flatc")
    if native.target.libc == "musl" and isinstance(leg.place, Tree) and isinstance(leg.python, cpython.Interpreter):
        yield "loader's own tests", partial(_musl_tests, leg.place, leg.python.make())


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


def _outcome(part: Callable[[], str], refusal: str | None) -> dict[str, str]:
    try:
        return {"outcome": "passed", "words": part()}
    except Failed as error:
        return _failure(str(error), refusal)


def _failure(words: str, refusal: str | None) -> dict[str, str]:
    """A failure; ``limited`` where all that it says is what the system said when it was asked for its mutexes."""
    said = [line for line in words.splitlines() if line.startswith("FAILED")] or [words]  # of the selftest, each
    words_of_system = _words_of_system(refusal)
    known = all(any(known in one for known in words_of_system) for one in said)
    return {"outcome": "limited" if known else "failed", "words": words}


def _words_of_system(refusal: str | None) -> list[str]:
    """``Operation not supported`` of ``pthread_mutex_init: Operation not supported (95)``."""
    return [] if refusal is None else refusal.partition(": ")[2].partition(" (")[0].split(" or ")


def _by_debian(native: Programs) -> str:
    """What Debian's own liblmdb does in the same place, where that has one for the same C library."""
    if native.target.libc != "glibc" or not isinstance(native.place, Tree):
        return ""
    try:
        return f"Debian's own liblmdb0 works there: {native.of_debian(native.place.folder)}"
    except Failed as error:
        return f"Debian's own liblmdb0 there: {error}"


def _smoke(
    leg: Leg,
    python: str | Interpreter,
    native: Programs,
    site: Path,
    refusal: str | None,
    *,
    with_flatc: bool,
    suite: bool,
) -> Result:
    """Run ``smoke.py`` in the leg's interpreter."""
    command = python if isinstance(python, str) else leg.place.where(python.make())
    parts = [part for part in leg.parts if with_flatc or part != "flatc"]
    search = {}
    if refusal is not None:
        parts += [f"{part}, {WITHOUT[native.target.libc]}" for part in parts if part.startswith("binding")]
        search["SMOKE_FOLDER"] = leg.place.where(native.folder)
    folders = (site, wheels.needed(leg.needed, leg.platform, leg.tag))
    search["PYTHONPATH"] = leg.place.separator.join(map(leg.place.where, folders))
    done = leg.place.run([command, leg.place.where(SMOKE), *parts], search)
    try:
        found: Result = json.loads(done.stdout)
    except ValueError:
        words = f"it ends with {done.returncode}: {done.stdout}{done.stderr}"
        return {"parts": {part: {"outcome": "failed", "words": words} for part in parts}}
    if suite:
        found["parts"]["binding's tests"] = _outcome(partial(tests.suite, leg, command, search["PYTHONPATH"]), refusal)
    for part, one in found["parts"].items():
        if one["outcome"] == "failed":
            found["parts"][part] = _failure(one["words"], refusal)
    return found
