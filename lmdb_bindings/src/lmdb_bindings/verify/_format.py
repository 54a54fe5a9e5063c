"""The data formats, as rows of a table, and the records that are the same in all of them.

The source is ``mdb.c`` of LMDB 0.9.36 and 1.0.2: ``MDB_page``, ``MDB_node``, ``MDB_ovpage``, ``MDB_db``, ``MDB_meta``.
The structs are the host's own; ``=`` is its byte order with sizes of 64-bit hosts, and none of them has padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

MAGIC = 0xBEEFC0DE
METAS = 2  # NUM_METAS: pages 0 and 1
NO_PAGE = 2**64 - 1  # P_INVALID: the root of an empty tree
MAX_DEPTH = 32  # CURSOR_STACK
MIN_PAGE_SIZE = 256

# page types: mp_flags
BRANCH = 0x01
LEAF = 0x02
OVERFLOW = 0x04
META = 0x08
LEAF2 = 0x20
SUBPAGE = 0x40

# nodes of leaves: mn_flags
BIGDATA = 0x01
SUBDATA = 0x02
DUPDATA = 0x04

# databases: md_flags
REVERSEKEY = 0x02
DUPSORT = 0x04
INTEGERKEY = 0x08
DUPFIXED = 0x10
INTEGERDUP = 0x20
REVERSEDUP = 0x40
DUPSORT_ONLY = DUPFIXED | INTEGERDUP | REVERSEDUP
DATABASE_FLAGS = REVERSEKEY | DUPSORT | INTEGERKEY | DUPSORT_ONLY


@dataclass(frozen=True)
class Format:
    """What one data format has of its own. Sizes and offsets in bytes.

    Attributes:
        engine: the LMDB that writes it.
        version: MDB_DATA_VERSION.
        header: a page's header: mp_pgno, mp_txnid where there is one, mp_pad, mp_flags, mp_lower, mp_upper.
        base: where in a page mp_lower, mp_upper and the offsets of its nodes count from (PAGEBASE).
        max_page_size: the largest size of a page (MAX_PAGESIZE).
        key_unit: a multiple of this is taken by the key of a node, whose data comes next.
        overflow: the data of a node whose value is on overflow pages: op_pgno, and op_txnid and op_pages where it has
            them.
        subpage_flags: what mp_flags of a sub-page may have besides its type.
        name_end: what ends the name of a named database in its key.
        encrypt: the flag of an encrypted environment in mm_flags, 0 where there is none.
        checksum: at the end of page 0: how many bytes of a checksum end every other page; None where there is none.
    """

    engine: str
    version: int
    header: Struct
    base: int
    max_page_size: int
    key_unit: int
    overflow: Struct
    subpage_flags: int
    name_end: bytes
    encrypt: int
    checksum: Struct | None


FORMATS = (
    Format("0.9", 1, Struct("=QHHHH"), 0, 0x8000, 1, Struct("=Q"), 0x10, b"", 0, None),  # 0x10: P_DIRTY
    Format("1.0", 3, Struct("=QQHHHH"), 24, 0x10000, 2, Struct("=QQQ"), 0, b"\0", 0x2000, Struct("=H")),
)

STAMP = Struct("=II")  # mm_magic, mm_version
RUN = Struct("=I")  # mp_pages of an overflow page, in the place of mp_lower and mp_upper
NODE = Struct("=IHH")  # mn_lo and mn_hi, mn_flags, mn_ksize
IDS = Struct("=Q")  # a transaction or page number in the free list
RECORD = Struct("=IHHQQQQQ")
META_PAGE = Struct(f"=IIQQ{RECORD.size}s{RECORD.size}sQQ")


class Record(NamedTuple):
    """MDB_db: what is known of a tree."""

    pad: int
    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int

    @classmethod
    def read(cls, buffer: bytes, at: int = 0) -> Record:
        """The record at an offset."""
        return cls(*RECORD.unpack_from(buffer, at))


class Meta(NamedTuple):
    """MDB_meta: a snapshot. The page size and the environment's flags are in the free list's record."""

    magic: int
    version: int
    address: int
    map_size: int
    free: Record
    main: Record
    last_page: int
    txnid: int

    @classmethod
    def read(cls, buffer: bytes, at: int) -> Meta:
        """The meta at an offset."""
        magic, version, address, map_size, free, main, last_page, txnid = META_PAGE.unpack_from(buffer, at)
        return cls(magic, version, address, map_size, Record.read(free), Record.read(main), last_page, txnid)


def detect(head: bytes) -> Format | str:
    """The format of a file by its first 64 bytes; or why there is none."""
    for row in FORMATS:
        if len(head) >= row.header.size + STAMP.size:
            magic, version = STAMP.unpack_from(head, row.header.size)
            if (magic, version) == (MAGIC, row.version):
                return row
    magic_bytes = STAMP.pack(MAGIC, 0)[:4]
    at = head.find(magic_bytes)
    if 0 <= at <= len(head) - STAMP.size:
        version = STAMP.unpack_from(head, at)[1]
        if version in [row.version for row in FORMATS]:
            return f"data format {version} with a page header of {at} bytes: not written by a 64-bit LMDB"
        return f"data format {version}, which no released LMDB writes" if version else "data format 0: a damaged file"
    if magic_bytes[::-1] in head:
        return "written on a host of the other byte order"
    return "not an LMDB file: no magic number where a meta page has it"
