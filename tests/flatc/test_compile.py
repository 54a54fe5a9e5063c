"""Compiling schemas: every output, all of it or nothing, and Python code that runs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flatc_wheel import SchemaError, VersionMismatchError, _executable, compile, reflection_schema, version
from flatc_wheel._compile import OUTPUTS

# The schema's error is the missing semicolon, noticed in its third line.
BROKEN = "namespace demo;\ntable Broken {\n  x: int }\n"

ROUND_TRIP = """\
import flatbuffers
from demo.shop import Colour, Item, Order, Point

builder = flatbuffers.Builder(0)
name, tag = builder.CreateString("thé"), builder.CreateString("hot")
Item.StartTagsVector(builder, 1)
builder.PrependUOffsetTRelative(tag)
tags = builder.EndVector()
Item.Start(builder)
Item.AddName(builder, name)
Item.AddPrice(builder, 2.5)
Item.AddColour(builder, Colour.Colour.Blue)
Item.AddTags(builder, tags)
Item.AddAt(builder, Point.CreatePoint(builder, 1.5, -2.0))
item = Item.End(builder)
Order.StartItemsVector(builder, 1)
builder.PrependUOffsetTRelative(item)
items = builder.EndVector()
Order.Start(builder)
Order.AddId(builder, 2**63 + 1)
Order.AddItems(builder, items)
builder.Finish(Order.End(builder))

order = Order.Order.GetRootAs(bytes(builder.Output()), 0)
item = order.Items(0)
print(order.Id(), order.ItemsLength(), item.Name().decode(), item.Price(), item.Colour(), item.Tags(0).decode())
print(item.At().X(), item.At().Y())
"""

READ_BFBS = """\
import sys
from reflection.Schema import Schema

with open(sys.argv[1], "rb") as stream:
    data = stream.read()
assert Schema.SchemaBufferHasIdentifier(data, 0)
schema = Schema.GetRootAs(data, 0)
print(*(schema.Objects(i).Name().decode() for i in range(schema.ObjectsLength())))
print(schema.RootTable().Name().decode(), schema.Enums(0).Name().decode(), schema.Objects(0).DeclarationFile().decode())
"""


def python(code: str, generated: Path, *arguments: Path) -> str:
    """What the code prints, run with the generated modules importable."""
    environment = {**os.environ, "PYTHONPATH": str(generated), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True).stdout


def files(folder: Path) -> list[Path]:
    """Every file below the folder, hidden ones included, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_python_round_trip(schema: Path, tmp_path: Path) -> None:
    """Generated Python code imports, and a record written with it is read back."""
    compile(schema, "python", tmp_path / "out")
    expected = f"{2**63 + 1} 1 thé 2.5 2 hot\n1.5 -2.0\n"
    assert python(ROUND_TRIP, tmp_path / "out") == expected


def test_binary_schema(schema: Path, tmp_path: Path) -> None:
    """A binary schema is read back by code generated from the reflection schema of this wheel."""
    assert compile(schema, "bfbs", tmp_path / "out") == [tmp_path / "out" / "shop.bfbs"]
    compile(reflection_schema(), "python", tmp_path / "reader")
    names = "demo.shop.Item demo.shop.Order demo.shop.Point\ndemo.shop.Order demo.shop.Colour //shop.fbs\n"
    assert python(READ_BFBS, tmp_path / "reader", tmp_path / "out" / "shop.bfbs") == names


@pytest.mark.parametrize("to", OUTPUTS)
def test_every_output(schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    """Each output gives files that speak of the schema; all are returned, and none is written anywhere else."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    written = compile(schema, to, tmp_path / "out")
    assert written
    assert written == files(tmp_path / "out")
    assert any(b"price" in path.read_bytes().lower() for path in written)
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "out", "shop.fbs"]
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("to", OUTPUTS)
def test_output_depends_on_the_schema_alone(
    schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """The same bytes come out wherever they are written to, and however the schema is named."""
    monkeypatch.chdir(tmp_path)
    first = compile(schema, to, tmp_path / "first")
    second = compile("shop.fbs", to, "second")
    assert [path.relative_to("second") for path in second] == [path.relative_to(tmp_path / "first") for path in first]
    assert [path.read_bytes() for path in second] == [path.read_bytes() for path in first]


def test_output_folder_is_created(schema: Path, tmp_path: Path) -> None:
    """The output folder is made with its parents."""
    compile(schema, "cpp", tmp_path / "a" / "b" / "c")
    assert files(tmp_path / "a") == [tmp_path / "a" / "b" / "c" / "shop_generated.h"]


def test_output_replaces_its_own_files_only(schema: Path, tmp_path: Path) -> None:
    """Compiling again replaces what it generates, and leaves other files in the folder."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "out" / "shop_generated.h").write_text("stale")
    compile(schema, "cpp", tmp_path / "out")
    assert files(tmp_path / "out") == [tmp_path / "out" / "mine.txt", tmp_path / "out" / "shop_generated.h"]
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert "struct Order" in (tmp_path / "out" / "shop_generated.h").read_text()


@pytest.mark.parametrize("to", ["python", "lua"])
def test_include_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    """Included schemas are found in the folders given, relative ones too, and without them it is an error."""
    for folder, name, text in (
        ("one", "types.fbs", "namespace types; struct Pair { a: int; b: int; }\n"),
        ("two", "more.fbs", "namespace more; enum Kind : byte { A, B }\n"),
        ("main", "main.fbs", 'include "types.fbs";\ninclude "more.fbs";\ntable T { p: types.Pair; k: more.Kind; }\n'),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SchemaError, match=r"unable to load include file: types\.fbs"):
        compile("main/main.fbs", to, "out")
    with pytest.raises(SchemaError, match=r"unable to load include file: more\.fbs"):
        compile("main/main.fbs", to, "out", include=["one"])
    written = compile("main/main.fbs", to, "out", include=["one", tmp_path / "two"])
    assert f"out/T.{'py' if to == 'python' else to}" in [path.as_posix() for path in written]


@pytest.mark.usefixtures("schema")
def test_include_beside_the_schema(tmp_path: Path) -> None:
    """A schema in the same folder is found without being told where."""
    (tmp_path / "outer.fbs").write_text('include "shop.fbs";\ntable Outer { order: demo.shop.Order; }\n')
    assert compile(tmp_path / "outer.fbs", "cpp", tmp_path / "out") == [tmp_path / "out" / "outer_generated.h"]


def test_options(schema: Path, tmp_path: Path) -> None:
    """Further options reach flatc."""
    plain, full = tmp_path / "plain", tmp_path / "full"
    compile(schema, "python", plain)
    compile(schema, "python", full, options=["--gen-object-api", "--gen-onefile"])
    assert "class OrderT" not in (plain / "demo" / "shop" / "Order.py").read_text()
    assert "class OrderT" in (full / "shop_generated.py").read_text()


def test_schema_error_is_flatc_s_own(tmp_path: Path) -> None:
    """The error has flatc's message with file and line, and the command; no folder is made and nothing is left."""
    bad = tmp_path / "bad.fbs"
    bad.write_text(BROKEN)
    with pytest.raises(SchemaError, match=r"bad\.fbs:3: 10: error: expecting: ; instead got: }$") as caught:
        compile(bad, "python", tmp_path / "deep" / "out")
    assert isinstance(caught.value, ValueError)
    assert caught.value.command[0] == "--python"
    assert caught.value.command[-1] == str(bad)
    assert os.listdir(tmp_path) == ["bad.fbs"]


def test_no_other_folder_is_needed(schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files appear complete because they are moved within the file system of the output, not from that of /tmp."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert compile(schema, "cpp", tmp_path / "out") == [tmp_path / "out" / "shop_generated.h"]


def test_half_of_the_output_is_not_kept(schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What flatc wrote before it failed does not appear among the files that were there."""
    half = tmp_path / "flatc"
    half.write_text('#!/bin/sh\nuntil [ "$1" = -o ]; do shift; done\ntouch "$2/half.py"\necho "no more" >&2\nexit 1\n')
    half.chmod(0o755)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    version()  # asked once in a process, and here not of the one below
    monkeypatch.setattr(_executable, "flatc_path", lambda: half)
    with pytest.raises(SchemaError, match=r"^no more$"):
        compile(schema, "python", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["mine.txt"]


def test_missing_schema(tmp_path: Path) -> None:
    """A schema that is not there is flatc's error too, with its path."""
    with pytest.raises(SchemaError, match=r"unable to load file: .*nowhere\.fbs"):
        compile(tmp_path / "nowhere.fbs", "python", tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_unknown_output(schema: Path, tmp_path: Path) -> None:
    """An output that flatc does not have is refused, with those it has, before anything is made."""
    choices = ", ".join(OUTPUTS)
    with pytest.raises(ValueError, match=f"^cannot compile to 'cobol': choose one of {choices}$"):
        compile(schema, "cobol", tmp_path / "out")
    assert os.listdir(tmp_path) == ["shop.fbs"]


@pytest.mark.parametrize("to", ["bfbs", "python", "lua"])
@pytest.mark.parametrize("name", ["with space.fbs", "žluťoučký kůň.fbs", "日本語.fbs", "-dash.fbs", "it's $HOME.fbs"])
def test_unusual_names(schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, to: str) -> None:
    """Spaces, letters beyond ASCII and what looks like an option are fine in schema and folder names."""
    folder = tmp_path / f"in {name}"
    folder.mkdir()
    schema.rename(folder / name)
    monkeypatch.chdir(folder)
    written = compile(name, to, f"out {name}")
    assert written == [path.relative_to(folder) for path in files(folder / f"out {name}")]
    assert written
    if to == "bfbs":
        assert [path.name for path in written] == [f"{name.removesuffix('.fbs')}.bfbs"]


def test_a_single_string_is_not_a_list(tmp_path: Path) -> None:
    """A string for ``include`` or ``options`` would be read letter by letter, so it is refused."""
    for wrong in ({"include": "schemas"}, {"options": "--gen-onefile"}):
        with pytest.raises(TypeError, match=r"include and options are lists: write \[value\] for a single one"):
            compile(reflection_schema(), "python", tmp_path / "out", **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_schema_errors_can_be_pickled() -> None:
    """An error of a worker process arrives whole."""
    copy = pickle.loads(pickle.dumps(SchemaError("said", ["--python", "a.fbs"])))
    assert (str(copy), copy.command) == ("said", ("--python", "a.fbs"))


def test_versions_are_checked_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Code is not generated for a Python runtime of another version."""
    monkeypatch.setattr("flatbuffers.__version__", "1.12")
    with pytest.raises(VersionMismatchError, match=r"flatbuffers \(Python\): 1\.12"):
        compile(reflection_schema(), "python", tmp_path / "out")
    assert not list(tmp_path.iterdir())
