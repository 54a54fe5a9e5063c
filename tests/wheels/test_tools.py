"""The ``mdb_*`` tools of the installed provider: real executables, and the engine that the data format asks for."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import liblmdb_wheel
from liblmdb_wheel.data_format import DataFormatError, engine_of
from liblmdb_wheel.tools import TOOLS, choose
from liblmdb_wheel.tools import run as run_tool
from tests.wheels.elf import Elf

ROOT = Path(__file__).resolve().parents[2]
ENGINES = {engine: (library.soname, library.version) for engine, library in liblmdb_wheel.engines().items()}
FORMATS = {"0.9": 1, "1.0": 3}  # MDB_DATA_VERSION

RECORDS = b"".join(b" key %d\n value %d\n" % (number, number) for number in range(10))
DUMP = b"VERSION=3\nformat=print\ntype=btree\nmapsize=1048576\nHEADER=END\n" + RECORDS + b"DATA=END\n"

# Run by a shell: writes beyond the first kilobyte of a file fail with EFBIG, as on a full disk.
NO_SPACE = 'trap \'\' XFSZ; ulimit -f 1; exec "$0" "$@"'

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def bin_of(installed: Path) -> Callable[[str], Path]:
    """The folder of an engine's executables, as the command line tells a script."""

    def bin_of(engine: str) -> Path:
        command = [installed, "-m", "liblmdb_wheel", "--engine", engine, "--prefix"]
        return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip(), "bin")

    return bin_of


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run a tool as a shell finds it on PATH, in an empty folder."""

    def run(tool: str, *arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [installed.parent / tool, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=tmp_path)

    return run


@pytest.fixture
def environment(engine: str, run: Run, tmp_path: Path) -> Path:
    """An environment of the engine, with ten records."""
    folder = tmp_path / "an environment"
    folder.mkdir()
    done = run("mdb_load", "--engine", engine, folder, stdin=DUMP)
    assert (done.returncode, done.stderr) == (0, b"")
    return folder


# -- the executables -------------------------------------------------------------------------------------------------


def test_an_executable_needs_its_engine(tool: str, engine: str, bin_of: Callable[[str], Path]) -> None:
    """Of the two engines its own, and beside that the C library; what seals it is a matter of the wheel's proof."""
    needed = Elf((bin_of(engine) / tool).read_bytes()).needed
    assert needed - {"libc.so.6", "libpthread.so.0"} == {ENGINES[engine][0]}


@pytest.mark.requirement("R26")
def test_an_executable_finds_its_library_by_rpath(tool: str, engine: str, bin_of: Callable[[str], Path]) -> None:
    """The one RPATH leads from its folder to the package's libraries, wherever that is; it is no RUNPATH."""
    [path] = Elf((bin_of(engine) / tool).read_bytes()).run_paths
    assert (path.entry.d_tag, path.rpath) == ("DT_RPATH", "$ORIGIN/../../../lib")


@pytest.mark.requirement("R26")
def test_an_executable_heeds_no_library_path(
    tool: str, engine: str, bin_of: Callable[[str], Path], compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """Another liblmdb in LD_LIBRARY_PATH, as old as you like, does not come between."""
    source = 'char *mdb_version(int *a, int *b, int *c) { return "another"; }'
    compile_c(source, tmp_path / ENGINES[engine][0], "-shared", f"-Wl,-soname,{ENGINES[engine][0]}")
    hostile = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([bin_of(engine) / tool, "-V"], capture_output=True, text=True, check=False, env=hostile)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"LMDB {ENGINES[engine][1]}:")
    # What a RUNPATH, for which the same file is linked, gives:
    source = "int mdb_env_create(void **); int main(void) { void *env; return mdb_env_create(&env); }"
    library = liblmdb_wheel.library_path(engine)
    program = compile_c(source, tmp_path / "program", library, f"-Wl,-rpath,{library.parent}")
    assert subprocess.run([program], check=False).returncode == 0
    shadowed = subprocess.run([program], capture_output=True, text=True, check=False, env=hostile)
    assert "undefined symbol: mdb_env_create" in shadowed.stderr


# -- the tools on PATH -----------------------------------------------------------------------------------------------


def test_a_tool_is_of_the_engine_of_its_environment(engine: str, environment: Path, run: Run) -> None:
    """Each tool reads and writes the environment in its own data format, found by a folder or by a file."""
    assert engine_of(environment) == engine_of(environment / "data.mdb") == engine
    dump = run("mdb_dump", "-p", environment)
    assert dump.stdout.endswith(b"HEADER=END\n" + RECORDS + b"DATA=END\n")
    file = environment.parent / "copy.mdb"
    file.write_bytes(run("mdb_copy", "-c", environment).stdout)
    assert engine_of(file) == engine
    said = run("mdb_stat", "-n", file).stdout
    assert b"  Entries: 10\n" in said
    assert run("mdb_load", "-n", file, stdin=DUMP.replace(b"key", b"another key")).returncode == 0
    assert b"  Entries: 20\n" in run("mdb_stat", file, "-n").stdout
    assert run("mdb_drop", environment).returncode == 0
    assert b"  Entries: 0\n" in run("mdb_stat", environment).stdout
    for done in (dump, run("mdb_stat", "-e", environment)):
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_named_database_is_dropped(environment: Path, run: Run) -> None:
    """mdb_drop empties or removes one database, by either engine, though upstream has it for 1.0 alone."""
    assert run("mdb_load", "-s", "db", environment, stdin=DUMP).returncode == 0
    assert run("mdb_drop", "-s", "db", environment).returncode == 0
    assert b"  Entries: 0\n" in run("mdb_stat", "-s", "db", environment).stdout
    assert run("mdb_drop", "-d", "-s", "db", environment).returncode == 0
    assert run("mdb_stat", "-s", "db", environment).returncode == 1
    assert b"  Entries: 10\n" in run("mdb_stat", environment).stdout


def test_a_new_environment_is_of_the_default_engine(run: Run, tmp_path: Path) -> None:
    """Without a word, what mdb_load makes is LMDB 0.9's, which a distribution's tools read, too."""
    (tmp_path / "new").mkdir()
    assert run("mdb_load", "new", stdin=DUMP).returncode == 0
    assert engine_of(tmp_path / "new") == liblmdb_wheel.DEFAULT_ENGINE == "0.9"


@pytest.mark.parametrize("option", [["--engine", "{}"], ["--engine={}"]])
def test_an_engine_can_be_named(option: list[str], tool: str, engine: str, run: Run) -> None:
    """--engine, as the first argument, chooses without an environment."""
    done = run(tool, *(word.format(engine) for word in option), "-V")
    assert done.stdout.decode().startswith(f"LMDB {ENGINES[engine][1]}:")


@pytest.mark.parametrize("option", [["--engine"], ["--engine="], ["--engine", "0.8"], ["--engine=1"]])
def test_an_unknown_engine_is_refused(option: list[str], run: Run) -> None:
    """The engines that there are are named, and nothing is run."""
    done = run("mdb_drop", *option)
    assert done.returncode == 1
    assert done.stderr.startswith(b"mdb_drop: --engine must be 0.9 or 1.0, not '")


def test_a_named_engine_does_not_read_the_other_format(engine: str, environment: Path, run: Run) -> None:
    """The choice is the caller's: the other engine's tool says that it cannot read the file."""
    [other] = ENGINES.keys() - {engine}
    done = run("mdb_stat", "--engine", other, environment)
    assert done.returncode == 1
    assert b"MDB_VERSION_MISMATCH" in done.stderr or b"MDB_INVALID" in done.stderr


def test_a_format_that_nobody_reads_is_named(environment: Path, run: Run) -> None:
    """A data format of neither engine is an error that names the file and the formats; no tool is run."""
    file = environment / "data.mdb"
    data = bytearray(file.read_bytes())
    at = data.index(struct.pack("=I", 0xBEEFC0DE)) + 4
    data[at : at + 4] = struct.pack("=I", 2)
    file.write_bytes(data)
    done = run("mdb_drop", environment)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"mdb_drop: {file}: LMDB's data format 2; the engines here read 1 (LMDB 0.9) and 3 (LMDB 1.0)\n"
    )
    assert file.read_bytes() == data


@pytest.mark.parametrize("content", [b"", b"short", b"no LMDB file" * 100])
def test_what_lmdb_did_not_write_is_left_to_the_tool(content: bytes, run: Run, tmp_path: Path) -> None:
    """A file without LMDB's magic number gets LMDB's own error."""
    (tmp_path / "file").write_bytes(content)
    assert engine_of(tmp_path / "file") is None
    done = run("mdb_stat", "-n", "file")
    assert done.returncode == 1
    assert b"mdb_env_open failed" in done.stderr


def test_what_is_not_there_is_left_to_the_tool(run: Run, tmp_path: Path) -> None:
    """A missing environment gets the tool's own error; a path through a file is named here."""
    assert engine_of(tmp_path / "missing") is None
    assert b"mdb_env_open failed, error 2" in run("mdb_stat", "missing").stderr
    (tmp_path / "file").touch()
    done = run("mdb_stat", "file/environment")
    assert (done.returncode, done.stderr[:10]) == (1, b"mdb_stat: ")
    assert b"Not a directory" in done.stderr


def test_a_data_file_tells_its_format(environment: Path, engine: str, tmp_path: Path) -> None:
    """The number in the file decides, as the engine wrote it."""
    head = (environment / "data.mdb").read_bytes()[:64]
    assert struct.pack("=II", 0xBEEFC0DE, FORMATS[engine]) in head
    (tmp_path / "x").write_bytes(struct.pack("=6I", 0, 0, 0, 0, 0xBEEFC0DE, 999))
    with pytest.raises(DataFormatError, match="x: LMDB's data format 999; the engines here read"):
        engine_of(tmp_path / "x")


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("mdb_stat ENV", True),
        ("mdb_stat -e ENV", True),
        ("mdb_stat -s NEW ENV", True),
        ("mdb_stat -sNEW ENV", True),
        ("mdb_stat -es NEW ENV", True),
        ("mdb_stat ENV -s NEW", True),
        ("mdb_stat -- ENV", True),
        ("mdb_stat -n -m NEW -w NEW ENV", True),
        ("mdb_stat -s ENV NEW", False),
        ("mdb_stat -s ENV", False),
        ("mdb_stat -s", False),
        ("mdb_stat --", False),
        ("mdb_stat -- -e ENV", False),
        ("mdb_stat - ENV", False),
        ("mdb_stat", False),
        ("mdb_stat NEW ENV", False),
        ("mdb_stat -f ENV", True),
        ("mdb_dump -f NEW ENV", True),
        ("mdb_dump -f ENV", False),
        ("mdb_dump -i 1 ENV", True),
        ("mdb_dump -apf NEW ENV", True),
        ("mdb_load -i ENV", True),
        ("mdb_load -f NEW -s NEW ENV", True),
        ("mdb_copy ENV NEW", True),
        ("mdb_copy -c ENV", True),
        ("mdb_copy -m NEW ENV", True),
        ("mdb_copy NEW ENV", False),
        ("mdb_drop -d -s NEW ENV", True),
        ("mdb_drop -ds ENV NEW", False),
    ],
)
def test_the_environment_is_found_among_the_arguments(
    command: str, found: bool, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options and their values are told from the environment as the tools themselves do."""
    (tmp_path / "ENV").mkdir()
    assert run("mdb_load", "--engine", "1.0", "ENV", stdin=DUMP).returncode == 0
    monkeypatch.chdir(tmp_path)
    tool, *arguments = command.split()
    assert choose(tool, arguments) == ("1.0" if found else "0.9", arguments)


def test_windows_waits_for_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """There execv would end the process that others wait for: the tool is a child, and its status is the process's."""
    called = []

    def child(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        called.append((command, check))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("sys.argv", ["mdb_stat", "--engine", "1.0", "-V"])
    monkeypatch.setattr("subprocess.run", child)
    with pytest.raises(SystemExit) as status:
        run_tool("mdb_stat")
    program = liblmdb_wheel.include_dir("1.0").parent / "bin" / "mdb_stat.exe"
    assert called == [([str(program), "-V"], False)]
    assert status.value.code == 3


@pytest.fixture
def waiting(installed: Path, environment: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An mdb_load that waits for its input."""
    with subprocess.Popen([installed.parent / "mdb_load", environment], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.requirement("R26")
def test_the_process_is_the_tool(engine: str, waiting: subprocess.Popen[bytes], bin_of: Callable[[str], Path]) -> None:
    """No interpreter stays in between: the process becomes the executable, and a signal ends that."""
    target = bin_of(engine).resolve() / "mdb_load"
    deadline = time.monotonic() + 60
    while Path(f"/proc/{waiting.pid}/exe").resolve() != target:
        assert waiting.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    waiting.send_signal(signal.SIGUSR1)  # which no shell has its background jobs ignore
    assert waiting.wait(60) == -signal.SIGUSR1


def test_a_tool_calls_itself_as_it_was_called(tool: str, engine: str, installed: Path, run: Run) -> None:
    """The usage has the name that was typed, and the exit status is the tool's."""
    done = run(tool, "--engine", engine)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"usage: {installed.parent / tool} ")


# -- what our own lines in the tools are for -------------------------------------------------------------------------


def test_a_failed_commit_of_mdb_drop_is_an_error(engine: str, environment: Path, bin_of: Callable[[str], Path]) -> None:
    """Where the commit fails, mdb_drop says so and ends; upstream's frees the transaction twice and aborts."""
    command = ["sh", "-c", NO_SPACE, bin_of(engine) / "mdb_drop", environment]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == "mdb_txn_commit failed, error 27 File too large\n"
    assert done.returncode == 1


def test_a_module_that_is_missing_is_an_error(tool: str, tmp_path: Path, run: Run) -> None:
    """Where -m names no module, nothing is done and the exit status says so; upstream's is 0."""
    done = run(tool, "--engine", "1.0", "-m", "./missing.so", tmp_path, stdin=DUMP)
    assert b"Failed to load crypto module: ./missing.so" in done.stderr
    assert done.returncode == 1


def test_mdb_drop_of_0_9_has_no_modules(tmp_path: Path, run: Run) -> None:
    """The option that mdb_drop has from 1.0 is refused in words."""
    done = run("mdb_drop", "--engine", "0.9", "-m", "liblmdb_pages.so.0", tmp_path)
    assert (done.returncode, done.stderr) == (1, b"Failed to load crypto module: LMDB 0.9 has no modules\n")


def test_an_encrypted_environment(run: Run, tmp_path: Path) -> None:
    """-m liblmdb_pages.so.0 needs no path; an encrypted environment is known for LMDB 1.0's, and opens by its key."""
    (tmp_path / "secret").mkdir()
    key = ["-m", "liblmdb_pages.so.0", "-w", "a pass phrase"]
    loaded = run("mdb_load", "--engine", "1.0", *key, "secret", stdin=DUMP)
    assert (loaded.returncode, loaded.stderr) == (0, b"")
    assert b"value 7" not in (tmp_path / "secret" / "data.mdb").read_bytes()
    assert run("mdb_dump", "-p", *key, "secret").stdout.endswith(RECORDS + b"DATA=END\n")
    for wrong in ([], [*key[:-1], "another"]):
        done = run("mdb_dump", "-p", *wrong, "secret")
        assert done.returncode == 1
        assert b"key" not in done.stdout
