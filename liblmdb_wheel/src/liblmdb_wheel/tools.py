"""The ``mdb_*`` tools on ``PATH``: each becomes the executable of the engine that reads the environment it is given.

The executables are upstream's, in ``engines/<engine>/bin``, and find their library beside them. They cannot be on
``PATH`` themselves: how far the scripts folder is from the package depends on the interpreter, the installer and its
options, and no file of a wheel can say it. So an entry point, which the interpreter resolves, reads the data format
and calls ``execv``: the process, its signals and its exit status are then the tool's own.
"""

from __future__ import annotations

import os
import subprocess
import sys

import liblmdb_wheel
from liblmdb_wheel.data_format import DataFormatError, engine_of

TYPE_CHECKING = False  # see sharedlib_loader._runtime
if TYPE_CHECKING:
    from typing import NoReturn

# tool: the letters of its options that take a value, of both engines together.
TOOLS = {"mdb_copy": "mw", "mdb_drop": "msw", "mdb_dump": "fimsw", "mdb_load": "fmsw", "mdb_stat": "msw"}


def tool_path(tool: str, engine: str) -> str:
    """The executable of an engine's tool."""
    suffix = ".exe" if sys.platform == "win32" else ""
    return os.fspath(liblmdb_wheel.include_dir(engine).parent / "bin" / (tool + suffix))


def run(tool: str) -> NoReturn:
    """Become a tool; the interpreter does not come back."""
    program, *arguments = sys.argv
    try:
        engine, arguments = choose(tool, arguments)
    except (DataFormatError, OSError) as error:
        sys.exit(f"{tool}: {error}")
    if sys.platform == "win32":  # execv ends this process there, and whoever waits for it, before the tool does
        sys.exit(subprocess.run([tool_path(tool, engine), *arguments], check=False).returncode)
    os.execv(tool_path(tool, engine), [program, *arguments])  # noqa: S606 (no shell is wanted)


def choose(tool: str, arguments: list[str]) -> tuple[str, list[str]]:
    """The engine for a command line, and the command line for its tool.

    The engine is that of ``--engine``, which must come first and which only this module knows; else the one that reads
    the environment named; else, for one that is new, the default engine.

    Raises:
        SystemExit: there is no such engine.
        DataFormatError: no engine here reads the environment.
        OSError: the environment cannot be read.
    """
    option, equals, engine = arguments[0].partition("=") if arguments else ("", "", "")
    if option == "--engine":
        engine, rest = (engine, arguments[1:]) if equals else ("".join(arguments[1:2]), arguments[2:])
        if engine not in liblmdb_wheel.engines():
            sys.exit(f"{tool}: --engine must be {' or '.join(liblmdb_wheel.engines())}, not {engine!r}")
        return engine, rest
    environment = _environment(arguments, TOOLS[tool])
    found = None if environment is None else engine_of(environment)
    return found or liblmdb_wheel.DEFAULT_ENGINE, arguments


def _environment(arguments: list[str], with_value: str) -> str | None:
    """The first argument that is no option and no option's value, as ``getopt`` (3) reads them."""
    words = iter(arguments)
    for word in words:
        if word == "--":
            return next(words, None)
        if not word.startswith("-") or word == "-":
            return word
        at = next((at for at, letter in enumerate(word) if letter in with_value), None)
        if at == len(word) - 1:
            next(words, None)
    return None


def mdb_copy() -> NoReturn:
    run("mdb_copy")


def mdb_drop() -> NoReturn:
    run("mdb_drop")


def mdb_dump() -> NoReturn:
    run("mdb_dump")


def mdb_load() -> NoReturn:
    run("mdb_load")


def mdb_stat() -> NoReturn:
    run("mdb_stat")
