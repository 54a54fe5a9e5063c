"""Run the example in a clean environment and let native code read what it wrote: what ``make demo`` shows.

    python demo.py PYTHON EXAMPLES

PYTHON is the clean environment's interpreter, which has the four wheels; this script itself needs rich, and setuptools
and a C compiler (``cc``, else ziglang) to build the native readers. The export to Arrow is by this script's own
interpreter, where that has the wheels and pyarrow: the clean environment has nothing but what the wheels need.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# Runs in the clean environment: the binding and the extension in one process, on the files that the example wrote.
ONE_PROCESS = """
import ctypes, json, sys, time
from pathlib import Path
import lmdb_bindings, lmdb_count
for database in sys.argv[1:]:  # each is opened with the engine that wrote it
    lmdb_bindings.open(database, readonly=True).close()
start = time.monotonic()
records, size = lmdb_count.count(sys.argv[1], "characters")
seconds = time.monotonic() - start
libraries = lmdb_bindings.loaded_libraries()
files = {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
mine = ctypes.CDLL(None, handle=libraries["0.9"].handle).mdb_version
print(json.dumps({
    "libraries": {name: [str(used.path), used.version, used.origin] for name, used in libraries.items()},
    "mapped": sorted(file for file in files if Path(file).name.startswith("liblmdb.so")),
    "shared": ctypes.cast(mine, ctypes.c_void_p).value == lmdb_count.version_address(),
    "global": hasattr(ctypes.CDLL(None), "mdb_env_open"),
    "records": records, "bytes": size, "seconds": seconds}))
"""


def compiler() -> list[str]:
    """A C compiler: ``CC``, else ``cc``, else the zig that built the wheels."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    return ["cc"] if shutil.which("cc") else [sys.executable, "-m", "ziglang", "cc"]


def steps(python: str, script: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run an example; each step as it is done."""
    command = [python, str(Path(__file__).with_name(script)), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"{script} failed with exit status {process.returncode}")


def output(*command: str, **options: Any) -> str:
    """What a command prints; the whole of its output and an exit where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nfailed:\n{done.stdout}{done.stderr}")
    return str(done.stdout).strip()


def site_packages(python: str) -> str:
    """Where the clean environment has its packages."""
    return output(python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))")


def c_program(python: str, source: Path, database: Path) -> dict[str, Any]:
    """Compile the C program against the installed provider, and let it count."""
    flags = output(python, "-m", "liblmdb_wheel", "--cflags", "--libs")
    library_dir = json.loads(output(python, "-m", "liblmdb_wheel", "--json"))["library_dir"]
    program = str(database.parent / "count")
    output(*compiler(), "-O2", str(source), *shlex.split(flags), f"-Wl,-rpath,{library_dir}", "-o", program)
    start = time.monotonic()
    records, size, version = output(program, str(database), "characters").split()
    seconds = time.monotonic() - start
    # What the dynamic loader resolves, without running the program: as ldd does it.
    resolved = output(program, env={**os.environ, "LD_TRACE_LOADED_OBJECTS": "1"})
    [library] = [line.split()[2] for line in resolved.splitlines() if line.split()[0] == "liblmdb.so.0"]
    return {"records": int(records), "bytes": int(size), "seconds": seconds, "library": [library, version, "RPATH"]}


def c_extension(python: str, project: Path, databases: list[Path]) -> dict[str, Any]:
    """Build the extension's wheel against the installed provider, install it, and let it count beside the binding.

    Raises:
        SystemExit: the two do not share one library, or it is visible to the whole process.
    """
    environment = {**os.environ, "CC": shlex.join(compiler()), "PYTHONPATH": site_packages(python)}
    wheels = databases[0].parent / "wheels"
    output(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
           "--wheel-dir", str(wheels), str(project), env=environment)  # fmt: skip
    [wheel] = wheels.glob("*.whl")
    output(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    found: dict[str, Any] = json.loads(output(python, "-c", ONE_PROCESS, *map(str, databases)))
    expected = sorted(path for path, *_ in found["libraries"].values())
    if not found["shared"] or found["mapped"] != expected or found["global"]:
        raise SystemExit(f"the binding and the extension do not share one private liblmdb: {found}")
    return found


def table_reader(python: str, source: Path, folder: Path) -> str:
    """Compile the reader of tables into a library, against the installed headers and libflatdb."""
    flags = output(python, "-m", "liblmdb_wheel", "--cflags", "--libs")
    script = "from flatc_wheel import flatdb; print(flatdb.include_dir()); print(flatdb.library_path('0.9'))"
    include, library = output(python, "-c", script).splitlines()
    reader = str(folder / "table_reader.so")
    output(*compiler(), "-O2", "-shared", "-fPIC", str(source), *shlex.split(flags), f"-I{include}", library,
           "-o", reader)  # fmt: skip
    return reader


def has_arrow() -> bool:
    """Whether this interpreter can hand tables over to Arrow: PyPy has no pyarrow, and the wheels may not be here."""
    needed = ("pyarrow", "lmdb_bindings", "flatc_wheel")
    return all(importlib.util.find_spec(name) is not None for name in needed)


def right_aligned(*columns: str, title: str) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def main(python: str, examples: Path) -> None:
    console = Console(highlight=False)
    folder, site = Path.cwd(), site_packages(python)
    work = right_aligned("work", "records", "bytes", "seconds", "records/s", title="Unicode as FlatBuffers in LMDB")
    users = Table("who", "library", "version", "origin", title="Which liblmdb (in site-packages), for whom")
    users.title_justify = "left"

    def row(step: str, seconds: float, records: int = 0, size: int = 0) -> None:
        rate = f"{records / seconds:,.0f}" if records else ""
        work.add_row(step, f"{records:,}" if records else "", f"{size:,}" if size else "", f"{seconds:.3f}", rate)

    def user(who: str, library: str, version: str, origin: str) -> None:
        users.add_row(who, os.path.relpath(library, site), version, origin)

    written = 0
    with console.status("running the example"):
        for step in steps(python, "unicode_db.py", str(folder)):
            row(step["step"], step["seconds"], step["records"], step["bytes"])
            console.print(f"  {step['step']}: {step['seconds']:.1f} s")
            written = max(written, step["records"])
    databases = [folder / "unicode-0.9", folder / "unicode-1.0"]
    with console.status("compiling the C program"):
        program = c_program(python, examples / "c_program" / "count.c", databases[0])
    row("count in the C program", program["seconds"], program["records"], program["bytes"])
    counts = {program["records"]}
    if Path(sysconfig.get_path("include"), "Python.h").exists():
        with console.status("building the C extension"):
            extension = c_extension(python, examples / "c_extension", databases)
        row("count in the C extension", extension["seconds"], extension["records"], extension["bytes"])
        counts.add(extension["records"])
        for engine, library in extension["libraries"].items():
            user(f"binding, engine {engine}", *library)
        user("C extension (DT_NEEDED)", *extension["libraries"]["0.9"])
    else:
        console.print("  C extension: left out, since this Python has no Python.h (Debian: python3-dev)")
    user("C program (DT_NEEDED)", *program["library"])
    with console.status("compiling the reader of tables"):
        reader = table_reader(python, examples / "table_reader" / "table_reader.c", folder)
    runs = [(python, [str(folder), reader])]
    if has_arrow():
        runs.append((sys.executable, [str(folder)]))
    else:
        console.print("  Arrow: left out, since the tools' environment has no pyarrow")
    with console.status("running the example of tables"):
        for interpreter, arguments in runs:
            for step in steps(interpreter, "unicode_table.py", *arguments):
                row(step["step"], step["seconds"], step["records"], step["bytes"])
                console.print(f"  {step['step']}: {step['seconds']:.1f} s")
    if counts != {written}:
        raise SystemExit(f"{written} records were written, and the native readers count {sorted(counts)}")
    for table in (work, users):
        console.print()
        console.print(table)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
