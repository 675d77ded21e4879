"""Files that are open for reading: `files.open(path)`.

Promises: what is read was checked against the file's CID; a file that is open can be read to its end, whatever becomes
of its path. One piece of it is in memory at a time.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from treering._core import ContentCore
from treering._family import SYNC
from treering.errors import Invalid
from treering.messages import FileInfo

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE: Final = 1 << 20
"""Bytes that are read at once."""


class _Bytes(io.RawIOBase):
    """The bytes of a file as Python's own files have them."""

    def __init__(self, content: ContentCore, size: int) -> None:
        self._content: ContentCore | None = content
        self._size = size
        self._at = 0

    def content(self) -> ContentCore:
        if self._content is None:
            raise ValueError("the file is closed")
        return self._content

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with memoryview(buffer).cast("B") as into:
            length = min(len(into), PIECE)
            piece = self.content().read(self._at, length)
            into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self.content()
        self._at = place(self._at, self._size, offset, whence)
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._content = None
        super().close()


def place(now: int, size: int, offset: int, whence: int) -> int:
    """Returns where a seek leads; beyond the end is allowed, and there is nothing to read there."""
    match whence:
        case os.SEEK_SET:
            to = offset
        case os.SEEK_CUR:
            to = now + offset
        case os.SEEK_END:
            to = size + offset
        case _:
            raise ValueError(f"whence {whence}: 0 is from the beginning, 1 from here, 2 from the end")
    if to < 0:
        raise ValueError(f"a place before the beginning: {to}")
    return to


def range_of(content: ContentCore, offset: int, length: int) -> bytes:
    if offset < 0 or length < 0:
        raise Invalid(f"range {offset}, {length}: both count bytes from 0")
    return content.read(offset, length)


class FileReader(io.BufferedReader):
    """A file that is open for reading: a buffered, seekable binary file as Python's own, to be read by whatever reads
    those. Use it with `with`, or close it; a collection does not take its bytes before that."""

    def __init__(self, content: ContentCore, info: FileInfo) -> None:
        super().__init__(_Bytes(content, info.size), PIECE)
        self.info: FileInfo = info
        """What is known of it: path, size, type, CID."""

    def range(self, offset: int, length: int) -> bytes:
        """Returns bytes `offset` to `offset + length` (exclusive), as far as there are; nothing else is read, and the
        position stays. O(length + log size).

        Errors:
            Corrupt (`corrupt`): the stored bytes are damaged there.
            Invalid (`invalid`): a negative number.
        """
        raw: Any = self.raw
        return range_of(raw.content(), offset, length)

    def chunks(self, size: int = PIECE) -> Iterator[bytes]:
        """Yields the rest of the file, `size` bytes at a time."""
        while piece := self.read(size):
            yield piece

    def __reduce__(self) -> tuple[Any, ...]:
        raise Invalid("an open file can't be pickled: send its path, or info.content")

    def __repr__(self) -> str:
        return f"<FileReader {self.info.path}, {self.info.size:,} bytes>"


SYNC.FileReader = FileReader
