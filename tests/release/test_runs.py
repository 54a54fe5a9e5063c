"""What of ``release.runs`` fits into every test run: libraries for other platforms used by a C program, the smoke on the
machine's other CPythons; and the table of legs, the verdicts and the page that are made of it.
"""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from release.runs import results, trees, wheels
from release.runs.legs import LEGS, NOT_RUN
from release.runs.machine import Machine
from release.runs.place import Failed
from release.runs.programs import Programs
from release.runs.run import failure, run
from sharedlib_loader.build import TARGETS, Target, Toolchain

ROOT = Path(__file__).resolve().parents[2]
ENGINES = {"0.9": "LMDB 0.9.36, 1000 records", "1.0": "LMDB 1.0.2, 1000 records"}


# -- libraries for other platforms, used by a C program ----------------------------------------------------------------


@dataclass(frozen=True)
class Emulated(Machine):
    """The machine with an emulator for the programs of another, and a C library of those.

    Attributes:
        emulator_of: what qemu calls the other machine.
        libc: Debian's folder of the C library.
    """

    emulator_of: str
    libc: str

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], *, timeout: float = 900
    ) -> subprocess.CompletedProcess[str]:
        qemu = f"qemu-{self.emulator_of}-static"
        return super().run([qemu, "-L", self.libc, *command], environment, timeout=timeout)


# Beside the musl of the machine itself one platform of each kind: 64-bit, 32-bit, big-endian.
PLACES: dict[str, Machine] = {
    "musllinux_x86_64": Machine(),
    "manylinux_aarch64": Emulated("aarch64", "/usr/aarch64-linux-gnu"),
    "manylinux_armv7l": Emulated("arm", "/usr/arm-linux-gnueabihf"),
    "manylinux_s390x": Emulated("s390x", "/usr/s390x-linux-gnu"),
}


@pytest.fixture(scope="module", params=PLACES)
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """C programs over engines that were just built for a platform."""
    place = PLACES[request.param]
    if isinstance(place, Emulated):
        if not Path(place.libc).exists() or shutil.which(f"qemu-{place.emulator_of}-static") is None:
            pytest.skip(f"no emulator with a C library for {request.param}: .ci/run installs them where it can")
    elif not Path("/lib/ld-musl-x86_64.so.1").exists():
        pytest.skip("no musl: .ci/run installs Debian's package where it can")
    target = next(target for target in TARGETS if target.name == request.param)
    package = tmp_path_factory.mktemp(target.name)
    build_engines(target, package)
    return Programs(target, package, place, package / "programs")


def build_engines(target: Target, package: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **_: None)
        project = runpy.run_path(str(ROOT / "liblmdb_wheel" / "setup.py"))
    project["build_engines"](Toolchain.zig(target, ROOT / "build" / "zig"), package, package / "work")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_c_program_links_the_library(programs: Programs, engine: str) -> None:
    """A program with DT_NEEDED writes records, and finds them again in order."""
    assert programs.linked(engine) == ENGINES[engine]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", [None, "unlocked"])
def test_a_c_program_opens_the_library(programs: Programs, engine: str, how: str | None) -> None:
    """A program opens it by its path, and does the same; also without locks."""
    assert programs.loaded(engine, how=how) == ENGINES[engine]


def test_the_other_engine_is_told_apart(programs: Programs) -> None:
    """What one engine has written the other refuses: the program's failure is not lost on the way."""
    programs.loaded("0.9")
    program, other = programs.loader("1.0"), programs.library("1.0")
    where = str(programs.written(programs.loader("0.9")))
    done = programs.place.run([str(program), str(other), where], {})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mdb_env_open: MDB_INVALID")


def test_the_system_tells_its_c_library(programs: Programs) -> None:
    """The C library is the platform's, and robust mutexes can be had."""
    system, refusal = programs.system()
    assert system.partition(" ")[0] == programs.target.libc
    assert refusal is None


def test_a_program_that_fails_is_a_failure(programs: Programs) -> None:
    """A library that is not there is said in the system's words."""
    absent = replace(programs, package=programs.folder / "nothing", folder=programs.folder)
    program = programs.loader("0.9")
    with pytest.raises(Failed, match=r"ends with 1: \S+liblmdb\.so\.0: .*No such file"):
        absent.use("0.9", program, str(absent.library("0.9")))


# -- the smoke on the machine's other CPythons ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_the_wheels_work_on_other_interpreters(version: str) -> None:
    """The built wheels, installed for a CPython of this machine: loader, provider, binding on both engines, flatc."""
    leg = next(leg for leg in LEGS if leg.name == f"cpython-{version}")
    result = run(replace(leg, name=f"test-{leg.name}"), ROOT / "dist")
    if "unavailable" in result:
        pytest.skip(result["unavailable"])
    assert result["interpreter"].startswith(f"CPython {version}")
    assert {name: part for name, part in result["parts"].items() if part["outcome"] != "passed"} == {}
    assert "built-in methods" in result["parts"]["binding 0.9"]["words"]
    assert set(leg.parts) < set(result["parts"])


# -- the table of legs, verdicts, and the page ---------------------------------------------------------------------------


def test_every_platform_is_run_or_said_not_to_be() -> None:
    """A row that is added to the table of targets gets a leg, or a reason."""
    run_there = {leg.platform for leg in LEGS}
    assert run_there.isdisjoint(NOT_RUN)
    assert run_there | set(NOT_RUN) == {target.name for target in TARGETS}
    assert len({leg.name for leg in LEGS}) == len(LEGS)


def test_emulators_are_registered_by_the_header_of_their_programs() -> None:
    """Executables and shared objects of the machine match, and no object files, nor those of the other byte order."""
    line = trees.registration("s390x", Path("/usr/bin/qemu-s390x"))
    _, name, kind, _, magic, mask, interpreter, flags = line.split(":")
    assert (name, kind, interpreter, flags) == ("qemu-s390x", "M", "/usr/bin/qemu-s390x", "PF")
    want, care = (bytes.fromhex(text.replace("\\x", "")) for text in (magic, mask))

    def matches(elf_class: int, order: int, e_type: bytes, machine: bytes) -> bool:
        head = b"\x7fELF" + bytes([elf_class, order, 1, 3]) + bytes(8) + e_type + machine
        return all(have & bits == wanted for have, bits, wanted in zip(head, care, want, strict=True))

    assert matches(2, 2, b"\0\2", b"\0\x16")
    assert matches(2, 2, b"\0\3", b"\0\x16")
    assert not matches(2, 2, b"\0\1", b"\0\x16")
    assert not matches(2, 1, b"\2\0", b"\x16\0")
    assert not matches(1, 2, b"\0\2", b"\0\x16")


REFUSAL = "pthread_mutex_init: Operation not supported (95)"


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("mdb_env_open: Operation not supported (95)", "limited"),
        ("mdb_env_open: Permission denied (13)", "failed"),
        ("ok  a\nFAILED  b: mdb_env_open: Operation not supported\nFAILED  c: Operation not supported", "limited"),
        ("ok  a\nFAILED  b: mdb_env_open: Operation not supported\nFAILED  c: the header is missing", "failed"),
    ],
)
def test_a_limit_excuses_only_its_own_words(words: str, outcome: str) -> None:
    """A failure counts as the place's only where all that failed says what the system said; and never without that."""
    assert failure(words, REFUSAL)["outcome"] == outcome
    assert failure(words, None)["outcome"] == "failed"


def test_a_platform_gets_its_own_wheels(tmp_path: Path) -> None:
    """By the tags of the file names: a pure wheel is every platform's, and a static one that of both C libraries."""
    for name in (
        "a_b-1-py3-none-any.whl",
        "c-1-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "c-1-py3-none-musllinux_1_2_x86_64.whl",
        "d-1-py3-none-manylinux_2_17_x86_64.musllinux_1_2_x86_64.whl",
        "e-1-py3-none-macosx_11_0_arm64.whl",
    ):
        (tmp_path / name).touch()
    assert {name: file.name[-27:] for name, file in wheels.of_platform(tmp_path, "musllinux_x86_64").items()} == {
        "a-b": "a_b-1-py3-none-any.whl"[-27:],
        "c": "c-1-py3-none-musllinux_1_2_x86_64.whl"[-27:],
        "d": "d-1-py3-none-manylinux_2_17_x86_64.musllinux_1_2_x86_64.whl"[-27:],
    }
    assert set(wheels.of_platform(tmp_path, "macosx_arm64")) == {"a-b", "e"}
    assert set(wheels.of_platform(tmp_path, "win_arm64")) == {"a-b"}


def test_a_leg_without_wheels_is_not_run(tmp_path: Path) -> None:
    """It says what is missing, and how to get it."""
    result = run(LEGS[0], tmp_path)
    assert result["unavailable"].endswith("for manylinux_x86_64: python -m release.build manylinux_x86_64")
    assert "parts" not in result


def finished(**parts: str) -> dict[str, Any]:
    """A result, of which these parts have these outcomes."""
    return {
        "leg": "windows", "platform": "win_amd64", "place": "Wine", "emulator": "Wine 10.0", "system": "Windows 10",
        "interpreter": "CPython 3.13.5", "limit": "it refuses",
        "parts": {name.replace("_", " "): {"outcome": outcome, "words": ""} for name, outcome in parts.items()},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "platform", "cell"),
    [("passed", "passed: Windows 10", "passed"), ("failed", "1 part failed: Windows 10", "FAILED"),
     ("limited", "in part: Windows 10", "in part (1)")],
)  # fmt: skip
def test_the_tables_say_what_was_found(outcome: str, platform: str, cell: str) -> None:
    """An outcome shows in the row of its platform, and in the row of its run; a limit has its note."""
    built = {"win_amd64": {"liblmdb-wheel": {"bytes": 1000, "sha256": "a"}}}
    found = {"built": built, "checked": {}, "runs": [finished(doctor=outcome)], "not run": {}}
    text = results.tables(found)
    assert f"| `win_amd64` | 1 kB | not built | not checked | {platform} by Wine 10.0 |" in text
    assert f" | {cell} | " in text
    assert ("1. Wine maps no view" in text) == (outcome == "limited")


def test_what_was_not_run_is_said() -> None:
    """A platform without a run has the reason in its row, and is not passed over."""
    found = {"built": {"macosx_arm64": {}}, "checked": {}, "runs": [], "not run": {"macosx_arm64": "no macOS here"}}
    line = "| `macosx_arm64` | not built | not built | not checked | not run: no macOS here |"
    assert line in results.tables(found)


@pytest.mark.parametrize(
    ("sha256", "failed", "cell"),
    [("a", [], "passed 14 checks"), ("a", ["licences"], "FAILED: licences"), ("b", [], "not checked")],
)
def test_the_checks_are_of_the_very_files(sha256: str, failed: list[str], cell: str) -> None:
    """What the proof found shows beside a wheel of the same hash, and says nothing of another."""
    checks = [{"check": name, "verdict": "failed" if name in failed else "passed"} for name in ("tag", "licences")]
    proof = {"wheels": [{"sha256": sha256, "checks": checks * 7}]}
    built = {"win_amd64": {"liblmdb-wheel": {"bytes": 1000, "sha256": "a"}}}
    found = {"built": built, "checked": results._checked(proof), "runs": [], "not run": {}}
    assert f"| not built | {cell} | not run: " in results.tables(found)


def test_the_page_has_the_tables_of_the_results() -> None:
    """docs/platforms.txt is made of docs/platforms.json, and of nothing else; it covers the table of targets."""
    found = json.loads(results.JSON.read_text())
    assert results.TABLES.read_text() == results.tables(found)
    assert set(found["built"]) == {target.name for target in TARGETS}
    assert {one["leg"] for one in found["runs"]} == {leg.name for leg in LEGS}
