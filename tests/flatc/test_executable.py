"""The installed ``flatc``: a real executable, found exactly, and called without a detour."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import flatc_wheel
from flatc_wheel import FlatcNotFoundError, _executable, flatc_path, run, version


def outside(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """``python -m flatc_wheel`` in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "flatc_wheel", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)


@pytest.fixture
def impostor(tmp_path: Path) -> str:
    """A folder with another ``flatc``, which would give itself away."""
    folder = tmp_path / "impostor"
    folder.mkdir()
    (folder / "flatc").write_text("#!/bin/sh\necho flatc version 0.0.0\n", encoding="utf-8")
    (folder / "flatc").chmod(0o755)
    return str(folder)


def test_path_is_in_the_scripts_folder() -> None:
    """The path is absolute, and where the installer puts executables of this environment."""
    assert flatc_path().is_absolute()
    assert flatc_path().name == "flatc"
    assert flatc_path().parent.samefile(sysconfig.get_path("scripts"))


def test_it_is_a_native_executable() -> None:
    """What is on PATH is the program itself for this machine, not a Python script that starts it."""
    assert os.access(flatc_path(), os.X_OK)
    with flatc_path().open("rb") as stream:
        assert stream.read(4) == b"\x7fELF"
        assert ELFFile(stream).get_machine_arch() == {"x86_64": "x64", "aarch64": "AArch64"}.get(os.uname().machine)


def test_it_runs_from_path() -> None:
    """``flatc`` by its name, with the scripts folder on PATH, is this version."""
    environment = {**os.environ, "PATH": sysconfig.get_path("scripts")}
    done = subprocess.run(["flatc", "--version"], env=environment, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == f"flatc version {version()}\n"


def test_version_is_the_distribution_s() -> None:
    """The executable, the package and the distribution give the same version."""
    assert version() == flatc_wheel.__version__ == distribution("flatc-wheel").version


def test_module_passes_output_through() -> None:
    """``python -m flatc_wheel`` writes what flatc writes, byte for byte, and returns its exit status."""
    done, direct = outside("--help"), subprocess.run([flatc_path(), "--help"], capture_output=True, check=False)
    assert b"--gen-object-api" in direct.stdout
    assert (done.returncode, done.stdout, done.stderr) == (0, direct.stdout, direct.stderr)


def test_module_passes_failure_through(tmp_path: Path) -> None:
    """A failing call gives flatc's own exit status and message, and no traceback."""
    missing = str(tmp_path / "missing.fbs")
    done, direct = outside("--python", missing), run("--python", missing)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (1, direct.stdout, direct.stderr)
    assert f"unable to load file: {missing}" in direct.stderr


def test_module_passes_arguments_through(schema: Path, tmp_path: Path) -> None:
    """Arguments arrive as they are, even with spaces, quotes and what a shell would expand."""
    folder = tmp_path / "it's a $HOME *"
    folder.mkdir()
    assert outside("--python", "-o", str(folder), str(schema)).returncode == 0
    assert (folder / "demo" / "shop" / "Order.py").is_file()


def test_module_ignores_path(impostor: str) -> None:
    """``python -m flatc_wheel`` runs its own flatc though another is first on PATH."""
    path = os.pathsep.join([impostor, os.environ["PATH"]])
    assert outside("--version", PATH=path).stdout.decode() == f"flatc version {version()}\n"


@pytest.mark.usefixtures("nothing_cached")
def test_functions_ignore_path(impostor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Path, run and version concern this distribution's flatc though another is first on PATH."""
    monkeypatch.setenv("PATH", impostor, prepend=os.pathsep)
    assert flatc_path().parent.samefile(sysconfig.get_path("scripts"))
    assert version() == flatc_wheel.__version__
    assert run("--version").stdout == f"flatc version {flatc_wheel.__version__}\n"


@pytest.mark.usefixtures("nothing_cached")
def test_functions_ignore_the_current_folder(impostor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``flatc`` in the current folder is not taken either."""
    monkeypatch.chdir(impostor)
    assert flatc_path().parent.samefile(sysconfig.get_path("scripts"))


@pytest.mark.usefixtures("nothing_cached")
def test_path_is_absolute_where_the_package_was_found_by_a_relative_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found from inside its folder, as ``python -c`` there finds it, the path still holds after a change of folder."""
    monkeypatch.chdir(str(distribution("flatc-wheel").locate_file("")))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert not Path(str(distribution("flatc-wheel").locate_file(""))).is_absolute()
    assert flatc_path().is_absolute()


@pytest.mark.usefixtures("nothing_cached")
def test_record_of_the_installer_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the installer recorded the file, that place is tried before any guess."""
    places = list(_executable._places())
    monkeypatch.setattr(sysconfig, "get_path", lambda *names: os.path.join(os.sep, "nowhere", *names))
    assert flatc_path() == places[0]


@pytest.mark.usefixtures("nothing_cached")
def test_found_without_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the distribution's metadata, the scripts folder is searched."""

    def no_record(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_executable, "distribution", no_record)
    assert flatc_path() == Path(sysconfig.get_path("scripts"), "flatc")


@pytest.mark.usefixtures("nothing_cached")
def test_not_found_lists_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the executable is nowhere, the error lists each place tried, once, and the cure."""
    monkeypatch.setattr(_executable, "_NAME", "flatc-absent")
    places = [
        Path(sysconfig.get_path("scripts")),
        Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))),
        Path(flatc_wheel.__file__).resolve().parent.parent / "bin",
    ]
    tried = "".join(f"\n  tried: {place / 'flatc-absent'}" for place in dict.fromkeys(places))
    expected = f"flatc-absent is not installed{tried}\n  cure: pip install --force-reinstall flatc-wheel"
    with pytest.raises(FlatcNotFoundError, match=f"^{re.escape(expected)}$") as caught:
        flatc_path()
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.usefixtures("nothing_cached")
def test_file_that_is_not_executable_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of that name without the permission to run, or a folder, is passed over and listed."""
    (tmp_path / "plain").touch(mode=0o644)
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(
        _executable, "_places", lambda: iter([tmp_path / name for name in ("plain", "folder", "plain")])
    )
    with pytest.raises(
        FlatcNotFoundError, match=r"^flatc is not installed\n  tried: .*plain\n  tried: .*folder\n  cure: "
    ):
        flatc_path()


def test_run_returns_a_failure() -> None:
    """``run`` returns exit status and messages of a failing call."""
    done = run("--nonsense")
    assert done.returncode == 1
    assert "unknown commandline argument: --nonsense" in done.stderr


def test_run_can_check() -> None:
    """``run`` with ``check`` raises where flatc fails."""
    with pytest.raises(subprocess.CalledProcessError, match=r"'--nonsense'\]' returned non-zero exit status 1"):
        run("--nonsense", check=True)


def test_run_in_another_folder(schema: Path) -> None:
    """``run`` with ``cwd`` takes relative paths from there."""
    assert run("--binary", "--schema", schema.name, check=True, cwd=schema.parent).returncode == 0
    assert (schema.parent / "shop.bfbs").is_file()
