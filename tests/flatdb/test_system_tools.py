"""Tables beside the plain tools of a system: its mdb_dump and mdb_load, its flatc. Debian's packages lmdb-utils and
flatbuffers-compiler have them; the former are of engine 0.9.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.flatdb.place import Place

SCHEMA = """\
namespace shop;
enum Colour : byte { Red, Green, Blue }
struct Point { x: float; y: float; }
table Order { id: uint; name: string (required); colour: Colour; at: Point; tags: [string]; price: double; }
root_type Order;
"""
ORDERS = [
    {"id": i, "name": f"Ordnung {i} é", "colour": ["Red", "Green", "Blue"][i % 3], "at": {"x": i / 4, "y": -0.5},
     "tags": ["a"] * (i % 4), "price": i * 1.25}
    for i in range(1, 200)
]  # fmt: skip


def tool(name: str) -> str:
    """A tool of the system, and not one of our wheels."""
    found = next((path for folder in ("/usr/bin", "/usr/local/bin") if (path := shutil.which(name, path=folder))), None)
    if found is None:
        pytest.skip(f"the system has no {name}: Debian's packages lmdb-utils and flatbuffers-compiler have it")
    return found


@pytest.fixture
def orders(tmp_path: Path) -> Place:
    place = Place(tmp_path, "0.9")
    (tmp_path / "order.fbs").write_text(SCHEMA)
    return place


def dumped(database: str, env: Path) -> list[tuple[bytes, bytes]]:
    """Keys and values of a named database, by the system's mdb_dump."""
    done = subprocess.run([tool("mdb_dump"), "-s", database, str(env)], capture_output=True, text=True, check=True)
    lines = done.stdout.partition("HEADER=END\n")[2].partition("DATA=END")[0].splitlines()
    data = [bytes.fromhex(line.strip()) for line in lines]
    return list(zip(data[0::2], data[1::2], strict=True))


def test_the_system_s_tools_read_what_flatdb_writes(orders: Place, tmp_path: Path) -> None:
    """Each value is a file that the system's flatc turns into the record's JSON."""
    flatc = tool("flatc")
    orders.import_(ORDERS, SCHEMA, table="orders", key="id", indexes=["by_name=name unique"])
    records = dumped("orders", orders.env)
    assert [key for key, _ in records] == [order["id"].to_bytes(4, "big") for order in ORDERS]
    assert dumped("orders:by_name", orders.env) == sorted(
        (o["name"].encode(), o["id"].to_bytes(4, "big")) for o in ORDERS
    )
    files = []
    for key, value in records:
        file = tmp_path / f"{int.from_bytes(key, 'big')}.bin"
        file.write_bytes(value)
        files.append(file)
    out = tmp_path / "json"
    subprocess.run(
        [flatc, "--json", "--strict-json", "--raw-binary", "-o", out, tmp_path / "order.fbs", "--", *files], check=True
    )
    exported = {record["id"]: record for record in orders.export("orders")}
    for order in ORDERS:
        read = json.loads((out / f"{order['id']}.json").read_text(encoding="utf-8"))
        assert read == exported[order["id"]]
        assert {"colour": "Red", "tags": [], **read} == {**order}


def test_flatdb_reads_what_the_system_s_tools_write(orders: Place, tmp_path: Path) -> None:
    """Records of the system's flatc, loaded by its mdb_load, with the catalog as docs/tables.md has it."""
    flatc, load = tool("flatc"), tool("mdb_load")
    files = []
    for order in ORDERS:
        file = tmp_path / f"{order['id']}.json"
        file.write_text(json.dumps(order))
        files.append(file)
    subprocess.run([flatc, "--binary", "-o", tmp_path, tmp_path / "order.fbs", *files], check=True)
    subprocess.run([flatc, "--binary", "--schema", "-o", tmp_path, tmp_path / "order.fbs"], check=True)
    entry = {
        "format": 1, "key": "uint32", "fields": ["id"], "value": "flatbuffers", "root": "shop.Order", "schema": 1,
        "indexes": {"by_name": {"key": "string", "fields": ["name"], "unique": True}},
    }  # fmt: skip
    databases = {
        "__tables__": [
            (b"orders", json.dumps(entry).encode()), (b"orders\0\0\0\0\x01", (tmp_path / "order.bfbs").read_bytes()),
        ],
        "orders": [(order["id"].to_bytes(4, "big"), (tmp_path / f"{order['id']}.bin").read_bytes()) for order in ORDERS],
        "orders:by_name": sorted((order["name"].encode(), order["id"].to_bytes(4, "big")) for order in ORDERS),
    }  # fmt: skip
    for name, records in databases.items():
        text = f"VERSION=3\nformat=bytevalue\ndatabase={name}\ntype=btree\nmapsize=16777216\nHEADER=END\n"
        text += "".join(f" {key.hex()}\n {value.hex()}\n" for key, value in records) + "DATA=END\n"
        subprocess.run([load, "-s", name, str(orders.env)], input=text, text=True, check=True)
    assert orders.check("orders") == []
    assert [{"colour": "Red", "tags": [], **record} for record in orders.export("orders")] == ORDERS
    assert orders.import_([{"id": 1, "name": "again"}], table="orders", on_duplicate="replace").replaced == 1
    assert orders.check("orders") == []
