"""What a snapshot of the stress run's environment must hold, whenever it is taken.

Each writer numbers its transactions; those that it aborts leave gaps. A committed one stores its number in ``count``,
its number as a value of ``number`` (``dupsort``), and its parts in ``part``, and deletes the writer's transaction
``KEPT`` commits ago.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from tests.stress import record

KEPT = 12
"""Transactions whose records stay."""

NAMES: dict[bytes, dict[str, Any]] = {b"count": {}, b"number": {"dupsort": True}, b"part": {}, b"scratch": {}}
"""The databases, and how they are made."""

_NUMBER = struct.Struct(">Q")


class DamageError(AssertionError):
    """The environment is not what was written."""


def pack(number: int) -> bytes:
    """A number as a key or a value."""
    return _NUMBER.pack(number)


def unpack(stored: bytes | memoryview) -> int:
    """The number that was packed."""
    number: int = _NUMBER.unpack(stored)[0]
    return number


def check(
    counts: Iterable[tuple[Any, Any]], numbers: Iterable[tuple[Any, Any]], records: Iterable[tuple[Any, Any]]
) -> dict[int, list[int]]:
    """Check a snapshot.

    Returns:
        Each writer's transactions that are there.

    Raises:
        DamageError: a record is not what was written, or a transaction is not there as a whole.
    """
    last = {unpack(writer): unpack(number) for writer, number in counts}
    kept: dict[int, list[int]] = {}
    for writer, number in numbers:
        kept.setdefault(unpack(writer), []).append(unpack(number))
    found: dict[tuple[int, int], int] = {}
    for key, value in records:
        if not record.is_whole(key, value):
            raise DamageError(f"the value of {record.owner(key)} is {bytes(value)[:40]!r} of {len(value)} bytes")
        writer, number, _ = record.owner(key)
        found[writer, number] = found.get((writer, number), 0) + 1
    wanted = {(w, number): record.parts(w, number) for w, all_of_it in kept.items() for number in all_of_it}
    if found != wanted:
        raise DamageError(f"parts found and wanted differ: {sorted(found.items() ^ wanted.items())[:10]}")
    if last != {writer: numbers[-1] for writer, numbers in kept.items()}:
        raise DamageError(f"the counts are {last}, the numbers {kept}")
    if any(len(numbers) > KEPT for numbers in kept.values()):
        raise DamageError(f"transactions that were deleted are there: {kept}")
    return kept
