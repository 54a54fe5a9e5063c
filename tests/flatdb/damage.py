"""Damaged records, JSON texts and schemas through all of libflatdb: a run that must not crash.

    python -m tests.flatdb.damage --seed 1 --records 300 --texts 100 --schemas 100 --checks 1 --reads 1 [--at FILE]

Each input is one that is right, changed at random; which change the n-th one of a kind has depends on the seed and on n
alone, and FILE always says which one is being tried, for the case that this process dies of it. What the functions say of
each other's results must agree. Prints, as JSON, how many inputs each function has taken, and refused by which code.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import re
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import liblmdb_wheel
import sharedlib_loader
from flatc_wheel import flatdb, reflection_schema
from tests.flatdb.everything import SCHEMA
from tests.flatdb.native import (
    BAD_ARGUMENT,
    BAD_JSON,
    BAD_RECORD,
    BAD_SCHEMA,
    NOT_CONFORM,
    FlatdbError,
    Library,
    Schema,
    release,
)

NAMES = {code: name for name, code in dict(BAD_SCHEMA=BAD_SCHEMA, BAD_RECORD=BAD_RECORD, BAD_JSON=BAD_JSON,
         NOT_CONFORM=NOT_CONFORM, BAD_ARGUMENT=BAD_ARGUMENT).items()}  # fmt: skip

EVERYTHING = """\
{"name":"a"}
{"name":"","flag":false,"i8":-128,"u8":255,"i16":-5,"u16":7,"i32":1,"u32":4294967295,"i64":-1,"u64":18446744073709551615,\
"f32":1e10,"f64":-0.5,"colour":"Blue","access":"Read Run","maybe_int":0,"maybe_real":1.5,"maybe_flag":false,\
"maybe_colour":"Red"}
{"name":"vectors","text":"ü","data":[1,2,3],"flags":[true,false],"bytes":[-1],"ints":[1,2,3,4],"longs":[1],\
"reals":[0.5,1],"colours":["Red","Blue"],"strings":["","a","bcd"]}
{"name":"structs","point":{"x":1.5,"y":-2},"points":[{"x":1.5,"y":-2},{"x":1,"y":0}],\
"box":{"solid":true,"corners":[{"x":1.5,"y":-2},{"x":0,"y":0}],"counts":[1,2,3],"colour":"Green"}}
{"name":"tables","note":{"id":"n","text":"t","at":{"x":1.5,"y":-2}},"notes":[{"id":"a"},{"id":"b","text":"x"}],\
"leaves":[{},{"n":5,"wide":"Largest"}]}
{"name":"unions","any_type":"Point","any":{"x":1.5,"y":-2},"anys_type":["Text","Leaf","Note","Point"],\
"anys":["text",{"n":1},{"id":"q"},{"x":1.5,"y":-2}]}
{"name":"leaf","any_type":"Leaf","any":{},"strings":["a","a","a"]}
""".splitlines()
SHOP = """\
namespace demo.shop;
enum Colour : byte { Red = -2, Green, Blue }
table Item {
  name: string (required, shared); price: double; colour: Colour = Green; tags: [string]; inside: [Item];
  code: uint (hash: "fnv1a_32"); image: [ubyte] (force_align: 16);
}
table Order (original_order) { id: ulong (key); items: [Item]; parent: Order; }
root_type Order;
"""
ORDERS = """\
{"id":1,"items":[{"name":"tea","price":2.5,"tags":["hot","hot"],"code":"xyz","image":[1],"inside":[{"name":"leaf"}]}]}
{"id":2,"parent":{"id":1,"items":[]},"items":[{"name":"a"},{"name":"b","colour":"Blue"}]}
""".splitlines()
KINDS = ("records", "texts", "schemas", "checks", "reads")
"""Of inputs; one of ``checks`` and ``reads`` is a table with 200 records."""


class Subject(NamedTuple):
    """A schema, with records of it that are right."""

    text: str
    schema: Schema
    jsons: list[str]
    records: list[bytes]


def subjects(library: Library) -> list[Subject]:
    """A schema of all kinds, one that contains itself, and FlatBuffers' own, whose records are binary schemas."""
    made = []
    for text, jsons in ((SCHEMA, EVERYTHING), (SHOP, ORDERS)):
        schema = library.schema(text)
        made.append(Subject(text, schema, jsons, [schema.from_json(each) for each in jsons]))
    reflection = reflection_schema().read_text(encoding="utf-8")
    schema = library.schema(reflection)
    records = [schema.binary, *(subject.schema.binary for subject in made)]
    made.append(Subject(reflection, schema, [schema.to_json(record) for record in records], records))
    return made


# --- changes -----------------------------------------------------------------------------------------------------------


def flip(data: bytearray, random: Random, _others: Sequence[bytes]) -> None:
    """A bit."""
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def truncate(data: bytearray, random: Random, _others: Sequence[bytes]) -> None:
    del data[random.randrange(len(data)) :]


def offset(data: bytearray, random: Random, _others: Sequence[bytes]) -> None:
    """Four bytes that may be an offset, a length or a number: to the limits, or to somewhere near."""
    place = random.randrange(len(data)) & ~3
    value = random.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, random.randrange(2**32), random.randrange(len(data) + 8),
                           2**32 - random.randrange(1, len(data) + 8)])  # fmt: skip
    data[place : place + 4] = struct.pack("<I", value)


def small(data: bytearray, random: Random, _others: Sequence[bytes]) -> None:
    """Two bytes that may be of a vtable."""
    place = random.randrange(len(data)) & ~1
    data[place : place + 2] = struct.pack("<H", random.choice([0, 1, 4, 6, 65535, random.randrange(64)]))


def aim(data: bytearray, random: Random, _others: Sequence[bytes]) -> None:
    """An offset to another thing of the same record: what it is taken for then, it is not."""
    place, target = random.randrange(len(data)) & ~3, random.randrange(len(data)) & ~3
    data[place : place + 4] = struct.pack("<i", target - place)


def splice(data: bytearray, random: Random, others: Sequence[bytes]) -> None:
    """A part of another record."""
    other = random.choice(others)
    begin = random.randrange(len(other)) & ~3
    place = random.randrange(len(data)) & ~3
    part = other[begin : begin + random.choice([4, 8, 16, 64])]
    data[place : place + random.choice([0, len(part)])] = part


CHANGES: tuple[Callable[[bytearray, Random, Sequence[bytes]], None], ...] = (
    flip, flip, truncate, offset, offset, small, aim, aim, splice,
)  # fmt: skip


def damaged(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Some changes, more seldom many."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 3, 8])):
        if not changed:
            break
        random.choice(CHANGES)(changed, random, others)
    return bytes(changed)


TOKEN = re.compile(r"\s+|\w+|.", re.DOTALL)
STRANGE = (
    "0", "1", "-1", "255", "65536", "4294967296", "18446744073709551615", "1e400", "nan", "0x1p-1", "null", "[]", "{", "}",
    "[", "]", "(", ")", ":", ";", ",", "=", ".", '"', "\\", "int", "[ubyte]", "[string]", "string", "union", "struct",
    "table", "enum", "root_type", "namespace", "include", "required", "key", "id", "deprecated", "force_align", "bit_flags",
    "nested_flatbuffer", "flexbuffer", "hash", "shared", "vector64", "offset64", "rpc_service", "native_include", "\ud7ff",
    "file_identifier", "original_order", "//", "/*", "_type", "NONE", "true", "sin(1)", "é", "\x7f", "$schema",
)  # fmt: skip


def garbled(text: str, random: Random) -> str:
    """Tokens left out, doubled, exchanged and put in."""
    tokens = TOKEN.findall(text)
    for _ in range(random.choice([1, 1, 1, 2, 3, 8])):
        place, other = random.randrange(len(tokens)), random.randrange(len(tokens))
        match random.randrange(6):
            case 0:
                tokens[place] = ""
            case 1:
                tokens.insert(place, tokens[other])
            case 2:
                tokens[place], tokens[other] = tokens[other], tokens[place]
            case 3:
                tokens[place] = random.choice(STRANGE)
            case 4:
                tokens.insert(place, random.choice(STRANGE))
            case 5:
                tokens[place:place] = tokens[min(place, other) : min(place, other) + random.choice([3, 20])]
    return "".join(tokens)


# --- what is done with them --------------------------------------------------------------------------------------------


class Run:
    """The inputs so far.

    Attributes:
        counts: by function and result.
    """

    def __init__(self, library: Library, seed: int, at: Path) -> None:
        self.library, self.seed = library, seed
        self.subjects = subjects(library)
        self.counts: Counter[str] = Counter()
        at.write_bytes(b" " * 64)
        with at.open("r+b") as file:
            self._at = mmap.mmap(file.fileno(), 64)

    def random(self, kind: str, number: int) -> Random:
        """What decides of one input; it is noted where the parent looks when this process is dead."""
        self._at[:64] = f"{kind} {number}".encode().ljust(64)
        return Random(f"{self.seed} {kind} {number}")

    def action(self, kind: str, engine: str, folder: Path) -> Callable[[Random], None]:
        """What is done with each input of a kind."""
        from tests.flatdb import damaged_tables  # which needs this module

        if kind == "checks":
            lmdb = sharedlib_loader.load(liblmdb_wheel.engines()[engine])
            return damaged_tables.Checked(self, ctypes.CDLL(lmdb.path, handle=lmdb.handle), folder).round
        if kind == "reads":
            return damaged_tables.Read(self, engine, folder).round
        return {"records": self.record, "texts": self.text, "schemas": self.schema}[kind]

    def attempt(self, what: str, action: Callable[[], Any], *codes: int) -> Any:
        """Do it, and count; None where it was refused. Another code than these is a mistake."""
        try:
            done = action()
        except FlatdbError as problem:
            if problem.code not in codes or not str(problem):
                raise AssertionError(f"{what}: {problem.code} {problem}") from problem
            self.counts[f"{what}: {NAMES[problem.code]}"] += 1
            return None
        self.counts[f"{what}: accepted"] += 1
        return done

    def record(self, random: Random) -> None:
        """A damaged record: verified, to JSON and back, to columns."""
        subject = random.choice(self.subjects)
        record = damaged(random.choice(subject.records), random, subject.records)
        self.use(subject.schema, record)

    def use(self, schema: Schema, record: bytes) -> None:
        """What a reader does with a record. What one function accepts, the others do: but for strings, which JSON and
        Arrow want to be UTF-8, and what JSON has no words for.
        """
        good = self.attempt("verify", lambda: schema.verify(record) or True, BAD_RECORD)
        text = self.attempt("to_json", lambda: schema.to_json(record), BAD_RECORD)
        assert good or text is None, "to_json accepts what verify refuses"
        if text is not None:
            json.loads(text)
            again = self.attempt("from_json of it", lambda: schema.from_json(text))
            schema.verify(again)
            twice = schema.from_json(schema.to_json(again))
            assert schema.to_json(twice) == schema.to_json(again), "JSON is not stable"
        self.decode(schema, record, must=text is not None)

    def decode(self, schema: Schema, record: bytes, *, must: bool) -> None:
        """To columns: all at once, or one by one where a type contains itself."""
        columns = _all_columns(schema)
        for each in columns:
            array = self.attempt("columns_decode", lambda each=each: each.arrow_array([record]), BAD_RECORD)
            assert array is not None or not must, "columns refuse what is JSON"
            if array is not None:
                release(array)

    def text(self, random: Random) -> None:
        """A garbled JSON text."""
        subject = random.choice(self.subjects)
        text = garbled(random.choice(subject.jsons), random).encode("utf-8", "surrogatepass")
        record = self.attempt("from_json", lambda: subject.schema.from_json(text), BAD_JSON)
        if record is not None:
            subject.schema.verify(record)
            subject.schema.to_json(record)

    def schema(self, random: Random) -> None:
        """A damaged schema: where it is accepted, it is used for all that a schema is used for."""
        subject = random.choice(self.subjects)
        if random.random() < 0.5:
            binaries = [each.schema.binary for each in self.subjects]
            kind, data = "schema_new of .bfbs", damaged(subject.schema.binary, random, binaries)
        else:
            kind, data = "schema_new of .fbs", garbled(subject.text, random).encode("utf-8", "surrogatepass")
        # Where a table is no root any more, its name may still be.
        root = random.choice([None, None, subject.schema.root])
        schema = self.attempt(kind, lambda: self.library.schema(data, root=root), BAD_SCHEMA, BAD_ARGUMENT)
        if schema is None:
            return
        assert self.library.schema(schema.binary).binary == schema.binary, "a schema is not what it was written as"
        schema.conform(schema)
        self.attempt("schema_conform", lambda: schema.conform(subject.schema), NOT_CONFORM)
        self.attempt("schema_conform", lambda: subject.schema.conform(schema), NOT_CONFORM)
        for record in random.sample(subject.records, 2):
            self.use(schema, record)
        text = random.choice(subject.jsons)
        made = self.attempt("from_json", lambda: schema.from_json(text), BAD_JSON)
        if made is not None:
            self.use(schema, made)


def _all_columns(schema: Schema) -> list[Any]:
    """Decoders of a schema's fields."""
    known: list[Any] | None = getattr(schema, "decoders", None)
    if known is None:
        known = _columns(schema) or [made for name in _field_names(schema) for made in _columns(schema, name)]
        for each in known:
            release(each.arrow_schema())
        schema.decoders = known
    return known


def _columns(schema: Schema, *names: str) -> list[Any]:
    """A decoder, or none where a type contains itself."""
    try:
        return [schema.columns(*names)]
    except FlatdbError as problem:
        if problem.code != BAD_ARGUMENT:
            raise
        return []


def _field_names(schema: Schema) -> list[str]:
    """From the message that names them."""
    try:
        schema.columns("?")
    except FlatdbError as problem:
        _, _, names = str(problem).partition("It has: ")
        return names.split(", ") if names else []
    raise AssertionError("there is a field '?'")


def main() -> None:
    """Run what the command line says, and print the counts."""
    parser = argparse.ArgumentParser(prog="damage", description="Damaged bytes through all of libflatdb.")
    parser.add_argument("--engine", choices=list(flatdb.LIBRARIES), default="0.9")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first of each kind (default: 0)")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, help=f"how many {kind} (default: 0)")
    parser.add_argument("--at", type=Path, default=None, help="file that says which input is being tried")
    options = parser.parse_args()
    loaded = flatdb.load(options.engine)
    library = Library(ctypes.CDLL(loaded.path, handle=loaded.handle))
    with tempfile.TemporaryDirectory(prefix="damage-", ignore_cleanup_errors=True) as folder:
        run = Run(library, options.seed, options.at or Path(folder, "at"))
        for kind in KINDS:
            numbers = range(options.first, options.first + getattr(options, kind))
            action = run.action(kind, options.engine, Path(folder)) if numbers else None
            for number in numbers:
                action(run.random(kind, number))
        print(json.dumps(run.counts, indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
