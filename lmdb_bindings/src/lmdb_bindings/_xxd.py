"""Bytes as ``xxd`` shows them: the offset, sixteen bytes in hexadecimal, and what of them is printable ASCII."""

from __future__ import annotations

import string

_WIDTH = 16
_PRINTABLE = frozenset(string.printable) - frozenset("\t\n\r\x0b\x0c")


def isprint(character: str) -> bool:
    """Whether a character is printable ASCII, the space included."""
    return character in _PRINTABLE


def xxd(data: bytes) -> str:
    """The lines, each with its line feed; one empty line for no bytes."""
    return "".join(_line(offset, data[offset : offset + _WIDTH]) for offset in range(0, len(data), _WIDTH)) or "\n"


def _line(offset: int, data: bytes) -> str:
    groups = " ".join(data[i : i + 2].hex() for i in range(0, len(data), 2))
    text = "".join(chr(byte) if isprint(chr(byte)) else "." for byte in data)
    return f"{offset:07x}: {groups:<39}  {text}\n"
