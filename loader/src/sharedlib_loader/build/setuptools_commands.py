"""The setuptools side: a wheel that is ``py3-none-<platform>``, platlib, with native files built into it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from setuptools import Distribution
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

# setuptools has no such command of its own, and provides distutils once it is imported: hence in this order.
from distutils.command.build_scripts import build_scripts  # isort: skip

from sharedlib_loader.build import sbom
from sharedlib_loader.build.runtime_libraries import RuntimeLibrary
from sharedlib_loader.build.toolchain import Toolchain

Builder = Callable[[Toolchain, Path, Path], None]
"""Called with a toolchain, the folder to write into, and a folder for intermediate files."""


def native_wheel(
    package: str,
    *,
    build_package: Builder | None = None,
    scripts: tuple[str, ...] = (),
    build_executables: Builder | None = None,
    static: bool = False,
) -> dict[str, Any]:
    """Keyword arguments for ``setuptools.setup`` that make a wheel with native code for every interpreter.

    Args:
        package: the import package that native files go into.
        build_package: writes native files into the package's folder.
        scripts: names of the executables for the environment's scripts folder (a real file on ``PATH``, so that a
            call costs no interpreter start).
        build_executables: writes them.
        static: the executables link nothing where the platform has such: on Linux they run with either C library.

    The wheel has a bill of materials in its metadata, with what ``upstream/*/PROVENANCE.json`` says of its sources.
    """

    def work_of(command: Any) -> Path:  # setuptools' Command, or the distutils' of build_scripts
        return Path(command.get_finalized_command("build").build_temp).resolve()

    def for_package(work: Path) -> Toolchain:
        return Toolchain.choose(work / "zig")

    def for_executables(work: Path) -> Toolchain:
        return Toolchain.choose(work / "zig", static=static)

    class NativeDistribution(Distribution):
        def has_ext_modules(self) -> bool:
            """Platlib, not purelib: auditwheel refuses a shared library in purelib."""
            return True

    class BuildPackage(build_py):
        def run(self) -> None:
            super().run()
            if build_package is not None:
                # An editable install imports from the source folder; what lands in build_lib would be left out.
                root = Path(self.get_package_dir(package)) if self.editable_mode else Path(self.build_lib, package)
                work = work_of(self)
                build_package(for_package(work), root.resolve(), work)

    class BuildExecutables(build_scripts):
        def run(self) -> None:
            if build_executables is not None:
                work = work_of(self)
                build_executables(for_executables(work), Path(self.build_dir).resolve(), work)

        def get_source_files(self) -> list[str]:
            """None: setuptools would take the names of the executables for files of the sdist."""
            return []

    class NativeBdistWheel(bdist_wheel):
        def get_tag(self) -> tuple[str, str, str]:
            return "py3", "none", ".".join(for_package(work_of(self)).tags)

        def egg2dist(self, egginfo_path: str, distinfo_path: str) -> None:
            super().egg2dist(egginfo_path, distinfo_path)
            work = work_of(self)
            runtime = tuple(dict.fromkeys([*for_package(work).runtime, *for_executables(work).runtime]))
            _add_licences({f"{one.name}/{one.text.name}": one.text for one in runtime}, Path(distinfo_path))
            _add_sbom(self.distribution, runtime, Path(distinfo_path))

    commands = {"build_py": BuildPackage, "build_scripts": BuildExecutables, "bdist_wheel": NativeBdistWheel}
    return {"distclass": NativeDistribution, "cmdclass": commands, "scripts": list(scripts)}


def _add_licences(licences: Mapping[str, Path], dist_info: Path) -> None:
    """Add licence files that are not in the source folder, as PEP 639 wants them: the file and its metadata line."""
    for name, source in licences.items():
        target = dist_info / "licenses" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    metadata = dist_info / "METADATA"
    head, separator, body = metadata.read_text(encoding="utf-8").partition("\n\n")
    head += "".join(f"\nLicense-File: {name}" for name in licences)
    metadata.write_text(head + separator + body, encoding="utf-8")


def _add_sbom(distribution: Distribution, runtime: tuple[RuntimeLibrary, ...], dist_info: Path) -> None:
    metadata = distribution.metadata
    described = {
        "name": distribution.get_name(),
        "version": distribution.get_version(),
        "license": metadata.license_expression or "",  # type: ignore[attr-defined] # typeshed: PEP 639 is too new
    }
    sources = Path().glob("upstream/*/PROVENANCE.json")  # a build backend runs in the project's folder
    sbom.write(dist_info / "sboms" / f"{distribution.get_name()}.cdx.json", described, sources, runtime)
