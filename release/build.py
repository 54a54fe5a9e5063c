"""Build the native wheels of every platform into dist/, on one machine: ``python -m release.build [NAME ...]``.

Each is what ``pip wheel`` makes of the sdist in dist/, told by ``SHAREDLIB_TARGET`` which row of the table of targets
to build for. So the sdists are tried as well, and no file of one build is near another's. Wheels that dist/ has
already stay: ``nox -s build``, which makes the sdists, removes them when what they are made of has changed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import parse_wheel_filename

from sharedlib_loader.build import TARGETS, Target
from sharedlib_loader.build.targets import SWITCH

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
CACHE = ROOT / "build" / "zig"

# The distributions with a wheel for each row, as in file names.
NATIVE = ("liblmdb_wheel", "flatc_wheel")


class BuildFailedError(Exception):
    """A wheel cannot be built; the text has the output of pip."""


@dataclass(frozen=True)
class Job:
    """One wheel: of a distribution, for a row of the table."""

    distribution: str
    target: Target

    @property
    def tags(self) -> frozenset[str]:
        """The platform tags of the wheel."""
        return frozenset(self.target.tags)

    def find(self, folder: Path) -> Path | None:
        """The wheel, where a folder has it already."""
        for wheel in folder.glob(f"{self.distribution}-*.whl"):
            if {tag.platform for tag in parse_wheel_filename(wheel.name)[3]} == self.tags:
                return wheel
        return None

    def build(self, dist: Path) -> Path:
        """Build the wheel of the sdist in a folder, and put it beside that."""
        [sdist] = dist.glob(f"{self.distribution}-*.tar.gz")
        with tarfile.open(sdist) as tar:
            date = tar.getmembers()[0].mtime  # the sdist has the date that a wheel of it must have, too
        # In the folder itself, so that the wheel appears there whole: half of one would pass for one that is built.
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=dist) as folder:
            command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation",
                       "--no-cache-dir", "--wheel-dir", folder, str(sdist)]  # fmt: skip
            # zig makes a C library's parts for each platform: once, and not in each build's own folder.
            environment = {"ZIG_GLOBAL_CACHE_DIR": str(CACHE), **os.environ}
            environment |= {SWITCH: self.target.name, "SOURCE_DATE_EPOCH": str(int(date))}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BuildFailedError(f"{self.distribution} for {self.target.name}:\n{done.stdout}{done.stderr}")
            [wheel] = Path(folder).iterdir()
            return wheel.rename(dist / wheel.name)


def jobs(distributions: Iterable[str], names: Iterable[str]) -> list[Job]:
    """One job for each wheel: of each distribution, for the rows named, or all."""
    chosen = set(names)
    wanted = [target for target in TARGETS if not chosen or target.name in chosen]
    return [Job(distribution, target) for distribution in distributions for target in wanted]


def build(wanted: Iterable[Job], dist: Path = DIST) -> list[Path]:
    """Build what is not there, a wheel for each core at a time, with a line for each.

    Raises:
        BuildFailedError: one of them fails; those that are done stay.
    """

    def one(job: Job) -> Path:
        start = time.monotonic()
        there = job.find(dist)
        wheel = there or job.build(dist)
        took = "there already" if there else f"{time.monotonic() - start:.0f} s"
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes, {took}", flush=True)
        return wheel

    # As umask would show in the files' modes, and the parts of a wheel that pip and setuptools make have no other.
    old = os.umask(0o022)
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, wanted))
    finally:
        os.umask(old)


def main() -> int:
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(prog="python -m release.build", description="Build the native wheels.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"platforms, of {', '.join(names)}; all by default")
    parser.add_argument("--of", choices=NATIVE, action="append", help="the distribution; both by default")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(names)):
        parser.error(f"the table of targets has no {', '.join(unknown)}: choose of {', '.join(names)}")
    start = time.monotonic()
    try:
        wheels = build(jobs(arguments.of or NATIVE, arguments.names))
    except BuildFailedError as error:
        sys.exit(str(error))
    total = sum(wheel.stat().st_size for wheel in wheels)
    print(f"{len(wheels)} wheels, {total:,} bytes, {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
