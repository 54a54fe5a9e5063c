"""Building for every platform: which wheels there are to build, and which there are already.

One of them is built here; all take minutes, and are made by ``nox -s wheels``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.utils import parse_wheel_filename

from release import build
from release.build import BuildFailedError, Job
from sharedlib_loader.build import TARGETS, host

ROOT = Path(__file__).resolve().parents[2]


def row(name: str) -> Job:
    return next(job for job in build.jobs(["liblmdb_wheel"], [name]))


@pytest.mark.parametrize("distribution", build.NATIVE)
def test_there_is_a_wheel_for_each_platform(distribution: str) -> None:
    """Twelve rows, twelve wheels, each with the row's own tags."""
    jobs = build.jobs([distribution], [])
    assert [job.tags for job in jobs] == [frozenset(target.tags) for target in TARGETS]
    assert len(jobs) == 12


def test_the_wheels_of_one_platform_are_built_alone() -> None:
    """A platform that is named has one wheel of each distribution."""
    jobs = build.jobs(build.NATIVE, ["musllinux_x86_64"])
    assert [(job.distribution, job.tags) for job in jobs] == [
        ("liblmdb_wheel", {"musllinux_1_2_x86_64"}),
        ("flatc_wheel", {"musllinux_1_2_x86_64"}),
    ]


def test_a_wheel_is_known_by_its_tags(tmp_path: Path) -> None:
    """What is there is found whatever the order of the tags in its name; another platform's is not taken for it."""
    job = row("manylinux_aarch64")
    (tmp_path / "liblmdb_wheel-0.1.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl").touch()
    assert job.find(tmp_path) is None
    there = tmp_path / "liblmdb_wheel-0.1.0-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
    there.touch()
    assert job.find(tmp_path) == there


def test_a_wheel_for_another_platform_is_built_of_the_sdist(built: Callable[[str], Path], tmp_path: Path) -> None:
    """The musl wheel of this machine, which stays when it is asked for again; of the date that the sdist has."""
    sdist = built("liblmdb_wheel-*.tar.gz")
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / sdist.name).write_bytes(sdist.read_bytes())
    glibc = host()
    assert glibc is not None
    job = row(f"musllinux_{glibc.machine}")
    [wheel] = build.build([job], dist)
    assert {tag.platform for tag in parse_wheel_filename(wheel.name)[3]} == job.tags
    with ZipFile(wheel) as new, ZipFile(built("liblmdb_wheel-*.whl")) as own:
        assert {info.date_time for info in new.infolist()} == {info.date_time for info in own.infolist()}
        shims = {info.filename for info in new.infolist() if info.filename.endswith(".shim")}
        assert {info.filename for info in new.infolist()} - shims == {info.filename for info in own.infolist()}
        assert len(shims) == 5
    date = wheel.stat().st_mtime_ns
    assert build.build([job], dist) == [wheel]
    assert wheel.stat().st_mtime_ns == date


def test_a_failure_is_shown(monkeypatch: pytest.MonkeyPatch, built: Callable[[str], Path], tmp_path: Path) -> None:
    """Where the compiler fails, the error has the wheel and the output, and dist/ has nothing of it."""
    sdist = built("liblmdb_wheel-*.tar.gz")
    (tmp_path / sdist.name).write_bytes(sdist.read_bytes())
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BuildFailedError, match=r"(?s)^liblmdb_wheel for win_amd64:.*no-such-compiler cannot be run"):
        row("win_amd64").build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [sdist.name]


def test_an_unknown_platform_is_refused() -> None:
    """The command line says what there is."""
    command = [sys.executable, "-m", "release.build", "linux_x86_64"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "the table of targets has no linux_x86_64: choose of manylinux_x86_64, " in done.stderr
