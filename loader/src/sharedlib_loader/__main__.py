"""``python -m sharedlib_loader COMMAND``: a table of commands, each a module that is imported only when it runs."""

from __future__ import annotations

import sys
from importlib import import_module

# command: the module whose main(arguments) runs it, and what it does, in one line.
COMMANDS = {
    "doctor": (
        "sharedlib_loader.doctor",
        "show every provider, what is loaded from where, who needs it, what is wrong",
    ),
    "new-provider": ("sharedlib_loader.new_provider", "write a provider project for another C library"),
}


def main(arguments: list[str]) -> int:
    """Run a command with the arguments after its name; give its exit status, 2 for a command that is not there."""
    name = arguments[0] if arguments else "--help"
    if name in COMMANDS:
        module, _ = COMMANDS[name]
        status: int = import_module(module).main(arguments[1:])
        return status
    asked = name in ("-h", "--help")
    stream = sys.stdout if asked else sys.stderr
    if not asked:
        print(f"there is no command {name!r}", file=stream)
    print("usage: python -m sharedlib_loader COMMAND ...\n", file=stream)
    width = max(map(len, COMMANDS))
    for command, (_, does) in COMMANDS.items():
        print(f"  {command:<{width}}  {does}", file=stream)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
