"""What an environment provides, who needs it, which other copies there are, and what is wrong with that."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from typing import Any, Literal

import sharedlib_loader
from sharedlib_loader import SharedLibrary, SharedLibraryError, _runtime
from sharedlib_loader._discovery import GROUP
from sharedlib_loader.doctor import objects, process
from sharedlib_loader.doctor.objects import NativeObject

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Provided:
    """A library that a distribution announces.

    Attributes:
        name: what consumers ask for.
        announced: the entry point's value.
        distribution, version, soname, path: of its description; None where that cannot be imported.
        switch: the value of its environment variable, None where it is not set.
        here: the file that its SONAME means in this process; None where none is loaded.
        loads: the file that ``load()`` gives in a fresh process; None where it is refused, or the library is for
            another interpreter, which is no finding.
        winner: the file that a later ``DT_NEEDED`` then binds to; None where there is none.
    """

    name: str
    announced: str
    distribution: str | None = None
    version: str | None = None
    soname: str | None = None
    path: str | None = None
    switch: str | None = None
    here: str | None = None
    loads: str | None = None
    winner: str | None = None


@dataclass(frozen=True)
class Binding:
    """What calls provided libraries from Python, by their handles, and so needs no SONAME.

    Attributes:
        name: what it calls itself.
        announced: the entry point's value, a function.
        distribution: who installed it.
        uses: what the function gives in a fresh process; None where it fails.
    """

    name: str
    announced: str
    distribution: str | None
    uses: Mapping[str, Any] | None


@dataclass(frozen=True)
class Consumer:
    """An object of the environment that needs a provided SONAME.

    Attributes:
        module: its name for ``import``, or its file name where it is no extension module.
        distribution: who installed it, where that is known.
        path: its file.
        soname: what it needs.
        library: who provides that.
        mapped: true where it is loaded in this process.
        binds_to: the file that it gets after ``load()``; None where that is refused.
        alone: the file that it would find without; None where its import would fail.
    """

    module: str
    distribution: str | None
    path: str
    soname: str
    library: str
    mapped: bool
    binds_to: str | None
    alone: str | None


@dataclass(frozen=True)
class Copy:
    """Another file with a provided library in it.

    Attributes:
        path: the file.
        module: its name for ``import``, or its file name.
        distribution: who installed it, where that is known.
        libraries: the provided libraries that it may be a copy of.
        because: how it shows: by its SONAME, by what it defines, by what it contains.
        mapped: true where it is loaded in this process.
    """

    path: str
    module: str
    distribution: str | None
    libraries: tuple[str, ...]
    because: str
    mapped: bool


@dataclass(frozen=True)
class Finding:
    """Something to know: what it is about, what is the matter, what to do."""

    severity: Severity
    about: str
    problem: str
    advice: str


@dataclass(frozen=True)
class Diagnosis:
    """All of it; ``mapped`` are the providers', consumers' and copies' files that are loaded in this process."""

    providers: tuple[Provided, ...]
    bindings: tuple[Binding, ...]
    mapped: tuple[str, ...]
    consumers: tuple[Consumer, ...]
    copies: tuple[Copy, ...]
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Severity | None:
        """The gravest severity found; None where nothing was."""
        order: tuple[Severity, ...] = ("error", "warning", "note")
        return next((severity for severity in order if any(one.severity == severity for one in self.findings)), None)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON has them, with the version of their format and the interpreter that was asked."""
        return {"format": 1, "interpreter": sys.executable, "worst": self.worst, **asdict(self)}


def diagnose(known: Iterable[Finding] = ()) -> Diagnosis:
    """Look at this environment and this process; loads nothing here, but starts fresh processes that do.

    Args:
        known: what the caller has found out already, to stand before the other findings.
    """
    findings = list(known)
    libraries = _descriptions(findings)
    providers = _providers(libraries, findings)
    bindings = tuple(_binding(entry, findings) for entry in sorted(entry_points(group=process.BINDINGS)))
    mapped = process.mapped()
    system = _system(libraries.values())
    native = _objects(libraries.values(), {*mapped, *system.values()})
    installed = _Installed()
    consumers = _consumers(native, libraries, providers, system, mapped, installed)
    copies = _copies(native, libraries, mapped, installed)
    findings += [_second_copy(copy) for copy in copies]
    findings += [_led_elsewhere(consumer) for consumer in consumers if _is_led_elsewhere(consumer)]
    ours = {file for library in libraries.values() for file in _own_files(library)}
    relevant = ours | {Path(one.path) for one in consumers} | {Path(one.path) for one in copies}
    return Diagnosis(
        providers=providers,
        bindings=bindings,
        mapped=tuple(sorted(map(str, relevant & mapped))),
        consumers=consumers,
        copies=copies,
        findings=tuple(findings),
    )


# -- providers -------------------------------------------------------------------------------------------------------


def _descriptions(findings: list[Finding]) -> dict[str, SharedLibrary]:
    """The libraries whose descriptions can be imported; the others are findings."""
    found = {}
    for name in sharedlib_loader.providers():
        try:
            found[name] = sharedlib_loader.find(name)
        except SharedLibraryError as error:  # noqa: PERF203 - few libraries, and each may fail by itself
            findings.append(Finding("error", name, error.problem, error.cure))
    by_soname: dict[str, list[str]] = {}
    for library in found.values():
        by_soname.setdefault(library.soname, []).append(library.name)
    for soname, names in by_soname.items():
        if len(names) > 1:
            problem = f"{' and '.join(names)} provide one SONAME, {soname}: whichever is loaded first serves both"
            findings.append(Finding("error", soname, problem, "uninstall all but one of the distributions"))
    return found


def _providers(libraries: Mapping[str, SharedLibrary], findings: list[Finding]) -> tuple[Provided, ...]:
    suited = [name for name, library in libraries.items() if library.suits]
    answers, end = process.fresh("loads", *suited)
    if end is not None:
        culprit = suited[len(answers)]
        problem = f"loading it ends a fresh process: {end}"
        advice = f"pip install --force-reinstall {libraries[culprit].distribution}"
        findings.append(Finding("error", culprit, problem, advice))
    loaded = dict(zip(suited, answers, strict=False))
    return tuple(
        _provided(name, announced, libraries.get(name), loaded.get(name, {}), findings)
        for name, announced in sorted({entry.name: entry.value for entry in entry_points(group=GROUP)}.items())
    )


def _provided(
    name: str,
    announced: str,
    library: SharedLibrary | None,
    loaded: Mapping[str, str],
    findings: list[Finding],
) -> Provided:
    if library is None:
        return Provided(name, announced)
    if "problem" in loaded:
        problem = f"in a fresh process: {loaded['problem']} ({loaded['tried']})"
        findings.append(Finding("error", name, problem, loaded["cure"]))
    switch = os.environ.get(library.switch)
    if switch is not None:
        advice = "unset it to use the file that the provider ships"
        findings.append(Finding("note", name, f"the environment variable {library.switch} is {switch!r}", advice))
    here = process.answering(library.soname)
    if here is not None and here.resolve() not in {*_own_files(library), Path(loaded.get("path", "")).resolve()}:
        problem = f"in this process the SONAME {library.soname} means {here}, not {library.path}"
        findings.append(Finding("error", name, problem, f"load {name} before what brings that copy"))
    return Provided(
        name=name,
        announced=announced,
        distribution=library.distribution,
        version=library.version,
        soname=library.soname,
        path=str(library.path),
        switch=switch,
        here=None if here is None else str(here),
        loads=loaded.get("path"),
        winner=loaded.get("winner") or None,
    )


def _own_files(library: SharedLibrary) -> set[Path]:
    """The provider's file, and the copy that this process has made of it where it is in a zip archive."""
    file = str(library.path)
    return {Path(file).resolve(), Path(_runtime._copies.get(file, file)).resolve()}


# -- bindings --------------------------------------------------------------------------------------------------------


def _binding(entry: EntryPoint, findings: list[Finding]) -> Binding:
    """Ask it in a process of its own: what one has loaded would be there for the next."""
    answers, end = process.fresh("says", entry.value)
    answer = answers[0] if answers else {}
    problem = answer.get("problem") if end is None else f"that ends a fresh process: {end}"
    distribution = None if entry.dist is None else entry.dist.name
    if problem is not None:
        advice = f"pip install --force-reinstall {distribution}"
        findings.append(Finding("error", entry.name, f"it does not say what it uses: {problem}", advice))
    return Binding(entry.name, entry.value, distribution, answer.get("uses"))


# -- objects ---------------------------------------------------------------------------------------------------------


def _system(libraries: Iterable[SharedLibrary]) -> dict[str, Path]:
    """The files that the system itself has for provided SONAMEs."""
    sonames = sorted({library.soname for library in libraries})
    answers, _ = process.fresh("finds", *sonames)
    return {soname: Path(found).resolve() for soname, found in zip(sonames, answers, strict=False) if found is not None}


def _objects(libraries: Iterable[SharedLibrary], others: Iterable[Path]) -> tuple[NativeObject, ...]:
    """The objects of the environment, and these others."""
    libraries = tuple(libraries)
    symbols = {symbol for library in libraries for symbol in library.symbols}
    marks = {mark for library in libraries for mark in library.marks}
    found = dict.fromkeys(objects.files(objects.folders()))
    found |= dict.fromkeys(others)
    return tuple(one for path in found if (one := objects.read(path, symbols, marks)) is not None)


class _Installed:
    """Which distribution and which module a file is."""

    def __init__(self) -> None:
        self._distributions = {
            Path(str(one.locate_file(file))).resolve(): one.name
            for one in distributions()
            for file in one.files or ()
            if ".so" in file.name
        }
        self._roots = [folder.resolve() for folder in objects.folders()]

    def distribution(self, path: Path) -> str | None:
        return self._distributions.get(path)

    def module(self, one: NativeObject) -> str:
        if not one.is_extension:
            return one.path.name
        name = ".".join(self._inside(one.path))
        # The longest suffix is the first: .cpython-311-x86_64-linux-gnu.so, .abi3.so, .so
        return next((name[: -len(suffix)] for suffix in EXTENSION_SUFFIXES if name.endswith(suffix)), name)

    def _inside(self, path: Path) -> tuple[str, ...]:
        return next((path.relative_to(root).parts for root in self._roots if path.is_relative_to(root)), (path.name,))


def _consumers(
    native: Iterable[NativeObject],
    libraries: Mapping[str, SharedLibrary],
    providers: Iterable[Provided],
    system: Mapping[str, Path],
    mapped: set[Path],
    installed: _Installed,
) -> tuple[Consumer, ...]:
    by_soname = {library.soname: name for name, library in libraries.items()}
    winners = {one.name: one.winner for one in providers}
    found = []
    for one in native:
        for soname in one.needed:
            if name := by_soname.get(soname):
                alone = _search(one, soname) or system.get(soname)
                found.append(
                    Consumer(
                        module=installed.module(one),
                        distribution=installed.distribution(one.path),
                        path=str(one.path),
                        soname=soname,
                        library=name,
                        mapped=one.path in mapped,
                        binds_to=winners[name],
                        alone=None if alone is None else str(alone),
                    )
                )
    return tuple(sorted(found, key=lambda one: (one.module, one.soname)))


def _search(one: NativeObject, soname: str) -> Path | None:
    """What glibc finds for a ``DT_NEEDED`` in the folders named to it, with nothing of that name loaded (ld.so(8))."""
    environment = os.environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":")
    places = [*one.rpath, *(Path(folder) for folder in environment if folder), *one.runpath]
    return next(((place / soname).resolve() for place in places if (place / soname).is_file()), None)


def _copies(
    native: Iterable[NativeObject], libraries: Mapping[str, SharedLibrary], mapped: set[Path], installed: _Installed
) -> tuple[Copy, ...]:
    ours = {file for library in libraries.values() for file in _own_files(library)}
    found = []
    for one in native:
        of, because = [], []
        for name, library in libraries.items():
            reasons = [
                *([f"has the SONAME {library.soname}"] if one.soname == library.soname else []),
                *(f"defines {symbol}" for symbol in library.symbols if symbol in one.defines),
                *(f"contains {mark!r}" for mark in library.marks if mark in one.contains),
            ]
            of += [name] if reasons else []
            because += reasons
        if of and one.path not in ours:
            found.append(
                Copy(
                    path=str(one.path),
                    module=installed.module(one),
                    distribution=installed.distribution(one.path),
                    libraries=tuple(of),
                    because=", ".join(dict.fromkeys(because)),
                    mapped=one.path in mapped,
                )
            )
    return tuple(sorted(found, key=lambda one: one.path))


# -- advice ----------------------------------------------------------------------------------------------------------


def _second_copy(copy: Copy) -> Finding:
    whose = copy.distribution or "no distribution"
    state = "it is loaded in this process, " if copy.mapped else ""
    problem = f"{copy.path} {copy.because}: {state}a second copy of {' or '.join(copy.libraries)}, from {whose}"
    if copy.distribution is None:
        return Finding("note", copy.module, problem, "load the provider's before anything that finds this one")
    advice = f"two copies share no state and no locks: do not open the same data by both in one process; ask {whose} to"
    return Finding("warning", copy.module, problem, f"{advice} link the provided library instead of bundling one")


def _is_led_elsewhere(consumer: Consumer) -> bool:
    return consumer.alone is not None and consumer.binds_to is not None and consumer.alone != consumer.binds_to


def _led_elsewhere(consumer: Consumer) -> Finding:
    problem = f"without a preload its {consumer.soname} is {consumer.alone}, and not {consumer.binds_to}"
    advice = f"its package must load {consumer.library} before it imports the module; see its RPATH and LD_LIBRARY_PATH"
    return Finding("warning", consumer.module, problem, advice)
