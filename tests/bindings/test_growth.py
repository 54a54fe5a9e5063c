"""Maps that grow: by ``update``, by ``map_size="auto"``, and by what other processes do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb

Open = Callable[..., lmdb.Environment]

SMALL = 1 << 17


@pytest.fixture
def env(opened: Open) -> lmdb.Environment:
    """An environment with a small map, which does not wait for the disk."""
    return opened(map_size=SMALL, sync=False)


def size(env: lmdb.Environment) -> int:
    return env.info()["map_size"]


def large(txn: lmdb.Transaction) -> str:
    """Write four times the small map."""
    for number in range(128):
        txn.put(b"%03d" % number, bytes([number]) * 4096)
    return "written"


# -- update ----------------------------------------------------------------------------------------------------------


def test_update_commits(env: lmdb.Environment) -> None:
    """update() gives what the function returns, and commits what it wrote; the map stays as it is if it has room."""
    assert env.update(lambda txn: (txn.put(b"key", b"value"), txn.get(b"key"))) == (True, b"value")
    assert size(env) == SMALL
    with env.begin() as txn:
        assert list(txn.cursor()) == [(b"key", b"value")]


def test_update_grows(env: lmdb.Environment) -> None:
    """Where the map is full it is doubled until there is room; each attempt finds what was there before."""
    env.update(lambda txn: txn.put(b"before", b"1"))
    seen: list[list[bytes]] = []

    def work(txn: lmdb.Transaction) -> str:
        seen.append(list(txn.cursor().iternext(values=False)))
        txn.put(b"attempt", b"%d" % len(seen))
        return large(txn)

    assert env.update(work) == "written"
    assert size(env) in {SMALL << 3, SMALL << 4}
    assert len(seen) == (size(env) // SMALL).bit_length()
    assert seen == [[b"before"]] * len(seen)
    with env.begin() as txn:
        assert txn.get(b"attempt") == b"%d" % len(seen)
        assert all(txn.get(b"%03d" % number) == bytes([number]) * 4096 for number in range(128))


def test_one_value_larger_than_the_map(env: lmdb.Environment) -> None:
    """A single value may be many times the map."""
    assert env.update(lambda txn: txn.put(b"key", b"x" * (20 * SMALL)))
    with env.begin() as txn:
        assert txn.get(b"key") == b"x" * (20 * SMALL)


def test_update_in_databases(env: lmdb.Environment) -> None:
    """A database that the function opens may be opened again in the next attempt; its handle is good afterwards."""
    kept = env.open_db(b"kept", dupsort=True)

    def work(txn: lmdb.Transaction) -> Any:
        made = env.open_db(b"made", txn)
        txn.put(b"key", b"1", db=kept)
        txn.put(b"key", b"x" * (4 * SMALL), db=made)
        return made

    made = env.update(work)
    assert size(env) > SMALL
    assert env.open_db(b"made") is made
    with env.begin() as txn:
        assert len(txn.get(b"key", db=made)) == 4 * SMALL
        assert list(txn.cursor(kept)) == [(b"key", b"1")]


def test_bound(env: lmdb.Environment) -> None:
    """With ``most`` the map grows up to that and no further; then the error is LMDB's, and nothing is written."""
    with pytest.raises(lmdb.MapFullError, match=r"^mdb_put: MDB_MAP_FULL: .*\(Please use a larger Environment"):
        env.update(large, most=3 * SMALL)
    assert size(env) == 3 * SMALL
    with pytest.raises(lmdb.MapFullError, match="MDB_MAP_FULL"):
        env.update(large, most=SMALL)
    assert size(env) == 3 * SMALL
    with env.begin() as txn:
        assert txn.stat()["entries"] == 0
    assert env.update(large, most=20 * SMALL) == "written"
    assert size(env) == 12 * SMALL


def test_error_of_the_function(env: lmdb.Environment) -> None:
    """What the function raises ends the transaction, which is aborted, and the next writer has its turn."""

    def work(txn: lmdb.Transaction) -> None:
        txn.put(b"key", b"value")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        env.update(work)
    assert env.update(lambda txn: txn.get(b"key")) is None


def test_function_that_ends_the_transaction(env: lmdb.Environment) -> None:
    """A function may commit or abort by itself."""

    def end(txn: lmdb.Transaction, how: str) -> None:
        txn.put(how.encode(), b"value")
        getattr(txn, how)()

    env.update(lambda txn: end(txn, "commit"))
    env.update(lambda txn: end(txn, "abort"))
    with env.begin() as txn:
        assert list(txn.cursor().iternext(values=False)) == [b"commit"]


def test_update_within_a_writer(env: lmdb.Environment) -> None:
    """update() of a thread that has the write transaction is refused, as any second one."""
    with env.begin(write=True), pytest.raises(lmdb.Error, match=r"This would deadlock"):
        env.update(large)
    with pytest.raises(lmdb.Error, match=r"This would deadlock"):
        env.update(lambda _: env.update(large))
    assert env.update(large) == "written"


def test_reader_in_the_way(env: lmdb.Environment) -> None:
    """The map does not grow under a transaction of this process: update() gives up, and the reader goes on."""
    env.update(lambda txn: txn.put(b"key", b"value"))
    reader = env.begin()
    with pytest.raises(lmdb.Error, match=r"^The map is full, and cannot grow: 1 transactions of this process are open"):
        env.update(large, timeout=0.02)
    assert reader.get(b"key") == b"value"
    reader.abort()
    assert env.update(large) == "written"


def test_reader_that_goes(env: lmdb.Environment) -> None:
    """update() waits for the transactions of other threads, and goes on when they have ended."""
    reader, full = env.begin(), threading.Event()

    def read() -> None:
        full.wait()
        reader.abort()

    thread = threading.Thread(target=read)
    thread.start()

    def work(txn: lmdb.Transaction) -> str:
        try:
            return large(txn)
        finally:
            full.set()

    assert env.update(work) == "written"
    thread.join()


def test_view_in_the_way(env: lmdb.Environment) -> None:
    """A memoryview is in the way of growth as of set_mapsize(), and stays good."""
    env.update(lambda txn: txn.put(b"key", b"value" * 1000))
    with env.begin(buffers=True) as txn:
        view = txn.get(b"key")
    with pytest.raises(BufferError, match=r"^the map cannot move while memoryviews of it are alive"):
        env.update(large, timeout=0.02)
    assert view == b"value" * 1000
    del view
    assert env.update(large) == "written"


def test_spare_transactions_are_not_in_the_way(opened: Open) -> None:
    """Transactions that are kept for the next begin() end when the map grows, and new ones are made afterwards."""
    env = opened(map_size=SMALL, max_spare_txns=3)
    readers = [env.begin() for _ in range(3)]
    for reader in readers:
        reader.abort()
    assert env.update(large, timeout=0) == "written"
    with env.begin() as txn:
        assert txn.get(b"100") == bytes([100]) * 4096


def test_writers_in_threads(env: lmdb.Environment) -> None:
    """Threads that all write by update() fill the map many times, and none of their records is lost."""
    problems: list[str] = []

    def work(number: int) -> None:
        try:
            for step in range(16):
                env.update(lambda txn, step=step: txn.put(b"%d %d" % (number, step), bytes([step]) * 16384))  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001
            problems.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    with env.begin() as txn:
        assert txn.stat()["entries"] == 64
        assert all(value == bytes([int(key.split()[1])]) * 16384 for key, value in txn.cursor())


def test_another_process_has_grown(env: lmdb.Environment) -> None:
    """Where another process has made the map larger, update() takes over its size."""
    script = (
        "import lmdb_bindings as lmdb, sys\n"
        "with lmdb.open(sys.argv[1], map_size=1 << 24) as env: env.update(lambda t: t.put(b'their', b'x' * (1 << 20)))"
    )
    subprocess.run([sys.executable, "-c", script, env.path()], check=True)
    assert env.update(lambda txn: len(txn.get(b"their"))) == 1 << 20
    assert size(env) == 1 << 24


def test_read_only_environment(opened: Open) -> None:
    """A read-only environment has no update()."""
    opened().close()
    with pytest.raises(lmdb.ReadonlyError, match="read-only env"):
        opened(readonly=True).update(large)


# -- auto --------------------------------------------------------------------------------------------------------------


def test_auto(opened: Open, tmp_path: Path) -> None:
    """``map_size="auto"`` has room for anything, and takes no more of the disk than what is used."""
    env = opened(map_size="auto", sync=False)
    assert size(env) >= 1 << 30
    with env.begin(write=True) as txn:
        for number in range(16):
            txn.put(b"%d" % number, b"x" * (1 << 20))
    assert os.stat(tmp_path / "env" / "data.mdb").st_blocks * 512 < 1 << 26
    env.close()
    again = opened()
    with again.begin() as txn:
        assert len(txn.get(b"15")) == 1 << 20


def test_auto_with_little_address_space(engine: int, tmp_path: Path) -> None:
    """Where the process may not have so much address space, the map is as large as it can be."""
    script = """
import resource, sys
import lmdb_bindings as lmdb
lmdb.open(sys.argv[2], lib_version=int(sys.argv[1])).close()
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
env = lmdb.open(sys.argv[2], map_size="auto", lib_version=int(sys.argv[1]))
with env.begin(write=True) as txn: txn.put(b"key", b"x" * (1 << 24))
print(env.info()["map_size"])
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 6 << 30))
env.close()
try: lmdb.open(sys.argv[2], map_size="auto")
except lmdb.MemoryError as error: print(str(error).rpartition(": ")[2])
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
with lmdb.open(sys.argv[2]).begin() as txn: print(len(txn.get(b"key")))
"""
    done = subprocess.run([sys.executable, "-c", script, str(engine), tmp_path / "env"], capture_output=True, text=True)  # noqa: PLW1510
    assert (done.stdout.split("\n"), done.stderr) == (
        [str(1 << 32), "Cannot allocate memory", str(1 << 24), ""], "",
    )  # fmt: skip


def test_auto_with_writemap(opened: Open, tmp_path: Path) -> None:
    """With ``writemap`` the file has the size of the map at once, sparse: 1 GiB, or twice the file."""
    env = opened(map_size="auto", writemap=True)
    assert size(env) == 1 << 30
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    env.close()
    file = tmp_path / "env" / "data.mdb"
    assert os.stat(file).st_blocks * 512 < 1 << 24
    again = opened(map_size="auto", writemap=True)
    assert size(again) == 2 * os.path.getsize(file) or size(again) == 2 << 30
    with again.begin() as txn:
        assert txn.get(b"key") == b"value"


@pytest.mark.parametrize("value", ["", "big", "AUTO", "1024", b"auto"])
def test_what_is_no_size(opened: Open, value: Any) -> None:
    """A map size is a number or "auto"."""
    with pytest.raises((TypeError, ValueError)):
        opened(map_size=value)


def test_update_of_auto(opened: Open) -> None:
    """update() works on such a map too, and set_mapsize() may make it smaller."""
    env = opened(map_size="auto", sync=False)
    assert env.update(large) == "written"
    env.set_mapsize(1 << 24)
    assert size(env) == 1 << 24
    env.close()
    assert size(opened()) >= 10485760
