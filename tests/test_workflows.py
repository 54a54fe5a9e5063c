"""The files for the CI service, as far as they can be tried without it: what cibuildwheel would build, what a job does.

That they are well-formed, and safe by the rules of zizmor, is a matter of ``nox -s lint``.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sharedlib_loader.build import TARGETS

if sys.version_info < (3, 11):
    pytest.skip("cibuildwheel and the linters need Python 3.11", allow_module_level=True)

import tomllib
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
WORKFLOWS = ROOT / ".github" / "workflows"
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
# What cibuildwheel calls the platforms of our names.
SYSTEMS = {"manylinux": "linux", "musllinux": "linux", "macosx": "macos", "win": "windows"}


def workflow(name: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(WORKFLOWS / name))


def jobs() -> dict[str, dict[str, Any]]:
    """Every job of every workflow."""
    return {
        f"{path.stem}.{name}": job for path in WORKFLOWS.iterdir() for name, job in workflow(path.name)["jobs"].items()
    }


def steps(job: str) -> list[dict[str, Any]]:
    return list(jobs()[job]["steps"])


def commands(job: str) -> list[str]:
    return [step["run"] for step in steps(job) if "run" in step]


@pytest.mark.parametrize("system", ["linux", "macos", "windows"])
@pytest.mark.parametrize("project", ["liblmdb_wheel", "flatc_wheel"])
def test_cibuildwheel_builds_what_the_table_of_targets_has(project: str, system: str) -> None:
    """By its own word, cibuildwheel builds once for each row of the table, and for no other platform."""
    command = ["cibuildwheel", "--config-file", "pyproject.toml", "--print-build-identifiers", "--platform", system]
    done = subprocess.run(
        [BIN / command[0], *command[1:], project], cwd=ROOT, capture_output=True, text=True, check=True
    )
    built = [identifier.partition("-")[2] for identifier in done.stdout.split()]
    rows = [target.name for target in TARGETS if SYSTEMS[target.name.partition("_")[0]] == system]
    assert sorted(built) == sorted(rows)


def test_a_machine_builds_each_platform_that_it_is() -> None:
    """The native machines are of every system, Intel's and ARM's; all projects are built on all of them."""
    matrix = jobs()["wheels.native"]["strategy"]["matrix"]
    assert matrix["runner"] == jobs()["wheels.test"]["strategy"]["matrix"]["runner"]
    assert matrix["project"] == ["liblmdb_wheel", "flatc_wheel"]
    assert "exclude" not in matrix
    [build] = [command for command in commands("wheels.native") if "cibuildwheel --" in command]
    assert "cibuildwheel --config-file pyproject.toml --archs native --output-dir native" in build


def test_cibuildwheel_is_the_one_that_was_asked() -> None:
    """The jobs install the version that the other tests ask."""
    assert f"python -m pip install cibuildwheel=={importlib.metadata.version('cibuildwheel')}" in commands(
        "wheels.native"
    )


def test_a_wheel_is_used_alike_wherever_it_was_built() -> None:
    """What is released is tried by the same commands as what cibuildwheel builds."""
    tried = [command.replace("{project}/", "") for command in OPTIONS["test-command"]]
    assert commands("wheels.test")[-len(tried) :] == tried


def test_every_interpreter_is_tried() -> None:
    """The released wheels are used on each supported interpreter, the oldest by ``requires-python`` first."""
    oldest = tomllib.loads((ROOT / "loader" / "pyproject.toml").read_text())["project"]["requires-python"]
    pythons = jobs()["wheels.test"]["strategy"]["matrix"]["python"]
    assert f">={pythons[0]}" == oldest
    assert pythons == ["3.10", "3.11", "3.12", "3.13", "3.14", "3.14t", "3.15", "pypy3.11"]


def test_ci_runs_everything() -> None:
    """What the service runs is what a reader is told to: ``.ci/run``, which is ``make test``, and ``make wheels``."""
    assert commands("ci.test") == [".ci/run"]
    assert commands("wheels.build") == ["make wheels"]


def test_only_what_was_proved_and_used_is_published() -> None:
    """The last job needs the proof and the matrix, takes their files, and has no token but the service's word."""
    publish = jobs()["wheels.publish"]
    assert publish["needs"] == ["prove", "test"]
    assert publish["if"] == "github.event_name == 'push' && startsWith(github.ref, 'refs/tags/v')"
    assert publish["environment"] == "release"
    download, upload = steps("wheels.publish")
    assert download["with"] == {"name": "dist", "path": "dist/"}
    assert upload["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert upload["with"] == {"attestations": True, "skip-existing": True}
    assert ".venv/bin/python -m release.proof dist/*.whl" in commands("wheels.prove")


def test_no_other_job_may_do_anything() -> None:
    """Jobs read the repository; one may say who it is, and that one reads nothing. There are no secrets."""
    rights = {name: job["permissions"] for name, job in jobs().items()}
    assert rights.pop("wheels.publish") == {"id-token": "write"}
    assert {tuple(right.items()) for right in rights.values()} == {(("contents", "read"),)}
    for path in WORKFLOWS.iterdir():
        assert workflow(path.name)["permissions"] == {}
        assert "secrets." not in path.read_text()


def test_actions_are_pinned_by_commit() -> None:
    """Each action has one commit in all workflows, with the version it is of as a comment."""
    lines = [
        line.split("uses: ")[1]
        for path in WORKFLOWS.iterdir()
        for line in path.read_text().splitlines()
        if "uses: " in line
    ]
    assert [line for line in lines if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert len(set(lines)) == len({line.partition("@")[0] for line in lines}) == 5


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (r"@[0-9a-f]{40} # (v\d+)\S*", r"@\1", "unpinned-uses"),
        (r"        with:\n +persist-credentials: false\n", "", "artipacked"),
        (r"permissions: \{\}", "permissions: write-all", "excessive-permissions"),
    ],
)
def test_the_linter_notices(before: str, after: str, complaint: str, tmp_path: Path) -> None:
    """A workflow with a flaw does not pass as the lint session calls zizmor."""
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    for path in (tmp_path / ".github" / "workflows").iterdir():
        text, count = re.subn(before, after, path.read_text())
        assert count
        path.write_text(text)
    command = [BIN / "zizmor", "--offline", "--no-config", "--strict-collection", "--persona", "pedantic", ".github"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"[{complaint}]" in done.stdout
