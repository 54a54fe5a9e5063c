"""Staging: from the archive to a patched tree, complete or not there at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.vendor.carrier import Carrier
from vendor.errors import VendorError
from vendor.insertion import insert
from vendor.lock import Insertion, Upstream, sha256
from vendor.stage import PROVENANCE, differences, provenance, stage

OLD_TREE = {"old.c": b"old\n", "folder/older.c": b"older\n"}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, hidden ones included, and its content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put_old_tree(upstream: Upstream) -> None:
    for name, data in OLD_TREE.items():
        (upstream.stage / name).parent.mkdir(parents=True, exist_ok=True)
        (upstream.stage / name).write_bytes(data)


def fail(original: Callable[..., Any], error: int, *, after: int) -> Callable[..., Any]:
    """``original`` for that many calls, and from then on the system's error."""
    calls = 0

    def call(path: Path, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(error, os.strerror(error), str(path))
        return original(path, *arguments)

    return call


def test_stages_the_patched_files_and_their_provenance(carrier: Carrier) -> None:
    """The tree holds the files taken, after the series, and the record of where they come from; nothing else."""
    stage(carrier.upstream, carrier.cache)
    found = tree(carrier.upstream.stage)
    assert json.loads(found.pop(PROVENANCE)) == provenance(carrier.upstream)
    assert found == carrier.final
    assert b"line 3\nfirst\n" in found["hello.c"]
    assert b"line 20, second\n" in found["hello.c"]
    assert os.listdir(carrier.upstream.stage.parent) == ["small"]
    assert differences(carrier.upstream) == []


def test_provenance_names_everything_that_the_lock_pins(carrier: Carrier) -> None:
    """The record has the archive, the patches in order, and the hash of each staged file as it is in the tree."""
    upstream = carrier.upstream
    assert provenance(upstream) == {
        "name": "small",
        "version": "1.0",
        "license": "MIT",
        "archive": {"name": "small", "version": "1.0", "sha256": sha256(carrier.path.read_bytes())},
        "patches": [
            {"name": "first.patch", "sha256": upstream.patches[0].sha256},
            {"name": "second.patch", "sha256": upstream.patches[1].sha256},
        ],
        "insertions": [],
        "files": {name: sha256(data) for name, data in carrier.final.items()},
    }


def inserted(carrier: Carrier, *insertions: Insertion) -> Upstream:
    """The upstream with these insertions, and the hash that its source then has."""
    files = dict(carrier.final)
    insert(insertions, files)
    return replace(carrier.upstream, insertions=insertions, patched={"hello.c": sha256(files["hello.c"])})


def test_inserts_behind_the_patches(carrier: Carrier) -> None:
    """An insertion's line counts in the file as the series leaves it, and each text arrives once."""
    reason = "A reason."
    upstream = inserted(
        carrier, Insertion("hello.c", 21, "ours\n", reason), Insertion("hello.c", 31, "the end\n", reason)
    )
    stage(upstream, carrier.cache)
    staged = (upstream.stage / "hello.c").read_bytes()
    assert b"line 20, second\nours\nline 21\n" in staged
    assert staged.endswith(b"line 30\nthe end\n")
    assert staged.replace(b"ours\n", b"").replace(b"the end\n", b"") == carrier.final["hello.c"]
    assert differences(upstream) == []


def test_provenance_names_the_insertions(carrier: Carrier) -> None:
    """The record has each insertion whole: where, what and why."""
    upstream = inserted(carrier, Insertion("hello.c", 5, "ours\n", "A reason."))
    stage(upstream, carrier.cache)
    record = json.loads((upstream.stage / PROVENANCE).read_bytes())
    assert record["insertions"] == [{"file": "hello.c", "after": 5, "text": "ours\n", "why": "A reason."}]


@pytest.mark.parametrize("change", [{"after": 6}, {"text": "other\n"}, None], ids=["place", "text", "dropped"])
def test_notices_another_insertion(carrier: Carrier, change: dict[str, Any] | None) -> None:
    """Lines of our own that stand elsewhere, are others or are missing are told by the hash of the file."""
    insertion = Insertion("hello.c", 5, "ours\n", "A reason.")
    insertions = () if change is None else (replace(insertion, **change),)
    upstream = replace(inserted(carrier, insertion), insertions=insertions)
    changes = f"2 patches and {len(insertions)} insertions"
    expected = rf"^small: hello\.c is not what the lock says after its {changes}\n  cure: .*vendor pin$"
    with pytest.raises(VendorError, match=expected):
        stage(upstream, carrier.cache)
    assert not upstream.stage.exists()


def test_insertion_without_a_place(carrier: Carrier) -> None:
    """An insertion behind a line that the file does not have leaves nothing staged."""
    upstream = replace(carrier.upstream, insertions=(Insertion("hello.c", 32, "ours\n", "A reason."),))
    with pytest.raises(VendorError, match=r"^hello\.c has 31 whole lines, and the lock inserts behind line 32\n"):
        stage(upstream, carrier.cache)
    assert not upstream.stage.exists()


def test_another_reason_is_a_difference(carrier: Carrier) -> None:
    """A change of an insertion's reason alone shows, though the files are the same."""
    insertion = Insertion("hello.c", 5, "ours\n", "A reason.")
    upstream = inserted(carrier, insertion)
    stage(upstream, carrier.cache)
    upstream = replace(upstream, insertions=(replace(insertion, why="A better one."),))
    assert differences(upstream) == ["PROVENANCE.json: missing, or written for another lock"]


def test_staged_folder_is_readable_by_others(carrier: Carrier) -> None:
    """The tree is not private to its owner, as temporary folders are."""
    stage(carrier.upstream, carrier.cache)
    assert carrier.upstream.stage.stat().st_mode & 0o777 == 0o755


def test_replaces_the_tree_as_a_whole(carrier: Carrier) -> None:
    """A file that the lock no longer has disappears with the old tree."""
    put_old_tree(carrier.upstream)
    stage(carrier.upstream, carrier.cache)
    assert set(tree(carrier.upstream.stage.parent)) == {f"small/{name}" for name in [*carrier.final, PROVENANCE]}


def test_replaces_a_file_that_stands_in_the_place(carrier: Carrier) -> None:
    """A plain file where the tree belongs is no obstacle."""
    carrier.upstream.stage.parent.mkdir()
    carrier.upstream.stage.touch()
    stage(carrier.upstream, carrier.cache)
    assert differences(carrier.upstream) == []


def test_notices_a_dropped_patch(carrier: Carrier) -> None:
    """A series that applies without one of its patches is told from the whole one by its result."""
    upstream = replace(carrier.upstream, patches=carrier.upstream.patches[:1])
    expected = (
        r"^small: hello\.c is not what the lock says after its 1 patches and 0 insertions\n"
        r"  cure: a patch is missing, added or out of order"
    )
    with pytest.raises(VendorError, match=expected):
        stage(upstream, carrier.cache)
    assert not upstream.stage.exists()


def test_notices_an_added_patch(carrier: Carrier) -> None:
    """A patch that changes a file which the lock does not call patched is noticed."""
    patch = b"--- a/src/include/hello.h\n+++ b/src/include/hello.h\n@@ -1 +1 @@\n-int hello(void);\n+int bye(void);\n"
    texts = [carrier.members[f"small-1.0/{entry.path}"] for entry in carrier.upstream.patches]
    carrier.series(first=texts[0], second=texts[1], third=patch)  # type: ignore[arg-type]
    with pytest.raises(
        VendorError, match=r"^small: include/hello\.h is not what the lock says after its 3 patches and 0 insertions\n"
    ):
        stage(carrier.upstream, carrier.cache)


def test_notices_swapped_patches(carrier: Carrier) -> None:
    """A series in another order does not apply."""
    upstream = replace(carrier.upstream, patches=carrier.upstream.patches[::-1])
    with pytest.raises(
        VendorError, match=r"^second\.patch does not apply to hello\.c at line 18 .*\n  cure: check the order"
    ):
        stage(upstream, carrier.cache)
    assert not upstream.stage.exists()


def test_notices_another_patch(carrier: Carrier) -> None:
    """A patch in the archive that is not the pinned one is refused before it is applied."""
    first, second = carrier.upstream.patches
    upstream = replace(carrier.upstream, patches=(first, replace(second, sha256="0" * 64)))
    with pytest.raises(VendorError, match=r"^small-1\.0/patches/second\.patch in small-1\.0\.tar\.gz has sha256 "):
        stage(upstream, carrier.cache)


@pytest.mark.parametrize("old_tree", [OLD_TREE, {}], ids=["old tree", "no tree"])
@pytest.mark.parametrize("broken", ["patch", "archive", "series"])
def test_error_before_writing_leaves_what_was_there(carrier: Carrier, broken: str, old_tree: dict[str, bytes]) -> None:
    """A bad patch, archive or series leaves the old tree, or none, and nothing beside it."""
    if old_tree:
        put_old_tree(carrier.upstream)
    if broken == "patch":
        carrier.series(first=b"no diff\n")
    elif broken == "archive":
        carrier.path.write_bytes(b"")
    else:
        carrier.series()
    with pytest.raises(VendorError):
        stage(carrier.upstream, carrier.cache)
    parent = carrier.upstream.stage.parent
    assert tree(parent) == {f"small/{name}": data for name, data in old_tree.items()}
    assert parent.exists() == bool(old_tree)


@pytest.mark.parametrize("old_tree", [OLD_TREE, {}], ids=["old tree", "no tree"])
@pytest.mark.parametrize("written", [0, 1, 2])
def test_disk_full_leaves_what_was_there(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch, written: int, old_tree: dict[str, bytes]
) -> None:
    """A disk that fills at any file leaves the old tree, or none, no temporary folder, and says what to do."""
    if old_tree:
        put_old_tree(carrier.upstream)
    monkeypatch.setattr(Path, "write_bytes", fail(Path.write_bytes, errno.ENOSPC, after=written))
    with pytest.raises(VendorError) as caught:
        stage(carrier.upstream, carrier.cache)
    assert caught.value.problem.startswith(f"{carrier.upstream.stage} cannot be written: ")
    assert os.strerror(errno.ENOSPC) in caught.value.problem
    assert caught.value.cure == "free some space, or make the folder writable"
    parent = carrier.upstream.stage.parent
    assert tree(parent) == {f"small/{name}": data for name, data in old_tree.items()}
    assert os.listdir(parent) == ["small"] * bool(old_tree)


@pytest.mark.parametrize("renamed", [0, 1])
def test_failed_swap_puts_the_old_tree_back(carrier: Carrier, monkeypatch: pytest.MonkeyPatch, renamed: int) -> None:
    """Where either rename of the swap fails, the old tree stands where it stood, and nothing beside it."""
    put_old_tree(carrier.upstream)
    original, calls = Path.rename, 0

    def rename(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == renamed + 1:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        return original(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(VendorError, match=r"staged/small cannot be written: .*busy"):
        stage(carrier.upstream, carrier.cache)
    assert tree(carrier.upstream.stage) == OLD_TREE
    assert os.listdir(carrier.upstream.stage.parent) == ["small"]


def test_not_staged(carrier: Carrier) -> None:
    """Where there is no tree, that is the one difference."""
    assert differences(carrier.upstream) == ["not staged"]


def test_differences_of_files(carrier: Carrier) -> None:
    """Missing, changed and extra files are told apart, a line each."""
    stage(carrier.upstream, carrier.cache)
    folder = carrier.upstream.stage
    (folder / "hello.c").unlink()
    (folder / "include" / "hello.h").write_bytes(b"int goodbye(void);\n")
    (folder / "include" / "extra.h").touch()
    expected = ["hello.c: missing", "include/extra.h: not in the lock", "include/hello.h: changed"]
    assert sorted(differences(carrier.upstream)) == expected


def test_unpatched_file_differs(carrier: Carrier) -> None:
    """The file as published, without its patches, is not what the lock wants staged."""
    stage(carrier.upstream, carrier.cache)
    published = carrier.members["small-1.0/src/hello.c"]
    assert isinstance(published, bytes)
    (carrier.upstream.stage / "hello.c").write_bytes(published)
    assert differences(carrier.upstream) == ["hello.c: changed"]


def test_a_pipe_is_a_difference(carrier: Carrier) -> None:
    """What is no regular file is changed, and is not read."""
    stage(carrier.upstream, carrier.cache)
    (carrier.upstream.stage / "hello.c").unlink()
    os.mkfifo(carrier.upstream.stage / "hello.c")
    assert differences(carrier.upstream) == ["hello.c: changed"]


def test_links_are_differences(carrier: Carrier, tmp_path: Path) -> None:
    """A link is not the file, even with its content, and a link to a folder or to nothing is not passed over."""
    stage(carrier.upstream, carrier.cache)
    folder = carrier.upstream.stage
    (folder / "hello.c").rename(tmp_path / "elsewhere.c")
    (folder / "hello.c").symlink_to(tmp_path / "elsewhere.c")
    (folder / "include" / "hello.h").unlink()
    (folder / "include" / "hello.h").symlink_to(tmp_path / "nowhere.h")
    (folder / "more").symlink_to(tmp_path)
    expected = ["hello.c: changed", "include/hello.h: changed", "more: not in the lock"]
    assert sorted(differences(carrier.upstream)) == expected


@pytest.mark.parametrize("content", [None, b"{}\n", b"\xff"], ids=["missing", "foreign", "no text"])
def test_provenance_of_another_lock(carrier: Carrier, content: bytes | None) -> None:
    """A tree whose record is not this lock's is reported, though its files are right."""
    stage(carrier.upstream, carrier.cache)
    if content is None:
        (carrier.upstream.stage / PROVENANCE).unlink()
    else:
        (carrier.upstream.stage / PROVENANCE).write_bytes(content)
    assert differences(carrier.upstream) == ["PROVENANCE.json: missing, or written for another lock"]


def test_another_archive_with_the_same_files_is_a_difference(carrier: Carrier) -> None:
    """A change of the pinned archive alone shows, so that the record never lies."""
    stage(carrier.upstream, carrier.cache)
    upstream = replace(carrier.upstream, archive=replace(carrier.upstream.archive, version="1.1"))
    assert differences(upstream) == ["PROVENANCE.json: missing, or written for another lock"]
