"""A schema with every kind of type, values for it, and what JSON and columns must make of them.

What is expected is computed here from the values alone, without libflatdb and without flatc.
"""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

SCHEMA = """\
namespace every.kind;

attribute "note";

enum Colour : ubyte { Red, Green = 3, Blue }
enum Wide : ulong { Zero, Largest = 18446744073709551615 }
enum Access : ushort (bit_flags) { Read, Write, Run }

struct Point { x: double; y: float; }
struct Box { solid: bool; corners: [Point:2]; counts: [short:3]; colour: Colour; }

table Note { id: string (key); text: string; at: Point; }
table Leaf { n: int = 4; wide: Wide; }
union Any { Note, Leaf, Point, Text: string }

table Record {
  flag: bool = true;
  i8: byte = -1;
  u8: ubyte;
  i16: short;
  u16: ushort;
  i32: int;
  u32: uint = 7;
  i64: long = -9;
  u64: ulong;
  f32: float = 0.5;
  f64: double = 1e-30 (note: "a default that has no short fixed form");
  colour: Colour = Green;
  access: Access;
  maybe_int: int = null;
  maybe_real: double = null;
  maybe_flag: bool = null;
  maybe_colour: Colour = null;
  name: string (required);
  text: string;
  data: [ubyte];
  flags: [bool];
  bytes: [byte];
  ints: [int];
  longs: [ulong];
  reals: [double];
  colours: [Colour];
  strings: [string];
  gone: int (deprecated);
  point: Point;
  box: Box;
  points: [Point];
  note: Note;
  notes: [Note];
  leaves: [Leaf];
  any: Any;
  anys: [Any];
}

root_type Record;
"""

COLOURS = {"Red": 0, "Green": 3, "Blue": 4}
ACCESS = {"Read": 1, "Write": 2, "Run": 4}
WIDE = {"Zero": 0, "Largest": 2**64 - 1}
MEMBERS = {"Note": 1, "Leaf": 2, "Point": 3, "Text": 4}

# field: what it has where it is not stored, for what is a number
DEFAULTS: dict[str, Any] = {
    "flag": True, "i8": -1, "u8": 0, "i16": 0, "u16": 0, "i32": 0, "u32": 7, "i64": -9, "u64": 0, "f32": 0.5,
    "f64": 1e-30, "colour": "Green", "access": 0,
}  # fmt: skip
NULLABLE = (
    "maybe_int", "maybe_real", "maybe_flag", "maybe_colour", "text", "data", "flags", "bytes", "ints", "longs", "reals",
    "colours", "strings", "point", "box", "points", "note", "notes", "leaves", "any", "anys",
)  # fmt: skip


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    """All integers of a type."""
    return st.integers(-(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed) - 1)


def reals(width: int) -> st.SearchStrategy[float]:
    """All numbers of a type; NaN is not equal to itself, and has tests of its own."""
    return st.floats(width=width, allow_nan=False, allow_infinity=False)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
colour = st.sampled_from(sorted(COLOURS))
wide = st.sampled_from(sorted(WIDE))
access = st.sets(st.sampled_from(sorted(ACCESS))).map(
    lambda names: " ".join(sorted(names, key=ACCESS.__getitem__)) or 0
)
point = st.fixed_dictionaries({"x": reals(64), "y": reals(32)})
box = st.fixed_dictionaries(
    {
        "solid": st.booleans(),
        "corners": st.lists(point, min_size=2, max_size=2),
        "counts": st.lists(integers(16, signed=True), min_size=3, max_size=3),
        "colour": colour,
    }
)
note = st.fixed_dictionaries({"id": text}, optional={"text": text, "at": point})
leaf = st.fixed_dictionaries({}, optional={"n": integers(32, signed=True), "wide": wide})
member = st.one_of(
    st.tuples(st.just("Note"), note),
    st.tuples(st.just("Leaf"), leaf),
    st.tuples(st.just("Point"), point),
    st.tuples(st.just("Text"), text),
)


def few(what: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(what, max_size=4)


_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(), "i8": integers(8, signed=True), "u8": integers(8, signed=False),
    "i16": integers(16, signed=True), "u16": integers(16, signed=False), "i32": integers(32, signed=True),
    "u32": integers(32, signed=False), "i64": integers(64, signed=True), "u64": integers(64, signed=False),
    "f32": reals(32), "f64": reals(64), "colour": colour, "access": access,
    "maybe_int": integers(32, signed=True), "maybe_real": reals(64), "maybe_flag": st.booleans(), "maybe_colour": colour,
    "text": text, "data": few(integers(8, signed=False)), "flags": few(st.booleans()),
    "bytes": few(integers(8, signed=True)), "ints": few(integers(32, signed=True)),
    "longs": few(integers(64, signed=False)), "reals": few(reals(64)), "colours": few(colour), "strings": few(text),
    "point": point, "box": box, "points": few(point), "note": note, "notes": few(note), "leaves": few(leaf),
    "any": member, "anys": few(member),
}  # fmt: skip


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """The record with each union as JSON has it: its type before its value."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if name == "any":
            flat["any_type"], flat["any"] = value
        elif name == "anys":
            flat["anys_type"], flat["anys"] = [kind for kind, _ in value], [content for _, content in value]
        else:
            flat[name] = value
    return flat


records = st.fixed_dictionaries({"name": text}, optional=_FIELDS).map(_flat)
"""Records as JSON has them."""


def stored(record: dict[str, Any]) -> dict[str, Any]:
    """What JSON gives back: without what is the default, and vectors of tables with a key in its order."""
    kept = {name: value for name, value in record.items() if name not in DEFAULTS or value != DEFAULTS[name]}
    for name, value in kept.items():
        if name == "leaves":
            kept[name] = [_stored_leaf(each) for each in value]
        elif name == "notes":
            kept[name] = sorted(value, key=lambda each: each["id"].encode())
        elif name == "any" and kept["any_type"] == "Leaf":
            kept[name] = _stored_leaf(value)
        elif name == "anys":
            kept[name] = [_stored_leaf(each) if kind == "Leaf" else each
                          for kind, each in zip(kept["anys_type"], value, strict=True)]  # fmt: skip
    return kept


def _stored_leaf(leaf: dict[str, Any]) -> dict[str, Any]:
    defaults = {"n": 4, "wide": "Zero"}
    return {name: value for name, value in leaf.items() if value != defaults[name]}


def row(record: dict[str, Any]) -> dict[str, Any]:
    """What columns have for the record."""
    row = {**DEFAULTS, **dict.fromkeys(NULLABLE), "any_type": 0, "anys_type": None, **stored(record)}
    for name in ("colour", "maybe_colour"):
        row[name] = COLOURS.get(row[name])
    row["access"] = sum(ACCESS[word] for word in row["access"].split()) if row["access"] else 0
    row["data"] = None if row["data"] is None else bytes(row["data"])
    row["colours"] = row["colours"] and [COLOURS[each] for each in row["colours"]]
    row["box"] = row["box"] and {**row["box"], "colour": COLOURS[row["box"]["colour"]]}
    row["note"] = row["note"] and _note(row["note"])
    row["notes"] = row["notes"] and [_note(each) for each in row["notes"]]
    row["leaves"] = row["leaves"] and [_leaf(each) for each in row["leaves"]]
    if row["any"] is not None:
        row["any"] = _member(row["any_type"], row["any"])
        row["any_type"] = MEMBERS[row["any_type"]]
    if row["anys"] is not None:
        row["anys"] = [_member(kind, each) for kind, each in zip(row["anys_type"], row["anys"], strict=True)]
        row["anys_type"] = [MEMBERS[kind] for kind in row["anys_type"]]
    return row


def _note(note: dict[str, Any]) -> dict[str, Any]:
    return {"text": None, "at": None, **note}


def _leaf(leaf: dict[str, Any]) -> dict[str, Any]:
    leaf = {"n": 4, "wide": "Zero", **leaf}
    return {"n": leaf["n"], "wide": WIDE[leaf["wide"]]}


def _member(kind: str, content: Any) -> dict[str, Any]:
    made = {"Note": _note, "Leaf": _leaf}.get(kind, lambda content: content)(content)
    return {**dict.fromkeys(MEMBERS), kind: made}


def narrowed(value: Any, name: str = "") -> Any:
    """A JSON value with what is stored in 32 bits as that: JSON has the shortest digits that make it."""
    if isinstance(value, dict):
        return {key: narrowed(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [narrowed(each, name) for each in value]
    return struct.unpack("<f", struct.pack("<f", value))[0] if name in ("f32", "y") else value
