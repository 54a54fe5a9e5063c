"""An environment with tables, and the files that go in and come out: what the tests of whole tables work at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb_bindings as lmdb
from flatc_wheel.flatdb._native import MDB_RDONLY, Counts, Environment, Library


class Place:
    """One environment in a folder, of one engine; each call opens it by libflatdb or by the binding, and closes it."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder, self.engine = folder, engine
        self.env = folder / f"env-{engine}"
        self.env.mkdir()
        self.library = Library(engine)

    def file(self, content: str | bytes | Iterable[dict[str, Any]], name: str = "records.json") -> str:
        """A file with this text, or with these records as NDJSON."""
        path = self.folder / name
        if not isinstance(content, (str, bytes)):
            content = "".join(json.dumps(record) + "\n" for record in content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    @contextmanager
    def open(self, **options: Any) -> Iterator[Environment]:
        with self.library.open(str(self.env), **options) as env:
            yield env

    def import_(
        self,
        content: Any,
        schema: str | None = None,
        *,
        table: str = "things",
        map_size: int = 1 << 26,
        counts: Counts | None = None,
        name: str = "records.json",
        **options: Any,
    ) -> Counts:
        """Store records of a text, of a list, or of a file (a path)."""
        counts = counts or Counts()
        file = str(content) if isinstance(content, Path) else self.file(content, name)
        if schema is None:
            with self.open(map_size=map_size) as env:
                env.import_(table, file, counts=counts, **options)
            return counts
        fbs = self.folder / "schema.fbs"
        fbs.write_text(schema, encoding="utf-8")
        with self.library.schema(str(fbs)) as compiled, self.open(map_size=map_size) as env:
            env.import_(table, file, schema=compiled, counts=counts, **options)
        return counts

    def export(self, table: str = "things", **options: Any) -> list[dict[str, Any]]:
        """The records, by a file of NDJSON."""
        output = self.folder / "exported.json"
        with self.open(flags=MDB_RDONLY) as env:
            env.export(table, str(output), counts=Counts(), **options)
        return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]

    def check(self, table: str = "things") -> list[tuple[str, str]]:
        """What is wrong: keys as text, and what."""
        problems: list[tuple[str, str]] = []
        counts = Counts()
        with self.open(flags=MDB_RDONLY) as env:
            env.check(table, counts=counts, problem=lambda key, text: problems.append((key, text)))
        assert counts.bad == len(problems)
        return problems

    def stat(self, table: str = "things") -> dict[str, Any]:
        with self.open(flags=MDB_RDONLY) as env:
            found: dict[str, Any] = json.loads(env.stat(table))
        return found

    def raw(self, database: str = "things") -> list[tuple[bytes, bytes]]:
        """Keys and values as LMDB has them, read by the binding."""
        with lmdb.open(str(self.env), readonly=True, max_dbs=8) as env, env.begin() as txn:
            db = env.open_db(database.encode(), txn=txn, create=False)
            return list(txn.cursor(db))

    @contextmanager
    def damage(self, database: str = "things") -> Iterator[tuple[Any, Any]]:
        """A transaction of the binding, and a database in it, to write what flatdb never would."""
        with lmdb.open(str(self.env), map_size=1 << 26, max_dbs=8) as env:
            db = env.open_db(database.encode())
            with env.begin(write=True) as txn:
                yield txn, db
