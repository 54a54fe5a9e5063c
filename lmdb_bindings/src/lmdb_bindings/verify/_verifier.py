"""The verification of a file: its meta pages, its trees from their roots to every value, and its free list."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from enum import Enum
from typing import Any, BinaryIO

from lmdb_bindings.verify import _format as f
from lmdb_bindings.verify import _order
from lmdb_bindings.verify._meta import snapshot
from lmdb_bindings.verify._order import Order
from lmdb_bindings.verify._page import Node, Page
from lmdb_bindings.verify._report import DamageError, Report, StopError, VerifyError
from lmdb_bindings.verify._usage import Usage, descends, ids_of

_CHUNK = 1 << 16  # of the free list, in bytes


class Role(Enum):
    """What a tree is for."""

    FREE = "the free list: page numbers by transaction"
    MAIN = "the main database, with the records of the named ones"
    NAMED = "a named database"
    VALUES = "the values of one key, as keys"


@dataclass
class Tree:
    """A tree, and what was counted on the way through it."""

    name: str
    role: Role
    record: f.Record
    order: Order
    values: Order | None = None
    branch_pages: int = 0
    leaf_pages: int = 0
    overflow_pages: int = 0
    entries: int = 0
    key_size: int | None = None
    complete: bool = True

    @property
    def leaf_type(self) -> int:
        """mp_flags of its leaves."""
        fixed = self.role is Role.VALUES and self.record.flags & f.DUPFIXED
        return f.LEAF | f.LEAF2 if fixed else f.LEAF


class Verifier:
    """One verification.

    Args:
        file: to be read unbuffered.
        size: of the file, in bytes.

    Attributes:
        row: the data format.
        psize: the page size, in bytes.
        next_pgno: the page after the last one of the snapshot.
    """

    def __init__(self, file: BinaryIO, size: int, report: Report | None = None) -> None:
        self._file = file
        self._size = size
        self._report = report or Report()
        self._named: list[Tree] = []
        self._complete = True

    def verify(self) -> list[str]:
        """The problems, see :func:`lmdb_bindings.verify.verify`."""
        found = f.detect(self._read(0, 64))
        if isinstance(found, str):
            raise VerifyError(found)
        self.row = found
        try:
            self._snapshot(*snapshot(self.row, self._read, self._report))
        except StopError as stop:
            self._report.problems.append(str(stop))
        return self._report.problems

    @property
    def free(self) -> bytes:
        """For each page of the snapshot, whether the free list has it."""
        return self._usage.free()

    def _snapshot(self, meta: f.Meta, page_size: int, sum_size: int) -> None:
        self.psize, self._sum_size, self._txnid = page_size, sum_size, meta.txnid
        self._usage = Usage(meta.last_page, self._size // page_size)
        self.next_pgno = self._usage.next_pgno
        self._tree(Tree("free DB", Role.FREE, meta.free, _order.INTEGER))
        flags = meta.main.flags
        self._tree(Tree("main DB", Role.MAIN, meta.main, _order.of_keys(flags), _order.of_values(flags)))
        for tree in self._named:
            self._tree(tree)
        self._usage.settle(self._report, self._complete)

    def _read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def _page(self, pgno: int, size: int) -> Page:
        """The first bytes of a page.

        Raises:
            DamageError: the file has become shorter.
        """
        self._report.spend()
        buffer = self._read(pgno * self.psize, size)
        if len(buffer) < size:
            raise DamageError(f"page {pgno} beyond EOF")
        return Page(self.row, buffer, 0, min(size, self.psize - self._sum_size))

    # -- trees -----------------------------------------------------------------------------------------------------

    def _tree(self, tree: Tree) -> None:
        try:
            self._check_record(tree)
            if tree.record.root != f.NO_PAGE:
                self._descend(tree, tree.record.root, 1, None, None)
        except DamageError as damage:
            self._note(tree, f"{tree.name}: {damage}")
        self._complete = self._complete and tree.complete
        if tree.complete:
            self._check_counts(tree)

    def _note(self, tree: Tree, problem: str) -> None:
        """Report a part of a tree that cannot be followed, so that what is counted is less than what is there."""
        tree.complete = False
        self._report.add(problem)

    def _check_record(self, tree: Tree) -> None:
        """See that a record makes sense.

        Raises:
            DamageError: its tree cannot be followed.
        """
        record, name = tree.record, tree.name
        space = self.psize - self.row.header.size
        if tree.role in (Role.MAIN, Role.NAMED) and (
            record.flags & ~f.DATABASE_FLAGS or (record.flags & f.DUPSORT_ONLY and not record.flags & f.DUPSORT)
        ):
            self._report.add(f"{name}: invalid flag combination 0x{record.flags:x}")
        if tree.role is Role.VALUES and bool(record.pad) != bool(record.flags & f.DUPFIXED):
            self._report.add(f"{name}: md_pad is {record.pad}, with flags 0x{record.flags:x}")
        if tree.role is not Role.FREE and record.pad > space:  # there it is mm_psize
            self._report.add(f"{name}: md_pad is {record.pad}, and a page has {space} bytes")
        if record.root == f.NO_PAGE:
            if record.depth:
                self._report.add(f"{name}: md_depth is {record.depth}, without a root page")
        elif not 0 < record.depth <= f.MAX_DEPTH:
            raise DamageError(f"md_depth is {record.depth}: LMDB follows 1 to {f.MAX_DEPTH} levels")
        elif not f.METAS <= record.root < self.next_pgno:
            raise DamageError(f"root page {record.root} out of range: the last page is {self.next_pgno - 1}")

    def _check_counts(self, tree: Tree) -> None:
        counts = ["overflow_pages", "entries"]
        # A dupsort database's other counts are no more than a guess: since LMDB 0.9.36 (ITS#9388) they have the pages
        # of its keys' trees in them, but those that it had before are not counted when they come, and none is
        # subtracted when a key with all of its values goes (mdb_drop0).
        if not tree.values:
            counts += ["branch_pages", "leaf_pages"]
        for count in counts:
            found, said = getattr(tree, count), getattr(tree.record, count)
            if found != said:
                self._report.add(f"{tree.name}: {found} {count.replace('_', ' ')}, record says {said}")

    def _descend(self, tree: Tree, pgno: int, depth: int, low: Any, high: Any) -> None:
        """Verify a page of a tree, and what is below it.

        Its depth is 1 at the root; the ranks of its keys are at least ``low`` and less than ``high``, where given.
        """
        where = f"{tree.name}: page {pgno}"
        try:
            self._usage.claim(pgno)
        except DamageError as damage:
            self._note(tree, f"{tree.name}: {damage}")
            return
        try:
            page = self._page(pgno, self.psize)
            if page.pgno != pgno:
                self._report.add(f"{where} takes itself for page {page.pgno}")
            self._check_stamps(where, "mp_txnid", page.stamps)
            is_leaf = depth == tree.record.depth
            if page.flags != (tree.leaf_type if is_leaf else f.BRANCH):
                if page.flags in (f.BRANCH, tree.leaf_type):
                    raise DamageError(f"page flags 0x{page.flags:x} at level {depth} of {tree.record.depth}")
                raise DamageError(f"mixed or invalid page flags 0x{page.flags:x}")
            if is_leaf:
                tree.leaf_pages += 1
                self._leaf(tree, page, where, low, high)
                return
            tree.branch_pages += 1
            nodes = page.nodes()
            # A branch of the free list may have one child: it is balanced while it is written (ITS#8336).
            if len(nodes) < (1 if tree.role is Role.FREE else 2):
                raise DamageError(f"a branch of {len(nodes)} nodes")
            ranks = self._tree_ranks(tree, where, [node.key for node in nodes[1:]], low, high)  # the first has none
        except DamageError as damage:
            self._note(tree, f"{where}: {damage}")
            return
        for node, least, past in zip(nodes, [low, *ranks], [*ranks, high], strict=True):
            self._descend(tree, node.child, depth + 1, least, past)

    def _leaf(self, tree: Tree, page: Page, where: str, low: Any, high: Any) -> None:
        if page.flags & f.LEAF2:
            keys = page.fixed()
            if page.pad != tree.record.pad:
                raise DamageError(f"mp_pad is {page.pad}, md_pad {tree.record.pad}")
        else:
            nodes = page.nodes()
            keys = [node.key for node in nodes]
        if not keys:
            raise DamageError("a leaf without keys")
        if not all(keys) and tree.role is not Role.VALUES:
            self._report.add(f"{where}: a key of no bytes")
        self._tree_ranks(tree, where, keys, low, high)
        if page.flags & f.LEAF2:
            tree.entries += len(keys)
            return
        for index, node in enumerate(nodes):
            self._node(tree, page, node, f"{where} node {index}")

    def _node(self, tree: Tree, page: Page, node: Node, where: str) -> None:
        try:
            self._value(tree, page, node, where)
        except DamageError as damage:
            self._note(tree, f"{where}: {damage}")

    def _tree_ranks(self, tree: Tree, where: str, keys: list[bytes], low: Any, high: Any) -> list[Any]:
        """The ranks of the keys of a tree's page; reports it where they do not ascend between the bounds."""
        if keys and tree.key_size is None:
            tree.key_size = len(keys[0])
        what = "dup data" if tree.role is Role.VALUES else "keys"
        ranks = self._ranks(where, what, keys, tree.order, tree.key_size)
        if (tree.key_size or 0) < tree.order.least:
            return ranks
        if ranks and ((low is not None and ranks[0] < low) or (high is not None and ranks[-1] >= high)):
            self._report.add(f"{where}: {what} out of order with the branch above")
        return ranks

    def _ranks(self, where: str, what: str, keys: list[bytes], order: Order, size: int | None) -> list[Any]:
        if order.one_size and any(len(key) != size for key in keys):
            self._report.add(f"{where}: {what} of different sizes in integer order")
        ranks = [order.rank(key) for key in keys]
        if not all(map(operator.lt, ranks, ranks[1:])) and min(map(len, keys)) >= order.least:
            self._report.add(f"{where}: {what} out of order")
        return ranks

    def _check_stamps(self, where: str, name: str, stamps: list[int]) -> None:
        for stamp in stamps:
            if stamp > self._txnid:
                self._report.add(f"{where}: {name} is {stamp}, and the last committed transaction {self._txnid}")

    # -- values ----------------------------------------------------------------------------------------------------

    def _value(self, tree: Tree, page: Page, node: Node, where: str) -> None:
        """Verify the value of a leaf's node, or its values.

        Raises:
            DamageError: it cannot be followed.
        """
        if tree.role is Role.VALUES:
            if node.flags or node.size:
                raise DamageError(f"node flags 0x{node.flags:x} and {node.size} bytes where a key is all")
            tree.entries += 1
        elif tree.role is Role.FREE:
            self._free_record(tree, page, node, where)
        elif node.flags == 0:
            tree.entries += 1
        elif node.flags == f.BIGDATA:
            self._overflow(tree, page, node, where)
            tree.entries += 1
        elif node.flags == f.SUBDATA and tree.role is Role.MAIN and not tree.values:
            self._named_database(page, node)
            tree.entries += 1
        elif node.flags == f.DUPDATA and tree.values:
            self._sub_page(tree, tree.values, page, node, where)
        elif node.flags == f.DUPDATA | f.SUBDATA and tree.values:
            self._sub_tree(tree, tree.values, page, node)
        else:
            raise DamageError(f"invalid node flags 0x{node.flags:x}")

    def _record(self, page: Page, node: Node) -> f.Record:
        if node.size != f.RECORD.size:
            raise DamageError(f"a database record of {node.size} bytes")
        return f.Record.read(page.buffer, node.at)

    def _named_database(self, page: Page, node: Node) -> None:
        record = self._record(page, node)
        name = f"database {_name(node.key.removesuffix(self.row.name_end))}"
        order, values = _order.of_keys(record.flags), _order.of_values(record.flags)
        self._named.append(Tree(name, Role.NAMED, record, order, values))

    def _sub_tree(self, tree: Tree, values: Order, page: Page, node: Node) -> None:
        record = self._record(page, node)
        fixed = tree.record.flags & f.DUPFIXED
        if record.flags & ~f.INTEGERKEY != fixed:
            raise DamageError(f"invalid flag combination 0x{record.flags:x} of the values' tree")
        self._tree(Tree(f"{tree.name} key {_name(node.key)}", Role.VALUES, record, values))
        tree.entries += record.entries

    def _sub_page(self, tree: Tree, values: Order, page: Page, node: Node, where: str) -> None:
        if node.size < self.row.header.size:
            raise DamageError(f"a sub-page of {node.size} bytes")
        sub_page = Page(self.row, page.buffer, node.at, node.at + node.size)
        kind = f.LEAF | f.SUBPAGE | (f.LEAF2 if tree.record.flags & f.DUPFIXED else 0)
        if sub_page.flags & ~self.row.subpage_flags != kind:
            raise DamageError(f"mixed or invalid sub-page flags 0x{sub_page.flags:x}")
        if sub_page.flags & f.LEAF2:
            keys = sub_page.fixed()
        else:
            nodes = sub_page.nodes()
            if any(sub_node.flags or sub_node.size for sub_node in nodes):
                raise DamageError("a sub-page with a node that is more than a key")
            keys = [sub_node.key for sub_node in nodes]
        if not keys:
            raise DamageError("a sub-page without keys")
        self._ranks(where, "dup data", keys, values, len(keys[0]))
        tree.entries += len(keys)

    def _overflow(self, tree: Tree, page: Page, node: Node, where: str) -> int:
        """Verify a run of overflow pages; returns the first one."""
        pgno, *rest = self.row.overflow.unpack_from(page.buffer, node.at)
        self._usage.check(pgno)
        header = self._page(pgno, self.row.header.size)
        if header.flags != f.OVERFLOW:
            raise DamageError(f"page {pgno} is not a pure overflow page: flags 0x{header.flags:x}")
        count = header.run
        needed = (self.row.header.size - 1 + node.size + self._sum_size) // self.psize + 1  # OVPAGES
        for pages in rest[1:]:
            if pages != count:
                raise DamageError(f"overflow op_pages {pages}, header mp_pages {count} of page {pgno}")
        what = f"page {pgno}: header mp_pages {count}, of which {node.size} bytes need {needed}"
        if count < needed:
            raise DamageError(what)
        try:
            self._usage.check(pgno, count)
        except DamageError as damage:
            raise DamageError(f"{what}: {damage}") from None
        self._usage.claim(pgno, needed)
        if count > needed:
            self._usage.claim_surplus(pgno + needed, count - needed, f"{where}: {what}")
        if header.pgno != pgno:
            self._report.add(f"{where}: page {pgno} takes itself for page {header.pgno}")
        self._check_stamps(where, "mp_txnid", header.stamps)
        self._check_stamps(where, "op_txnid", rest[:1])
        tree.overflow_pages += count
        return int(pgno)

    # -- the free list ---------------------------------------------------------------------------------------------

    def _free_record(self, tree: Tree, page: Page, node: Node, where: str) -> None:
        tree.entries += 1
        if node.flags & ~f.BIGDATA:
            raise DamageError(f"invalid node flags 0x{node.flags:x}")
        if len(node.key) != f.IDS.size:
            raise DamageError(f"a key of {len(node.key)} bytes, where a transaction has {f.IDS.size}")
        [txnid] = f.IDS.unpack(node.key)
        if not 0 < txnid <= self._txnid:
            self._report.add(
                f"{where}: pages freed by transaction {txnid}, and the last committed one is {self._txnid}"
            )
        if node.flags & f.BIGDATA:
            start = self._overflow(tree, page, node, where) * self.psize + self.row.header.size
        else:
            start = None
        if node.size < f.IDS.size or node.size % f.IDS.size:
            raise DamageError(f"a list of {node.size} bytes does not match value size: not a number of numbers")
        above = self.next_pgno
        for offset in range(0, node.size, _CHUNK):
            size = min(_CHUNK, node.size - offset)
            self._report.spend()
            data = page.buffer[node.at + offset :][:size] if start is None else self._read(start + offset, size)
            if len(data) < size:
                raise DamageError("the list is beyond EOF")
            ids = ids_of(data)
            if offset == 0:
                count = ids.pop(0)
                if count != node.size // f.IDS.size - 1:
                    raise DamageError(f"a list of {count} pages does not match value size {node.size}")
            if not ids:
                continue
            if max(ids) >= self.next_pgno or min(ids) < f.METAS:
                wrong = next(pgno for pgno in ids if not f.METAS <= pgno < self.next_pgno)
                raise DamageError(f"the list of transaction {txnid} has the out-of-range page {wrong}")
            if not descends(ids) or ids[0] >= above:
                raise DamageError(f"the list of transaction {txnid} is not strictly descending")
            above = ids[-1]
            self._usage.release(ids, self._report, where)


def _name(key: bytes) -> str:
    return repr(key if len(key) <= 40 else key[:40] + b"...")
