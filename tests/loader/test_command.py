"""``python -m sharedlib_loader``: a table of commands."""

from __future__ import annotations

import runpy
import subprocess
import sys
from importlib import import_module

import pytest

from sharedlib_loader import __main__ as command


def test_each_command_has_a_main() -> None:
    """What the table names is there, takes arguments, and gives an exit status."""
    for module, does in command.COMMANDS.values():
        assert callable(import_module(module).main)
        assert does


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for help, or for nothing, it says what there is."""
    for arguments in ([], ["-h"], ["--help"]):
        assert command.main(arguments) == 0
        said = capsys.readouterr().out
        assert said.startswith("usage: python -m sharedlib_loader COMMAND ...\n")
        for name, (_, does) in command.COMMANDS.items():
            assert f"  {name}" in said
            assert does in said


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that is not there is an error, with those that are."""
    assert command.main(["docter"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("there is no command 'docter'\nusage: ")
    assert said.out == ""


def test_a_command_gets_its_arguments_and_gives_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows the name is the command's, and so is the exit status."""
    monkeypatch.setitem(command.COMMANDS, "test", ("sharedlib_loader.doctor", "for this test"))
    monkeypatch.setattr("sharedlib_loader.doctor.main", len)
    assert command.main(["test", "one", "two", "three"]) == 3


def test_it_runs_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m`` ends with the command's status."""
    monkeypatch.setattr(sys, "argv", ["sharedlib_loader", "nothing"])
    monkeypatch.delitem(sys.modules, "sharedlib_loader.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("sharedlib_loader", run_name="__main__")
    assert ended.value.code == 2
    done = subprocess.run([sys.executable, "-m", "sharedlib_loader", "--help"], capture_output=True, check=False)
    assert done.returncode == 0


def test_loading_imports_no_command() -> None:
    """Who loads a library pays for none of the commands."""
    script = """
import sys, liblmdb_wheel
liblmdb_wheel.load("0.9")
print(*sorted(name for name in sys.modules if name.startswith("sharedlib_loader")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sharedlib_loader", "sharedlib_loader._discovery", "sharedlib_loader._runtime"]
