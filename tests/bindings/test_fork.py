"""An environment that a child of fork() inherits: it is opened again by its first use there, and what the parent has
open is dead for the child, and stays as it is for the parent.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

Python = Callable[..., str]

PRELUDE = """
import gc, os, signal, sys, threading
import lmdb_bindings as lmdb
engine, path = int(sys.argv[1]), sys.argv[2]

def fork():
    sys.stdout.flush()
    child = os.fork()
    if child == 0:  # and waits for nothing for ever
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
    return child

def run(work):
    "Call a function in a child."
    child = fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:
            print("child:", repr(error))
        sys.stdout.flush()
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, "the child failed"
    return child

def put(env, key, value, db=None):
    with env.begin(write=True, db=db) as txn: txn.put(key, value)

def get(env, key, db=None):
    with env.begin(db=db) as txn: return txn.get(key)

def slots(env):
    "Process and snapshot of each slot of the reader table that is in use."
    lines = [line.split() for line in env.readers().splitlines()]
    return [(int(pid), int(number)) for pid, _, number in lines if pid.isdigit() and number != "-"]

def refusal(use):
    try:
        return f"no error: {use()!r}"
    except lmdb.Error as error:
        return str(error)

def environment(**options):
    env = lmdb.open(path, **{"lib_version": engine, "max_dbs": 4, **options})
    put(env, b"key", b"value")
    return env
"""

GONE = "Attempt to operate on closed/deleted/dropped object."
AGAIN = "was inherited by fork(), and has been opened again in this process: use that one."


@pytest.fixture
def forking(python: Python, engine: int, tmp_path: Path) -> Callable[[str], list[str]]:
    """Run a script that forks, after the prelude; the lines that it prints."""
    return lambda script: python(PRELUDE + script, str(engine), tmp_path / "env").splitlines()


# -- the child works with an environment of its own --------------------------------------------------------------------


def test_child_has_slots_of_its_own(forking: Callable[[str], list[str]]) -> None:
    """A child that uses the environment reads under its own process number, and the slots of the parent stay."""
    assert forking("""
env = environment(max_spare_txns=2)
env.begin().abort()
first = env.begin(); put(env, b"key", b"new"); second = env.begin()
before = slots(env)
assert [pid for pid, _ in before] == [os.getpid()] * 2 and before[0][1] < before[1][1]
parent = os.getpid()
def work():
    one, two = env.begin(), env.begin()
    mine = [slot for slot in slots(env) if slot[0] == os.getpid()]
    print("child:", len(mine), [slot for slot in slots(env) if slot[0] == parent] == before, one.get(b"key"))
    one.abort(), two.abort(); env.close()
run(work)
print("parent:", slots(env) == before, first.get(b"key"), second.get(b"key"), env.reader_check())
""") == ["child: 2 True b'new'", "parent: True b'value' b'new' 0"]


def test_child_that_dies_leaves_its_own_slots(forking: Callable[[str], list[str]]) -> None:
    """The slots of a child that dies in the middle of reading are its own: reader_check() clears these and no others."""
    assert forking("""
env = environment()
reader = env.begin()
before = slots(env)
readers = []
child = run(lambda: readers.extend(env.begin() for _ in range(3)))
print(len(slots(env)), env.reader_check(), slots(env) == before, reader.get(b"key"), env.reader_check())
""") == ["4 3 True b'value' 0"]


def test_parent_and_child_write_in_turns(forking: Callable[[str], list[str]]) -> None:
    """Both write, and each sees what the other has committed."""
    assert forking("""
env = environment()
db = env.open_db(b"db", dupsort=True)
for number in range(5):
    run(lambda: (put(env, b"key", b"child %d" % number, db), put(env, b"last", get(env, b"last") or b"none")))
    put(env, b"last", b"parent %d" % number)
with env.begin(db=db) as txn: print(txn.stat()["entries"], get(env, b"last"))
""") == ["5 b'parent 4'"]


def test_child_waits_for_the_writer_of_the_parent(forking: Callable[[str], list[str]]) -> None:
    """A write transaction that was open at the fork is the parent's: the child's waits for its end, and builds on it."""
    assert forking("""
env = environment()
here, there = os.pipe()
txn = env.begin(write=True); txn.put(b"key", b"written before the fork")
child = fork()
if child == 0:
    print(get(env, b"key"), flush=True)
    os.write(there, b".")
    with env.begin(write=True) as own: print(own.get(b"key"), own.put(b"child", b"1"), flush=True)
    os._exit(0)
os.read(here, 1)
txn.put(b"key", b"written after it"); txn.commit()
print(os.waitpid(child, 0)[1] , get(env, b"child"))
""") == ["b'value'", "b'written after it' True", "0 b'1'"]


def test_handles_of_databases_go_on(forking: Callable[[str], list[str]]) -> None:
    """The handles that the parent has are good in the child, with the flags of their databases, and each is its own."""
    assert forking("""
env = environment()
names = [b"zebra", b"ant", b"mouse"]
handles = {name: env.open_db(name, dupsort=name == b"ant") for name in names}
for name in names: put(env, b"who", name, handles[name])
def work():
    for name in names: put(env, b"who", name + b" again", handles[name])
    print([get(env, b"who", handles[name]) for name in names], env.open_db(b"ant") is handles[b"ant"])
    with env.begin(db=handles[b"ant"]) as txn: print(list(txn.cursor()))
    print(env.open_db(b"fourth").flags()["dupsort"], refusal(lambda: env.open_db(b"fifth")).partition(":")[0])
run(work)
print([get(env, b"who", handles[name]) for name in names])
""") == [
        "[b'zebra again', b'ant', b'mouse again'] True",
        "[(b'who', b'ant'), (b'who', b'ant again')]",
        "False mdb_dbi_open",
        "[b'zebra again', b'ant', b'mouse again']",
    ]


@pytest.mark.parametrize("case", ["made", "dropped", "undone"])
def test_database_that_is_not_there(forking: Callable[[str], list[str]], case: str) -> None:
    """A handle whose database the child does not find, since the parent has not committed it, or has dropped it, is
    closed there; everything else works.
    """
    made = {
        "made": 'writer = env.begin(write=True); odd = env.open_db(b"odd", writer)',
        "dropped": 'odd = env.open_db(b"odd")',
        "undone": 'writer = env.begin(write=True); odd = env.open_db(b"odd", writer)',
    }[case]
    end = {
        "made": "pass",
        "dropped": "with env.begin(write=True) as txn: txn.drop(odd)",
        "undone": "writer.abort()",
    }[case]
    assert forking(f"""
env = environment()
db = env.open_db(b"db"); put(env, b"key", b"of db", db)
here, there = os.pipe()
{made}
child = fork()
if child == 0:
    os.read(here, 1)
    for _ in range(2): print(get(env, b"key"), get(env, b"key", db), flush=True)
    print({GONE!r} in refusal(lambda: get(env, b"key", odd)), flush=True)
    print(refusal(lambda: env.open_db(b"odd", env.begin(), create=False)).partition(":")[0], flush=True)
    os._exit(0)
{end}
os.write(there, b".")
print(os.waitpid(child, 0)[1])
""") == [*["b'value' b'of db'"] * 2, "True", "mdb_dbi_open", "0"]


def test_options_go_on(forking: Callable[[str], list[str]]) -> None:
    """The child's environment has the options of the parent's, and the size that its map has had at last."""
    assert forking("""
env = environment(max_readers=7, sync=False, meminit=False, map_size=1 << 20)
env.set_mapsize(1 << 26)
def seen(): return env.flags(), env.max_readers(), env.info()["map_size"], env.lib_version(), env.path()
before = seen()
run(lambda: print(seen() == before, before[1:3]))
""") == ["True (7, 67108864)"]


@pytest.mark.parametrize("option", ["encryption_key=b'k' * 32", "checksum='blake2b'", "page_size=1024"])
def test_options_of_1_0_go_on(python: Python, tmp_path: Path, option: str) -> None:
    """An encrypted environment, one with checksums, one with other pages: the child reads and writes it."""
    script = f"""
env = environment({option})
def work():
    for number in range(100): put(env, b"%d" % number, b"x" * 900)
    print(get(env, b"key"), get(env, b"99") == b"x" * 900, env.stat()["entries"])
run(work)
print(get(env, b"0") == b"x" * 900, env.stat()["entries"])
"""
    assert python(PRELUDE + script, "1", tmp_path / "env").splitlines() == ["b'value' True 101", "True 101"]


def test_read_only_environment(forking: Callable[[str], list[str]]) -> None:
    """A read-only environment is read-only in the child."""
    assert forking("""
environment().close()
env = lmdb.open(path, readonly=True)
run(lambda: print(get(env, b"key"), refusal(lambda: env.begin(write=True)).partition(":")[0]))
""") == ["b'value' Cannot start write transaction with read-only env"]


def test_grandchild(forking: Callable[[str], list[str]]) -> None:
    """A child of a child has an environment of its own again, whether the child has used its own or not."""
    assert forking("""
env = environment()
reader = env.begin()
pids = []
def work(depth, used):
    kept = env.begin() if used else None
    if depth: run(lambda: work(depth - 1, not used))
    else:
        with env.begin(): print(os.getpid() in [pid for pid, _ in slots(env)], len(slots(env)))
    if used: assert kept.get(b"key") == b"value"
    put(env, b"%d" % depth, b"x")
work(3, False)
print(env.stat()["entries"], reader.get(b"0"), get(env, b"0"))
""") == ["True 4", "5 None b'x'"]


def test_folder_of_the_opening(forking: Callable[[str], list[str]]) -> None:
    """A relative path means the folder where the parent opened it, wherever the child is when it opens it again."""
    assert forking("""
os.makedirs(path + "/elsewhere"); os.chdir(path + "/elsewhere")
lmdb.open("env", lib_version=engine).close()
os.chdir(path); path = "env"
env = environment()
def work():
    os.chdir("elsewhere")
    print(get(env, b"key"))
run(work)
""") == ["b'value'"]


def test_first_use_by_many_threads(forking: Callable[[str], list[str]]) -> None:
    """Threads of the child that use the environment for the first time all at once get it, and its databases, open."""
    assert set(
        forking("""
sys.setswitchinterval(1e-6)
env = environment(); db = env.open_db(b"db"); put(env, b"key", b"of db", db)
def work():
    found, gate = [], threading.Barrier(8)
    def use(number):
        gate.wait()
        try:
            with env.begin(db=db, write=number == 0) as txn: found.append((txn.get(b"key"), txn.env.stat()["entries"]))
        except lmdb.Error as error: found.append(repr(error))
    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(len(found), *set(found))
for _ in range(12): run(work)
""")
    ) == {"8 (b'of db', 2)"}


# -- what is the parent's is dead in the child -------------------------------------------------------------------------


def test_inherited_objects_are_dead(forking: Callable[[str], list[str]]) -> None:
    """Inherited transactions, cursors, iterators and scans refuse use in the child, where ending them does nothing;
    the parent goes on with them.
    """
    assert set(
        forking("""
env = environment()
for number in range(50): put(env, b"%02d" % number, b"x")
reader = env.begin(); cursor = reader.cursor(); cursor.first(); iterator = iter(reader.cursor()); next(iterator)
scan = iter(reader.scan()); next(scan); reader.get(b"01")
writer = env.begin(write=True); writer.put(b"key", b"new"); writer.put(b"key", b"new"); nested = env.begin(write=True, parent=writer)
nested.put(b"nested", b"1"); nested.put(b"nested", b"1"); written = iter(nested.cursor()); next(written)
def work():
    uses = [lambda: reader.get(b"01"), lambda: writer.get(b"key"), lambda: writer.put(b"key", b"child"), writer.commit,
            lambda: nested.put(b"nested", b"2"), nested.commit, lambda: cursor.item(), lambda: cursor.next(), reader.id,
            lambda: next(iterator), lambda: next(scan), lambda: next(written), lambda: env.begin(parent=writer, write=True),
            lambda: reader.getmany([b"01"]), lambda: writer.putmany([(b"1", b"2")]), reader.cursor, lambda: list(reader.scan())]
    for again in range(2):
        print("\\n".join(map(refusal, uses)))
        get(env, b"key")
    cursor.close(), nested.abort(), writer.abort(), reader.abort()
    assert get(env, b"key") == b"value" and get(env, b"nested") is None
run(work)
assert (reader.get(b"01"), cursor.item(), next(iterator), next(scan)) == (b"x", (b"00", b"x"), (b"01", b"x"), (b"01", b"x"))
nested.commit(); writer.commit()
assert (get(env, b"key"), get(env, b"nested")) == (b"new", b"1")
""")
    ) == {GONE}


def test_with_block_that_the_child_leaves(forking: Callable[[str], list[str]]) -> None:
    """A child that leaves the parent's ``with`` block neither commits nor aborts what is the parent's."""
    assert (
        forking("""
env = environment()
with env.begin(write=True) as txn, env.begin() as reader:
    txn.put(b"key", b"new")
    child = fork()
if child == 0:
    print(get(env, b"key"), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
""")[-1]
        == "0"
    )


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("used", [True, False])
def test_view_that_the_child_drops(forking: Callable[[str], list[str]], ended: bool, used: bool) -> None:
    """A view that the child drops, or keeps, frees no slot of the parent, and the parent's copy of it stays good."""
    assert forking(f"""
env = environment(sync=False)
put(env, b"large", b"v" * 9000)
txn = env.begin(buffers=True); views = [txn.get(b"large"), txn.cursor().get(b"key")]
if {ended}: txn.abort(); del txn
before = slots(env)
def work():
    assert bytes(views[0]) == b"v" * 9000
    if {used}: print(get(env, b"key"))
    views.clear(); gc.collect()
    if {used}: env.close()
run(work)
print(len(before), slots(env) == before)
for number in range(5): put(env, b"large", b"%d" % number * 9000)
print(views[0] == b"v" * 9000, views[1] == b"value")
""") == [*["b'value'"] * used, "1 True", "True True"]


@pytest.mark.parametrize("leave", ["env.close()", "del env; gc.collect()", "pass"])
def test_closing_in_the_child(forking: Callable[[str], list[str]], leave: str) -> None:
    """A child that closes the inherited environment, drops it, or leaves it, takes nothing away from the parent."""
    assert forking(f"""
env = environment()
reader = env.begin(); writer = env.begin(write=True); writer.put(b"key", b"new")
before = slots(env)
def work():
    global env, reader, writer
    if {leave.startswith("del")}: del reader, writer
    {leave}
    if {leave.startswith("env")}: print(refusal(env.begin))
    with lmdb.open(path) as own: print(get(own, b"key"))
run(work)
print(slots(env) == before, env.reader_check(), reader.get(b"key"))
writer.commit()
print(get(env, b"key"))
""") == [*[GONE] * leave.startswith("env"), "b'value'", "True 0 b'value'", "b'new'"]


def test_closed_before_the_fork(forking: Callable[[str], list[str]]) -> None:
    """An environment that the parent has closed stays closed in the child, though views of it are alive."""
    assert forking("""
env = environment()
with env.begin(buffers=True) as txn: view = txn.get(b"key")
env.close()
def work():
    global view
    print(refusal(env.begin))
    with lmdb.open(path) as own: print(get(own, b"key")); put(own, b"key", b"of the child")
    view.release(); del view
run(work)
print(bytes(view), refusal(lambda: lmdb.open(path)).rpartition("'")[2])
view.release(); del view
with lmdb.open(path) as env: print(get(env, b"key"), env.reader_check())
""") == [GONE, "b'value'", "b'value'  is already open in this process.", "b'of the child' 0"]


# -- one environment for a file ------------------------------------------------------------------------------------------


def test_opened_anew_and_inherited(forking: Callable[[str], list[str]]) -> None:
    """A child that has opened the files itself cannot have the inherited environment too, and the other way round: two
    in one process would lose their locks.
    """
    assert forking("""
env = environment()
def work():
    with lmdb.open(path) as own:
        print(get(own, b"key"))
        print(refusal(env.begin).rpartition("' ")[2])
run(work)
def work():
    print(get(env, b"key"))
    print(refusal(lambda: lmdb.open(path)).rpartition("'")[2])
run(work)
""") == ["b'value'", AGAIN, "b'value'", " is already open in this process."]


def test_shared_and_inherited(forking: Callable[[str], list[str]]) -> None:
    """open_shared() in the child never gives a second environment beside the inherited one."""
    lines = forking("""
env = environment()
def work():
    shared = lmdb.open_shared(path)
    reader = shared.begin()
    print("the inherited one" if shared is env else refusal(env.begin).rpartition("' ")[2], reader.get(b"key"))
run(work)
""")
    assert lines in (["the inherited one b'value'"], [f"{AGAIN} b'value'"])


def test_shared_in_the_child(forking: Callable[[str], list[str]]) -> None:
    """An environment that has two users in the parent has two in the child: the last of them closes it."""
    assert forking("""
environment().close()
env, other = lmdb.open_shared(path), lmdb.open_shared(path)
def work():
    env.close()
    print(get(other, b"key"))
    other.close()
    print(refusal(other.begin))
run(work)
env.close()
print(get(other, b"key"))
""") == ["b'value'", GONE, "b'value'"]


# -- a fork at any time ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="without a global lock a child may find an object's own lock taken by a thread that it has not: platforms.md",
)
def test_fork_beside_threads(forking: Callable[[str], list[str]]) -> None:
    """A child that is made while other threads are in the middle of calls does not wait for locks that they hold."""
    assert forking("""
sys.setswitchinterval(1e-5)
env = environment(sync=False, max_spare_txns=1, map_size=1 << 28); stop = []
def read():
    while not stop:
        with env.begin() as txn: list(txn.cursor()), txn.get(b"key")
def write():
    while not stop: put(env, b"other", b"x" * 3000)
def view():
    while not stop:
        with env.begin(buffers=True) as txn: kept = txn.get(b"key")
        del kept
threads = [threading.Thread(target=work) for work in (read, read, write, view)]
for thread in threads: thread.start()
def work():
    assert get(env, b"key") == b"value"
    put(env, b"child", b"x")
    assert all(pid == os.getpid() for pid, _ in slots(env) if pid not in (os.getpid(), os.getppid())), slots(env)
    env.close()
for _ in range(8): run(work)
stop.append(True)
for thread in threads: thread.join()
gc.collect()
print(get(env, b"child"), slots(env), env.reader_check())
""") == ["b'x' [] 0"]


def test_fork_in_a_signal_handler(forking: Callable[[str], list[str]]) -> None:
    """A child that is made in the middle of the parent's own call uses the environment, and the call goes on."""
    assert forking("""
env = environment(sync=False)
reader = env.begin()
counted = []
def handler(*_):
    counted.append(run(lambda: (get(env, b"key"), put(env, b"child", b"x"))))
signal.signal(signal.SIGALRM, handler)
while len(counted) < 10:
    if signal.getitimer(signal.ITIMER_REAL)[0] == 0: signal.setitimer(signal.ITIMER_REAL, 0.001)
    assert reader.get(b"key") == b"value" and get(env, b"key") == b"value" and len(list(reader.cursor())) == 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(get(env, b"child"), slots(env) == [(os.getpid(), reader.id())])
""") == ["b'x' True"]
