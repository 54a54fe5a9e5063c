"""``liblmdb_fast.so.0`` calls nothing of the interpreter but functions of the stable ABI, and declares them as CPython does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from abi3info import DATAS, FUNCTIONS, STRUCTS
from elftools.elf.elffile import ELFFile

import liblmdb_wheel

SOURCES = Path(__file__).parents[2] / "liblmdb_wheel" / "fast"

OLDEST = (3, 10)

# What it calls of the interpreter, and since when the stable ABI has it.
OF_THE_INTERPRETER = {
    "PyBool_FromLong": (3, 2),
    "PyBytes_AsStringAndSize": (3, 2),
    "PyBytes_FromStringAndSize": (3, 2),
    "PyCFunction_NewEx": (3, 2),
    "PyDescr_NewMethod": (3, 2),
    "PyDict_GetItemString": (3, 2),
    "PyDict_New": (3, 2),
    "PyDict_SetItem": (3, 2),
    "PyErr_CheckSignals": (3, 2),
    "PyErr_Clear": (3, 2),
    "PyErr_Fetch": (3, 2),
    "PyErr_Occurred": (3, 2),
    "PyErr_Restore": (3, 2),
    "PyErr_WriteUnraisable": (3, 2),
    "PyEval_RestoreThread": (3, 2),
    "PyEval_SaveThread": (3, 2),
    "PyInterpreterState_Get": (3, 9),
    "PyInterpreterState_GetID": (3, 7),
    "PyList_Append": (3, 2),
    "PyList_GetItem": (3, 2),
    "PyList_SetSlice": (3, 2),
    "PyList_Size": (3, 2),
    "PyLong_AsLong": (3, 2),
    "PyLong_AsVoidPtr": (3, 2),
    "PyLong_FromSize_t": (3, 2),
    "PyLong_FromVoidPtr": (3, 2),
    "PyObject_Call": (3, 2),
    "PyObject_CallFunction": (3, 2),
    "PyObject_GC_Del": (3, 2),
    "PyObject_GC_UnTrack": (3, 2),
    "PyObject_GetAttr": (3, 2),
    "PyObject_GetAttrString": (3, 2),
    "PyObject_SelfIter": (3, 2),
    "PyObject_SetAttr": (3, 2),
    "PyObject_SetAttrString": (3, 2),
    "PyObject_Type": (3, 2),
    "PySequence_DelItem": (3, 2),
    "PyTuple_GetItem": (3, 2),
    "PyTuple_New": (3, 2),
    "PyTuple_SetItem": (3, 2),
    "PyTuple_Size": (3, 2),
    "PyType_FromSpec": (3, 2),
    "PyType_GenericAlloc": (3, 2),
    "PyType_IsSubtype": (3, 2),
    "PyUnicode_AsUTF8AndSize": (3, 10),
    "PyUnicode_InternFromString": (3, 2),
    "Py_BuildValue": (3, 2),
    "Py_DecRef": (3, 2),
    "Py_IncRef": (3, 2),
}

OF_THE_C_LIBRARY = {"__stack_chk_fail", "clock_gettime"}

# What it gives the interpreter: of these, all fields are part of the stable ABI.
STRUCTURES = {"PyGetSetDef", "PyMemberDef", "PyMethodDef", "PyType_Slot", "PyType_Spec"}

LIST = "CPYTHON_STABLE_ABI"
"""Names a file of CPython's sources: Misc/stable_abi.toml, or in 3.10 Misc/stable_abi.txt."""


def undefined() -> dict[str, str]:
    """The undefined symbols, and how each is bound."""
    with liblmdb_wheel.LMDB_FAST.path.open("rb") as stream:
        symbols = ELFFile(stream).get_section_by_name(".dynsym").iter_symbols()
        return {symbol.name: symbol["st_info"]["bind"] for symbol in symbols
                if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name}  # fmt: skip


def test_it_names_functions_of_the_interpreter_as_listed() -> None:
    """Its undefined symbols are those listed, the C library's, and weak ones, none of which is the interpreter's."""
    symbols = undefined()
    strong = {name for name, bound in symbols.items() if bound != "STB_WEAK"}
    assert {name for name in symbols if name.lstrip("_").startswith("Py")} == set(OF_THE_INTERPRETER)
    assert strong == set(OF_THE_INTERPRETER) | OF_THE_C_LIBRARY


def test_they_are_of_the_stable_abi_since_3_10() -> None:
    """Each is a function there, no variable, since the version that is listed, and on every platform."""
    functions = {symbol.name: function for symbol, function in FUNCTIONS.items()}
    since = {name: (functions[name].added.major, functions[name].added.minor) for name in OF_THE_INTERPRETER}
    assert since == OF_THE_INTERPRETER
    assert max(since.values()) <= OLDEST
    assert [name for name in OF_THE_INTERPRETER if functions[name].ifdef is not None] == []
    assert {symbol.name for symbol in DATAS}.isdisjoint(OF_THE_INTERPRETER)
    assert {name for name, structure in STRUCTS.items() if name in STRUCTURES and structure.added} == STRUCTURES


def cpythons_own(text: str) -> dict[str, tuple[str, tuple[int, int]]]:
    """What CPython's own list says of each name: what it is, and since when it is there. Of either form of the list."""
    found = {}
    for entry in re.split(
        r"^(?=\[?(?:function|data|struct|macro|typedef|const|feature_macro)\b)", text, flags=re.MULTILINE
    ):
        head = re.match(r"\[?(\w+)[. ](\w+)", entry)
        added = re.search(r"^ +added *=? *'?(\d+)\.(\d+)", entry, re.MULTILINE)
        if head and added:
            found[head[2]] = head[1], (int(added[1]), int(added[2]))
    return found


@pytest.mark.parametrize(
    "text",
    [
        "[function.Py_One]\n    added = '3.2'\n[data.Py_Two]\n    # what it is\n    added = '3.12'\n    abi_only = true\n",
        "function Py_One\n    added 3.2\n\ndata Py_Two\n    added 3.12\n    abi_only\n",
    ],
    ids=["toml", "txt"],
)
def test_both_forms_of_the_list_are_read(text: str) -> None:
    """That of CPython 3.10, and that of later ones."""
    assert cpythons_own(text) == {"Py_One": ("function", (3, 2)), "Py_Two": ("data", (3, 12))}


@pytest.mark.skipif(LIST not in os.environ, reason=f"{LIST} names no list of CPython's sources")
def test_cpythons_own_list_says_so_too() -> None:
    """The file from which CPython makes its headers' documentation and the tests of its stable ABI."""
    own = cpythons_own(Path(os.environ[LIST]).read_text())
    assert len(own) > 500
    assert {name: own.get(name) for name in OF_THE_INTERPRETER} == {
        name: ("function", since) for name, since in OF_THE_INTERPRETER.items()
    }
    assert {name: own[name][0] for name in STRUCTURES} == dict.fromkeys(STRUCTURES, "struct")


def interpreters() -> list[str]:
    """Every CPython on this machine that the binding is for."""
    uv = Path(sys.executable).parent / "uv"
    listed = subprocess.run(
        [uv, "python", "list", "--only-installed", "--offline", "--output-format", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [
        found["path"]
        for found in json.loads(listed.stdout)
        if found["implementation"] == "cpython"
        and (found["version_parts"]["major"], found["version_parts"]["minor"]) >= OLDEST
    ]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="of CPython alone")
def test_interpreters_export_them() -> None:
    """The running one, and the others that are at hand; what no CPython has is missed."""
    script = "import ctypes, sys; print([name for name in sys.argv[1:] if not hasattr(ctypes.pythonapi, name)])"
    for interpreter in (sys.executable, *interpreters()):
        done = subprocess.run(
            [interpreter, "-I", "-c", script, *OF_THE_INTERPRETER, "Py_NoSuchFunction"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert (interpreter, done.stdout) == (interpreter, "['Py_NoSuchFunction']\n")


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="of CPython alone")
def test_its_declarations_are_those_of_the_headers(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A compiler accepts each function beside CPython's own declaration of it, and the numbers and fields agree."""
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        pytest.skip("the interpreter's headers are not installed")
    ours = re.sub(r"/\*.*?\*/", "", (SOURCES / "python.h").read_text(), flags=re.DOTALL)
    functions = re.findall(r"^extern [^;]+;", ours, re.MULTILINE)
    assert {re.search(r"(\w+)\(", line)[1] for line in functions} >= set(OF_THE_INTERPRETER)  # type: ignore[index]
    numbers = re.findall(r"(\w+) = (\w[^,}]*?)\s*[,}]", " ".join(re.findall(r"enum \{[^}]*\}", ours)))
    assert len(numbers) > 10
    structures = re.findall(r"typedef struct (\w+) \{([^}]*)\} \1;", ours)
    assert {name for name, _ in structures} == STRUCTURES
    checks = [f'_Static_assert({name} == ({value}), "{name}");' for name, value in numbers]
    for name, body in structures:
        fields = re.findall(r"(\w+);", body)
        mine = body.replace("PyType_Slot", "struct mine_PyType_Slot")
        checks += [f"struct mine_{name} {{{mine}}};",
                   f'_Static_assert(sizeof({name}) == sizeof(struct mine_{name}), "{name}");']  # fmt: skip
        checks += [
            f'_Static_assert(offsetof({name}, {field}) == offsetof(struct mine_{name}, {field}), "{name}.{field}");'
            for field in fields
        ]
    source = "\n".join(
        [
            "#include <Python.h>",
            "#include <structmember.h>",
            "#include <stddef.h>",
            "#undef PyCFunction_NewEx",
            *functions,
            *checks,
        ]
    )
    compile_c(source, tmp_path / "declarations.o", "-c", f"-I{include}")
    wrong = source + "\nextern int Py_BuildValue(const char *, ...);"
    with pytest.raises(AssertionError, match="conflicting types for 'Py_BuildValue'"):
        compile_c(wrong, tmp_path / "wrong.o", "-c", f"-I{include}")
