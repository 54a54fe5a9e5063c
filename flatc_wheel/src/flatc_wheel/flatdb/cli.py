"""The command ``flatdb``: tables of FlatBuffers in LMDB, from JSON and to JSON, looked at and checked.

Exit status: 0; 1 where it failed, with one line on stderr, or where ``check`` found something; 2 for a wrong command
line; 130 where it was interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import stat
import sys
import time

import liblmdb_wheel
from flatc_wheel import flatdb
from flatc_wheel.flatdb import _native
from flatc_wheel.flatdb._native import Counts, FlatdbError
from liblmdb_wheel import data_format

TYPE_CHECKING = False  # see sharedlib_loader._runtime
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

INTERRUPTED = 130  # as a shell has it: 128 and the number of SIGINT
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class CommandError(Exception):
    """What the user is told in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except FlatdbError as error:
        if error.code == _native.STOPPED:
            return INTERRUPTED
        return _fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (CommandError, data_format.DataFormatError, ImportError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # or the interpreter complains of it once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(str(error))
    return status


def _fail(text: str) -> int:
    print(f"flatdb: {text}", file=sys.stderr)
    return 1


# --- the commands -----------------------------------------------------------------------------------------------------


def _import(options: argparse.Namespace) -> int:
    indexes = [*options.index, *(f"{index} unique" for index in options.unique)]
    # What can be wrong with the command is found before an environment is made.
    _must_be_input(options.file)
    new = data_format.engine_of(options.env) is None
    if new and options.schema is None:
        raise CommandError(f"there is no LMDB environment at {options.env} yet: for a new one give --schema")
    if new and os.path.exists(options.env) and not os.path.isdir(options.env):
        raise CommandError(f"{options.env} is a file, and no LMDB environment: name another place for a new one")
    library = _native.Library(_engine(options.env, options.engine))
    with contextlib.ExitStack() as stack:
        schema = None
        if options.schema is not None:
            schema = stack.enter_context(library.schema(options.schema, options.include, options.root))
        if new:
            os.makedirs(options.env, exist_ok=True)
        env = stack.enter_context(library.open(options.env, flags=_flags(options.env), map_size=options.map_size))
        progress = stack.enter_context(_Progress("imported", quiet=options.quiet))
        try:
            env.import_(
                options.table,
                options.file,
                counts=progress.counts,
                schema=schema,
                key=options.key,
                indexes=indexes or None,
                on_duplicate=options.on_duplicate,
                skip_bad=options.skip_bad,
                skip_unknown=options.skip_unknown,
                restart=options.restart,
                batch=options.batch,
                progress=progress,
                problem=progress.problem,
            )
        except FlatdbError as error:
            if error.code == _native.STOPPED:
                progress.say(f"interrupted: {_how_to_go_on(options, progress.counts)}")
            raise
        counts = progress.counts
        parts = [f"{options.table}: {counts.records:,} records imported"]
        if counts.resumed:
            parts.append(f"{counts.resumed:,} before the interruption")
        for count, what in ((counts.replaced, "replaced others"), (counts.kept, "were there and stayed")):
            if count:
                parts.append(f"{count:,} {what}")
        if counts.bad:
            parts.append(f"{counts.bad:,} left out")
        progress.say(", ".join(parts))
    return 0


def _how_to_go_on(options: argparse.Namespace, counts: Counts) -> str:
    stored = counts.records + counts.resumed
    if not os.path.isfile(options.file):
        return f"{stored:,} records are stored; input that is no file cannot be taken up again"
    if not stored:
        return "nothing is stored"
    return f"{stored:,} records are stored; the same command goes on behind them"


def _export(options: argparse.Namespace) -> int:
    with _open_to_read(options.env) as env, _Progress("exported", quiet=options.quiet) as progress:
        env.export(
            options.table,
            options.output,
            counts=progress.counts,
            lower=options.lower,
            upper=options.upper,
            index=options.index,
            limit=options.limit,
            array=options.array,
            progress=progress,
        )
        progress.say(f"{options.table}: {progress.counts.records:,} records exported")
    return 0


def _get(options: argparse.Namespace) -> int:
    with _open_to_read(options.env) as env:
        _print(env.lookup(options.table, options.key, index=options.index))
    return 0


def _stat(options: argparse.Namespace) -> int:
    with _open_to_read(options.env) as env:
        text = env.stat(options.table)
    if options.json:
        _print(text)
        return 0
    found = json.loads(text)
    rows = [("TABLE", "RECORDS", "SIZE", "DEPTH", "KEY", "VALUE")]
    for table in found if isinstance(found, list) else [found]:
        value = f"{table['root']}, schema {table['schema']}" if "root" in table else table["value"]
        rows.append((table["name"], *_sizes(table), _made_of(table), value))
        for name, index in table["indexes"].items():
            kind = "unique index" if index["unique"] else "index"
            rows.append((f"  :{name}", *_sizes(index), _made_of(index), kind))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) if 1 <= i <= 3 else cell.ljust(width)
                 for i, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        _print("  ".join(cells).rstrip())
    return 0


def _sizes(database: dict[str, int | None]) -> tuple[str, str, str]:
    records, size, depth = (database[name] for name in ("records", "bytes", "depth"))
    if records is None or size is None:
        return "missing", "", ""
    return f"{records:,}", _size(size), str(depth)


def _made_of(database: dict[str, object]) -> str:
    fields = database.get("fields")
    if isinstance(fields, list) and fields:
        return f"{', '.join(fields)}: {database['key']}"
    if "function" in database:
        return f"{database['function']}: {database['key']}"
    return f"{'numbered' if fields == [] else 'given apart'}: {database['key']}"


def _check(options: argparse.Namespace) -> int:
    def problem(key: str, text: str) -> None:
        progress.clear()
        _print(f"{key}: {text}")

    with _open_to_read(options.env) as env, _Progress("checked", quiet=options.quiet) as progress:
        env.check(options.table, counts=progress.counts, progress=progress, problem=problem)
        counts = progress.counts
        found = f"{counts.bad:,} problems" if counts.bad else "no problems"
        progress.say(f"{options.table}: {counts.records:,} records checked, {found}")
    return 1 if counts.bad else 0


def _reindex(options: argparse.Namespace) -> int:
    _must_exist(options.env)
    library = _native.Library(_engine(options.env))
    with (
        library.open(options.env, flags=_flags(options.env)) as env,
        _Progress("read", quiet=options.quiet) as progress,
    ):
        env.reindex(options.table, options.index, counts=progress.counts, progress=progress)
        progress.say(f"{options.table}: {options.index or 'all indexes'} made anew")
    return 0


# --- the environment --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open_to_read(path: str) -> Iterator[_native.Environment]:
    _must_exist(path)
    with _native.Library(_engine(path)).open(path, flags=_flags(path) | _native.MDB_RDONLY) as env:
        yield env


def _must_exist(path: str) -> None:
    if data_format.engine_of(path) is None:
        raise CommandError(f"there is no LMDB environment at {path}")


def _must_be_input(path: str) -> None:
    if path == "-":
        return
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        raise CommandError(f"cannot open {path}: {error.strerror}") from None
    if is_folder:
        raise CommandError(f"cannot read {path}: it is a folder")


def _engine(path: str, asked: str | None = None) -> str:
    """The engine of an environment; of a new one, what was asked for."""
    found = data_format.engine_of(path)
    if found is not None:
        if asked not in (None, found):
            raise CommandError(
                f"{path} is of engine {found}, not {asked}: leave out --engine, or name a new environment"
            )
        return found
    return asked or liblmdb_wheel.DEFAULT_ENGINE


def _flags(path: str) -> int:
    return 0 if os.path.isdir(path) else _native.MDB_NOSUBDIR


# --- progress and interrupts ------------------------------------------------------------------------------------------


class _Progress:
    """One line on a terminal, written over, and SIGINT as the wish to stop: a context manager, and the callback.

    The signal's handler sets a flag and raises nothing: an exception might fall between the lines of a callback, where
    ctypes would drop it.
    """

    def __init__(self, verb: str, *, quiet: bool) -> None:
        self.counts = Counts()
        self._verb, self._quiet = verb, quiet
        self._terminal = sys.stderr.isatty() and not quiet
        self._start = time.monotonic()
        self._began: int | None = None  # bytes of the input that were done before
        self._shown = self._stop = False

    def __enter__(self) -> _Progress:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)
        self.clear()

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop = True

    def __call__(self, counts: Counts) -> bool:
        if self._terminal:
            self._show(counts)
        return self._stop

    def _show(self, counts: Counts) -> None:
        if self._began is None:
            self._began = counts.bytes
        seconds = max(time.monotonic() - self._start, 1e-9)
        line = f"{counts.records + counts.resumed:,} records {self._verb}, {_size(counts.bytes)}"
        if counts.total:
            line += f" of {_size(counts.total)} ({100 * counts.bytes / counts.total:.1f} %)"
        line += f", {_size(int((counts.bytes - self._began) / seconds))}/s"
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def problem(self, place: str, text: str) -> None:
        self.clear()
        # Where a value has no end, the text has a place of its own, in it.
        where = text if text.startswith(place) else f"{place}: {text}"
        print(f"flatdb: left out: {where}", file=sys.stderr)

    def say(self, text: str) -> None:
        self.clear()
        if not self._quiet:
            print(text, file=sys.stderr)


def _size(size: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024  # type: ignore[assignment]
    return f"{size:.1f} GiB"


def _print(text: str) -> None:
    """To stdout as UTF-8, whatever the terminal's encoding: records are."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")


# --- the command line -------------------------------------------------------------------------------------------------


def _map_size(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    try:
        size = int(number) * _UNITS[unit]
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: bytes, or a number with K, M, G or T") from None
    if not 0 < size <= sys.maxsize:
        raise argparse.ArgumentTypeError(f"{text!r} is no size of a map")
    return size


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flatdb", description="Tables of FlatBuffers records in LMDB: JSON in, JSON out, looked at and checked."
    )
    parser.add_argument("--version", action="version", version=f"libflatdb {flatdb.VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = _command(commands, "import", _import, "store the records of a JSON file, all or from where it stopped")
    command.add_argument(
        "file", metavar="FILE", help="one JSON array, or values one behind the other, such as NDJSON; -: stdin"
    )
    command.add_argument("--schema", metavar="FILE", help="of the records, .fbs or .bfbs; by default the table's own")
    command.add_argument("-I", dest="include", metavar="FOLDER", action="append", default=[],
                         help="where the schema's include statements are looked up")  # fmt: skip
    command.add_argument(
        "--root", metavar="NAME", help="the table of the schema that records are; by default its root_type"
    )
    command.add_argument("--key", metavar="EXPR", help="what keys are made of, such as country,name or id:uuid; by "
                         'default the field with the attribute key, else records are numbered, as with ""')  # fmt: skip
    command.add_argument(
        "--index", metavar="NAME=EXPR", action="append", default=[], help="a secondary index of a new table"
    )
    command.add_argument(
        "--unique", metavar="NAME=EXPR", action="append", default=[], help="one that has a key only once"
    )
    command.add_argument("--on-duplicate", choices=list(_native.DUPLICATES), default="refuse",
                         help="what becomes of a record whose key is there already (default: refuse)")  # fmt: skip
    command.add_argument("--skip-bad", action="store_true", help="leave out what is no record, and say so")
    command.add_argument("--skip-unknown", action="store_true", help="leave out fields that the schema lacks")
    command.add_argument("--restart", action="store_true", help="from the file's beginning, also after an interruption")
    command.add_argument(
        "--batch", metavar="N", type=_count, default=0, help="records of a transaction (default: 100000)"
    )
    command.add_argument("--engine", choices=list(flatdb.LIBRARIES), help="of a new environment (default: "
                         f"{liblmdb_wheel.DEFAULT_ENGINE}); an existing one is recognised")  # fmt: skip
    command.add_argument("--map-size", metavar="SIZE", type=_map_size, default=0,
                         help="bytes, or with K, M, G, T; it grows when full (default: the file's, or 1G)")  # fmt: skip
    command.add_argument("-q", "--quiet", action="store_true", help="errors alone")

    command = _command(commands, "export", _export, "write records as JSON")
    command.add_argument("--output", metavar="FILE", default="-", help="it appears when it is whole; by default stdout")
    command.add_argument("--from", dest="lower", metavar="KEY", help="the first key, included")
    command.add_argument("--to", dest="upper", metavar="KEY", help="the last key, not included")
    command.add_argument("--index", metavar="NAME", help="in the order of this index, whose keys the bounds then are")
    command.add_argument("--limit", metavar="N", type=_count, default=0, help="so many records at most")
    command.add_argument("--array", action="store_true", help="one JSON array in place of a record a line")
    command.add_argument("-q", "--quiet", action="store_true", help="errors alone")

    command = _command(commands, "get", _get, "write the record of a key as JSON")
    command.add_argument(
        "key", metavar="KEY", help="as text; the parts of one that has several are separated by commas"
    )
    command.add_argument("--index", metavar="NAME", help="the key is one of this index: all its records, one a line")

    command = _command(commands, "stat", _stat, "show the tables, or one of them", one_table=False)
    command.add_argument("--json", action="store_true", help="as JSON")

    command = _command(commands, "check", _check, "compare records with the schema, their keys, and every index")
    command.add_argument("-q", "--quiet", action="store_true", help="problems alone")

    command = _command(commands, "reindex", _reindex, "make indexes anew from the records")
    command.add_argument("--index", metavar="NAME", help="this one; by default all")
    command.add_argument("-q", "--quiet", action="store_true", help="errors alone")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: object,
    what: str,
    *,
    one_table: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    command.set_defaults(run=run)
    command.add_argument("env", metavar="ENV", help="the environment: its folder, or its file")
    command.add_argument("table", metavar="TABLE", nargs=None if one_table else "?", help="the table's name")
    return command
