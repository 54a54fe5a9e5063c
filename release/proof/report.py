"""The results for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from release.proof.outcome import Outcome, Verdict
from release.proof.wheel import Wheel

Proof = tuple[Wheel, tuple[Outcome, ...]]

STYLES: dict[Verdict, str] = {"passed": "green", "failed": "bold red", "not applicable": "dim"}


def passed(outcomes: Iterable[Outcome]) -> bool:
    return all(outcome.verdict != "failed" for outcome in outcomes)


def show(console: Console, proof: Proof) -> None:
    """Print one wheel: a line for each check, and below it each fault; not wrapped, so that grep finds them."""
    wheel, outcomes = proof
    console.print(wheel.path.name, style="bold", soft_wrap=True)
    for outcome in outcomes:
        verdict = Text(f"{outcome.verdict:<16}", STYLES[outcome.verdict])
        console.print(Text.assemble(f"  {outcome.check:<18}", verdict, outcome.found), soft_wrap=True)
        for fault in outcome.wrong:
            console.print(Text(f"    {fault}", STYLES["failed"]), soft_wrap=True)
    console.print()


def as_json(proofs: Iterable[Proof]) -> dict[str, Any]:
    """Every outcome, and one verdict on all: ``{"passed": bool, "wheels": [{"wheel", "sha256", "checks": [...]}]}``."""
    wheels = [
        {
            "wheel": wheel.path.name,
            "sha256": wheel.sha256,
            "bytes": wheel.path.stat().st_size,
            "passed": passed(outcomes),
            "checks": [
                {"check": one.check, "verdict": one.verdict, "found": one.found, "wrong": list(one.wrong)}
                for one in outcomes
            ],
        }
        for wheel, outcomes in proofs
    ]
    return {"passed": all(wheel["passed"] for wheel in wheels), "wheels": wheels}
