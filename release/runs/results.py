"""What was built, checked and run: kept leg by leg, and written into docs/ as JSON and as tables of results alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from release.runs import wheels
from release.runs.legs import LEGS, NOT_RUN
from release.runs.run import ENGINES, Result
from release.runs.trees import CACHE, ROOT
from sharedlib_loader.build import TARGETS

KEPT = CACHE / "results"
JSON = ROOT / "docs" / "platforms.json"
TABLES = ROOT / "docs" / "platforms.txt"

NATIVE = ("liblmdb-wheel", "flatc-wheel")


def keep(result: Result) -> None:
    """Keep the result of a leg until its next run."""
    KEPT.mkdir(parents=True, exist_ok=True)
    # Where the repository is, and what a temporary folder was called, concerns nobody.
    text = re.sub(r"/tmp/\w+/", "", json.dumps(result, indent=1).replace(str(ROOT), ""))  # noqa: S108 (a pattern)
    (KEPT / f"{result['leg']}.json").write_text(text + "\n")


def write(dist: Path, proof: Path | None) -> None:
    """Write what is kept of all legs, what is built, and what was checked of that, into docs/.

    Args:
        dist: the folder of the wheels.
        proof: what ``python -m release.proof --json`` has written of them; None where they were not checked.
    """
    files = [KEPT / f"{leg.name}.json" for leg in LEGS]
    runs = [_in_short(json.loads(file.read_text())) for file in files if file.exists()]
    checked = {} if proof is None else _checked(json.loads(proof.read_text()))
    found = {"built": built(dist), "checked": checked, "runs": runs, "not run": NOT_RUN}
    JSON.write_text(json.dumps(found, indent=1) + "\n")
    TABLES.write_text(tables(found))


def _in_short(result: Result) -> Result:
    """A result with no more than the last line of what its parts say: all of it is in what is kept."""
    for part in result.get("parts", {}).values():
        part["words"] = part["words"].strip().rpartition("\n")[2].strip()
    return result


def _checked(proof: Mapping[str, Any]) -> dict[str, Any]:
    """By the sha256 of a wheel, how many checks it passed, and which of them failed."""
    return {
        one["sha256"]: {
            "passed": sum(check["verdict"] == "passed" for check in one["checks"]),
            "failed": [check["check"] for check in one["checks"] if check["verdict"] == "failed"],
        }
        for one in proof["wheels"]
    }


def built(dist: Path) -> dict[str, dict[str, Any]]:
    """The native wheels in a folder: platform to distribution to size in bytes and hash."""
    found = {}
    for target in TARGETS:
        files = wheels.of_platform(dist, target.name)
        found[target.name] = {
            name: {"bytes": files[name].stat().st_size, "sha256": wheels.sha256(files[name])}
            for name in NATIVE
            if name in files
        }
    return found


# -- as tables -------------------------------------------------------------------------------------------------------


def tables(found: Mapping[str, Any]) -> str:
    """The page's tables, in Markdown."""
    notes = Notes()
    return "\n".join([*_by_platform(found), "", *_by_run(found["runs"], notes), "", *notes.lines(), ""])


class Notes:
    """Footnotes, numbered as they come; the same words get the same number."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def mark(self, text: str) -> str:
        if text not in self._texts:
            self._texts.append(text)
        return f" ({self._texts.index(text) + 1})"

    def lines(self) -> Iterator[str]:
        yield from (f"{number}. {text}" for number, text in enumerate(self._texts, 1))


def _by_platform(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _head("platform", "liblmdb-wheel", "flatc-wheel", "checked", "run")
    for platform, files in found["built"].items():
        cells = [f"{files[name]['bytes'] / 1000:,.0f} kB" if name in files else "not built" for name in NATIVE]
        yield _row(f"`{platform}`", *cells, _checks_of(files, found["checked"]), _runs_of(platform, found))


def _checks_of(files: Mapping[str, Any], checked: Mapping[str, Any]) -> str:
    """What became of the checks of a platform's wheels, the very files."""
    if not files or not all(file["sha256"] in checked for file in files.values()):
        return "not checked"
    proofs = [checked[file["sha256"]] for file in files.values()]
    failed = dict.fromkeys(check for proof in proofs for check in proof["failed"])
    return f"FAILED: {', '.join(failed)}" if failed else f"passed {sum(proof['passed'] for proof in proofs)} checks"


def _runs_of(platform: str, found: Mapping[str, Any]) -> str:
    runs = [one for one in found["runs"] if one["platform"] == platform]
    done = [one for one in runs if "unavailable" not in one]
    if not done:
        reasons = found["not run"].get(platform) or "; ".join(one["unavailable"] for one in runs) or "not tried"
        return f"not run: {reasons}"
    failed = sum(part["outcome"] == "failed" for one in done for part in one["parts"].values())
    limited = any(part["outcome"] == "limited" for one in done for part in one["parts"].values())
    systems = ", ".join(dict.fromkeys(f"{one['system']}{_emulated(one)}" for one in done))
    verdict = f"{failed} part{'s' * (failed > 1)} failed" if failed else "in part" if limited else "passed"
    return f"{verdict}: {systems}"


def _emulated(result: Result) -> str:
    return f" by {result['emulator']}" if result["emulator"] else ""


PARTS = {
    "C programs": tuple(f"C program, {way}, {engine}" for way in ("linked", "loading") for engine in ENGINES),
    "loader": ("doctor",),
    "provider": ("selftest",),
    "binding": tuple(f"binding {engine}" for engine in ENGINES),
    "tools": tuple(f"tools, {engine}" for engine in ENGINES),
    "flatc": ("flatc, started directly", "flatc"),
}
"""A column: the parts whose outcome it tells."""


def _by_run(runs: Sequence[Result], notes: Notes) -> Iterator[str]:
    yield from _head("wheels", "interpreter", "system", *PARTS, "single records by", "binding's own tests")
    for one in runs:
        if "unavailable" in one:
            yield _row(f"`{one['platform']}`", one["leg"], one["place"], f"not run{notes.mark(one['unavailable'])}")
            continue
        system = f"{one['system']}{_emulated(one)}" + (f", {one['place']}" if one["place"] != one["system"] else "")
        cells = [*(_cell(one, parts, notes) for parts in PARTS.values()), _way(one), _own_tests(one)]
        yield _row(f"`{one['platform']}`", one.get("interpreter", "none"), system, *cells)


def _cell(result: Result, names: Sequence[str], notes: Notes) -> str:
    parts = [result["parts"][name] for name in names if name in result["parts"]]
    outcomes = {part["outcome"] for part in parts}
    if "failed" in outcomes:
        return "FAILED"
    if "limited" in outcomes:
        return "in part" + notes.mark(
            f"{_INSTEAD[result['emulator'].split()[0]]} The system's answer: {result['limit']}"
        )
    if parts:
        return "passed"
    return "-"


def _way(result: Result) -> str:
    """How single records cross between Python and C: ``way()`` in smoke.py says it."""
    words = [part["words"] for name, part in result["parts"].items() if name.startswith("binding ")]
    found = [text.partition("single records by ")[2].split(",")[0].split(" (")[0] for text in words]
    return next(filter(None, found), "-")


def _own_tests(result: Result) -> str:
    part = result["parts"].get("binding's own tests")
    if part is None:
        return "-"
    counts = str(part["words"]).partition(" in ")[0]
    return counts if part["outcome"] == "passed" else f"FAILED: {counts}"


# What runs where an emulator lacks something that LMDB needs, which is no fault of the wheels.
_INSTEAD = {
    "qemu": "qemu has no robust mutexes there, of which LMDB's locks are made: without locks all passes.",
    "Wine": "Wine maps no view larger than its file, by which LMDB 1.0 writes: reading passes, and all of LMDB 0.9.",
}


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row(*("---" for _ in names))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
