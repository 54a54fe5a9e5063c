"""Write ``src/lmdb_bindings/_abi.py`` from the ``*.cdef.h``; the result is committed, and a test compares it.

A module in CFFI's out-of-line ABI form imports in milliseconds, without a C parser and without a compiler.
"""

import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent


def generate(target: Path) -> None:
    ffi = FFI()
    for name in ("lmdb.cdef.h", "bulk.cdef.h", "pages.cdef.h", "flatdb.cdef.h"):
        ffi.cdef((HERE / name).read_text(encoding="utf-8"))
    ffi.set_source("lmdb_bindings._abi", None)
    ffi.emit_python_code(str(target))


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "src" / "lmdb_bindings" / "_abi.py")
