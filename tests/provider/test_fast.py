"""``liblmdb_fast.so.0`` calls nothing of the interpreter but functions of the stable ABI."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import liblmdb_wheel

# What lmdb_fast.c declares for itself; all there since CPython 3.10.
OF_THE_INTERPRETER = {
    "PyBool_FromLong", "PyBytes_AsStringAndSize", "PyBytes_FromStringAndSize", "PyCFunction_NewEx",
    "PyCapsule_GetPointer", "PyCapsule_New", "PyDescr_NewMethod", "PyDict_New", "PyDict_SetItem", "PyErr_Clear",
    "PyErr_NoMemory", "PyErr_Occurred", "PyList_Size", "PyLong_AsLong", "PyLong_AsVoidPtr", "PyObject_Call",
    "PyObject_CallFunction", "PyObject_GetAttr", "PyTuple_GetItem", "PyTuple_New", "PyTuple_SetItem", "PyTuple_Size",
    "PyUnicode_InternFromString", "Py_BuildValue", "Py_DecRef", "Py_IncRef",
}  # fmt: skip


def undefined() -> dict[str, str]:
    """The undefined symbols, and how each is bound."""
    with liblmdb_wheel.LMDB_FAST.path.open("rb") as stream:
        symbols = ELFFile(stream).get_section_by_name(".dynsym").iter_symbols()
        return {symbol.name: symbol["st_info"]["bind"] for symbol in symbols
                if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name}  # fmt: skip


def test_it_names_functions_of_the_interpreter_as_listed() -> None:
    """Its undefined symbols are those listed, the C library's, and weak ones."""
    strong = {name for name, bound in undefined().items() if bound != "STB_WEAK"}
    assert {name for name in strong if name.startswith("Py")} == OF_THE_INTERPRETER
    assert strong - OF_THE_INTERPRETER == {"calloc", "free", "__stack_chk_fail"}


def test_they_are_of_the_stable_abi() -> None:
    """CPython's own list of the stable ABI has each."""
    if sys.implementation.name != "cpython" or find_spec("test.test_stable_abi_ctypes") is None:
        pytest.skip("CPython's own tests, which have the list, are not installed")
    spec = find_spec("test.test_stable_abi_ctypes")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    [names] = [node.value for node in tree.body
               if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SYMBOL_NAMES"]  # fmt: skip
    assert set(ast.literal_eval(names)) >= OF_THE_INTERPRETER
