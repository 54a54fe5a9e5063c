"""A compiler for one target: pinned zig, or whatever ``CC`` and ``CXX`` name."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sharedlib_loader.build.object_formats import ObjectFormat
from sharedlib_loader.build.runtime_libraries import RuntimeLibrary, of_zig
from sharedlib_loader.build.targets import FORMATS, Libc, Target, host


class BuildError(Exception):
    """A native part cannot be built; the text has the command, its output, and the cure where one is known."""


@dataclass(frozen=True)
class Toolchain:
    """How to call the compilers for one target.

    Attributes:
        cc: the C compiler's command line.
        cxx: the C++ compiler's command line.
        tags: the platform tags of a wheel with code from it.
        libc: the C library that the code is linked for.
        flags: compiler flags of this target.
        cache: where zig keeps compiled objects; None for other compilers.
        runtime: what a static executable from it contains beside its own code, where that is known.
    """

    cc: tuple[str, ...]
    cxx: tuple[str, ...]
    tags: tuple[str, ...]
    libc: Libc = "glibc"
    flags: tuple[str, ...] = ()
    cache: Path | None = None
    runtime: tuple[RuntimeLibrary, ...] = ()

    @property
    def format(self) -> ObjectFormat:
        """The format of the files that it writes."""
        return FORMATS[self.libc]

    @classmethod
    def choose(cls, libc: Libc, cache: Path) -> Toolchain:
        """The toolchain for this machine: ``CC`` (and ``CXX``) where set, else zig.

        A wheel built with ``CC`` is tagged ``linux_<machine>``, since nobody knows what that compiler links.

        Raises:
            BuildError: ziglang is not installed, or the table of targets has no row for this machine.
        """
        if cc := os.environ.get("CC"):
            tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            return cls(tuple(shlex.split(cc)), tuple(shlex.split(os.environ.get("CXX", "c++"))), (tag,), libc)
        target = host(libc)
        if target is None:
            raise BuildError(f"targets.py has no row for this machine and {libc}: set CC and CXX to a compiler")
        return cls.zig(target, cache)

    @classmethod
    def zig(cls, target: Target, cache: Path) -> Toolchain:
        """Zig from the ``ziglang`` distribution, which carries compiler, linker and C libraries for every target."""
        try:
            import ziglang
        except ImportError as error:
            raise BuildError("there is no compiler: pip install ziglang, or set CC and CXX") from error
        folder = Path(ziglang.__file__).parent
        zig = str(folder / "zig")
        return cls(
            cc=(zig, "cc", "-target", target.triple),
            cxx=(zig, "c++", "-target", target.triple),
            tags=target.tags,
            libc=target.libc,
            flags=target.flags,
            cache=Path(os.environ.get("ZIG_GLOBAL_CACHE_DIR", cache)),
            runtime=of_zig(folder),
        )

    def compile(self, sources: Iterable[Path], flags: Sequence[str], folder: Path) -> list[Path]:
        """Compile each source into ``folder``, in parallel; ``.c`` is C, anything else C++.

        Returns:
            The object files, in the order of the sources.

        Raises:
            BuildError: a compiler fails.
        """
        folder.mkdir(parents=True, exist_ok=True)
        jobs = {source: folder / f"{number}-{source.stem}.o" for number, source in enumerate(sources)}

        def one(source: Path) -> None:
            compiler = self.cc if source.suffix == ".c" else self.cxx
            with _progress(f"compile {source.name}"):
                self._run([*compiler, *self.flags, *flags, "-c", str(source), "-o", str(jobs[source])], flags)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(one, jobs))
        return list(jobs.values())

    def link(self, compiler: Sequence[str], inputs: Iterable[Path], flags: Sequence[str], output: Path) -> None:
        """Link ``inputs`` into ``output``."""
        output.parent.mkdir(parents=True, exist_ok=True)
        with _progress(f"link {output.name}"):
            self._run([*compiler, *map(str, inputs), *flags, "-o", str(output)], flags)

    def _run(self, command: Sequence[str], flags: Sequence[str]) -> None:
        environment = dict(os.environ)
        if self.cache is not None:
            # zig's cache takes an object compiled with a stack protector for one compiled without, and the other way
            # about (measured, 0.17.0): a cache for each.
            key = "+".join(sorted(flag for flag in flags if flag.startswith("-fstack-protector"))) or "plain"
            environment["ZIG_GLOBAL_CACHE_DIR"] = environment["ZIG_LOCAL_CACHE_DIR"] = str(self.cache / key)
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        except OSError as error:
            raise BuildError(f"{command[0]} cannot be run: {error.strerror}. Correct CC and CXX.") from error
        if done.returncode != 0:
            said = done.stdout + done.stderr
            raise BuildError(f"{shlex.join(command)}\nfailed with exit status {done.returncode}:\n{said}")


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """Two lines for people who wait; on stderr, since a build backend's stdout belongs to the frontend."""
    start = time.monotonic()
    print(f"  {what} ...", file=sys.stderr, flush=True)
    yield
    print(f"  {what}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
