"""The campaign with damaged bytes: records, JSON texts, schemas and tables through libflatdb under sanitizers.

    python -m tests.stress.flatdb_fuzz [--records 100000] [--texts 50000] [--schemas 20000] [--seed 1]

Builds libflatdb and LMDB 0.9 by the system's g++ with AddressSanitizer, libflatdb also with UndefinedBehaviorSanitizer,
into build/fuzz, and lets processes of tests.flatdb.damage go through the inputs with it: records, JSON texts and schemas
alone, and tables of 200 records each that flatdb_check checks, or that lmdb_bindings.tables reads. The first crash ends the campaign: exit status
1, and the input is named. A run to the end writes its counts into docs/flatdb_fuzz.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLATDB = ROOT / "flatc_wheel" / "flatdb"
FLATBUFFERS = ROOT / "flatc_wheel" / "upstream" / "flatbuffers"
LMDB = ROOT / "liblmdb_wheel" / "upstream" / "lmdb-0.9"
BUILD = ROOT / "build" / "fuzz"
RESULT = ROOT / "docs" / "flatdb_fuzz.txt"
COUNTS = {"records": 100_000, "texts": 50_000, "schemas": 20_000, "checks": 500, "reads": 500}
CHUNK = 2000  # inputs of one process: what a crash has to be looked for in, and what is run again

ADDRESS = ("-O1", "-g", "-fPIC", "-fno-omit-frame-pointer", "-fsanitize=address")
# LMDB itself reads integers at any address, as it may on the machines that it knows.
UNDEFINED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")

# What Python allocates must come from where the sanitizer sees it. Memory that is too much to be had must be refused and
# not be the end; what Python itself leaves behind is no leak of ours.
ENVIRONMENT = {
    "PYTHONMALLOC": "malloc",
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:max_allocation_size_mb=8192",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def build() -> dict[str, str]:
    """Compile both libraries where a source is newer; the environment variables that make the loader take them."""
    BUILD.mkdir(parents=True, exist_ok=True)
    lmdb = BUILD / "liblmdb.so.0"
    sources = [LMDB / "mdb.c", LMDB / "midl.c"]
    if _old(lmdb, sources):
        _run("gcc", *ADDRESS, "-w", "-pthread", "-shared", "-Wl,-soname,liblmdb.so.0", *sources, "-o", lmdb)
    includes = [f"-I{folder}" for folder in (FLATDB, FLATBUFFERS, FLATBUFFERS / "include", LMDB)]
    headers = list(FLATDB.glob("*.h"))
    objects = []
    for source in sorted(FLATDB.glob("*.cpp")):
        made = BUILD / f"{source.stem}.o"
        objects.append(made)
        if _old(made, [source, *headers]):
            _run("g++", "-std=c++17", *ADDRESS, *UNDEFINED, "-fvisibility=hidden", "-DFLATBUFFERS_LOCALE_INDEPENDENT=0",
                 *includes, "-c", source, "-o", made)  # fmt: skip
    flatdb = BUILD / "libflatdb.so.0"
    if _old(flatdb, objects):
        _run(
            "g++",
            *ADDRESS,
            *UNDEFINED,
            "-pthread",
            "-shared",
            "-Wl,-soname,libflatdb.so.0",
            *objects,
            lmdb,
            "-o",
            flatdb,
        )
    # C++'s runtime too from the start: the sanitizer wants to see what it throws.
    preload = [_output("g++", f"-print-file-name={name}") for name in ("libasan.so", "libstdc++.so.6")]
    return {"SHAREDLIB_LMDB_0_9": str(lmdb), "SHAREDLIB_FLATDB_0_9": str(flatdb), "LD_PRELOAD": ":".join(preload)}


def _old(made: Path, sources: list[Path]) -> bool:
    return not made.exists() or made.stat().st_mtime < max(source.stat().st_mtime for source in sources)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def _output(*command: str) -> str:
    return os.path.realpath(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


class CrashError(Exception):
    """A process has died, or said that something is wrong."""


def damage(environment: dict[str, str], kind: str, first: int, count: int, seed: int) -> Counter[str]:
    """The counts of one process; :class:`CrashError` names the input that it died of."""
    at = BUILD / "at"
    command = [sys.executable, "-m", "tests.flatdb.damage", "--seed", str(seed), "--first", str(first), f"--{kind}",
               str(count), "--at", str(at)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False,
                          env={**os.environ, **ENVIRONMENT, **environment})  # fmt: skip
    if done.returncode != 0:
        raise CrashError(
            f"seed {seed}, {at.read_text().strip()}: exit status {done.returncode}\n{done.stderr[-20000:]}"
        )
    return Counter(json.loads(done.stdout))


def main() -> int:
    """Run the campaign; the exit status."""
    parser = argparse.ArgumentParser(
        prog="flatdb_fuzz", description="Damaged bytes through libflatdb under sanitizers."
    )
    for kind, count in COUNTS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, help=f"how many {kind} (default: {count})")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default: 1)")
    options = parser.parse_args()
    environment = build()
    began = time.monotonic()
    total: Counter[str] = Counter()
    wanted = {kind: getattr(options, kind) for kind in COUNTS}
    try:
        for kind, count in wanted.items():
            for first in range(0, count, CHUNK):
                total += damage(environment, kind, first, min(CHUNK, count - first), options.seed)
                print(f"{kind}: {min(first + CHUNK, count)} of {count}", flush=True)
    except CrashError as crash:
        print(crash, file=sys.stderr)
        return 1
    lines = [
        f"Damaged bytes through libflatdb and LMDB 0.9 under AddressSanitizer and UndefinedBehaviorSanitizer: {date()}.",
        ", ".join(f"{count:,} {kind}" for kind, count in wanted.items())
        + f"; seed {options.seed}, {time.monotonic() - began:.0f} s, no crash.",
        "",
        *(f"{what:42} {total[what]:>9,}" for what in sorted(total)),
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(*lines, sep="\n")
    return 0


def date() -> str:
    """Of today, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


if __name__ == "__main__":
    sys.exit(main())
