"""A diagnosis as text for people: a table for each kind of thing, then what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sharedlib_loader.doctor.diagnosis import Diagnosis

NOTHING = "-"


def lines(diagnosis: Diagnosis) -> Iterator[str]:
    """The report, line by line."""
    providers, consumers, copies = diagnosis.providers, diagnosis.consumers, diagnosis.copies
    yield from _table(
        "Provided, and what load() gives in a fresh process",
        ("library", "version", "SONAME", "distribution", "file"),
        [(one.name, one.version, one.soname, one.distribution, one.loads or "not loaded") for one in providers],
    )
    yield from _table(
        "What a SONAME means in this process",
        ("SONAME", "file"),
        [(one.soname, one.here or "not loaded") for one in providers if one.soname],
    )
    yield from _table(
        "Bindings, and what each uses in a fresh process",
        ("binding", "what", "is"),
        [(one.name, *line) for one in diagnosis.bindings for line in _flat(one.uses or {})],
    )
    yield from _table(
        "Who needs it, and what it gets after load()",
        ("module", "distribution", "SONAME", "file"),
        [(one.module, one.distribution, one.soname, one.binds_to) for one in consumers],
    )
    yield from _table(
        "Other copies",
        ("distribution", "copy of", "file"),
        [(one.distribution, " or ".join(one.libraries), one.path) for one in copies],
    )
    yield from _table("Loaded in this process, of all these", ("file",), [(path,) for path in diagnosis.mapped])
    yield "Findings"
    for finding in diagnosis.findings:
        yield f"  {finding.severity}: {finding.about}: {finding.problem}"
        yield f"    advice: {finding.advice}"
    if not diagnosis.findings:
        yield "  none"


def _flat(things: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str | None]]:
    """What is in dicts of dicts, each with the names that lead to it, and on one line."""
    for name, thing in things.items():
        if isinstance(thing, Mapping):
            yield from _flat(thing, f"{before}{name} ")
        else:
            yield before + name, None if thing is None else "; ".join(map(str.strip, str(thing).splitlines()))


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Iterator[str]:
    yield title
    cells = [list(heads), *([cell or NOTHING for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    for row in cells if rows else []:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if not rows:
        yield "  none"
    yield ""
