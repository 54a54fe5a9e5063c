"""The two LMDB engines, loaded through the loader and called through CFFI. Which one to use: see ``_selection``."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import liblmdb_wheel
from lmdb_bindings._abi import ffi
from sharedlib_loader import LoadedLibrary


@dataclass(frozen=True)
class Engine:
    """A loaded engine.

    Attributes:
        name: ``"0.9"`` or ``"1.0"``.
        lib: its functions, by CFFI.
        library: what the loader says of it: path, version, origin, conflict.
    """

    name: str
    lib: Any
    library: LoadedLibrary

    def version(self) -> tuple[int, int, int]:
        """The version that the library gives of itself."""
        parts = [ffi.new("int *") for _ in range(3)]
        self.lib.mdb_version(*parts)
        major, minor, patch = (part[0] for part in parts)
        return major, minor, patch


_lock = threading.Lock()
_engines: dict[str, Engine] = {}


def engine(name: str) -> Engine:
    """An engine by name, loaded at its first use.

    Raises:
        ValueError: there is no such engine.
        sharedlib_loader.SharedLibraryError: it cannot be loaded.
    """
    found = _engines.get(name)
    if found is None:
        # A copy of the same SONAME that was first in the process does not disturb the binding, which calls through
        # its own handle; the record keeps the conflict for whoever asks.
        library = liblmdb_wheel.load(name, on_conflict="accept")
        with _lock:
            # From the handle, not the path: no second look-up, and the end of `lib` does not close the library.
            lib = ffi.dlopen(ffi.cast("void *", library.handle))
            found = _engines.setdefault(name, Engine(name, lib, library))
    return found


def loaded_libraries() -> dict[str, LoadedLibrary]:
    """The engines in use so far: engine name to the loader's record."""
    return {name: used.library for name, used in sorted(_engines.items())}


def strerror(code: int) -> str:
    """LMDB's text for a return code, or the system's for an errno."""
    # Engine 0.9 does not know the codes that came with 1.0, and only 1.0 returns them.
    name = "1.0" if -30780 < code < -30700 else "0.9"
    text: bytes = ffi.string(engine(name).lib.mdb_strerror(code))
    return text.decode("utf-8", "replace")
