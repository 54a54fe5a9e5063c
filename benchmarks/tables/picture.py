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

COLOURS = {
    "zLMDB": "tab:orange", "C++, parse and put": "tab:gray", "a loop by flatc's classes": "tab:green",
    "our own loop": "tab:blue",
}  # fmt: skip


def draw(found: dict[str, Any], file: str) -> None:
    """Dots are ratios, lines their quartiles, ticks the targets."""
    mpl.rcParams["svg.hashsalt"] = "tables"  # else the names of the elements differ in each run
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    rows = [(line, name) for line in found["works"] for name in line["ratios"]]
    figure = Figure(figsize=(10, 0.4 * len(rows) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    named: set[str] = set()
    for height, (line, name) in enumerate(rows):
        ratio, colour = line["ratios"][name], COLOURS[name]
        label = None if name in named else f"to {name}"
        named.add(name)
        axes.plot([ratio["median"]], [height], "o", color=colour, markersize=5, label=label)
        axes.hlines(height, *ratio["quartiles"], color=colour)
        if name in line["targets"]:
            axes.plot([line["targets"][name]], [height], "|", color=colour, markersize=14)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.5)
    axes.set_yticks(range(len(rows)), [f"{line['title']} / {name}" for line, name in rows])
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_xlabel("our time / theirs; left of 1 is faster; | is the target")
    axes.legend(loc="best", fontsize="small")
    figure.savefig(file, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])
