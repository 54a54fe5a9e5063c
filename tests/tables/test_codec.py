"""What a table asks of a codec of values, and when: by one that notes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings.tables import Index, MismatchError, Table, keys
from lmdb_bindings.tables._opening import Stored
from lmdb_bindings.tables.values import ValueCodec


class Noting(ValueCodec[str]):
    """Strings, which say how they were read, and a schema in the catalog, as FlatBuffers have one.

    Args:
        schema: its version.
    """

    name = "flatbuffers"

    def __init__(self, schema: int) -> None:
        self.schema = schema
        self.attached: list[bool] = []

    def entry(self) -> dict[str, Any]:
        """What must be the same in the catalog."""
        return {"root": "Noted"}

    def encode(self, value: str) -> bytes:
        """As for every codec."""
        return value.encode()

    def decode(self, data: Any) -> str:
        """As for every codec."""
        assert type(data) is bytes
        return f"copy of {data.decode()}"

    def field(self, value: str, path: tuple[str, ...]) -> Any:
        """The last letter."""
        return value[-1] if path == ("last",) else None

    def attach(self, table: Stored, txn: lmdb.Transaction, *, may_write: bool) -> bool:
        """Compare versions, and store a newer one."""
        self.attached.append(may_write)
        key = table.name.encode() + b"\0" + self.schema.to_bytes(4, "big")
        newest = table.entry.more.get("schema", 0)
        if newest > self.schema:
            raise MismatchError("the schema is older than the table")
        if newest == self.schema:
            assert txn.get(key, db=table.catalog) == b"schema"
            return False
        if may_write:
            txn.put(key, b"schema", db=table.catalog)
            table.entry.more["schema"] = self.schema
        return True

    def reader(self, txn: lmdb.Transaction, database: Any) -> Any:
        """Reads in place, in read transactions alone."""
        assert not txn._write
        return InPlace(txn, database)


class InPlace:
    """What reads in place."""

    def __init__(self, txn: lmdb.Transaction, database: Any) -> None:
        self._txn = txn
        self._database = database

    def get(self, key: bytes) -> str | None:
        """The value of a key."""
        assert type(key) is bytes
        data = self._txn.get(key, None, self._database)
        return None if data is None else f"place of {bytes(data).decode()}"


@pytest.fixture
def table(env: lmdb.Environment) -> Table[int, str]:
    """A table of such values."""
    made: Table[int, str] = Table(
        env, "t", key=keys.uint8, value=Noting(1), indexes={"by_last": Index("last", keys.string)}
    )
    made.update({1: "a", 2: "b"})
    return made


def test_in_place_only_while_there_is_a_snapshot(table: Table[int, str], env: lmdb.Environment) -> None:
    """The reader is asked where the table is bound to a read transaction; what outlives a transaction owns its memory."""
    copies, places = {1: "copy of a", 2: "copy of b"}, {1: "place of a", 2: "place of b"}
    assert dict(table.items()) == copies
    assert (table[1], table.get(2), table.get(3), list(table.values())) == (
        copies[1],
        copies[2],
        None,
        list(copies.values()),
    )
    assert (table.by("by_last").range().first(), list(table.by("by_last")["b"])) == ((1, copies[1]), [(2, copies[2])])
    with table.begin() as bound:
        assert dict(bound.items()) == places
        assert (bound[1], bound.get(2), bound.get(3), list(bound.values())) == (
            places[1],
            places[2],
            None,
            list(places.values()),
        )
        assert list(bound.by("by_last").range(reverse=True)) == [(2, places[2]), (1, places[1])]
        assert list(bound.by("by_last").range().values()) == list(places.values())
        with pytest.raises(KeyError):
            bound[3]
    with env.begin(buffers=True) as txn:
        assert dict(table.within(txn).items()) == places
    with table.begin(write=True) as writing:
        assert dict(writing.items()) == copies
        assert list(writing.by("by_last")["b"]) == [(2, copies[2])]
        assert writing.pop(2) == copies[2]


def test_a_codec_that_nobody_knows(env: lmdb.Environment) -> None:
    """Values of another name than the catalog knows are refused before there is a table of them."""
    codec = Noting(1)
    codec.name = "protobuf"
    with pytest.raises(
        lmdb.Error, match="values of 'protobuf': nobody could open it again; known are flatbuffers, bytes"
    ):
        Table(env, "t", key=keys.uint8, value=codec)
    assert env.dbs() == []


def test_what_a_codec_stores_with_the_table(table: Table[int, str], opened: Callable[..., lmdb.Environment]) -> None:
    """It is asked when the table is opened, first without writing, and again where something is left to be stored."""
    env = table.env
    first: Any = table._stored.value
    assert first.attached == [True]
    assert table.entry.more == {"root": "Noted", "schema": 1}
    same, newer, older = Noting(1), Noting(2), Noting(1)
    assert Table(env, "t", value=same)[1] == "copy of a"
    assert same.attached == [False]
    upgraded: Table[int, str] = Table(env, "t", value=newer)
    assert newer.attached == [False, True]
    assert upgraded.entry.more == {"root": "Noted", "schema": 2}
    table[3] = "c"  # a newer schema changes nothing for whoever has the older one
    assert list(upgraded.by("by_last")) == ["a", "b", "c"]
    with pytest.raises(MismatchError, match="the schema is older"):
        Table(env, "t", value=older)
    env.close()
    reading = opened(readonly=True)
    newest = Noting(3)
    assert len(Table(reading, "t", value=newest)) == 3
    assert newest.attached == [False]
