"""The fast library under sanitizers and valgrind: tests of the binding, with every native library compiled for that.

    python -m tests.stress.fast_sanitizers [--tool address] [--tool valgrind]

Builds liblmdb_fast and liblmdb_bulk by the system's gcc with AddressSanitizer and UndefinedBehaviorSanitizer, both LMDB
engines with the former, and all once more without, for valgrind; into build/sanitize. Then tests of the binding run with
them. Python allocates by the C library's malloc, so that every object is watched. What the tools find ends the campaign:
exit status 1, and their report. A run to the end writes its counts into docs/fast_sanitizers.txt.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "liblmdb_wheel"
BUILD = ROOT / "build" / "sanitize"
REPORT = BUILD / "report"  # what the tools say: pytest keeps what a test writes, and loses it where that dies
SUPPRESSIONS = BUILD / "suppressions"
RESULT = ROOT / "docs" / "fast_sanitizers.txt"

# file: the loader's switch for it, its sources, and where their headers are.
LIBRARIES = {
    "liblmdb_fast.so.0": ("SHAREDLIB_LMDB_FAST", [*(NATIVE / "fast").glob("*.c")], NATIVE / "upstream" / "lmdb-0.9"),
    "liblmdb_bulk.so.0": ("SHAREDLIB_LMDB_BULK", [NATIVE / "bulk" / "lmdb_bulk.c"], NATIVE / "upstream" / "lmdb-0.9"),
    "liblmdb.so.0": ("SHAREDLIB_LMDB_0_9", [NATIVE / "upstream" / "lmdb-0.9" / name for name in ("mdb.c", "midl.c")],
                     NATIVE / "upstream" / "lmdb-0.9"),
    "liblmdb.so.1": ("SHAREDLIB_LMDB_1_0",
                     [NATIVE / "upstream" / "lmdb-1.0" / name for name in ("mdb.c", "midl.c", "module.c")],
                     NATIVE / "upstream" / "lmdb-1.0"),
}  # fmt: skip

ADDRESS = ("-fno-omit-frame-pointer", "-fsanitize=address")
# LMDB itself reads integers at any address, as it may on the machines that it knows.
UNDEFINED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
OURS = ("liblmdb_fast.so.0", "liblmdb_bulk.so.0")

BINDINGS = "tests/bindings"

# One has another file in place of the library, where the switches here are stronger; and Python counts no blocks that it
# did not allocate itself.
NOT_HERE = (
    "--deselect", f"{BINDINGS}/test_fast.py::test_without_the_library",
    "--deselect", f"{BINDINGS}/test_leaks.py::test_a_leak_is_noticed[memory]",
)  # fmt: skip


# Of valgrind: the C library compares wide strings, as CPython's are, by whole vectors, and reads beyond their ends.
SUPPRESSED = """
{
    wmemcmp
    Memcheck:Addr32
    fun:__wmemcmp_*
}
"""


class Tool(NamedTuple):
    """What watches, and over what.

    Attributes:
        flags: of the compiler, for each library.
        own_flags: beside them, for the libraries of this project.
        command: what runs Python under it.
        environment: variables for it.
        tests: pytest's arguments.
        found: what its reports begin with.
    """

    flags: tuple[str, ...]
    own_flags: tuple[str, ...]
    command: tuple[str, ...]
    environment: dict[str, str]
    tests: tuple[str, ...]
    found: str


TOOLS = {
    "address": Tool(
        ADDRESS,
        UNDEFINED,
        (),
        {
            # What Python itself leaves behind at its end is no leak of ours: test_leaks counts.
            "ASAN_OPTIONS": f"detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:log_path={REPORT}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={REPORT}",
        },
        tuple(
            f"{BINDINGS}/test_{name}.py"
            for name in (
                "fast",
                "fast_cursors",
                "differential",
                "cursor",
                "iteration",
                "transaction",
                "lifetimes",
                "leaks",
                "paths",
                "model",
                "views",
                "database",
            )
        ),
        r"ERROR: AddressSanitizer|runtime error:",
    ),
    # Thirty times as slow, so the tests that do everything once.
    "valgrind": Tool(
        (),
        (),
        (
            "valgrind",
            "--quiet",
            "--error-exitcode=99",
            "--num-callers=30",
            "--undef-value-errors=no",
            "--show-mismatched-frees=no",
            f"--log-file={REPORT}.%p",
            f"--suppressions={SUPPRESSIONS}",
        ),
        {},
        (
            f"{BINDINGS}/test_fast.py",
            f"{BINDINGS}/test_fast_cursors.py",
            f"{BINDINGS}/test_cursor.py",
            f"{BINDINGS}/test_transaction.py",
            "-k",
            "not leaks and not thread and not wait and not python",
        ),
        r"==\d+== (?:Invalid|Use of|Conditional|Process terminating|Mismatched)",
    ),
}


def build(name: str, tool: Tool) -> dict[str, str]:
    """Compile the libraries where a source is newer; the environment variables that make the loader take them."""
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    environment = {}
    for soname, (switch, sources, include) in LIBRARIES.items():
        made = folder / soname
        environment[switch] = str(made)
        headers = [header for source in sources for header in source.parent.glob("*.h")]
        if made.exists() and made.stat().st_mtime > max(file.stat().st_mtime for file in [*sources, *headers]):
            continue
        flags = [*tool.flags, *(tool.own_flags if soname in OURS else ("-w",))]
        subprocess.run(
            ["gcc", "-O1", "-g", "-fPIC", "-pthread", "-UNDEBUG", *flags, f"-I{include}", "-shared",
             f"-Wl,-soname,{soname}", *sources, "-ldl", "-o", made],
            check=True,
        )  # fmt: skip
    return environment


def preloaded() -> str:
    """The sanitizers' run-time, which must be there before Python is."""
    names = [["gcc", f"-print-file-name={name}"] for name in ("libasan.so", "libubsan.so")]
    return ":".join(
        os.path.realpath(subprocess.run(name, check=True, capture_output=True, text=True).stdout.strip())
        for name in names
    )


# That the libraries are those, and that the tool sees what they do: with an argument, LMDB is given a value that is
# longer than its memory.
CONTROL = """
import sys, tempfile
import lmdb_bindings as lmdb, liblmdb_wheel
from lmdb_bindings import _fast
from lmdb_bindings._abi import ffi
paths = [liblmdb_wheel.load_fast(on_conflict="accept").path, liblmdb_wheel.load_bulk(on_conflict="accept").path]
assert _fast.why_not == "", _fast.why_not
for version in (0, 1):
    env = lmdb.open(tempfile.mkdtemp(), lib_version=version)
    paths.append(env._engine.library.path)
    with env.begin(write=True) as txn:
        assert txn.put(b"key", b"value")
        if sys.argv[1:]:
            key, value = (ffi.new("MDB_val *") for _ in range(2))
            memory = bytes(1000)
            key.mv_data = value.mv_data = ffi.from_buffer(memory)
            key.mv_size, value.mv_size = 10, 5000
            txn._lib.mdb_put(txn._handle, 1, key, value, 0)
print(*paths, sep="\\n")
"""


def python(tool: Tool, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*tool.command, sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONMALLOC": "malloc", **tool.environment, **environment},
    )  # fmt: skip


def reports(tool: Tool) -> str:
    """What the tool has found since the last time."""
    texts = []
    for file in BUILD.glob(f"{REPORT.name}.*"):
        texts.append(file.read_text(errors="replace"))
        file.unlink()
    return "\n".join(text for text in texts if re.search(tool.found, text))


class FoundError(Exception):
    """The tool has found something, or a test has failed."""


def campaign(name: str, extra: list[str]) -> str:
    """Run the tests under a tool; a line of what was done.

    Raises:
        FoundError: with the reports.
    """
    tool = TOOLS[name]
    environment = build(name, tool)
    SUPPRESSIONS.write_text(SUPPRESSED)
    if tool.flags:
        environment["LD_PRELOAD"] = preloaded()
    reports(tool)
    control = python(tool, environment, "-c", CONTROL)
    expected = sorted(path for variable, path in environment.items() if variable.startswith("SHAREDLIB_"))
    if control.returncode or sorted(control.stdout.split()) != expected:
        raise FoundError(f"{name}: the libraries cannot be used\n{control.stdout}{control.stderr[-20000:]}")
    planted = python(tool, environment, "-c", CONTROL, "too long")
    if planted.returncode == 0 or not reports(tool):
        raise FoundError(f"{name} does not see what is wrong\n{planted.stderr[-20000:]}")
    began = time.monotonic()
    done = python(tool, environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "3600",
                  *tool.tests, *NOT_HERE, *extra)  # fmt: skip
    found = reports(tool)
    if done.returncode or found:
        raise FoundError(
            f"{name}: exit status {done.returncode}\n{(done.stdout + done.stderr)[-20000:]}{found[-20000:]}"
        )
    counts = re.findall(r"^\d+ passed.*?(?= in )", done.stdout, re.MULTILINE)
    return f"{name:10} {counts[-1]}, {time.monotonic() - began:.0f} s, nothing found"


def main() -> int:
    """Run the campaign; the exit status."""
    parser = argparse.ArgumentParser(prog="fast_sanitizers", description="The fast library under sanitizers.")
    parser.add_argument("--tool", choices=TOOLS, action="append", help="this one alone (default: each)")
    parser.add_argument("pytest", nargs="*", help="further arguments of pytest")
    options = parser.parse_args()
    date = time.strftime("%Y-%m-%d", time.gmtime())
    lines = [
        f"The tests of the binding with instrumented libraries, CPython {sys.version.split()[0]}: {date}.",
        "",
    ]
    try:
        for name in options.tool or TOOLS:
            lines.append(campaign(name, options.pytest))
            print(lines[-1], flush=True)
    except FoundError as found:
        print(found, file=sys.stderr)
        return 1
    if not options.tool and not options.pytest:
        RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
