"""Draw the ratios. Runs in an environment that has matplotlib, and reads the JSON alone.

python picture.py JSON SVG
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]
from matplotlib.figure import Figure  # type: ignore[import-not-found]

STYLES = {"py-lmdb": ("tab:blue", -0.18), "zlmdb": ("tab:orange", 0.0), "C": ("tab:gray", 0.18)}
NAME = "lmdb_bindings"


def draw(found: dict[str, Any], file: str) -> None:
    """Dots are ratios, lines their quartiles, ticks the targets."""
    mpl.rcParams["svg.hashsalt"] = NAME  # else the names of the elements differ in each run
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    works = [line for line in found["works"] if line["ratios"].get(NAME)]
    figure = Figure(figsize=(8, 0.36 * len(works) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    for other, (colour, shift) in STYLES.items():
        rows = [(at + shift, line) for at, line in enumerate(works) if other in line["ratios"].get(NAME, {})]
        ratios = [line["ratios"][NAME][other] for _, line in rows]
        heights = [at for at, _ in rows]
        axes.plot([ratio["median"] for ratio in ratios], heights, "o", color=colour, markersize=4, label=f"to {other}")
        axes.hlines(heights, *zip(*(ratio["quartiles"] for ratio in ratios), strict=True), color=colour)
        targets = [
            (ratio["target"], at) for ratio, at in zip(ratios, heights, strict=True) if ratio["target"] is not None
        ]
        if targets:
            axes.plot(*zip(*targets, strict=True), "|", color=colour, markersize=12)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.5)
    axes.set_yticks(range(len(works)), [line["title"] for line in works])
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_xlabel("our time / theirs, CPython; left of 1 is faster; | is the target")
    axes.legend(loc="best", fontsize="small")
    figure.savefig(file, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
