"""Insertions: lines of this project's own, put behind lines of a file that the patch series has changed already.

A patch shows the lines around its own, and the repository holds no third-party text; so a place is a line's number
here. That it is the right one is proved by the hash of the whole file afterwards, the lock's ``patched``.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from vendor.errors import VendorError
from vendor.lock import Insertion


def insert(insertions: Sequence[Insertion], files: dict[str, bytes]) -> None:
    """Put all insertions into ``files`` in place, or none where an error is raised.

    Args:
        insertions: sorted by file and line, as the lock has them.
        files: path to content, with every file that an insertion names.

    Raises:
        VendorError: a file has no such line, or that line, its last, does not end.
    """
    changed = dict(files)
    for insertion in reversed(insertions):  # from the end, since the lines are counted before any insertion
        lines = BytesIO(changed[insertion.file]).readlines()
        if not 0 < insertion.after <= len(lines) or not lines[insertion.after - 1].endswith(b"\n"):
            ended = files[insertion.file].count(b"\n")
            raise VendorError(
                f"{insertion.file} has {ended} whole lines, and the lock inserts behind line {insertion.after}",
                cure="correct the line in the lock: it counts in the file as the patches leave it",
            )
        lines.insert(insertion.after, insertion.text.encode())
        changed[insertion.file] = b"".join(lines)
    files.update(changed)
