"""Scripts of random calls, as data, and what they come to on two paths side by side.

A step is a call of the public API, of an object that earlier steps have made, with arguments in any form that Python
allows: by position, by name, of other types, too few and too many. Two environments get the same steps at the same time,
one by each path, and whatever can be seen of a step must be the same: what it returns, what it raises, and every word
of that. In the end everything that is still open is looked at, and what the files hold.

A difference prints the script up to it, which can be passed to :func:`play` as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

import lmdb_bindings as lmdb
from lmdb_bindings import _engine
from lmdb_bindings._scan import Scan
from tests.bindings.kinds import FLAGS, keys_of, outcome, values_of
from tests.bindings.paths import Means


class The(NamedTuple):
    """An object of a side: one of those of a kind, counted from the latest that is open; or, if ``ended``, from the
    latest that is not.
    """

    kind: str
    back: int = 0
    ended: bool = False


class Step(NamedTuple):
    """A call: of the method of an object, or of a function in ``FUNCTIONS`` with the object as its first argument."""

    of: The
    name: str
    args: tuple[Any, ...] = ()
    named: dict[str, Any] = {}  # noqa: RUF012 (nobody changes it)


class Script(NamedTuple):
    kind: str  # of database, see FLAGS
    options: dict[str, Any]  # of the environment
    records: list[tuple[bytes, bytes]]  # of the first two databases
    steps: list[Step]


class Text(bytes):
    """Bytes of a class of their own."""


class As(NamedTuple):
    """Bytes in another form, see ``FORMS``."""

    form: str
    data: bytes = b""


FORMS: dict[str, Callable[[bytes], Any]] = {
    "bytearray": bytearray,
    "memoryview": memoryview,
    "Text": Text,
    "every second": lambda data: memoryview(data)[::2],
    "Whole": lambda data: Whole(),
    "Untrue": lambda data: Untrue(),
}


class Whole:
    """A number by its ``__index__``."""

    def __index__(self) -> int:
        return 1


class TroubleError(Exception):
    """What leaves a block."""


class Untrue:
    """What is neither true nor false."""

    def __bool__(self) -> bool:
        raise TroubleError("neither true nor false")

    def __repr__(self) -> str:
        return "Untrue()"


def _whole(result: Any) -> Any:
    """A result, where that reads records only when it is asked for them, with them."""
    return list(result) if isinstance(result, Scan) else result


def _leave(thing: Any, problem: type[BaseException] | None) -> None:
    with thing as entered:
        assert entered is thing
        if problem is not None:
            raise problem("in a block")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "next()": next,
    "list()": lambda iterator: list(itertools.islice(iterator, 200)),
    "islice()": lambda iterator, count: list(itertools.islice(iterator, count)),
    "iter()": iter,
    "getattr()": getattr,
    "setattr()": setattr,
    "bool()": bool,
    "==": lambda thing: (thing == thing, hash(thing) == hash(thing)),  # noqa: PLR0124
    "with": _leave,
    "Transaction()": lmdb.Transaction,
    "Cursor()": lambda txn, db: lmdb.Cursor(db, txn),
}


# -- one path --------------------------------------------------------------------------------------------------------


class Side:
    """An environment whose transactions take one path, another one beside it, and what was made in both.

    Args:
        engine: LMDB's, which takes the path while a step is done.
        means: those of the path.
        folder: of the environments.
        kind: of the databases, see ``FLAGS``.
        options: of the environments.
    """

    def __init__(self, engine: _engine.Engine, means: Means, folder: Path, kind: str, options: dict[str, Any]) -> None:
        self.engine, self.means = engine, means
        self.means.use(engine)
        self._options = {"lib_version": int(engine.name == "1.0"), "max_dbs": 4, "sync": False, **options}
        self.env = lmdb.open(folder / "env", **self._options)
        self.folder, self._kind = folder, kind
        self._strange: list[Any] = []
        self.things: dict[str, list[Any]] = {
            "transaction": [], "cursor": [], "iterator": [], "view": [], "environment": [self.env],
            "database": [self.env.open_db(b"second", **FLAGS[kind]), self.env.open_db(), None],
        }  # fmt: skip
        self.things["database"].insert(0, self.env.open_db(b"first", **FLAGS[kind]))

    def fill(self, records: list[tuple[bytes, bytes]]) -> None:
        """Let the first two databases have these records, as far as there is room."""
        for place in (0, 1):
            with suppress(lmdb.MapFullError), self.env.begin(self.things["database"][place], write=True) as txn:
                txn.putmany(records)

    def stranger(self, kind: str) -> Any:
        """A thing of another environment."""
        if not self._strange:
            env = lmdb.open(self.folder / "stranger", **self._options)
            txn = env.begin()
            self._strange = [env, env.open_db(b"first", **FLAGS[self._kind]), txn]
        return self._strange[["environment", "database", "transaction"].index(kind)]

    def resolve(self, what: Any, places: Iterator[int | str]) -> Any:
        """The object that is meant in a call."""
        if isinstance(what, As):
            return FORMS[what.form](what.data)
        if isinstance(what, list):
            return [self.resolve(part, places) for part in what]
        if not isinstance(what, The):
            return what
        place = next(places)
        return self.stranger(what.kind) if isinstance(place, str) else self.things[what.kind][place]

    def do(self, step: Step, places: list[int | str]) -> Any:
        """Do a step; the objects that it names are at these places."""
        self.means.use(self.engine)
        at = iter(places)
        if step.name == "forget":
            if self.things[step.of.kind]:
                del self.things[step.of.kind][next(at)]
            return None
        thing = self.resolve(step.of, at)
        args = [self.resolve(argument, at) for argument in step.args]
        named = {name: self.resolve(argument, at) for name, argument in step.named.items()}
        call = partial(FUNCTIONS[step.name], thing) if step.name in FUNCTIONS else getattr(thing, step.name)
        result = outcome(lambda: _whole(call(*args, **named)))
        return result[0], *(self.keep(part) for part in result[1:])

    def keep(self, result: Any) -> Any:
        """What a result is beside the other path's; objects are kept for later steps."""
        kind = next((kind for of, kind in _KINDS.items() if isinstance(result, of)), None)
        if isinstance(result, dict):
            return {part: number for part, number in result.items() if part != "map_addr"}
        if isinstance(result, (tuple, list)):
            return type(result)(map(self.keep, result)) if type(result) in (tuple, list) else result
        if isinstance(result, memoryview):
            self.things["view"].append(result)
            return "view", bytes(result), result.readonly, result.format, result.c_contiguous
        if kind is None:
            if hasattr(result, "__next__"):
                kind = "iterator"
            else:
                return result
        things = self.things[kind]
        for place, thing in enumerate(things):
            if thing is result:
                return kind, place
        things.append(result)
        return f"new {kind}"

    def close(self) -> None:
        """End everything."""
        for things in self.things.values():
            things.clear()
        for env in (self.env, *self._strange[:1]):
            env.close()


_KINDS: dict[type, str] = {
    lmdb.Transaction: "transaction", lmdb.Cursor: "cursor", lmdb.Environment: "environment", lmdb._Database: "database",
}  # fmt: skip


# -- both paths ------------------------------------------------------------------------------------------------------


class DifferenceError(AssertionError):
    """The two paths did not agree."""


class Both:
    """The same on both sides. The first one's objects say which are open, so it must be a path that keeps that where
    Python sees it.
    """

    def __init__(self, sides: tuple[Side, Side]) -> None:
        self.sides = sides

    def places(self, what: Any) -> list[int | str]:
        """Where the object that is meant is among those of its kind; nothing for what is no such object."""
        if not isinstance(what, The):
            return []
        if what.back < 0:
            return ["stranger"]
        things = self.sides[0].things[what.kind]
        wanted = [place for place, thing in enumerate(things) if _is_open(thing) is not what.ended]
        if what.kind == "database":  # in the order in which they were made: the first is the one that is used most
            wanted.reverse()
        if not wanted:
            if not what.ended and what.kind in _MAKE:
                self.step(_MAKE[what.kind])
                if any(map(_is_open, things)):
                    return self.places(what)
            wanted = list(range(len(things)))
        return [wanted[-1 - what.back % len(wanted)]] if wanted else []

    def step(self, step: Step) -> None:
        """Do a step on both sides."""
        places = [place for what in (step.of, *step.args, *step.named.values()) for place in self.places(what)]
        if len(places) < sum(isinstance(what, The) for what in (step.of, *step.args, *step.named.values())):
            return  # there is no such object
        found = [side.do(step, places) for side in self.sides]
        if found[0] != found[1]:
            raise DifferenceError(
                f"{step}\n  of {self.sides[0].means}: {found[0]}\n  of {self.sides[1].means}: {found[1]}"
            )

    def finish(self) -> None:
        """Look at everything that is open, end it, and look at what there is."""
        counts = {kind: len(things) for kind, things in self.sides[0].things.items()}
        for name, kind, count in (("item", "cursor", counts["cursor"]), ("list()", "iterator", counts["iterator"])):
            for back, ended in itertools.product(range(count), (False, True)):
                if _some(self.sides[0].things[kind], ended) > back:
                    self.step(Step(The(kind, back, ended), name))
        for back in range(_some(self.sides[0].things["transaction"], ended=False)):
            for database in range(_some(self.sides[0].things["database"], ended=False)):
                self.step(Step(The("transaction", back), "scan", (The("database", database),)))
            self.step(Step(The("transaction", back), "id"))
        self.step(Step(The("environment"), "info"))
        self.step(Step(The("environment"), "readers"))
        for kind in ("view", "iterator", "cursor", "transaction"):
            for side in self.sides:
                side.things[kind].clear()
        self.step(Step(The("environment"), "info"))
        self.step(Step(The("environment"), "begin"))
        for database in range(_some(self.sides[0].things["database"], ended=False)):
            self.step(Step(The("transaction"), "scan", (The("database", database),)))


def _is_open(thing: Any) -> bool:
    if isinstance(thing, (lmdb.Transaction, lmdb.Cursor, lmdb.Environment)):
        return thing._handle is not None
    return thing._dbi is not None if isinstance(thing, lmdb._Database) else True


def _some(things: list[Any], ended: bool) -> int:
    return sum(_is_open(thing) is not ended for thing in things)


# What is made where a step wants one and there is none.
_MAKE = {
    "transaction": Step(The("environment"), "begin", (The("database"),), {"write": True}),
    "cursor": Step(The("transaction"), "cursor"),
    "iterator": Step(The("cursor"), "iternext"),
}


def play(script: Script, engine: _engine.Engine, means: tuple[Means, Means], folder: Path) -> None:
    """Do a script on two paths.

    Raises:
        DifferenceError: they did not agree; the words have the script.
    """
    sides: list[Side] = []
    done: list[Step] = []
    try:
        for name, own in zip("ab", means, strict=True):
            sides.append(Side(engine, own, folder / name, script.kind, script.options))
            sides[-1].fill(script.records)
        both = Both((sides[0], sides[1]))
        for step in script.steps:
            done.append(step)
            both.step(step)
        both.finish()
    except DifferenceError as difference:
        steps = "\n".join(f"        {step!r}," for step in done)
        raise DifferenceError(
            f"{difference}\nScript({script.kind!r}, {script.options!r}, {script.records!r}, [\n{steps}\n    ])"
        ) from None
    finally:
        for side in sides:
            side.close()


# -- what is drawn ---------------------------------------------------------------------------------------------------


@cache  # there are hundreds of strategies in it
def _scripts_of(kind: str) -> st.SearchStrategy[Script]:
    # Lists of lists, since lists alone are short.
    many = st.lists(st.lists(steps(kind), max_size=12), max_size=12).map(lambda parts: [*itertools.chain(*parts)])
    records = st.lists(st.tuples(keys_of(kind), values_of(kind)), max_size=12)
    return _made(Script, st.just(kind), OPTIONS, records, many)


def scripts() -> st.SearchStrategy[Script]:
    """Any script."""
    return st.sampled_from(sorted(FLAGS)).flatmap(_scripts_of)


OPTIONS = st.fixed_dictionaries(
    {
        "map_size": st.sampled_from([1 << 22, 1 << 22, 1 << 17]),
        "max_spare_txns": st.sampled_from([0, 1, 2]),
        "readahead": st.sampled_from([True, True, True, False]),
    }
)


def _made(kind: Callable[..., Any], *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(*parts).map(lambda drawn: kind(*drawn))


def _often(usual: st.SearchStrategy[Any], *others: st.SearchStrategy[Any], times: int = 8) -> st.SearchStrategy[Any]:
    """One value in so many is another than the usual."""
    return st.integers(0, times).flatmap(lambda number: usual if number < times else st.one_of(*others))


def steps(kind: str) -> st.SearchStrategy[Step]:
    """A step where databases are of a kind."""
    few = keys_of(kind) if kind == "integerkey" else st.sampled_from([b"a", b"aa", b"b", b"c", b"m" * 300])
    odd = [_made(As, st.sampled_from(["bytearray", "memoryview", "Text"]), few), st.sampled_from(
        [b"", b"x" * 2000, b"123", "text", None, 1, As("every second", b"abcdef"), [b"a"], As("bytearray"), 1.5]
    )]  # fmt: skip
    keys = _often(few | keys_of(kind), *odd)
    values = _often(
        values_of(kind) if "dup" in kind else st.sampled_from([b"", b"1", b"22", b"3" * 100]) | values_of(kind), *odd
    )
    flag = _often(st.booleans(), st.sampled_from([0, 1, 2, None, "", "yes", [], As("Whole"), As("Untrue")]), times=5)
    which = _often(st.just(0), st.sampled_from([1, 2, 3]), times=3)
    database = _often(
        _made(The, st.just("database"), which), st.none(), st.just(The("database", -1)),
        st.just(The("database", 0, ended=True)), st.sampled_from([b"first", 1]), times=6,
    )  # fmt: skip
    parent = _often(
        _made(The, st.just("transaction"), which), st.none(), st.just(The("transaction", -1)),
        st.just(The("transaction", 0, ended=True)), st.just(b"txn"), times=4,
    )  # fmt: skip
    pairs = st.lists(st.tuples(few, values_of(kind)), max_size=4)
    within = {"start": st.none() | few, "stop": st.none() | few, "reverse": st.booleans(), "dups": st.booleans()}
    key, value, db = {"key": keys}, {"value": values}, {"db": database}
    put = {**key, **value, "dupdata": flag, "overwrite": flag, "append": flag}
    begin = {**db, "parent": parent, "write": flag, "buffers": flag}
    show = {"keys": flag, "values": flag}
    nothing: dict[str, st.SearchStrategy[Any]] = {}

    # method: how often, how many parameters must be given, the parameters
    of: dict[str, dict[str, tuple[int, int, dict[str, st.SearchStrategy[Any]]]]] = {
        "environment": {
            "begin": (12, 0, begin),
            "Transaction()": (2, 0, begin),
            "info": (1, 0, nothing),
            "stat": (1, 0, nothing),
            "readers": (1, 0, nothing),
            "close": (1, 0, nothing),
            "open_db": (1, 1, {"key": st.sampled_from([b"first", b"late", b"later"]), "txn": parent}),
        },
        "transaction": {
            "get": (14, 1, {**key, "default": st.sampled_from([None, b"-", 0]), **db}),
            "put": (14, 2, {**put, **db}),
            "delete": (6, 1, {**key, **value, **db}),
            "replace": (5, 2, {**key, **value, **db}),
            "pop": (5, 1, {**key, **db}),
            "cursor": (6, 0, db),
            "Cursor()": (1, 1, db),
            "drop": (1, 1, {**db, "delete": flag}),
            "stat": (1, 0, db),
            "id": (1, 0, nothing),
            "commit": (2, 0, nothing),
            "abort": (2, 0, nothing),
            "__enter__": (1, 0, nothing),
            "__exit__": (1, 3, {"kind": st.sampled_from([None, TroubleError]), "value": st.none(), "trace": st.none()}),
            "with": (1, 1, {"problem": st.sampled_from([None, TroubleError])}),
            "getmany": (1, 1, {"keys": st.lists(keys, max_size=3)}),
            "putmany": (1, 1, {"items": pairs, "dupdata": st.booleans(), "overwrite": st.booleans()}),
            "scan": (1, 0, {**db, **within}),
            "delete_range": (1, 0, db),
        },
        "cursor": {
            **dict.fromkeys(("first", "last", "next", "prev"), (3, 0, nothing)),
            **{
                f"{name}_{what}": (1 + ("dup" in kind), 0, nothing)
                for name, what in itertools.product(("next", "prev"), ("dup", "nodup"))
            },
            "first_dup": (1, 0, nothing),
            "last_dup": (1, 0, nothing),
            "set_key": (5, 1, key),
            "set_range": (5, 1, key),
            "set_key_dup": (2, 2, {**key, **value}),
            "set_range_dup": (2, 2, {**key, **value}),
            "key": (3, 0, nothing),
            "value": (3, 0, nothing),
            "item": (3, 0, nothing),
            "get": (3, 1, {**key, "default": st.sampled_from([None, b"-", 0])}),
            "count": (2, 0, nothing),
            "put": (5, 2, put),
            "delete": (5, 0, {"dupdata": flag}),
            "replace": (4, 2, {**key, **value}),
            "pop": (4, 1, key),
            "iternext": (4, 0, show),
            "iterprev": (3, 0, show),
            **{
                f"iter{name}_{what}": (1, 0, show)
                for name, what in itertools.product(("next", "prev"), ("dup", "nodup"))
            },
            "iter()": (1, 0, nothing),
            "_iter_from": (1, 2, {"k": keys, "reverse": flag}),
            "getmulti": (1, 1, {"keys": st.lists(keys, max_size=3), "dupdata": st.booleans()}),
            "putmulti": (1, 1, {"items": pairs, "dupdata": st.booleans(), "overwrite": st.booleans()}),
            "close": (1, 0, nothing),
            "with": (1, 1, {"problem": st.sampled_from([None, TroubleError])}),
            "__exit__": (1, 3, {"kind": st.none(), "value": st.none(), "trace": st.none()}),
        },
        "iterator": {
            "next()": (12, 0, nothing),
            "islice()": (4, 1, {"count": st.integers(1, 4)}),
            "list()": (2, 0, nothing),
            "iter()": (1, 0, nothing),
        },
    }  # fmt: skip
    drawn = [
        _made(Step, _made(The, st.just(thing), which, ended), st.just(name)).flatmap(
            partial(
                _with_arguments,
                parameters=parameters,
                required=required,
                forms=_FORMS if name not in FUNCTIONS or name == "Transaction()" else _FORMS[:1],
            )
        )
        for thing, methods in of.items()
        for name, (times, required, parameters) in methods.items()
        for ended in [_often(st.just(False), st.just(True), times=10 if thing != "environment" else 1000)]
        for _ in range(times)
    ]
    for thing in ("transaction", "cursor", "iterator", "view"):
        drawn += [_made(Step, _made(The, st.just(thing), which, st.booleans()), st.just("forget"))]
    attributes = [
        ("transaction", "env"),
        ("transaction", "mine"),
        ("cursor", "db"),
        ("cursor", "txn"),
        ("cursor", "mine"),
    ]
    for thing, name in attributes:
        target = _made(The, st.just(thing), which, st.booleans())
        drawn += [
            _made(Step, target, st.just("getattr()"), st.just((name,))),
            _made(Step, target, st.just("setattr()"), st.just(("mine", 7))),
            _made(Step, target, st.sampled_from(["bool()", "=="])),
        ]
    return st.one_of(drawn)


_FORMS = ["usual"] * 12 + ["mixed"] * 8 + ["named"] * 2 + ["wrong"]


@st.composite
def _with_arguments(
    draw: st.DrawFn, step: Step, parameters: dict[str, st.SearchStrategy[Any]], required: int, forms: list[str]
) -> Step:
    """A step with arguments: most often those that must be, by position; now and then what no method takes."""
    form = draw(st.sampled_from(forms))
    names = list(parameters)
    if form == "usual":
        return step._replace(args=tuple(draw(parameters[name]) for name in names[:required]))
    count = 0 if form == "named" else draw(st.integers(0 if form == "wrong" else required, len(names)))
    args = [draw(parameters[name]) for name in names[:count]]
    named = {
        name: draw(parameters[name])
        for place, name in enumerate(names[count:], count)
        if (place < required and form != "wrong") or draw(st.booleans())
    }
    if form == "wrong":
        extra = draw(st.sampled_from(["unknown", "twice", "many", "none"]))
        if extra == "unknown":
            named["no_such"] = None
        elif extra == "twice" and args:
            named[names[0]] = args[0]
        elif extra == "many":
            args += [None] * (len(names) - count + 1)
    return step._replace(args=tuple(args), named=named)
