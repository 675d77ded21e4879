"""Files that are open for reading, to be awaited: what `treering.aio` gives for `files.open(path)`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from treering._core import ContentCore
from treering._family import ASYNC
from treering._lanes import in_reader
from treering.errors import Invalid
from treering.messages import FileInfo
from treering.stores.reading import PIECE, place, range_of


class FileReader:
    """A file that is open for reading, to be awaited. Use it with `async with`, or close it."""

    __slots__ = ("_at", "_content", "info")

    def __init__(self, content: ContentCore, info: FileInfo) -> None:
        self._content: ContentCore | None = content
        self._at = 0
        self.info: FileInfo = info
        """What is known of it: path, size, type, CID."""

    def _open(self) -> ContentCore:
        if self._content is None:
            raise ValueError("the file is closed")
        return self._content

    async def read(self, size: int | None = -1) -> bytes:
        """Returns the next `size` bytes, fewer at the end, b"" behind it; negative or None: all that is left."""
        content = self._open()
        left = max(self.info.size - self._at, 0)
        length = left if size is None or size < 0 else min(size, left)
        pieces = []
        while length > 0:
            at, count = self._at, min(length, PIECE)
            piece = await in_reader(None, partial(content.read, at, count))
            self._at += len(piece)
            length -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    async def range(self, offset: int, length: int) -> bytes:
        """Returns bytes `offset` to `offset + length` (exclusive), as far as there are: as `FileReader.range`."""
        content = self._open()
        return await in_reader(None, lambda: range_of(content, offset, length))

    async def chunks(self, size: int = PIECE) -> AsyncIterator[bytes]:
        """Yields the rest of the file, `size` bytes at a time."""
        while piece := await self.read(size):
            yield piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Returns where reading goes on."""
        self._open()
        self._at = place(self._at, self.info.size, offset, whence)
        return self._at

    def tell(self) -> int:
        """Returns where reading goes on."""
        return self._at

    async def close(self) -> None:
        """Closes it; twice does nothing."""
        self._content = None

    async def __aenter__(self) -> FileReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        raise Invalid("an open file can't be pickled: send its path, or info.content")

    def __repr__(self) -> str:
        return f"<FileReader {self.info.path}, {self.info.size:,} bytes>"


# Made of the same, and awaited: no subclass of Python's own files.
ASYNC.FileReader = FileReader  # type: ignore[assignment]
