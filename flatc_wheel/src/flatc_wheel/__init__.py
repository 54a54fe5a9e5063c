"""The FlatBuffers compiler, as an executable on ``PATH`` and as functions, with its Python runtime and its schema.

>>> import flatc_wheel
>>> flatc_wheel.version()
'25.12.19'

The distribution's version is FlatBuffers' own, and it depends on the Python runtime of exactly that version:
generated code and runtime belong together.
"""

from flatc_wheel._compile import SchemaError, compile
from flatc_wheel._executable import FlatcNotFoundError, flatc_path, run, version
from flatc_wheel._versions import VersionMismatchError, check_versions, reflection_schema

__all__ = [
    "FlatcNotFoundError",
    "SchemaError",
    "VersionMismatchError",
    "check_versions",
    "compile",
    "flatc_path",
    "reflection_schema",
    "run",
    "version",
]

__version__ = "25.12.19"
