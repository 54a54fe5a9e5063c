"""The orders that a tree's keys may have, which the flags of its database choose (``mdb_default_cmp``)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lmdb_bindings.verify import _format as f


@dataclass(frozen=True)
class Order:
    """How LMDB compares two keys.

    Attributes:
        rank: turns a key into what Python compares likewise.
        one_size: whether the order is defined only among keys of one size.
        least: the size, in bytes, below which LMDB would read past the key, so that there is no order.
    """

    rank: Callable[[bytes], Any]
    one_size: bool = False
    least: int = 0


def _number(key: bytes) -> int:
    return int.from_bytes(key, sys.byteorder)


LEXICAL = Order(bytes)
REVERSE = Order(lambda key: key[::-1])
INTEGER = Order(_number, one_size=True)  # mdb_cmp_cint
WORD = Order(
    lambda key: _number(key if len(key) == 8 else key[:4]), one_size=True, least=4
)  # mdb_cmp_int, mdb_cmp_long


def of_keys(flags: int) -> Order:
    """The order of a database's keys."""
    return REVERSE if flags & f.REVERSEKEY else INTEGER if flags & f.INTEGERKEY else LEXICAL


def of_values(flags: int) -> Order | None:
    """The order of a database's duplicates, None where it has none."""
    if not flags & f.DUPSORT:
        return None
    if flags & f.INTEGERDUP:
        return WORD if flags & f.DUPFIXED else INTEGER
    return REVERSE if flags & f.REVERSEDUP else LEXICAL
