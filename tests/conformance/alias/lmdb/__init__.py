"""``import lmdb`` for the children of py-lmdb's tests: this binding by that name."""

import importlib
import sys

_binding = importlib.import_module("lmdb_bindings")
for _name in ("aio", "tool", "verify"):
    sys.modules[f"lmdb.{_name}"] = importlib.import_module(f"lmdb_bindings.{_name}")
sys.modules["lmdb"] = _binding
