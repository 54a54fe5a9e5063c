"""Other interpreters of the process. The short way serves the main one alone, and says so elsewhere; where CFFI can be
imported the binding works by that, and else the import is refused. Neither disturbs the main interpreter.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from lmdb_bindings import _fast

Python = Callable[..., str]

pytestmark = pytest.mark.skipif(sys.implementation.name != "cpython", reason="other interpreters have none")

PRELUDE = """
import sys
import lmdb_bindings as lmdb
from lmdb_bindings import _fast
try:
    import _interpreters
except ImportError:
    import _xxsubinterpreters as _interpreters
engine, folder = int(sys.argv[1]), sys.argv[2]

def elsewhere(script, isolated):
    "Run a script in an interpreter of its own; what it prints comes out here."
    sys.stdout.flush()
    kind = {"isolated": isolated} if sys.version_info < (3, 13) else {}
    arguments = ["isolated" if isolated else "legacy"] if sys.version_info >= (3, 13) else []
    number = _interpreters.create(*arguments, **kind)
    try:
        problem = _interpreters.run_string(number, f"engine, folder = {engine}, {folder!r}\\n" + script)
        assert problem is None, problem
    finally:
        _interpreters.destroy(number)

WORK = '''
try:
    import lmdb_bindings as lmdb
    from lmdb_bindings import _fast
except ImportError as problem:
    print("refused:", "subinterpreters" in str(problem))
else:
    with lmdb.open(f"{folder}/elsewhere", lib_version=engine) as env:
        with env.begin(write=True) as txn:
            for number in range(100): txn.put(b"%02d" % number, b"elsewhere")
            assert txn.pop(b"00") == b"elsewhere"
        with env.begin() as txn, txn.cursor() as cursor:
            print(len(list(cursor)), txn.get(b"50"), cursor.set_key(b"99"), cursor.item(), _fast.why_not)
'''
env = lmdb.open(f"{folder}/main", lib_version=engine)
with env.begin(write=True) as txn:
    for number in range(100): txn.put(b"%02d" % number, b"main")

def check():
    with env.begin() as txn, txn.cursor() as cursor:
        assert txn.get(b"50") == b"main" and txn.get(bytearray(b"50")) == b"main"
        assert list(cursor) == [(b"%02d" % number, b"main") for number in range(100)]
    with env.begin(write=True) as txn:
        assert txn.put(b"50", b"x") and txn.replace(b"50", b"main") == b"x" and txn.pop(b"none") is None
"""


SWITCHED_OFF = os.environ.get(_fast.SWITCH) == "0"
WHY_NOT = f"{_fast.SWITCH}=0" if SWITCHED_OFF else "another interpreter of this process"
WORKS = f"99 b'elsewhere' True (b'99', b'elsewhere') {WHY_NOT}"
REFUSED = "refused: True"
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # where none can import CFFI


def run(python: Python, script: str, engine: int, folder: Path) -> list[str]:
    return python(PRELUDE + script, str(engine), folder).splitlines()


def test_it_works_by_cffi(python: Python, engine: int, tmp_path: Path) -> None:
    """An interpreter that shares the global lock works by CFFI, and says why; the main one goes on as before."""
    script = """
reader, cursor = env.begin(), env.begin().cursor()
cursor.set_key(b"50"); records = iter(cursor)
way = _fast.why_not
for _ in range(3):
    check()
    elsewhere(WORK, isolated=False)
check()
print(reader.get(b"07"), next(records), cursor.item(), _fast.why_not == way)
"""
    *others, used = run(python, script, engine, tmp_path)
    assert len(others) == 3
    assert all(line.startswith(REFUSED if FREE_THREADED else WORKS) for line in others)
    assert used == "b'main' (b'50', b'main') (b'50', b'main') True"


def test_one_that_is_isolated(python: Python, engine: int, tmp_path: Path) -> None:
    """An interpreter with a lock of its own is refused by what it needs, where that cannot be imported there."""
    [line, main] = run(python, "elsewhere(WORK, isolated=True)\ncheck()\nprint('main')", engine, tmp_path)
    assert line.startswith(REFUSED if FREE_THREADED or sys.version_info >= (3, 12) else WORKS)
    assert main == "main"


@pytest.mark.skipif(bool(_fast.why_not), reason="no interpreter has the short way: an interpreter or a switch says so")
def test_the_main_one_need_not_be_the_first(python: Python, engine: int, tmp_path: Path) -> None:
    """An interpreter that has imported the binding before does not keep the main one from the short way."""
    imports = "import lmdb_bindings as lmdb\nfrom lmdb_bindings import _fast\n"
    before, after = PRELUDE.replace(imports, "", 1).split("env = ", 1)
    first = f"{before}elsewhere(WORK, isolated=False)\n{imports}env = {after}"
    line, why_not = python(f"{first}check()\nprint(repr(_fast.why_not))", str(engine), tmp_path).splitlines()
    assert line.startswith(REFUSED if FREE_THREADED else WORKS)
    assert why_not == "''"
