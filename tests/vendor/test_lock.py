"""The lock: what it pins, and what it refuses to be told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from vendor.errors import VendorError
from vendor.lock import ROOT, Insertion, Upstream, read_archives, read_lock

A, B, C, D = (letter * 64 for letter in "abcd")

OUTSIDE = ["", "/x", "..", "../x", "a/../../x", "a//x", "a/", "./a", "a/.", "a\\x", "..\\x", "C:/x", "C:x"]


@pytest.fixture
def document() -> dict[str, Any]:
    """A lock with one upstream, one file and one patch, for a test to spoil."""
    return {
        "archives": {"small": {"version": "1.0", "sha256": A}, "witness": {"version": "2.0", "sha256": D}},
        "upstreams": {
            "hello": {
                "version": "0.1",
                "license": "MIT",
                "archive": "small",
                "root": "src/hello",
                "stage": "some/folder",
                "patch_root": "patches",
                "patches": [{"name": "fix.patch", "sha256": B}],
                "files": {"hello.c": C},
                "patched": {"hello.c": D},
            }
        },
    }


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "lock.toml"


def read(document: dict[str, Any], lock_file: Path) -> dict[str, Upstream]:
    """Write the document where ``read_lock`` reads it."""
    lock_file.write_text(tomlkit.dumps(document), encoding="utf-8")
    return read_lock(lock_file)


def test_reads_an_upstream(document: dict[str, Any], lock_file: Path) -> None:
    """Every entry of the lock arrives in the record, and paths are relative to what they are said to be."""
    upstream = read(document, lock_file)["hello"]
    assert (upstream.name, upstream.version, upstream.license, upstream.strip) == ("hello", "0.1", "MIT", 1)
    assert (upstream.archive.filename, upstream.archive.sha256) == ("small-1.0.tar.gz", A)
    assert upstream.archive.member(f"{upstream.root}/hello.c") == "small-1.0/src/hello/hello.c"
    assert upstream.stage == ROOT / "some" / "folder"
    assert [(patch.name, patch.path, patch.sha256) for patch in upstream.patches] == [
        ("fix.patch", "patches/fix.patch", B)
    ]
    assert (upstream.files, upstream.staged_files) == ({"hello.c": C}, {"hello.c": D})


def test_files_in_the_top_folder(document: dict[str, Any], lock_file: Path) -> None:
    """The root "." is the top folder of the archive."""
    document["upstreams"]["hello"]["root"] = "."
    upstream = read(document, lock_file)["hello"]
    assert upstream.archive.member(f"{upstream.root}/hello.c") == "small-1.0/hello.c"


def test_keeps_the_order_of_the_file(document: dict[str, Any], lock_file: Path) -> None:
    """Upstreams come in the order in which the lock has them."""
    upstreams = document["upstreams"]
    upstreams["another"] = upstreams["hello"]
    assert list(read(document, lock_file)) == ["hello", "another"]


def test_archives_include_witnesses(document: dict[str, Any], lock_file: Path) -> None:
    """An archive that no upstream is taken from is read all the same."""
    read(document, lock_file)
    assert read_archives(lock_file)["witness"].filename == "witness-2.0.tar.gz"


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("field", ["files", "patched", "root", "stage", "patch name", "patch root"])
def test_path_that_would_leave_its_folder(document: dict[str, Any], lock_file: Path, field: str, path: str) -> None:
    """A path that is absolute, climbs, has empty parts, a backslash or a drive is refused wherever it stands."""
    upstream = document["upstreams"]["hello"]
    if field == "files":
        upstream["files"][path] = C
    elif field == "patched":
        upstream["patched"][path] = C
    elif field == "patch name":
        upstream["patches"][0]["name"] = path
    elif field == "patch root":
        upstream["patch_root"] = path
    else:
        upstream[field] = path
    with pytest.raises(
        VendorError, match=r"' would leave its folder, or is not a plain relative path\n  cure: correct"
    ):
        read(document, lock_file)


@pytest.mark.parametrize("version", ["1.0/../../../x", "1.0\\x", "1:0"])
def test_archive_name_that_would_leave_the_cache(document: dict[str, Any], lock_file: Path, version: str) -> None:
    """A version that would put the archive outside the cache is refused."""
    document["archives"]["small"]["version"] = version
    with pytest.raises(VendorError, match=rf"^{re.escape(repr(f'small-{version}'))} would leave its folder"):
        read(document, lock_file)


def test_upstream_name_that_would_leave_its_folder(document: dict[str, Any], lock_file: Path) -> None:
    """The name of an upstream, which becomes part of a folder's name while staging, must be plain too."""
    document["upstreams"]["../x"] = document["upstreams"]["hello"]
    with pytest.raises(VendorError, match=r"^'\.\./x' would leave its folder"):
        read(document, lock_file)


@pytest.mark.parametrize("digest", ["", A[1:], A + "a", A.upper(), "g" * 64, A + "\n", f"sha256:{A}"])
@pytest.mark.parametrize("field", ["small", "hello.c", "fix.patch", "patched"])
def test_malformed_hash(document: dict[str, Any], lock_file: Path, field: str, digest: str) -> None:
    """Anything but 64 lower-case hexadecimal digits is refused, with the name of what it belongs to."""
    upstream = document["upstreams"]["hello"]
    if field == "small":
        document["archives"]["small"]["sha256"] = digest
    elif field == "fix.patch":
        upstream["patches"][0]["sha256"] = digest
    else:
        upstream["patched" if field == "patched" else "files"]["hello.c"] = digest
    name = "hello.c" if field == "patched" else field
    expected = f"{name}: {digest!r} is not a sha256 (64 lower-case hexadecimal digits)\n  cure: correct the lock"
    with pytest.raises(VendorError, match=f"^{re.escape(expected)}$"):
        read(document, lock_file)


def test_patched_hash_for_a_file_not_taken(document: dict[str, Any], lock_file: Path) -> None:
    """A hash after patching is only for files that are taken."""
    document["upstreams"]["hello"]["patched"]["stray.c"] = C
    expected = (
        r"^hello: the lock gives a patched hash for files that it does not take: \['stray\.c'\]\n  cure: add them"
    )
    with pytest.raises(VendorError, match=expected):
        read(document, lock_file)


@pytest.mark.parametrize("key", ["version", "license", "archive", "root", "stage", "files", "patch_root"])
def test_missing_key(document: dict[str, Any], lock_file: Path, key: str) -> None:
    """A missing key is named, with the file and the command that restores it."""
    del document["upstreams"]["hello"][key]
    expected = f"{lock_file} lacks the key '{key}'\n  cure: restore it: git checkout -- {lock_file}"
    with pytest.raises(VendorError, match=f"^{re.escape(expected)}$"):
        read(document, lock_file)


def test_unknown_archive(document: dict[str, Any], lock_file: Path) -> None:
    """An upstream can only be taken from an archive that the lock pins."""
    document["upstreams"]["hello"]["archive"] = "elsewhere"
    with pytest.raises(VendorError, match=r"lock\.toml lacks the key 'elsewhere'\n"):
        read(document, lock_file)


def insertion(after: object = 3, **changes: object) -> dict[str, object]:
    return {"file": "hello.c", "after": after, "text": "ours\n", "why": "A reason."} | changes


def refuses_insertions(document: dict[str, Any], lock_file: Path, insertions: object, problem: str) -> None:
    document["upstreams"]["hello"]["insertions"] = insertions
    with pytest.raises(VendorError, match=rf"^{re.escape(problem)}\n  cure: \w"):
        read(document, lock_file)


def test_reads_insertions(document: dict[str, Any], lock_file: Path) -> None:
    """Insertions arrive in order, with their texts as they are; an upstream may have none."""
    assert read(document, lock_file)["hello"].insertions == ()
    upstream = document["upstreams"]["hello"]
    upstream["files"] = {"hello.c": C, "a.h": D}
    upstream["insertions"] = [insertion(9, file="a.h"), insertion(1, text="\tone\n\n\\two\n"), insertion(2)]
    assert read(document, lock_file)["hello"].insertions == (
        Insertion("a.h", 9, "ours\n", "A reason."),
        Insertion("hello.c", 1, "\tone\n\n\\two\n", "A reason."),
        Insertion("hello.c", 2, "ours\n", "A reason."),
    )


@pytest.mark.parametrize("insertions", [insertion(), "text", 1])
def test_insertions_that_are_no_array(document: dict[str, Any], lock_file: Path, insertions: object) -> None:
    """One table where an array of tables belongs, or another value, is refused."""
    refuses_insertions(document, lock_file, insertions, "hello: insertions is not an array of tables")


@pytest.mark.parametrize("entry", ["text", 3, ["hello.c", 3]])
def test_insertion_that_is_no_table(document: dict[str, Any], lock_file: Path, entry: object) -> None:
    """So is another value in the array."""
    problem = f"hello, insertion 2: it has {entry!r}, not ['file', 'after', 'text', 'why']"
    refuses_insertions(document, lock_file, [insertion(), entry], problem)


@pytest.mark.parametrize("key", ["file", "after", "text", "why"])
def test_insertion_without_a_key(document: dict[str, Any], lock_file: Path, key: str) -> None:
    """Every key of an insertion is needed, its reason too."""
    entry = insertion()
    del entry[key]
    problem = f"hello, insertion 1: it has the keys {sorted(entry)}, not ['file', 'after', 'text', 'why']"
    refuses_insertions(document, lock_file, [entry], problem)


def test_insertion_with_an_unknown_key(document: dict[str, Any], lock_file: Path) -> None:
    """A key that means nothing is refused, and not passed over: it may be a misspelt one's neighbour."""
    keys = ["after", "before", "file", "text", "why"]
    problem = f"hello, insertion 1: it has the keys {keys}, not ['file', 'after', 'text', 'why']"
    refuses_insertions(document, lock_file, [insertion(before=3)], problem)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        *[
            ("file", value, "file is none of the files taken")
            for value in ("stray.c", "", "../hello.c", 1, ["hello.c"])
        ],
        *[("after", value, "after is not the number of a line, from 1") for value in (0, -1, True, "3", 3.0)],
        *[("text", value, "text is not a string of whole lines") for value in ("", "ours", "one\ntwo", 1, ["ours\n"])],
        *[("why", value, "why is not a sentence") for value in ("", " \n", 1, True)],
    ],
)
def test_insertion_with_a_wrong_value(
    document: dict[str, Any], lock_file: Path, key: str, value: object, problem: str
) -> None:
    """A value of another type, or outside of what it can be, is refused with the insertion's number and the rule."""
    refuses_insertions(document, lock_file, [insertion(1), insertion(**{key: value})], f"hello, insertion 2: {problem}")


def test_insertion_with_two_wrong_values(document: dict[str, Any], lock_file: Path) -> None:
    """All that is wrong with an insertion is said at once."""
    problem = "hello, insertion 1: after is not the number of a line, from 1, why is not a sentence"
    refuses_insertions(document, lock_file, [insertion(0, why="")], problem)


def test_insertions_behind_one_line(document: dict[str, Any], lock_file: Path) -> None:
    """Two insertions in one place, whose order nothing says, are refused."""
    problem = "hello: two insertions stand behind line 3 of hello.c"
    refuses_insertions(document, lock_file, [insertion(1), insertion(), insertion()], problem)


def test_unsorted_insertions(document: dict[str, Any], lock_file: Path) -> None:
    """Insertions that are not in the order of the file's lines are refused."""
    problem = "hello: the insertions are not sorted: behind line 10 of hello.c and then line 9 of hello.c"
    refuses_insertions(document, lock_file, [insertion(10), insertion(9)], problem)


def test_insertions_of_unsorted_files(document: dict[str, Any], lock_file: Path) -> None:
    """The files come in order too."""
    document["upstreams"]["hello"]["files"]["a.h"] = D
    problem = "hello: the insertions are not sorted: behind line 3 of hello.c and then line 9 of a.h"
    refuses_insertions(document, lock_file, [insertion(), insertion(9, file="a.h")], problem)


@pytest.mark.parametrize("content", [b"[archives\n", b"name = '\xff'\n", None], ids=["syntax", "encoding", "absent"])
def test_unreadable_lock(lock_file: Path, content: bytes | None) -> None:
    """A lock that is not TOML, not UTF-8 or not there is reported with its path and the command that restores it."""
    if content is not None:
        lock_file.write_bytes(content)
    path = re.escape(str(lock_file))
    with pytest.raises(VendorError, match=rf"^{path} cannot be read: .+\n  cure: restore it: git checkout -- {path}$"):
        read_lock(lock_file)


def test_the_real_lock_pins_the_carriers() -> None:
    """Every upstream is taken from one of the two reviewed archives."""
    archives = {upstream.archive for upstream in read_lock().values()}
    assert {(a.name, a.version, a.sha256) for a in archives} == {
        ("zlmdb", "26.10.1", "b23a7c86a3016fda2bfe0f1e87ea9db759953778f90356315d0f3290e4636135"),
        ("pymonocypher", "4.0.3.4", "5e56e3d3eb770a53e0b9f6274146663c11a11f3d0de5cd48e3be0428d1b07a4a"),
    }


def test_the_real_lock_takes_every_upstream() -> None:
    """The versions, the full hardening series of both engines, and our own insertions are those of the design."""
    upstreams = read_lock().items()
    assert {name: (u.version, len(u.patches), len(u.insertions)) for name, u in upstreams} == {
        "lmdb-0.9": ("0.9.36", 25, 5),
        "lmdb-1.0": ("1.0.2", 23, 16),
        "monocypher": ("4.0.3", 0, 0),
        "flatbuffers": ("25.12.19", 0, 7),
    }


@pytest.mark.parametrize("name", list(read_lock()))
def test_the_real_lock_is_consistent(name: str) -> None:
    """Each upstream takes files and its licence, no patch twice, and patched files have another hash than before."""
    upstream = read_lock()[name]
    assert {"LICENSE", "LICENSE.txt"} & set(upstream.files)
    assert len({patch.path for patch in upstream.patches}) == len(upstream.patches)
    assert bool(upstream.patched) == bool(upstream.patches or upstream.insertions)
    assert [path for path, digest in upstream.patched.items() if upstream.files[path] == digest] == []
    assert {insertion.file for insertion in upstream.insertions} <= set(upstream.patched)
    ours = f"/* {upstream.stage.parents[1].name}: "
    assert [i.text for i in upstream.insertions if not i.text.lstrip().startswith(ours)] == []
