"""The run-time part is one file: copied into another project, it works without ``sharedlib_loader``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sharedlib_loader import _runtime

SOURCE = Path(_runtime.__file__)


def test_the_file_imports_the_standard_library_alone() -> None:
    """No import of the file leads anywhere else, within functions neither."""
    imported = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= {*sys.stdlib_module_names, "_collections_abc"}


@pytest.mark.requirement("R7")
def test_a_copy_works_alone(
    python: Callable[..., str], library: Path, decoy: Path, dependent: Path, tmp_path: Path
) -> None:
    """A project that has the file as its own module loads, proves and refuses by it, in an interpreter without packages."""
    package = tmp_path / "project" / "their_package"
    package.mkdir(parents=True)
    (package / "_shared.py").write_bytes(SOURCE.read_bytes())
    (package / "__init__.py").write_text(f"""
from their_package._shared import LibraryConflictError, SharedLibrary, load
SAMPLE = SharedLibrary(name="sample-3", soname="libsample.so.3", path={str(library)!r}, version="3",
                       distribution="their-package")
""")
    script = """
import sys
sys.path[:] = [sys.argv[1], *(entry for entry in sys.path if "site-packages" not in entry)]
import ctypes, their_package
if sys.argv[2] == "conflict":
    ctypes.CDLL(sys.argv[4])
try:
    record = their_package.load(their_package.SAMPLE)
    print(record.version, record.origin, record.conflict, ctypes.CDLL(sys.argv[3]).twice())
except their_package.LibraryConflictError as error:
    print(type(error).__module__, error.problem)
print("sharedlib_loader" in sys.modules)
"""
    assert python(script, package.parent, "load", dependent, decoy) == "3 wheel None 6\nFalse"
    refused, _ = python(script, package.parent, "conflict", dependent, decoy).splitlines()
    assert refused.startswith(f"their_package._shared the SONAME libsample.so.3 resolves to {decoy}")
