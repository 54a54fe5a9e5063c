"""``python -m release.proof WHEEL...``: check wheels, report, and fail where one of them fails."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console

from release.proof.checks import CHECKS, prove
from release.proof.comparison import compare
from release.proof.report import Proof, as_json, passed, show
from release.proof.wheel import NotAWheelError, Wheel


def _prove(path: Path, names: list[str]) -> Proof:
    wheel = Wheel.read(path)
    return wheel, tuple(prove(wheel, names))


def _proofs(paths: list[Path], names: list[str]) -> Iterator[Proof]:
    """Each wheel's in its turn, as many at a time as there are processors."""
    with ProcessPoolExecutor() as pool:
        yield from pool.map(_prove, paths, [names] * len(paths))


def main(argv: list[str] | None = None) -> int:
    lines = [f"{name}: {' '.join((check.__doc__ or '').split())}" for name, check in CHECKS.items()]
    parser = argparse.ArgumentParser(
        prog="python -m release.proof",
        description=__doc__,
        epilog="checks:\n  " + "\n  ".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("wheel", nargs="*", type=Path, help="the files to check")
    parser.add_argument("--check", action="append", choices=CHECKS, metavar="NAME", help="this check alone; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="FOLDER", help="say what differs between two builds")
    arguments = parser.parse_args(argv)
    if bool(arguments.wheel) == bool(arguments.compare):
        parser.error("name wheels to check, or two folders to --compare")
    console = Console(highlight=False, markup=False, emoji=False)
    if arguments.compare:
        differences = [*compare(*arguments.compare)]
        for difference in differences:
            console.print(difference, soft_wrap=True)
        console.print(f"{len(differences)} differences" if differences else "the same, bit by bit")
        return 1 if differences else 0
    proofs = []
    try:
        for proof in _proofs(arguments.wheel, arguments.check or list(CHECKS)):
            show(console, proof)
            proofs.append(proof)
    except NotAWheelError as error:
        print(f"release.proof: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(proofs), indent=1) + "\n", encoding="utf-8")
    failed = [wheel.path.name for wheel, outcomes in proofs if not passed(outcomes)]
    console.print(f"{len(proofs)} wheels, {len(failed)} failed", style="bold red" if failed else "green")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
