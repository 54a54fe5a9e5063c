"""The page callbacks: their formats, recomputed here from the header's description, and LMDB 1.0 running on them."""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
WHEEL = ROOT / "liblmdb_wheel"
UPSTREAM = WHEEL / "upstream"
SOURCE = Path(__file__).with_suffix(".c").read_text()
NAMES = [name for name in re.findall(r"\bTEST\((\w+)\)", SOURCE) if name not in ("name", "vectors")]


@pytest.fixture(scope="session")
def program(compile_c: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests in C, with LMDB in them; its list of dirty pages is short, so that it spills soon."""
    lmdb = UPSTREAM / "lmdb-1.0"
    sources = [lmdb / name for name in ("mdb.c", "midl.c", "module.c")]
    sources += [UPSTREAM / "monocypher" / "monocypher.c", WHEEL / "pages" / "lmdb_pages.c"]
    include = [f"-I{folder}" for folder in (lmdb, UPSTREAM / "monocypher", WHEEL / "pages")]
    # -fno-sanitize: where there is little optimization the compiler adds traps, and LMDB reads words unaligned.
    flags = ["-UNDEBUG", "-fno-sanitize=undefined", "-DMDB_IDL_LOGN=10", "-pthread", "-ldl"]
    return compile_c(SOURCE, tmp_path_factory.mktemp("pages") / "test_pages", *include, *sources, *flags)


def run(program: Path, name: str, folder: Path) -> str:
    done = subprocess.run([program, name, folder], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_in_c(program: Path, tmp_path: Path, name: str) -> None:
    """The test of this name in test_pages.c passes."""
    run(program, name, tmp_path)


# --- the format once more, in another language --------------------------------------------------------------------


def rounds(state: list[int]) -> list[int]:
    """The twenty rounds of ChaCha."""
    x = list(state)
    columns = [(i, i + 4, i + 8, i + 12) for i in range(4)]
    diagonals = [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]
    for _ in range(10):
        for a, b, c, d in columns + diagonals:
            for p, q, r, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[p] = (x[p] + x[q]) & 0xFFFFFFFF
                word = x[r] ^ x[p]
                x[r] = (word << shift | word >> (32 - shift)) & 0xFFFFFFFF
    return x


def hchacha20(key: bytes, block: bytes) -> bytes:
    words = rounds([*struct.unpack("<16I", b"expand 32-byte k" + key + block)])
    return struct.pack("<8I", *words[:4], *words[12:])


def xchacha20(key: bytes, nonce: bytes) -> Iterator[int]:
    """The key stream, byte by byte."""
    subkey = hchacha20(key, nonce[:16])
    for counter in range(1 << 32):
        block = b"expand 32-byte k" + subkey + struct.pack("<Q", counter) + nonce[16:]
        state = [*struct.unpack("<16I", block)]
        yield from struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, rounds(state), strict=True)))


def keyed(size: int, key: bytes, label: str, *parts: bytes) -> bytes:
    return hashlib.blake2b(label.encode() + b"\0" + b"".join(parts), digest_size=size, key=key).digest()


def encrypt(key: bytes, iv: bytes, page: bytes) -> tuple[bytes, bytes]:
    """What lmdb_pages.h describes: the encrypted page and its tag."""
    secrets = keyed(64, key, "lmdb_pages 1 cipher and mac")
    cipher_key, mac_key = secrets[:32], secrets[32:]
    tag = keyed(24, mac_key, "lmdb_pages 1 page", bytes([len(iv)]), iv, struct.pack("<Q", len(page)), page)
    body = bytes(a ^ b for a, b in zip(page[8:], xchacha20(cipher_key, tag), strict=False))
    header_key = keyed(32, key, "lmdb_pages 1 header", iv)
    halves = [page[:4], page[4:8]]
    for i in range(4):
        mask = hchacha20(header_key, bytes([i, 0, 0, 0]) + halves[~i & 1] + bytes(8))
        halves[i & 1] = bytes(a ^ b for a, b in zip(halves[i & 1], mask, strict=False))
    return b"".join(halves) + body, tag


def test_the_format_is_the_one_described(program: Path, tmp_path: Path) -> None:
    """Files written today are read by whoever follows the description, so it may not change under one version."""
    lines = [bytes.fromhex(line) for line in run(program, "vectors", tmp_path).split()]
    vectors = [lines[i : i + 5] for i in range(0, len(lines), 5)]
    assert [len(page) for _, _, page, _, _ in vectors] == [8, 9, 72, 100, 216, 4056]
    for key, iv, page, cipher, tag in vectors:
        assert (cipher, tag) == encrypt(key, iv, page)
