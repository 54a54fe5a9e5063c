"""The campaign of random calls: scripts of tests.bindings.scripts by two paths side by side.

    python -m tests.stress.calls [--scripts 20000] [--seed 1] [--engine 0.9] [--paths bulk fast]

The first difference ends the campaign: exit status 1, and the script is printed, which tests.bindings.scripts.play takes.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from lmdb_bindings._engine import engine
from tests.bindings.paths import PATHS, Means
from tests.bindings.scripts import DifferenceError, Script, play, scripts


def compare(name: str, paths: tuple[str, str], number: int, first: int) -> Counter[str]:
    """Do so many scripts with an engine; what was done.

    Raises:
        DifferenceError: the paths did not agree.
    """
    used = engine(name)
    own = Means.of(used)
    one, other = (own.path(path, used) for path in paths)
    if isinstance(one, str) or isinstance(other, str):
        raise SystemExit(f"{paths}: {one if isinstance(one, str) else other}")
    done: Counter[str] = Counter()

    @settings(max_examples=number, deadline=None, database=None, report_multiple_bugs=False,
              phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))  # fmt: skip
    @seed(first)
    @given(script=scripts())
    def each(script: Script) -> None:
        with tempfile.TemporaryDirectory(prefix="calls-") as folder:
            for side in "ab":
                Path(folder, side).mkdir()
            play(script, used, (one, other), Path(folder))
        done["scripts"] += 1
        done["steps"] += len(script.steps)

    try:
        each()
    finally:
        own.use(used)
    return done


CHUNK = 500
"""Scripts of one seed: Hypothesis remembers what it has drawn, and becomes slower."""


def main() -> int:
    """Run the campaign; the exit status."""
    parser = argparse.ArgumentParser(prog="calls", description="Random calls by two paths side by side.")
    parser.add_argument("--scripts", type=int, default=20_000, help="how many, of each engine (default: 20000)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default: 1)")
    parser.add_argument("--engine", choices=["0.9", "1.0"], action="append", help="this one alone (default: both)")
    parser.add_argument("--paths", choices=PATHS, nargs=2, default=["bulk", "fast"], help="default: bulk fast")
    options = parser.parse_args()
    began = time.monotonic()
    gc.collect()
    gc.freeze()  # some errors collect garbage first
    for name in options.engine or ("0.9", "1.0"):
        total: Counter[str] = Counter()
        try:
            for part in range(0, options.scripts, CHUNK):
                number = min(CHUNK, options.scripts - part)
                total += compare(name, tuple(options.paths), number, options.seed * 1_000_000 + part)
        except DifferenceError as difference:
            print(f"engine {name}, after {total['steps']:,} steps:\n{difference}", file=sys.stderr)
            return 1
        print(f"engine {name}, {' and '.join(options.paths)}, seed {options.seed}: {total['scripts']:,} scripts of "
              f"{total['steps']:,} steps, {time.monotonic() - began:.0f} s, no difference", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
