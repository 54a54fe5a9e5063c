"""How LMDB 1.0 keeps its pages: their size, checksums, encryption, and the snapshot before the last commit."""

from __future__ import annotations

import gc
import mmap
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))

PROTECTED: dict[str, dict[str, Any]] = {
    "crc32c": {"checksum": "crc32c"},
    "blake2b": {"checksum": "blake2b"},
    "key": {"encryption_key": KEY},
    "key and crc32c": {"encryption_key": KEY, "checksum": "crc32c"},
    "key, small pages": {"encryption_key": KEY, "page_size": 512},
    "key and blake2b, large pages": {"encryption_key": KEY, "checksum": "blake2b", "page_size": 16384},
}
OF_1_0: dict[str, dict[str, Any]] = {
    "page_size": {"page_size": 1024},
    "checksum": {"checksum": "crc32c"},
    "encryption_key": {"encryption_key": KEY},
    "previous_snapshot": {"previous_snapshot": True, "readonly": True},
}

Environments = Callable[..., lmdb.Environment]


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """Open an environment of LMDB 1.0; all are closed in the end."""
    environments = []

    def opened(name: str = "env", **options: Any) -> lmdb.Environment:
        options = {"max_dbs": 4, "map_size": 1 << 26, "sync": False, **options}
        env = lmdb.open(tmp_path / name, **options)
        environments.append(env)
        return env

    yield opened
    for env in environments:
        env.close()


@pytest.fixture(params=PROTECTED)
def protected(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options of an environment whose pages are checked or encrypted."""
    return PROTECTED[request.param]


def records(seed: int = 1, count: int = 400) -> dict[bytes, bytes]:
    """Values in leaves, and on one and on many pages of their own."""
    chance = random.Random(seed)
    return {b"%05d" % n: chance.randbytes(chance.choice([0, 10, 150, 900, 5000, 40000])) for n in range(count)}


def fill(env: lmdb.Environment, model: dict[bytes, bytes]) -> Any:
    """Store records in a named database."""
    database = env.open_db(b"records")
    with env.begin(write=True, db=database) as txn:
        txn.putmany(list(model.items()))
    return database


def data(env: lmdb.Environment) -> Path:
    return Path(env.path()) / "data.mdb"


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OF_1_0)
def test_engine_0_9_refuses(opened: Environments, tmp_path: Path, option: str) -> None:
    """LMDB 0.9 has none of this: the error says what would have it, and no file is made."""
    message = (
        r"page_size, checksum, encryption_key and previous_snapshot: of LMDB 1\.0, and this environment has LMDB 0\.9"
    )
    with pytest.raises(lmdb.Error, match=rf"^{message}: use lib_version=1$"):
        opened(lib_version=0, **OF_1_0[option])
    assert not (tmp_path / "env" / "data.mdb").exists()
    opened(lib_version=0).close()
    with pytest.raises(lmdb.Error, match=message):
        opened(**OF_1_0[option])
    opened().close()


@pytest.mark.parametrize("option", [name for name in OF_1_0 if name != "previous_snapshot"])
@pytest.mark.parametrize("default", ["0", "1"])
def test_new_files_get_1_0(opened: Environments, monkeypatch: pytest.MonkeyPatch, option: str, default: str) -> None:
    """A new environment with such an option is one of LMDB 1.0, whatever the default engine is."""
    monkeypatch.setenv("LMDB_DEFAULT_LIB_VERSION", default)
    assert opened(**OF_1_0[option]).lib_version() == (1, 0, 2)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        *(({"page_size": size}, ValueError, rf"^page_size={size}: a power of two from 256 to 65536$")
          for size in (0, -4096, 1, 128, 300, 4095, 131072)),
        ({"checksum": "md5"}, ValueError, r"^checksum='md5': one of 'crc32c', 'blake2b', or None$"),
        ({"checksum": ""}, ValueError, r"^checksum='': one of"),
        ({"encryption_key": b""}, ValueError, r"^encryption_key has 0 bytes, and needs 32: see key_from_passphrase"),
        ({"encryption_key": b"k" * 31}, ValueError, r"^encryption_key has 31 bytes, and needs 32"),
        ({"encryption_key": b"k" * 33}, ValueError, r"^encryption_key has 33 bytes, and needs 32"),
        ({"encryption_key": "k" * 32}, TypeError, r"a bytes-like object is required"),
        ({"encryption_key": KEY, "writemap": True}, ValueError, r"^writemap=True writes pages where they are"),
        ({"checksum": "crc32c", "writemap": True}, ValueError, r"^writemap=True writes pages where they are"),
        ({"page_size": 512, "writemap": True}, ValueError, r"^writemap=True needs pages of the system's size"),
        ({"previous_snapshot": True}, ValueError, r"^previous_snapshot=True needs readonly=True"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(
    opened: Environments, tmp_path: Path, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """What an option cannot be is said before anything is made."""
    with pytest.raises(kind, match=message):
        opened(**options)
    assert not (tmp_path / "env").exists()


def test_no_key_in_errors(opened: Environments) -> None:
    """A key that is too long is not in the error."""
    with pytest.raises(ValueError, match="has 40 bytes") as caught:
        opened(encryption_key=b"secret!!" * 5)
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_key_is_bytes_like(opened: Environments, kind: Callable[[bytes], Any]) -> None:
    """A key may be any buffer."""
    env = opened(encryption_key=kind(KEY))
    fill(env, {b"key": b"value"})
    env.close()
    again = opened(encryption_key=KEY)
    with again.begin(db=again.open_db(b"records")) as txn:
        assert txn.get(b"key") == b"value"


# -- the size of pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1 << bits for bits in range(8, 17)])
def test_page_size(opened: Environments, size: int) -> None:
    """Pages have the size asked for, small ones shorten keys, and a reopened environment keeps what it was made with."""
    model = records()
    env = opened(page_size=size)
    fill(env, model)
    longest = env.max_key_size()
    database = env.open_db(b"records")
    with env.begin(write=True, db=database) as txn:
        assert txn.put(b"k" * longest, b"longest")
        with pytest.raises(lmdb.BadValsizeError, match="mdb_put"):
            txn.put(b"k" * (longest + 1), b"too long")
    assert env.stat()["psize"] == size
    assert data(env).stat().st_size % size == 0
    env.close()
    for options in ({}, {"page_size": size}, {"page_size": 4096}):
        again = opened(**options)
        assert again.stat()["psize"] == size
        with again.begin(db=again.open_db(b"records")) as txn:
            assert dict(txn.cursor()) == {**model, b"k" * longest: b"longest"}
        again.close()


# -- contents ----------------------------------------------------------------------------------------------------------


def test_reopened(opened: Environments, protected: dict[str, Any]) -> None:
    """What was written is there when the environment is opened again, and can be written on."""
    model = records()
    for step in range(3):
        env = opened(**protected)
        database = env.open_db(b"records")
        with env.begin(db=database) as txn:
            assert dict(txn.cursor()) == ({} if step == 0 else model)
        if step:
            model = records(step + 1)
        fill(env, model)
        env.close()


def test_every_way_to_read(opened: Environments, protected: dict[str, Any]) -> None:
    """All ways to read many records give what was stored, in either kind of transaction, with and without buffers."""
    model = records()
    env = opened(**protected)
    database = fill(env, model)
    keys = sorted(model)
    shuffled = random.Random(3).sample(keys, len(keys))
    for write in (False, True):
        for buffers in (False, True):
            with env.begin(db=database, write=write, buffers=buffers) as txn:
                cursor = txn.cursor()
                assert [txn.get(key) for key in shuffled] == [model[key] for key in shuffled]
                assert txn.getmany(shuffled) == [model[key] for key in shuffled]
                assert list(cursor) == sorted(model.items())
                assert list(cursor.iterprev()) == sorted(model.items(), reverse=True)
                assert list(txn.scan(start=keys[50], stop=keys[90])) == [(key, model[key]) for key in keys[50:90]]
                assert cursor.getmulti(keys) == sorted(model.items())
                assert txn.count_range(start=keys[50], stop=keys[90]) == 40
                assert sum(columns.records for columns in txn.scan().columns()) == len(model)


def test_reads_between_the_steps(opened: Environments, protected: dict[str, Any]) -> None:
    """A cursor, and an iteration, give the right records however many pages are read in between: LMDB gives up chunks
    of the map then, and maps others in their place.
    """
    model = records()
    env = opened(**protected)
    database = fill(env, model)
    chance = random.Random(5)
    keys = sorted(model)
    for buffers in (False, True):
        with env.begin(db=database, buffers=buffers) as txn:
            standing = txn.cursor()
            found = []
            for key, value in txn.cursor():
                assert standing.set_key(chance.choice(keys))
                kept = standing.key(), standing.value()
                for other in chance.sample(keys, 12):
                    assert txn.get(other) == model[other]
                assert kept == (standing.key(), standing.value()) == (kept[0], model[bytes(kept[0])])
                assert model[bytes(key)] == value
                found.append(bytes(key))
            assert found == keys


def test_views_are_of_copies(opened: Environments, protected: dict[str, Any]) -> None:
    """``buffers=True`` gives read-only views of copies: they hold no slot, and outlive everything."""
    model = records()
    env = opened(**protected)
    database = fill(env, model)
    with env.begin(db=database, buffers=True) as txn:
        views = {bytes(key): value for key, value in txn.cursor()}
        assert all(type(view) is memoryview and view.readonly for view in views.values())
    assert " 1\n" not in env.readers()
    env.set_mapsize(1 << 27)
    fill(env, dict.fromkeys(model, b"other"))
    env.close()
    gc.collect()
    opened(**protected).close()
    assert views == model


def test_writing(opened: Environments, protected: dict[str, Any]) -> None:
    """Replacing, deleting, popping, ranges and nested transactions do what they do without protection."""
    model = records()
    env = opened(**protected)
    database = fill(env, model)
    chance = random.Random(7)
    for step in range(6):
        with env.begin(write=True, db=database) as txn:
            for key, value in txn.cursor():
                assert model[key] == value
                if chance.random() < 0.2:
                    model[key] = chance.randbytes(chance.choice([5, 700, 9000]))
                    assert txn.put(key, model[key])
            victim = chance.choice(sorted(model))
            assert txn.pop(victim) == model.pop(victim)
            for end in ("abort", "commit"):
                with env.begin(write=True, parent=txn, db=database) as nested:
                    assert nested.replace(b"00007", b"%d" % step * 3000) == model.get(b"00007")
                    assert nested.delete_range(start=b"00100", stop=b"00102") >= 0
                    getattr(nested, end)()
            model[b"00007"] = b"%d" % step * 3000
            model.pop(b"00100", None)
            model.pop(b"00101", None)
            assert txn.get(b"00007") == model[b"00007"]
            if step % 2:
                assert dict(txn.cursor()) == model
        with env.begin(db=database) as txn:
            assert dict(txn.cursor()) == model


def test_many_values_of_a_key(opened: Environments, protected: dict[str, Any]) -> None:
    """Dupsort and dupfixed databases, whose values are in trees of their own, are read and written."""
    env = opened(**protected)
    pairs = [(b"%02d" % (number % 7), b"%06d" % number * 8) for number in range(3000)]
    for name, options in ((b"dupsort", {"dupsort": True}), (b"dupfixed", {"dupfixed": True})):
        database = env.open_db(name, **options)
        with env.begin(write=True, db=database) as txn:
            assert txn.putmany(pairs) == 3000
            assert txn.delete(*pairs[10])
        left = sorted(pair for pair in pairs if pair != pairs[10])
        with env.begin(db=database) as txn:
            assert list(txn.cursor()) == left
            cursor = txn.cursor()
            assert cursor.set_key_dup(b"03", pairs[3 + 7 * 100][1])
            assert [txn.get(b"05") for _ in range(3)] == [pairs[5][1]] * 3
            assert cursor.item() == pairs[3 + 7 * 100]
            assert cursor.set_key(b"03")
            assert cursor.count() == 428
            assert list(cursor.iternext_dup()) == [value for key, value in left if key == b"03"]


@pytest.mark.parametrize("how", ["copy", "copyfd"])
@pytest.mark.parametrize("compact", [False, True])
def test_copy(opened: Environments, protected: dict[str, Any], tmp_path: Path, compact: bool, how: str) -> None:
    """A copy is protected as its source is, by the same key; what LMDB cannot copy is refused, and not copied badly:
    with checksums a compact copy, with pages smaller than the system's any other.
    """
    model = records()
    env = opened(**protected)
    fill(env, model)
    (tmp_path / "copy").mkdir()

    def copy() -> None:
        if how == "copy":
            env.copy(tmp_path / "copy", compact=compact)
        else:
            with open(tmp_path / "copy" / "data.mdb", "wb") as file:
                env.copyfd(file.fileno(), compact=compact)

    if "checksum" in protected if compact else protected.get("page_size", 4096) < mmap.PAGESIZE:
        with pytest.raises(lmdb.Error, match="copy"):
            copy()
        return
    copy()
    copied = opened("copy", **protected)
    with copied.begin(db=copied.open_db(b"records")) as txn:
        assert dict(txn.cursor()) == model
    fill(copied, {b"00001": b"new"})
    with env.begin(db=env.open_db(b"records")) as txn:
        assert txn.get(b"00001") == model[b"00001"]


def test_overlapping_readers(opened: Environments, protected: dict[str, Any]) -> None:
    """Each reader sees its own snapshot, where the one before it ends only after it has begun: what LMDB keeps of a
    page is not given for what was written in its place since.
    """
    env = opened(**protected)
    previous: lmdb.Transaction | None = None
    for number in range(60):
        with env.begin(write=True) as txn:
            txn.put(b"key", b"%d" % number)
            txn.put(b"large", b"%d" % number * 4000)
        reader = env.begin()
        assert (reader.get(b"key"), reader.get(b"large")) == (b"%d" % number, b"%d" % number * 4000)
        if previous is not None:
            assert previous.get(b"key") == b"%d" % (number - 1)
            previous.abort()
        previous = reader


def test_readers_in_threads(opened: Environments, protected: dict[str, Any]) -> None:
    """Threads read beside a writer, each its own snapshot, in which all records are of one commit."""
    env = opened(**protected)
    fill(env, dict.fromkeys([b"%03d" % n for n in range(60)], b"0" * 3000))
    database = env.open_db(b"records")
    problems: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                with env.begin(db=database) as txn:
                    found = {value[:1] for _, value in txn.cursor()} | {txn.get(b"030")[:1]}
                    if len(found) != 1:
                        problems.append(found)
        except lmdb.Error as error:
            problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(25):
        fill(env, dict.fromkeys([b"%03d" % n for n in range(60)], b"%d" % (number % 10) * 3000))
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems


# -- encryption ----------------------------------------------------------------------------------------------------------

NAME, WORD, VALUE = b"name-of-a-database", b"word-that-is-a-key", b"value-that-is-secret-"


def secret(opened: Environments, **options: Any) -> Path:
    """An encrypted environment with three words in it, closed; its folder."""
    env = opened(encryption_key=KEY, **options)
    database = env.open_db(NAME)
    with env.begin(write=True, db=database) as txn:
        txn.put(WORD, VALUE)
        txn.put(WORD + b"2", VALUE * 1000)
    folder = Path(env.path())
    env.close()
    return folder


@pytest.mark.parametrize("options", [{}, {"page_size": 16384}, {"page_size": 65536}])
def test_nothing_is_readable(opened: Environments, tmp_path: Path, options: dict[str, Any]) -> None:
    """Neither names nor keys nor values are in the file, or in a copy; without a key they are."""
    folder = secret(opened, **options)
    env = opened(encryption_key=KEY, **options)
    for name, compact in (("copy", False), ("compact", True)):
        (tmp_path / name).mkdir()
        env.copy(tmp_path / name, compact=compact)
    for name in (folder, tmp_path / "copy", tmp_path / "compact"):
        content = b"".join(file.read_bytes() for file in Path(name).iterdir())
        assert len(content) > 20000
        assert not [word for word in (NAME, WORD, VALUE, KEY) if word in content]
    plain = opened("plain", lib_version=1)
    with plain.begin(write=True, db=plain.open_db(NAME)) as txn:
        txn.put(WORD, VALUE)
    plain.sync(True)
    content = data(plain).read_bytes()
    assert all(word in content for word in (NAME, WORD, VALUE))


@pytest.mark.parametrize("options", [{}, {"checksum": "crc32c"}])
def test_wrong_key(opened: Environments, options: dict[str, Any]) -> None:
    """With another key nothing can be read, and nothing written; with the right one all is there afterwards."""
    file = secret(opened, **options) / "data.mdb"
    before = file.read_bytes()
    try:
        env = opened(encryption_key=OTHER, **options)
    except (lmdb.CryptoFailError, lmdb.BadChecksumError):
        pass
    else:
        uses: list[Callable[[lmdb.Transaction], Any]] = [
            lambda txn: txn.get(NAME), lambda txn: txn.put(b"key", b"value"), lambda txn: list(txn.cursor()),
            lambda txn: env.open_db(NAME, txn, create=False),
        ]  # fmt: skip
        for use in uses:
            with pytest.raises((lmdb.CryptoFailError, lmdb.BadChecksumError)), env.begin(write=True) as txn:
                use(txn)
        env.close()
    assert file.read_bytes() == before
    again = opened(encryption_key=KEY, **options)
    with again.begin(db=again.open_db(NAME)) as txn:
        assert (txn.get(WORD), txn.get(WORD + b"2")) == (VALUE, VALUE * 1000)


def test_no_key(opened: Environments) -> None:
    """Without its key, an encrypted environment is not opened, and is as it was."""
    folder = secret(opened)
    before = (folder / "data.mdb").read_bytes()
    for options in ({}, {"lib_version": 1}, {"readonly": True}):
        with pytest.raises(lmdb.EnvEncryptionError, match="MDB_ENV_ENCRYPTION"):
            opened(**options)
    assert (folder / "data.mdb").read_bytes() == before


def test_key_for_a_plain_one(opened: Environments) -> None:
    """A key for an environment that is not encrypted is an error, and does not begin to encrypt it."""
    opened(lib_version=1).close()
    with pytest.raises(lmdb.EnvEncryptionError, match="MDB_ENV_ENCRYPTION"):
        opened(encryption_key=KEY)
    opened().close()


def test_same_content_is_another_cipher(opened: Environments) -> None:
    """Two pages with one content, and two writings of one page, are encrypted differently."""
    env = opened(encryption_key=KEY)
    with env.begin(write=True) as txn:
        for number in range(8):
            txn.put(b"%d" % number, b"\0" * 16384)
    env.sync(True)
    content = data(env).read_bytes()
    blocks = [content[at : at + 64] for at in range(8192, len(content), 64)]
    assert len(blocks) > 2000
    assert max(blocks.count(block) for block in random.Random(1).sample(blocks, 50) if any(block)) == 1


def test_swapped_pages_are_noticed(opened: Environments) -> None:
    """Each page is bound to its place: two that are exchanged in the file cannot be read."""
    env = opened(encryption_key=KEY)
    with env.begin(write=True) as txn:
        for number in range(4):
            txn.put(b"%d" % number, b"%d" % number * 3000)
    file, count = data(env), env.info()["last_pgno"] + 1
    env.close()
    content = file.read_bytes()
    page = [content[at * 4096 : (at + 1) * 4096] for at in range(count)]
    page[2], page[3] = page[3], page[2]
    file.write_bytes(b"".join(page))
    env = opened(encryption_key=KEY)
    with env.begin() as txn, pytest.raises((lmdb.CryptoFailError, lmdb.CorruptedError)):
        [txn.get(b"%d" % number) for number in range(4)]


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"checksum": "crc32c"}, lmdb.BadChecksumError),
        ({"checksum": "blake2b"}, lmdb.BadChecksumError),
        ({"encryption_key": KEY}, lmdb.CryptoFailError),
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_flipped_bit(opened: Environments, options: dict[str, Any], kind: type[Exception], large: bool) -> None:
    """One bit that is another, in a page or in the middle of a value of many pages, is an error at its reading."""
    env = opened(**options)
    with env.begin(write=True) as txn:
        txn.put(b"key", b"v" * (40000 if large else 40))
    last, file = env.info()["last_pgno"], data(env)
    with env.begin() as txn:
        assert txn.get(b"key") == b"v" * (40000 if large else 40)
    env.close()
    whole = file.read_bytes()
    for offset in (last - 5 if large else last) * 4096 + 100, last * 4096 + 2000:
        content = bytearray(whole)
        content[offset] ^= 1
        file.write_bytes(content)
        env = opened(**options)
        with env.begin() as txn, pytest.raises(kind):
            txn.get(b"key")
        with env.begin() as txn, pytest.raises(kind):
            list(txn.cursor())
        env.close()
    file.write_bytes(whole)
    env = opened(**options)
    with env.begin() as txn:
        assert len(txn.get(b"key")) == (40000 if large else 40)


def test_undamaged_without_checksum(opened: Environments) -> None:
    """The same damage without checksums is not noticed: the test above tests what it says."""
    env = opened(lib_version=1)
    with env.begin(write=True) as txn:
        txn.put(b"key", b"v" * 40000)
    last, file = env.info()["last_pgno"], data(env)
    env.close()
    content = bytearray(file.read_bytes())
    content[(last - 5) * 4096 + 100] ^= 1
    file.write_bytes(content)
    with opened().begin() as txn:
        assert txn.get(b"key").count(b"v") == 39999


def test_another_checksum(opened: Environments) -> None:
    """An environment is opened with the checksum that it was made with, or with none that it was made without."""
    opened(checksum="crc32c").close()
    opened("plain", lib_version=1).close()
    for name, checksum in (("env", "blake2b"), ("plain", "crc32c")):
        with pytest.raises(lmdb.BadChecksumError, match="MDB_BAD_CHECKSUM"):
            opened(name, checksum=checksum).begin().get(b"key")


# -- the snapshot before the last ----------------------------------------------------------------------------------------


def test_previous_snapshot(opened: Environments, tmp_path: Path) -> None:
    """``previous_snapshot`` shows the state before the last commit, takes nothing back, and can be copied."""
    env = opened(lib_version=1)
    for number in range(4):
        with env.begin(write=True) as txn:
            txn.put(b"key", b"%d" % number)
            txn.put(b"%d" % number, b"x" * 5000)
    env.close()
    before = (tmp_path / "env" / "data.mdb").read_bytes()
    env = opened(readonly=True, previous_snapshot=True)
    with env.begin() as txn:
        assert (txn.get(b"key"), txn.get(b"3"), len(txn.get(b"2"))) == (b"2", None, 5000)
    for name, compact in (("copy", False), ("compact", True)):
        (tmp_path / name).mkdir()
        env.copy(tmp_path / name, compact=compact)
    env.close()
    assert (tmp_path / "env" / "data.mdb").read_bytes() == before
    with opened().begin() as txn:
        assert txn.get(b"key") == b"3"
    for name in ("copy", "compact"):
        copied = opened(name)
        with copied.begin(write=True) as txn:
            assert (txn.get(b"key"), txn.get(b"3")) == (b"2", None)
            txn.put(b"key", b"goes on")
        with copied.begin() as txn:
            assert txn.get(b"key") == b"goes on"


# -- pass phrases --------------------------------------------------------------------------------------------------------


def test_key_from_passphrase(opened: Environments) -> None:
    """A pass phrase, its salt and its costs make one key of 32 bytes; another of any of them makes another."""
    derive = lmdb.key_from_passphrase
    key = derive("pass phrase", b"salt" * 4, memory=64, passes=1)
    assert (type(key), len(key)) == (bytes, 32)
    assert key == derive(b"pass phrase", bytearray(b"salt" * 4), memory=64, passes=1)
    others = [
        derive("pass phrase ", b"salt" * 4, memory=64, passes=1), derive("pass phrase", b"salt" * 5, memory=64, passes=1),
        derive("pass phrase", b"salt" * 4, memory=72, passes=1), derive("pass phrase", b"salt" * 4, memory=64, passes=2),
        derive("", b"salt" * 4, memory=64, passes=1),
    ]  # fmt: skip
    assert len({key, *others}) == 6
    env = opened(encryption_key=key)
    fill(env, {b"key": b"value"})
    env.close()
    again = opened(encryption_key=key)
    with again.begin(db=again.open_db(b"records")) as txn:
        assert txn.get(b"key") == b"value"


def test_known_key() -> None:
    """It is Argon2id, version 1.3, with one lane: a key of one release is that of the next. The ``cryptography`` package has computed it."""
    key = lmdb.key_from_passphrase("pass phrase", b"0123456789abcdef", memory=64, passes=3)
    assert key.hex() == "8561e55f41c7e7df4a6e13e9b0581da71ba7d6aeceae56189ba7afbf134307de"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"salt": b"7 bytes"}, r"^salt has 7 bytes, and needs 8 at least"),
        ({"salt": b""}, r"^salt has 0 bytes"),
        ({"memory": 7}, r"^memory=7: KiB, from 8 to"),
        ({"memory": -1}, r"^memory=-1: KiB"),
        ({"memory": 1 << 32}, r"^memory=4294967296: KiB"),
        ({"passes": 0}, r"passes=0, and 1 is the least$"),
    ],
)
def test_passphrase_refuses(arguments: dict[str, Any], message: str) -> None:
    """A salt that is too short, or costs that cannot be, are refused."""
    with pytest.raises(ValueError, match=message):
        lmdb.key_from_passphrase("pass phrase", **{"salt": b"12345678", "memory": 64, "passes": 1, **arguments})
