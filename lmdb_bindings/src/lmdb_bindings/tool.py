"""The command line, ``python -m lmdb_bindings [options] command``: py-lmdb's, and what it lacks.

The options come before or after the command. :data:`ENV` and :data:`DB`, the environment and the database that they
name, are left open when :func:`main` returns, for the interactive console and for tests.
"""

from __future__ import annotations

import code
import json
import optparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pprint import pformat
from typing import Any, BinaryIO, NoReturn

from lmdb_bindings import _cdbmake, _definition, _dump_text, _migration, _watch
from lmdb_bindings._cursor import Cursor
from lmdb_bindings._database import _Database
from lmdb_bindings._environment import Environment
from lmdb_bindings._info import info
from lmdb_bindings._transaction import Transaction
from lmdb_bindings._watch import delta
from lmdb_bindings._watch import find_diskstat as _find_diskstat
from lmdb_bindings._xxd import isprint, xxd
from lmdb_bindings.errors import DbsFullError, NotFoundError

__all__ = [
    "COMMANDS", "DB", "ENV", "db_map_from_args", "delta", "die", "dump_cursor_to_fp", "isprint", "main", "make_parser",
    "restore_cursor_from_fp", "xxd",
]  # fmt: skip

ENV: Environment | None = None
DB: _Database | None = None

MAIN = ":main:"
_PROGRAM = "python -m lmdb_bindings"
_MEBIBYTE = 1 << 20
_WARM_BYTES = 1 << 20  # are read at once

Options = Any  # optparse.Values: its attributes are made at run time


def die(fmt: str, *args: object) -> NoReturn:
    """End the program with a message and exit status 1."""
    print("lmdb_bindings.tool: " + (fmt % args if args else fmt), file=sys.stderr)
    sys.exit(1)


def _to_bytes(value: object) -> bytes:
    # What the system gave as bytes that are no UTF-8 goes back as those bytes.
    return str(value).encode("utf-8", "surrogateescape")


def _env() -> Environment:
    if ENV is None:
        die("Please specify environment (--env)")
    return ENV


# -- databases by their names ----------------------------------------------------------------------------------------


def _name(argument: str) -> bytes | None:
    return None if argument == MAIN else _to_bytes(argument)


def _open_db(argument: str, *, create: bool = False) -> _Database:
    """A database of the environment; only what writes makes one, so that a mistyped name is no new database."""
    try:
        return _env().open_db(_name(argument), create=create)
    except NotFoundError:
        die("No such database: %r", argument)


def db_map_from_args(args: list[str], *, create: bool = False) -> dict[str, tuple[_Database, str]]:
    """Databases and files by the databases' names, of arguments ``name=file``; of none, the main database."""
    files: dict[str, str] = {}
    for arg in args:
        name, equals, file = arg.partition("=")
        if not equals:
            die('DB specification missing "=": %r', arg)
        if name in files:
            die("DB specified twice: %r", arg)
        files[name] = file
    return {name: (_open_db(name, create=create), file) for name, file in (files or {MAIN: "main.cdbmake"}).items()}


def _all_dbs() -> dict[str, tuple[_Database, str]]:
    env = _env()
    files = {MAIN: (env.open_db(), "main.cdbmake")}
    with env.begin() as txn:
        for name, db in _definition.named(env, txn).items():
            text = os.fsdecode(name)
            if os.sep in text:
                die("%s cannot be dumped to a file of its name: use dump NAME=FILE", _definition.label(name))
            files[text] = (db, f"{text}.cdbmake")
    return files


# -- cdbmake ---------------------------------------------------------------------------------------------------------


def dump_cursor_to_fp(cursor: Cursor[bytes], fp: BinaryIO) -> None:
    """Write the records of a cursor in cdbmake format."""
    _cdbmake.write(cursor.iternext(), fp)


def restore_cursor_from_fp(txn: Transaction, fp: BinaryIO, db: _Database | None) -> int:
    """Store records in cdbmake format.

    Returns:
        The number of records and one, for the empty line in the end: so py-lmdb counts.
    """
    count = 1
    try:
        for key, value in _cdbmake.read(fp):
            txn.put(key, value, db=db)
            count += 1
    except ValueError as problem:
        die("%s", problem)
    return count


def cmd_dump(opts: Options, args: list[str]) -> None:
    if opts.all and args:
        die("--all cannot be combined with a list of databases")
    env = _env()
    dbs = _all_dbs() if opts.all else db_map_from_args(args)
    with env.begin() as txn:
        for name, (db, file) in dbs.items():
            with open(file, "wb") as stream:
                print(f"Dumping to {file!r}...")
                # py-lmdb dumps the records that stand for named databases too; restored, they take their names away.
                _cdbmake.write(_definition.records(env, txn, _name(name), db), stream)


def cmd_restore(opts: Options, args: list[str]) -> None:
    del opts
    dbs = db_map_from_args(args, create=True)
    with _env().begin(write=True) as txn:
        for db, file in dbs.values():
            with open(file, "rb") as stream:
                print(f"Restoring from {file!r}...")
                count = restore_cursor_from_fp(txn, stream, db)
                print(f"Loaded {count - 1} keys from {file!r}")


# -- the text format of mdb_dump -------------------------------------------------------------------------------------


def cmd_dump_text(opts: Options, args: list[str]) -> None:
    if len(args) > 1:
        die('"dump-text" takes at most one file (see --help)')
    if opts.all and opts.db:
        die("--all cannot be combined with --db")
    databases = None if opts.all else [_name(opts.db or MAIN)]
    # Opened as mdb_dump does: with the map size that the file has.
    with ExitStack() as stack:
        env = stack.enter_context(
            Environment(_path(opts), map_size=0, subdir=not opts.use_single_file, readonly=True, create=False,
                        max_dbs=opts.max_dbs)
        )  # fmt: skip
        stream = stack.enter_context(open(args[0], "wb")) if args else sys.stdout.buffer
        _dump_text.dump(env, stream, databases, printable=opts.printable)
        stream.flush()


def cmd_load_text(opts: Options, args: list[str]) -> None:
    if len(args) > 1:
        die('"load-text" takes at most one file (see --help)')
    with ExitStack() as stack:
        stream = stack.enter_context(open(args[0], "rb")) if args else sys.stdin.buffer
        reader = _dump_text.DumpReader(stream)
        header = reader.header
        sizes = {"map_size": max(opts.map_size * _MEBIBYTE, header.mapsize if header else 0)}
        if header and header.maxreaders:
            sizes["max_readers"] = header.maxreaders
        env = stack.enter_context(
            Environment(_path(opts), subdir=not opts.use_single_file, max_dbs=opts.max_dbs,
                        lib_version=_lib_version(opts.engine), **sizes)
        )  # fmt: skip
        for name, count in _dump_text.load(env, reader, _name(opts.db or MAIN)).items():
            print(f"Loaded {count} records into {_definition.label(name)}")


def _path(opts: Options) -> str:
    path: str | None = opts.env
    if not path:
        die("Please specify environment (--env)")
    return path


def _lib_version(engine: str | None) -> int | None:
    if engine is None:
        return None
    if engine not in _migration.ENGINES:
        die("No such engine: %r (see --help)", engine)
    return _migration.ENGINES[engine]


# -- whole environments ----------------------------------------------------------------------------------------------


def cmd_copy(opts: Options, args: list[str]) -> None:
    if len(args) != 1:
        die("Please specify output directory (see --help)")
    target = args[0]
    if os.path.lexists(target):
        die("Output directory %r already exists.", target)
    os.makedirs(os.path.dirname(target) or "." if opts.use_single_file else target, exist_ok=True)
    print(f"Running copy to {target!r}....")
    _env().copy(target, compact=opts.compact)


def cmd_copyfd(opts: Options, args: list[str]) -> None:
    if args:
        die('"copyfd" command takes no arguments (see --help)')
    try:
        os.fstat(opts.out_fd)
    except (OSError, OverflowError) as problem:
        die("Bad --out-fd %d: %s", opts.out_fd, problem)
    _env().copyfd(opts.out_fd, compact=opts.compact)


def cmd_rewrite(opts: Options, args: list[str]) -> None:
    if not opts.target_env:
        die("Must specify target environment path with -E")
    source = _env()
    dbs = {name: _open_db(name) for name in args or [MAIN]}
    size = max(opts.map_size * _MEBIBYTE, source.info()["map_size"])
    with (
        Environment(
            opts.target_env, map_size=size, sync=False, max_dbs=opts.max_dbs, lib_version=source.lib_version()[0]
        ) as target,
        source.begin() as reading,
    ):
        for argument, db in dbs.items():
            print(f"Writing {argument!r}...")
            name = _name(argument)
            with target.begin(write=True) as writing:
                copied = _definition.define(target, writing, name, _definition.flags_of(db))
                for key, value in _definition.records(source, reading, name, db):
                    _definition.append(writing, key, value, copied)
        print("Syncing..")
        target.sync(True)


def cmd_migrate(opts: Options, args: list[str]) -> None:
    if len(args) != 2 or not opts.engine:
        die("Please specify source, target and --engine (see --help)")
    _lib_version(opts.engine)
    line = _ProgressLine() if sys.stderr.isatty() else None
    try:
        counts = _migration.migrate(args[0], args[1], engine=opts.engine, progress=line, check=opts.check)
    finally:
        if line:
            line.clear()  # for what is printed next, an error too
    for name, count in counts.items():
        print(f"Migrated {count} records of {_definition.label(name)}")


class _ProgressLine:
    """One line on the terminal, written over and over."""

    def __call__(self, database: bytes | None, done: int, total: int) -> None:
        percent = 100 * done // total if total else 100
        print(f"\r\x1b[K{_definition.label(database)}: {done} of {total} records, {percent} %", end="", file=sys.stderr,
              flush=True)  # fmt: skip

    def clear(self) -> None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def cmd_verify(opts: Options, args: list[str]) -> None:
    from lmdb_bindings.verify import VerifyError, verify

    path = args[0] if args else opts.env
    if not path:
        die("verify: specify a path (positional or with --env)")
    try:
        problems = verify(path, subdir=False if opts.use_single_file else None)
    except (VerifyError, OSError) as problem:
        die("verify: %s", problem)
    if problems:
        print("\n".join(problems))
        die("verify: FAILED (%d problems)", len(problems))
    print("verify: OK")


def cmd_warm(opts: Options, args: list[str]) -> None:
    del args
    path = _env().path()
    started = time.monotonic()
    size = 0
    with open(path if opts.use_single_file else os.path.join(path, "data.mdb"), "rb", buffering=0) as stream:
        while read := len(stream.read(_WARM_BYTES)):
            size += read
    print(f"Warmed {size / _MEBIBYTE:.2f}mb in {1000 * (time.monotonic() - started):.0f}ms")


# -- what is in them -------------------------------------------------------------------------------------------------


def cmd_get(opts: Options, args: list[str]) -> None:
    with _env().begin(db=DB) as txn:
        for arg in args:
            value = txn.get(_to_bytes(arg))
            if value is None:
                print(f"{arg!r}: missing")
                continue
            if len(args) > 1:
                print(f"{arg!r}:")
            print(xxd(value) if opts.xxd else repr(value))


def cmd_edit(opts: Options, args: list[str]) -> None:
    if args:
        die("Edit command only takes options, not arguments (see --help)")
    with _env().begin(write=True, db=DB) as txn:
        for pairs, overwrite, from_file in (
            (opts.set, True, False), (opts.set_file, True, True), (opts.add, False, False), (opts.add_file, False, True)
        ):  # fmt: skip
            for pair in pairs or ():
                key, _, value = pair.partition("=")
                txn.put(_to_bytes(key), _read(value) if from_file else _to_bytes(value), overwrite=overwrite)
        for key in opts.delete or ():
            txn.delete(_to_bytes(key))


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def cmd_drop(opts: Options, args: list[str]) -> None:
    del opts
    if not args:
        die("Must specify at least one sub-database (see --help)")
    if MAIN in args:
        die("Cannot drop main DB")
    for arg, db in {arg: _open_db(arg) for arg in args}.items():
        print(f"Dropping DB {arg!r}...")
        with _env().begin(write=True) as txn:
            txn.drop(db)


def cmd_readers(opts: Options, args: list[str]) -> None:
    del args
    if opts.clean:
        print(f"Cleaned {_env().reader_check()} stale entries.")
    print(_env().readers())


def cmd_stat(opts: Options, args: list[str]) -> None:
    del opts, args
    print(pformat(_env().stat()))
    print(pformat(_env().info()))


def cmd_tables(opts: Options, args: list[str]) -> None:
    path = args[0] if len(args) == 1 else opts.env
    if not path or len(args) > 1:
        die('"tables" takes one environment (see --help)')
    from lmdb_bindings.tables import TableError, _listing

    with Environment(path, map_size=0, subdir=not opts.use_single_file, readonly=True, create=False,
                     max_dbs=opts.max_dbs) as env:  # fmt: skip
        try:
            found = _listing.tables(env)
        except TableError as problem:
            die("tables: %s", problem)
        except DbsFullError:
            die("tables: there are more databases than --max-dbs=%d", opts.max_dbs)
    if opts.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for line in _listing.lines(found):
        print(line)


def cmd_info(opts: Options, args: list[str]) -> None:
    del opts, args
    print(json.dumps(info(), indent=2))


def cmd_watch(opts: Options, args: list[str]) -> None:
    del args
    env = _env()
    disk = _find_diskstat(env.path())
    _watch.watch(env, sys.stdout, interval=opts.interval, window=opts.window, as_csv=opts.csv, disk=disk)


def cmd_shell(opts: Options, args: list[str]) -> None:
    del opts, args
    import lmdb_bindings

    code.interact(local={"ENV": _env(), "DB": DB, "lmdb": lmdb_bindings})


# -- the command line ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        run: what does it, with the options and the other arguments.
        about: what it does.
        usage: what stands behind it.
        details: more of it.
        opens: :func:`main` opens the environment for it.
        writes: it writes to the database that ``--db`` names, and makes it if it does not exist.
    """

    run: Callable[[Options, list[str]], None]
    about: str
    usage: str = "-e ENV"
    details: str = ""
    opens: bool = True
    writes: bool = False


COMMANDS = {
    "copy": Command(cmd_copy, "Back up an environment while it is in use.", "-e ENV [--compact] TARGET"),
    "copyfd": Command(cmd_copyfd, "Back up an environment to standard output.", "-e ENV > TARGET/data.mdb"),
    "drop": Command(cmd_drop, "Delete named databases.", "-e ENV NAME..."),
    "dump": Command(
        cmd_dump, "Write databases to files in cdbmake format.", "-e ENV [--all | NAME=FILE...]",
        'Without a name the main database, to main.cdbmake; ":main:" is its name.\n'
        "With --all every database, each to NAME.cdbmake.",
    ),
    "dump-text": Command(
        cmd_dump_text, "Write databases as LMDB's mdb_dump does.", "-e ENV [--all | -d NAME] [--printable] [FILE]",
        "Without a file, to standard output.", opens=False,
    ),
    "edit": Command(
        cmd_edit, "Add, replace and delete records.",
        "-e ENV --set KEY=VALUE --set-file KEY=FILE \\\n"
        "     --add KEY=VALUE --add-file KEY=FILE --delete KEY", writes=True,
    ),
    "get": Command(cmd_get, "Show values.", "-e ENV KEY..."),
    "info": Command(cmd_info, "Show which implementation is in use, and which libraries.", "", opens=False),
    "load-text": Command(
        cmd_load_text, "Read what dump-text or mdb_dump wrote.", "-e ENV [-d NAME] [--engine ENGINE] [FILE]",
        "Without a file, from standard input. All is loaded or, after an error, nothing.", opens=False,
    ),
    "migrate": Command(
        cmd_migrate, "Copy an environment to the data format of another engine.", "SOURCE TARGET --engine ENGINE",
        "The target appears when it is complete.", opens=False,
    ),
    "readers": Command(cmd_readers, "Show the reader table.", "-e ENV [--clean]"),
    "restore": Command(
        cmd_restore, "Read databases from files in cdbmake format.", "-e ENV [NAME=FILE...]",
        "Without a name the main database, from main.cdbmake.",
    ),
    "rewrite": Command(
        cmd_rewrite, "Write databases anew, in order, into another environment.", "-e ENV -E TARGET [NAME...]",
        "Without a name the main database.",
    ),
    "shell": Command(cmd_shell, "Open a console in which ENV is the environment."),
    "stat": Command(cmd_stat, "Show statistics of an environment."),
    "tables": Command(
        cmd_tables, "Show the tables, their types, sizes and indexes.", "[-s] ENV [--json]",
        "Bytes are those of the pages.", opens=False,
    ),
    "verify": Command(
        cmd_verify, "Check a data file without LMDB, before it is trusted.", "[-s] PATH",
        "Exit status 1 where something is wrong with it.", opens=False,
    ),
    "warm": Command(cmd_warm, "Read an environment into the page cache."),
    "watch": Command(cmd_watch, "Show live statistics.", "-e ENV [--csv] [--interval SECONDS] [--window N]"),
}  # fmt: skip


def _usage() -> str:
    lines = [f"{_PROGRAM} [options] <command>", "", "Basic tools for working with LMDB."]
    for name, command in COMMANDS.items():
        lines += ["", f"    {name}: {command.about}"]
        lines += [f"        {line}" for line in f"{_PROGRAM} {name} {command.usage}".splitlines()]
        lines += [f"        {line}" for line in command.details.splitlines()]
    return "\n".join(lines)


def make_parser() -> optparse.OptionParser:
    """The parser of the options; optparse, since its options and commands come in any order."""
    parser = optparse.OptionParser(usage=_usage(), prog=_PROGRAM)
    add = parser.add_option
    add("-e", "--env", help="Environment file to open")
    add("-d", "--db", help="Database to open (default: main)")
    add("-r", "--read", action="store_true", default=False, help="Open environment read-only")
    add("-S", "--map_size", type="int", default=10, help="Map size in megabytes (default: 10)")
    add("-s", "--use-single-file", action="store_true", default=False,
        help="The environment is a file, not a directory")  # fmt: skip
    add("-a", "--all", action="store_true", default=False, help="Make the dump commands dump all databases")
    add("-E", "--target_env", help='Target environment for "rewrite"')
    add("-x", "--xxd", action="store_true", default=False, help="Print values in xxd format")
    add("-M", "--max-dbs", type="int", default=128, help="Maximum open DBs (default: 128)")
    add("--out-fd", type="int", default=1, help='Target file descriptor for "copyfd" (default: 1)')
    for command, options in _COMMAND_OPTIONS.items():
        group = parser.add_option_group(f"Options for {command}")
        for names, settings in options.items():
            group.add_option(*names.split(), **settings)
    return parser


_FLAG = {"action": "store_true", "default": False}
_COMMAND_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    '"copy" command': {"--compact": {**_FLAG, "help": "Leave out free pages"}},
    '"edit" command': {
        "--set": {"action": "append", "help": "key=value to store"},
        "--set-file": {"action": "append", "help": "key=file to store"},
        "--add": {"action": "append", "help": "key=value to store if there is no such key"},
        "--add-file": {"action": "append", "help": "key=file to store if there is no such key"},
        "--delete": {"action": "append", "help": "key to delete"},
    },
    '"readers" command': {"-c --clean": {**_FLAG, "help": "Clean stale readers (default: no)"}},
    '"tables" command': {"--json": {**_FLAG, "help": "Show them as JSON"}},
    '"watch" command': {
        "--csv": {**_FLAG, "help": "Generate CSV instead of terminal output"},
        "--interval": {"type": "int", "default": 1, "help": "Interval size in seconds (default: 1)"},
        "--window": {"type": "int", "default": 10, "help": "Average window size in intervals (default: 10)"},
    },
    '"dump-text" command': {"-p --printable": {**_FLAG, "help": "Write printable characters as they are"}},
    '"load-text" and "migrate" commands': {
        "--engine": {"help": "The engine of a new environment: 0.9 or 1.0"},
        "--check": {**_FLAG, "help": 'Make "migrate" compare every record in the end'},
    },
}


def main(argv: list[str] | None = None) -> None:
    """Run a command line, that of the process by default.

    Raises:
        SystemExit: with status 1 and a message where a command refuses, with 2 where an option is wrong.
        Error, OSError, ValueError: a command failed.
    """
    global ENV, DB
    opts, args = make_parser().parse_args(argv)
    if opts.read and args[:1] == ["READ"]:
        del args[0]  # "-r READ", as it was once
    if not args:
        die("Please specify a command (see --help)")
    command = COMMANDS.get(args[0])
    if command is None:
        die("No such command: %r", args[0])
    if command.opens:
        ENV = Environment(
            _path(opts), map_size=opts.map_size * _MEBIBYTE, subdir=not opts.use_single_file, readonly=opts.read,
            create=False, max_dbs=opts.max_dbs,
        )  # fmt: skip
        if opts.db:
            DB = _open_db(opts.db, create=command.writes)
    command.run(opts, args[1:])


if __name__ == "__main__":
    main()
