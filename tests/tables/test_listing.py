"""The command ``python -m lmdb_bindings tables``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import tool
from lmdb_bindings.tables import Index, Table, keys, values


@pytest.fixture
def path(opened: Callable[..., lmdb.Environment]) -> str:
    """An environment with two tables."""
    with opened() as env:
        people: Table[int, Any] = Table(
            env, "people", key=keys.uint32, value=values.json, fields="id",
            indexes={"by_mail": Index("mail", keys.string, unique=True), "by_place": Index(["city", "age"], keys.tuple_of(keys.string, keys.int8))},
        )  # fmt: skip
        people.update({number: {"id": number, "mail": f"{number}@x", "city": "Bern"} for number in range(500)})
        people[7] = {"id": 7, "city": "Rome", "age": 1}
        Table(env, "Wörter", key=keys.string, value=values.bytes)
        return env.path()


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What the command shows as JSON."""
    tool.main(["tables", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_as_json(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names, types, sizes and indexes, for programs."""
    words, people = listed(capsys, path)
    assert words == {"name": "Wörter", "key": "string", "value": "bytes", "records": 0, "bytes": 0, "indexes": {}}
    indexes = people.pop("indexes")
    size = people.pop("bytes")
    assert people == {"name": "people", "key": "uint32", "fields": ["id"], "value": "json", "records": 500}
    assert indexes["by_mail"].items() >= {"key": "string", "unique": True, "fields": ["mail"], "records": 499}.items()
    assert (
        indexes["by_place"].items()
        >= {"key": "(string, int8)", "unique": False, "fields": ["city", "age"], "records": 1}.items()
    )
    assert size > indexes["by_mail"]["bytes"] + indexes["by_place"]["bytes"] > 0
    assert size % 4096 == 0


def test_as_a_table(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for a reader, by either way to name the environment."""
    tool.main(["tables", path])
    shown = capsys.readouterr().out
    head, words, people, by_mail, by_place = shown.splitlines()
    assert head.split() == ["table", "key", "value", "records", "bytes"]
    assert words.split() == ["Wörter", "string", "bytes", "0", "0"]
    assert people.split()[:4] == ["people", "uint32", "json", "500"]
    assert by_mail.split()[:-1] == ["by_mail", "string", "unique", "index", "of", "mail", "499"]
    assert by_place.split()[:-1] == ["by_place", "(string,", "int8)", "index", "of", "city,", "age", "1"]
    assert len({len(line) for line in (head, people, by_mail, by_place)}) == 1
    tool.main(["-e", path, "tables"])
    assert capsys.readouterr().out == shown


def test_what_cannot_be_shown(path: str, engine: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No catalog, no environment, too little room for databases, and too many arguments: a message, and status 1."""
    with lmdb.open(tmp_path / "plain", lib_version=engine):
        pass
    for arguments, text in (
        ([str(tmp_path / "plain")], "there is no catalog of tables in"),
        ([], "takes one environment"),
        ([path, path], "takes one environment"),
        ([path, "--max-dbs=2"], "more databases than --max-dbs=2"),
    ):
        with pytest.raises(SystemExit) as caught:
            tool.main(["tables", *arguments])
        assert caught.value.code == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert text in captured.err
    with pytest.raises(lmdb.Error):
        tool.main(["tables", str(tmp_path / "nothing")])


def test_entries_that_cannot_be_read(path: str, engine: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged or newer entry is shown with what is wrong, beside the others; nothing commands the terminal."""
    with (
        lmdb.open(path, max_dbs=16, lib_version=engine) as env,
        env.begin(env.open_db(b"__tables__"), write=True) as txn,
    ):
        txn.put(b"a\x1b[2J", b"{")
        txn.put(b"b", b'{"format":2}')
        txn.put(b"c", b'{"format":1,"key":"int8","value":"json","indexes":{}}')
        txn.put(b"d\xff", b"{}")
    found = listed(capsys, path)
    assert [table["name"] for table in found] == ["Wörter", "a\x1b[2J", "b", "c", "d\\xff", "people"]
    problems = [table["problem"] for table in found if "problem" in table]
    for problem, text in zip(problems, ("no JSON", "has format 2", "there is no database 'c'", "no JSON"), strict=True):
        assert text in problem
    tool.main(["tables", path])
    shown = capsys.readouterr().out
    assert "a\\x1b[2J" in shown
    assert "\x1b" not in shown


def test_it_writes_nothing(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The environment is opened for reading alone."""
    data = Path(path, "data.mdb").read_bytes()
    listed(capsys, path)
    assert Path(path, "data.mdb").read_bytes() == data
