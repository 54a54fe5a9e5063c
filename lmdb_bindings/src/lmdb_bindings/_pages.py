"""How LMDB 1.0 keeps its pages: their size, checksums and encryption, and the snapshot that is opened."""

from __future__ import annotations

import liblmdb_wheel
from lmdb_bindings import _constants as c
from lmdb_bindings import _memory
from lmdb_bindings._abi import ffi
from lmdb_bindings._engine import Engine
from lmdb_bindings.errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEY_SIZE = 32  # lmdb_pages.h
_TAG_SIZE = 24

# checksum=: the function of liblmdb_pages, and the bytes of each page that it takes.
CHECKSUMS = {"crc32c": ("lmdb_pages_crc32c", 4), "blake2b": ("lmdb_pages_blake2b", 32)}

_PAGE_SIZES = [1 << bits for bits in range(8, 17)]


def check(options: dict[str, Any]) -> bool:
    """Whether any of these options is given.

    Raises:
        ValueError: one has a value that cannot be, or two exclude each other.
        TypeError: the key is not bytes.
    """
    page_size, checksum, key = options["page_size"], options["checksum"], options["encryption_key"]
    if page_size is not None and page_size not in _PAGE_SIZES:
        raise ValueError(f"page_size={page_size}: a power of two from {_PAGE_SIZES[0]} to {_PAGE_SIZES[-1]}")
    if checksum is not None and checksum not in CHECKSUMS:
        raise ValueError(f"checksum={checksum!r}: one of {', '.join(map(repr, CHECKSUMS))}, or None")
    if key is not None and len(memoryview(key).cast("B")) != KEY_SIZE:
        raise ValueError(f"encryption_key has {len(key)} bytes, and needs {KEY_SIZE}: see key_from_passphrase()")
    if options["writemap"]:
        if checksum is not None or key is not None:
            raise ValueError("writemap=True writes pages where they are: neither checksums nor encryption go with it")
        import mmap

        if page_size is not None and page_size < mmap.PAGESIZE:
            raise ValueError(f"writemap=True needs pages of the system's size at least: page_size={mmap.PAGESIZE}")
    if options["previous_snapshot"] and not options["readonly"]:
        # LMDB 1.0.2 loses the first transaction that is committed there.
        raise ValueError("previous_snapshot=True needs readonly=True: copy() from there to go on with that snapshot")
    return any(option is not None for option in (page_size, checksum, key)) or bool(options["previous_snapshot"])


def apply(engine: Engine, env: Any, options: dict[str, Any]) -> int:
    """Tell LMDB, before it opens an environment. Returns flags for ``mdb_env_open``."""
    flags = c.PREVSNAPSHOT * bool(options["previous_snapshot"])
    if options["page_size"] is not None and (rc := engine.lib.mdb_env_set_pagesize(env, options["page_size"])):
        raise error("mdb_env_set_pagesize", rc)
    if options["checksum"] is not None:
        function, size = CHECKSUMS[options["checksum"]]
        if rc := engine.lib.mdb_env_set_checksum(env, getattr(_library(), function), size):
            raise error("mdb_env_set_checksum", rc)
        flags |= c.REMAP_CHUNKS  # without it, LMDB writes checksums and never looks at them
    if options["encryption_key"] is not None:
        key = ffi.new("MDB_val *")
        pinned = _memory.point(key, options["encryption_key"])  # which LMDB copies
        rc = engine.lib.mdb_env_set_encrypt(env, _library().lmdb_pages_encrypt, key, _TAG_SIZE)
        del pinned
        if rc:
            raise error("mdb_env_set_encrypt", rc)
        flags |= c.REMAP_CHUNKS
    return flags


def key_from_passphrase(passphrase: str | bytes, salt: bytes, *, memory: int = 65536, passes: int = 3) -> bytes:
    """A key for ``Environment(encryption_key=)`` from a pass phrase, by Argon2id (version 1.3, one lane).

    Args:
        passphrase: as str, it is encoded in UTF-8.
        salt: 8 bytes or more, 16 are usual: random, made once for an environment and kept beside it, not secret.
        memory: KiB that the derivation takes; each guess costs as much.
        passes: over that memory. The key depends on both: keep them with the salt.

    Raises:
        ValueError: an argument is out of its range.
    """
    words = passphrase.encode() if isinstance(passphrase, str) else bytes(passphrase)
    if not 8 <= memory < 1 << 25:
        raise ValueError(f"memory={memory}: KiB, from 8 to {(1 << 25) - 1}")
    key, work = ffi.new("unsigned char[]", KEY_SIZE), ffi.new("uint64_t[]", memory * 128)
    if _library().lmdb_pages_key_from_passphrase(
        key, words, len(words), bytes(salt), len(salt), memory, passes, work, memory * 1024
    ):
        raise ValueError(f"salt has {len(salt)} bytes, and needs 8 at least; passes={passes}, and 1 is the least")
    result: bytes = ffi.buffer(key)[:]
    return result


_loaded: list[Any] = []


def _library() -> Any:
    if not _loaded:
        handle = liblmdb_wheel.load_pages(on_conflict="accept").handle
        _loaded.append(ffi.dlopen(ffi.cast("void *", handle)))
    return _loaded[0]
