"""The content folder of old thread logs: files that are named by the hash of what they hold.

What a hash is a hash of, only the old system knows: bytes are taken as they stand under the name. Never: a name from a
log as a path, a link, be it the folder, one in it or a file, nor what is outside of the folder that was given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from treering.importing.report import Refused
from treering.importing.source import open_file, read_within

#: How such folders are called, beside a log or beside its folder.
FOLDERS: Final = ("content", "cas")
#: Bytes of one content.
CONTENT_BYTES_MAX: Final = 64 << 20
#: What can be a hash: no dot, no separator, not long.
_HASH: Final = re.compile(r"[A-Za-z0-9_-]{4,128}\Z")
_ENDINGS: Final = ("", ".txt", ".json", ".yaml", ".bin")


class Contents:
    """What is found by hash in some folders, the first that has it."""

    __slots__ = ("_folders",)

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def find(self, digest: str) -> bytes | None:
        """Returns the bytes under a hash; None where there are none. Raises `Refused` for a file that can't be read."""
        if _HASH.match(digest) is None:
            return None
        for folder in self._folders:
            for place in (folder, folder / digest[:2]):
                if place != folder and place.is_symlink():
                    continue
                for ending in _ENDINGS:
                    # Only what is there is opened: what can't be, is then refused and not taken for absent.
                    if (path := place / (digest + ending)).is_file():
                        return _read(path)
        return None


def beside(log: Path, root: Path) -> list[Path]:
    """The folders in which a log's contents are looked for: those beside it, and, in the folder `root` that was given,
    those beside its own folder."""
    parents = [log.parent] if log.parent == root or log == root else [log.parent, log.parent.parent]
    folders = (parent / name for parent in parents for name in FOLDERS)
    return [folder for folder in folders if folder.is_dir() and not folder.is_symlink()]


def _read(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return read_within(file, CONTENT_BYTES_MAX)
    except Refused as refused:
        raise Refused("$.contentHash", f"the content {path.name}: {refused.reason}") from None
