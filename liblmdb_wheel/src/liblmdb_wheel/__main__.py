"""``python -m liblmdb_wheel --cflags --libs``: how to compile and link against an engine, for scripts and Makefiles.

Flags are quoted for a shell, on one line; a path or a version is printed as it is, on a line of its own.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys

import liblmdb_wheel
from liblmdb_wheel import linking


def description() -> dict[str, object]:
    """All that a program may ask, for ``--json``."""
    return {
        "version": liblmdb_wheel.__version__,
        "library_dir": str(liblmdb_wheel.library_dir()),
        "cmake_dir": str(linking.cmake_dir()),
        "auditwheel_excludes": linking.auditwheel_excludes(),
        "engines": {
            engine: {
                "name": library.name,
                "version": library.version,
                "soname": library.soname,
                "path": str(library.path),
                "prefix": str(linking.prefix(engine)),
                "include_dir": str(liblmdb_wheel.include_dir(engine)),
                "pkgconfig_dir": str(linking.pkgconfig_dir(engine)),
                "cflags": linking.cflags(engine),
                "libs": linking.libs(engine),
                "switch": library.switch,
            }
            for engine, library in liblmdb_wheel.engines().items()
        },
    }


def answers(asked: argparse.Namespace) -> list[str]:
    """A line for each question, in the order of the options in the usage."""
    lines = []
    if asked.version:
        lines.append(liblmdb_wheel.engines()[asked.engine].version)
    if flags := linking.cflags(asked.engine) * asked.cflags + linking.libs(asked.engine) * asked.libs:
        lines.append(shlex.join(flags))
    if asked.prefix:
        lines.append(str(linking.prefix(asked.engine)))
    if asked.pkgconfigdir:
        lines.append(str(linking.pkgconfig_dir(asked.engine)))
    if asked.cmakedir:
        lines.append(str(linking.cmake_dir()))
    if asked.rpath_from is not None:
        lines.append(linking.rpath_from(asked.rpath_from))
    if asked.auditwheel_exclude:
        lines.append(shlex.join(linking.auditwheel_excludes()))
    return lines


def main(argv: list[str] | None = None) -> int:
    about = "How to link the LMDB of this environment."
    parser = argparse.ArgumentParser(prog="python -m liblmdb_wheel", description=about)
    default = liblmdb_wheel.DEFAULT_ENGINE
    parser.add_argument("selftest", nargs="?", choices=["selftest"], help="check what is installed, and ask nothing")
    parser.add_argument("--engine", choices=list(liblmdb_wheel.engines()), default=default, help=f"default: {default}")
    parser.add_argument("--version", action="store_true", help="the version of the engine's LMDB")
    parser.add_argument("--cflags", action="store_true", help="compiler flags, quoted for a shell")
    parser.add_argument("--libs", action="store_true", help="linker flags, quoted for a shell")
    parser.add_argument("--prefix", action="store_true", help="the folder with the engine's include/, lib/ and bin/")
    parser.add_argument("--pkgconfigdir", action="store_true", help="for PKG_CONFIG_PATH: lmdb.pc is the engine's")
    parser.add_argument("--cmakedir", action="store_true", help="for -Dliblmdb_DIR=; both engines are there")
    parser.add_argument("--rpath-from", metavar="DIR", help="an RPATH for a file in the folder DIR of site-packages")
    parser.add_argument("--auditwheel-exclude", action="store_true", help="options for auditwheel repair")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    words = sys.argv[1:] if argv is None else argv
    arguments = parser.parse_args(words)
    if arguments.selftest:
        if len(words) > 1:
            parser.error("selftest takes no options")
        from liblmdb_wheel.selftest import selftest

        return selftest()
    if arguments.json:
        print(json.dumps(description(), indent=2))
        return 0
    try:
        lines = answers(arguments)
    except ValueError as error:
        parser.error(str(error))
    if not lines:
        parser.print_usage(sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
