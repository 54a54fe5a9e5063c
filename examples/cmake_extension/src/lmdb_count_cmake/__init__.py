"""Count LMDB records in C++, over the liblmdb that the whole process shares."""

import liblmdb_wheel

liblmdb_wheel.load("0.9")  # before the import below: the extension needs liblmdb.so.0 and has no RPATH

from lmdb_count_cmake._count import count, version_address  # noqa: E402

__all__ = ["count", "version_address"]
