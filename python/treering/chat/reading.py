"""Reads chat logs: a JSON array or JSON Lines, one conversation a record.

Promises: every record comes out once, in the file's order, as parsed JSON or as a `Refusal` that says where in the
file and where in the record it can't be kept; a record that can't be kept never hides the ones behind it. JSON Lines
are read line by line, from a pipe too; a broken array is refused whole, since what follows the break is guesswork.

Never: repairs, rounds or drops anything. What Python's parser would let through silently (a key given twice, NaN,
1e999, lone surrogates) is marked while parsing and refused here.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from treering.errors import Invalid
from treering.strict_json import DECODER, DEPTH_MAX, lower, unkept

_SPACE = re.compile(r"[ \t\r\n]*")
#: Possessive, so that a long string takes no memory for ways back.
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_SPACES = (b" ", b"\t", b"\r", b"\n")
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was not imported: its number in the file (from 1), where in it, and why."""

    record: int
    path: str
    reason: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as parsed; everything in it can be kept."""

    number: int
    value: Any
    line: int | None = None


class Refused(Exception):
    """Raised inside this package when a record can't be kept; becomes a `Refusal`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ChatLog:
    """The records of a file, in order, to iterate once; `total` is their number, None where only the end tells.

    Close it, or use it in a `with` block: JSON Lines are read from the open file.
    """

    records: Iterator[Record | Refusal]
    total: int | None
    _file: BinaryIO | None = field(default=None, repr=False)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> "ChatLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_log(path: Path) -> ChatLog:
    """Opens a chat log, a pipe too. An array is parsed whole here; JSON Lines are read while they are iterated.

    Raises `Invalid` for a file that is neither, and for an array that is cut or broken; `OSError` as `open` does.
    """
    file = path.open("rb")
    try:
        before, first = _first_character(file)
        if first == b"{":
            line = first + file.readline()
            if line.strip() == b"{":
                raise Invalid(
                    f"not a chat log: {path} holds an object over several lines; "
                    "a record stands on a line of its own, or is an element of an array"
                )
            return ChatLog(_lines(line, 1 + before.count(b"\n"), file), None, file)
        records = list(_array(path, before + first + file.read())) if first == b"[" else []
    except BaseException:
        file.close()
        raise
    file.close()
    if first not in (b"[", b""):
        raise Invalid(
            f"not a chat log: {path} begins with {first.decode('utf-8', 'replace')!r}; "
            "expected a JSON array, or JSON Lines with one object a line"
        )
    return ChatLog(iter(records), len(records))


def _first_character(file: BinaryIO) -> tuple[bytes, bytes]:
    """The white space at the beginning, without a byte order mark, and the first byte that isn't; never goes back."""
    byte = file.read(1)
    if byte == _MARK[:1] and file.read(2) == _MARK[1:]:
        byte = file.read(1)
    before = bytearray()
    while byte in _SPACES:
        before += byte
        byte = file.read(1)
    return bytes(before), byte


def _array(path: Path, data: bytes) -> Iterator[Record | Refusal]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"broken chat log: {path} is not UTF-8 at byte {error.start}; nothing was imported") from None
    try:
        yield from _array_elements(text)
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno} column {error.colno}"
        raise Invalid(f"broken chat log: {where}: {lower(error.msg)}; nothing was imported") from None


def _array_elements(text: str) -> Iterator[Record | Refusal]:
    at = _skip_space(text, _skip_space(text, 0) + 1)
    number = 0
    if text[at : at + 1] != "]":
        while True:
            number += 1
            try:
                value, at = DECODER.raw_decode(text, at)
            except RecursionError:
                at = _end_of_value(text, at)
                yield Refusal(number, "$", f"nested deeper than {DEPTH_MAX} levels")
            else:
                yield _checked(number, value, None)
            at = _skip_space(text, at)
            if text[at : at + 1] == "]":
                break
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError(f"record {number} is followed by neither ',' nor ']'", text, at)
            at = _skip_space(text, at + 1)
    at = _skip_space(text, at + 1)
    if at != len(text):
        raise json.JSONDecodeError("something follows the array", text, at)


def _lines(first: bytes, first_line: int, file: BinaryIO) -> Iterator[Record | Refusal]:
    number = 0
    for line, data in enumerate(chain((first,), file), first_line):
        if data.strip():
            number += 1
            yield _line(number, line, data)


def _line(number: int, line: int, data: bytes) -> Record | Refusal:
    try:
        value = DECODER.decode(data.decode("utf-8").strip())
    except UnicodeDecodeError as error:
        return Refusal(number, "$", f"line {line} is not UTF-8 at byte {error.start} of the line", line)
    except json.JSONDecodeError as error:
        return Refusal(number, "$", f"line {line} is not JSON: {lower(error.msg)} at column {error.colno}", line)
    except RecursionError:
        return Refusal(number, "$", f"nested deeper than {DEPTH_MAX} levels", line)
    return _checked(number, value, line)


def _checked(number: int, value: Any, line: int | None) -> Record | Refusal:
    found = unkept(value, "$", 1)
    if found is None:
        return Record(number, value, line)
    return Refusal(number, found[0], found[1], line)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _end_of_value(text: str, at: int) -> int:
    """Where the array or object that begins at `at` ends, by brackets alone."""
    depth = 0
    for match in _STRUCTURE.finditer(text, at):
        token = match.group()
        if token in "[{":
            depth += 1
        elif token in "]}":
            depth -= 1
            if depth == 0:
                return match.end()
    raise json.JSONDecodeError("a record never ends", text, at)
