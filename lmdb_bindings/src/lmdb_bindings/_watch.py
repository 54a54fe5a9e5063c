"""Live statistics of an environment: one row for each interval, as a table or as CSV."""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TextIO

from lmdb_bindings._environment import Environment

_MEBIBYTE = 1 << 20
_SECTOR = 512  # bytes, whatever the device's own are: Documentation/block/stat.rst of Linux

Sample = dict[str, float]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        title: its heading, which is its width too.
        source: the number in a sample.
        layout: how it is written.
        rate: it is the change each second, not the number.
    """

    title: str
    source: str
    layout: str
    rate: bool = False


ENVIRONMENT = (
    Column("Depth", "depth", "%d"),
    Column("Branch", "branch_pages", "%d"),
    Column("Leaf", "leaf_pages", "%d"),
    Column("Leaf/s", "leaf_pages", "%+d", rate=True),
    Column("Oflow", "overflow_pages", "%d"),
    Column("Oflow/s", "overflow_pages", "%+d", rate=True),
    Column("Recs", "entries", "%d"),
    Column("Recs/s", "entries", "%+d", rate=True),
    Column("Rdrs", "num_readers", "%d"),
    Column("EnvMb", "used_mb", "%.2f"),
    Column("EnvMb/s", "used_mb", "%+.2f", rate=True),
    Column("Txs", "last_txnid", "%d"),
    Column("Txs/s", "last_txnid", "%+.2f", rate=True),
)
DISK = (
    Column("RdMb/s", "read_mb", "%+.2f", rate=True),
    Column("WrMb/s", "written_mb", "%+.2f", rate=True),
)


def watch(
    env: Environment, stream: TextIO, *, interval: float, window: int, as_csv: bool, disk: str | None = None
) -> None:
    """Write a row for each interval, until KeyboardInterrupt.

    Args:
        env: the environment.
        stream: where to.
        interval: in seconds.
        window: of how many intervals rates are the mean.
        as_csv: write CSV, else a table, whose heading comes again after each screenful.
        disk: the file with the statistics of the environment's disk, see :func:`find_diskstat`.
    """
    columns = ENVIRONMENT + (DISK if disk else ())
    samples: deque[Sample] = deque(maxlen=max(window, 1) + 1)
    write = _csv_writer(stream) if as_csv else _table_writer(stream)
    write([column.title for column in columns])
    with suppress(KeyboardInterrupt):
        while True:
            samples.append(_sample(env, disk))
            write([cell(column, samples, interval) for column in columns])
            stream.flush()
            time.sleep(interval)


def delta(numbers: list[float]) -> list[float]:
    """The differences from each number to the next."""
    return [after - before for before, after in pairwise(numbers)]


def cell(column: Column, samples: deque[Sample], interval: float) -> str:
    """What stands in a column of the row for the last of some samples."""
    if not column.rate:
        return column.layout % samples[-1][column.source]
    changes = delta([sample[column.source] for sample in samples])
    return column.layout % (sum(changes) / (len(changes) * interval) if changes and interval else 0)


def find_diskstat(path: str) -> str | None:
    """The file in which Linux counts what the disk under a path reads and writes; None where there is none."""
    device = os.stat(path).st_dev
    file = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat"
    return file if os.path.exists(file) else None


def _sample(env: Environment, disk: str | None) -> Sample:
    stat: Any = env.stat()
    info: Any = env.info()
    sample: Sample = {**stat, **info, "used_mb": (info["last_pgno"] + 1) * stat["psize"] / _MEBIBYTE}
    if disk:
        with open(disk, encoding="ascii") as stream:
            fields = stream.read().split()  # the third and the seventh, of as many as the kernel has
        sample["read_mb"] = int(fields[2]) * _SECTOR / _MEBIBYTE
        sample["written_mb"] = int(fields[6]) * _SECTOR / _MEBIBYTE
    return sample


def _csv_writer(stream: TextIO) -> Callable[[list[str]], Any]:
    return csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow


def _table_writer(stream: TextIO) -> Callable[[list[str]], Any]:
    rows: list[list[str]] = []  # of this screenful, the heading first

    def write(row: list[str]) -> None:
        # The size of the terminal may change at any time.
        if len(rows) >= max(shutil.get_terminal_size().lines - 1, 2):
            del rows[1:]
            line(rows[0])
        rows.append(row)
        line(row)

    def line(row: list[str]) -> None:
        stream.write("".join(f" {text:>{len(title)}}" for title, text in zip(rows[0], row, strict=True)) + "\n")

    return write
