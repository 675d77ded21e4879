"""Files by path: `scope.files`, streamed in and out."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from treering._calls import Chunks, Feed, Look, Op, feed, looks, read, stream, verb
from treering._core import (
    GrepCore,
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
from treering.errors import CommandMismatch, Invalid, VersionConflict
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
        The bytes are on disk before the file is listed; what ends early leaves nothing. A version that is another than
        `expected_version` already is told before any is read; a command id that was done, behind the last, since
        which command it was, its bytes say.

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
        yield from _expected(home, path, expected_version, command_id)
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

    @looks
    def grep(self, pattern: str, glob: str = "**", max_results: int = 50) -> Op[Listing[GrepMatch]]:
        """Returns lines that a pattern is found in, by path and line, at most `max_results` (1 to 100).

        `pattern` is a regular expression (of Rust's `regex`: linear time, so neither look-around nor back references),
        without regard to case; one that is none is taken literally. `glob` is matched with the whole path: `**` is any
        text, `*` any without a slash, `?` one character. Files of up to 1 MiB whose type is text are looked into,
        those of the views too, as they are when it begins: one that is gone when its turn comes is passed over.
        O(files, and the bytes that are looked into). It goes on a slice at a time, so that what is cancelled ends and
        other reads have their turn.

        Errors:
            InvalidCommand (`invalid-command`): an empty pattern, one that repeats so much that it takes over 1 MiB
                when it is compiled (`(x{1,200}){1,200}`), or `max_results` out of its range.
            LimitExceeded (`limit-exceeded`): over 1,024 bytes of a pattern or glob; over 2^28 steps of a search, whose
                pattern repeats much and finds little: repeat less, or name fewer files by the glob.

        Example:
            >>> import treering
            >>> files = treering.memory().scope("alice").files
            >>> _ = files.put("notes/today.md", b"Buy milk" + bytes([10]) + b"call Bob")
            >>> files.grep("BOB$")[0]
            GrepMatch(path='notes/today.md', line=2, text='call Bob')
        """
        core = self._core
        search: GrepCore = yield Look(partial(files_grep, core, pattern, glob, max_results))
        while (done := (yield Look(search.go_on))) is None:
            pass
        found, version = done
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


_NO_VERSION: Final = 2**63 - 1


def _expected(home: Home, path: str, expected_version: int | None, command_id: str | None) -> Op[None]:
    """Raises `VersionConflict` where the commit would, unless the command was done before; the commit asks again."""
    if not isinstance(expected_version, int) or expected_version < 0:
        return
    found: int = (yield Look(partial(home.stores.actor, "files", ())))["version"]
    if found == expected_version:
        return
    try:
        # For a version that there never is: it does nothing, and tells whether the id is known.
        yield from DISPATCHER.dispatch(home, files_delete(home.stores, path), _NO_VERSION, command_id)
    except CommandMismatch:
        return
    except VersionConflict as error:
        actor, actual = error.attributes["actor"], error.attributes["actual"]
    else:
        return
    if actual != expected_version:
        raise VersionConflict(
            f"{actor} is at version {actual}, you expected {expected_version}; read it again and decide anew",
            actor=actor,
            expected=expected_version,
            actual=actual,
        )


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
            piece = yield Look(pieces, theirs=True)
            if inspect.isawaitable(piece):
                piece = yield piece
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise Invalid(f"files.put: the data for {path!r} gives {type(piece).__name__}; open it as binary")
            if isinstance(piece, memoryview) and not piece.c_contiguous:
                piece = piece.tobytes()
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
        view = memoryview(data)
        view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
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
                if not _is_empty(piece):
                    return piece
            return _END

        return following
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        rest = iter(data)
        return lambda: next((piece for piece in rest if not _is_empty(piece)), _END)
    raise Invalid(f"files.put: {type(data).__name__} is neither bytes, nor a binary file, nor an iterable of bytes")


def _is_empty(piece: object) -> bool:
    # What is none at all is told by who takes it.
    return isinstance(piece, bytes | bytearray | memoryview) and len(piece) == 0


SYNC.FilesStore = FilesStore
