"""Kill an import by SIGKILL at random moments, and start it again, until it has been killed as often as asked for; then
compare every record and every entry of every index with an import that was not disturbed.

``nox -s kill-import -- --kills 50`` writes the result into docs/flatdb_kill.txt. An import that comes to its end before it
was killed often enough is followed by another, into a fresh environment.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lmdb_bindings as lmdb
from flatc_wheel.flatdb import LIBRARIES

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "docs" / "flatdb_kill.txt"
SCHEMA = """\
table Person { id: uint; name: string; city: string; height: double; }
root_type Person;
"""
DATABASES = ("people", "people:by_name", "people:by_city")


class Campaign(NamedTuple):
    """What happened to one engine."""

    engine: str
    kills: int
    in_transit: int  # of the kills: those that left an import begun and not done
    imports: int  # runs to the end, each after some of the kills
    records: int  # of each import
    entries: int  # of its indexes
    differences: int


def people(count: int) -> Iterator[str]:
    """Records in no order of their keys, so that every transaction writes all over the tree."""
    chance = random.Random(6)
    for number in chance.sample(range(count * 10), count):
        record = {
            "id": number,
            "name": f"name {number * 7}",
            "city": f"city {chance.randrange(500)}",
            "height": number / 8,
        }
        yield json.dumps(record) + "\n"


def command(folder: Path, env: Path, engine: str) -> list[str]:
    return [
        sys.executable, "-m", "flatc_wheel.flatdb", "import", str(env), "people", str(folder / "people.json"),
        "--schema", str(folder / "person.fbs"), "--key", "id", "--unique", "by_name=name", "--index", "by_city=city",
        "--batch", "2000", "--engine", engine, "--map-size", "1M", "--quiet",
    ]  # fmt: skip


def content(env: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    """All keys and values of the table, of its indexes, and of the catalog."""
    with lmdb.open(str(env), readonly=True, max_dbs=8) as opened, opened.begin() as txn:
        names = (*DATABASES, "__tables__")
        return {name: list(txn.cursor(opened.open_db(name.encode(), txn=txn, create=False))) for name in names}


def state(env: Path) -> str:
    """Whether the import has stored "nothing", is "begun", or "done", as the catalog has it."""
    if not (env / "data.mdb").exists() or not (env / "data.mdb").stat().st_size:
        return "nothing"
    with lmdb.open(str(env), readonly=True, max_dbs=8) as opened, opened.begin() as txn:
        try:
            catalog = opened.open_db(b"__tables__", txn=txn, create=False)
        except lmdb.NotFoundError:
            return "nothing"
        return "begun" if any(key.startswith(b"people\x01") for key, _ in txn.cursor(catalog)) else "done"


def run(folder: Path, engine: str, kills: int, seed: int) -> Campaign:
    undisturbed = folder / f"undisturbed-{engine}"
    start = time.monotonic()
    subprocess.run(command(folder, undisturbed, engine), check=True)
    length = time.monotonic() - start
    expected = content(undisturbed)
    chance = random.Random(seed)
    killed = in_transit = imports = differences = 0
    while killed < kills:
        env = folder / f"killed-{engine}-{imports}"
        done = False
        while not done:
            with subprocess.Popen(command(folder, env, engine), stderr=subprocess.PIPE) as process:
                # Short enough that an import is killed many times before it is done.
                moment = chance.uniform(0, length / 4) if killed < kills else 3600.0
                try:
                    _, said = process.communicate(timeout=moment)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    _, said = process.communicate()
            if process.returncode == -signal.SIGKILL:
                killed += 1
                found_state = state(env)
                in_transit += found_state == "begun"
                done = found_state == "done"  # killed between its last commit and its end
            elif process.returncode == 0:
                done = True
            else:
                raise SystemExit(f"the import failed by itself: {said.decode()}")
        imports += 1
        found = content(env)
        differences += sum(found[name] != expected[name] for name in expected)
        checked = [sys.executable, "-m", "flatc_wheel.flatdb", "check", str(env), "people", "--quiet"]
        differences += subprocess.run(checked, check=False).returncode
        print(f"engine {engine}: {killed} kills, {imports} imports, {differences} differences", flush=True)
    records, entries = len(expected["people"]), sum(len(expected[name]) for name in DATABASES[1:])
    return Campaign(engine, killed, in_transit, imports, records, entries, differences)


def report(campaigns: list[Campaign]) -> str:
    lines = ["engine  kills  in the middle  imports done  records of each  index entries of each  differences"]
    lines.extend(
        f"{c.engine:6}  {c.kills:5}  {c.in_transit:13}  {c.imports:12}  {c.records:15,}  {c.entries:21,}  {c.differences:11}"
        for c in campaigns
    )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="of each engine (default: 50)")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--engine", choices=list(LIBRARIES), action="append", help="by default both")
    parser.add_argument("--seed", type=int, default=None, help="of the moments; by default another in each run")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="flatdb-kill-") as name:
        folder = Path(name)
        (folder / "person.fbs").write_text(SCHEMA)
        with (folder / "people.json").open("w") as file:
            file.writelines(people(options.records))
        campaigns = [run(folder, engine, options.kills, seed) for engine in options.engine or LIBRARIES]
    text = report(campaigns)
    print(text, end="")
    RESULT.write_text(text)
    return int(any(campaign.differences for campaign in campaigns))


if __name__ == "__main__":
    sys.exit(main())
