"""The table of checks, and the proof of a wheel: each check once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from release.proof import archive, binaries, licences
from release.proof.native_file import BrokenFileError
from release.proof.outcome import NotApplicable, Outcome
from release.proof.wheel import Wheel

Check = Callable[[Wheel, list[str]], str]
"""Adds each fault to the list, and returns what was found; raises NotApplicable where there is nothing to look at."""

CHECKS: dict[str, Check] = {
    "tag": archive.tag,
    "machine": binaries.machine,
    "contents": archive.contents,
    "modes": archive.modes,
    "names": binaries.names,
    "exports": binaries.exports,
    "needed": binaries.needed,
    "search paths": binaries.search,
    "hardening": binaries.hardening,
    "stack protector": binaries.stack_protector,
    "oldest system": binaries.oldest_system,
    "instructions": binaries.instructions,
    "auditwheel": binaries.auditwheel,
    "licences": licences.licences,
    "bill of materials": licences.sbom,
    "pedigree": licences.pedigree,
    "RECORD": archive.record,
    "metadata": archive.metadata,
    "origin": archive.origin,
}


def prove(wheel: Wheel, names: Iterable[str] = CHECKS) -> Iterator[Outcome]:
    """Do checks, by default all, in the table's order."""
    for name in names:
        wrong: list[str] = []
        try:
            found = CHECKS[name](wheel, wrong)
        except NotApplicable as reason:
            yield Outcome(name, "not applicable", str(reason))
            continue
        except BrokenFileError as error:
            yield Outcome(name, "failed", "nothing", (*wrong, str(error)))
            continue
        yield Outcome(name, "failed" if wrong else "passed", found, tuple(wrong))
