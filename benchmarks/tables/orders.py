"""The records that all contestants store: orders of a shop, the same in every run."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COLOURS = ("Red", "Green", "Blue")
WORDS = ("large", "small", "gift", "express", "fragile", "return", "repeat", "online")


def orders(count: int) -> Iterator[dict[str, Any]]:
    """Records with random ids, as JSON has them."""
    chance = random.Random(1)  # noqa: S311 (the same data in every run is the point)
    for number in range(count):
        yield {
            "id": str(uuid.UUID(int=chance.getrandbits(128))),
            "number": number,
            "customer": f"customer {chance.randrange(100_000)}",
            "price": round(chance.uniform(1, 1000), 2),
            "quantity": chance.randrange(1, 20),
            "colour": chance.choice(COLOURS),
            "paid": chance.random() < 0.5,
            "at": {"x": round(chance.uniform(-180, 180), 3), "y": round(chance.uniform(-90, 90), 3)},
            "tags": chance.sample(WORDS, chance.randrange(4)),
        }


def write(count: int, file: Path) -> None:
    """The records as NDJSON."""
    with file.open("w") as stream:
        stream.writelines(json.dumps(order, separators=(",", ":")) + "\n" for order in orders(count))
