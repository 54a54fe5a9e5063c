"""A range of keys, and the order that decides what is in it."""

from __future__ import annotations

from lmdb_bindings import _bulk_constants as b
from lmdb_bindings import _constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Range:
    """Keys from ``lower`` to ``upper``.

    Attributes:
        lower: the smallest key; None for no bound.
        upper: the largest key; None for no bound.
        flags: ``LOWER_EXCLUDED``, ``UPPER_INCLUDED``, ``REVERSE``, ``NODUP``, ``DUP``.
    """

    __slots__ = ("flags", "lower", "upper")

    def __init__(self, lower: bytes | None = None, upper: bytes | None = None, flags: int = 0) -> None:
        self.lower = lower
        self.upper = upper
        self.flags = flags


def range_of(
    database_flags: int,
    prefix: Any = None,
    start: Any = None,
    stop: Any = None,
    *,
    include_start: bool = True,
    include_stop: bool = False,
    flags: int = 0,
) -> Range:
    """The range of what begins with ``prefix`` and lies between ``start`` and ``stop``, as far as they are given.

    Raises:
        TypeError: a bound is no bytes-like object.
        ValueError: a prefix, and the keys of the database are not sorted from their first byte on; or a bound of an
            ``integerkey`` database has another length than its keys.
    """
    lower = None if start is None else bytes(memoryview(start))
    upper = None if stop is None else bytes(memoryview(stop))
    if not include_start:
        flags |= b.LOWER_EXCLUDED
    if include_stop:
        flags |= b.UPPER_INCLUDED
    if prefix is not None:
        if database_flags & (c.REVERSEKEY | c.INTEGERKEY):
            raise ValueError(
                "a prefix means nothing here: the keys of a reverse_key or integerkey database are not sorted from "
                "their first byte on; give start and stop"
            )
        prefix = bytes(memoryview(prefix))
        if lower is None or lower < prefix:
            lower, flags = prefix, flags & ~b.LOWER_EXCLUDED
        end = prefix_end(prefix)
        if end is not None and (upper is None or upper >= end):
            upper, flags = end, flags & ~b.UPPER_INCLUDED
    if database_flags & c.INTEGERKEY and any(len(bound) not in (4, 8) for bound in (lower, upper) if bound is not None):
        raise ValueError("the keys of an integerkey database have 4 or 8 bytes, and so must start and stop")
    # LMDB knows no empty key: every key is larger.
    return Range(lower or None, upper, flags)


def prefix_end(prefix: bytes) -> bytes | None:
    """The smallest key behind all that begin with a prefix; None where there is none (every byte is 255)."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def check_limit(limit: int | None) -> None:
    """Refuse a limit below 0."""
    if limit is not None and limit < 0:
        raise ValueError(f"limit={limit}: 0 or more, or None for all")
