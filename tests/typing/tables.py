"""The types of tables, as a user sees them: python tables.py FOLDER LIB_VERSION.

Type checkers read it, and it is run too, so that what they believe is true. What they must refuse is in
:func:`mistakes`, which is not called.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import lmdb_bindings as lmdb
from lmdb_bindings.tables import Index, Lookup, Query, Table, keys, values
from lmdb_bindings.tables._views import TableItems, TableKeys, TableValues

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:
    from runtime import assert_type


@dataclass
class City:
    """A value."""

    name: str
    people: int


def codecs() -> None:
    """What a codec makes of bytes is what it took."""
    assert_type(keys.uint8.decode(keys.uint8.encode(1)), int)
    assert_type(keys.float64.decode(keys.float64.encode(1.0)), float)
    assert_type(keys.bool.decode(keys.bool.encode(True)), bool)
    assert_type(keys.string.decode(keys.string.encode("a")), str)
    assert_type(keys.bytes.decode(keys.bytes.encode(b"a")), bytes)
    assert_type(keys.uuid.decode(keys.uuid.encode(UUID(int=0))), UUID)
    moment = keys.datetime.encode(dt.datetime.now(dt.timezone.utc))
    assert_type(keys.datetime.decode(moment), dt.datetime)
    pair = keys.tuple_of(keys.string, keys.uint8)
    assert_type(pair.decode(pair.encode(("a", 1))), tuple[str, int])
    three = keys.tuple_of(keys.string, keys.uint8, keys.bool)
    assert_type(three.decode(three.encode(("a", 1, True))), tuple[str, int, bool])


def mapping(cities: Table[tuple[str, int], City]) -> None:
    """A table is a mapping of its keys to its values."""
    berlin = City("Berlin", 3_700_000)
    cities["DE", 1] = berlin
    cities.update({("CH", 1): City("Bern", 140_000)})
    assert_type(cities["DE", 1], City)
    assert_type(cities.get(("DE", 1)), City | None)
    assert_type(cities.get(("DE", 1), 0), City | int)
    assert_type(cities.setdefault(("DE", 1), berlin), City)
    assert_type(cities.keys(), TableKeys[tuple[str, int]])
    assert_type(cities.values(), TableValues[City])
    assert_type(cities.items(), TableItems[tuple[str, int], City])
    assert_type(iter(cities), Iterator[tuple[str, int]])
    assert_type(iter(cities.items()), Iterator[tuple[tuple[str, int], City]])
    assert_type(reversed(cities.values()), Iterator[City])
    assert_type(cities.first(), tuple[tuple[str, int], City] | None)
    assert_type(cities.range(("DE",)), Query[tuple[str, int], City, tuple[tuple[str, int], City]])
    assert_type(cities.prefix(("DE",)).keys(), Query[tuple[str, int], City, tuple[str, int]])
    assert_type(cities.range().values(), Query[tuple[str, int], City, City])
    assert_type(cities.range().values().first(), City | None)
    assert_type(cities.range().count(), int)
    with cities.begin() as bound:
        assert_type(bound, Table[tuple[str, int], City])
    by_name = assert_type(cities.by("by_name"), Lookup[Any, tuple[str, int], City])
    assert_type(by_name.key("Bern"), tuple[str, int])
    assert_type(by_name.range(), Query[tuple[str, int], City, tuple[tuple[str, int], City]])
    assert_type(cities.put(("DE", 1), berlin, overwrite=False), bool)
    assert_type(cities.pop(("CH", 1)), City)
    assert_type(cities.pop(("CH", 1), None), City | None)
    assert_type(cities.popitem(), tuple[tuple[str, int], City])


def by_name_alone(env: lmdb.Environment) -> None:
    """Of what the catalog says a type checker knows nothing: the program says it."""
    numbers: Table[int, str] = Table(env, "numbers", key=keys.uint8, value=values.string)
    numbers[1] = "one"
    again: Table[int, str] = Table(env, "numbers")
    assert_type(again[1], str)


def mistakes(env: lmdb.Environment, cities: Table[tuple[str, int], City]) -> None:
    """Each of these lines is an error."""
    cities["DE"] = City("Berlin", 1)  # type: ignore[index]
    cities["DE", 1] = "Berlin"  # type: ignore[assignment]
    cities["DE", 1].area  # type: ignore[attr-defined]  # noqa: B018
    cities.get(("DE", 1)).name  # type: ignore[union-attr]  # noqa: B018
    cities.put(("DE", 1), City("a", 1), conflict="ignore")  # type: ignore[arg-type]
    cities.range(limit="1")  # type: ignore[arg-type]
    keys.uint8.encode("a")  # type: ignore[arg-type]
    keys.tuple_of(keys.string, keys.uint8).encode(("a", "b"))  # type: ignore[arg-type]
    values.dataclass(City).encode(1)  # type: ignore[arg-type]
    Index("name", "string")  # type: ignore[arg-type]
    Table(env, b"name")  # type: ignore[arg-type]
    wrong: Table[str, City] = Table(env, "cities", key=keys.uint8, value=values.dataclass(City))  # type: ignore[arg-type]
    del wrong


def main(folder: str, lib_version: int) -> None:
    """Run everything but the mistakes against a new environment."""
    codecs()
    with lmdb.open(folder, max_dbs=8, lib_version=lib_version) as env:
        cities = Table(
            env, "cities", key=keys.tuple_of(keys.string, keys.uint8), value=values.dataclass(City),
            indexes={"by_name": Index("name", keys.string, unique=True)},
        )  # fmt: skip
        mapping(assert_type(cities, Table[tuple[str, int], City]))
        by_name_alone(env)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
