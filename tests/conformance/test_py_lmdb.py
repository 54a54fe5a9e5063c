"""py-lmdb 3.0.0's own test-suite, unmodified, against this binding: both engines, every path.

The suite comes from py-lmdb's sdist, by hash, and is not part of this repository; ``runner.py`` runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from vendor.archive import obtain
from vendor.lock import read_archives

RUNNER = Path(__file__).with_name("runner.py")

TESTS = 546

# The tests that do not run, and why. The suite itself leaves them out; none is deselected here.
NOT_RUN = {
    "crash_test.WriteDeallocloseRaceTest.test_write_dealloc_close_race": "of the C extension alone",
    "large_write_test.LargeWriteTest.test_commit_extent_at_2gib_boundary": "wants LMDB_TEST_LARGE, 2 GiB of memory",
    "large_write_test.LargeWriteTest.test_commit_large_overflow_value": "wants LMDB_TEST_LARGE, 2 GiB of memory",
    "large_write_test.LargeWriteTest.test_compact_copy_large_overflow_value": "wants LMDB_TEST_LARGE, 2 GiB of memory",
    "overflow_test.HugeValueCompactCopyTest.test_maxdatasize_value_survives_compact_copy": "wants LMDB_TEST_HUGE, 4 GiB",
}
NOT_RUN_ON = {
    "0.9": {
        "cve_test.CVE_2019_16225_Test.test_corrupt_leaf_page_mp_txnid": "of LMDB 1.0: a field of its pages",
        "cve_test.CVE_2019_16225_Test.test_corrupt_leaf_page_mp_txnid_writemap": "of LMDB 1.0: a field of its pages",
        "cve_test.CVE_2019_16225_Test.test_normal_mp_txnid_still_works": "of LMDB 1.0: a field of its pages",
        "verify_test.VerifyNegativeTest.test_overflow_node_pages_forged": "of LMDB 1.0: a field of its nodes",
    },
    "1.0": {
        "cve_test.CVE_2019_16225_Test.test_corrupt_leaf_page_dirty_flag": "of LMDB 0.9: a flag of its pages",
        "cve_test.Leaf2KeySizeTest.test_corrupt_mp_pad_huge": "of LMDB 0.9: forged by its layout",
        "cve_test.Leaf2KeySizeTest.test_corrupt_mp_pad_zero": "of LMDB 0.9: forged by its layout",
        "cve_test.MdDepthTest.test_corrupt_md_depth": "of LMDB 0.9: forged by its layout",
        "cve_test.MdRootMetaTest.test_corrupt_md_root_to_meta_page": "of LMDB 0.9: forged by its layout",
        "cve_test.OverflowPagesTest.test_corrupt_overflow_mp_pages": "of LMDB 0.9: a field of its pages",
        "cve_test.PageBoundsTest.test_corrupt_mp_lower_underflow": "of LMDB 0.9: forged by its layout",
        "cve_test.SubpageBoundsTest.test_corrupt_subpage_mp_upper": "of LMDB 0.9: forged by its layout",
    },
}


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of py-lmdb's tests."""
    folder = tmp_path_factory.mktemp("py-lmdb")
    with tarfile.open(obtain(read_archives()["lmdb"])) as tar:
        for member in tar:
            path = Path(member.name)
            if member.isfile() and path.parts[1] == "tests":
                stream = tar.extractfile(member)
                assert stream is not None
                folder.joinpath(path.name).write_bytes(stream.read())
    return folder


@pytest.mark.parametrize(("fast", "bulk"), [("1", "1"), ("0", "1"), ("0", "0")], ids=["fast", "bulk", "plain"])
@pytest.mark.parametrize("engine", ["0.9", "1.0"])
def test_conformance(suite: Path, engine: str, fast: str, bulk: str) -> None:
    """Every test passes, but those that the suite does not run."""
    environment = {
        **os.environ,
        "LMDB_DEFAULT_LIB_VERSION": {"0.9": "0", "1.0": "1"}[engine],
        "LMDB_BINDINGS_FAST": fast,
        "LMDB_BINDINGS_BULK": bulk,
    }
    for name in ("LMDB_PURE", "LMDB_FORCE_SYSTEM", "LMDB_TEST_LARGE", "LMDB_TEST_HUGE"):  # they choose tests
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(suite)], capture_output=True, text=True, check=False, env=environment
    )
    results: dict[str, Any] = {result["id"]: result for result in map(json.loads, done.stdout.splitlines())}
    outcomes = Counter(result["outcome"] for result in results.values())
    bad = [result for result in results.values() if result["outcome"] not in ("passed", "skipped")]
    assert not bad, json.dumps(bad, indent=2)
    assert done.returncode == 0, done.stderr
    skipped = {name for name, result in results.items() if result["outcome"] == "skipped"}
    assert skipped == set(NOT_RUN) | set(NOT_RUN_ON[engine])
    assert outcomes["passed"] == TESTS - len(skipped)
