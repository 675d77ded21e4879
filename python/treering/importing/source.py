"""The files of old data, as bytes and as JSON. Promises: opened for reading only, never through a link that was found
in a folder; no more of a document or a line is read than its limit. Never: waits for a pipe."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from treering.importing.report import Refused
from treering.strict_json import DECODER, DEPTH_MAX, lower, unkept

#: Bytes of a file that is one JSON document, which is parsed whole.
DOCUMENT_BYTES_MAX: Final = 64 << 20
#: Bytes of a line of a file of lines; such a file may have any number of them.
LINE_BYTES_MAX: Final = 64 << 20
_MARK: Final = b"\xef\xbb\xbf"


def open_file(path: Path, *, follow: bool = False) -> BinaryIO:
    """Opens a regular file; `follow`: also through a symbolic link. Raises `Refused`."""
    # A pipe that nobody writes to would keep us waiting: it is opened without, and then is no regular file.
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise Refused("$", f"it can't be opened: {lower(error.strerror or str(error))}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused("$", "it is no regular file")
    return os.fdopen(descriptor, "rb")


def read_within(file: BinaryIO, limit: int) -> bytes:
    """Returns what is left of a file. Raises `Refused` if that is more than `limit`, without reading it all."""
    # Not simply the limit: a read takes memory for as much as it is asked for.
    data = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    if len(data) > limit:
        raise Refused("$", f"it is over {limit >> 20} MiB")
    return data


def read_document(file: BinaryIO) -> Any:
    """Returns the JSON document that a file is; what in it can't be kept is marked, see `strict_json`."""
    data = read_within(file, DOCUMENT_BYTES_MAX)
    if not data.removeprefix(_MARK).strip():
        raise Refused("$", "it is empty")
    try:
        return DECODER.decode(_text(data.removeprefix(_MARK)))
    except UnicodeDecodeError as error:
        raise Refused("$", f"it is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Refused("$", f"it is not JSON: {lower(error.msg)} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise Refused("$", f"nested deeper than {DEPTH_MAX} levels") from None


def read_lines(file: BinaryIO) -> Iterator[tuple[int, int, Any]]:
    """Yields the number, the length in bytes, and the JSON value of each line that is not blank, while it reads.

    Raises `Refused` with the line for one that can't be read, or holds something that can't be kept.
    """
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise Refused("$", f"the line is over {LINE_BYTES_MAX >> 20} MiB", number)
        if number == 1:
            line = line.removeprefix(_MARK)
        if not line.strip():
            continue
        value = _line(line, number)
        if (found := unkept(value, "$", 1)) is not None:
            raise Refused(*found, number)
        yield number, len(line), value


def _line(line: bytes, number: int) -> Any:
    try:
        return DECODER.decode(_text(line).strip())
    except UnicodeDecodeError as error:
        raise Refused("$", f"the line is not UTF-8 at its byte {error.start}", number) from None
    except json.JSONDecodeError as error:
        cut = "" if line.endswith(b"\n") else "; the file ends there, as if it was cut"
        raise Refused("$", f"the line is not JSON: {lower(error.msg)} at column {error.colno}{cut}", number) from None
    except RecursionError:
        raise Refused("$", f"nested deeper than {DEPTH_MAX} levels", number) from None


def _text(data: bytes) -> str:
    return data.decode("utf-8")
