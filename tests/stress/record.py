"""What the campaigns write: records whose content follows from who wrote them and when, so that any of them can be
checked alone, and all that belong to a transaction are known.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from random import Random

_KEY = struct.Struct(">HQH")


def key(writer: int, number: int, part: int) -> bytes:
    """The key of one part of a writer's transaction."""
    return _KEY.pack(writer, number, part)


def owner(stored: bytes | memoryview) -> tuple[int, int, int]:
    """Writer, number and part of a key."""
    writer, number, part = _KEY.unpack(stored)
    return writer, number, part


@lru_cache(8192)
def value(writer: int, number: int, part: int) -> bytes:
    """The value of a part: 14 to some 20,000 bytes, so that some need overflow pages."""
    dice = Random(f"{writer} {number} {part}")
    size = dice.choice((0, 30, 300, 900, 20000))
    return key(writer, number, part) + dice.randbytes(8) * dice.randrange(size // 8 + 1) + b"<>"


@lru_cache(8192)
def parts(writer: int, number: int) -> int:
    """How many parts a transaction has."""
    return Random(f"{writer} {number}").randrange(1, 6)


def is_whole(stored_key: bytes | memoryview, stored: bytes | memoryview) -> bool:
    """Whether a value is what was written under its key."""
    return len(stored_key) == _KEY.size and stored == value(*owner(stored_key))
