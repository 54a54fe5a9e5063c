"""The command line, where py-lmdb's own tests of it say nothing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _watch, tool


@pytest.fixture
def path(opened: Callable[..., lmdb.Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with plain records, a database and one with duplicates; the current directory is an empty one."""
    with opened("env") as env:
        with env.begin(write=True) as txn:
            txn.put(b"key", b"value")
            txn.put(b"other", b"\x00\xff")
        with env.begin(write=True, db=env.open_db(b"sub")) as txn:
            txn.put(b"in", b"sub")
        with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
            txn.put(b"k", b"1")
            txn.put(b"k", b"2")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "env"


@pytest.fixture
def call(path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Run a command on the environment in this process, and give what it prints."""

    def close() -> None:
        if tool.ENV is not None:
            tool.ENV.close()
        tool.ENV = tool.DB = None

    def call(*arguments: str | Path) -> str:
        try:
            tool.main(["-e", str(path), *map(str, arguments)])
            sys.stdout.flush()
        finally:
            close()
        return capfd.readouterr().out

    yield call
    close()


def dies(call: Callable[..., str], capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What a command says when it refuses with exit status 1."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as refusal:
        call(*arguments)
    assert refusal.value.code == 1
    return capfd.readouterr().err.removeprefix("lmdb_bindings.tool: ").strip()


def module(*arguments: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "lmdb_bindings", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)


# -- the process -----------------------------------------------------------------------------------------------------


def test_module(path: Path) -> None:
    """`python -m lmdb_bindings` is the command line."""
    done = module("-e", path, "get", "key")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"b'value'\n", b"")


def test_an_error_of_lmdb_is_a_message(path: Path) -> None:
    """An environment that does not exist gives a message and exit status 1, no traceback."""
    done = module("-e", path / "absent", "stat")
    assert done.returncode == 1
    assert done.stderr.decode() == f"lmdb_bindings.tool: {path}/absent: No such file or directory\n"


def test_a_reader_that_leaves(path: Path) -> None:
    """A closed pipe ends a dump with exit status 1 and no traceback."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "lmdb_bindings", "-e", str(path), "dump-text"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_help_names_every_command() -> None:
    """The help has each command with what it does."""
    text = tool.make_parser().format_help()
    for name, command in tool.COMMANDS.items():
        assert f"    {name}: {command.about}\n        python -m lmdb_bindings {name} " in text


def test_options_stand_anywhere(path: Path) -> None:
    """Options may stand behind the command."""
    assert module("get", "key", "-e", path, "-x").stdout.startswith(b"0000000: 7661 6c75 65")


def test_an_unknown_option_has_exit_status_2(path: Path) -> None:
    """A wrong option is told from a command that fails."""
    assert module("-e", path, "stat", "--absent").returncode == 2


# -- reading ---------------------------------------------------------------------------------------------------------


def test_get_one(call: Callable[..., str]) -> None:
    """The value of one key comes without the key."""
    assert call("get", "key") == "b'value'\n"


def test_get_several(call: Callable[..., str]) -> None:
    """Several values come with their keys, and what is missing is said."""
    assert call("get", "key", "absent", "other") == "'key':\nb'value'\n'absent': missing\n'other':\nb'\\x00\\xff'\n"


def test_get_a_key_that_is_no_text(opened: Callable[..., lmdb.Environment], call: Callable[..., str]) -> None:
    """An argument that is no UTF-8 reaches LMDB as the bytes that it is."""
    with opened("env") as env, env.begin(write=True) as txn:
        txn.put(b"\xff", b"found")
    assert call("get", os.fsdecode(b"\xff")) == "b'found'\n"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", "\n"),
        (b"A", "0000000: 41                                       A\n"),
        (b"\x00\n\x7f\xe9~", "0000000: 000a 7fe9 7e                             ....~\n"),
        (b"0123456789abcde", "0000000: 3031 3233 3435 3637 3839 6162 6364 65    0123456789abcde\n"),
        (b"." * 17, f"0000000: {'2e2e ' * 8} {'.' * 16}\n0000010: 2e{' ' * 39}.\n"),
    ],
)  # fmt: skip
def test_xxd(data: bytes, shown: str) -> None:
    """Offsets, hexadecimal and ASCII stand in columns, also where one byte is left for the last line."""
    assert tool.xxd(data) == shown


def test_reading_makes_no_database(call: Callable[..., str], capfd: pytest.CaptureFixture[str], path: Path) -> None:
    """A mistyped name is an error, and no new database."""
    assert dies(call, capfd, "-d", "absent", "get", "key") == "No such database: 'absent'"
    assert dies(call, capfd, "dump", "absent=x") == "No such database: 'absent'"
    assert dies(call, capfd, "drop", "absent") == "No such database: 'absent'"
    assert dies(call, capfd, "-E", path.parent / "to", "rewrite", "absent") == "No such database: 'absent'"
    assert "'entries': 4," in call("stat")


def test_main_by_name(call: Callable[..., str]) -> None:
    """The main database has a name for --db."""
    assert call("-d", ":main:", "get", "key") == "b'value'\n"


# -- writing ---------------------------------------------------------------------------------------------------------


def test_edit_makes_a_database(call: Callable[..., str]) -> None:
    """A database that is written to is made."""
    call("-d", "new", "edit", "--set", "a=b=c")
    assert call("-d", "new", "get", "a") == "b'b=c'\n"


def test_edit_is_one_transaction(call: Callable[..., str]) -> None:
    """Where one change fails, none is made."""
    with pytest.raises(FileNotFoundError):
        call("edit", "--set", "key=changed", "--set-file", "key=absent")
    assert call("get", "key") == "b'value'\n"


def test_read_only(call: Callable[..., str]) -> None:
    """With --read nothing is changed."""
    with pytest.raises(lmdb.ReadonlyError):
        call("--read", "edit", "--set", "key=changed")


# -- cdbmake ---------------------------------------------------------------------------------------------------------


def test_dump_is_cdbmake(call: Callable[..., str]) -> None:
    """The main database is dumped without the records that stand for named ones."""
    assert call("dump") == "Dumping to 'main.cdbmake'...\n"
    assert Path("main.cdbmake").read_bytes() == b"+3,5:key->value\n+5,2:other->\x00\xff\n\n"


def test_dump_and_restore_all(call: Callable[..., str], path: Path) -> None:
    """What is dumped from all databases can be restored into another environment."""
    call("dump", "--all")
    (path.parent / "copy").mkdir()
    call("-e", path.parent / "copy", "restore", "sub=sub.cdbmake", ":main:=main.cdbmake")
    call("-e", path.parent / "copy", "dump", "--all")
    assert Path("main.cdbmake").read_bytes() == b"+3,5:key->value\n+5,2:other->\x00\xff\n\n"
    assert Path("sub.cdbmake").read_bytes() == b"+2,3:in->sub\n\n"


def test_dump_all_stays_in_the_directory(
    opened: Callable[..., lmdb.Environment], call: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The name of a database is not taken for a path."""
    with opened("env") as env:
        env.open_db(b"../escaped")
    assert "use dump NAME=FILE" in dies(call, capfd, "dump", "--all")
    assert not Path("../escaped.cdbmake").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "bad or missing plus, line/record #1"),
        (b"+1,1:a->b\n", "bad or missing plus, line/record #2"),
        (b"+1,1:a->b\n+1,1:a=>b\n\n", "bad or missing separator, line/record #2"),
        (b"+1,1:a->bc\n\n", "bad line ending, line/record #1"),
        (b"+2,1:a", "short key or data, line/record #1"),
        (b"+1,9:a->b\n\n", "short key or data, line/record #1"),
        (b"+-1,1:a->b\n\n", "bad or missing length, line/record #1"),
        (b"+,1:a->b\n\n", "bad or missing length, line/record #1"),
        (b"+1" * 40, "bad or missing length, line/record #1"),
        (b"+999999999999,1:a->b\n\n", "bad or missing length, line/record #1"),
        (b"+1", "unexpected EOF in length field, line/record #1"),
    ],
)
def test_restore_refuses(
    call: Callable[..., str], capfd: pytest.CaptureFixture[str], text: bytes, problem: str
) -> None:
    """Damaged files are refused with the number of the record, and nothing of them is stored."""
    Path("bad").write_bytes(text)
    assert dies(call, capfd, "restore", ":main:=bad") == problem
    assert call("get", "a") == "'a': missing\n"


def test_restore_counts_records(call: Callable[..., str]) -> None:
    """The number of records is printed, although the function counts one more, as py-lmdb's does."""
    Path("good").write_bytes(b"+1,1:a->b\n\nand what follows is not read")
    assert call("restore", ":main:=good") == "Restoring from 'good'...\nLoaded 1 keys from 'good'\n"


# -- whole environments ----------------------------------------------------------------------------------------------


def test_copy_of_a_single_file(
    opened: Callable[..., lmdb.Environment], call: Callable[..., str], tmp_path: Path
) -> None:
    """The copy of a single-file environment is one too."""
    with opened("one", subdir=False) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"alone")
    call("-e", tmp_path / "one", "-s", "copy", tmp_path / "new" / "copy")
    assert call("-e", tmp_path / "new" / "copy", "-s", "get", "key") == "b'alone'\n"


def test_rewrite_keeps_flags(call: Callable[..., str], path: Path) -> None:
    """A database with duplicates is rewritten as one, with all of them."""
    target = path.parent / "target"
    assert call("-E", target, "rewrite", "dup", ":main:") == "Writing 'dup'...\nWriting ':main:'...\nSyncing..\n"
    with lmdb.open(target, max_dbs=1) as env:
        dup = env.open_db(b"dup", create=False)
        assert dup.flags()["dupsort"]
        with env.begin() as txn:
            assert list(txn.cursor(dup)) == [(b"k", b"1"), (b"k", b"2")]
            assert txn.get(b"key") == b"value"


def test_rewrite_keeps_the_engine(engine: int, call: Callable[..., str], path: Path) -> None:
    """The new environment is written by the engine of the old one, whatever is the default."""
    call("-E", path.parent / "target", "rewrite")
    with lmdb.open(path.parent / "target") as env:
        assert env.lib_version()[0] == engine


def test_warm(call: Callable[..., str], path: Path) -> None:
    """The size that was read is that of the data file."""
    size = (path / "data.mdb").stat().st_size / (1 << 20)
    assert call("warm").startswith(f"Warmed {size:.2f}mb in ")


# -- mdb_dump's text -------------------------------------------------------------------------------------------------


def test_dump_text_and_load_text(engine: int, path: Path) -> None:
    """A dump on standard output is loaded from standard input into a new environment of the engine named."""
    other = ("1.0", "0.9")[engine]
    dumped = module("-e", path, "dump-text", "--all")
    assert (dumped.returncode, dumped.stderr) == (0, b"")
    loaded = module("-e", path.parent / "copy", "load-text", "--engine", other, data=dumped.stdout)
    assert loaded.stderr == b""
    assert loaded.stdout.decode().splitlines() == [
        "Loaded 2 records into the main database",
        "Loaded 2 records into database 'dup'",
        "Loaded 1 records into database 'sub'",
    ]
    with lmdb.open(path.parent / "copy", max_dbs=2) as env, env.begin() as txn:
        assert env.lib_version()[0] == 1 - engine
        assert list(txn.cursor(env.open_db(b"dup", txn=txn))) == [(b"k", b"1"), (b"k", b"2")]


def test_dump_text_of_a_database_to_a_file(call: Callable[..., str]) -> None:
    """One database is dumped to the file that is named."""
    assert call("dump-text", "-d", "sub", "-p", "file") == ""
    text = Path("file").read_text()
    assert text.startswith("VERSION=3\nformat=print\ndatabase=sub\n")
    assert text.endswith("HEADER=END\n in\n sub\nDATA=END\n")


def test_dump_text_takes_the_map_size_of_the_file(
    opened: Callable[..., lmdb.Environment], call: Callable[..., str], tmp_path: Path
) -> None:
    """A dump says how large the map was made, so that what is loaded from it is made as large."""
    with opened("large", map_size=50 << 20) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    call("-e", tmp_path / "large", "dump-text", "file")
    assert f"\nmapsize={50 << 20}\n" in Path("file").read_text()
    call("-e", tmp_path / "loaded", "load-text", "file")
    with lmdb.open(tmp_path / "loaded", map_size=0) as env:
        assert env.info()["map_size"] == 50 << 20


def test_load_text_into_a_database(call: Callable[..., str]) -> None:
    """--db says where the records go for which the dump names no database."""
    call("dump-text", "file")
    assert call("load-text", "-d", "elsewhere", "file") == "Loaded 2 records into database 'elsewhere'\n"


def test_load_text_names_the_line(path: Path) -> None:
    """A damaged dump is refused with the number of the line and exit status 1."""
    done = module("-e", path, "load-text", data=b"VERSION=3\nHEADER=END\n 6\n")
    assert done.returncode == 1
    assert done.stderr.startswith(b"lmdb_bindings.tool: line 3: ")


def test_text_of_an_engine_that_does_not_exist(call: Callable[..., str], capfd: pytest.CaptureFixture[str]) -> None:
    """An engine is named 0.9 or 1.0."""
    call("dump-text", "file")
    assert dies(call, capfd, "load-text", "--engine", "2", "file") == "No such engine: '2' (see --help)"


# -- migration and verification --------------------------------------------------------------------------------------


def test_migrate(engine: int, path: Path) -> None:
    """An environment is copied to the other engine, and the databases are listed; no progress where no terminal is."""
    other = ("1.0", "0.9")[engine]
    done = module("migrate", path, path.parent / "target", "--engine", other, "--check")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == [
        "Migrated 2 records of the main database",
        "Migrated 2 records of database 'dup'",
        "Migrated 1 records of database 'sub'",
    ]
    with lmdb.open(path.parent / "target", max_dbs=2) as env:
        assert env.lib_version()[0] == 1 - engine


def test_migrate_shows_progress_on_a_terminal(
    call: Callable[..., str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal one line says which database is copied and how far."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    written: list[str] = []
    monkeypatch.setattr(sys.stderr, "write", written.append)
    call("migrate", path, path.parent / "target", "--engine", "1.0")
    assert "\r\x1b[Kdatabase 'dup': 2 of 2 records, 100 %" in written


def test_migrate_says_what_it_needs(call: Callable[..., str], capfd: pytest.CaptureFixture[str]) -> None:
    """Source, target and engine are required."""
    assert dies(call, capfd, "migrate", "a", "b") == "Please specify source, target and --engine (see --help)"


def test_verify_needs_a_path(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a path there is nothing to verify."""
    message = dies(tool.main, capfd, ["verify"])  # type: ignore[arg-type]
    assert message == "verify: specify a path (positional or with --env)"


def test_verify(call: Callable[..., str], capfd: pytest.CaptureFixture[str], path: Path) -> None:
    """A sound file is said to be sound; each problem of another is printed, and their number is the last word."""
    assert call("verify") == "verify: OK\n"
    data = bytearray((path / "data.mdb").read_bytes())
    for start in range(2 * 4096, len(data), 4096):  # the header of each page but the meta pages
        data[start + 8 : start + 24] = b"\xff" * 16
    (path / "data.mdb").write_bytes(data)
    with pytest.raises(SystemExit) as refusal:
        call("verify")
    printed = capfd.readouterr()
    assert refusal.value.code == 1
    assert printed.err == f"lmdb_bindings.tool: verify: FAILED ({len(printed.out.splitlines())} problems)\n"


# -- watching --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "interval", "rate"), [([1], 1, "+0"), ([1, 4], 1, "+3"), ([1, 4, 9], 2, "+2"), ([9, 1], 1, "-8")]
)
def test_rates(numbers: list[float], interval: int, rate: str) -> None:
    """A rate is the mean change each second, none at first."""
    column = _watch.Column("Recs/s", "entries", "%+d", rate=True)
    samples = deque([{"entries": number} for number in numbers])
    assert _watch.cell(column, samples, interval) == rate


def rows(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch, count: int, **options: object) -> list[str]:
    """What watch() writes until it is interrupted after some rows; one record is stored between them."""
    out = io.StringIO()
    left = iter(range(1, count))

    def sleep(seconds: float) -> None:
        assert seconds == 1
        number = next(left, None)
        if number is None:
            raise KeyboardInterrupt
        with env.begin(write=True) as txn:
            txn.put(b"%d" % number, b"")

    monkeypatch.setattr(time, "sleep", sleep)
    _watch.watch(env, out, **{"interval": 1, "window": 10, "as_csv": False, **options})  # type: ignore[arg-type]
    return out.getvalue().splitlines()


def test_watch_as_csv(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first row has the headings, and all are quoted."""
    heading, first, second = rows(env, monkeypatch, 2, as_csv=True)
    assert heading.startswith('"Depth","Branch","Leaf","Leaf/s","Oflow","Oflow/s","Recs","Recs/s","Rdrs","EnvMb"')
    assert first.split(",")[6:8] == ['"0"', '"+0"']
    assert second.split(",")[6:8] == ['"1"', '"+1"']


def test_watch_as_a_table(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns are as wide as their headings."""
    heading, first = rows(env, monkeypatch, 1)
    assert heading.startswith(" Depth Branch Leaf Leaf/s")
    assert first.startswith("     0      0    0     +0")


def test_watch_repeats_its_heading(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heading comes again when it has left the terminal."""
    monkeypatch.setenv("LINES", "5")
    monkeypatch.setenv("COLUMNS", "80")
    lines = rows(env, monkeypatch, 7)
    assert [line == lines[0] for line in lines] == [True, False, False, False, True, False, False, False, True, False]


def test_watch_the_disk(env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Statistics of the disk are two more columns, however many fields the kernel has."""
    (tmp_path / "stat").write_text(" ".join(["4096"] * 17))
    heading, first = rows(env, monkeypatch, 1, disk=str(tmp_path / "stat"))
    assert heading.endswith(" Txs/s RdMb/s WrMb/s")
    assert first.endswith("  +0.00  +0.00")


def test_watch_ends_at_an_interrupt(path: Path) -> None:
    """An interrupt ends it with exit status 0."""
    # As a terminal starts it: a shell has its jobs in the background, such as this test may be, ignore interrupts.
    terminal = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    terminal += "runpy.run_module('lmdb_bindings', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", terminal, "-e", str(path), "--csv", "watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
