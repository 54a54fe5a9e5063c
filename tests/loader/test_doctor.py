"""The doctor: what an environment provides, needs and has loaded, which copies there are, and what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import liblmdb_wheel
import sharedlib_loader
from sharedlib_loader.doctor import objects, process
from tests.loader.conftest import PROVIDER, SOURCE, archive, install, provider_files

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = ROOT / "liblmdb_wheel" / "upstream" / "lmdb-0.9"

pytestmark = pytest.mark.requirement("R10")

# The environment is one folder, with the loader and the standard library, and nothing of what the tools need.
HEAD = """
import ctypes, json, os, sys
sys.path[:] = [sys.argv.pop(1), *(entry for entry in sys.path if entry and "site-packages" not in entry)]
"""
TAIL = """
from sharedlib_loader.__main__ import main
sys.exit(main(["doctor", *sys.argv[1:]]))
"""

Doctor = Callable[..., tuple[int, dict[str, Any]]]
Extension = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, library: Path) -> Path:
    """An environment with the loader and the provider of the sample library."""
    folder = install(provider_files(library), tmp_path / "site")
    (folder / "sharedlib_loader").symlink_to(Path(sharedlib_loader.__file__).parent)
    return folder


def run(site: Path, *arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HEAD + before + TAIL, site, *arguments],
        capture_output=True, text=True, check=False, cwd=site.parent, env={**os.environ, **environment}, timeout=120,
    )  # fmt: skip


@pytest.fixture
def doctor(site: Path) -> Doctor:
    """Run the doctor in the environment, after some code; gives its exit status and its JSON."""

    def doctor(*arguments: str, before: str = "", **environment: str) -> tuple[int, dict[str, Any]]:
        done = run(site, "--json", *arguments, before=before, **environment)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    return doctor


@pytest.fixture
def extension(site: Path, library: Path, compile_c: Callable[..., Path]) -> Extension:
    """Install a distribution "needy" with an extension module that needs the sample library."""

    def extension(*flags: str, source: str = "", links: bool = True) -> Path:
        calls = "int sample_version(void); int use(void) { return sample_version(); }" if links else ""
        text = f"void *PyInit__native(void) {{ return 0; }} {calls} {source}"
        needs = [f"-L{library.parent}", "-l:libsample.so.3"] if links else []
        path = site / "needy" / "_native.abi3.so"
        compile_c(text, path, "-shared", "-nostdlib", *needs, *flags)
        info = {
            "METADATA": b"Metadata-Version: 2.1\nName: Needy-Dist\nVersion: 1\n",
            "RECORD": b"needy/_native.abi3.so,,\n",
        }
        install({f"needy_dist-1.dist-info/{name}": data for name, data in info.items()}, site)
        install({"needy/__init__.py": b""}, site)
        return path

    return extension


def provided(site: Path) -> str:
    return str(site / "sample_provider" / "libsample.so.3")


def findings(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["severity"], one["about"]) for one in report["findings"]]


# -- what there is ---------------------------------------------------------------------------------------------------


def test_a_healthy_environment(doctor: Doctor, site: Path, extension: Extension) -> None:
    """Provider and consumer are listed, the consumer binds to the provider's file, nothing is loaded here, status 0."""
    path = extension()
    status, report = doctor()
    assert status == 0
    assert report == {
        "format": 1,
        "interpreter": sys.executable,
        "worst": None,
        "providers": [
            {
                "name": "sample-3", "announced": "sample_provider:SAMPLE", "distribution": "sample-wheel",
                "version": "3", "soname": "libsample.so.3", "path": provided(site), "switch": None, "here": None,
                "loads": provided(site), "winner": provided(site),
            }
        ],
        "bindings": [],
        "mapped": [],
        "consumers": [
            {
                "module": "needy._native", "distribution": "Needy-Dist", "path": str(path), "soname": "libsample.so.3",
                "library": "sample-3", "mapped": False, "binds_to": provided(site), "alone": None,
            }
        ],
        "copies": [],
        "findings": [],
    }  # fmt: skip


def test_an_empty_environment(doctor: Doctor, site: Path) -> None:
    """Where nothing is provided, nothing is wrong."""
    (site / "sample_wheel-3.dist-info" / "entry_points.txt").unlink()
    status, report = doctor()
    assert (status, report["providers"], report["findings"]) == (0, [], [])


def test_what_is_loaded_in_this_process(doctor: Doctor, site: Path, extension: Extension) -> None:
    """A module that is imported first shows what it brings into the process."""
    path = extension()
    install({"uses.py": f"""
import ctypes, sharedlib_loader
sharedlib_loader.load(sharedlib_loader.find("sample-3"))
ctypes.CDLL({str(path)!r})
""".encode()}, site)  # fmt: skip
    status, report = doctor("--import", "uses")
    assert status == 0
    assert report["mapped"] == sorted([provided(site), str(path)])
    assert report["providers"][0]["here"] == provided(site)
    assert report["consumers"][0]["mapped"] is True


def test_a_module_that_cannot_be_imported(doctor: Doctor, extension: Extension) -> None:
    """A module asked for that fails is a finding with its own words, and the report is made all the same."""
    extension()
    status, report = doctor("--import", "json", "--import", "nowhere")
    assert status == 1
    assert findings(report) == [("error", "nowhere")]
    assert report["findings"][0]["problem"] == "it cannot be imported: ModuleNotFoundError: No module named 'nowhere'"
    assert len(report["consumers"]) == 1


def test_the_table_is_for_people(site: Path, extension: Extension, decoy: Path) -> None:
    """Without --json the same is a table for each kind, and the findings with advice."""
    path = extension(f"-Wl,-rpath,{decoy.parent}")
    install({"bundled.so": decoy.read_bytes()}, site)
    lines = run(site, "--import", "nowhere").stdout.splitlines()
    assert lines[0] == "Provided, and what load() gives in a fresh process"
    assert lines[1].split() == ["library", "version", "SONAME", "distribution", "file"]
    assert lines[2].split() == ["sample-3", "3", "libsample.so.3", "sample-wheel", provided(site)]
    assert "  libsample.so.3  not loaded" in lines
    assert ["needy._native", "Needy-Dist", "libsample.so.3", provided(site)] in [line.split() for line in lines]
    assert ["-", "sample-3", str(site / "bundled.so")] in [line.split() for line in lines]
    assert lines[lines.index("Loaded in this process, of all these") + 1] == "  none"
    at = lines.index("Findings")
    assert lines[at + 1].startswith("  error: nowhere: it cannot be imported: ")
    assert lines[at + 2].startswith("    advice: ")
    assert (
        f"  warning: needy._native: without a preload its libsample.so.3 is {decoy}, and not {provided(site)}" in lines
    )
    assert str(path) not in "".join(lines)


def test_the_table_of_a_healthy_environment(site: Path) -> None:
    """Where nothing is wrong, it says so."""
    done = run(site)
    assert done.returncode == 0
    assert done.stdout.endswith("Findings\n  none\n")


def test_a_wrong_option(site: Path) -> None:
    """An option that is not there is status 2, and the usage names the command."""
    done = run(site, "--yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m sharedlib_loader doctor")


# -- who would get what ----------------------------------------------------------------------------------------------


def test_a_consumer_led_elsewhere(doctor: Doctor, site: Path, extension: Extension, decoy: Path) -> None:
    """A consumer whose own search finds another file depends on the preload: a warning, an error with --strict."""
    extension(f"-Wl,-rpath,{decoy.parent}")
    status, report = doctor()
    assert status == 0
    assert findings(report) == [("warning", "needy._native")]
    assert report["consumers"][0]["alone"] == str(decoy)
    assert report["consumers"][0]["binds_to"] == provided(site)
    assert "load sample-3 before it imports the module" in report["findings"][0]["advice"]
    assert doctor("--strict")[0] == 1


def test_a_consumer_that_finds_ours_itself(doctor: Doctor, site: Path, extension: Extension, decoy: Path) -> None:
    """RPATH $ORIGIN comes before LD_LIBRARY_PATH, RUNPATH after it, as in ld.so(8)."""
    elsewhere = {"LD_LIBRARY_PATH": f":{decoy.parent}"}
    extension("-Wl,-rpath,/nowhere:$ORIGIN/../sample_provider", "-Wl,--disable-new-dtags")
    assert doctor(**elsewhere)[1]["consumers"][0]["alone"] == provided(site)
    extension("-Wl,-rpath,$ORIGIN/../sample_provider", "-Wl,--enable-new-dtags")
    assert doctor()[1]["consumers"][0]["alone"] == provided(site)
    assert doctor(**elsewhere)[1]["consumers"][0]["alone"] == str(decoy)


def test_a_copy_of_the_system(doctor: Doctor, site: Path, decoy: Path, extension: Extension) -> None:
    """What the system's own search finds for a SONAME is a note, and what a consumer without RPATH would get alone."""
    extension()
    status, report = doctor(LD_LIBRARY_PATH=str(decoy.parent))
    assert status == 0
    [copy] = report["copies"]
    assert (copy["path"], copy["distribution"]) == (str(decoy), None)
    assert ("note", "libsample.so.3") in findings(report)
    assert report["consumers"][0]["alone"] == str(decoy)
    assert report["providers"][0]["winner"] == provided(site)  # load() comes first


# -- conflicts -------------------------------------------------------------------------------------------------------


def test_a_foreign_copy_in_this_process(doctor: Doctor, site: Path, decoy: Path) -> None:
    """What already answers to the SONAME here is an error, though a fresh process is well."""
    status, report = doctor(before=f"ctypes.CDLL({str(decoy)!r})")
    assert status == 1
    assert ("error", "sample-3") in findings(report)
    assert report["findings"][0]["problem"] == (
        f"in this process the SONAME libsample.so.3 means {decoy}, not {provided(site)}"
    )
    assert report["providers"][0]["here"] == str(decoy)
    assert report["providers"][0]["winner"] == provided(site)
    assert report["copies"][0]["mapped"] is True
    assert report["mapped"] == [str(decoy)]


def test_what_the_switch_chose_is_no_conflict(doctor: Doctor, decoy: Path) -> None:
    """Who loaded the file that the switch names did what was asked."""
    status, report = doctor(before=f"ctypes.CDLL({str(decoy)!r})", SHAREDLIB_SAMPLE_3=str(decoy))
    assert status == 0
    assert report["providers"][0]["here"] == str(decoy)


def test_a_copy_out_of_an_archive_is_no_conflict(site: Path, library: Path, tmp_path: Path) -> None:
    """A provider in a zip archive is loaded from a copy, here and in the fresh process from another one."""
    shutil.rmtree(site / "sample_wheel-3.dist-info")
    shutil.rmtree(site / "sample_provider")
    file = archive(provider_files(library), tmp_path / "provider.zip")
    before = f"""
sys.path.append({str(file)!r})
import sharedlib_loader
sharedlib_loader.load(sharedlib_loader.find("sample-3"))
"""
    done = run(site, "--json", before=before)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["findings"] == report["copies"] == []
    assert report["providers"][0]["here"] != report["providers"][0]["loads"]


def test_a_preloaded_copy(doctor: Doctor, site: Path, decoy: Path) -> None:
    """LD_PRELOAD reaches the fresh process too: the error there is load()'s own, with the winner."""
    status, report = doctor(LD_PRELOAD=str(decoy))
    assert status == 1
    problems = [one["problem"] for one in report["findings"] if one["severity"] == "error"]
    assert problems[0].startswith(f"in a fresh process: the SONAME libsample.so.3 resolves to {decoy} (version 2)")
    assert (report["providers"][0]["loads"], report["providers"][0]["winner"]) == (provided(site), str(decoy))


def test_two_providers_of_one_soname(doctor: Doctor, site: Path, decoy: Path) -> None:
    """Two libraries that answer to one SONAME cannot both be right."""
    files = {
        "rival/__init__.py": PROVIDER.replace("sample-3", "rival-3").replace("sample-wheel", "rival-wheel").encode(),
        "rival/libsample.so.3": decoy.read_bytes(),
        "rival_wheel-3.dist-info/METADATA": b"Metadata-Version: 2.1\nName: rival-wheel\nVersion: 3\n",
        "rival_wheel-3.dist-info/entry_points.txt": b"[sharedlib_loader.providers]\nrival-3 = rival:SAMPLE\n",
    }
    install(files, site)
    status, report = doctor()
    assert status == 1
    assert report["findings"][0]["problem"] == (
        "rival-3 and sample-3 provide one SONAME, libsample.so.3: whichever is loaded first serves both"
    )
    assert ("error", "sample-3") in findings(report)  # the second to be loaded in the fresh process


# -- providers -------------------------------------------------------------------------------------------------------


def test_a_provider_that_cannot_be_imported(doctor: Doctor, site: Path) -> None:
    """It is listed by what it announces, with the failure and the cure."""
    (site / "sample_provider" / "__init__.py").write_text("import what_is_missing")
    status, report = doctor()
    assert status == 1
    assert findings(report) == [("error", "sample-3")]
    assert "No module named 'what_is_missing'" in report["findings"][0]["problem"]
    assert report["findings"][0]["advice"] == "pip install --force-reinstall sample-wheel"
    assert report["providers"][0]["announced"] == "sample_provider:SAMPLE"
    assert report["providers"][0]["soname"] is None


def test_a_provider_without_its_file(doctor: Doctor, site: Path, extension: Extension) -> None:
    """The file that is missing is named, and its consumer gets nothing."""
    extension()
    os.unlink(provided(site))
    status, report = doctor()
    assert status == 1
    assert report["findings"][0]["problem"] == (
        f"in a fresh process: the file does not exist ({provided(site)}: No such file or directory)"
    )
    assert report["providers"][0]["loads"] is None
    assert report["consumers"][0]["binds_to"] is None


def test_a_library_whose_soname_is_wrong(doctor: Doctor, site: Path, sample: Callable[..., Path]) -> None:
    """A file that does not answer to its SONAME can be loaded, and nobody binds to it."""
    Path(provided(site)).write_bytes(sample(soname="libother.so.3").read_bytes())
    status, report = doctor()
    assert status == 1
    assert "does not answer to the SONAME libsample.so.3" in report["findings"][0]["problem"]
    assert (report["providers"][0]["loads"], report["providers"][0]["winner"]) == (provided(site), None)


def test_a_library_that_ends_the_process(doctor: Doctor, site: Path, compile_c: Callable[..., Path]) -> None:
    """A library that cannot even be loaded ends a process of its own, not the doctor's; the culprit is named."""
    source = SOURCE % 3 + "__attribute__((constructor)) static void end(void) { __builtin_trap(); }"
    compile_c(source, Path(provided(site)), "-shared", "-nostdlib", "-Wl,-soname,libsample.so.3")
    status, report = doctor()
    assert status == 1
    assert findings(report)[0] == ("error", "sample-3")
    assert report["findings"][0]["problem"] == "loading it ends a fresh process: exit status -4: it said nothing"


def test_a_fresh_process_that_cannot_start(doctor: Doctor, site: Path) -> None:
    """What a fresh process says at its end is passed on."""
    (site / "sample_provider" / "__init__.py").write_text(
        PROVIDER + "import os\nif 'DOCTORED' in os.environ: raise SystemExit('no, not again')\n"
    )
    before = "import sample_provider\nos.environ['DOCTORED'] = '1'"
    status, report = doctor(before=before)
    assert status == 1
    assert report["findings"][0]["problem"] == "loading it ends a fresh process: exit status 1: no, not again"


def test_a_library_for_another_interpreter_is_no_finding(doctor: Doctor, site: Path) -> None:
    """It is listed, is not loaded, and nothing is wrong with that."""
    text = PROVIDER.replace('version="3",', 'version="3", implementation="another",')
    (site / "sample_provider" / "__init__.py").write_text(text)
    status, report = doctor()
    assert (status, report["findings"]) == (0, [])
    assert (report["providers"][0]["version"], report["providers"][0]["loads"]) == ("3", None)


def test_the_switch_is_noted(doctor: Doctor, decoy: Path) -> None:
    """A switch that is set is a note; what it chooses is what load() gives."""
    status, report = doctor(SHAREDLIB_SAMPLE_3=str(decoy))
    assert status == 0
    assert report["findings"][0]["problem"] == f"the environment variable SHAREDLIB_SAMPLE_3 is {str(decoy)!r}"
    assert report["worst"] == "note" or report["worst"] == "warning"
    assert report["providers"][0]["switch"] == report["providers"][0]["loads"] == str(decoy)


def test_a_wrong_switch(doctor: Doctor) -> None:
    """A value that load() refuses is an error here too."""
    status, report = doctor(SHAREDLIB_SAMPLE_3="yes")
    assert status == 1
    assert "the environment variable SHAREDLIB_SAMPLE_3 is 'yes'" in report["findings"][0]["problem"]


# -- copies ----------------------------------------------------------------------------------------------------------


def test_a_file_of_the_soname(doctor: Doctor, site: Path, decoy: Path) -> None:
    """Another file of the SONAME in the environment is a second copy."""
    install({"needy.libs/libsample.so.3": decoy.read_bytes()}, site)
    _, report = doctor()
    [copy] = report["copies"]
    assert copy["path"] == str(site / "needy.libs" / "libsample.so.3")
    assert copy["because"].startswith("has the SONAME libsample.so.3, defines sample_version")


def test_a_copy_under_another_name(doctor: Doctor, extension: Extension) -> None:
    """Auditwheel's grafted copies have another SONAME; who defines the library's functions is a copy all the same."""
    path = extension(
        "-Wl,-soname,libsample-1a2b3c.so.3.0", source="int sample_version(void) { return 1; }", links=False
    )
    status, report = doctor()
    assert status == 0
    assert report["copies"] == [
        {
            "path": str(path), "module": "needy._native", "distribution": "Needy-Dist", "libraries": ["sample-3"],
            "because": "defines sample_version", "mapped": False,
        }
    ]  # fmt: skip
    assert findings(report) == [("warning", "needy._native")]
    assert "ask Needy-Dist to link the provided library" in report["findings"][0]["advice"]


def test_a_static_copy_that_exports_nothing(doctor: Doctor, extension: Extension) -> None:
    """A copy linked into an extension is found by the linker's symbols, and where these are gone by its texts."""
    hidden = '__attribute__((visibility("hidden"), used, noinline)) int {}(void) {{ return 1; }}'
    extension(source=hidden.format("sample_version"), links=False)
    assert doctor()[1]["copies"][0]["because"] == "defines sample_version"
    text = 'const char *renamed(void) { return "the sample library says so"; }'
    extension("-s", source=hidden.format("renamed_version") + text, links=False)
    assert doctor()[1]["copies"][0]["because"] == "contains 'the sample library says so'"


def test_a_consumer_is_no_copy(doctor: Doctor, extension: Extension) -> None:
    """Who only calls the library's functions, or names them in a text, has no copy."""
    extension(source='const char *name = "sample_version";')
    assert doctor()[1]["copies"] == []


def test_lmdb_is_known_in_any_disguise(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """LMDB linked into an extension with its names changed and hidden, as py-lmdb has it, is known by its mark."""
    flags = ["-shared", "-s", "-pthread", f"-I{UPSTREAM}", "-fvisibility=hidden", "-O2", "-Wl,--gc-sections",
             *(f"-Dmdb_{name}=theirs_{name}" for name in ("env_create", "env_open", "strerror"))]  # fmt: skip
    source = f"""
#include "{UPSTREAM}/mdb.c"
#include "{UPSTREAM}/midl.c"
__attribute__((visibility("default"))) const char *PyInit_theirs(void) {{
    MDB_env *env;
    return mdb_strerror(mdb_env_create(&env) || mdb_env_open(env, "", 0, 0));
}}
"""
    path = compile_c(source, tmp_path / "theirs.so", *flags)
    library = liblmdb_wheel.LMDB_0_9
    read = objects.read(path, library.symbols, library.marks)
    assert read is not None
    assert read.is_extension
    assert not read.defines
    assert read.contains == set(library.marks)
    assert library.symbols == liblmdb_wheel.LMDB_1_0.symbols == ("mdb_env_open",)


def test_the_marks_are_in_the_library_itself() -> None:
    """What the provider says of itself is true of the files that it ships."""
    for library in liblmdb_wheel.engines().values():
        read = objects.read(library.path, library.symbols, library.marks)
        assert read is not None
        assert (read.defines, read.contains) == (set(library.symbols), set(library.marks))


# -- bindings --------------------------------------------------------------------------------------------------------


@pytest.fixture
def binding(site: Path) -> Callable[[str], None]:
    """Install a distribution that announces a binding, with this source."""

    def binding(source: str) -> None:
        files = {
            "sample_binding.py": source,
            "sample_binding-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: Sample-Binding\nVersion: 1\n",
            "sample_binding-1.dist-info/entry_points.txt": "[sharedlib_loader.bindings]\nsample = sample_binding:info\n",
        }
        install({name: text.encode() for name, text in files.items()}, site)

    return binding


SAYS = """
import ctypes, sharedlib_loader
record = sharedlib_loader.load(sharedlib_loader.find("sample-3"))
def info():
    return {"calls": "fast", "libraries": {"sample-3": {"path": str(record.path), "conflict": None}}, "why": "a\\n  b"}
"""


def test_a_binding_says_what_it_uses(doctor: Doctor, site: Path, binding: Callable[[str], None]) -> None:
    """Its own words, from a fresh process: here nothing is loaded."""
    binding(SAYS)
    status, report = doctor()
    assert status == 0
    assert report["mapped"] == report["findings"] == []
    uses = {"calls": "fast", "libraries": {"sample-3": {"path": provided(site), "conflict": None}}, "why": "a\n  b"}
    assert report["bindings"] == [
        {"name": "sample", "announced": "sample_binding:info", "distribution": "Sample-Binding", "uses": uses}
    ]


def test_the_table_of_a_binding(site: Path, binding: Callable[[str], None]) -> None:
    """A line for each thing, with the names that lead to it, and on one line what has more."""
    binding(SAYS)
    lines = [line.split() for line in run(site).stdout.splitlines()]
    assert ["sample", "calls", "fast"] in lines
    assert ["sample", "libraries", "sample-3", "path", provided(site)] in lines
    assert ["sample", "libraries", "sample-3", "conflict", "-"] in lines
    assert ["sample", "why", "a;", "b"] in lines


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import what_is_missing", "ModuleNotFoundError: No module named 'what_is_missing'"),
        ("def info(): return {'handle': object()}", "TypeError: Object of type object is not JSON serializable"),
        ("import os; os._exit(3)", "that ends a fresh process: exit status 3: it said nothing"),
    ],
)
def test_a_binding_that_does_not_say(doctor: Doctor, binding: Callable[[str], None], source: str, problem: str) -> None:
    """It is listed by what it announces, with the failure and the cure."""
    binding(source)
    status, report = doctor()
    assert status == 1
    assert report["bindings"][0]["announced"] == "sample_binding:info"
    assert report["bindings"][0]["uses"] is None
    assert report["findings"] == [
        {
            "severity": "error", "about": "sample", "problem": f"it does not say what it uses: {problem}",
            "advice": "pip install --force-reinstall Sample-Binding",
        }
    ]  # fmt: skip


# -- the environment -------------------------------------------------------------------------------------------------


def test_which_folders_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folders of sys.path, but neither the standard library's own nor the working folder nor an archive."""
    standard = os.path.dirname(os.__file__)
    archive = tmp_path / "a.zip"
    archive.touch()
    here, site = tmp_path / "here", tmp_path / "site"
    here.mkdir()
    site.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", ["", str(here), str(archive), standard, str(site), str(site), "/nowhere"])
    assert objects.folders() == [site]


def test_which_files_are_looked_at(tmp_path: Path) -> None:
    """Files named as shared objects are, each once, outside hidden folders, whichever folder they are below."""
    one, inner = tmp_path / "one", tmp_path / "one" / "inner"
    for name in ("a.so", "b.so.1.2", "c.txt", ".hidden/d.so", "inner/e.abi3.so", "sonata"):
        (one / name).parent.mkdir(parents=True, exist_ok=True)
        (one / name).touch()
    (one / "link.so").symlink_to("a.so")
    found = sorted(path.name for path in objects.files([one, inner]))
    assert found == ["a.so", "b.so.1.2", "e.abi3.so"]


def test_a_system_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /proc, nothing is known to be mapped, and that is no error."""

    def absent(path: Path) -> bytes:
        raise FileNotFoundError(path)

    assert Path(sys.executable).resolve() in process.mapped()
    monkeypatch.setattr(Path, "read_bytes", absent)
    assert process.mapped() == set()


def test_a_program_can_ask_about_itself(python: Callable[..., str]) -> None:
    """diagnose() gives the same as data, about the process that calls it."""
    script = """
import liblmdb_wheel
from sharedlib_loader.doctor import diagnose
liblmdb_wheel.load("1.0")
diagnosis = diagnose()
here = {one.name: one.here for one in diagnosis.providers}
print(here["lmdb-0.9"], here["lmdb-1.0"] == str(liblmdb_wheel.library_path("1.0")))
print(str(liblmdb_wheel.library_path("1.0")) in diagnosis.mapped)
"""
    assert python(script) == "None True\nTrue"
