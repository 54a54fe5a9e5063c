"""Environments: their options, paths and files, their size, and their copies."""

from __future__ import annotations

import errno
import inspect
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"
PLAIN = {
    "subdir": True, "readonly": False, "metasync": True, "sync": True, "map_async": False,
    "readahead": True, "writemap": False, "meminit": True, "lock": True,
}  # fmt: skip

Open = Callable[..., lmdb.Environment]

# -- signatures ------------------------------------------------------------------------------------------------------

OPEN = (
    "path, map_size=10485760, subdir=True, readonly=False, metasync=True, sync=True, map_async=False, mode=493, "
    "create=True, readahead=True, writemap=False, meminit=True, max_readers=126, max_dbs=0, max_spare_txns=0, "
    "lock=True, lib_version=None"
)
OPEN_DB = (
    "key=None, txn=None, reverse_key=False, dupsort=False, create=True, integerkey=False, integerdup=False, "
    "dupfixed=False"
)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lmdb.version, "subpatch=False, lib_version=None"),
        (lmdb.Error, "what, code=0"),
        (lmdb.Environment, OPEN),
        (lmdb.Environment.open_db, f"self, {OPEN_DB}"),
        (lmdb.Environment.begin, "self, db=None, parent=None, write=False, buffers=False"),
        (lmdb.Environment.copy, "self, path, compact=False, txn=None"),
        (lmdb.Environment.copyfd, "self, fd, compact=False, txn=None"),
        (lmdb.Environment.sync, "self, force=False"),
        (lmdb.Environment.set_mapsize, "self, map_size"),
        (lmdb.Transaction, "env, db=None, parent=None, write=False, buffers=False"),
        (lmdb.Transaction.stat, "self, db=None"),
        (lmdb.Transaction.drop, "self, db, delete=True"),
        (lmdb.Transaction.get, "self, key, default=None, db=None"),
        (lmdb.Transaction.put, "self, key, value, dupdata=True, overwrite=True, append=False, db=None"),
        (lmdb.Transaction.delete, "self, key, value=b'', db=None"),
        (lmdb.Transaction.cursor, "self, db=None"),
        (lmdb.Cursor, "db, txn"),
        (lmdb.Cursor.get, "self, key, default=None"),
        (lmdb.Cursor.put, "self, key, value, dupdata=True, overwrite=True, append=False"),
        (lmdb.Cursor.delete, "self, dupdata=False"),
        (lmdb.Cursor.set_key_dup, "self, key, value"),
        (lmdb.Cursor.set_range_dup, "self, key, value"),
        (lmdb.Cursor.iternext, "self, keys=True, values=True"),
        (lmdb.Cursor.iternext_dup, "self, keys=False, values=True"),
        (lmdb.Cursor.iternext_nodup, "self, keys=True, values=False"),
        (lmdb.Cursor.iterprev, "self, keys=True, values=True"),
        (lmdb.Cursor.iterprev_dup, "self, keys=False, values=True"),
        (lmdb.Cursor.iterprev_nodup, "self, keys=True, values=False"),
    ],
)
def test_signature(function: Callable[..., Any], expected: str) -> None:
    """Names, order and defaults of the arguments are py-lmdb's, so calls by position mean the same; what is beyond them
    is given by name.
    """
    parameters = inspect.signature(function).parameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert ", ".join(map(str, bare)) == expected
    assert {p.kind for p in bare[1:]} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}  # of built-in methods, self is none


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "others"),
    [
        ("subdir", False, {}),
        ("metasync", False, {}),
        ("sync", False, {}),
        ("map_async", True, {"writemap": True}),
        ("readahead", False, {}),
        ("writemap", True, {}),
        ("meminit", False, {}),
        ("lock", False, {}),
    ],
)
def test_option(opened: Open, option: str, value: bool, others: dict[str, bool]) -> None:
    """Each option sets its own flag and no other, and the environment works with it."""
    env = opened(**{option: value}, **others)
    assert env.flags() == {**PLAIN, option: value, **others}
    with env.begin(write=True) as txn:
        assert txn.put(b"key", b"value")
    env.sync(True)
    with env.begin() as txn:
        assert txn.get(b"key") == b"value"


def test_options_take_any_truth(opened: Open) -> None:
    """An option is true or false as in an ``if``."""
    assert opened(sync=0, meminit=[], writemap=1).flags() == {
        **PLAIN,
        "sync": False,
        "meminit": False,
        "writemap": True,
    }


def test_read_only_flags(opened: Open) -> None:
    """A read-only environment says so, and neither syncs nor makes a database."""
    opened().close()
    env = opened(readonly=True)
    assert env.flags() == {**PLAIN, "readonly": True}
    with pytest.raises(lmdb.ReadonlyError, match=r"^mdb_env_sync: "):
        env.sync(True)
    with pytest.raises(lmdb.ReadonlyError, match=r"^mdb_dbi_open: "):
        env.open_db(b"new")
    with pytest.raises(lmdb.ReadonlyError) as caught:
        env.begin(write=True)
    assert str(caught.value) == "Cannot start write transaction with read-only env: Permission denied"
    assert caught.value.code == errno.EACCES


@pytest.mark.parametrize("option", ["map_size", "max_readers", "max_dbs"])
def test_negative_sizes(opened: Open, tmp_path: Path, option: str) -> None:
    """A negative size is an OverflowError before any file is made, and leaves nothing open."""
    with pytest.raises(OverflowError):
        opened(**{option: -1})
    assert list((tmp_path / "env").iterdir()) == []
    assert opened().stat()["entries"] == 0


def test_no_readers(opened: Open, tmp_path: Path) -> None:
    """A reader table without a slot is refused before any file is made."""
    with pytest.raises(lmdb.InvalidParameterError, match=r"^mdb_env_set_maxreaders: Invalid argument$"):
        opened(max_readers=0)
    assert list((tmp_path / "env").iterdir()) == []


def test_file_that_stays_empty(opened: Open, tmp_path: Path) -> None:
    """Options are checked before the file is opened, so a refused environment can be opened right after."""
    with pytest.raises(TypeError):
        opened(map_size="large")
    opened(map_size=1 << 20)
    assert (tmp_path / "env" / "data.mdb").exists()


# -- paths and files -------------------------------------------------------------------------------------------------


class BytesPath:
    """A PathLike of bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


@pytest.mark.parametrize(
    "kind", [str, os.fsencode, Path, BytesPath], ids=["str", "bytes", "PathLike", "bytes PathLike"]
)
@pytest.mark.parametrize("name", ["env", "with two spaces", "Ωμέγα ☃", "undecodable \udcff"])
def test_path(tmp_path: Path, engine: int, kind: Callable[[Path], Any], name: str) -> None:
    """A path may be of every kind that the system takes; path() is the str of it."""
    with lmdb.open(kind(tmp_path / name), lib_version=engine) as env:
        assert env.path() == str(tmp_path / name)
        assert sorted(os.listdir(tmp_path / name)) == ["data.mdb", "lock.mdb"]
    with lmdb.open(kind(tmp_path / f"{name}.file"), subdir=False, lib_version=engine) as env:
        assert env.path() == str(tmp_path / f"{name}.file")
    assert sorted(os.listdir(tmp_path)) == sorted([name, f"{name}.file", f"{name}.file-lock"])


@pytest.mark.parametrize("path", [None, 5, 1.5])
def test_what_is_no_path(path: Any) -> None:
    """What is no path is a TypeError."""
    with pytest.raises(TypeError, match=r"^expected str, bytes or os\.PathLike object, not "):
        lmdb.open(path)


@pytest.mark.parametrize("options", [{}, {"create": False}, {"subdir": False}], ids=["folder", "create", "file"])
def test_nul_in_path(tmp_path: Path, options: dict[str, bool]) -> None:
    """A path with a NUL is refused, not cut."""
    with pytest.raises(ValueError, match=r"null (byte|character)"):
        lmdb.open(f"{tmp_path}/cut\0off", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Let modes be what they are asked to be."""
    old = os.umask(0)
    yield
    os.umask(old)


@pytest.mark.usefixtures("no_umask")
@pytest.mark.parametrize(
    ("mode", "folder", "file"), [(0o755, 0o755, 0o644), (0o700, 0o700, 0o600), (0o770, 0o770, 0o660)]
)
def test_mode(opened: Open, tmp_path: Path, mode: int, folder: int, file: int) -> None:
    """The folder gets the mode, and both files the mode without its execute bits."""
    opened(mode=mode)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path, *tmp_path.rglob("*")) if path != tmp_path}
    assert modes == {"env": folder, "data.mdb": file, "lock.mdb": file}


def test_one_folder_is_made(opened: Open, tmp_path: Path) -> None:
    """The folder is made, and not its parents: those are a FileNotFoundError, as in py-lmdb."""
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "no" / "folder"))):
        opened("no/folder")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file(opened: Open, tmp_path: Path) -> None:
    """Where the folder should be and a file is, LMDB says so."""
    (tmp_path / "env").write_bytes(b"")
    with pytest.raises(lmdb.Error, match=r"/env: Not a directory$") as caught:
        opened()
    assert caught.value.code == errno.ENOTDIR


# -- opened once -----------------------------------------------------------------------------------------------------


def refused(path: Path) -> Any:
    return pytest.raises(lmdb.Error, match=f"^The environment {str(path)!r} is already open in this process\\.$")


@pytest.mark.parametrize("way", ["env", "../{name}/env", "link"])
def test_open_twice(opened: Open, tmp_path: Path, way: str) -> None:
    """A second opening is refused by whatever path, and allowed after close()."""
    first = opened()
    (tmp_path / "link").symlink_to(tmp_path / "env")
    way = way.format(name=tmp_path.name)
    with refused(tmp_path / way):
        opened(way)
    first.close()
    opened(way)
    with refused(tmp_path / "env"):
        opened()


@pytest.mark.parametrize("linked", ["file", "file-lock"])
def test_open_twice_by_hard_link(opened: Open, tmp_path: Path, linked: str) -> None:
    """A hard link to the data file or to the lock file is the same environment."""
    first = opened("file", subdir=False)
    os.link(tmp_path / linked, tmp_path / linked.replace("file", "other"))
    with refused(tmp_path / "other"):
        opened("other", subdir=False)
    first.close()
    opened("other", subdir=False)


def test_deleted_and_made_again(opened: Open, tmp_path: Path) -> None:
    """New files under the old path are another environment, which may be opened beside the deleted one."""
    first = opened()
    with first.begin(write=True) as txn:
        txn.put(b"key", b"old")
    for path in (tmp_path / "env").iterdir():
        path.unlink()
    second = opened()
    with second.begin(write=True) as txn:
        assert txn.get(b"key") is None
    first.close()
    with refused(tmp_path / "env"):
        opened()


def test_failed_opening_is_not_open(opened: Open, tmp_path: Path) -> None:
    """An opening that failed says the same thing again, and not that the environment is open."""
    (tmp_path / "file").write_bytes(b"nonsense" * 1000)
    for _ in range(2):
        with pytest.raises(lmdb.InvalidError, match=r"^\S+/file: MDB_INVALID: File is not an LMDB file$"):
            opened("file", subdir=False)


def test_two_processes(opened: Open) -> None:
    """Another process may have it open at the same time, and each sees what the other commits."""
    env = opened()
    script = "import lmdb_bindings as lmdb, sys\nwith lmdb.open(sys.argv[1]).begin(write=True) as t: t.put(b'key', b'theirs')"
    subprocess.run([sys.executable, "-c", script, env.path()], check=True)
    with env.begin() as txn:
        assert txn.get(b"key") == b"theirs"


# -- the size of the map ---------------------------------------------------------------------------------------------


def test_set_mapsize_ends_readers(opened: Open) -> None:
    """set_mapsize() ends read transactions with their cursors and iterators, spare ones too, and keeps databases."""
    env = opened(max_spare_txns=1)
    database = env.open_db(b"db", dupsort=True)
    with env.begin(write=True, db=database) as txn:
        txn.put(b"a", b"1")
        txn.put(b"b", b"2")
    env.begin().abort()
    reader, other = env.begin(db=database), env.begin(db=database)
    cursor, iterator = reader.cursor(), iter(other.cursor())
    assert next(iterator) == (b"a", b"1")
    assert cursor.first()
    env.set_mapsize(1 << 26)
    assert env.info()["map_size"] == 1 << 26
    for use in (reader.id, cursor.item, cursor.next, lambda: next(iterator), lambda: other.get(b"a")):
        with pytest.raises(lmdb.Error, match=GONE):
            use()
    with env.begin(db=database) as txn:
        assert list(txn.cursor()) == [(b"a", b"1"), (b"b", b"2")]


def test_set_mapsize_refuses_writers(opened: Open) -> None:
    """set_mapsize() refuses while a thread has the write transaction, which goes on unharmed."""
    env = opened()
    begun, go = threading.Event(), threading.Event()

    def write() -> None:
        with env.begin(write=True) as txn:
            begun.set()
            go.wait()
            txn.put(b"key", b"value")

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    reader = env.begin()
    with pytest.raises(lmdb.Error, match=r"^Cannot set_mapsize while a write transaction is active$"):
        env.set_mapsize(1 << 24)
    assert reader.get(b"key") is None
    go.set()
    writer.join()
    env.set_mapsize(1 << 24)
    with env.begin() as txn:
        assert txn.get(b"key") == b"value"


def test_adopting_a_larger_map(opened: Open) -> None:
    """What another process wrote beyond the map is MapResizedError, until set_mapsize(0) takes over its size."""
    env = opened(map_size=1 << 17)
    script = (
        "import lmdb_bindings as lmdb, sys\n"
        "with lmdb.open(sys.argv[1], map_size=1 << 24).begin(write=True) as t: t.put(b'key', b'x' * (1 << 20))"
    )
    subprocess.run([sys.executable, "-c", script, env.path()], check=True)
    with pytest.raises(lmdb.MapResizedError, match=r"^mdb_txn_begin: MDB_MAP_RESIZED: "):
        env.begin()
    env.set_mapsize(0)
    assert env.info()["map_size"] == 1 << 24
    with env.begin() as txn:
        assert len(txn.get(b"key")) == 1 << 20


def test_map_that_cannot_be(opened: Open) -> None:
    """Where the new map cannot be made the old one is gone, so the environment is closed; it can be opened again."""
    env = opened()
    reader = env.begin()
    with pytest.raises(lmdb.MemoryError, match=r"^mdb_env_set_mapsize: Cannot allocate memory$"):
        env.set_mapsize(1 << 62)
    for use in (env.begin, env.stat, reader.id):
        with pytest.raises(lmdb.Error, match=GONE):
            use()
    assert opened().stat()["entries"] == 0


def test_recovery_from_a_full_map(opened: Open) -> None:
    """After MapFullError the transaction is good for nothing but abort(); with a larger map the same write succeeds."""
    env = opened(map_size=1 << 16)
    txn = env.begin(write=True)
    assert txn.put(b"small", b"1")
    with pytest.raises(lmdb.MapFullError) as full:
        txn.put(b"large", b"x" * (1 << 17))
    assert str(full.value) == (
        "mdb_put: MDB_MAP_FULL: Environment mapsize limit reached (Please use a larger Environment(map_size=) parameter)"
    )
    for use in (lambda: txn.put(b"key", b"value"), lambda: txn.get(b"small"), txn.cursor):
        with pytest.raises(lmdb.BadTxnError, match="MDB_BAD_TXN: Transaction must abort"):
            use()
    with pytest.raises(lmdb.BadTxnError, match=r"^mdb_txn_commit: MDB_BAD_TXN: "):
        txn.commit()
    env.set_mapsize(1 << 20)
    with env.begin(write=True) as txn:
        assert txn.get(b"small") is None
        assert txn.put(b"large", b"x" * (1 << 17))
    assert env.stat()["entries"] == 1


# -- copies ----------------------------------------------------------------------------------------------------------


def test_compact_copy_is_smaller(opened: Open, tmp_path: Path) -> None:
    """A compact copy leaves out the pages that are free; both open with the engine of the original."""
    env = opened()
    with env.begin(write=True) as txn:
        for number in range(1000):
            txn.put(b"%d" % number, b"x" * 1000)
    with env.begin(write=True) as txn:
        for number in range(1, 1000):
            txn.delete(b"%d" % number)
    sizes = []
    for compact in (False, True):
        with (tmp_path / f"copy {compact}").open("wb") as stream:
            env.copyfd(stream.fileno(), compact)
        with lmdb.open(tmp_path / f"copy {compact}", subdir=False) as copy, copy.begin() as txn:
            assert copy.lib_version() == env.lib_version()
            assert list(txn.cursor()) == [(b"0", b"x" * 1000)]
        sizes.append((tmp_path / f"copy {compact}").stat().st_size)
    assert sizes[1] * 10 < sizes[0]


@pytest.mark.parametrize("kind", [str, os.fsencode, Path], ids=["str", "bytes", "PathLike"])
def test_copy_path(opened: Open, tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    """The target of a copy may be of every kind of path; without subdir it is the file to be made."""
    opened("folder").copy(kind(tmp_path))
    assert (tmp_path / "data.mdb").stat().st_size > 0
    opened("file", subdir=False).copy(kind(tmp_path / "copy"))
    assert (tmp_path / "copy").stat().st_size > 0


def test_copy_refuses(opened: Open, tmp_path: Path) -> None:
    """A missing folder, a file that is there, and a descriptor that is none are the system's errors."""
    env = opened()
    with pytest.raises(lmdb.Error, match=r"^mdb_env_copy2: No such file or directory$"):
        env.copy(tmp_path / "missing")
    with pytest.raises(lmdb.Error, match=r"^mdb_env_copy2: File exists$"):
        env.copy(tmp_path / "env")
    with pytest.raises(lmdb.Error, match=r"^mdb_env_copyfd2: Bad file descriptor$") as caught:
        env.copyfd(-1)
    assert caught.value.code == errno.EBADF


def test_copy_of_a_transaction_refuses(opened: Open, tmp_path: Path) -> None:
    """The snapshot to copy is an open transaction's, of this environment, and only a compact copy has one."""
    env, other = opened(), opened("other")
    ended = env.begin()
    ended.abort()
    with pytest.raises(TypeError, match=r"^txn argument only compatible with compact=True$"):
        env.copy(tmp_path, txn=env.begin())
    with pytest.raises(lmdb.Error, match=r"^The transaction belongs to another environment\.$"):
        env.copy(tmp_path, compact=True, txn=other.begin())
    with pytest.raises(lmdb.Error, match=GONE):
        env.copy(tmp_path, compact=True, txn=ended)
    assert not (tmp_path / "data.mdb").exists()


# -- readers of other processes ----------------------------------------------------------------------------------------


def test_reader_of_another_process(opened: Open) -> None:
    """A reader that lives is not cleared; when it was killed, its slot is, once."""
    env = opened()
    script = (
        "import lmdb_bindings as lmdb, sys\nreader = lmdb.open(sys.argv[1]).begin()\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, env.path()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert env.reader_check() == 0
        assert env.info()["num_readers"] == 1
        child.kill()
    assert env.reader_check() == 1
    assert env.reader_check() == 0


def test_readers_full(opened: Open) -> None:
    """One more reader than max_readers is an error with a hint, and the next one after the end of another is not."""
    env = opened(max_readers=2)
    first, _second = env.begin(), env.begin()
    with pytest.raises(lmdb.ReadersFullError) as full:
        env.begin()
    assert str(full.value) == (
        "mdb_txn_begin: MDB_READERS_FULL: Environment maxreaders limit reached "
        "(Please use a larger Environment(max_readers=) parameter)"
    )
    first.abort()
    env.begin()


def test_block(opened: Open) -> None:
    """A block closes the environment, also when an exception leaves it, which goes on."""
    with pytest.raises(ZeroDivisionError), opened() as env:
        raise ZeroDivisionError
    with pytest.raises(lmdb.Error, match=GONE):
        env.stat()
    with opened() as env:
        env.close()
