"""``python -m sharedlib_loader doctor``: what the environment provides, needs and has loaded, and what is wrong."""

from __future__ import annotations

import argparse

from sharedlib_loader import providers


def main(arguments: list[str]) -> int:
    """Print the report; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sharedlib_loader doctor", description=__doc__)
    parser.parse_args(arguments)
    for name, entry in providers().items():
        print(f"{name}: {entry.value}")
    return 0
