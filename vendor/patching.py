"""Patches: applied exactly where they say, to exactly the lines they show, or not at all.

``patch(1)`` would search for a place that fits (an offset) or ignore context that does not (fuzz). A hardening
patch that lands in another place may compile and protect nothing, so neither is accepted here.
"""

from __future__ import annotations

from io import StringIO

from unidiff.constants import LINE_TYPE_EMPTY, LINE_TYPE_NO_NEWLINE
from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from vendor.errors import VendorError

_CURE = "check the order of the series in the lock, and that the patches are those of this version"


def apply(name: str, text: bytes, files: dict[str, bytes], *, strip: int) -> None:
    """Apply one patch to ``files`` in place: all of it, or nothing where an error is raised.

    Args:
        name: the patch's file name, for messages.
        text: the patch, a unified diff.
        files: path to content; the patch may change these and no others.
        strip: leading components to remove from the paths in the patch, as in ``patch -p``.

    Raises:
        VendorError: the patch is malformed, names another file, creates, deletes or renames one, or does not fit line
            for line.
    """
    try:
        diff = text.decode("utf-8")
        changes = PatchSet.from_string(diff)
    except (UnidiffParseError, UnicodeDecodeError) as error:
        raise VendorError(f"{name} is not a unified diff: {error}", cure=_CURE) from error
    if not changes:
        raise VendorError(f"{name} changes nothing: it was cut short or is not a patch", cure=_CURE)
    if not diff.endswith("\n"):
        raise VendorError(f"{name} was cut short: its last line has no end", cure=_CURE)
    _refuse_leftovers(name, diff, [hunk for change in changes for hunk in change])
    changed = dict(files)
    for change in changes:
        path, target = (_stripped(file, strip) for file in (change.source_file, change.target_file))
        if path != target:
            raise VendorError(
                f"{name} creates, deletes or renames a file ({change.source_file} -> {change.target_file})",
                cure="drop it from the series in the lock: only the contents of files taken can be patched",
            )
        if path not in files:
            raise VendorError(f"{name} changes {change.source_file!r}, which is not among the files taken", cure=_CURE)
        if not change:
            raise VendorError(f"{name} names {path} and shows no change of its lines: it was cut short", cure=_CURE)
        changed[path] = _patched(name, path, changed[path], change)
    files.update(changed)


def _refuse_leftovers(name: str, text: str, hunks: list[Hunk]) -> None:
    # unidiff takes for a comment what it does not understand: a spoilt header, the rest of a hunk that is longer than
    # its header says.
    lines = [*StringIO(text).readlines(), "", ""]
    if sum(line.startswith("@@") for line in lines) != len(hunks):
        raise VendorError(f"{name} is not a unified diff: a line that begins with @@ heads no hunk", cure=_CURE)
    for hunk in hunks:
        number = max((line.diff_line_no or 0 for line in hunk), default=0)
        while lines[number].startswith("\\"):
            number += 1
        below = lines[number]
        next_file = below.startswith("--- ") and lines[number + 1].startswith("+++ ")
        if below.startswith((" ", "+", "-")) and not next_file and below.rstrip() != "--":  # -- begins a signature
            raise VendorError(f"{name} is not a unified diff: line {number + 1} is in no hunk: {below!r}", cure=_CURE)


def _stripped(path: str, strip: int) -> str:
    return "/".join(path.split("/")[strip:])


def _patched(name: str, path: str, content: bytes, change: PatchedFile) -> bytes:
    try:
        # Lines end at \n alone, as for diff(1): str.splitlines would also break them at form feeds and the like.
        old = StringIO(content.decode("utf-8")).readlines()
    except UnicodeDecodeError as error:
        raise VendorError(f"{name} does not apply to {path}, which is not UTF-8: {error}", cure=_CURE) from error
    new: list[str] = []
    done = 0
    for hunk in change:
        before, after = _sides(hunk)
        start = hunk.source_start - 1 if before else hunk.source_start  # a hunk without old lines names the line above
        if not done <= start <= len(old) or old[start : start + len(before)] != before:
            place = f"{path} at line {hunk.source_start}"
            raise VendorError(f"{name} does not apply to {place} (no offset or fuzz is accepted)", cure=_CURE)
        new += old[done:start] + after
        done = start + len(before)
    new += old[done:]
    if not all(line.endswith("\n") for line in new[:-1]):
        raise VendorError(f"{name} ends {path} without a newline where more lines follow", cure=_CURE)
    return "".join(new).encode("utf-8")


def _sides(hunk: Hunk) -> tuple[list[str], list[str]]:
    """The lines that the hunk shows of the old file and of the new one."""
    before: list[str] = []
    after: list[str] = []
    sides: tuple[list[str], ...] = ()
    for line in hunk:
        if line.line_type == LINE_TYPE_NO_NEWLINE:  # said of the line above
            for side in sides:
                side[-1] = side[-1].removesuffix("\n")
        elif line.line_type != LINE_TYPE_EMPTY:  # which is a blank line that follows the hunk
            sides = (before, after) if line.is_context else (after,) if line.is_added else (before,)
            for side in sides:
                side.append(line.value)
    return before, after
