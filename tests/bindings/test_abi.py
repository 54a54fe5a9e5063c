"""The declarations of the binding are those of both engines' headers, and the generated module is theirs."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import liblmdb_wheel
from flatc_wheel import flatdb
from lmdb_bindings import _bulk_constants, _constants
from lmdb_bindings._abi import ffi
from lmdb_bindings.tables import _flatdb

ROOT = Path(__file__).resolve().parents[2]
CDEFS = [ROOT / "lmdb_bindings" / name for name in ("lmdb.cdef.h", "bulk.cdef.h", "pages.cdef.h", "flatdb.cdef.h")]
ENGINES = ("0.9", "1.0")
ONLY_1_0 = {
    "PROBLEM", "BAD_CHECKSUM", "CRYPTO_FAIL", "ENV_ENCRYPTION", "TXN_PENDING", "CANT_ROLLBACK", "DBIS_BUSY",
    "SHORT_WRITE", "ENV_BUSY", "IS_READONLY", "ADDR_BUSY", "PREVSNAPSHOT", "REMAP_CHUNKS",
}  # fmt: skip
FUNCTIONS_1_0 = (
    "mdb_env_set_pagesize", "mdb_env_set_encrypt", "mdb_env_set_checksum", "mdb_env_incr_dumpfd",
    "mdb_env_incr_loadfd", "mdb_env_rollback", "mdb_txn_prepare", "lmdb_pages_",
)  # fmt: skip
STRUCTS = (
    "MDB_val", "MDB_stat", "MDB_envinfo", "lmdb_bulk_engine", "lmdb_bulk", "lmdb_bulk_column", "lmdb_bulk_input",
    "lmdb_bulk_output", "lmdb_bulk_scan", "flatdb_error", "flatdb_bytes", "flatdb_reader",
)  # fmt: skip
FLATDB_CODES = (
    "BAD_SCHEMA", "BAD_RECORD", "BAD_JSON", "BAD_KEY", "NOT_CONFORM", "BAD_TABLE", "STOPPED", "BAD_ARGUMENT",
)  # fmt: skip


def prototypes(engine: str = "1.0") -> dict[str, str]:
    """Each function that the binding declares for an engine: name to prototype."""
    text = re.sub(r"/\*.*?\*/", "", "\n".join(cdef.read_text() for cdef in CDEFS), flags=re.DOTALL)
    lines = re.findall(
        r"^(?!typedef)(\w[\w *]*?\b((?:flatdb|lmdb_bulk|lmdb_pages|mdb)_\w+)\([^;{}]*?\);)$", text, re.MULTILINE
    )
    return {name: line for line, name in lines if engine == "1.0" or not name.startswith(FUNCTIONS_1_0)}


def proof(engine: str) -> str:
    """C source that compiles only if every declaration, layout and number of the binding is the header's."""
    lines = [
        '#include "lmdb_bulk.h"',
        '#include "flatdb.h"',
        "#include <stddef.h>",
        "typedef MDB_msg_func *mdb_msg_func;",
    ]
    if engine == "1.0":
        lines += [
            '#include "lmdb_pages.h"',
            "typedef MDB_enc_func *mdb_enc_func;",
            "typedef MDB_sum_func *mdb_sum_func;",
        ]
    lines += prototypes(engine).values()
    for name in STRUCTS:
        layout = ffi.typeof(name)
        lines.append(f'_Static_assert(sizeof({name}) == {ffi.sizeof(layout)}, "{name}");')
        for field, place in layout.fields or ():
            lines.append(f'_Static_assert(offsetof({name}, {field}) == {place.offset}, "{name}.{field}");')
            size = ffi.sizeof(place.type)
            lines.append(f'_Static_assert(sizeof((({name} *)0)->{field}) == {size}, "{name}.{field}");')
    codes = {name: value for name, value in vars(_flatdb).items() if name in FLATDB_CODES}
    for prefix, constants in (("MDB", vars(_constants)), ("LMDB_BULK", vars(_bulk_constants)), ("FLATDB", codes)):
        for name, value in constants.items():
            if name.isupper() and not (engine == "0.9" and name in ONLY_1_0):
                lines.append(f'_Static_assert((long long){prefix}_{name} == {value}LL, "{prefix}_{name}");')
    return "\n".join(lines)


def compiles(source: str, engine: str, folder: Path, target: str = "native") -> tuple[bool, str]:
    file = folder / "proof.c"
    file.write_text(source)
    include = f"-I{liblmdb_wheel.include_dir(engine)}"
    flatdb_include = f"-I{flatdb.include_dir()}"
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        target,
        include,
        flatdb_include,
        "-c",
        str(file),
        "-o",
        str(file.with_suffix(".o")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr


def test_the_generated_module_is_current(tmp_path: Path) -> None:
    """generate_abi.py writes the committed module, byte for byte."""
    generate: Any = runpy.run_path(str(ROOT / "lmdb_bindings" / "generate_abi.py"))["generate"]
    generate(tmp_path / "_abi.py")
    committed = ROOT / "lmdb_bindings" / "src" / "lmdb_bindings" / "_abi.py"
    assert (tmp_path / "_abi.py").read_bytes() == committed.read_bytes()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_declarations_are_the_headers(engine: str, tmp_path: Path) -> None:
    """Prototypes, structures and constants agree with the engine's own header, by the compiler's word."""
    assert len(prototypes()) > 35
    agrees, said = compiles(proof(engine), engine, tmp_path)
    assert agrees, said


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("target", ["s390x-linux-gnu", "aarch64-macos", "x86_64-windows-gnu"])
def test_they_are_on_other_systems(engine: str, target: str, tmp_path: Path) -> None:
    """Also big-endian, and where the system's own types are others: layouts and numbers are the same on 64 bits."""
    agrees, said = compiles(proof(engine), engine, tmp_path, target)
    assert agrees, said


@pytest.mark.parametrize("engine", ENGINES)
def test_prototypes_and_numbers_are_on_32_bits(engine: str, tmp_path: Path) -> None:
    """Layouts are others there, which CFFI makes by the same rules."""
    lines = [line for line in proof(engine).splitlines() if not re.match(r"_Static_assert\((size|offset)of", line)]
    agrees, said = compiles("\n".join(lines), engine, tmp_path, "arm-linux-gnueabihf")
    assert agrees, said
    agrees, said = compiles(proof(engine), engine, tmp_path, "arm-linux-gnueabihf")
    assert not agrees
    assert "MDB_val" in said


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("int mdb_txn_commit(MDB_txn *txn);", "void mdb_txn_commit(MDB_txn *txn);"),
        ("int mdb_env_sync(MDB_env *env, int force);", "int mdb_env_sync(MDB_env *env, long force);"),
        ("offsetof(MDB_val, mv_data) == 8", "offsetof(MDB_val, mv_data) == 0"),
        ("MDB_NOTFOUND == -30798LL", "MDB_NOTFOUND == -30799LL"),
        ("LMDB_BULK_PICKLE == 2LL", "LMDB_BULK_PICKLE == 1LL"),
        ("int lmdb_bulk_version(void);", "long lmdb_bulk_version(void);"),
        ("void flatdb_free(void *data);", "int flatdb_free(void *data);"),
        ("FLATDB_BAD_RECORD == -30501LL", "FLATDB_BAD_RECORD == -30500LL"),
        ("offsetof(flatdb_reader, record) == 24", "offsetof(flatdb_reader, record) == 16"),
    ],
)
def test_the_proof_can_fail(engine: str, right: str, wrong: str, tmp_path: Path) -> None:
    """One wrong declaration, offset or number, and it does not compile."""
    source = proof(engine)
    assert right in source
    agrees, _ = compiles(source.replace(right, wrong), engine, tmp_path)
    assert not agrees


@pytest.mark.parametrize("engine", ENGINES)
def test_the_library_has_every_function(engine: str) -> None:
    """Each declared function is exported by the engine, or by the library that its name says."""
    lib = ffi.dlopen(str(liblmdb_wheel.library_path(engine)))
    bulk = ffi.dlopen(str(liblmdb_wheel.LMDB_BULK.path))
    pages = ffi.dlopen(str(liblmdb_wheel.LMDB_PAGES.path))
    libraries = {"flatdb": _flatdb.library(engine), "lmdb_bulk": bulk, "lmdb_pages": pages}
    for name in prototypes(engine):
        library = next((library for prefix, library in libraries.items() if name.startswith(prefix)), lib)
        assert getattr(library, name)
