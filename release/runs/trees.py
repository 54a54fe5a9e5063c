"""Debian trees of any release and architecture, unpacked and never configured, and programs run in them.

A tree has a C library, interpreters and emulators of its own, and nothing of it is installed on the machine: no
maintainer script runs, so that a tree for a foreign architecture takes ten seconds like any other. What runs in one is
chrooted in namespaces of its own, with the emulators registered there alone: the machine is left as it was.

Needs a Debian or Ubuntu with ``mmdebstrap``, and the right to make user namespaces (Linux 6.7 or later for emulators).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "runs"


class UnavailableError(Exception):
    """Something that a run needs cannot be had on this machine; the text says what, and why."""


@dataclass(frozen=True)
class Tree:
    """What a tree is made of.

    Attributes:
        suite: the release of Debian.
        architecture: Debian's name of it.
        packages: what it is for; their dependencies come along.
        links: names that its programs expect and that maintainer scripts would have made: link to what it leads to.
    """

    suite: str
    architecture: str
    packages: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()

    separator = ":"

    @property
    def folder(self) -> Path:
        """Where it is; what it is made of is in the name, so that a changed one is made anew."""
        content = hashlib.sha256(repr((self.packages, self.links)).encode()).hexdigest()[:8]
        return CACHE / "trees" / f"{self.suite}-{self.architecture}-{content}"

    @property
    def title(self) -> str:
        """What a table calls it."""
        return f"Debian {self.suite}"

    def where(self, file: Path) -> str:
        """What a file of this repository is called in the tree, where the repository is ``/mnt``."""
        return f"/mnt/{file.relative_to(ROOT)}"

    def emulator(self) -> str | None:
        """The emulator and its version; None where the machine runs the tree's programs itself."""
        if self.architecture not in EMULATED:
            return None
        said = subprocess.run([emulator(self.architecture), "--version"], capture_output=True, text=True, check=True)
        return "qemu " + said.stdout.split("version ")[1].split()[0]

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], *, timeout: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the tree, which is made where it is not there, and wait for it.

        Args:
            command: paths in it are the tree's, see :meth:`where`.
            environment: beside what every program needs, which is all that is passed on.
            timeout: seconds.

        Raises:
            UnavailableError: the tree cannot be made.
        """
        folder = make(self)
        register = ""
        if self.architecture in EMULATED:
            register = registration(self.architecture, emulator(self.architecture))
        given = {
            "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1", **environment,
        }  # fmt: skip
        entered = [
            "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER,
            "sh", str(folder), str(ROOT), register, *command,
        ]  # fmt: skip
        return subprocess.run(entered, env=given, capture_output=True, text=True, check=False, timeout=timeout)


# libc-bin has the locale that PyPy asks for at its start.
ALWAYS = ("libc-bin", "dash", "coreutils")

# The emulators, static, for every machine but this.
EMULATORS = Tree("trixie", "amd64", ("qemu-user",))

# Debian's architecture: what qemu calls it, and the part of an ELF header by which the kernel knows its programs:
# class, byte order and machine (gABI, chapter 4).
EMULATED = {
    "arm64": ("aarch64", b"\2\1", b"\xb7\0"),
    "armhf": ("arm", b"\1\1", b"\x28\0"),
    "riscv64": ("riscv64", b"\2\1", b"\xf3\0"),
    "ppc64el": ("ppc64le", b"\2\1", b"\x15\0"),
    "s390x": ("s390x", b"\2\2", b"\0\x16"),
}


def make(tree: Tree) -> Path:
    """The folder of a tree, made where it is not there yet.

    Raises:
        UnavailableError: the machine has no ``mmdebstrap``, or the mirror no such release or package.
    """
    if tree.folder.exists():
        return tree.folder
    part = tree.folder.with_name(tree.folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    options = ['Acquire::Languages "none"', 'Acquire::Check-Valid-Until "false"', 'Acquire::Check-Date "false"']
    command = [
        "mmdebstrap", f"--architectures={tree.architecture}", "--variant=extract",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}", *(f"--aptopt={option}" for option in options),
        f"--include={','.join((*tree.packages, *ALWAYS))}", tree.suite, str(part), mirror(),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UnavailableError("mmdebstrap is not installed: apt-get install mmdebstrap") from None
    if done.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        raise UnavailableError(f"no tree of Debian {tree.suite} for {tree.architecture}: {last_words(done.stderr)}")
    for folder in ("bin", "sbin", "lib", "lib64"):  # by a maintainer script otherwise
        if (part / "usr" / folder).is_dir() and not (part / folder).exists():
            (part / folder).symlink_to(f"usr/{folder}")
    for link, target in tree.links:
        (part / link).parent.mkdir(parents=True, exist_ok=True)
        (part / link).symlink_to(target)
    for folder in ("proc", "sys", "dev", "tmp", "mnt"):
        (part / folder).mkdir(exist_ok=True)
    part.rename(tree.folder)
    return tree.folder


def mirror() -> str:
    """The package mirror that this machine uses itself."""
    try:
        asked = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
        sites = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError("this machine has no apt, or apt no package lists: apt-get update") from error
    own = [site for site in sites if "debian" in site and "security" not in site]
    if not own:
        raise UnavailableError("apt on this machine knows no mirror of Debian")
    return own[0]


def last_words(text: str) -> str:
    """The last line that tells something of an error."""
    lines = [line for line in text.splitlines() if re.match(r"\s*E: |.*\berror\b", line)] or text.splitlines()
    return lines[0].strip() if lines else "it did not say why"


# $1 the tree, $2 the folder that is mounted at /mnt, $3 a line for binfmt_misc or nothing; the rest is the command.
_ENTER = r"""
set -e
tree=$1 shared=$2 emulator=$3
shift 3
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --rbind /sys "$tree/sys"
mount --bind "$shared" "$tree/mnt"
if [ "$emulator" ]; then
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    printf '%s' "$emulator" > /proc/sys/fs/binfmt_misc/register
fi
exec chroot "$tree" "$@"
"""


def emulator(architecture: str) -> Path:
    """The static emulator for an architecture."""
    return make(EMULATORS) / "usr" / "bin" / f"qemu-{EMULATED[architecture][0]}"


def registration(architecture: str, interpreter: Path) -> str:
    """The line by which binfmt_misc hands programs of an architecture to an emulator.

    (Documentation/admin-guide/binfmt-misc.rst; ``F`` opens the emulator now, so that it also serves in a chroot,
    ``P`` keeps the name of the program.) Only executables and shared objects count: ``e_type`` 2 and 3.
    """
    name, kind, machine = EMULATED[architecture]
    big = kind[1] == 2
    e_type, type_mask = (b"\0\2", b"\xff\xfe") if big else (b"\2\0", b"\xfe\xff")
    magic = b"\x7fELF" + kind + b"\1" + bytes(9) + e_type + machine
    mask = b"\xff" * 7 + bytes(9) + type_mask + b"\xff\xff"
    fields = ["", f"qemu-{name}", "M", "", escaped(magic), escaped(mask), str(interpreter), "PF"]
    return ":".join(fields)


def escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)
