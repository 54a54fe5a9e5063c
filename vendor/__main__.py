"""``python -m vendor fetch | verify | status | pin``: the command line over the lock."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from vendor import archive
from vendor.errors import VendorError
from vendor.lock import ROOT, Upstream, read_lock
from vendor.pin import pin
from vendor.stage import differences, stage


def fetch(upstreams: list[Upstream], console: Console) -> int:
    """Stage what is not yet exactly as the lock says."""
    for upstream in upstreams:
        if not differences(upstream):
            console.print(f"{upstream.name} {upstream.version}: already staged")
            continue
        with console.status(f"{upstream.name} {upstream.version}: fetching {upstream.archive.filename}"):
            stage(upstream)
        what = f"{len(upstream.files)} files, {len(upstream.patches)} patches, {len(upstream.insertions)} insertions"
        console.print(f"{upstream.name} {upstream.version}: {what} -> {upstream.stage.relative_to(ROOT)}")
    return 0


def verify(upstreams: list[Upstream], console: Console) -> int:
    """Compare every staged file with the lock; needs no network."""
    wrong = {upstream.name: lines for upstream in upstreams if (lines := differences(upstream))}
    for name, lines in wrong.items():
        for line in lines:
            console.print(f"{name}: {line}", style="red", soft_wrap=True)
    if wrong:
        console.print("cure: python -m vendor fetch")
        return 1
    console.print(f"{len(upstreams)} upstreams staged as the lock says")
    return 0


def status(upstreams: list[Upstream], console: Console) -> int:
    """Show what is pinned, cached and staged."""
    table = Table("upstream", "version", "licence", "files", "patches", "insertions", "archive", "cached", "staged")
    for u in upstreams:
        cached = "yes" if archive.cached(u.archive).exists() else "no"
        lines = differences(u)
        staged = "yes" if not lines else lines[0] if len(lines) == 1 else f"{len(lines)} differences"
        counts = (str(len(changes)) for changes in (u.files, u.patches, u.insertions))
        table.add_row(u.name, u.version, u.license, *counts, u.archive.filename, cached, staged)
    console.print(table)
    return 0


COMMANDS = {"fetch": fetch, "verify": verify, "status": status}
PIN = "Write the hashes of all that the lock names into it, after a change of versions or files; review the diff."


def main(argv: list[str] | None = None) -> int:
    acts = [*(f"{name}: {act.__doc__}" for name, act in COMMANDS.items()), f"pin: {PIN}"]
    parser = argparse.ArgumentParser(
        prog="python -m vendor",
        description=__doc__,
        epilog="\n".join(acts),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("command", choices=[*COMMANDS, "pin"])
    parser.add_argument("upstream", nargs="*", help="only these upstreams (default: all)")
    arguments = parser.parse_args(argv)
    if arguments.command == "pin" and arguments.upstream:
        parser.error("pin takes no upstreams: it writes the hashes of all")
    try:
        if arguments.command == "pin":  # the lock is not valid yet: its hashes are what is to be written
            pin()
            print("pinned: review the diff of vendor/lock.toml")
            return 0
        lock = read_lock()
        if unknown := set(arguments.upstream) - set(lock):
            parser.error(f"no such upstream: {', '.join(sorted(unknown))}; the lock has {', '.join(lock)}")
        chosen = [lock[name] for name in arguments.upstream or lock]
        return COMMANDS[arguments.command](chosen, Console(highlight=False, markup=False, emoji=False))
    except VendorError as error:
        print(f"vendor: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
