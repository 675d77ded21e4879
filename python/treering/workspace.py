"""A workspace: the few files that somebody's own tools look at: drafts are mirrored there, catalogs come from there.

Promises: a reader of a `LocalWorkspace` sees a file whole, as it was or as it is, also after a power failure.
Never: more than these four verbs are asked of a workspace, so one of your own is a small class.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, runtime_checkable

__all__ = ["LocalWorkspace", "Workspace"]

_BYTES_MAX: Final = 4 << 20
"""More of a file nobody takes."""
_PIECE_BYTES: Final = 64 << 10


@runtime_checkable
class Workspace(Protocol):
    """Files by name. What goes wrong is raised as it is: a mirror that fails is reported, a commit is never lost by
    it."""

    def read(self, name: str) -> bytes | None:
        """Returns what a file holds, None if it is not there."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Returns whether the file was made; False if one of that name is there, which is left as it is."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Puts this in the place of what the file held, at once."""
        ...

    def remove(self, name: str) -> None:
        """Removes the file; one that is not there is no error."""
        ...


def read_some(file: BinaryIO, limit: int) -> bytes:
    """Returns all of it, or a byte more than the limit. A read takes memory for all that it asks for."""
    pieces, left = [], limit + 1
    while left > 0 and (piece := file.read(min(left, _PIECE_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _home() -> Path:
    given = os.environ.get("TREERING_HOME", "")
    return Path(given) if given.strip() else Path.home() / ".treering"


@dataclass(frozen=True, slots=True, repr=False, init=False)
class LocalWorkspace:
    """A folder of this machine: that of `TREERING_HOME`, else `~/.treering`, or another one; it is made when it is
    first written to, for its owner alone.

    A file is written beside its place, synced, and moved there, which takes a file system with hard links. A name leads
    to no other folder.
    """

    path: Path

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        object.__setattr__(self, "path", _home() if path is None else Path(path))

    def read(self, name: str) -> bytes | None:
        """Returns what a file holds, None if it is not there; of more than 4 MiB, which nobody takes, a byte more than
        that. A pipe or a device is not read: `OSError`."""
        try:
            # A pipe that nobody writes to would keep us waiting: it is opened without, and then is no regular file.
            found = os.open(self._file(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise OSError(errno.EINVAL, "it is no regular file", name)
        with os.fdopen(found, "rb") as file:
            return read_some(file, _BYTES_MAX)

    def create(self, name: str, data: bytes) -> bool:
        """Returns whether the file was made; False if one of that name is there, which is left as it is."""
        try:
            self._put(name, data, os.link)
        except FileExistsError:
            return False
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Puts this in the place of what the file held, at once and durable."""
        self._put(name, data, os.replace)

    def remove(self, name: str) -> None:
        """Removes the file, durable; one that is not there is no error."""
        with suppress(FileNotFoundError):
            self._file(name).unlink()
            self._sync()

    def _file(self, name: str) -> Path:
        if name in ("", ".", "..") or "/" in name or os.sep in name or "\0" in name:
            raise ValueError(f"{name!r} is no name of a file in {self.path}")
        return self.path / name

    def _put(self, name: str, data: bytes, into_place: Callable[[Path, Path], None]) -> None:
        target = self._file(name)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.path / f".{name}.{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            into_place(beside, target)
        finally:
            # A second name where it was linked, what was begun where it failed.
            beside.unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def __repr__(self) -> str:
        return f"<LocalWorkspace {self.path}>"
