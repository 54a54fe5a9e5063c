"""Build a wheel with native code and no interpreter in its name: ``py3-none-<platform>``.

For a provider's ``setup.py``, as a build requirement beside setuptools; nothing here is imported at run time. The
compiler is ``ziglang`` from the package index, pinned by the project that builds, so that the same bits come out on
every host; ``CC`` and ``CXX`` in the environment replace it.
"""

from sharedlib_loader.build.setuptools_commands import native_wheel
from sharedlib_loader.build.shared_object import SharedObject, compile_flags, public_names, stand_in
from sharedlib_loader.build.targets import TARGETS, Target, chosen, for_executables, host
from sharedlib_loader.build.toolchain import BuildError, Toolchain

__all__ = [
    "TARGETS",
    "BuildError",
    "SharedObject",
    "Target",
    "Toolchain",
    "chosen",
    "compile_flags",
    "for_executables",
    "host",
    "native_wheel",
    "public_names",
    "stand_in",
]
