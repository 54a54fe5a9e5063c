"""What was measured, as JSON, as tables of text, and compared with what was promised."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.contestants import LIMIT, OURS, OURS_CFFI, OURS_PYPY, PY_LMDB, ZLMDB
from benchmarks.measure import Samples
from benchmarks.works import Work

# Ours, and what each is compared with, in the order of the columns; and which of a work's targets that has.
COMPARED: dict[str, dict[str, str | None]] = {
    OURS.name: {PY_LMDB.name: "py_lmdb", ZLMDB.name: "zlmdb", LIMIT.name: None},
    OURS_CFFI.name: {PY_LMDB.name: "by_cffi"},
    OURS_PYPY.name: {PY_LMDB.name: "on_pypy"},
}

Row = dict[str, Any]


def row(work: Work, samples: Samples) -> Row:
    """A work's medians and ratios, each with its target or None.

    A ratio is one of medians. Its spread is that of the ratios within each round; where the work is not paired, that
    of our times over the median of theirs.
    """
    return {
        "work": work.name,
        "title": work.title,
        "unit": work.unit,
        "nanoseconds": {name: spread(times, median(times)) for name, times in samples.items()},
        "ratios": {
            name: {
                other: {
                    **ratio(samples[name], samples[other], paired=work.paired),
                    "target": target and getattr(work.targets, target),
                }
                for other, target in others.items()
                if other in samples
            }
            for name, others in COMPARED.items()
            if name in samples
        },
    }


def ratio(times: Sequence[float], others: Sequence[float], *, paired: bool) -> dict[str, Any]:
    against = others if paired else [median(others)] * len(others)
    within = [mine / theirs for mine, theirs in zip(times, against, strict=True)]
    return spread(within, median(times) / median(others))


def spread(numbers: Sequence[float], middle: float) -> dict[str, Any]:
    low, _, high = quantiles(numbers, n=4, method="inclusive") if len(numbers) > 1 else [middle] * 3
    return {"median": short(middle), "quartiles": [short(low), short(high)]}


def short(number: float) -> float:
    """Four digits: more would be noise."""
    return float(f"{number:.4g}")


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
    }


def missed(found: Mapping[str, Any]) -> list[str]:
    """A sentence for each ratio above its target."""
    sentences = []
    for line in found["works"]:
        for name, others in line["ratios"].items():
            for other, measured in others.items():
                target = measured["target"]
                if target is not None and measured["median"] > target:
                    sentences.append(f"{line['title']}: {name} is {measured['median']} of {other}, target {target}")
    return sentences


def ratios(found: Mapping[str, Any]) -> list[list[str]]:
    """A table, its head first: our ratio to each other one, with quartiles and target."""
    columns = [(name, other) for name, others in COMPARED.items() for other in others if _took_part(found, name, other)]
    table = [["work", *(f"{name} / {other}" for name, other in columns)]]
    for line in found["works"]:
        if not any(line["ratios"].values()):
            continue
        cells = [line["title"]]
        for name, other in columns:
            measured = line["ratios"].get(name, {}).get(other)
            cells.append("" if measured is None else _ratio_text(measured))
        table.append(cells)
    return table


def times(found: Mapping[str, Any]) -> list[list[str]]:
    """A table, its head first: the median time of one operation."""
    names = list(found["contestants"])
    table = [["work", "for each", *names]]
    for line in found["works"]:
        measured = line["nanoseconds"]
        cells = [_time_text(measured[name]["median"]) if name in measured else "" for name in names]
        table.append([line["title"], line["unit"], *cells])
    return table


def markdown(found: Mapping[str, Any]) -> str:
    """Everything, for the site."""
    lines = [
        "**Ratios** of medians, lower is better; in brackets the quartiles of the rounds' own ratios, then the target."
    ]
    lines += ["", *markdown_table(ratios(found)), "", "**Medians** of one operation.", ""]
    lines += [*markdown_table(times(found)), "", "**Memory** that a scan adds to the process's own.", ""]
    lines += markdown_table(memory(found))
    lines += ["", f"Measured on {found['machine']['processor']}, {found['machine']['processors']} processors, "
              f"{found['machine']['system']}; {found['rounds']} rounds. " + "; ".join(
                  f"{name}: {version}" for name, version in found["contestants"].items() if version) + "."]  # fmt: skip
    lines += [f"Not measured: {name}: {reason}." for name, reason in found["skipped"].items()]
    return "\n".join(lines) + "\n"


def memory(found: Mapping[str, Any]) -> list[list[str]]:
    """A table, its head first."""
    return [["contestant", "MB"], *([name, f"{size / 1e6:.1f}"] for name, size in found["memory"].items())]


def _took_part(found: Mapping[str, Any], *names: str) -> bool:
    return all(name in found["contestants"] for name in names)


def _ratio_text(measured: Mapping[str, Any]) -> str:
    (low, high), target = measured["quartiles"], measured["target"]
    mark = "" if target is None else f" ≤ {target}" if measured["median"] <= target else f" **> {target}**"
    return f"{measured['median']:.3g} [{low:.3g}, {high:.3g}]{mark}"


def _time_text(nanoseconds: float) -> str:
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def markdown_table(table: Sequence[Sequence[str]]) -> list[str]:
    head, *rows = table
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows)]
