"""Insertions: whole lines, behind the lines that are meant, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendor.errors import VendorError
from vendor.insertion import insert
from vendor.lock import Insertion

OLD = b"one\ntwo\nthree\n"


def after(line: int, text: str, file: str = "f.c") -> Insertion:
    return Insertion(file, line, text, "A reason.")


def inserted(*insertions: Insertion, old: bytes = OLD) -> bytes:
    """Give the old text with the insertions, which must concern no other file."""
    files = {"f.c": old, "g.c": b"other\n"}
    insert(insertions, files)
    assert list(files) == ["f.c", "g.c"]
    assert files["g.c"] == b"other\n"
    return files["f.c"]


def test_nothing_to_insert() -> None:
    """Without insertions the file stays as it is."""
    assert inserted() == OLD


def test_behind_the_first_and_the_last_line() -> None:
    """Line 1 is the first, and the last has a place behind it too."""
    assert inserted(after(1, "a\n")) == b"one\na\ntwo\nthree\n"
    assert inserted(after(3, "a\n")) == b"one\ntwo\nthree\na\n"


def test_lines_are_counted_before_any_insertion() -> None:
    """An insertion of many lines does not move the places of those below."""
    assert inserted(after(1, "a\nb\nc\n"), after(2, "d\n"), after(3, "e\n")) == b"one\na\nb\nc\ntwo\nd\nthree\ne\n"


def test_several_files() -> None:
    """Each insertion goes into the file that it names."""
    files = {"f.c": OLD, "g.c": b"other\n"}
    insert([after(2, "a\n"), after(1, "b\n", "g.c")], files)
    assert files == {"f.c": b"one\ntwo\na\nthree\n", "g.c": b"other\nb\n"}


def test_any_text() -> None:
    """The text is stored in UTF-8, byte for byte as the lock has it."""
    assert inserted(after(1, "\t/* \u00df */\\\n\n")) == b"one\n\t/* \xc3\x9f */\\\n\ntwo\nthree\n"


@pytest.mark.parametrize("character", [b"\r", b"\x0b", b"\x0c", b"\x85", b"\xc2\x85", b"\xff"])
def test_only_newlines_end_lines(character: bytes) -> None:
    """Another separator inside a line, or a byte that is not UTF-8, neither ends it nor moves the lines below."""
    old = OLD.replace(b"one", b"o" + character + b"ne")
    assert inserted(after(2, "a\n"), old=old) == old.replace(b"two\n", b"two\na\n")


@pytest.mark.parametrize("line", [4, 1000])
def test_line_beyond_the_end(line: int) -> None:
    """A line that the file does not have is refused, and no file is changed, not even by insertions that fit."""
    files = {"e.c": OLD, "f.c": OLD, "g.c": OLD}
    expected = f"^f.c has 3 whole lines, and the lock inserts behind line {line}\n  cure: correct the line in the lock"
    with pytest.raises(VendorError, match=expected):
        insert([after(1, "a\n", "e.c"), after(line, "b\n"), after(1, "c\n", "g.c")], files)
    assert files == {"e.c": OLD, "f.c": OLD, "g.c": OLD}


@pytest.mark.parametrize(("old", "line", "whole"), [(b"", 1, 0), (b"one", 1, 0), (b"one\ntwo", 2, 1)])
def test_last_line_without_an_end(old: bytes, line: int, whole: int) -> None:
    """Behind a last line without a newline nothing can be put: the text would become part of that line."""
    with pytest.raises(VendorError, match=rf"^f\.c has {whole} whole lines, and the lock inserts behind line {line}\n"):
        inserted(after(line, "a\n"), old=old)


def test_before_a_last_line_without_an_end() -> None:
    """Above such a line there is a place."""
    assert inserted(after(1, "a\n"), old=b"one\ntwo") == b"one\na\ntwo"


@settings(deadline=None)
@given(st.integers(1, 20), st.sets(st.integers(1, 20)))
def test_every_line_keeps_its_order(count: int, places: set[int]) -> None:
    """The file's lines follow each other as before, each with its own insertion right behind it."""
    old = b"".join(b"%d\n" % number for number in range(1, count + 1))
    places = {place for place in places if place <= count}
    expected = b"".join(b"%d\n" % n + (b"behind %d\n" % n) * (n in places) for n in range(1, count + 1))
    assert inserted(*(after(place, f"behind {place}\n") for place in sorted(places)), old=old) == expected
