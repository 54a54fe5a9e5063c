"""One environment for its files in a process: shared by an explicit call, and by pickling, also between processes."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb

Open = Callable[..., lmdb.Environment]
Python = Callable[..., str]

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"
ALREADY = r"^The environment '.*' is already open in this process\.$"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "env"


def put(env: lmdb.Environment, key: bytes, value: bytes) -> None:
    with env.begin(write=True) as txn:
        txn.put(key, value)


def get(env: lmdb.Environment, key: bytes) -> Any:
    with env.begin() as txn:
        return txn.get(key)


# -- open_shared -----------------------------------------------------------------------------------------------------


def test_every_user_closes(path: Path, engine: int) -> None:
    """Each call of open_shared() is a use of one environment, which the last close() closes, and only that."""
    users = [lmdb.open_shared(path, lib_version=engine) for _ in range(3)]
    assert users[0] is users[1] is users[2]
    for _ in range(2):
        users.pop().close()
        put(users[0], b"key", b"value")
        with pytest.raises(lmdb.Error, match=ALREADY):
            lmdb.open(path)
    users[0].close()
    with pytest.raises(lmdb.Error, match=GONE):
        users[0].begin()
    users[0].close()
    with lmdb.open_shared(path) as again:
        assert again is not users[0]
        assert get(again, b"key") == b"value"
    with lmdb.open(path) as alone:
        assert get(alone, b"key") == b"value"


def test_close_of_one_user_ends_nothing(path: Path) -> None:
    """While there is another user, close() leaves transactions alone."""
    env, other = lmdb.open_shared(path), lmdb.open_shared(path)
    reader, writer = env.begin(), env.begin(write=True)
    writer.put(b"key", b"value")
    other.close()
    writer.commit()
    assert reader.get(b"key") is None
    env.close()
    with pytest.raises(lmdb.Error, match=GONE):
        reader.get(b"key")


def test_shares_what_open_has_opened(opened: Open, path: Path) -> None:
    """An environment of open() can be shared; open() itself never shares."""
    env = opened()
    assert lmdb.open_shared(path) is env
    env.close()
    assert env.stat()["entries"] == 0
    env.close()
    with lmdb.open_shared(path), pytest.raises(lmdb.Error, match=ALREADY):
        lmdb.open(path)


@pytest.mark.parametrize("way", ["relative", "dots", "symlink", "bytes", "hard link"])
def test_any_path_to_the_files(opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The files are what counts, not how they are named."""
    env = opened()
    folder = path.parent
    other: Any
    if way == "relative":
        monkeypatch.chdir(folder)
        other = "env"
    elif way == "dots":
        other = folder / "env" / ".." / "env"
    elif way == "symlink":
        (folder / "link").symlink_to(path)
        other = folder / "link"
    elif way == "bytes":
        other = os.fsencode(path)
    else:
        other = folder / "links"
        other.mkdir()
        for name in ("data.mdb", "lock.mdb"):
            os.link(path / name, other / name)
    assert lmdb.open_shared(other) is env
    env.close()


def test_one_file(tmp_path: Path, engine: int) -> None:
    """Without ``subdir`` the path is that of the data file."""
    with lmdb.open_shared(tmp_path / "file", subdir=False, lib_version=engine) as env:
        assert lmdb.open_shared(tmp_path / "file", subdir=False) is env
        env.close()
    assert (tmp_path / "file").is_file()


def test_read_only_user(opened: Open, path: Path) -> None:
    """Who only reads shares an environment that can write; who writes is refused one that is read-only."""
    env = opened()
    assert lmdb.open_shared(path, readonly=True) is env
    env.close()
    env.close()
    reader = opened(readonly=True)
    assert lmdb.open_shared(path, readonly=True) is reader
    reader.close()
    with pytest.raises(lmdb.Error, match=r"is open in this process, and is read-only"):
        lmdb.open_shared(path)
    reader.close()
    lmdb.open_shared(path).close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_dbs": 9}, r"has max_dbs=8"),
        ({"map_size": 1 << 24}, r"has map_size=10485760"),
        ({"map_size": "auto"}, r"has map_size=10485760"),
        ({"page_size": 1024}, r"has page_size=None"),
        ({"checksum": "crc32c"}, r"has checksum=None"),
        ({"encryption_key": b"k" * 32}, r"has another encryption_key"),
        ({"readonly": True, "previous_snapshot": True}, r"has previous_snapshot="),
    ],
)
def test_what_it_has_not(opened: Open, path: Path, options: dict[str, Any], message: str) -> None:
    """Who asks for more than the open environment has is told what that is, and is no user of it."""
    env = opened()
    with pytest.raises(lmdb.Error, match=message):
        lmdb.open_shared(path, **options)
    env.close()
    with pytest.raises(lmdb.Error, match=GONE):
        env.begin()


def test_another_engine(opened: Open, path: Path, engine: int) -> None:
    """The engine that is asked for must be the one in use."""
    env = opened()
    assert lmdb.open_shared(path, lib_version=engine) is env
    with pytest.raises(lmdb.Error, match=r"has LMDB (0\.9|1\.0)"):
        lmdb.open_shared(path, lib_version=1 - engine)
    env.close()


def test_another_key(path: Path) -> None:
    """An encrypted environment is shared by those who name its key."""
    with lmdb.open(path, encryption_key=b"k" * 32) as env:
        assert lmdb.open_shared(path, encryption_key=b"k" * 32) is env
        env.close()
        with pytest.raises(lmdb.Error, match=r"has another encryption_key"):
            lmdb.open_shared(path, encryption_key=b"x" * 32)


def test_less_than_it_has(opened: Open, path: Path) -> None:
    """Who asks for less shares it."""
    env = opened(max_dbs=8, map_size=1 << 24)
    assert lmdb.open_shared(path, max_dbs=1, map_size=1 << 20) is env
    env.set_mapsize(1 << 26)
    assert lmdb.open_shared(path, map_size=1 << 26) is env
    env.close()
    env.close()


def test_options_of_the_first_opening(path: Path, engine: int) -> None:
    """Where the files are not open yet the options are those of open(), errors included."""
    with lmdb.open_shared(path, lib_version=engine, max_dbs=3, map_size=1 << 20, sync=False) as env:
        assert env.info()["map_size"] == 1 << 20
        assert env.flags()["sync"] is False
    with pytest.raises(lmdb.Error, match="No such file or directory"):
        lmdb.open_shared(path / "missing" / "too", create=False)
    with pytest.raises(TypeError, match="unexpected keyword"):
        lmdb.open_shared(path, colour="red")


def test_views_of_a_closed_one(path: Path, engine: int) -> None:
    """An environment that is closed, and waits for its views, is shared no more, and cannot be opened beside them."""
    env = lmdb.open_shared(path, lib_version=engine)
    put(env, b"key", b"value")
    with env.begin(buffers=True) as txn:
        view = txn.get(b"key")
    env.close()
    with pytest.raises(lmdb.Error, match=ALREADY):
        lmdb.open_shared(path)
    assert view == b"value"
    del view
    lmdb.open_shared(path).close()


def test_users_in_threads(path: Path, engine: int) -> None:
    """Threads that come and go share one environment at a time, and none has it closed under its hands."""
    problems: list[str] = []

    def use(number: int) -> None:
        try:
            for _ in range(30):
                env = lmdb.open_shared(path, lib_version=engine, sync=False)
                put(env, b"%d" % number, b"value")
                if get(env, b"%d" % number) != b"value":
                    problems.append("lost")
                env.close()
        except lmdb.Error as error:
            problems.append(repr(error))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not problems
    lmdb.open(path).close()


def test_user_who_comes_while_the_last_one_waits(opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who comes while the close() of the last one waits for a writer keeps the environment open."""
    env = opened()
    begun, go, closing = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        with env.begin(write=True):
            begun.set()
            go.wait()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    take_turn = env._access.take_turn

    def noted(timeout: float | None = None) -> bool:
        closing.set()
        return take_turn(timeout)

    monkeypatch.setattr(env._access, "take_turn", noted)
    closer = threading.Thread(target=env.close)
    closer.start()
    closing.wait()
    other = lmdb.open_shared(path)
    go.set()
    writer.join()
    closer.join()
    put(other, b"key", b"value")
    other.close()
    with lmdb.open(path) as again:
        assert get(again, b"key") == b"value"


def test_opening_while_the_last_user_closes(python: Python, engine: int, path: Path) -> None:
    """open_shared() and the close() of the last user, which each wait for what the other has, both come to an end.

    Both are held where the interpreter may switch to the other.
    """
    script = """
import faulthandler, sys, threading, time
import lmdb_bindings as lmdb
faulthandler.dump_traceback_later(10, exit=True)
env = lmdb.open(sys.argv[2], lib_version=int(sys.argv[1]))
looking, lacks, orphans = threading.Event(), env._lacks, env._end_orphans
def late_lacks(options):
    looking.set()
    until = time.monotonic() + 0.5
    while not env._access._alone and time.monotonic() < until: time.sleep(0.001)
    return lacks(options)
def late_orphans():
    if not looking.is_set():
        opener.start(); looking.wait(0.5)
    orphans()
env._lacks, env._end_orphans = late_lacks, late_orphans
found = []
opener = threading.Thread(target=lambda: found.append(lmdb.open_shared(sys.argv[2])))
env.close(); opener.join()
with found[0].begin(write=True) as txn: print(txn.put(b"key", b"value"))
"""
    assert python(script, str(engine), path) == "True"


# -- pickling in one process -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [lambda env: pickle.loads(pickle.dumps(env)), copy.copy, copy.deepcopy])
def test_pickle_in_one_process(opened: Open, again: Callable[[lmdb.Environment], lmdb.Environment]) -> None:
    """In the process that has it open, an environment comes back as itself, with one user more."""
    env = opened()
    put(env, b"key", b"value")
    assert again(env) is env
    env.close()
    assert get(env, b"key") == b"value"
    env.close()
    with pytest.raises(lmdb.Error, match=GONE):
        env.begin()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_options_are_pickled(path: Path, engine: int, protocol: int) -> None:
    """After its end, the pickle of an environment opens it with the same options, and the size its map had at last."""
    options = {"max_dbs": 5, "max_readers": 9, "sync": False, "meminit": False, "readahead": False, "max_spare_txns": 2}
    with lmdb.open(path, lib_version=engine, map_size=1 << 20, **options) as env:
        env.set_mapsize(1 << 25)
        put(env, b"key", b"value")
        pickled = pickle.dumps(env, protocol)
        before = env.flags(), env.info()["map_size"], env.max_readers(), env.lib_version()
    with pickle.loads(pickled) as again:
        assert (again.flags(), again.info()["map_size"], again.max_readers(), again.lib_version()) == before
        assert get(again, b"key") == b"value"
        for number in range(5):
            again.open_db(b"%d" % number)
        with pytest.raises(lmdb.DbsFullError, match="mdb_dbi_open"):
            again.open_db(b"one more")


@pytest.mark.parametrize("subdir", [True, False])
def test_relative_path_is_pickled(tmp_path: Path, engine: int, monkeypatch: pytest.MonkeyPatch, subdir: bool) -> None:
    """A pickle names the folder where the environment was opened, wherever it was made, and wherever it is loaded."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    with lmdb.open("env", lib_version=engine, subdir=subdir) as env:
        put(env, b"key", b"value")
        monkeypatch.chdir(tmp_path / "two")
        pickled = pickle.dumps(env)
        assert pickle.loads(pickled) is env
        env.close()
    with pickle.loads(pickled) as again:
        assert get(again, b"key") == b"value"
    assert not list((tmp_path / "two").iterdir())


def test_read_only_is_pickled(opened: Open) -> None:
    """What was read-only stays so."""
    opened().close()
    env = opened(readonly=True)
    pickled = pickle.dumps(env)
    env.close()
    with pickle.loads(pickled) as again, pytest.raises(lmdb.ReadonlyError, match="read-only env"):
        again.begin(write=True)


@pytest.mark.parametrize("options", [{"checksum": "blake2b"}, {"page_size": 512}])
def test_options_of_1_0_are_pickled(path: Path, options: dict[str, Any]) -> None:
    """Checksums and the size of pages are options like others."""
    with lmdb.open(path, **options) as env:
        put(env, b"key", b"value")
        pickled, size = pickle.dumps(env), env.stat()["psize"]
    with pickle.loads(pickled) as again:
        assert (get(again, b"key"), again.stat()["psize"]) == (b"value", size)


def test_key_is_not_pickled(path: Path) -> None:
    """An encrypted environment refuses to be pickled, or copied, and its key is in no error."""
    key = b"a very secret key of 32 bytes..."
    with lmdb.open(path, encryption_key=key) as env:
        for use in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"^an encrypted environment is not pickled") as caught:
                use(env)
            assert key.decode() not in repr(caught.value)


def test_transactions_are_not_pickled(opened: Open) -> None:
    """What lives in an environment belongs to its process: no pickle of it is made."""
    env = opened()
    with env.begin() as txn:
        for thing in (txn, txn.cursor(), env.open_db(None), iter(txn.cursor()), txn.scan()):
            with pytest.raises((TypeError, pickle.PicklingError), match="pickle"):
                pickle.dumps(thing)


# -- other processes ---------------------------------------------------------------------------------------------------

WORKERS = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import lmdb_bindings as lmdb

def slots(env):
    lines = [line.split() for line in env.readers().splitlines()]
    return [int(pid) for pid, _, number in lines if pid.isdigit() and number != "-"]

def work(env, number):
    "In the worker: read as itself, write, and give the environment back."
    with env.begin() as txn:
        assert txn.get(b"key") == b"value", txn.get(b"key")
        assert os.getpid() in slots(env)
    with env.begin(write=True) as txn: txn.put(b"worker %d" % number, b"%d" % os.getpid())
    return env, os.getpid(), env.flags(), env.info()["map_size"]

def check(env, number):
    work(env, number)
    env.close()

if __name__ == "__main__":
    engine, path, method, how = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    context = multiprocessing.get_context(method)
    env = lmdb.open(path, lib_version=engine, map_size=1 << 25, meminit=False)
    with env.begin(write=True) as txn: txn.put(b"key", b"value")
    reader = env.begin()
    before = slots(env)
    if how == "process":
        workers = [context.Process(target=check, args=(env, number)) for number in range(2)]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]
    else:
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            results = [result for result in pool.map(work, [env] * 4, range(4))]
        for back, pid, flags, size in results:
            assert back is env and pid != os.getpid() and (flags, size) == (env.flags(), 1 << 25)
        for _ in results: env.close()  # each result is one more user
    assert env.reader_check() in (0, 1, 2) and slots(env) == before == [os.getpid()]
    assert reader.get(b"worker 0") is None
    with env.begin() as txn: print(txn.stat()["entries"], os.getpid() not in {int(v) for k, v in txn.cursor() if k != b"key"})
    env.close()
    lmdb.open(path).close()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize(("how", "entries"), [("process", 3), ("pool", 5)])
@pytest.mark.filterwarnings("default")
def test_workers(tmp_path: Path, python: Python, engine: int, method: str, how: str, entries: int) -> None:
    """Workers that are given an environment open it themselves, read under their own number, and can give it back."""
    main = tmp_path / "main.py"
    main.write_text(WORKERS)
    run = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    if method == "fork":
        assert python(run, main, str(engine), tmp_path / "env", method, how) == f"{entries} True"
        return
    # These import the main module by its file.
    script = (
        f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, {str(main)!r}, *sys.argv[1:]]).returncode)"
    )
    assert python(script, str(engine), tmp_path / "env", method, how) == f"{entries} True"
