"""Patches: applied exactly, or not at all."""

from __future__ import annotations

import difflib
import re
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendor.errors import VendorError
from vendor.patching import apply

OLD = b"".join(b"line %d\n" % number for number in range(1, 41))
NEW = OLD.replace(b"line 5\n", b"line 5\nadded\n").replace(b"line 20\n", b"").replace(b"line 35\n", b"line 35!\n")

# Characters that end a line for str.splitlines or bytes.splitlines, and do not for diff(1).
NOT_LINE_ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def lines(text: bytes) -> list[str]:
    """The lines as diff(1) sees them: each ends at a newline, the last possibly without one."""
    *whole, rest = text.decode().split("\n")
    return [f"{line}\n" for line in whole] + [rest] * bool(rest)


def diff(old: bytes, new: bytes, *, context: int = 3, source: str = "a/f.c", target: str = "b/f.c") -> bytes:
    """A unified diff as the command writes it, with its marker where the last line has no newline."""
    output = difflib.unified_diff(lines(old), lines(new), source, target, n=context)
    marked = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in output)
    return "".join(marked).encode()


def patched(patch: bytes, old: bytes = OLD) -> bytes:
    """Give the old text after the patch, which must concern no other file."""
    files = {"f.c": old, "g.c": b"other\n"}
    apply("fix.patch", patch, files, strip=1)
    assert list(files) == ["f.c", "g.c"]
    assert files["g.c"] == b"other\n"
    return files["f.c"]


def refused(patch: bytes, match: str, old: bytes = OLD) -> None:
    """Expect a refusal that begins as ``match`` says, offers a cure and changes no file."""
    files = {"f.c": old, "g.c": b"other\n"}
    with pytest.raises(VendorError, match=f"^{match}") as caught:
        apply("fix.patch", patch, files, strip=1)
    assert caught.value.cure
    assert files == {"f.c": old, "g.c": b"other\n"}


def test_applies_several_hunks() -> None:
    """Added, removed and changed lines in hunks far apart all arrive."""
    patch = diff(OLD, NEW)
    assert patch.count(b"\n@@ ") == 3
    assert patched(patch) == NEW


def test_applies_to_several_files() -> None:
    """One patch may change more than one of the files."""
    patch = diff(OLD, NEW) + diff(b"other\n", b"changed\n", source="a/g.c", target="b/g.c")
    files = {"f.c": OLD, "g.c": b"other\n"}
    apply("fix.patch", patch, files, strip=1)
    assert files == {"f.c": NEW, "g.c": b"changed\n"}


def test_error_in_a_later_file_changes_none() -> None:
    """A patch whose second file does not fit leaves the first as it was."""
    patch = diff(OLD, NEW) + diff(b"another\n", b"changed\n", source="a/g.c", target="b/g.c")
    refused(patch, r"fix\.patch does not apply to g\.c at line 1 \(no offset or fuzz is accepted\)")


@pytest.mark.parametrize(("strip", "source"), [(0, "f.c"), (1, "a/f.c"), (3, "a/libraries/liblmdb/f.c")])
def test_strips_leading_folders(strip: int, source: str) -> None:
    """``strip`` removes that many folders from the names in the patch, as in ``patch -p``."""
    files = {"f.c": OLD}
    apply("fix.patch", diff(OLD, NEW, source=source, target=source), files, strip=strip)
    assert files == {"f.c": NEW}


def test_accepts_text_around_the_diff() -> None:
    """A description above, git's headers, times after the names and a signature below are not part of the change."""
    patch = diff(OLD, NEW, source="a/f.c\t2024-01-01 00:00:00", target="b/f.c\t2024-01-02 00:00:00")
    head = b"Subject: a reason\n\nSome words.\n---\n f.c | 3 +--\n\ndiff --git a/f.c b/f.c\nindex 01a..02b 100644\n"
    assert patched(head + patch + b"-- \n2.0\n\n") == NEW


def test_accepts_a_blank_line_after_a_hunk() -> None:
    """A blank line that only separates the diff from what follows is not taken for a line of the file."""
    assert patched(diff(OLD, NEW) + b"\n") == NEW


@pytest.mark.parametrize("old", [b"moved\n" + OLD, OLD.removeprefix(b"line 1\n")], ids=["down", "up"])
def test_refuses_an_offset(old: bytes) -> None:
    """A patch whose lines are all there, one line further on or back, is refused."""
    refused(diff(OLD, NEW), r"fix\.patch does not apply to f\.c at line 3 \(no offset or fuzz is accepted\)", old)


@pytest.mark.parametrize("line", [3, 4, 5, 6, 7, 8])
def test_refuses_fuzz(line: int) -> None:
    """One differing line of context is enough to refuse, be it the outermost."""
    old = OLD.replace(b"line %d\n" % line, b"line %d \n" % line)
    refused(diff(OLD, NEW), r"fix\.patch does not apply to f\.c at line 3 ", old)


def test_refuses_what_only_a_later_hunk_misses() -> None:
    """Every hunk must fit, and the first leaves nothing behind when the last does not."""
    refused(diff(OLD, NEW), r"fix\.patch does not apply to f\.c at line 32 ", OLD.replace(b"line 35\n", b"line 36\n"))


def test_refuses_context_beyond_the_end() -> None:
    """Context that lies after the end of the file does not match."""
    old = b"".join(lines(OLD)[n].encode() for n in range(37))
    refused(diff(OLD, NEW), r"fix\.patch does not apply to f\.c at line 32 ", old)


def test_refuses_an_insertion_beyond_the_end() -> None:
    """A hunk without context must at least name a line that the file has."""
    patch = diff(OLD, OLD + b"more\n", context=0)
    assert patched(patch) == OLD + b"more\n"
    refused(patch, r"fix\.patch does not apply to f\.c at line 40 ", OLD.removesuffix(b"line 40\n"))


def test_refuses_to_apply_twice() -> None:
    """A patch that the file already has is refused."""
    refused(diff(OLD, NEW), r"fix\.patch does not apply to f\.c at line 3 ", NEW)


def test_refuses_hunks_out_of_order() -> None:
    """Hunks that go backwards would overlap what is already written."""
    head, first, second, third = re.split(rb"(?m)^(?=@@ )", diff(OLD, NEW))
    refused(head + second + first + third, r"fix\.patch does not apply to f\.c at line 3 ")


def test_refuses_every_truncation() -> None:
    """Wherever a patch is cut, it is refused; only a cut between two hunks cannot be told, and there the hash helps."""
    patch = diff(OLD, NEW)
    between = {match.start() for match in re.finditer(rb"(?m)^@@ ", patch)} - {patch.index(b"@@ ")}
    for length in set(range(len(patch))) - between:
        files = {"f.c": OLD}
        with pytest.raises(
            VendorError, match=r"^fix\.patch (is not a unified diff|changes nothing|was cut short|names)"
        ):
            apply("fix.patch", patch[:length], files, strip=1)
        assert files == {"f.c": OLD}


@pytest.mark.parametrize("line", [b"+one more\n", b"-one more\n", b" one more\n", b"-- one more\n", b"--- a/f.c\n"])
@pytest.mark.parametrize("hunk", [1, 2, 3])
def test_refuses_a_hunk_longer_than_its_header(hunk: int, line: bytes) -> None:
    """A line below a hunk that its header does not count is not dropped without a word."""
    parts = re.split(rb"(?m)^(?=@@ )", diff(OLD, NEW))
    parts[hunk] += line
    problem = r"line \d+ is in no hunk: '[-+ ]" if hunk == 3 else "Unexpected hunk found: @@ -"
    refused(b"".join(parts), rf"fix\.patch is not a unified diff: {problem}")


def test_refuses_lines_below_the_end() -> None:
    """Neither is a line dropped that follows the marker of the last line."""
    patch = diff(b"one", b"two") + b"+three\n"
    refused(patch, r"fix\.patch is not a unified diff: line 8 is in no hunk: '\+three", b"one")


@pytest.mark.parametrize("hunk", [2, 3])
def test_refuses_a_spoilt_header(hunk: int) -> None:
    """A hunk whose header cannot be read is not passed over as a comment."""
    parts = re.split(rb"(?m)^(?=@@ )", diff(OLD, NEW))
    parts[hunk] = parts[hunk].replace(b"@@ -", b"@@ ", 1)
    refused(b"".join(parts), r"fix\.patch is not a unified diff: ")


@pytest.mark.parametrize("patch", [b"", b"\n", b"no diff at all\n"], ids=["empty", "blank", "prose"])
def test_refuses_a_patch_without_changes(patch: bytes) -> None:
    """A file that is empty or no diff does not count as a patch that applies."""
    refused(patch, r"fix\.patch changes nothing: it was cut short or is not a patch\n  cure: check the order")


@pytest.mark.parametrize(
    ("patch", "other"),
    [
        (b"diff --git a/f.c b/f.c\nold mode 100644\nnew mode 100755\n", b"diff --git a/g.c b/g.c\n"),
        (b"Binary files a/f.c and b/f.c differ\n", b""),
        (b"--- a/f.c\n+++ b/f.c\n", b""),
    ],
    ids=["mode", "binary", "headers"],
)
def test_refuses_a_file_without_hunks(patch: bytes, other: bytes) -> None:
    """A file that the patch names and shows no lines of cannot be changed exactly, so it is not passed over."""
    other += diff(b"other\n", b"changed\n", source="a/g.c", target="b/g.c")
    refused(patch + other, r"fix\.patch names f\.c and shows no change of its lines: it was cut short\n")


def test_refuses_another_encoding() -> None:
    """A patch that is not UTF-8 is refused and not guessed at."""
    refused(diff(OLD, NEW).replace(b"+added", b"+add\xe9"), r"fix\.patch is not a unified diff: 'utf-8' codec ")


def test_refuses_a_file_in_another_encoding() -> None:
    """A file that is not UTF-8 is named together with the patch."""
    refused(diff(OLD, NEW), r"fix\.patch does not apply to f\.c, which is not UTF-8: ", OLD + b"\xe9\n")


def test_refuses_a_file_not_taken() -> None:
    """A patch for a file that the lock does not take is refused with the name in the patch."""
    patch = diff(OLD, NEW, source="a/h.c", target="b/h.c")
    refused(patch, r"fix\.patch changes 'a/h\.c', which is not among the files taken\n")


def test_refuses_names_that_are_stripped_away() -> None:
    """A name with fewer folders than ``strip`` names no file."""
    files = {"f.c": OLD}
    with pytest.raises(VendorError, match=r"^fix\.patch changes 'a/f\.c', which is not among the files taken\n"):
        apply("fix.patch", diff(OLD, NEW), files, strip=3)


@pytest.mark.parametrize(
    ("source", "target"),
    [("/dev/null", "b/f.c"), ("a/f.c", "/dev/null"), ("a/f.c", "b/g.c")],
    ids=["create", "delete", "rename"],
)
@pytest.mark.parametrize("strip", [1, 3])
def test_refuses_to_create_delete_or_rename(source: str, target: str, strip: int) -> None:
    """A patch may change the files taken, and not which files there are."""
    source, target = (
        name.replace("/", "/x/y/", 1) if strip == 3 and name[1] == "/" else name for name in (source, target)
    )
    old, new = (b"" if name == "/dev/null" else text for name, text in ((source, OLD), (target, NEW)))
    patch = diff(old, new, source=source, target=target)
    files = {"f.c": OLD, "g.c": b"other\n"}
    expected = f"fix.patch creates, deletes or renames a file ({source} -> {target})\n  cure: drop it from the series"
    with pytest.raises(VendorError, match=f"^{re.escape(expected)}"):
        apply("fix.patch", patch, files, strip=strip)
    assert files == {"f.c": OLD, "g.c": b"other\n"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"one\ntwo", b"one\nTWO"),
        (b"one\ntwo", b"one\ntwo\n"),
        (b"one\ntwo\n", b"one\ntwo"),
        (b"one\ntwo", b"ONE\ntwo"),
        (b"one", b"one\ntwo\n"),
        (b"one\ntwo\n", b"one"),
        (b"", b"one"),
        (b"one", b""),
    ],
)
def test_no_newline_at_end_of_file(old: bytes, new: bytes) -> None:
    """A last line without a newline is kept, gained or lost as the patch's marker says."""
    assert patched(diff(old, new), old) == new


def test_newline_at_end_of_file_must_match() -> None:
    """A patch that shows a last line without a newline does not fit one that has it, and the other way round."""
    does_not_apply = r"fix\.patch does not apply to f\.c at line 1 "
    refused(diff(b"one\ntwo", b"ONE\ntwo"), does_not_apply, b"one\ntwo\n")
    refused(diff(b"one\ntwo\n", b"ONE\ntwo\n"), does_not_apply, b"one\ntwo")


def test_refuses_a_marker_before_the_end() -> None:
    """A line without a newline can only be the last."""
    patch = diff(b"one\ntwo\n", b"ONE\ntwo\n", context=0).replace(b"+ONE\n", b"+ONE\n\\ No newline at end of file\n")
    refused(patch, r"fix\.patch ends f\.c without a newline where more lines follow\n", b"one\ntwo\n")


def test_carriage_returns_are_kept() -> None:
    """In a file with CR LF, a patch made from it applies and its line ends stay."""
    old, new = OLD.replace(b"\n", b"\r\n"), NEW.replace(b"\n", b"\r\n")
    assert patched(diff(old, new), old) == new


def test_line_ends_must_match() -> None:
    """A patch for LF does not fit a file with CR LF, nor the other way round."""
    does_not_apply = r"fix\.patch does not apply to f\.c at line 3 "
    old, new = OLD.replace(b"\n", b"\r\n"), NEW.replace(b"\n", b"\r\n")
    refused(diff(OLD, NEW), does_not_apply, old)
    refused(diff(old, new), does_not_apply, OLD)


def test_refuses_a_patch_converted_to_carriage_returns() -> None:
    """A patch whose own line ends were converted is refused, visibly for that reason."""
    refused(
        diff(OLD, NEW).replace(b"\n", b"\r\n"), r"fix\.patch changes 'a/f\.c\\r', which is not among the files taken"
    )


@pytest.mark.parametrize("character", NOT_LINE_ENDS, ids=[f"U+{ord(character):04X}" for character in NOT_LINE_ENDS])
def test_only_newlines_end_lines(character: str) -> None:
    """A form feed or another separator inside a line neither ends it nor moves the lines below."""
    old = OLD.replace(b"line 1\n", f"line{character}1\n".encode()).replace(b"line 34\n", f"{character}\n".encode())
    new = old.replace(b"line 35\n", f"a{character}b\n".encode())
    assert patched(diff(old, new), old) == new


texts = st.builds(
    lambda parts, end: ("\n".join(parts) + end).encode(),
    st.lists(st.text(st.sampled_from("ab -+@\\" + NOT_LINE_ENDS), max_size=4), max_size=12),
    st.sampled_from(["", "\n"]),
)


@settings(deadline=None, max_examples=300)
@given(old=texts, new=texts, context=st.integers(0, 4))
def test_round_trip(old: bytes, new: bytes, context: int) -> None:
    """For any two texts, the difference applied to the old one gives the new one."""
    if old == new:
        refused(diff(old, new), r"fix\.patch changes nothing: ", old)
    else:
        assert patched(diff(old, new, context=context), old) == new


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_other_old_text_is_refused(data: st.DataObject) -> None:
    """Where a line that the patch shows of the old file differs, is gone or has become two, the patch is refused."""
    patch = diff(OLD, NEW)
    hunks = [[int(n) for n in match] for match in re.findall(rb"(?m)^@@ -(\d+),(\d+)", patch)]
    shown = list(chain.from_iterable(range(start - 1, start - 1 + length) for start, length in hunks))
    number = data.draw(st.sampled_from(shown))
    replacement = data.draw(st.lists(st.sampled_from(["", "x", "line 0"]).map(lambda s: s + "\n"), max_size=2))
    old = lines(OLD)
    old[number : number + 1] = replacement
    refused(patch, r"fix\.patch does not apply to f\.c at line \d+ ", "".join(old).encode())
