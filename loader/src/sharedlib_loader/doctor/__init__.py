"""Show what the environment provides, needs and has loaded, and what is wrong.

For programs ``diagnose()`` gives the same as data, about the very process that calls it. Nothing of this is imported
when a library is loaded.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module

from sharedlib_loader.doctor.diagnosis import Binding, Consumer, Copy, Diagnosis, Finding, Provided, diagnose
from sharedlib_loader.doctor.table import lines

__all__ = ["Binding", "Consumer", "Copy", "Diagnosis", "Finding", "Provided", "diagnose", "main"]

STATUS = """
exit status: 0 where nothing is wrong, 1 where an error was found (or, with --strict, a warning), 2 for a wrong option
"""


def main(arguments: list[str]) -> int:
    """Print the diagnosis, and give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sharedlib_loader doctor", description=__doc__.partition("\n")[0], epilog=STATUS
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--strict", action="store_true", help="a warning is an error")
    parser.add_argument(
        "--import", action="append", default=[], dest="modules", metavar="MODULE",
        help="import a module first, to see what it loads; may be repeated",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    problems = [finding for module in options.modules if (finding := _import(module)) is not None]
    diagnosis = diagnose(problems)
    if options.json:
        print(json.dumps(diagnosis.to_json(), indent=2))
    else:
        print("\n".join(lines(diagnosis)))
    return 1 if diagnosis.worst in (("error", "warning") if options.strict else ("error",)) else 0


def _import(module: str) -> Finding | None:
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises is what the report is for
        problem = f"it cannot be imported: {type(error).__name__}: {error}"
        return Finding("error", module, problem, "see below what it needs, and who provides that")
    return None
