"""``python -m liblmdb_wheel --cflags --libs``: how to compile and link against an engine, for scripts and Makefiles."""

from __future__ import annotations

import argparse
import json
import shlex
import sys

import liblmdb_wheel


def cflags(engine: str) -> list[str]:
    """Compiler flags: where the engine's ``lmdb.h`` is."""
    return [f"-I{liblmdb_wheel.include_dir(engine)}"]


def libs(engine: str) -> list[str]:
    """Linker flags: the exact file, by its SONAME; no RPATH, since the loader's preload makes it needless."""
    return [f"-L{liblmdb_wheel.library_dir()}", f"-l:{liblmdb_wheel.engines()[engine].soname}"]


def description() -> dict[str, object]:
    """All that a program may ask, for ``--json``."""
    return {
        "version": liblmdb_wheel.__version__,
        "library_dir": str(liblmdb_wheel.library_dir()),
        "engines": {
            engine: {
                "name": library.name,
                "version": library.version,
                "soname": library.soname,
                "path": str(library.path),
                "include_dir": str(liblmdb_wheel.include_dir(engine)),
                "cflags": cflags(engine),
                "libs": libs(engine),
                "switch": library.switch,
            }
            for engine, library in liblmdb_wheel.engines().items()
        },
    }


def main(argv: list[str] | None = None) -> int:
    about = "How to link the LMDB of this environment."
    parser = argparse.ArgumentParser(prog="python -m liblmdb_wheel", description=about)
    parser.add_argument("--engine", choices=list(liblmdb_wheel.engines()), default="0.9", help="default: 0.9")
    parser.add_argument("--cflags", action="store_true", help="compiler flags, quoted for a shell")
    parser.add_argument("--libs", action="store_true", help="linker flags, quoted for a shell")
    parser.add_argument("--version", action="store_true", help="the version of the engine's LMDB")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    arguments = parser.parse_args(argv)
    if arguments.json:
        print(json.dumps(description(), indent=2))
        return 0
    if arguments.version:
        print(liblmdb_wheel.engines()[arguments.engine].version)
    flags = cflags(arguments.engine) * arguments.cflags + libs(arguments.engine) * arguments.libs
    if flags:
        print(shlex.join(flags))
    elif not arguments.version:
        parser.print_usage(sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
