"""The command ``flatdb``, as it is installed: what it prints, how it ends, and what an interrupt does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from tests.flatdb.place import Place

SCHEMA = "table Thing { id: uint; name: string; } root_type Thing;"
RECORDS = [{"id": i, "name": f"Name {i}"} for i in range(1, 6)]
FLATDB = [sys.executable, "-m", "flatc_wheel.flatdb"]


class Command:
    """The command in a folder with a schema and a file of records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "thing.fbs").write_text(SCHEMA)
        (folder / "things.json").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))

    def __call__(self, *arguments: str, status: int = 0, **options: Any) -> tuple[str, str]:
        done = subprocess.run(
            [*FLATDB, *arguments], cwd=self.folder, capture_output=True, encoding="utf-8", check=False, **options
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout, done.stderr

    def import_(self, *options: str, status: int = 0) -> str:
        return self(
            "import", "env", "things", "things.json", "--schema", "thing.fbs", "--key", "id", *options, status=status
        )[1]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.mark.parametrize("engine", ["0.9", "1.0"])
def test_from_a_file_to_a_file(command: Command, engine: str) -> None:
    """Each command, on an environment of either engine, which is then recognised."""
    assert command.import_("--unique", "by_name=name", "--engine", engine) == "things: 5 records imported\n"
    assert command("get", "env", "things", "3") == ('{"id":3,"name":"Name 3"}\n', "")
    assert command("get", "env", "things", "Name 4", "--index", "by_name") == ('{"id":4,"name":"Name 4"}\n', "")
    out, said = command("export", "env", "things", "--from", "2", "--to", "4")
    assert [json.loads(line) for line in out.splitlines()] == RECORDS[1:3]
    assert said == "things: 2 records exported\n"
    command("export", "env", "things", "--array", "--output", "out.json", "--quiet")
    assert json.loads((command.folder / "out.json").read_text()) == RECORDS
    assert command("check", "env", "things") == ("", "things: 5 records checked, no problems\n")
    assert command("reindex", "env", "things") == ("", "things: all indexes made anew\n")
    [table] = json.loads(command("stat", "env", "--json")[0])
    assert (table["records"], table["indexes"]["by_name"]["records"]) == (5, 5)
    shown = [line.split() for line in command("stat", "env")[0].splitlines()]
    assert shown[0] == ["TABLE", "RECORDS", "SIZE", "DEPTH", "KEY", "VALUE"]
    assert shown[1][:2] == ["things", "5"]
    assert shown[2][:2] == [":by_name", "5"]
    other = "1.0" if engine == "0.9" else "0.9"
    assert f"env is of engine {engine}, not {other}" in command.import_("--engine", other, status=1)


def test_an_environment_may_be_a_file(command: Command) -> None:
    """As MDB_NOSUBDIR makes it."""
    lmdb.open(str(command.folder / "one.mdb"), subdir=False).close()
    command("import", "one.mdb", "things", "things.json", "--schema", "thing.fbs", "--key", "id")
    assert command("get", "one.mdb", "things", "1")[0] == '{"id":1,"name":"Name 1"}\n'


def test_standard_input_and_output(command: Command) -> None:
    """One environment into another, by a pipe."""
    command.import_()
    out, _ = command("export", "env", "things")
    arguments = ("import", "copy", "things", "-", "--schema", "thing.fbs", "--key", "id", "--map-size", "64K")
    assert command(*arguments, input=out)[1] == "things: 5 records imported\n"
    assert command("export", "copy", "things")[0] == out


def test_a_failure_is_one_line_and_status_1(command: Command) -> None:
    """Whatever it comes from."""
    command.import_()
    for arguments, why in (
        (("get", "env", "things", "77"), "there is no record of the key 77 in things"),
        (("get", "env", "towns", "77"), "there is no table towns: the environment has things"),
        (("get", "nowhere", "things", "1"), "there is no LMDB environment at nowhere"),
        (("import", "env", "things", "missing.json"), "cannot open missing.json"),
        (("import", "env", "things", "things.json", "--schema", "missing.fbs"), "No such file"),
        (("import", "env", "things", "things.json"), "--on-duplicate"),
        (("export", "env", "things", "--output", "no/where.json"), "cannot make no/where.json"),
    ):
        out, said = command(*arguments, status=1)
        assert (out, said.count("\n")) == ("", 1)
        assert said.startswith("flatdb: ")
        assert why in said
    assert not (command.folder / "nowhere").exists()


def test_a_mistake_makes_no_environment(command: Command) -> None:
    """Where nothing can be imported, nothing is left behind, and a file that is no environment stays as it is."""
    (command.folder / "folder").mkdir()
    (command.folder / "text").touch()
    schema = ("--schema", "thing.fbs")
    for arguments, why in (
        (("new", "things", "missing.json", *schema), "cannot open missing.json: No such file"),
        (("new", "things", "folder", *schema), "cannot read folder: it is a folder"),
        (("new", "things", "things.json"), "there is no LMDB environment at new yet: for a new one give --schema"),
        (("new", "things", "things.json", "--schema", "missing.fbs"), "No such file"),
        (("text", "things", "things.json", *schema), "text is a file, and no LMDB environment"),
    ):
        assert why in command("import", *arguments, status=1)[1]
    assert sorted(path.name for path in command.folder.iterdir()) == ["folder", "text", "thing.fbs", "things.json"]


def test_a_wrong_command_line_is_status_2(command: Command) -> None:
    """And makes nothing."""
    for arguments in ((), ("import", "env"), ("import", "env", "t", "f", "--batch", "0"), ("import", "env", "t", "f", "--map-size", "1X"),
                      ("import", "env", "t", "f", "--engine", "2"), ("export", "env", "t", "--limit", "-1")):  # fmt: skip
        assert "usage: flatdb" in command(*arguments, status=2)[1]
    assert not (command.folder / "env").exists()


def test_what_is_left_out_is_said(command: Command) -> None:
    """Each with its place, and how many."""
    with (command.folder / "things.json").open("a") as file:
        file.write('{"id": "x"}\n{"id": 9, "more": 1}\n')
    said = command.import_("--skip-bad").splitlines()
    assert said[0].startswith("flatdb: left out: things.json, line 6 (byte ")
    assert said[1].startswith("flatdb: left out: things.json, line 7 (byte ")
    assert said[2:] == ["things: 5 records imported, 2 left out"]
    assert command.import_("--skip-bad", "--skip-unknown", "--on-duplicate", "keep").splitlines()[-1] == (
        "things: 1 records imported, 5 were there and stayed, 1 left out"
    )


def test_problems_are_lines_on_stdout_and_status_1(command: Command, tmp_path: Path) -> None:
    """The key, and what is wrong."""
    command.import_("--unique", "by_name=name")
    with lmdb.open(str(tmp_path / "env"), max_dbs=4) as env, env.begin(write=True) as txn:
        assert txn.delete(b"Name 2", db=env.open_db(b"things:by_name", txn=txn))
    out, said = command("check", "env", "things", status=1)
    assert out == "2: the index by_name lacks its entry Name 2\n"
    assert said == "things: 5 records checked, 1 problems\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals and terminals")
def test_an_interrupt_stops_after_the_last_commit_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Status 130, nothing lost; the same command goes on."""
    place = Place(tmp_path, "0.9")
    (tmp_path / "thing.fbs").write_text(SCHEMA)
    count = 400_000
    file = str(tmp_path / "records.json")
    Path(file).write_text("".join(f'{{"id": {i}, "name": "{i:0100}"}}\n' for i in range(count)))
    arguments = [
        "import",
        str(place.env),
        "things",
        file,
        "--schema",
        str(tmp_path / "thing.fbs"),
        "--key",
        "id",
        "--batch",
        "500",
    ]
    with subprocess.Popen([*FLATDB, *arguments], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            # The file grows with each commit: it is in the middle of its work.
            if (place.env / "data.mdb").exists() and (place.env / "data.mdb").stat().st_size > 1 << 20:
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.01)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    stored = place.stat()["records"]
    assert 0 < stored < count
    assert said == f"interrupted: {stored:,} records are stored; the same command goes on behind them\n"
    done = subprocess.run([*FLATDB, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == f"things: {count - stored:,} records imported, {stored:,} before the interruption\n"
    assert place.stat()["records"] == count


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals and terminals")
def test_a_terminal_shows_progress_in_one_line(command: Command) -> None:
    """Which is gone at the end."""
    pty = pytest.importorskip("pty")
    (command.folder / "things.json").write_text("".join(f'{{"id": {i}}}\n' for i in range(100_000)))
    master, slave = pty.openpty()
    arguments = ["import", "env", "things", "things.json", "--schema", "thing.fbs", "--key", "id", "--batch", "1000"]
    with subprocess.Popen([*FLATDB, *arguments], cwd=command.folder, stderr=slave) as process:
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 4096):
                shown += piece
        except OSError:  # Linux' way to say that nobody has the terminal open any more
            pass
        os.close(master)
    assert process.returncode == 0
    *lines, last = shown.decode().rstrip().split("\r\x1b[K")
    assert last == "things: 100,000 records imported"
    assert any("records imported, " in line and " %), " in line and line.endswith("/s") for line in lines)
    assert "\n" not in "".join(lines)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe ends in other ways there")
def test_a_reader_that_goes_away_ends_the_export(command: Command) -> None:
    """Without a traceback."""
    (command.folder / "things.json").write_text("".join(f'{{"id": {i}}}\n' for i in range(200_000)))
    command.import_("--quiet")
    with subprocess.Popen(
        [*FLATDB, "export", "env", "things"], cwd=command.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert said == "flatdb: cannot write to standard output: Broken pipe\n"


def test_the_command_starts_without_what_it_does_not_need(python: Any) -> None:
    """No array libraries, and no binding."""
    loaded = python("import sys, flatc_wheel.flatdb.cli\nprint(*sorted(sys.modules))").split()
    assert {"numpy", "pyarrow", "lmdb_bindings", "cffi", "flatbuffers"}.isdisjoint(loaded)


def test_the_command_is_installed() -> None:
    """As a script of the distribution."""
    [script] = entry_points(group="console_scripts", name="flatdb")
    assert script.value == "flatc_wheel.flatdb.cli:main"
    assert script.load().__name__ == "main"
