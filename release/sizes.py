"""How large the wheels in dist/ are, beside those of zlmdb for the same platforms: ``python -m release.sizes``.

Written into ``docs/wheels.txt`` as a table. What zlmdb publishes is asked of the package index.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.utils import parse_wheel_filename
from pypi_simple import PyPISimple

from release.build import DIST, NATIVE, ROOT, jobs
from sharedlib_loader.build import TARGETS, Target

PAGE = ROOT / "docs" / "wheels.txt"
PURE = ("sharedlib_loader", "lmdb_bindings")
PEER, PEER_VERSION = "zlmdb", "26.10.1"


def published(name: str, version: str) -> dict[str, int]:
    """The wheels of a version that the package index has: file name and bytes."""
    with PyPISimple() as index:
        packages = index.get_project_page(name).packages
    wheels = [package for package in packages if package.package_type == "wheel" and package.version == version]
    return {package.filename: package.size or 0 for package in wheels}


def platform_of(wheel: str) -> str | None:
    """The row's name of the platform that a wheel is for, by its tag; None where the table has no such row."""
    for tag in parse_wheel_filename(wheel)[3]:
        kind, _, rest = tag.platform.partition("_")
        system = "manylinux" if kind.startswith("manylinux") else kind
        for target in TARGETS:
            if target.name.startswith(f"{system}_") and rest.endswith(target.machine):
                return target.name
    return None


def table(ours: Mapping[str, Mapping[str, int]], theirs: Mapping[str, int]) -> str:
    """The sizes as a table of Markdown.

    Args:
        ours: distribution: platform's name, and the bytes of its wheel.
        theirs: the peer's wheels, and their bytes.
    """
    header = f"| platform | {' | '.join(f'{name}, KB' for name in ours)} | {PEER} {PEER_VERSION}: wheels, KB |"
    lines = [header, "|---" * (len(ours) + 2) + "|"]
    for target in TARGETS:
        peer = [size for wheel, size in theirs.items() if platform_of(wheel) == target.name]
        sizes = [_kilobytes(wheels[target.name]) for wheels in ours.values()]
        lines.append(_row(target.name, *sizes, f"{len(peer)}, {_kilobytes(sum(peer))}" if peer else "none"))
    totals = [f"{len(wheels)}, {_kilobytes(sum(wheels.values()))}" for wheels in ours.values()]
    lines.append(_row("all wheels", *totals, f"{len(theirs)}, {_kilobytes(sum(theirs.values()))}"))
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f}"


def sizes(distribution: str, targets: Iterable[Target], dist: Path) -> dict[str, int]:
    """The bytes of a distribution's wheel for each platform.

    Raises:
        FileNotFoundError: one is not built.
    """
    found = {}
    for target in targets:
        [job] = jobs([distribution], [target.name])
        wheel = job.find(dist)
        if wheel is None:
            raise FileNotFoundError(f"{dist} has no {distribution} for {target.name}: run nox -s wheels")
        found[target.name] = wheel.stat().st_size
    return found


def main() -> int:
    theirs = published(PEER, PEER_VERSION)
    if not theirs:
        sys.exit(f"the package index has no wheels of {PEER} {PEER_VERSION}")
    ours = {distribution: sizes(distribution, TARGETS, DIST) for distribution in NATIVE}
    pure = ", ".join(f"{name} {_kilobytes(next(DIST.glob(f'{name}-*.whl')).stat().st_size)} KB" for name in PURE)
    text = f"{table(ours, theirs)}\nThe two pure wheels: {pure}.\n"
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
