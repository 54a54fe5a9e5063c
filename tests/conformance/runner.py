"""Run py-lmdb's own test-suite against this binding: every test in a process of its own, with a time limit.

A script, so that it runs on any interpreter that has the binding and pytest (which the suite imports for its marks):

    LMDB_DEFAULT_LIB_VERSION=1 python runner.py FOLDER-OF-THE-SUITE [PATTERN]

The suite's ``import lmdb`` gets this binding by another name, see ``alias``. It prints one JSON object a test: ``id``,
``outcome`` (passed, failed, skipped, crashed, timeout) and ``detail``.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import traceback
import types
import unittest
from collections.abc import Iterator
from typing import Any

TIME_LIMIT = 120.0  # seconds a test


def alias() -> None:
    """Let ``import lmdb`` and its submodules give ``lmdb_bindings``."""
    binding = importlib.import_module("lmdb_bindings")
    for name in ("aio", "tool", "verify"):
        sys.modules[f"lmdb.{name}"] = importlib.import_module(f"lmdb_bindings.{name}")
    sys.modules["lmdb"] = binding
    sys.modules["lmdb.cffi"] = binding.cffi = _Cffi("lmdb.cffi")  # type: ignore[attr-defined]
    # What the suite expects of the CFFI backend's objects: its module, and private names for what is public here.
    binding.Environment.__module__ = "lmdb.cffi"
    binding.Transaction._pyenv = property(lambda txn: txn.env)
    binding.Cursor._pydb = property(lambda cursor: cursor.db)
    binding.Cursor._pytxn = property(lambda cursor: cursor.txn)
    # For the processes that tests start: a package of that name, found by `python -c` and by multiprocessing.
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "alias")
    sys.path.append(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), folder]))


class _Cffi(types.ModuleType):
    """What the suite looks for in py-lmdb's CFFI backend: the function that copies out of the map, to pause it.

    The bulk library copies in C, in the middle of its own call, where nothing can be paused; so transactions that begin
    while the function is replaced do without it.
    """

    @property
    def _ffi(self) -> Any:
        return importlib.import_module("lmdb_bindings._abi").ffi

    @property
    def _mvstr(self) -> Any:
        return importlib.import_module("lmdb_bindings._memory").copy

    @_mvstr.setter
    def _mvstr(self, function: Any) -> None:
        importlib.import_module("lmdb_bindings._memory").copy = function  # type: ignore[attr-defined]
        plain = importlib.import_module("lmdb_bindings._plain")
        for engine in importlib.import_module("lmdb_bindings._engine")._engines.values():
            object.__setattr__(engine, "bulk", None)
            if engine.fast is not None:
                engine.fast.is_on = False
            object.__setattr__(engine, "records", plain)


def cases(suite: Any) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from cases(item)
        else:
            yield item


def run_one(case: unittest.TestCase) -> tuple[str, str]:
    """Outcome and detail of a test, run in a child of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _in_child(case, writer)
    os.close(writer)
    answer, timely = b"", True
    while timely:
        timely = bool(select.select([reader], [], [], TIME_LIMIT)[0])
        chunk = os.read(reader, 65536) if timely else b""
        if not chunk:
            break
        answer += chunk
    os.close(reader)
    if not timely:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not timely:
        return "timeout", f"{TIME_LIMIT:g} s"
    if os.WIFSIGNALED(status):
        return "crashed", signal.Signals(os.WTERMSIG(status)).name
    try:
        outcome, detail = json.loads(answer)
    except ValueError:
        return "crashed", f"exit status {os.WEXITSTATUS(status)}"
    return outcome, detail


def _in_child(case: unittest.TestCase, writer: int) -> None:
    me = os.getpid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the answers are there
    result = unittest.TestResult()
    try:
        case.run(result)
        outcome, detail = "passed", ""
        if result.skipped:
            outcome, detail = "skipped", result.skipped[0][1]
        if problems := result.errors + result.failures:
            outcome, detail = "failed", problems[0][1]
    except BaseException:  # noqa: BLE001 (SystemExit too is for the report)
        outcome, detail = "failed", traceback.format_exc()
    if os.getpid() == me:  # a test of fork() may return in its own child too
        os.write(writer, json.dumps([outcome, detail]).encode())
    os._exit(0)


def main(folder: str, pattern: str = "") -> int:
    sys.path.insert(0, folder)
    os.chdir(folder)
    alias()
    suite = unittest.defaultTestLoader.discover(folder, "*_test.py")
    bad = 0
    for case in cases(suite):
        if pattern in case.id():
            outcome, detail = run_one(case)
            bad += outcome not in ("passed", "skipped")
            print(json.dumps({"id": case.id(), "outcome": outcome, "detail": detail}), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
