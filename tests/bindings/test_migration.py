"""An environment copied to the other data format: all of it arrives, or nothing does."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmdb_bindings as lmdb
from lmdb_bindings import _definition, _migration
from lmdb_bindings._migration import migrate

FLAGS = _definition.FLAGS
NAMES = ("0.9", "1.0")

Content = dict["bytes | None", tuple[int, list[tuple[bytes, bytes]]]]


def make(env: lmdb.Environment, content: Content) -> None:
    """Databases with any flags."""
    for name, (flags, records) in content.items():
        with env.begin(write=True) as txn:
            database = _definition.define(env, txn, name, flags)
            for key, value in records:
                txn.put(key, value, db=database)


def read(path: str | Path, engine: int, **options: Any) -> Content:
    """What an environment holds; it must be one of the engine."""
    with lmdb.open(path, max_dbs=50, readonly=True, **options) as env, env.begin() as txn:
        assert env.lib_version()[0] == engine
        databases = {None: env.open_db(None, txn=txn), **_definition.named(env, txn)}
        return {
            name: (_definition.flags_of(database), list(_definition.records(env, txn, name, database)))
            for name, database in databases.items()
        }


@pytest.fixture
def source(opened: Callable[..., lmdb.Environment], tmp_path: Path) -> Path:
    """An environment with some records, closed."""
    with opened("source") as env:
        make(env, {None: (0, [(b"plain", b"1")]), b"db": (0, [(b"a", b"1"), (b"b", b"2")])})
    return tmp_path / "source"


# -- what arrives ----------------------------------------------------------------------------------------------------


def integer(number: int) -> bytes:
    """As MDB_INTEGERKEY wants it."""
    return number.to_bytes(8, sys.byteorder)


EVERYTHING: Content = {
    # Of the size of the record of a database, and beside the records of databases.
    None: (0, [(b"A", b"x" * 48), (b"a\0b", b"y" * 48), (b"zzz", b"z" * 10000)]),
    b"dup": (FLAGS["dupsort"], [(b"k", b"%05d" % number) for number in range(3000)] + [(b"l", b"v" * 511)]),
    b"empty": (0, []),
    b"fixed": (FLAGS["dupsort"] | FLAGS["dupfixed"], [(b"k", b"%04d" % number) for number in range(3000)]),
    b"integer": (FLAGS["integerkey"], [(integer(number), b"") for number in (1, 255, 256, 2**40)]),
    b"integers": (
        FLAGS["dupsort"] | FLAGS["dupfixed"] | FLAGS["integerdup"],
        [(b"k", integer(number)) for number in (1, 256, 2**40)],
    ),
    b"reversed": (FLAGS["reversekey"], [(b"ba", b"1"), (b"ab", b"2")]),
    b"reversed values": (FLAGS["dupsort"] | FLAGS["reversedup"], [(b"k", b"ba"), (b"k", b"ab")]),
    "\u03b1\n".encode(): (0, [(b"k" * 511, b"v")]),
}


def test_everything(engine: int, opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """Every kind of database arrives with its flags, and so do records of the main one beside them."""
    with opened("source", max_dbs=20) as env:
        make(env, EVERYTHING)
    counts = migrate(tmp_path / "source", tmp_path / "target", engine=NAMES[1 - engine], check=True)
    assert read(tmp_path / "target", 1 - engine) == EVERYTHING
    assert counts == {name: len(records) for name, (_, records) in EVERYTHING.items()}


@pytest.mark.parametrize("flags", ["dupsort", "reversekey", "integerkey", "dupsort reversedup"])
def test_flags_of_the_main_database(
    engine: int, opened: Callable[..., lmdb.Environment], tmp_path: Path, flags: str
) -> None:
    """A main database that a C program has given flags keeps them."""
    content: Content = {
        None: (sum(FLAGS[word] for word in flags.split()), [(integer(1), b"ba"), (integer(256), b"ab")]),
    }
    with opened("source") as env:
        make(env, content)
    migrate(tmp_path / "source", tmp_path / "target", engine=NAMES[1 - engine], check=True)
    flags_read, records = read(tmp_path / "target", 1 - engine)[None]
    assert (flags_read, sorted(records)) == (content[None][0], sorted(content[None][1]))
    assert read(tmp_path / "target", 1 - engine) == read(tmp_path / "source", engine)


def test_the_same_engine(engine: int, source: Path, tmp_path: Path) -> None:
    """The engine of the source is one too; the copy is compact."""
    assert migrate(source, tmp_path / "target", engine=NAMES[engine]) == {None: 1, b"db": 2}
    assert read(tmp_path / "target", engine) == read(source, engine)


def test_a_single_file(engine: int, opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """A data file becomes a data file, with nothing beside it."""
    with opened("one", subdir=False) as env:
        make(env, {None: (0, [(b"a", b"1")])})
    migrate(tmp_path / "one", tmp_path / "two", engine=NAMES[1 - engine])
    assert sorted(os.listdir(tmp_path)) == ["one", "one-lock", "two"]
    assert read(tmp_path / "two", 1 - engine, subdir=False) == {None: (0, [(b"a", b"1")])}


def test_an_empty_environment(engine: int, opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """Nothing arrives as nothing."""
    opened("source").close()
    assert migrate(tmp_path / "source", tmp_path / "target", engine=NAMES[1 - engine]) == {None: 0}
    assert read(tmp_path / "target", 1 - engine) == {None: (0, [])}


def test_many_databases(engine: int, opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """The caller need not know how many databases there are."""
    content: Content = {b"%03d" % number: (0, [(b"k", b"v")]) for number in range(40)}
    with opened("source", max_dbs=40) as env:
        make(env, content)
    migrate(tmp_path / "source", tmp_path / "target", engine=NAMES[1 - engine])
    assert read(tmp_path / "target", 1 - engine) == {None: (0, []), **content}


def test_batches(
    engine: int, opened: Callable[..., lmdb.Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are committed in batches of bounded number and size; values of one key may be in several."""
    monkeypatch.setattr(_migration, "_BATCH_RECORDS", 7)
    monkeypatch.setattr(_migration, "_BATCH_BYTES", 5000)
    content: Content = {
        None: (0, [(b"%03d" % number, b"v" * 1000) for number in range(20)]),
        b"dup": (FLAGS["dupsort"], [(b"k", b"%03d" % number) for number in range(20)]),
    }
    with opened("source") as env:
        make(env, content)
    seen: list[tuple[bytes | None, int, int]] = []
    migrate(
        tmp_path / "source", tmp_path / "target", engine=NAMES[1 - engine], check=True,
        progress=lambda *report: seen.append(report),
    )  # fmt: skip
    assert read(tmp_path / "target", 1 - engine) == content
    assert seen == [
        *((None, done, 20) for done in (0, 5, 10, 15, 20)),
        *((b"dup", done, 20) for done in (0, 7, 14, 20)),
    ]


def test_files(source: Path, tmp_path: Path) -> None:
    """The new environment has the permissions of the old one, and no lock file yet."""
    source.chmod(0o750)
    (source / "data.mdb").chmod(0o640)
    migrate(source, tmp_path / "target", engine="1.0")
    assert os.listdir(tmp_path / "target") == ["data.mdb"]
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "target" / "data.mdb").stat().st_mode & 0o777 == 0o640


# -- map size --------------------------------------------------------------------------------------------------------


def map_size(path: Path) -> int:
    """What an environment remembers."""
    with lmdb.open(path, map_size=0) as env:
        return env.info()["map_size"]


def test_map_size(engine: int, opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """The map is as large as that of the source, or as the caller says."""
    with opened("source", map_size=50 << 20) as env:
        make(env, {None: (0, [(b"a", b"1")])})
    migrate(tmp_path / "source", tmp_path / "same", engine=NAMES[1 - engine])
    migrate(tmp_path / "source", tmp_path / "other", engine=NAMES[1 - engine], map_size=3 << 20)
    assert (map_size(tmp_path / "same"), map_size(tmp_path / "other")) == (50 << 20, 3 << 20)


def test_a_map_that_was_guessed_too_small(
    engine: int, opened: Callable[..., lmdb.Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the records need more room in the other format, the copy begins anew with a larger map."""
    content: Content = {None: (0, [(b"%03d" % number, b"v" * 3000) for number in range(100)])}
    with opened("source") as env:
        make(env, content)
    monkeypatch.setattr(_migration, "_estimate", lambda *_: 100_000)
    migrate(tmp_path / "source", tmp_path / "target", engine=NAMES[1 - engine])
    assert read(tmp_path / "target", 1 - engine) == content
    assert map_size(tmp_path / "target") >= 400_000


# -- refusals --------------------------------------------------------------------------------------------------------


def refused(source: Path, kind: type[Exception], message: str, **options: Any) -> None:
    """A migration fails, and leaves what was there."""
    before = sorted(os.listdir(source.parent))
    with pytest.raises(kind, match=message):
        migrate(source, source.parent / "target", **{"engine": "1.0", **options})
    assert sorted(os.listdir(source.parent)) == before


def test_no_such_engine(source: Path) -> None:
    """An engine has one of two names."""
    refused(source, ValueError, r"^engine='1': there are '0\.9' and '1\.0'$", engine="1")


def test_no_such_source(tmp_path: Path) -> None:
    """A source that does not exist is not made."""
    refused(tmp_path / "absent", FileNotFoundError, "absent: it is neither a folder with a data.mdb nor a data file")


def test_the_target_exists(source: Path) -> None:
    """A target that exists is left alone, even an empty folder."""
    (source.parent / "target").mkdir()
    refused(source, FileExistsError, "target: it exists. Name a new one, or remove it")


def test_the_target_comes_to_exist(source: Path) -> None:
    """A target that somebody else makes meanwhile is left alone."""
    target = source.parent / "target"

    def progress(*_: object) -> None:
        target.mkdir(exist_ok=True)

    with pytest.raises(FileExistsError, match="it was made meanwhile"):
        migrate(source, target, engine="1.0", progress=progress)
    assert sorted(os.listdir(source.parent)) == ["source", "target"]
    assert os.listdir(target) == []


def test_an_open_source(opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """An environment is open once in a process."""
    opened("source")
    refused(tmp_path / "source", lmdb.Error, "is already open in this process")


def test_the_map_size_is_too_small(opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """The caller's map size is not enlarged."""
    with opened("source") as env:
        make(env, {None: (0, [(b"a", b"v" * 500_000)])})
    refused(tmp_path / "source", lmdb.MapFullError, "map_size", map_size=200_000)


@pytest.mark.parametrize("engine", [1], indirect=True)
def test_a_long_key(opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """A key that the other engine cannot hold is named, with its database."""
    with opened("source") as env:
        make(env, {b"db": (0, [(b"a", b""), (b"k" * 512, b"")])})
    refused(tmp_path / "source", lmdb.BadValsizeError,
            r"^database 'db': the record with the key b'k{64}'\.\.\. of 512 bytes and a value of 0 bytes does not fit "
            r"LMDB 0\.9\.\d+, where keys have at most 511 bytes", engine="0.9")  # fmt: skip


@pytest.mark.parametrize("engine", [1], indirect=True)
def test_a_long_value_among_several(opened: Callable[..., lmdb.Environment], tmp_path: Path) -> None:
    """A value of a key with several is as short as a key."""
    with opened("source") as env:
        make(env, {b"db": (FLAGS["dupsort"], [(b"a", b"1"), (b"a", b"v" * 600)])})
    refused(tmp_path / "source", lmdb.BadValsizeError, "^database 'db': .* value of 600 bytes does not fit",
            engine="0.9")  # fmt: skip


@pytest.mark.parametrize(("engine", "key"), [(1, b"db"), (0, b"db\0")], indirect=["engine"])
def test_a_record_with_the_name_of_a_database(
    opened: Callable[..., lmdb.Environment], tmp_path: Path, engine: int, key: bytes
) -> None:
    """A record beside a database, both of which the other engine keeps under one key, is no loss but an error."""
    with opened("source") as env:
        make(env, {None: (0, [(key, b"plain")]), b"db": (0, [])})
    refused(tmp_path / "source", lmdb.IncompatibleError,
            "^database 'db' cannot be made: a record of the main database has its name", engine=NAMES[1 - engine])  # fmt: skip


def test_a_failure_of_the_callback(source: Path) -> None:
    """What the callback raises ends the migration."""

    def progress(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(source, source.parent / "target", engine="1.0", progress=progress)
    assert os.listdir(source.parent) == ["source"]


def test_a_copy_that_lacks_a_record(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of records are compared in the end."""
    whole = _definition.append
    monkeypatch.setattr(_definition, "append", lambda txn, key, *rest: key == b"b" or whole(txn, key, *rest))
    refused(source, lmdb.Error, r"^database 'db': the copy differs in the number of records: \[1, 2\]")


def test_a_copy_that_differs(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records are compared in the end, if that is wanted."""
    whole = _definition.append
    monkeypatch.setattr(_definition, "append", lambda txn, key, value, db: whole(txn, key, value + b"!", db))
    refused(source, lmdb.Error,
            r"^the main database: record 1 of the copy differs: \(b'plain', b'1!'\) for \(b'plain', b'1'\)",
            check=True)  # fmt: skip


# -- there and back --------------------------------------------------------------------------------------------------

KEYS = st.binary(min_size=1, max_size=100)
INTEGERS = st.integers(0, 2**64 - 1).map(integer)
KINDS = ["", "reversekey", "integerkey", "dupsort", "dupsort reversedup", "dupsort dupfixed integerdup"]


@st.composite
def databases(draw: st.DrawFn) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Flags of a database, and records that fit them."""
    kind = draw(st.sampled_from(KINDS))
    keys = INTEGERS if "integerkey" in kind else KEYS
    values = INTEGERS if "integerdup" in kind else KEYS if "dupsort" in kind else st.binary(max_size=5000)
    return sum(FLAGS[word] for word in kind.split()), draw(st.lists(st.tuples(keys, values), max_size=20))


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.binary(min_size=1, max_size=50).filter(lambda name: 0 not in name), databases(), max_size=4),
    st.lists(st.tuples(KEYS, st.binary(max_size=100) | st.just(b"x" * 48)), max_size=5),
    st.sampled_from([0, 1]),
)
def test_there_and_back(
    content: dict[bytes, tuple[int, list[tuple[bytes, bytes]]]], plain: list[tuple[bytes, bytes]], engine: int
) -> None:
    """What goes to the other engine and back is what it was."""
    plain = [(key, value) for key, value in plain if key.rstrip(b"\0") not in content]
    with tempfile.TemporaryDirectory() as folder:
        with lmdb.open(folder + "/a", max_dbs=4, sync=False, lib_version=engine) as env:
            make(env, {None: (0, plain), **content})
        migrate(folder + "/a", folder + "/b", engine=NAMES[1 - engine], check=True)
        migrate(folder + "/b", folder + "/c", engine=NAMES[engine], check=True)
        before = read(folder + "/a", engine)
        assert before[None] == (0, sorted(dict(plain).items()))
        assert read(folder + "/b", 1 - engine) == before
        assert read(folder + "/c", engine) == before
