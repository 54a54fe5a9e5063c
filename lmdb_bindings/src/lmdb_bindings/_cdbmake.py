"""The text format of cdbmake, in which py-lmdb's tool dumps and restores.

Each record is ``+``, the lengths of key and value in bytes, and the two themselves, which need no escapes:
``+3,4:key->data`` and a line feed. An empty line ends the file. It says nothing of a database's flags: see
``_dump_text`` for a format that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

_LONGEST_NUMBER = 11  # digits: LMDB's values are shorter than 4 GiB


def write(records: Iterable[tuple[bytes, bytes]], stream: BinaryIO) -> None:
    """Write pairs of key and value, and the end."""
    stream.writelines(b"+%d,%d:%b->%b\n" % (len(key), len(value), key, value) for key, value in records)
    stream.write(b"\n")


def read(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of key and value, up to the empty line.

    Raises:
        ValueError: the stream is not in the format; the message says at which record, from 1.
    """
    number = 0
    while True:
        number += 1
        start = stream.read(1)
        if start == b"\n":
            return
        if start != b"+":
            raise ValueError(f"bad or missing plus, line/record #{number}")
        key_length = _length(stream, b",", number)
        value_length = _length(stream, b":", number)
        key = _data(stream, key_length, number)
        if stream.read(2) != b"->":
            raise ValueError(f"bad or missing separator, line/record #{number}")
        value = _data(stream, value_length, number)
        if stream.read(1) != b"\n":
            raise ValueError(f"bad line ending, line/record #{number}")
        yield key, value


def _length(stream: BinaryIO, end: bytes, number: int) -> int:
    digits = b""
    while (character := stream.read(1)) != end:
        if not character:
            raise ValueError(f"unexpected EOF in length field, line/record #{number}")
        digits += character
        if not digits.isdigit() or len(digits) > _LONGEST_NUMBER:
            raise ValueError(f"bad or missing length, line/record #{number}")
    if not digits:
        raise ValueError(f"bad or missing length, line/record #{number}")
    return int(digits)


def _data(stream: BinaryIO, length: int, number: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise ValueError(f"short key or data, line/record #{number}")
    return data
