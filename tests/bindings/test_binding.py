"""The core of py-lmdb's API, on each engine."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lmdb_bindings as lmdb

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"

Open = Callable[..., lmdb.Environment]


def fill(env: lmdb.Environment, *keys: bytes, **options: Any) -> None:
    with env.begin(write=True, **options) as txn:
        for key in keys:
            assert txn.put(key, key.upper())


# -- environments ----------------------------------------------------------------------------------------------------


def test_open_is_the_class() -> None:
    """As in py-lmdb, ``open`` is another name of Environment."""
    assert lmdb.open is lmdb.Environment


def test_paths_of_every_kind(tmp_path: Path) -> None:
    """A path may be str, bytes or PathLike, with spaces and other letters; path() gives a str."""
    for given_path in (str(tmp_path / "a b"), os.fsencode(tmp_path / "ü"), tmp_path / "c"):
        with lmdb.open(given_path) as env:
            assert env.path() == os.fsdecode(given_path)
            assert (Path(os.fsdecode(given_path)) / "data.mdb").exists()


def test_options_round_trip(opened: Open) -> None:
    """flags() gives the options that the environment was opened with."""
    assert opened("plain").flags() == {
        "subdir": True, "readonly": False, "metasync": True, "sync": True, "map_async": False,
        "readahead": True, "writemap": False, "meminit": True, "lock": True,
    }  # fmt: skip
    odd = {"metasync": False, "sync": False, "map_async": True, "readahead": False, "writemap": True, "meminit": False}
    flags = opened("odd", **odd).flags()
    assert {name: flags[name] for name in odd} == odd
    assert opened("file", subdir=False, lock=False).flags()["lock"] is False


def test_the_data_file_has_the_mode(opened: Open, tmp_path: Path) -> None:
    """The files get the mode without its execute bits."""
    opened("env", mode=0o750)
    assert (tmp_path / "env" / "data.mdb").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder(tmp_path: Path) -> None:
    """With create=False a missing folder is an error with its path and the system's words."""
    with pytest.raises(lmdb.Error, match=r"absent: No such file or directory$") as caught:
        lmdb.open(tmp_path / "absent", create=False)
    assert caught.value.code == errno.ENOENT


def test_readonly(opened: Open, tmp_path: Path) -> None:
    """A read-only environment reads, and refuses to write."""
    env = opened()
    fill(env, b"a")
    env.close()
    with lmdb.open(tmp_path / "env", readonly=True) as env:
        assert env.readonly is True
        with env.begin() as txn:
            assert txn.get(b"a") == b"A"
        with pytest.raises(lmdb.ReadonlyError, match="Cannot start write transaction with read-only env"):
            env.begin(write=True)


def test_no_file_is_opened_twice(opened: Open, tmp_path: Path) -> None:
    """A second opening is refused, also through a hard link; after close() it is allowed."""
    first = opened("first", subdir=False)
    os.link(tmp_path / "first", tmp_path / "link")
    for name in ("first", "link"):
        with pytest.raises(lmdb.Error, match=rf"^The environment '\S+{name}' is already open in this process\.$"):
            opened(name, subdir=False)
    first.close()
    opened("link", subdir=False)


def test_the_engine_is_chosen_by_the_file(engine: int, opened: Open, tmp_path: Path) -> None:
    """An existing file opens with the engine that wrote it, whatever the default; the other engine refuses it."""
    env = opened()
    version = env.lib_version()
    assert version == lmdb.version(lib_version=engine)
    env.close()
    with lmdb.open(tmp_path / "env") as again:
        assert again.lib_version() == version
    with pytest.raises((lmdb.InvalidError, lmdb.VersionMismatchError)):
        lmdb.open(tmp_path / "env", lib_version=1 - engine)


def test_formats_that_nobody_reads(opened: Open, tmp_path: Path) -> None:
    """Data format 2, and any unknown one, is refused by name; other files are LMDB's to refuse."""
    opened().close()
    path = tmp_path / "env" / "data.mdb"
    data = bytearray(path.read_bytes())
    at = data.index((0xBEEFC0DE).to_bytes(4, sys.byteorder)) + 4
    for version, words in ((2, "LMDB data format v2 .a pre-1.0 development version"), (9, "v9 is not supported")):
        data[at : at + 4] = version.to_bytes(4, sys.byteorder)
        path.write_bytes(data)
        with pytest.raises(lmdb.Error, match=words):
            lmdb.open(tmp_path / "env")
    path.write_bytes(b"not a database, and longer than a header " * 1000)
    with pytest.raises(lmdb.InvalidError):
        lmdb.open(tmp_path / "env")


def test_the_default_engine_is_a_switch(tmp_path: Path) -> None:
    """LMDB_DEFAULT_LIB_VERSION chooses the engine of new files, and is strict about its values."""
    script = "import lmdb_bindings as lmdb, sys; print(lmdb.open(sys.argv[1]).lib_version()[0], lmdb.version()[0])"
    for value in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", script, tmp_path / value], env={**os.environ, "LMDB_DEFAULT_LIB_VERSION": value},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == f"{value} {value}\n"
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "x"], env={**os.environ, "LMDB_DEFAULT_LIB_VERSION": "2"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "LMDB_DEFAULT_LIB_VERSION is '2': set it to 0 (LMDB 0.9) or 1 (LMDB 1.0), or unset it" in done.stderr


def test_version() -> None:
    """version() has three numbers, or four with subpatch; unknown engines are refused as py-lmdb does."""
    assert lmdb.version() == (0, 9, 36)
    assert lmdb.version(subpatch=True, lib_version=1) == (1, 0, 2, 1)
    with pytest.raises(lmdb.Error, match=r"^lib_version=2: this build has no LMDB 2\.x engine\.$"):
        lmdb.version(lib_version=2)
    with pytest.raises(OverflowError, match="Integer argument must be >= 0"):
        lmdb.version(lib_version=-1)


def test_stat_and_info(env: lmdb.Environment) -> None:
    """stat() and info() have py-lmdb's keys, and count."""
    fill(env, b"a", b"b")
    stat = env.stat()
    assert set(stat) == {"psize", "depth", "branch_pages", "leaf_pages", "overflow_pages", "entries"}
    assert (stat["entries"], stat["depth"]) == (2, 1)
    info = env.info()
    assert set(info) == {"map_addr", "map_size", "last_pgno", "last_txnid", "max_readers", "num_readers"}
    assert (info["map_size"], info["last_txnid"], info["max_readers"]) == (10485760, 1, 126)
    assert env.max_readers() == 126
    assert env.max_key_size() == (511 if env.lib_version() < (1,) else 1978)


def test_copies(opened: Open, tmp_path: Path) -> None:
    """copy() and copyfd() write a whole environment, compact or not, and the snapshot of a transaction."""
    env = opened()
    fill(env, b"a")
    with env.begin() as snapshot:
        fill(env, b"b")
        for name in ("plain", "compact", "old"):
            (tmp_path / name).mkdir()
        env.copy(tmp_path / "plain")
        env.copy(str(tmp_path / "compact"), compact=True)
        env.copy(tmp_path / "old", compact=True, txn=snapshot)
        with pytest.raises(TypeError, match="txn argument only compatible with compact=True"):
            env.copy(tmp_path / "old", txn=snapshot)
    with (tmp_path / "file").open("wb") as stream:
        env.copyfd(stream.fileno())
    for name, subdir, keys in (("plain", True, 2), ("compact", True, 2), ("old", True, 1), ("file", False, 2)):
        with lmdb.open(tmp_path / name, subdir=subdir) as copy, copy.begin() as txn:
            assert [key for key, _ in txn.cursor()] == [b"a", b"b"][:keys]


def fill_up(env: lmdb.Environment) -> None:
    with env.begin(write=True) as txn:
        for i in range(1000):
            txn.put(b"%d" % i, b"x" * 1000)


def test_the_map_can_grow(opened: Open) -> None:
    """A full map is MapFullError with a hint, and the transaction is undone; set_mapsize() makes room."""
    env = opened(map_size=1 << 16)
    words = r"^mdb_put: MDB_MAP_FULL: .* \(Please use a larger Environment\(map_size=\) parameter\)$"
    with pytest.raises(lmdb.MapFullError, match=words) as full:
        fill_up(env)
    assert full.value.code == -30792
    assert env.stat()["entries"] == 0
    env.set_mapsize(1 << 24)
    fill_up(env)
    assert env.stat()["entries"] == 1000


def test_resizing_ends_transactions(env: lmdb.Environment) -> None:
    """set_mapsize() ends read transactions, since the map may move, and is refused while somebody writes."""
    with env.begin(write=True), pytest.raises(lmdb.Error, match="Cannot set_mapsize while a write transaction is"):
        env.set_mapsize(1 << 24)
    reader = env.begin()
    env.set_mapsize(1 << 24)
    with pytest.raises(lmdb.Error, match=GONE):
        reader.get(b"0")


def test_dead_readers_are_cleared(env: lmdb.Environment) -> None:
    """reader_check() counts the slots of processes that died in a transaction."""
    script = "import lmdb_bindings as lmdb, os, sys; t = lmdb.open(sys.argv[1]).begin(); t.get(b'a'); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", script, env.path()], check=False)
    assert done.returncode == -signal.SIGKILL
    assert env.reader_check() == 1
    assert env.reader_check() == 0


# -- databases -------------------------------------------------------------------------------------------------------


def test_named_databases(env: lmdb.Environment) -> None:
    """Named databases are apart from each other and from the main one, and open once."""
    one, two = env.open_db(b"one"), env.open_db(b"two")
    assert env.open_db(b"one") is one
    with env.begin(write=True) as txn:
        txn.put(b"k", b"1", db=one)
        txn.put(b"k", b"2", db=two)
    with env.begin(db=two) as txn:
        assert (txn.get(b"k"), txn.get(b"k", db=one), txn.get(b"k", db=env.open_db())) == (b"2", b"1", None)
    with env.begin(write=True) as txn:
        txn.drop(two)
        assert txn.stat(one)["entries"] == 1
    with pytest.raises(lmdb.NotFoundError):
        env.open_db(b"two", create=False)


def test_flags_of_databases(env: lmdb.Environment) -> None:
    """Each option of open_db() is kept; integerdup implies dupfixed, which implies dupsort."""
    nothing = dict.fromkeys(("reverse_key", "dupsort", "integerkey", "integerdup", "dupfixed"), False)
    assert env.open_db().flags() == nothing
    assert env.open_db(b"r", reverse_key=True).flags() == {**nothing, "reverse_key": True}
    assert env.open_db(b"i", integerkey=True).flags() == {**nothing, "integerkey": True}
    assert env.open_db(b"f", dupfixed=True).flags() == {**nothing, "dupsort": True, "dupfixed": True}
    every = {**nothing, "dupsort": True, "dupfixed": True, "integerdup": True}
    assert env.open_db(b"d", integerdup=True).flags() == every


def test_open_db_refuses(opened: Open) -> None:
    """A str name, flags of the main database, and more than max_dbs are refused."""
    env = opened(max_dbs=1)
    with pytest.raises(TypeError, match="key must be bytes"):
        env.open_db("name")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="May not set flags on the main database"):
        env.open_db(dupsort=True)
    env.open_db(b"first")
    with pytest.raises(lmdb.DbsFullError, match=r"Please use a larger Environment\(max_dbs=\) parameter"):
        env.open_db(b"second")


def test_a_handle_ends_with_the_transaction_that_made_it(env: lmdb.Environment) -> None:
    """A database opened in a transaction that is aborted is gone, and its handle says so."""
    txn = env.begin(write=True)
    database = env.open_db(b"new", txn=txn)
    txn.put(b"a", b"b", db=database)
    txn.abort()
    with env.begin() as reader, pytest.raises(lmdb.Error, match=GONE):
        reader.get(b"a", db=database)
    with pytest.raises(lmdb.NotFoundError):
        env.open_db(b"new", create=False)


def test_a_handle_of_another_environment_is_refused(opened: Open) -> None:
    """A database handle is good in its own environment alone: its number would hit any database elsewhere."""
    database = opened("one").open_db(b"db")
    txn = opened("two").begin(write=True)
    with pytest.raises(lmdb.Error, match="Database handle belongs to another environment"):
        txn.put(b"a", b"b", db=database)


# -- transactions ----------------------------------------------------------------------------------------------------


def test_put_get_delete(env: lmdb.Environment) -> None:
    """put() says whether it stored, get() gives the value or the default, delete() says whether it deleted."""
    with env.begin(write=True) as txn:
        assert txn.put(b"k", b"1")
        assert not txn.put(b"k", b"2", overwrite=False)
        assert txn.get(b"k") == b"1"
        assert txn.put(bytearray(b"k"), memoryview(b"3"))
        assert txn.get(memoryview(b"k")) == b"3"
        assert (txn.get(b"x"), txn.get(b"x", 7)) == (None, 7)
        assert txn.put(b"empty", b"")
        assert txn.get(b"empty") == b""
        assert txn.delete(b"k")
        assert not txn.delete(b"k")


def test_wrong_keys(env: lmdb.Environment) -> None:
    """A str is a TypeError; an empty or too long key is BadValsizeError."""
    with env.begin(write=True) as txn:
        for call in (
            lambda: txn.get("k"),
            lambda: txn.put("k", b""),
            lambda: txn.put(b"k", "v"),
            lambda: txn.delete("k"),
        ):
            with pytest.raises(TypeError):
                call()
        for key in (b"", b"x" * (env.max_key_size() + 1)):
            with pytest.raises(lmdb.BadValsizeError):
                txn.put(key, b"v")


def test_dupsort(env: lmdb.Environment) -> None:
    """A dupsort database has several values for a key, sorted, and deletes one or all."""
    database = env.open_db(b"dup", dupsort=True)
    with env.begin(write=True, db=database) as txn:
        for value in (b"b", b"c", b"a"):
            assert txn.put(b"k", value)
        assert not txn.put(b"k", b"a", dupdata=False)
        assert txn.put(b"k", b"d", append=True)
        cursor = txn.cursor()
        assert cursor.set_key(b"k")
        assert (list(cursor.iternext_dup()), cursor.set_key(b"k"), cursor.count()) == (
            [b"a", b"b", b"c", b"d"],
            True,
            4,
        )
        assert txn.delete(b"k", b"b")
        assert not txn.delete(b"k", b"b")
        assert txn.get(b"k") == b"a"
        assert txn.delete(b"k")
        assert txn.get(b"k") is None


def test_commit_and_abort(env: lmdb.Environment) -> None:
    """A block commits at its end, and aborts when an exception leaves it."""
    fill(env, b"kept")
    txn = env.begin(write=True)
    with pytest.raises(ZeroDivisionError), txn:
        assert txn.put(b"lost", b"") / 0
    with env.begin() as txn:
        assert (txn.get(b"kept"), txn.get(b"lost")) == (b"KEPT", None)


def test_nested_transactions(env: lmdb.Environment) -> None:
    """A child's writes are its parent's when it commits, and nobody's when it aborts."""
    with env.begin(write=True) as txn:
        with env.begin(write=True, parent=txn) as child:
            child.put(b"yes", b"1")
        child = env.begin(write=True, parent=txn)
        child.put(b"no", b"1")
        child.abort()
        assert (txn.get(b"yes"), txn.get(b"no")) == (b"1", None)


def test_snapshots(env: lmdb.Environment) -> None:
    """A read transaction does not see later commits; id() is the number of its snapshot."""
    fill(env, b"a")
    with env.begin() as before:
        fill(env, b"b")
        with env.begin() as after:
            assert (before.get(b"b"), after.get(b"b")) == (None, b"B")
            assert after.id() == before.id() + 1


def test_reading_transactions_may_not_write(env: lmdb.Environment) -> None:
    """A write in a read transaction is ReadonlyError."""
    with env.begin() as txn, pytest.raises(lmdb.ReadonlyError):
        txn.put(b"a", b"b")


def test_one_thread_has_one_writer(env: lmdb.Environment) -> None:
    """A second write transaction on one thread is an error, not a deadlock."""
    with env.begin(write=True), pytest.raises(lmdb.Error, match="This would deadlock") as caught:
        env.begin(write=True)
    assert caught.value.code == errno.EBUSY
    fill(env, b"a")


def test_writers_of_two_threads_take_turns(env: lmdb.Environment) -> None:
    """The second writer waits for the first, and sees what it wrote."""
    seen = []

    def second() -> None:
        with env.begin(write=True) as txn:
            seen.append(txn.get(b"a"))

    with env.begin(write=True) as txn:
        thread = threading.Thread(target=second)
        thread.start()
        txn.put(b"a", b"1")
        assert not seen
    thread.join()
    assert seen == [b"1"]


def test_spare_transactions(opened: Open) -> None:
    """Finished read transactions are kept and renewed on the newest snapshot."""
    env = opened(max_spare_txns=2)
    for i in range(10):
        with env.begin() as txn:
            assert txn.get(b"n") == (b"%d" % (i - 1) if i else None)
        with env.begin(write=True) as txn:
            txn.put(b"n", b"%d" % i)
    assert env.info()["num_readers"] == 1


def test_views(env: lmdb.Environment) -> None:
    """With buffers=True keys and values are read-only memoryviews."""
    fill(env, b"a")
    with env.begin(buffers=True) as txn:
        view = txn.get(b"a")
        assert isinstance(view, memoryview)
        assert (view.readonly, bytes(view)) == (True, b"A")
        with pytest.raises(TypeError, match="cannot modify read-only memory"):
            view[0] = 0
        assert [(bytes(key), bytes(value)) for key, value in txn.cursor()] == [(b"a", b"A")]


# -- cursors ---------------------------------------------------------------------------------------------------------


def test_moving(env: lmdb.Environment) -> None:
    """Each movement says whether it found a record, and the cursor is where it says."""
    fill(env, b"a", b"b", b"c")
    with env.begin() as txn:
        cursor = txn.cursor()
        assert cursor.item() == (b"", b"")
        assert (cursor.next(), cursor.key()) == (True, b"a")
        assert (cursor.last(), cursor.item(), cursor.next(), cursor.key()) == (True, (b"c", b"C"), False, b"")
        assert (cursor.set_key(b"b"), cursor.value()) == (True, b"B")
        assert (cursor.prev(), cursor.prev(), cursor.item()) == (True, False, (b"", b""))
        assert (cursor.set_range(b"aa"), cursor.key()) == (True, b"b")
        assert (cursor.set_range(b""), cursor.key()) == (True, b"a")
        assert cursor.set_range(b"d") is False
        assert cursor.set_key(b"bb") is False
        assert (cursor.get(b"c"), cursor.get(b"x"), cursor.get(b"x", 1)) == (b"C", None, 1)


def test_moving_among_duplicates(env: lmdb.Environment) -> None:
    """The movements of a dupsort database: by value, by key, to the first and last value."""
    database = env.open_db(b"dup", dupsort=True)
    with env.begin(write=True, db=database) as txn:
        for key in (b"a", b"b"):
            for value in (b"1", b"2", b"4"):
                txn.put(key, value)
        cursor = txn.cursor()
        assert (cursor.first(), cursor.next_dup(), cursor.item()) == (True, True, (b"a", b"2"))
        assert (cursor.last_dup(), cursor.value(), cursor.next_dup()) == (True, b"4", False)
        assert (cursor.set_key(b"a"), cursor.next_nodup(), cursor.item()) == (True, True, (b"b", b"1"))
        assert (cursor.prev_nodup(), cursor.item()) == (True, (b"a", b"4"))
        assert (cursor.first_dup(), cursor.value(), cursor.prev_dup()) == (True, b"1", False)
        assert (cursor.set_key_dup(b"b", b"2"), cursor.item()) == (True, (b"b", b"2"))
        assert cursor.set_key_dup(b"b", b"3") is False
        assert (cursor.set_range_dup(b"b", b"3"), cursor.item()) == (True, (b"b", b"4"))
        assert cursor.set_range_dup(b"b", b"5") is False


def test_iterating(env: lmdb.Environment) -> None:
    """Iterators begin at the position, or at the end where it is unset, and give keys, values or pairs."""
    fill(env, b"a", b"b", b"c")
    with env.begin() as txn:
        assert list(txn.cursor()) == [(b"a", b"A"), (b"b", b"B"), (b"c", b"C")]
        assert list(txn.cursor().iternext(values=False)) == [b"a", b"b", b"c"]
        assert list(txn.cursor().iternext(keys=False)) == [b"A", b"B", b"C"]
        assert list(txn.cursor().iterprev(values=False)) == [b"c", b"b", b"a"]
        cursor = txn.cursor()
        cursor.set_key(b"b")
        assert list(cursor.iternext(values=False)) == [b"b", b"c"]
        cursor.set_key(b"b")
        assert list(cursor.iterprev(values=False)) == [b"b", b"a"]


def test_reading_after_a_write(env: lmdb.Environment) -> None:
    """What a cursor gives is what is there now, also when the transaction has written since it moved."""
    fill(env, b"a", b"b")
    with env.begin(write=True) as txn:
        cursor = txn.cursor()
        assert cursor.set_key(b"a")
        for i in range(2000):
            txn.put(b"new%d" % i, b"x" * 100)
        txn.put(b"a", b"changed")
        assert cursor.item() == (b"a", b"changed")
        assert cursor.delete()
        assert cursor.key() == b"b"
        assert cursor.put(b"z", b"last")
        assert cursor.item() == (b"z", b"last")
        assert not cursor.put(b"z", b"other", overwrite=False)


def test_emptying_by_cursor(env: lmdb.Environment) -> None:
    """delete() moves to the next record, so a loop empties the database."""
    fill(env, *(b"%03d" % i for i in range(500)))
    with env.begin(write=True) as txn:
        cursor = txn.cursor()
        assert cursor.delete() is False
        assert cursor.first()
        assert sum(cursor.delete() for _ in range(600)) == 500
        assert txn.stat()["entries"] == 0


@pytest.mark.parametrize("dupsort", [False, True])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_against_a_model(engine: int, tmp_path: Path, dupsort: bool, data: st.DataObject) -> None:
    """Whatever is put and deleted, in transactions that commit or abort, the database is what a set says."""
    env = lmdb.open(tempfile.mkdtemp(dir=tmp_path), lib_version=engine, max_dbs=1)
    database = env.open_db(b"db", dupsort=dupsort)
    model: set[tuple[bytes, bytes]] = set()
    key, value = st.binary(min_size=1, max_size=3), st.binary(min_size=1, max_size=4)
    for steps, commits in data.draw(st.lists(st.tuples(st.lists(st.tuples(st.booleans(), key, value)), st.booleans()))):
        after = set(model)
        txn = env.begin(write=True, db=database)
        for puts, k, v in steps:
            if puts:
                if not dupsort:
                    after = {pair for pair in after if pair[0] != k}
                assert txn.put(k, v)
                after.add((k, v))
            else:
                assert txn.delete(k) is any(pair[0] == k for pair in after)
                after = {pair for pair in after if pair[0] != k}
            assert list(txn.cursor()) == sorted(after)
        if commits:
            txn.commit()
            model = after
        else:
            txn.abort()
    with env.begin(db=database) as txn:
        assert list(txn.cursor()) == sorted(model)
        assert list(txn.cursor().iterprev()) == sorted(model, reverse=True)
    env.close()


# -- lifetimes and errors --------------------------------------------------------------------------------------------


def test_closed_objects_say_so(env: lmdb.Environment) -> None:
    """After close() every object made from the environment refuses, in one sentence."""
    database, reader = env.open_db(b"db"), env.begin()
    cursor = reader.cursor()
    env.close()
    env.close()
    calls: list[Callable[[], object]] = [
        env.stat, env.info, env.flags, env.path, env.begin, env.sync, env.reader_check, env.max_key_size,
        env.max_readers, lambda: env.open_db(b"x"), lambda: env.copy("x"), lambda: env.set_mapsize(1), reader.id,
        reader.commit, reader.cursor, reader.stat, lambda: reader.get(b"a"), lambda: reader.put(b"a", b"b"),
        lambda: reader.delete(b"a"), lambda: reader.drop(database), cursor.first, cursor.key, cursor.value, cursor.item,
        cursor.count, cursor.delete, lambda: cursor.set_key(b"a"), lambda: cursor.put(b"a", b"b"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(lmdb.Error, match=GONE):
            call()
    reader.abort()
    cursor.close()


def test_finished_transactions_end_their_cursors(env: lmdb.Environment) -> None:
    """A cursor ends with its transaction, and its iterator with it."""
    fill(env, b"a", b"b")
    txn = env.begin()
    cursor, iterator = txn.cursor(), txn.cursor().iternext()
    assert next(iterator) == (b"a", b"A")
    txn.abort()
    for use in (cursor.first, lambda: next(iterator)):
        with pytest.raises(lmdb.Error, match=GONE):
            use()


def test_objects_may_be_collected_in_any_order(env: lmdb.Environment) -> None:
    """Dropping environments, transactions and cursors without closing them, in cycles too, does no harm."""
    fill(env, b"a")
    for _ in range(20):
        txn = env.begin(write=True)
        cursor = txn.cursor()
        cursor.first()
        cycle: list[object] = [txn, cursor]
        cycle.append(cycle)
        del txn, cursor, cycle
        gc.collect()
    fill(env, b"b")
    assert env.stat()["entries"] == 2


def test_close_waits_for_the_writer_of_another_thread(env: lmdb.Environment) -> None:
    """close() lets a writer finish; what it committed is there."""
    path, begun, go = env.path(), threading.Event(), threading.Event()

    def write() -> None:
        with env.begin(write=True) as txn:
            begun.set()
            go.wait()
            txn.put(b"a", b"1")

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    closer = threading.Thread(target=env.close)
    closer.start()
    go.set()
    writer.join()
    closer.join()
    with lmdb.open(path) as again, again.begin() as txn:
        assert txn.get(b"a") == b"1"


def test_a_child_of_fork_leaves_the_parents_locks(tmp_path: Path) -> None:
    """A child that exits without touching the environment does not disturb the parent's transactions."""
    script = """
import lmdb_bindings as lmdb, os, sys
env = lmdb.open(sys.argv[1])
txn = env.begin(write=True)
txn.put(b"a", b"1")
if os.fork() == 0:
    sys.exit(0)
os.wait()
txn.commit()
print(env.begin().get(b"a"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "forked"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "b'1'\n"


def test_each_code_has_its_class() -> None:
    """Return codes have the classes of py-lmdb; the message is what, reason and hint."""
    from lmdb_bindings.errors import error

    expected = {-30799: "KeyExistsError", -30798: "NotFoundError", -30796: "CorruptedError", -30792: "MapFullError",
                -30785: "MapResizedError", -30780: "BadDbiError", -30779: "ProblemError", -30776: "EnvEncryptionError",
                errno.EACCES: "ReadonlyError", errno.EINVAL: "InvalidParameterError", errno.ENOSPC: "DiskError",
                -30775: "Error", errno.EBUSY: "Error"}  # fmt: skip
    assert {code: type(error("what", code)).__name__ for code in expected} == expected
    problem = error("mdb_put", -30788)
    assert (problem.what, problem.code) == ("mdb_put", -30788)
    assert str(problem) == f"mdb_put: {problem.reason} (Please do less work within your transaction)"
    assert problem.reason.startswith("MDB_TXN_FULL: ")
    assert error("mdb_env_open", -30776).reason.startswith("MDB_ENV_ENCRYPTION: ")
    assert str(lmdb.Error("plain")) == "plain"


def test_what_is_exported() -> None:
    """The public names are py-lmdb's, as far as they are there."""
    assert {"Environment", "Transaction", "Cursor", "_Database", "version", "Error", "MapFullError"} <= set(
        lmdb.__all__
    )
    assert all(hasattr(lmdb, name) for name in lmdb.__all__)
