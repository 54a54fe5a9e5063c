"""Secondary indexes: what the model does not say."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings.tables import DamagedError, Index, MismatchError, Table, TableError, UniqueError, keys, values

BY_MAIL = Index("mail", keys.string, unique=True)
BY_CITY = Index("city", keys.string)


@pytest.fixture
def people(env: lmdb.Environment) -> Table[int, Any]:
    """A table with an index that is unique and one that is not."""
    made: Table[int, Any] = Table(
        env, "people", key=keys.uint16, value=values.json, indexes={"by_mail": BY_MAIL, "by_city": BY_CITY}
    )
    made.update(
        {
            1: {"mail": "a@x", "city": "Rome"},
            2: {"mail": "b@x", "city": "Bern"},
            3: {"mail": "c@x", "city": "Rome"},
            4: {"city": None},
        }
    )
    return made


def raw(env: lmdb.Environment, name: str) -> list[tuple[bytes, bytes]]:
    """The records of a database, as they are stored."""
    with env.begin() as txn:
        return list(txn.scan(env.open_db(name.encode())))


@pytest.mark.usefixtures("people")
def test_how_it_is_stored(env: lmdb.Environment) -> None:
    """An index is a database of the index's keys and the records' keys, with one of many where it is not unique."""
    assert raw(env, "people:by_mail") == [(b"a@x", b"\0\1"), (b"b@x", b"\0\2"), (b"c@x", b"\0\3")]
    assert raw(env, "people:by_city") == [(b"Bern", b"\0\2"), (b"Rome", b"\0\1"), (b"Rome", b"\0\3")]
    assert env.open_db(b"people:by_city").flags()["dupsort"] is True
    assert env.open_db(b"people:by_mail").flags()["dupsort"] is False


def test_look_up(people: Table[int, Any]) -> None:
    """A unique index gives the record, another one a query of all of them; what is missing says so."""
    by_mail, by_city = people.by("by_mail"), people.by("by_city")
    assert by_mail["a@x"] == people[1]
    assert by_mail.key("c@x") == 3
    assert (by_mail.get("z@x"), by_mail.get("z@x", 0)) == (None, 0)
    for look in (by_mail.__getitem__, by_mail.key):
        with pytest.raises(KeyError) as caught:
            look("z@x")
        assert caught.value.args == ("z@x",)
    assert list(by_city["Rome"].keys()) == [1, 3]
    assert (by_city["Rome"].count(), len(by_city), by_city.range().count()) == (2, 2, 3)
    assert not by_city["Oslo"]
    assert ("Rome" in by_city, "Oslo" in by_city, list(by_city), list(by_city.keys())) == (
        True,
        False,
        *[["Bern", "Rome"]] * 2,
    )
    assert list(by_city.prefix("R", reverse=True).keys()) == [3, 1]
    assert (by_city.first(), by_city.last()) == ((2, people[2]), (3, people[3]))
    assert list(by_city.range("Bern", "Rome", include_start=False, include_stop=True).keys()) == [1, 3]
    assert list(by_city.range(limit=1).values()) == [people[2]]
    for look in (by_city.get, by_city.key):
        with pytest.raises(TableError, match=r"not unique: by\('by_city'\)\[key\] gives all"):
            look("Rome")
    with pytest.raises(TypeError, match="is no string"):
        by_mail[1]
    with pytest.raises(TableError, match="has no index 'by_name'; it has by_mail, by_city"):
        people.by("by_name")


def test_a_unique_key_that_is_taken(people: Table[int, Any]) -> None:
    """The error names index and both records; nothing changes, and the transaction goes on."""
    with people.begin(write=True) as bound:
        bound[5] = {"mail": "e@x"}
        with pytest.raises(
            UniqueError, match="record 6 would have the key 'a@x' in the unique index 'by_mail'"
        ) as caught:
            bound[6] = {"mail": "a@x", "city": "Oslo"}
        error = caught.value
        assert (error.index, error.index_key, error.key, error.holder) == ("by_mail", "a@x", 6, 1)
        assert 6 not in bound
        assert "Oslo" not in bound.by("by_city")
        bound[7] = {"mail": "f@x"}
    assert set(people) == {1, 2, 3, 4, 5, 7}
    assert list(people.check()) == []
    with pytest.raises(UniqueError):
        people.update({8: {"mail": "g@x"}, 9: {"mail": "g@x"}})
    assert 8 not in people


def test_replacing_by_two_unique_keys(env: lmdb.Environment) -> None:
    """A record that takes the unique keys of two others removes both, with their entries in every index."""
    table: Table[int, Any] = Table(
        env, "t", key=keys.uint8, value=values.json,
        indexes={"a": Index("a", keys.string, unique=True), "b": Index("b", keys.string, unique=True), "c": Index("c", keys.string)},
    )  # fmt: skip
    table.update({1: {"a": "x", "b": "1", "c": "one"}, 2: {"a": "y", "b": "2", "c": "two"}, 3: {"a": "z", "b": "3"}})
    assert table.put(3, {"a": "x", "b": "2", "c": "three"}, conflict="replace")
    assert table == {3: {"a": "x", "b": "2", "c": "three"}}
    assert [raw(env, f"t:{name}") for name in "abc"] == [[(b"x", b"\3")], [(b"2", b"\3")], [(b"three", b"\3")]]
    table[4] = {"a": "z", "b": "1"}  # both were freed
    assert list(table.check()) == []


def test_swapping_unique_keys(people: Table[int, Any]) -> None:
    """A key that a record gives up is free for the next one in the same transaction."""
    with people.begin(write=True) as bound:
        bound[1] = {"mail": "z@x"}
        bound[2] = {"mail": "a@x"}
        bound[1] = {"mail": "b@x"}
    assert (people.by("by_mail").key("a@x"), people.by("by_mail").key("b@x")) == (2, 1)
    assert list(people.check()) == []


def test_keys_that_cannot_be(people: Table[int, Any], env: lmdb.Environment) -> None:
    """A field of another type, or too long a key, is refused with the index's name, and nothing changes."""
    before = [raw(env, name) for name in ("people", "people:by_mail", "people:by_city")]
    longest = env.max_key_size()
    for value, kind, text in (
        ({"mail": "q", "city": 7}, TypeError, "index 'by_city': 7 is no string, but int"),
        (
            {"mail": "q", "city": "x" * (longest + 1)},
            ValueError,
            f"index 'by_city': a key of {longest + 1} bytes is too long: {longest} at most",
        ),
    ):
        with people.begin(write=True) as bound, pytest.raises(kind, match=text):
            bound[1] = value
    assert [raw(env, name) for name in ("people", "people:by_mail", "people:by_city")] == before
    people[1] = {"mail": "x" * longest, "city": ""}
    assert people.by("by_mail").key("x" * longest) == 1
    assert list(people.by("by_city")["Rome"].keys()) == [3]


def test_a_key_that_is_no_text(env: lmdb.Environment) -> None:
    """A string that has no UTF-8 is refused as any other value that no key can be."""
    table: Table[int, Any] = Table(
        env, "t", key=keys.uint8, value=values.pickle(trusted=True), indexes={"by_name": Index("name", keys.string)}
    )
    with pytest.raises(ValueError, match=r"index 'by_name': .*surrogates not allowed"):
        table[1] = {"name": "\ud800"}
    assert len(table) == 0


def test_the_index_is_of_what_is_stored(env: lmdb.Environment) -> None:
    """What JSON changes is indexed as it is read back, so that the entry can be found again."""
    table: Table[int, Any] = Table(
        env, "t", key=keys.uint8, value=values.json, indexes={"by_1": Index("1", keys.string)}
    )
    table[1] = {1: "a"}
    assert list(table.by("by_1")["a"].keys()) == [1]
    del table[1]
    assert raw(env, "t:by_1") == []


def test_index_declarations() -> None:
    """As many paths as parts."""
    for by, key in (
        (["a", "b"], keys.string),
        ("a", keys.tuple_of(keys.string, keys.string)),
        ([], keys.string),
        ("", keys.string),
    ):
        with pytest.raises(ValueError, match="needs a key of as many parts"):
            Index(by, key)


def test_many_at_once(env: lmdb.Environment) -> None:
    """Records that are new are stored together, and others as one by one: the table and its indexes are the same."""
    indexes = {"by_mail": BY_MAIL, "by_city": BY_CITY}
    table: Table[int, Any] = Table(env, "t", key=keys.uint16, value=values.json, indexes=indexes)
    records = {number: {"mail": f"{number % 2500}@x", "city": f"{number % 7}"} for number in range(2500)}
    table.update(reversed(list(records.items())))
    table.update({7: {"mail": "seven@x"}, 2500: {"mail": "7@x"}})
    records |= {7: {"mail": "seven@x"}, 2500: {"mail": "7@x"}}
    assert table == records
    assert (len(table.by("by_mail")), table.by("by_city").range().count()) == (2501, 2499)
    assert list(table.check()) == []


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ((5, {"mail": 7}), TypeError),
        ((5, {"mail": "1@x"}), UniqueError),
        ((5, {"mail": "2@x"}), UniqueError),
        ((5, {"mail": float("nan")}), ValueError),
        ((-1, {}), ValueError),
    ],
)
@pytest.mark.parametrize("fresh", [True, False])
def test_many_of_which_one_cannot_be(people: Table[int, Any], bad: Any, kind: type[Exception], fresh: bool) -> None:
    """Within a transaction those before it are stored, with their entries, and those behind it are not."""
    people.clear()
    if not fresh:
        people[1] = {"mail": "other@x"}
    records = [(1, {"mail": "1@x"}), (2, {"mail": "2@x", "city": "Rome"}), bad, (6, {"mail": "6@x"})]
    with people.begin(write=True) as bound:
        with pytest.raises(kind):
            bound.update(iter(records))
        bound[7] = {"mail": "7@x"}
    assert people == {1: {"mail": "1@x"}, 2: {"mail": "2@x", "city": "Rome"}, 7: {"mail": "7@x"}}
    assert list(people.check()) == []
    with pytest.raises(kind):
        people.update([(8, {}), *records])
    assert 8 not in people


# -- functions -------------------------------------------------------------------------------------------------------


def domain(value: Any) -> str | None:
    """The domain of a mail address."""
    return value["mail"].partition("@")[2] if "mail" in value else None


def test_a_function_is_given_at_every_opening(people: Table[int, Any], env: lmdb.Environment) -> None:
    """Without it the table can be read, by this index too, and not written, since nobody could keep the index."""
    people.add_index("by_domain", Index(domain, keys.string))
    assert people.entry.indexes["by_domain"].function == f"{__name__}:domain"
    people[5] = {"mail": "a@y"}
    without: Table[int, Any] = Table(env, "people")
    assert list(without.by("by_domain")["y"].keys()) == [5]
    assert list(without.check()) == []
    for change in (
        lambda: without.pop(1),
        without.clear,
        lambda: without.reindex("by_city"),
        lambda: without.update({}),
    ):
        with pytest.raises(
            TableError, match=r"can only be read: its index 'by_domain' is of .*:domain, a function which was not given"
        ):
            change()
    given: Table[int, Any] = Table(env, "people", indexes={"by_domain": Index(domain, keys.string)})
    del given[5]
    assert raw(env, "people:by_domain") == [(b"x", b"\0\1"), (b"x", b"\0\2"), (b"x", b"\0\3")]
    assert pickle.loads(pickle.dumps(given)).pop(1) == {"mail": "a@x", "city": "Rome"}


def test_the_catalog_imports_nothing(
    people: Table[int, Any], env: lmdb.Environment, rewrite_entry: Callable[..., None]
) -> None:
    """A file that names os.system as a function runs nothing, unless who opens it trusts it."""
    called = []
    sys.modules["harmless"] = type(sys)("harmless")
    sys.modules["harmless"].function = lambda value: called.append(value) or "key"  # type: ignore[attr-defined]
    index = {"by_city": {"key": "string", "unique": False, "function": "harmless:function"}}
    rewrite_entry("people", indexes=index)
    table: Table[int, Any] = Table(env, "people")
    assert table[1] == people[1]
    with pytest.raises(TableError, match="can only be read"):
        table[1] = {}
    assert called == []
    trusting: Table[int, Any] = Table(env, "people", trusted=True)
    assert trusting.reindex() == 4
    assert len(called) == 4
    del sys.modules["harmless"]
    for name in ("harmless:function", "os:nothing", "os", ":"):
        rewrite_entry("people", indexes={"by_city": {"key": "string", "unique": False, "function": name}})
        with pytest.raises(TableError, match="of the catalog cannot be imported"):
            Table(env, "people", trusted=True)


# -- adding, dropping, making anew -----------------------------------------------------------------------------------


def test_adding_and_dropping(people: Table[int, Any], env: lmdb.Environment) -> None:
    """An index of a table with records is built; opening with one that the table lacks does it too."""
    people.update({number: {"n": number, "mail": f"{number}"} for number in range(10, 3000)})
    people.add_index("by_n", Index("n", keys.uint32, unique=True))
    assert people.by("by_n").key(2999) == 2999
    assert len(people.by("by_n")) == 2990
    people.drop_index("by_n")
    assert b"people:by_n" not in env.dbs()
    assert set(people.entry.indexes) == {"by_mail", "by_city"}
    opened: Table[int, Any] = Table(env, "people", indexes={"by_n": Index("n", keys.uint16)})
    assert opened.by("by_n")[77].first() == (77, {"n": 77, "mail": "77"})
    assert set(opened.entry.indexes) == {"by_mail", "by_city", "by_n"}
    assert list(opened.check()) == []
    with pytest.raises(TableError, match="has no index 'by_x'"):
        people.drop_index("by_x")


def test_dropping_in_a_map_that_is_full(
    people: Table[int, Any], env: lmdb.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is done again, with a larger map, although the first one has closed the handles."""
    dropped, refusals = lmdb.Transaction.drop, [lmdb.MapFullError("mdb_drop")]

    def drop(txn: Any, *arguments: Any, **options: Any) -> Any:
        dropped(txn, *arguments, **options)
        if refusals:
            raise refusals.pop()

    monkeypatch.setattr(lmdb.Transaction, "drop", drop)
    people.drop_index("by_mail")
    assert not refusals
    people[6] = {"mail": "a@x"}
    assert list(Table[int, Any](env, "people").entry.indexes) == ["by_city"]
    refusals.append(lmdb.MapFullError("mdb_drop"))
    people.drop()
    with env.begin() as txn:
        assert [key for key in txn.scan(values=False) if b"people" in key] == []


def test_an_index_that_cannot_be_built(people: Table[int, Any], env: lmdb.Environment) -> None:
    """Two records with one key leave the table as it was, and are named."""
    with pytest.raises(
        UniqueError, match="record 3 would have the key 'Rome' in the unique index 'unique', and the record 1 has it"
    ):
        people.add_index("unique", Index("city", keys.string, unique=True))
    with pytest.raises(TypeError, match="index 'odd': 'a@x' is no int8"):
        people.add_index("odd", Index("mail", keys.int8))
    assert set(people.entry.indexes) == set(Table[int, Any](env, "people").entry.indexes) == {"by_mail", "by_city"}
    assert sorted(env.dbs()) == [b"__tables__", b"people", b"people:by_city", b"people:by_mail"]
    people[9] = {"mail": "i@x"}
    assert list(people.check()) == []


def test_a_table_that_is_open_elsewhere_notices_a_new_index(people: Table[int, Any], env: lmdb.Environment) -> None:
    """Whoever does not know of an index must not write: its entries would be missing."""
    other: Table[int, Any] = Table(env, "people")
    people.add_index("by_x", Index("x", keys.string))
    with pytest.raises(MismatchError, match="table 'people' has been changed since it was opened here: open it again"):
        other[1] = {"x": "y"}
    with pytest.raises(MismatchError, match="changed since"):
        other.drop()
    assert other[1] == people[1]
    other = Table(env, "people")
    other[1] = {"x": "y"}
    assert list(people.check()) == []


# -- damage ----------------------------------------------------------------------------------------------------------


def damage(env: lmdb.Environment) -> None:
    """Take one entry out, add one of a record that is not there, and one that is not its record's."""
    with env.begin(write=True) as txn:
        assert txn.delete(b"Rome", b"\0\1", db=env.open_db(b"people:by_city"))
        txn.put(b"Oslo", b"\0\x09", db=env.open_db(b"people:by_city"))
        txn.put(b"Rome", b"\0\2", db=env.open_db(b"people:by_city"))
        txn.put(b"c@x", b"\0\2", db=env.open_db(b"people:by_mail"))


def test_check_and_reindex(people: Table[int, Any], env: lmdb.Environment) -> None:
    """check() names each entry that is missing, stale or orphaned; reindex() makes the index right."""
    damage(env)
    found = {(problem.index, problem.key, problem.text.partition(",")[0]) for problem in people.check()}
    assert found == {
        ("by_city", b"\0\1", "the record has no entry"),
        ("by_city", b"\0\x09", "the entry with the key b'Oslo' leads to no record"),
        ("by_city", b"\0\2", "the entry with the key b'Rome' leads to a record whose key is b'Bern'"),
        ("by_mail", b"\0\3", "the record has no entry"),
        ("by_mail", b"\0\2", "the entry with the key b'c@x' leads to a record whose key is b'b@x'"),
    }
    assert people.reindex("by_city") == 3
    assert {problem.index for problem in people.check()} == {"by_mail"}
    assert people.reindex() == 6
    assert list(people.check()) == []


def test_an_orphaned_entry(people: Table[int, Any], env: lmdb.Environment) -> None:
    """Reading by it, or deleting by it, says what is wrong, and what to do."""
    damage(env)
    with env.begin(write=True) as txn:
        txn.put(b"o@x", b"\0\x09", db=env.open_db(b"people:by_mail"))
    by_city, by_mail = people.by("by_city"), people.by("by_mail")
    for read in (lambda: list(by_city["Oslo"]), by_city["Oslo"].delete, lambda: by_mail["o@x"]):
        with pytest.raises(DamagedError, match=r"a record that is not there: see check\(\) and reindex"):
            read()
    for conflict in ("raise", "replace"):
        with pytest.raises(DamagedError, match="'by_mail' has an entry for 9, a record that is not there"):
            people.put(7, {"mail": "o@x"}, conflict=conflict)
        with pytest.raises(DamagedError, match="'by_mail' has the entry b'c@x' for the record 2, whose key is another"):
            people.put(7, {"mail": "c@x"}, conflict=conflict)
    assert 2 in people


def test_a_record_that_cannot_be_read(people: Table[int, Any], env: lmdb.Environment) -> None:
    """Its entries are unknown, so it is neither replaced nor deleted; discard() looks for them."""
    with env.begin(write=True) as txn:
        txn.put(b"\0\1", b"{", db=env.open_db(b"people"))
    for change in (lambda: people.__setitem__(1, {}), lambda: people.__delitem__(1), people.range().delete):
        with pytest.raises(DamagedError, match=r"the record 1 cannot be replaced or removed.* discard\(\) removes it"):
            change()
    assert people.discard(1) is True
    assert people.discard(1) is False
    assert 1 not in people
    assert list(people.check()) == []
    people[1] = {"mail": "a@x", "city": "Rome"}


def test_removing_leaves_the_entry_of_another(people: Table[int, Any], env: lmdb.Environment) -> None:
    """Where a damaged unique index has another record for a key, that entry is not removed with this record."""
    damage(env)
    del people[3]  # by_mail has c@x for record 2
    assert (b"c@x", b"\0\2") in raw(env, "people:by_mail")


def test_an_index_in_another_process(
    people: Table[int, Any], env: lmdb.Environment, python: Callable[..., str]
) -> None:
    """Another process finds the table by its catalog, and keeps its indexes."""
    script = """if True:
        import sys
        import lmdb_bindings as lmdb
        from lmdb_bindings.tables import Table
        with lmdb.open(sys.argv[1], max_dbs=8) as env:
            people = Table(env, "people")
            people[7] = {"mail": "g@x", "city": "Rome"}
            del people[1]
            print(*people.by("by_city")["Rome"].keys())
    """
    assert python(script, os.path.abspath(env.path())) == "3 7"
    assert list(people.by("by_city")["Rome"].keys()) == [3, 7]
    assert list(people.check()) == []


def test_fields_that_hold_other_values(env: lmdb.Environment) -> None:
    """A UUID in JSON is text, and a moment a number: the index has what they stand for; so has the key of a table."""
    name = "00112233-4455-6677-8899-aabbccddeeff"
    table: Table[uuid.UUID, Any] = Table(
        env, "t", key=keys.uuid, value=values.json, fields="id",
        indexes={"by_time": Index(["at", "id"], keys.tuple_of(keys.datetime, keys.uuid), unique=True)},
    )  # fmt: skip
    assert table.add({"id": name, "at": 0}) == uuid.UUID(name)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    assert table.by("by_time").key((epoch, uuid.UUID(name))) == uuid.UUID(name)
    assert list(table.by("by_time")) == [(epoch, uuid.UUID(name))]
    table[uuid.UUID(name)] = {"id": name.upper(), "at": 1}
    assert list(table.check()) == []
    with pytest.raises(ValueError, match=r"the key is made of id: 'x' is no UUID"):
        table.add({"id": "x"})


@pytest.mark.parametrize("holder", [b"", b"\0\x63", b"x" * 600])
def test_an_entry_with_a_key_that_cannot_be(people: Table[int, Any], env: lmdb.Environment, holder: bytes) -> None:
    """An entry may say anything, also an empty key, for which LMDB refuses to look: it is damaged, and check() says so."""
    with env.begin(write=True) as txn:
        txn.put(b"z@x", holder, db=env.open_db(b"people:by_mail"))
    assert [(problem.index, problem.text) for problem in people.check()] == [
        ("by_mail", "the entry with the key b'z@x' leads to no record")
    ]
    by_mail = people.by("by_mail")
    uses: list[Callable[[], Any]] = [
        lambda: by_mail["z@x"], lambda: list(by_mail.range()), lambda: list(by_mail.range().values()),
        lambda: people.put(7, {"mail": "z@x"}), lambda: people.put(7, {"mail": "z@x"}, conflict="replace"),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(DamagedError, match="a record that is not there: see check"):
            use()
    with env.begin(write=True) as txn, pytest.raises(DamagedError, match="a record that is not there"):
        list(people.within(txn).by("by_mail").range().values())
    assert people.reindex("by_mail") == 3
    assert list(people.check()) == []


def test_check_reads_on_behind_a_key_that_is_none(env: lmdb.Environment) -> None:
    """A key that is damaged is a problem of its record, also where it should be made of fields."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint64, value=values.json, fields="id")
    table.add({"id": 1})
    with env.begin(write=True) as txn:
        txn.put(b"\0", b'{"id": 2}', db=env.open_db(b"t"))
        txn.put(b"\xff" * 8, b"{", db=env.open_db(b"t"))
    assert [problem.key for problem in table.check()] == [b"\0", b"\0", b"\xff" * 8]


def test_replacing_changes_nothing_where_a_record_cannot_be_removed(env: lmdb.Environment) -> None:
    """Of two that would lose their place one is damaged: both stay, and the transaction can be used."""
    unique = {name: Index(name, keys.string, unique=True) for name in ("a", "b")}
    table: Table[int, Any] = Table(
        env, "t", key=keys.uint8, value=values.json, indexes={**unique, "c": Index("c", keys.string)}
    )
    table.update({1: {"a": "1"}, 2: {"b": "2"}})
    with env.begin(write=True) as txn:
        txn.put(b"\2", b'{"b":"2","c":5}', db=env.open_db(b"t"))  # another program's, whose c is no string
    with table.begin(write=True) as bound:
        with pytest.raises(DamagedError, match="cannot be replaced or removed"):
            bound.put(3, {"a": "1", "b": "2"}, conflict="replace")
        assert list(bound) == [1, 2]
        assert bound.by("a").key("1") == 1
