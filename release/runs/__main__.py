"""``python -m release.runs [LEG ...]``: use the built wheels everywhere that they can be used from this machine."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from release.runs import results
from release.runs.legs import LEGS
from release.runs.run import Result, run
from release.runs.trees import ROOT


def main(argv: list[str] | None = None) -> int:
    """Run legs, keep their results, write the table, and give the exit status: 1 where a part failed."""
    parser = argparse.ArgumentParser(prog="python -m release.runs", description=__doc__)
    parser.add_argument("leg", nargs="*", help=f"only these (default: all): {', '.join(leg.name for leg in LEGS)}")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="the folder of the wheels")
    parser.add_argument("--proof", type=Path, help="what python -m release.proof --json has written of them")
    parser.add_argument("--suite", action="store_true", help="the binding's own tests, too, on three interpreters")
    arguments = parser.parse_args(argv)
    known = {leg.name: leg for leg in LEGS}
    if unknown := set(arguments.leg) - set(known):
        parser.error(f"no such leg: {', '.join(sorted(unknown))}")
    console = Console(highlight=False, markup=False, emoji=False)
    failures = 0
    for name in arguments.leg or known:
        start = time.monotonic()
        with console.status(name):
            result = run(known[name], arguments.dist, with_suite=arguments.suite)
        console.print(f"{name} ({time.monotonic() - start:.0f} s): {summary(result)}", soft_wrap=True)
        failures += show_failures(result, console)
        results.keep(result)
    results.write(arguments.dist, arguments.proof)
    return 1 if failures else 0


def summary(result: Result) -> str:
    if "unavailable" in result:
        return f"not run: {result['unavailable']}"
    outcomes = [part["outcome"] for part in result["parts"].values()]
    counts = ", ".join(f"{outcomes.count(one)} {one}" for one in ("passed", "limited", "failed") if one in outcomes)
    runner = result.get("interpreter", "no interpreter")
    return f"{counts}; {runner}, {result['system']}, {result['place']}"


def show_failures(result: Result, console: Console) -> int:
    """Print what failed, and give the number of such parts."""
    failed = {name: part for name, part in result.get("parts", {}).items() if part["outcome"] == "failed"}
    for name, part in failed.items():
        console.print(f"  {name} failed: {part['words']}", style="red", soft_wrap=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
