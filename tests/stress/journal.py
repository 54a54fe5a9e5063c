"""The list of what was committed, beside the database: a line is written when ``commit()`` has returned."""

from __future__ import annotations

import os
from pathlib import Path


class Journal:
    """A file that threads and processes append to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, writer: int, number: int) -> None:
        """A writer's transaction was committed."""
        os.write(self._file, b"%d %d\n" % (writer, number))  # at once, so that lines do not mix


def read(path: Path) -> dict[int, list[int]]:
    """Each writer's committed transactions, in order."""
    committed: dict[int, list[int]] = {}
    for line in path.read_text().splitlines():
        writer, number = map(int, line.split())
        committed.setdefault(writer, []).append(number)
    return committed
