"""Files by path: `scope.files`, streamed in and out."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from treering._calls import Chunks, Feed, Look, Op, feed, read, stream, verb
from treering._core import (
    IncomingCore,
    UploadedCore,
    files_begin,
    files_delete,
    files_grep,
    files_list,
    files_open,
    files_put,
    files_stat,
)
from treering._family import SYNC
from treering._session import Home
from treering.errors import Invalid
from treering.messages import FileInfo
from treering.stores._dispatch import DISPATCHER, READER, ActorStore
from treering.stores.history import ActorEvent
from treering.stores.listing import Listing
from treering.stores.reading import PIECE, FileReader
from treering.stores.receipt import Receipt


class Readable(Protocol):
    """A binary file, or anything that is read as one."""

    def read(self, size: int, /) -> bytes | Awaitable[bytes]:
        """Returns the next `size` bytes at most, b"" at the end."""
        ...


FileData: TypeAlias = bytes | bytearray | memoryview | Readable | Iterable[bytes] | AsyncIterable[bytes]
"""What `put` takes: bytes, an open binary file, or an iterable of pieces; with `treering.aio` async ones too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrepMatch:
    """A line that was found."""

    path: str
    """The file."""
    line: int
    """The line's number, from 1."""
    text: str
    """The line without its end; at most 1,000 characters of it."""


class FilesStore(ActorStore):
    """The files of a scope, by path. `workflows/` and `scripts/` show the sources of those stores, to be read only."""

    __slots__ = ()

    _kind = "files"

    @verb
    def put(
        self,
        path: str,
        data: FileData,
        content_type: str | None = None,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[FileInfo]]:
        """Returns the receipt with the file, which takes the place of what had its path; unchanged if bytes and type
        are the same. Streamed: some MiB are in memory, whatever it comes to. Bytes that any scope has are stored once.

        `path` is as `urllib.parse.quote` writes it. `data` are bytes, an open binary file (read from where it stands),
        or an iterable of pieces; with `treering.aio` async ones too. `content_type` None: by the ending of the path.
        The bytes are on disk before the file is listed; what ends early leaves nothing.

        Errors:
            InvalidCommand (`invalid-command`): no such path can be, or it is in a view; no media type; no bytes.
            LimitExceeded (`limit-exceeded`): over `Settings.file_bytes`, 50 MiB unless it was set.
            VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.
            Unavailable (`unavailable`), DiskFull (`disk-full`): the bytes can't be written.

        Example:
            >>> import treering
            >>> files = treering.memory().scope("alice").files
            >>> files.put("notes/today.md", b"# Today").value.content_type
            'text/markdown'
            >>> with files.open("notes/today.md") as file:
            ...     file.read()
            b'# Today'
        """
        home = self._scope.resolve()
        upload = yield from _arrived(home, path, content_type, data)
        verb = files_put(home.stores, path, upload, content_type)
        return (yield from DISPATCHER.dispatch(home, verb, expected_version, command_id))

    @read
    def open(self, path: str, *, version: int | None = None) -> FileReader:
        """Returns a file, open for reading: a seekable binary file; as it is, or as it was at a version of the store
        (which has no views). What is read is checked.

        Errors:
            NotFound (`not-found`): there is no such file, or no such version yet.
            InvalidCommand (`invalid-command`): no such path can be.
            HistoryTrimmed (`history-trimmed`): that version is not kept any more.
            Corrupt (`corrupt`), also when it is read: its bytes are damaged.
        """
        info, content = files_open(self._core, path, version)
        return self._family.FileReader(content, info)

    @read
    def stat(self, path: str, *, version: int | None = None) -> FileInfo | None:
        """Returns what is known of a file, None if there is none; as it is, or as it was at a version of the store.

        Errors:
            InvalidCommand (`invalid-command`): no such path can be.
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): that version is not kept any more.
        """
        return files_stat(self._core, path, version)

    @read
    def list(self, prefix: str = "") -> Listing[FileInfo]:
        """Returns the files whose paths begin so, those of the views too, in the order of their paths. O(files)."""
        return Listing(*files_list(self._core, prefix, None))

    @read
    def at(self, version: int) -> Listing[FileInfo]:
        """Returns the files as they were at a version, without the views; 0 is before anything was written.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return Listing(*files_list(self._core, "", version))

    @feed
    def states(self, after: int | None = None) -> Feed[Listing[FileInfo]]:
        """Returns the files as they are, without the views, then after each commit that changed them, of any process,
        in order and none left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a trim is seen, not what it cut off.
        It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda found: Listing(*found))

    @verb
    def delete(
        self, path: str, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; there is no such file any more, unchanged if there was none. Its bytes stay as long as
        the history, a message or a step refers to them: `trim` the history to give their room back.

        Errors:
            InvalidCommand (`invalid-command`): no such path can be, or it is in a view.
        """
        return (yield from self._send(lambda core: files_delete(core, path), expected_version, command_id))

    @read
    def grep(self, pattern: str, glob: str = "**", max_results: int = 50) -> Listing[GrepMatch]:
        """Returns lines that a pattern is found in, by path and line, at most `max_results` (1 to 100).

        `pattern` is a regular expression (of Rust's `regex`: linear time, so neither look-around nor back references),
        without regard to case; one that is none is taken literally. `glob` is matched with the whole path: `**` is any
        text, `*` any without a slash, `?` one character. Files of up to 1 MiB whose type is text are looked into,
        those of the views too. O(files, and the bytes that are looked into).

        Errors:
            InvalidCommand (`invalid-command`): an empty pattern, or `max_results` out of its range.
            LimitExceeded (`limit-exceeded`): over 1,024 bytes of a pattern or glob.

        Example:
            >>> import treering
            >>> files = treering.memory().scope("alice").files
            >>> _ = files.put("notes/today.md", b"Buy milk" + bytes([10]) + b"call Bob")
            >>> files.grep("BOB$")[0]
            GrepMatch(path='notes/today.md', line=2, text='call Bob')
        """
        found, version = files_grep(self._core, pattern, glob, max_results)
        return Listing([GrepMatch(path=path, line=line, text=text) for path, line, text in found], version)

    @stream
    def history(
        self, path: str | None = None, *, first: int | None = None, last: int | None = None
    ) -> Chunks[ActorEvent]:
        """Returns what happened to a file (None: to all), of versions `first` (None: the oldest that is kept) to
        `last` (None: the newest), both included; an iterator, the oldest first. O(events of the store).

        Errors:
            HistoryTrimmed (`history-trimmed`): `first` is from before what is kept; `oldest`.
        """
        # Not a generator: whose history it is, is settled by the call.
        return _of(path, READER.events(self._core, self._kind, (), first, last))


def _of(path: str | None, chunks: Chunks[ActorEvent]) -> Chunks[ActorEvent]:
    for chunk in chunks:
        yield [event for event in chunk if path is None or _path_of(event) == path]


def _path_of(event: ActorEvent) -> str | None:
    message: Any = event.message
    file = getattr(message, "file", message)
    path: str | None = getattr(file, "path", None)
    return path


def _arrived(home: Home, path: str, content_type: str | None, data: FileData) -> Op[UploadedCore]:
    """Takes all of the bytes; what raises on the way leaves nothing."""
    if isinstance(data, str):
        raise Invalid(f"files.put: the data for {path!r} is a text; encode it: data.encode()")
    # Asked for here, so that what can't be read is known before anything is written.
    pieces = _pieces(data)
    incoming: IncomingCore = yield Look(
        partial(files_begin, home.stores, path, content_type, home.session.settings.file_bytes)
    )
    try:
        while True:
            piece = yield Look(pieces)
            if inspect.isawaitable(piece):
                piece = yield piece
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise Invalid(f"files.put: the data for {path!r} gives {type(piece).__name__}; open it as binary")
            if len(piece) == 0:
                break
            yield Look(partial(incoming.write, piece))
        upload: UploadedCore = yield Look(incoming.finish)
        return upload
    except BaseException:
        incoming.drop()
        raise


_END: Final = b""


def _pieces(data: FileData) -> Callable[[], Any]:
    """Returns what gives the next piece, or the promise of one; b"" at the end."""
    if isinstance(data, bytes | bytearray | memoryview):
        view = memoryview(data).cast("B")
        offsets = iter(range(0, len(view), PIECE))

        def part() -> Any:
            offset = next(offsets, None)
            return _END if offset is None else view[offset : offset + PIECE]

        return part
    if callable(take := getattr(data, "read", None)):
        return partial(take, PIECE)
    if isinstance(data, AsyncIterable):
        follow = aiter(data)

        async def following() -> Any:
            # An empty piece is none, not the end.
            async for piece in follow:
                if len(piece):
                    return piece
            return _END

        return following
    if isinstance(data, Iterable):
        rest = iter(data)
        return lambda: next((piece for piece in rest if len(piece)), _END)
    raise Invalid(f"files.put: {type(data).__name__} is neither bytes, nor a binary file, nor an iterable of bytes")


SYNC.FilesStore = FilesStore
