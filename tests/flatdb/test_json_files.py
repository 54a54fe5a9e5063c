"""How a file is taken apart into records: its forms, its ends, and what is no JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from flatc_wheel.flatdb._native import BAD_JSON, Counts, FlatdbError
from tests.flatdb.place import Place

SCHEMA = "table Thing { id: uint; text: string; list: [int]; inner: Thing; } root_type Thing;"
RECORDS: list[dict[str, Any]] = [
    {"id": 1, "text": 'brackets }]{[ and "quotes" \\'},
    {"id": 2, "list": [1, 2, 3], "inner": {"id": 3, "text": "é😀\n"}},
    {"id": 4},
]
LINES = [json.dumps(record) for record in RECORDS]

FORMS = {
    "NDJSON": "\n".join(LINES) + "\n",
    "NDJSON without a last line end": "\n".join(LINES),
    "NDJSON with other line ends and empty lines": "\r\n\r\n".join(LINES) + "\r\n  \r\n",
    "an array": json.dumps(RECORDS),
    "an array, pretty": json.dumps(RECORDS, indent=2) + "\n",
    "an array behind blanks": " \n\t " + json.dumps(RECORDS, ensure_ascii=False),
    "values, pretty": "\n".join(json.dumps(record, indent=4) for record in RECORDS),
    "values with nothing between": "".join(LINES),
    "NDJSON with a mark": "\ufeff" + "\n".join(LINES),
    "an array with a mark": "\ufeff" + json.dumps(RECORDS),
    "UTF-8 and not escapes": "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_the_same_records(place: Place, form: str) -> None:
    """One array, or values one behind the other."""
    counts = place.import_(FORMS[form], SCHEMA, key="id")
    assert place.export() == RECORDS
    assert (counts.records, counts.bytes, counts.total) == (3, *[len(FORMS[form].encode())] * 2)


@pytest.mark.parametrize("text", ["", " \n", "[]", " [ ] ", "\ufeff", "\ufeff[]"])
def test_a_file_without_records_makes_an_empty_table(place: Place, text: str) -> None:
    """With its schema and indexes."""
    assert place.import_(text, SCHEMA, key="id", indexes=["text=text"]).records == 0
    assert place.stat()["records"] == 0
    assert list(place.stat()["indexes"]) == ["text"]


@pytest.mark.parametrize("form", ["NDJSON", "an array, pretty", "values, pretty", "UTF-8 and not escapes"])
def test_a_file_cut_at_any_byte_fails_or_has_only_whole_records(place: Place, form: str) -> None:
    """No cut makes another record of one; a failure stores nothing."""
    data = FORMS[form].encode()
    for size in range(len(data)):
        table = f"cut{size}"
        try:
            place.import_(data[:size], SCHEMA, table=table, key="id")
        except FlatdbError as error:
            assert error.code == BAD_JSON  # noqa: PT017 (one of two right ends)
            with place.open() as env, pytest.raises(FlatdbError, match="there is no table"):
                env.stat(table)
        else:
            found = place.export(table)
            assert found == RECORDS[: len(found)]
            assert not form.startswith("an array") or size == 0 or size >= len(data.rstrip())


@pytest.mark.parametrize("form", ["NDJSON", "an array"])
def test_a_file_with_any_byte_changed_fails_or_has_records(place: Place, form: str) -> None:
    """What is stored is always what the schema says, whatever the text was."""
    data = FORMS[form].encode()
    for position in range(len(data)):
        byte = b'{]"\\,\n\0\xff'[position % 8]
        mutated = data[:position] + bytes([byte]) + data[position + 1 :]
        try:
            place.import_(mutated, SCHEMA, table="mutated", key="id", on_duplicate="replace")
        except FlatdbError as error:
            assert "records.json, line" in str(error) or "no UTF-8" in str(error)  # noqa: PT017
    assert place.check("mutated") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"id": 1}\n{"id": 2', r"line 2 \(byte 10\): the file ends in the value that begins here"),
        ('{"id": 1}\n{"text": "a\n"}', r"line 2 \(byte 19\): this string is not closed on its line"),
        (
            '{"id": 1\n{"id": 2}\n',
            r'line 2 \(byte 9\): "{" cannot be here: the value that begins at line 1 is not closed',
        ),
        ('{"id": 1,\n{"id": 2}\n', 'line 2 .*"{" cannot be here'),
        ('{"list": [1}\n', r'"}" does not close what is open here'),
        ('[{"id": 1}', "the file ends before the array does: it is truncated"),
        ('[{"id": 1} {"id": 2}]', r'byte 11\): between the values of an array stands a comma, not "{"'),
        ('[{"id": 1},]', 'a value begins with "{", not with "]"'),
        ('[{"id": 1}] {"id": 2}', "behind the array"),
        ('{"id": 1},{"id": 2}', 'a value begins with "{", not with ","'),
        ("17\n", "a record is a JSON object, not 17"),
        ('"text"', 'a record is a JSON object, not "text"'),
        ("[[1]]", r"a record is a JSON object, not \[1\]"),
        ('{"id": 1} x', "a record is a JSON object, not x"),
        ('{"id": "x"}', "line 1"),
        ('{"id": 1, "unknown": 2}', "unknown"),
        ("{'id': 1}", "the quotes of JSON are double ones"),
        ('{"id": 1 /* } */}', "JSON has no comments"),
        ("{id: 1}", "line 1"),
        ('{"text": "\ud800"}'.encode("utf-8", "surrogatepass"), "line 1"),
        ('{"id": 1}'.encode("utf-16"), "perhaps UTF-16: convert it"),
        ('{"id": 1}'.encode("utf-16-le"), "perhaps UTF-16: convert it"),
        ('{"inner": ' * 70 + "{}" + "}" * 70, "nested deeper than 64"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(place: Place, text: Any, why: str) -> None:
    """And nothing of the file is stored."""
    with pytest.raises(FlatdbError, match=why) as raised:
        place.import_(text, SCHEMA, key="id")
    assert raised.value.code == BAD_JSON
    with place.open() as env:
        assert env.stat() == "[]"


def test_bad_records_are_left_out_when_asked_for(place: Place) -> None:
    """Each is told with its line; those between are stored; broken text costs its line alone."""
    text = '{"id": 1}\n{"id": "x"}\n{"id": 2\n{"id": 3}\nnonsense\n{"id": 4} tail\n{"text": "open\n{"id": 5}\n{"text": "no id?"}\n'
    told: list[tuple[str, str]] = []
    counts = place.import_(text, SCHEMA, key="id,text", skip_bad=True, problem=lambda *problem: told.append(problem))
    assert counts.records == 1
    assert [record["text"] for record in place.export()] == ["no id?"]
    told.clear()
    counts = place.import_(
        text, SCHEMA, table="by_id", key="id", skip_bad=True, problem=lambda *problem: told.append(problem)
    )
    assert [record.get("id", 0) for record in place.export("by_id")] == [0, 1, 3, 4, 5]
    lines = [int(f"{where}{why}".partition("line ")[2].partition(" ")[0]) for where, why in told]
    assert lines == [2, 4, 5, 6, 7]
    assert counts.bad == len(told)


def test_many_values_are_parsed_as_one_after_the_other(place: Place) -> None:
    """Several threads share them, and nothing shows it: neither numbers, nor what is told, nor which failure counts."""
    lines = [json.dumps({"id": number, "text": "x" * (number % 50)}) for number in range(6000)]
    place.import_("\n".join(lines), SCHEMA, key="")
    assert [record.get("id", 0) for record in place.export()] == list(range(6000))

    for number in (2500, 3500, 5500):
        lines[number] = '{"id": "x"}'
    lines[3000] = '{"id": 3000'  # found on the next line, and before anything is parsed
    with pytest.raises(FlatdbError, match=r"line 2501 "):
        place.import_("\n".join(lines), SCHEMA, table="first", key="id")
    told: list[str] = []
    place.import_(
        "\n".join(lines),
        SCHEMA,
        table="rest",
        key="id",
        skip_bad=True,
        problem=lambda *problem: told.append(str(problem)),
    )
    assert [int(problem.partition("line ")[2].partition(" ")[0]) for problem in told] == [2501, 3002, 3501, 5501]
    rest = [number for number in range(6000) if number not in (2500, 3000, 3500, 5500)]
    assert [record.get("id", 0) for record in place.export("rest")] == rest


def test_bad_records_of_an_array_are_left_out_as_far_as_their_ends_are_known(place: Place) -> None:
    """A value that is no record is one place; a bracket that is lost ends the import."""
    counts = place.import_('[{"id": 1}, 17, "s", [2], {"id": "x"}, {"id": 2}]', SCHEMA, key="id", skip_bad=True)
    assert [record["id"] for record in place.export()] == [1, 2]
    assert counts.bad == 4
    with pytest.raises(FlatdbError, match="cannot be here"):
        place.import_('[{"id": 3}, {"id": 4, {"id": 5}]', SCHEMA, key="id", skip_bad=True)


def test_fields_that_the_schema_lacks_are_left_out_when_asked_for(place: Place) -> None:
    """With all that is in them."""
    place.import_('{"id": 1, "more": {"a": [1, "}"]}, "text": "t"}', SCHEMA, key="id", skip_unknown=True)
    assert place.export() == [{"id": 1, "text": "t"}]


def test_values_larger_than_the_blocks_that_are_read(place: Place) -> None:
    """A record of 5 MB between small ones, which fall on the borders of blocks."""
    large = {"id": 7, "text": "x" * 3_000_000, "list": list(range(300_000))}
    small = [{"id": 100 + i, "text": "y" * (i % 50)} for i in range(40_000)]
    for number, content in enumerate(([*small, large], [large, *small])):
        place.import_(content, SCHEMA, table=f"t{number}", key="id", map_size=1 << 20)
        assert place.export(f"t{number}") == [large, *small]
    place.import_(json.dumps([*small, large], indent=1), SCHEMA, table="array", key="id")
    assert place.export("array") == [large, *small]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev/fd")
def test_input_from_a_pipe_is_stored_and_not_remembered(place: Place) -> None:
    """A pipe has no size, and cannot be read again."""
    reading, writing = os.pipe()
    os.write(writing, FORMS["NDJSON"].encode())
    os.close(writing)
    counts = Counts()
    (place.folder / "s.fbs").write_text(SCHEMA)
    with place.library.schema(str(place.folder / "s.fbs")) as schema, place.open() as env:
        env.import_("things", f"/dev/fd/{reading}", schema=schema, key="id", batch=1, counts=counts)
    os.close(reading)
    assert (counts.records, counts.total) == (3, 0)
    assert [key for key, _ in place.raw("__tables__")] == [b"things", b"things\0\0\0\0\x01"]
