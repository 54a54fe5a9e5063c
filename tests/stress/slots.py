"""The database of the kill campaign after so many transactions: it follows from the number alone.

Transaction ``n`` stores and deletes records in some of a few hundred slots, so that values grow, shrink, come and go, and
pages are used again.
"""

from __future__ import annotations

from random import Random

from tests.stress import record

SLOTS = 300
_WRITER = 1

COUNT = b"count"
"""The key of the number of the last transaction."""


def slot_key(slot: int) -> bytes:
    """The key of a slot."""
    return b"slot %03d" % slot


def changes(number: int) -> dict[bytes, bytes | None]:
    """What a transaction stores; None is deleted."""
    dice = Random(f"changes {number}")
    chosen = dice.sample(range(SLOTS), dice.randrange(2, 12))
    return {
        slot_key(slot): None if dice.random() < 0.25 else record.value(_WRITER, number, part)
        for part, slot in enumerate(chosen)
    }


class Expected:
    """The content after a transaction, and after those that follow."""

    def __init__(self) -> None:
        self.number = 0
        self._content: dict[bytes, bytes] = {}

    def advance(self, number: int) -> list[tuple[bytes, bytes]]:
        """The records after this transaction, in the order of their keys."""
        while self.number < number:
            self.number += 1
            self._content[COUNT] = b"%d" % self.number
            for key, value in changes(self.number).items():
                if value is None:
                    self._content.pop(key, None)
                else:
                    self._content[key] = value
        return sorted(self._content.items())
