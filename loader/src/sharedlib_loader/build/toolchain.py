"""A compiler for one target: pinned zig, or whatever ``CC`` and ``CXX`` name."""

from __future__ import annotations

import os
import platform
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

from sharedlib_loader.build.elf_dynamic import forget_needed
from sharedlib_loader.build.object_formats import ELF, ObjectFormat
from sharedlib_loader.build.runtime_libraries import RuntimeLibrary, of_zig
from sharedlib_loader.build.targets import FORMATS, SWITCH, Libc, Target, chosen, for_executables, system_libc

# A library without code.
EMPTY = ("-shared", "-s", "-nostdlib")


class BuildError(Exception):
    """A native part cannot be built; the text has the command, its output, and the cure where one is known."""


@dataclass(frozen=True)
class Toolchain:
    """How to call the compilers for one target.

    Attributes:
        cc: the C compiler's command line.
        cxx: the C++ compiler's command line.
        tags: the platform tags of a wheel with code from it.
        machine: the architecture, as such tags end.
        libc: the C library that the code is linked for.
        libc_name: what a library has as DT_NEEDED for it, where that is not what the linker writes.
        flags: compiler flags of this target.
        beside_cxx: see :class:`Target`.
        cache: where zig keeps compiled objects; None for other compilers.
        runtime: what a file from it contains beside its own code, where that is known.
    """

    cc: tuple[str, ...]
    cxx: tuple[str, ...]
    tags: tuple[str, ...]
    machine: str
    libc: Libc = "glibc"
    libc_name: str | None = None
    flags: tuple[str, ...] = ()
    beside_cxx: tuple[str, ...] = ()
    cache: Path | None = None
    runtime: tuple[RuntimeLibrary, ...] = ()

    @property
    def format(self) -> ObjectFormat:
        """The format of the files that it writes."""
        return FORMATS[self.libc]

    @classmethod
    def choose(cls, cache: Path, *, static: bool = False) -> Toolchain:
        """The toolchain for a row of the table of targets: ``CC`` (and ``CXX``) where set, else zig.

        The row is that of this interpreter, or the one that ``SHAREDLIB_TARGET`` names. A wheel built with ``CC`` for
        this machine is tagged ``linux_<machine>`` or the like, since nobody knows what that compiler links.

        Args:
            cache: the folder for zig's cache.
            static: for executables that link nothing, where the platform has such.

        Raises:
            BuildError: ziglang is not installed, the table has no row for this machine, or the name is of none.
        """
        try:
            target = chosen()
        except ValueError as error:
            raise BuildError(str(error)) from error
        if cc := os.environ.get("CC"):
            return cls(
                cc=tuple(shlex.split(cc)),
                cxx=tuple(shlex.split(os.environ.get("CXX", "c++"))),
                tags=_unproved_tags(target),
                machine=target.machine if target else platform.machine(),
                libc=target.libc if target else system_libc(),
            )
        if target is None:
            raise BuildError("targets.py has no row for this machine: set CC and CXX to a compiler")
        return cls.zig(for_executables(target) if static else target, cache, static=static)

    @classmethod
    def zig(cls, target: Target, cache: Path, *, static: bool = False) -> Toolchain:
        """Zig from the ``ziglang`` distribution, which carries compiler, linker and C libraries for every target."""
        try:
            import ziglang
        except ImportError as error:
            raise BuildError("there is no compiler: pip install ziglang, or set CC and CXX") from error
        folder = Path(ziglang.__file__).parent
        zig = str(folder / "zig")
        return cls(
            cc=(zig, "cc", "-target", target.triple, f"-mcpu={target.cpu}"),
            cxx=(zig, "c++", "-target", target.triple, f"-mcpu={target.cpu}"),
            tags=target.tags,
            machine=target.machine,
            libc=target.libc,
            # Every distribution with musl knows it by this name. zig has the development name, which is a text file
            # in some: tools that look for libraries stumble over that.
            libc_name=f"libc.musl-{target.machine}.so.1" if target.libc == "musl" else None,
            flags=target.flags,
            beside_cxx=target.beside_cxx,
            cache=Path(os.environ.get("ZIG_GLOBAL_CACHE_DIR", cache)),
            runtime=of_zig(folder, target.libc, static=static),
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

    def link_dynamic(
        self, compiler: Sequence[str], inputs: Iterable[Path], flags: Sequence[str], output: Path, work: Path
    ) -> None:
        """Link ``inputs`` into a file that needs the C library; ``work`` is for intermediate files."""
        if self.libc_name is None:
            self.link(compiler, inputs, flags, output)
            return
        # The linker takes the name of a library from the library: one without code has it, and libc.so is forgotten.
        named = work / "named.so"
        self.link(self.cc, self.nothing(work), [*EMPTY, f"-Wl,-soname,{self.libc_name}"], named)
        self.link(compiler, inputs, [*flags, "-Wl,--no-as-needed", str(named)], output)
        forget_needed(output, "libc.so")

    def nothing(self, work: Path) -> list[Path]:
        """An object file without code: where zig is given libraries alone, it calls the machine's own linker."""
        source = work / "nothing.c"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text("/* no code */\n", encoding="utf-8")
        return self.compile([source], self.format.compile, work / "nothing")

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


def _unproved_tags(target: Target | None) -> tuple[str, ...]:
    """What a wheel from a compiler that nobody here knows is tagged: the kind of machine, and no promise beyond."""
    if target is None or SWITCH not in os.environ:
        return (sysconfig.get_platform().replace("-", "_").replace(".", "_"),)
    return (f"linux_{target.machine}",) if target.format is ELF else target.tags


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """Two lines for people who wait; on stderr, since a build backend's stdout belongs to the frontend."""
    start = time.monotonic()
    print(f"  {what} ...", file=sys.stderr, flush=True)
    yield
    print(f"  {what}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
