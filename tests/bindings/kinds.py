"""Kinds of databases, keys and values that fit them, and what a call came to, for tests that compare ways to do a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

FLAGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "reverse_key": {"reverse_key": True},
    "integerkey": {"integerkey": True},
    "dupsort": {"dupsort": True},
    "dupfixed": {"dupsort": True, "dupfixed": True},
    "integerdup": {"dupsort": True, "dupfixed": True, "integerdup": True},
}


def integer(number: int, size: int = 8) -> bytes:
    return number.to_bytes(size, "little")


def filled(size: int) -> bytes:
    return bytes([size % 251]) * size


STRINGS = st.sampled_from(
    [b"a", b"aa", b"ab", b"b", b"ba", b"c", b"\0", b"\0\0", b"a\xff", b"a\xff\xff", b"\xff", b"\xff\xff", b"m" * 511]
) | st.binary(min_size=1, max_size=3)
INTEGERS = st.sampled_from([*range(8), 255, 256, 65536, 2**32, 2**63]).map(integer)
# Around what get() copies, a page, and several; a plain database alone takes them.
LARGE = st.sampled_from([0, 1, 7, 100, 1000, 2030, 4095, 4096, 4097, 9000, 20000]).map(filled)
SMALL = st.sampled_from([1, 2, 100, 400, 511]).map(filled) | st.binary(min_size=1, max_size=2)
FIXED = st.integers(0, 12).map(integer)


def keys_of(kind: str) -> st.SearchStrategy[bytes]:
    return INTEGERS if kind == "integerkey" else STRINGS


def values_of(kind: str) -> st.SearchStrategy[bytes]:
    return {"dupsort": SMALL, "dupfixed": FIXED, "integerdup": FIXED}.get(kind, LARGE)


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    try:
        return "returned", call()
    except Exception as problem:  # noqa: BLE001 (whatever it is, they must agree)
        return "raised", type(problem).__name__, str(problem), getattr(problem, "record", "no record")
