"""The offline verifier of LMDB data files: whether a file is what LMDB itself would have written.

It reads the file as bytes, in pure Python, and never hands it to liblmdb; so it is safe on a file that nobody trusts
yet. Both data formats are known, 1 (LMDB 0.9) and 3 (LMDB 1.0), as 64-bit hosts of this byte order write them.

It is not for a file that is being written: each page is read when its turn comes, and a commit in between looks like
damage. Verify a private copy, and then open that copy; the lock file is no part of it.

>>> from lmdb_bindings import verify
>>> verify.verify("/tmp/example")                                                  # doctest: +SKIP
[]
"""

from __future__ import annotations

import os
import stat

from lmdb_bindings.verify._report import LIMIT, Report
from lmdb_bindings.verify._report import VerifyError as VerifyError
from lmdb_bindings.verify._verifier import Verifier as _Verifier

__all__ = ["VerifyError", "resolve_data_path", "verify"]

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def resolve_data_path(path: Path, subdir: bool | None = None) -> str:
    """The data file of an environment.

    Args:
        path: the environment: a directory, or a data file of any name.
        subdir: as for :class:`Environment`; None: True where ``path`` is a directory.
    """
    name = os.fsdecode(path)
    return os.path.join(name, "data.mdb") if (os.path.isdir(name) if subdir is None else subdir) else name


def verify(
    path: Path,
    subdir: bool | None = None,
    *,
    limit: int = LIMIT,
    max_pages: int | None = None,
    seconds: float | None = None,
) -> list[str]:
    """Verify a data file, as of its last committed transaction.

    Every page is visited at most once. Memory is at most two bytes for each page of the file, and ten for each page
    that the free list names beyond its end.

    Args:
        path: the environment, see :func:`resolve_data_path`.
        subdir: see :func:`resolve_data_path`.
        limit: the number of problems after which it stops; a last line then says so.
        max_pages: the number of pages after which it stops, which is a problem of its own.
        seconds: the time after which it stops, likewise.

    Returns:
        What is wrong, one sentence each; nothing where the file is sound. The checksums of a checksummed file are a
        problem by themselves, since only the function that made them can check them.

    Raises:
        VerifyError: this cannot be verified at all: it is no LMDB file, one of another data format, word size or byte
            order, or an encrypted one.
        OSError: the file cannot be read.
        ValueError: ``limit`` is less than 1.
    """
    data_path = resolve_data_path(path, subdir)
    mode = os.stat(data_path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode) or stat.S_ISDIR(mode)):  # open() says it of a directory
        raise VerifyError(f"{data_path} is not a file")
    report = Report(limit, max_pages, seconds)
    with open(data_path, "rb", buffering=0) as file:
        return _Verifier(file, file.seek(0, os.SEEK_END), report).verify()
