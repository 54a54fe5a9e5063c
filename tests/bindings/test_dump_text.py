"""The text of mdb_dump: what is written is what LMDB's own programs write, and what is read is whole or refused."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmdb_bindings as lmdb
from lmdb_bindings import _definition
from lmdb_bindings._dump_text import DumpFormatError, DumpReader, dump, load

FLAGS = _definition.FLAGS
HEAD = b"VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=10485760\nHEADER=END\n"


def text(env: lmdb.Environment, databases: Any = (None,), *, printable: bool = False) -> bytes:
    """A dump without what differs from one environment to another: engine 1.0 says where the map is."""
    stream = io.BytesIO()
    dump(env, stream, databases, printable=printable)
    return b"".join(line for line in stream.getvalue().splitlines(keepends=True) if not line.startswith(b"mapaddr="))


def loaded(env: lmdb.Environment, dumped: bytes, **options: Any) -> dict[bytes | None, int]:
    """Load the text of a dump."""
    return load(env, io.BytesIO(dumped), **options)


def make(env: lmdb.Environment, name: bytes | None, flags: int, records: list[tuple[bytes, bytes]]) -> None:
    """A database with any flags."""
    with env.begin(write=True) as txn:
        database = _definition.define(env, txn, name, flags)
        for key, value in records:
            txn.put(key, value, db=database)


# -- writing ---------------------------------------------------------------------------------------------------------


def test_bytevalue(env: lmdb.Environment) -> None:
    """The main database comes with its header, and each record in two lines of hexadecimal."""
    make(env, None, 0, [(b"key", b"\x00\xff"), (b"last", b"")])
    psize = env.stat()["psize"]
    assert text(env) == (
        b"VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=10485760\nmaxreaders=126\ndb_pagesize=%d\nHEADER=END\n"
        b" 6b6579\n 00ff\n 6c617374\n \nDATA=END\n" % psize
    )


def test_print(env: lmdb.Environment) -> None:
    """Printable ASCII stands as it is, a backslash is doubled, and every other byte is escaped."""
    make(env, None, 0, [(b"\\ ~\x7f\n", bytes([0x1F, 0x20, 0xC3, 0xBC]))])
    assert text(env, printable=True).endswith(b"\n \\\\ ~\\7f\\0a\n \\1f \\c3\\bc\nDATA=END\n")


KINDS = {
    "plain": [],
    "reversekey": [b"reversekey=1"],
    "dupsort": [b"duplicates=1", b"dupsort=1"],
    "integerkey": [b"integerkey=1"],
    "dupsort dupfixed": [b"duplicates=1", b"dupsort=1", b"dupfixed=1"],
    "dupsort dupfixed integerdup": [b"duplicates=1", b"dupsort=1", b"dupfixed=1", b"integerdup=1"],
    "dupsort reversedup": [b"duplicates=1", b"dupsort=1", b"reversedup=1"],
}


def bits(words: str) -> int:
    """Flags by mdb_dump's names."""
    return sum(FLAGS.get(word, 0) for word in words.split())


@pytest.mark.parametrize("kind", KINDS)
def test_flags(env: lmdb.Environment, kind: str) -> None:
    """Each flag is a line of the header, in mdb_dump's order; a loaded database has them all."""
    make(env, b"db", bits(kind), [])
    lines = text(env, [b"db"]).splitlines()
    assert lines[2] == b"database=db"
    assert lines[6:-3] == KINDS[kind]
    with env.begin(write=True) as txn:
        txn.drop(env.open_db(b"db", txn=txn))
    loaded(env, b"\n".join([*lines, b""]))
    assert _definition.flags_of(env.open_db(b"db", create=False)) == bits(kind)


def test_all(env: lmdb.Environment) -> None:
    """All databases are the named ones, as mdb_dump -a has them; their records in the main one are none of its."""
    make(env, b"b", 0, [(b"k", b"v")])
    make(env, b"a", 0, [])
    assert text(env, None) == text(env, [b"a", b"b"])
    assert text(env).endswith(b"HEADER=END\nDATA=END\n")


def test_all_with_plain_records(env: lmdb.Environment) -> None:
    """Records of the main database beside named ones come first, where mdb_dump -a loses them."""
    make(env, b"a", 0, [(b"k", b"v")])
    make(env, None, 0, [(b"plain", b"x" * 48)])
    assert text(env, None) == text(env, [None, b"a"])
    assert b"\n 706c61696e\n %b\nDATA=END\n" % (b"78" * 48) in text(env, None)


def test_all_of_one(env: lmdb.Environment) -> None:
    """Where no database is named, all is the main one."""
    assert text(env, None) == text(env)


def test_a_database_that_does_not_exist(env: lmdb.Environment) -> None:
    """A missing database is an error that names it, and is not made."""
    with pytest.raises(lmdb.NotFoundError, match=r"^database 'absent' of .*: MDB_NOTFOUND"):
        text(env, [b"absent"])


def test_a_name_that_cannot_be_written(env: lmdb.Environment) -> None:
    """A line feed in a name would be read as the end of the line."""
    make(env, b"a\nb", 0, [])
    with pytest.raises(lmdb.Error, match=r"^database 'a\\nb' cannot be dumped as text: its name has a line feed"):
        text(env, None)


def test_count(env: lmdb.Environment) -> None:
    """The number of records is returned."""
    make(env, None, 0, [(b"a", b""), (b"b", b"")])
    make(env, b"db", 0, [(b"a", b"")])
    assert dump(env, io.BytesIO(), None) == 3


# -- reading ---------------------------------------------------------------------------------------------------------


def test_what_mdb_dump_writes(opened: Callable[..., lmdb.Environment]) -> None:
    """A dump by LMDB 1.0's mdb_dump -a -p is read, with its mapaddr line and its flags."""
    dumped = (
        b"VERSION=3\nformat=print\ndatabase=dup\ntype=btree\nmapsize=1048576\nmapaddr=0x7f9f2d0c2000\nmaxreaders=126\n"
        b"duplicates=1\ndupsort=1\ndb_pagesize=4096\nHEADER=END\n k\\5c\\\\\n 1\n k\\5C\\\\\n 2\nDATA=END\n"
        b"VERSION=3\nformat=bytevalue\ndatabase=sub\ntype=btree\nmapsize=1048576\nmaxreaders=126\ndb_pagesize=4096\n"
        b"HEADER=END\n 6B\n 76\nDATA=END\n"
    )
    env = opened()
    assert loaded(env, dumped) == {b"dup": 2, b"sub": 1}
    with env.begin() as txn:
        assert list(txn.cursor(env.open_db(b"dup", txn=txn))) == [(b"k\\\\", b"1"), (b"k\\\\", b"2")]
        assert list(txn.cursor(env.open_db(b"sub", txn=txn))) == [(b"k", b"v")]


def test_header() -> None:
    """The first header is there before anything is loaded, to make an environment to its measure."""
    reader = DumpReader(io.BytesIO(HEAD.replace(b"type", b"maxreaders=7\ndatabase=x\ntype") + b"DATA=END\n"))
    assert reader.header is not None
    assert (reader.header.mapsize, reader.header.maxreaders, reader.header.database) == (10485760, 7, b"x")
    assert list(reader.records()) == []
    assert reader.header is None


def test_berkeley_db(env: lmdb.Environment) -> None:
    """Keywords of Berkeley DB alone are ignored with a warning, and the records come in any order."""
    dumped = b"VERSION=3\nformat=print\ntype=btree\nbt_minkey=2\nHEADER=END\n b\n 1\n a\n 2\n b\n 3\nDATA=END"
    with pytest.warns(UserWarning, match=r"^line 4: the unknown keyword 'bt_minkey' is ignored$"):
        assert loaded(env, dumped) == {None: 3}
    with env.begin() as txn:
        assert list(txn.cursor()) == [(b"a", b"2"), (b"b", b"3")]


def test_into_a_database(env: lmdb.Environment) -> None:
    """Where the dump names no database, the caller may."""
    assert loaded(env, HEAD + b" 61\n 62\nDATA=END\n", database=b"db") == {b"db": 1}
    with env.begin(db=env.open_db(b"db", create=False)) as txn:
        assert txn.get(b"a") == b"b"


def test_existing_records(env: lmdb.Environment) -> None:
    """Records of the same key are replaced, others stay."""
    make(env, None, 0, [(b"a", b"old"), (b"z", b"old")])
    loaded(env, HEAD + b" 61\n 62\nDATA=END\n")
    with env.begin() as txn:
        assert list(txn.cursor()) == [(b"a", b"b"), (b"z", b"old")]


GOOD = HEAD + b" 61\n 62\n"
DAMAGED = {
    b"": (1, "the input is empty"),
    b"\n": (1, r"'' stands where keyword=value or HEADER=END"),
    b"VERSION=4\nHEADER=END\n": (1, r"VERSION='4' cannot be read, only 1 or 2 or 3"),
    b"VERSION=3\nformat=xml\n": (2, r"format='xml' cannot be read"),
    b"VERSION=3\ntype=hash\n": (2, r"type='hash' cannot be read, only btree"),
    b"VERSION=3\nmapsize=-1\n": (2, r"mapsize='-1' is no number"),
    b"VERSION=3\nmaxreaders=\n": (2, r"maxreaders='' is no number"),
    b"VERSION=3\ndatabase=\n": (2, r"b'' is no name of a database"),
    b"VERSION=3\ndatabase=a\0b\n": (2, r"b'a\\x00b' is no name of a database"),
    b"VERSION=3\nnothing\n": (2, r"'nothing' stands where keyword=value"),
    b"VERSION=3\n": (2, "the input ends where HEADER=END is expected"),
    b"VERSION=3\nHEADER=E": (2, "the input ends where HEADER=END is expected"),
    GOOD: (8, "the input ends where a key or DATA=END is expected"),
    GOOD + b" 63\n": (9, "the input ends where a value is expected"),
    GOOD + b" 63\n 64": (9, "the input ends where a value is expected"),
    GOOD + b" 63\nDATA=END\n": (9, "'DATA=END' stands where a value is expected"),
    GOOD + b"63\n 64\nDATA=END\n": (8, "'63' stands where a key or DATA=END is expected, after a space"),
    GOOD + b" 6\n 64\nDATA=END\n": (8, "'6' is not an even number of hexadecimal digits"),
    GOOD + b" 63\n 6g\nDATA=END\n": (9, "'6g' is not an even number"),
    GOOD + b" 6 3\n 64\nDATA=END\n": (8, "'6 3' is not an even number"),
    GOOD + b" \n 64\nDATA=END\n": (9, "the key has 0 bytes"),
    GOOD + b" %b\n 64\nDATA=END\n" % (b"63" * 5000): (9, "the key has 5000 bytes"),
    GOOD + b"DATA=END\n\n": (9, "'' stands where keyword=value"),
    GOOD + b"DATA=END\nVERSION=3\nHEADER=END\n": (11, "the input ends where a key or DATA=END"),
    GOOD.replace(b"bytevalue", b"print") + b" a\\\n b\nDATA=END\n": (8, "a backslash stands neither"),
    GOOD.replace(b"bytevalue", b"print") + b" a\n b\\6\nDATA=END\n": (9, "a backslash stands neither"),
    HEAD.replace(b"type", b"database=db\nintegerkey=1\ntype") + b" 616263\n 62\n": (9, "the key has 3 bytes, but integers"),
}  # fmt: skip


@pytest.mark.parametrize("dumped", DAMAGED)
def test_damaged(env: lmdb.Environment, dumped: bytes) -> None:
    """What is damaged is refused with the number of the line and a cure, and nothing of it is stored."""
    line, problem = DAMAGED[dumped]
    make(env, None, 0, [(b"kept", b"1")])
    with pytest.raises(DumpFormatError, match=rf"^line {line}: .*{problem}.*[:;.] ?[A-Za-z]") as failure:
        loaded(env, dumped)
    assert failure.value.line == line
    with env.begin() as txn:
        assert list(txn.cursor()) == [(b"kept", b"1")]


def test_other_flags(env: lmdb.Environment) -> None:
    """A database that exists with other flags would lose records, or find none."""
    make(env, b"db", FLAGS["reversekey"], [])
    dumped = HEAD.replace(b"type", b"database=db\ndupsort=1\ntype") + b"DATA=END\n"
    with pytest.raises(DumpFormatError, match=r"^line 7: database 'db' of .* has the flags reversekey, in the dump it "
                                              r"has dupsort\. Drop it first"):  # fmt: skip
        loaded(env, dumped)


def test_a_record_that_is_a_database(env: lmdb.Environment, engine: int) -> None:
    """The record of a named database is not overwritten by one of the dump."""
    make(env, b"a", 0, [(b"k", b"v")])
    dumped = HEAD + b" 61%b\n 62\nDATA=END\n" % (b"00" * engine)
    with pytest.raises(DumpFormatError, match=r"^line 7: the key 'a.*' is the name of a database"):
        loaded(env, dumped)


def test_a_database_that_is_a_record(env: lmdb.Environment, engine: int) -> None:
    """No database is made in the place of a record."""
    make(env, None, 0, [(b"db" + b"\0" * engine, b"v")])
    dumped = HEAD.replace(b"type", b"database=db\ntype") + b"DATA=END\n"
    with pytest.raises(DumpFormatError, match=r"^line 6: database 'db' cannot be made .* Load into another"):
        loaded(env, dumped)


def test_flags_of_the_main_database(opened: Callable[..., lmdb.Environment]) -> None:
    """The main database takes the flags of the dump, if it is empty and the load goes through."""
    head = HEAD.replace(b"type", b"duplicates=1\ndupsort=1\ntype")
    env = opened()
    with pytest.raises(DumpFormatError):
        loaded(env, head + b" 61\n")
    assert not env.open_db().flags()["dupsort"]
    make(env, None, 0, [(b"a", b"1"), (b"a", b"2")])
    with env.begin() as txn:
        assert list(txn.cursor()) == [(b"a", b"2")]
    other = opened("other")
    loaded(other, head + b" 61\n 31\n 61\n 32\nDATA=END\n")
    with other.begin() as txn:
        assert list(txn.cursor()) == [(b"a", b"1"), (b"a", b"2")]


def test_full(opened: Callable[..., lmdb.Environment]) -> None:
    """Where the map is too small, nothing is stored."""
    env = opened(map_size=65536)
    with pytest.raises(lmdb.MapFullError):
        loaded(env, HEAD + b"".join(b" %04x\n %b\n" % (i, b"00" * 1000) for i in range(100)) + b"DATA=END\n")
    assert env.stat()["entries"] == 0


# -- there and back --------------------------------------------------------------------------------------------------

ANY = st.binary(min_size=1, max_size=200)
INTEGERS = st.integers(0, 2**64 - 1).map(lambda number: number.to_bytes(8, sys.byteorder))


@st.composite
def databases(draw: st.DrawFn) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Flags of a database, and records that fit them."""
    kind = draw(st.sampled_from(list(KINDS)))
    keys = INTEGERS if "integerkey" in kind else ANY
    values = INTEGERS if "dupfixed" in kind else ANY if "dupsort" in kind else st.binary(max_size=5000)
    return bits(kind), draw(st.lists(st.tuples(keys, values), max_size=20))


NAMES = st.binary(min_size=1, max_size=50).filter(lambda name: not {0, 10} & set(name))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, databases(), max_size=4), st.dictionaries(ANY, ANY, max_size=5), st.booleans(), st.data())
def test_there_and_back(
    content: dict[bytes, tuple[int, list[tuple[bytes, bytes]]]], plain: dict[bytes, bytes], printable: bool, data: Any
) -> None:
    """What is loaded from a dump is what was dumped, whatever the flags, in either engine."""
    engine = data.draw(st.sampled_from([0, 1]))
    plain = {key: value for key, value in plain.items() if key.rstrip(b"\0") not in content}
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"max_dbs": 4, "sync": False, "lib_version": engine, "map_size": 1 << 24}
        with lmdb.open(folder + "/a", **options) as env, lmdb.open(folder + "/b", **options) as copy:
            make(env, None, 0, list(plain.items()))
            for name, (flags, records) in content.items():
                make(env, name, flags, records)
            dumped = text(env, None, printable=printable)
            loaded(copy, dumped)
            assert text(copy, None, printable=printable) == dumped
            with copy.begin() as txn:
                found = _definition.records(copy, txn, None, copy.open_db())
                assert list(found) == sorted(plain.items())
                for name, (flags, records) in content.items():
                    expected = set(records) if flags & FLAGS["dupsort"] else set(dict(records).items())
                    assert set(txn.cursor(copy.open_db(name, txn=txn, create=False))) == expected
