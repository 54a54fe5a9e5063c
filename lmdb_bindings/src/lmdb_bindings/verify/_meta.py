"""The two meta pages: which snapshot is the last committed one, and how its pages are to be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lmdb_bindings.verify import _format as f
from lmdb_bindings.verify._page import Page
from lmdb_bindings.verify._report import Report, VerifyError

Read = Callable[[int, int], bytes]  # offset, size: so many bytes, or fewer where the file ends


class Snapshot(NamedTuple):
    """The last committed transaction, as LMDB picks it.

    Attributes:
        page_size: in bytes.
        sum_size: of the checksum at the end of each page, in bytes.
    """

    meta: f.Meta
    page_size: int
    sum_size: int


def snapshot(row: f.Format, read: Read, report: Report) -> Snapshot:
    """Verify the meta pages, and pick one.

    Raises:
        VerifyError: neither can be used.
    """
    page_size, metas = 0, []
    for number in range(f.METAS):
        report.spend()
        size = row.header.size + f.META_PAGE.size
        buffer = read(number * page_size, size)
        if len(buffer) < size:
            raise VerifyError(f"the file ends before or in meta page {number}")
        meta = f.Meta.read(buffer, row.header.size)
        page_size = page_size or _page_size(row, meta)
        if meta.free.flags & row.encrypt:
            raise VerifyError("the environment is encrypted: its pages can be read only with its key")
        wrong = _damage(row, number, Page(row, buffer, 0, size), meta, page_size)
        for problem in wrong:
            report.add(f"meta page {number}: {problem}")
        metas.append((not wrong, meta.txnid, -number, meta))  # in the order of preference
    (_, txnid, _, older), (_, _, number, newest) = sorted(metas)
    if txnid > 1:  # mdb_env_rollback leaves an empty snapshot, with roots 0, under its lowest possible number
        for name, record in (("free DB", older.free), ("main DB", older.main)):
            if record.root != f.NO_PAGE and not f.METAS <= record.root <= older.last_page:
                report.add(f"the older meta page: {name}: root page {record.root} out of range")
    if not f.METAS - 1 <= newest.last_page < f.NO_PAGE:
        raise VerifyError(f"meta page {-number}: mm_last_pg is {newest.last_page}")
    return Snapshot(newest, page_size, _sum_size(row, read, page_size, report))


def _page_size(row: f.Format, meta: f.Meta) -> int:
    size = meta.free.pad
    if not f.MIN_PAGE_SIZE <= size <= row.max_page_size or size & (size - 1):
        raise VerifyError(f"meta page 0: mm_psize is {size}: not a power of two from {f.MIN_PAGE_SIZE} to "
                          f"{row.max_page_size}")  # fmt: skip
    return size


def _damage(row: f.Format, number: int, page: Page, meta: f.Meta, page_size: int) -> list[str]:
    wrong = []
    if page.flags != f.META:
        wrong.append(f"page flags 0x{page.flags:x} are not those of a meta page")
    if page.pgno != number:
        wrong.append(f"it takes itself for page {page.pgno}")
    if (meta.magic, meta.version) != (f.MAGIC, row.version):
        wrong.append(f"bad magic 0x{meta.magic:x} or data format {meta.version}")
    if meta.free.pad != page_size:
        wrong.append(f"mm_psize is {meta.free.pad}, and {page_size} in meta page 0")
    if meta.txnid and meta.txnid % f.METAS != number:  # "Transaction N writes meta page #(N % 2)"
        wrong.append(f"transaction {meta.txnid} belongs in the other one")
    if meta.free.flags & f.DATABASE_FLAGS != f.INTEGERKEY:  # the others are the environment's
        wrong.append(f"free DB: invalid flag combination 0x{meta.free.flags:x}")
    return wrong


def _sum_size(row: f.Format, read: Read, page_size: int, report: Report) -> int:
    """The size of the checksums; mdb_env_init_meta writes it where page 0 would have its own."""
    if row.checksum is None:
        return 0
    data = read(page_size - row.checksum.size, row.checksum.size)
    if len(data) < row.checksum.size:
        raise VerifyError("the file has become shorter")
    [size] = row.checksum.unpack(data)
    if size > page_size // 2:
        raise VerifyError(f"checksums of {size} bytes, on pages of {page_size}")
    if size:
        report.add(f"each page has a checksum of {size} bytes, which is not verified: only the function that made it "
                   "can do that")  # fmt: skip
    return int(size)
