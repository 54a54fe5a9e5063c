"""Edits of an ELF file's dynamic section, in place, for what zig 0.17.0's linker has no option or does not heed it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

from sharedlib_loader._runtime import DT_NEEDED, DT_RPATH, DT_RUNPATH, PT_DYNAMIC, ElfFile

Entries = list[tuple[int, int]]
"""Tags and values, in the file's order (gABI, chapter 5)."""


def runpath_to_rpath(path: Path) -> None:
    """Do what ``--disable-new-dtags`` asks for: zig takes it, and does not hand it to its linker."""
    _change(path, lambda entries: [(DT_RPATH if tag == DT_RUNPATH else tag, value) for tag, value in entries])


def forget_needed(path: Path, name: str) -> None:
    """Take a library out of those that the file needs, if it is one."""
    with path.open("rb") as stream:
        needed = iter(ElfFile(stream).names(DT_NEEDED))
    _change(path, lambda entries: [(tag, value) for tag, value in entries if tag != DT_NEEDED or next(needed) != name])


def _change(path: Path, change: Callable[[Entries], Entries]) -> None:
    """Rewrite the dynamic section, which may become shorter: DT_NULL, which is zero, ends it."""
    data = bytearray(path.read_bytes())
    file = ElfFile(io.BytesIO(data))
    layout = struct.Struct(file.order + ("qQ" if file.is_64 else "iI"))
    [(start, size)] = [(offset, size) for kind, offset, _, size in file.segments() if kind == PT_DYNAMIC]
    entries = change(list(layout.iter_unpack(data[start : start + size])))
    data[start : start + size] = b"".join(layout.pack(*entry) for entry in entries).ljust(size, b"\0")
    path.write_bytes(data)
