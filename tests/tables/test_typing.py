"""The types that tables promise; type checkers read the same file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "typing" / "tables.py"


def test_what_type_checkers_believe_is_true(tmp_path: Path, engine: int) -> None:
    """Every expression has at run time the type that it has for a type checker."""
    command = [sys.executable, str(FILE), str(tmp_path / "env"), str(engine)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_nothing_of_tables() -> None:
    """Who uses no tables does not pay for them."""
    script = "import sys, lmdb_bindings as lmdb; lmdb.Environment; print(*[name for name in sys.modules if 'tables' in name])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    script = (
        "import sys, lmdb_bindings.tables; print(*{'numpy', 'msgpack', 'pyarrow', 'flatbuffers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
