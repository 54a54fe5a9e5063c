"""``info()``: which implementation a process uses, over which libraries."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import liblmdb_wheel
import lmdb_bindings as lmdb
from lmdb_bindings import tool

Python = Callable[..., str]

ASK = "import json, lmdb_bindings; print(json.dumps(lmdb_bindings.info()))"


def asked(python: Python, script: str = ASK, **environment: str) -> dict[str, Any]:
    """What a fresh process says."""
    found: dict[str, Any] = json.loads(python(script, **environment))
    return found


def test_all_of_it(python: Python) -> None:
    """A program that has opened nothing has the default engine, and knows what its calls will go by."""
    found = asked(python, LMDB_BINDINGS_FAST="0", LMDB_BINDINGS_BULK="1")
    path, soname = str(liblmdb_wheel.library_path("0.9")), liblmdb_wheel.engines()["0.9"].soname
    assert found == {
        "version": lmdb.__version__,
        "single_calls": "CFFI",
        "why_not_built_in": "LMDB_BINDINGS_FAST=0",
        "many_records": "liblmdb_bulk",
        "why_not_bulk": "",
        "interpreter": {
            "name": platform.python_implementation(),
            "version": platform.python_version(),
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "global_lock": getattr(sys, "_is_gil_enabled", lambda: True)(),
        },
        "engines": {"0.9": {"path": path, "soname": soname, "version": "0.9.36", "origin": "wheel", "conflict": None}},
    }


@pytest.mark.parametrize("switch", ["0", "1"])
def test_single_calls_as_they_are(python: Python, switch: str) -> None:
    """What it says is what the methods turn out to be, though nothing has been opened before it is asked."""
    script = """
import inspect, json, sys, lmdb_bindings
assert "lmdb_bindings._transaction" not in sys.modules
found = lmdb_bindings.info()
method = inspect.isfunction(lmdb_bindings.Transaction.get)
print(json.dumps([found["single_calls"], found["why_not_built_in"], method]))
"""
    calls, why_not, is_python = json.loads(python(script, LMDB_BINDINGS_FAST=switch))
    assert calls == ("CFFI" if is_python else "built-in methods")
    assert (why_not != "") is is_python
    assert is_python or switch == "1"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="built-in methods are for CPython")
def test_a_failed_trial_is_the_reason(python: Python) -> None:
    """Built-in methods that do not what they should are not used, and it says what they did."""
    script = f"""
from lmdb_bindings import _fast_trial
_fast_trial.CALLS = (("get", (b"key",), {{}}, b"what nobody stored"),)
{ASK}
"""
    found = asked(python, script, LMDB_BINDINGS_FAST="1")
    assert found["single_calls"] == "CFFI"
    assert found["why_not_built_in"].startswith("the built-in methods fail their trial: AssertionError: get")


@pytest.mark.skipif(sys.implementation.name == "cpython", reason="built-in methods are for CPython")
def test_other_interpreters_say_so(python: Python) -> None:
    """The name of the interpreter is in the reason."""
    assert sys.implementation.name in asked(python, LMDB_BINDINGS_FAST="1")["why_not_built_in"]


def test_without_the_bulk_library(python: Python) -> None:
    """The switch is the reason; a library that cannot be loaded is, with the loader's words."""
    found = asked(python, LMDB_BINDINGS_BULK="0")
    assert (found["many_records"], found["why_not_bulk"]) == ("CFFI", "LMDB_BINDINGS_BULK=0")
    found = asked(python, LMDB_BINDINGS_BULK="1", SHAREDLIB_LMDB_BULK="/none/liblmdb_bulk.so.0")
    assert found["many_records"] == "CFFI"
    assert found["why_not_bulk"].startswith("lmdb-bulk: ")
    assert "/none/liblmdb_bulk.so.0" in found["why_not_bulk"]


def test_a_wrong_switch_is_an_error(python: Python) -> None:
    """It is not taken for one of the two."""
    script = """
import lmdb_bindings, os
os.environ["LMDB_BINDINGS_BULK"] = "no"
try:
    lmdb_bindings.info()
except ImportError as problem:
    print(problem)
"""
    assert python(script).startswith("LMDB_BINDINGS_BULK is 'no': ")


def test_each_engine_in_use(python: Python, tmp_path: Path) -> None:
    """An engine is there from its first use on."""
    opened = f"import lmdb_bindings; lmdb_bindings.open({str(tmp_path / 'env')!r}, lib_version=1).close()\n"
    found = asked(python, opened + ASK)
    assert {name: engine["version"] for name, engine in found["engines"].items()} == {"0.9": "0.9.36", "1.0": "1.0.2"}
    assert found["engines"]["1.0"]["path"] == str(liblmdb_wheel.library_path("1.0"))


def test_what_native_code_gets_instead(python: Python, compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """Another file of the SONAME that was there first is named as the engine's conflict."""
    source = "const char *mdb_version(int *a, int *b, int *c) { *a = *b = *c = 1; return 0; }"
    decoy = compile_c(source, tmp_path / "liblmdb.so.0", "-shared", "-nostdlib", "-Wl,-soname,liblmdb.so.0")
    found = asked(python, f"import ctypes; ctypes.CDLL({str(decoy)!r})\n{ASK}")
    conflict = found["engines"]["0.9"]["conflict"]
    assert (conflict["path"], conflict["symbol"]) == (str(decoy), None)
    assert found["engines"]["0.9"]["path"] == str(liblmdb_wheel.library_path("0.9"))


def test_it_makes_no_import_slower(python: Python) -> None:
    """What it needs is imported when it is called, and not with the package."""
    script = """
import sys, lmdb_bindings
print({"lmdb_bindings._info", "lmdb_bindings._transaction", "platform", "sysconfig"} & ({*sys.modules} - before))
"""
    assert python("import sys; before = {*sys.modules}\n" + script) == "set()"


def test_the_command_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m lmdb_bindings info`` prints it as JSON, and needs no environment."""
    tool.main(["info"])
    assert json.loads(capsys.readouterr().out) == lmdb.info()


def test_the_doctor_shows_it() -> None:
    """The loader's doctor asks the binding in a fresh process, with the switches that it has itself."""
    command = [sys.executable, "-m", "sharedlib_loader", "doctor", "--json"]
    environment = {**os.environ, "LMDB_BINDINGS_FAST": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    [binding] = [one for one in json.loads(done.stdout)["bindings"] if one["name"] == "lmdb-bindings"]
    assert binding["distribution"] == "lmdb-bindings"
    assert binding["uses"]["single_calls"] == "CFFI"
    assert binding["uses"]["why_not_built_in"] == "LMDB_BINDINGS_FAST=0"
    assert list(binding["uses"]["engines"]) == ["0.9"]
