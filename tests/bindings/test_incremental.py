"""Incremental dumps of LMDB 1.0: what has changed since a transaction, loaded into a copy of what was there then."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb

Environments = Callable[..., lmdb.Environment]
Python = Callable[..., str]


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """Open an environment of LMDB 1.0; all are closed in the end."""
    environments = []

    def opened(name: str, **options: Any) -> lmdb.Environment:
        env = lmdb.open(tmp_path / name, **{"lib_version": 1, "max_dbs": 4, "map_size": 1 << 26, **options})
        environments.append(env)
        return env

    yield opened
    for env in environments:
        env.close()


def write(env: lmdb.Environment, step: int) -> None:
    """One commit: records that are new, replaced, deleted, large, and in a named database."""
    database = env.open_db(b"db", dupsort=True)
    with env.begin(write=True) as txn:
        for number in range(step * 40, step * 40 + 60):
            txn.put(b"%05d" % number, b"%d" % step * (number % 50 * 30))
        txn.delete(b"%05d" % (step * 40 - 3))
        txn.put(b"large", b"%d" % step * 20000)
        for number in range(30):
            txn.put(b"%02d" % number, b"%d" % step, db=database)


def content(env: lmdb.Environment) -> list[Any]:
    database = env.open_db(b"db")
    with env.begin() as txn:
        return [[pair for pair in txn.cursor() if pair[0] != b"db\0"], list(txn.cursor(database))]


def last(env: lmdb.Environment) -> int:
    return env.info()["last_txnid"]


def dump(env: lmdb.Environment, file: Path, since: int) -> int:
    """Dump to a file; the number of the last transaction that is in it."""
    with open(file, "wb") as stream:
        env.dump_incremental(stream.fileno(), since)
    return last(env)


def load(env: lmdb.Environment, file: Path) -> None:
    with open(file, "rb") as stream:
        env.load_incremental(stream.fileno())


@pytest.fixture
def source(opened: Environments, tmp_path: Path) -> lmdb.Environment:
    """An environment, and its copy, the base."""
    env = opened("source")
    write(env, 0)
    (tmp_path / "base").mkdir()
    env.copy(tmp_path / "base")
    return env


def test_chain_of_dumps(opened: Environments, source: lmdb.Environment, tmp_path: Path) -> None:
    """Dumps that are loaded in their order bring the base to each state that the source has had."""
    since, states = last(source), []
    for step in range(1, 4):
        for _ in range(step):
            write(source, step)
        since = dump(source, tmp_path / f"dump {step}", since)
        states.append(content(source))
    base = opened("base")
    for step, state in enumerate(states, 1):
        load(base, tmp_path / f"dump {step}")
        assert content(base) == state
    assert last(base) == last(source)
    base.close()
    again = opened("base")
    assert content(again) == states[-1]
    write(again, 9)
    write(source, 9)
    assert content(again) == content(source)


def test_dump_has_what_has_changed(source: lmdb.Environment, tmp_path: Path) -> None:
    """A dump has the pages that have changed, not the others; 0 means all."""
    since = last(source)
    with source.begin(write=True) as txn:
        txn.put(b"large", b"y" * 2000000)
    all_of_it, none, small = tmp_path / "all", tmp_path / "none", tmp_path / "small"
    since = dump(source, all_of_it, since)
    with source.begin(write=True) as txn:
        txn.put(b"small", b"1")
    dump(source, small, since)
    dump(source, none, last(source))
    assert 0 <= none.stat().st_size <= small.stat().st_size < 1 << 17 < 1 << 20 < all_of_it.stat().st_size


def test_dump_of_everything(opened: Environments, source: lmdb.Environment, tmp_path: Path) -> None:
    """A dump since 0 makes the whole environment in an empty one."""
    write(source, 1)
    dump(source, tmp_path / "dump", 0)
    target = opened("target")
    load(target, tmp_path / "dump")
    assert content(target) == content(source)


def test_dump_beside_others(opened: Environments, source: lmdb.Environment, tmp_path: Path) -> None:
    """A dump is made while others read; it waits for the writer of another thread, and has what that has committed."""
    since = last(source)
    reader = source.begin()
    begun = threading.Event()
    dumping = threading.Event()

    def work() -> None:
        with source.begin(write=True) as txn:
            begun.set()
            dumping.wait()
            txn.put(b"of the writer", b"value")

    writer = threading.Thread(target=work)
    writer.start()
    begun.wait()
    threading.Timer(0.05, dumping.set).start()
    dump(source, tmp_path / "dump", since)
    writer.join()
    base = opened("base")
    load(base, tmp_path / "dump")
    assert content(base) == content(source)
    with base.begin() as txn:
        assert txn.get(b"of the writer") == b"value"
    assert reader.get(b"of the writer") is None


WITHIN_A_WRITER = """
import faulthandler, os, sys
import lmdb_bindings as lmdb
faulthandler.dump_traceback_later(10, exit=True)
env = lmdb.open(sys.argv[1], lib_version=int(sys.argv[2]))
sink = os.open(os.devnull, os.O_WRONLY)
os.mkdir(sys.argv[1] + "/copy")
with env.begin(write=True) as txn:
    txn.put(b"key", b"value")
    try: {use}
    except lmdb.Error as error: print("deadlock" in str(error))
with env.begin() as txn: print(txn.get(b"key"))
{use}
"""


def test_dump_within_a_writer(python: Python, tmp_path: Path) -> None:
    """A dump in the thread that writes would wait for itself: it is refused, and the writer goes on."""
    script = WITHIN_A_WRITER.format(use="env.dump_incremental(sink, 0)")
    assert python(script, tmp_path / "env", "1") == "True\nb'value'"


@pytest.mark.parametrize("use", ["env.copyfd(sink)", "env.copy(sys.argv[1] + '/copy')"])
def test_copy_within_a_writer(python: Python, engine: int, tmp_path: Path, use: str) -> None:
    """So would a copy that is not compact."""
    assert python(WITHIN_A_WRITER.format(use=use), tmp_path / "env", str(engine)) == "True\nb'value'"


def test_handles_go_on(opened: Environments, source: lmdb.Environment, tmp_path: Path) -> None:
    """After load_incremental() handles of databases are good, and databases that it brought can be opened."""
    since = last(source)
    write(source, 1)
    with source.begin(write=True, db=source.open_db(b"new")) as txn:
        txn.put(b"key", b"of the new one")
    dump(source, tmp_path / "dump", since)
    base = opened("base", max_spare_txns=1)
    database = base.open_db(b"db")
    base.begin().abort()
    load(base, tmp_path / "dump")
    assert base.open_db(b"db") is database
    with base.begin(db=database) as txn:
        assert txn.stat()["entries"] == 60
    with base.begin(db=base.open_db(b"new", create=False)) as txn:
        assert txn.get(b"key") == b"of the new one"


def test_load_refuses(opened: Environments, source: lmdb.Environment, tmp_path: Path) -> None:
    """Transactions and views of this process are in the way of load_incremental(), and stay as they are."""
    since = last(source)
    write(source, 1)
    dump(source, tmp_path / "dump", since)
    base = opened("base")
    before = content(base)
    message = r"^load_incremental\(\) while transactions, or memoryviews that they gave, are open"
    txn = base.begin(buffers=True)
    with pytest.raises(lmdb.Error, match=message):
        load(base, tmp_path / "dump")
    view = txn.get(b"large")
    txn.abort()
    with pytest.raises(lmdb.Error, match=message):
        load(base, tmp_path / "dump")
    assert view == b"0" * 20000
    del view
    writer = base.begin(write=True)
    with pytest.raises(lmdb.Error, match=message):
        load(base, tmp_path / "dump")
    writer.abort()
    assert content(base) == before
    load(base, tmp_path / "dump")
    assert content(base) == content(source)


def test_read_only(opened: Environments, source: lmdb.Environment, tmp_path: Path) -> None:
    """A read-only environment can be dumped, and not be loaded into."""
    since = last(source)
    write(source, 1)
    expected = content(source)
    source.close()
    reader = opened("source", readonly=True)
    dump(reader, tmp_path / "dump", since)
    with pytest.raises(lmdb.ReadonlyError, match=r"^load_incremental\(\) of a read-only environment"):
        load(reader, tmp_path / "dump")
    base = opened("base")
    load(base, tmp_path / "dump")
    assert content(base) == expected


def test_no_other_beside_it(opened: Environments, source: lmdb.Environment, tmp_path: Path) -> None:
    """After load_incremental() the environment has its files as before: nobody else opens them in this process."""
    since = last(source)
    write(source, 1)
    dump(source, tmp_path / "dump", since)
    base = opened("base")
    load(base, tmp_path / "dump")
    with pytest.raises(lmdb.Error, match="already open in this process"):
        lmdb.open(tmp_path / "base")
    assert content(base) == content(source)
    base.close()
    lmdb.open(tmp_path / "base").close()


def test_relative_path(
    opened: Environments,  # noqa: ARG001
    source: lmdb.Environment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """load_incremental() opens the folder again that it has loaded into, whatever the current folder is."""
    since = last(source)
    write(source, 1)
    dump(source, tmp_path / "dump", since)
    monkeypatch.chdir(tmp_path)
    with lmdb.open("base", max_dbs=4) as base:
        monkeypatch.chdir(tmp_path / "source")
        load(base, tmp_path / "dump")
        assert content(base) == content(source)


@pytest.mark.parametrize("options", [{"checksum": "crc32c"}, {"encryption_key": b"k" * 32}])
def test_protected_pages(opened: Environments, tmp_path: Path, options: dict[str, Any]) -> None:
    """Checked and encrypted environments are not dumped: the error says what to do, and the file stays empty."""
    env = opened("protected", **options)
    write(env, 0)
    with pytest.raises(lmdb.Error, match=r"cannot dump environments with checksums or encryption: use copy\(\)$"):
        dump(env, tmp_path / "dump", 0)
    assert (tmp_path / "dump").stat().st_size == 0


def test_other_page_sizes(opened: Environments, tmp_path: Path) -> None:
    """Pages may have another size."""
    for size in (512, 16384):
        env = opened(f"source {size}", page_size=size)
        write(env, 0)
        (tmp_path / f"base {size}").mkdir()
        env.copy(tmp_path / f"base {size}")
        since = last(env)
        write(env, 1)
        dump(env, tmp_path / "dump", since)
        base = opened(f"base {size}")
        load(base, tmp_path / "dump")
        assert content(base) == content(env)


def test_files_that_fail(opened: Environments, source: lmdb.Environment, tmp_path: Path) -> None:
    """What cannot be written leaves the source alone; what cannot be read closes the target, which can be opened."""
    since = last(source)
    write(source, 1)
    (tmp_path / "file").touch()
    expected = content(source)
    with open(tmp_path / "file", "rb") as stream, pytest.raises(lmdb.Error, match=r"^mdb_env_incr_dumpfd: Bad file"):
        source.dump_incremental(stream.fileno(), since)
    assert content(source) == expected
    base = opened("base")
    before = content(base)
    with open(tmp_path / "file", "wb") as stream, pytest.raises(lmdb.Error, match=r"^mdb_env_incr_loadfd: Bad file"):
        base.load_incremental(stream.fileno())
    with pytest.raises(lmdb.Error, match="closed/deleted/dropped"):
        base.begin()
    assert content(opened("base")) == before
    with pytest.raises(OverflowError):
        source.dump_incremental(os.dup(1), -1)
