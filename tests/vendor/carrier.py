"""A tiny sdist in a cache, and the upstream that the lock would take from it."""

from __future__ import annotations

import difflib
import io
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from vendor.lock import Patch, Upstream, sha256


def diff(path: str, old: bytes, new: bytes) -> bytes:
    """A patch from ``old`` to ``new``, both ending in a newline, with upstream's two leading folders."""
    before, after = (text.decode().splitlines(keepends=True) for text in (old, new))
    return "".join(difflib.unified_diff(before, after, f"a/src/{path}", f"b/src/{path}")).encode()


@dataclass
class Carrier:
    """An sdist in a cache, and the upstream that is taken from it."""

    cache: Path
    upstream: Upstream
    members: dict[str, bytes | tarfile.TarInfo]
    final: dict[str, bytes] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.cache / self.upstream.archive.filename

    def pack(self) -> None:
        """Write the members as the sdist, and give the lock its hash."""
        self.cache.mkdir(exist_ok=True)
        with tarfile.open(self.path, "w:gz") as tar:
            for name, content in self.members.items():
                if isinstance(content, tarfile.TarInfo):
                    tar.addfile(content)
                else:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        archive = replace(self.upstream.archive, sha256=sha256(self.path.read_bytes()))
        self.upstream = replace(self.upstream, archive=archive)

    def series(self, **patches: bytes) -> None:
        """Make these the patches of the upstream, in this order, and pack them."""
        self.members = {name: data for name, data in self.members.items() if "/patches/" not in name}
        self.members |= {f"small-1.0/patches/{name}.patch": text for name, text in patches.items()}
        entries = tuple(Patch(f"patches/{name}.patch", sha256(text)) for name, text in patches.items())
        self.upstream = replace(self.upstream, patches=entries)
        self.pack()
