"""What an import says: for each file what was taken, changed, left out and refused, where, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["config", "actors", "memory", "connectors", "roles", "chat-index", "chat", "thread"]
"""What a file of old data holds."""

Outcome: TypeAlias = Literal["new", "there", "refused", "skipped"]
"""What became of a file.

`new`: something of it was written, or would be. `there`: all of it was there before. `refused`: nothing of it could be
taken. `skipped`: it was not read.
"""

What: TypeAlias = Literal["changed", "left-out", "refused"]
"""`changed`: taken in another form. `left-out`: nothing here has a place for it. `refused`: it can't be taken."""

#: Notes of one file; the last of them counts what went beyond.
NOTES_MAX: Final = 1_000
#: Characters of a value that a reason repeats.
_SHOWN_MAX: Final = 60
_INDEX = re.compile(r"\[\d+\]")


class Refused(Exception):
    """Raised inside this package where something can't be taken; becomes a note."""

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing to know about a file that was read."""

    what: What
    """Which sort of thing."""
    path: str
    """Where in the file: `$` is all of it (of the line, where there is one), `$.entries[3].id` a part."""
    line: int | None
    """The line, from 1, of a file of lines; None for a file that is one JSON document."""
    reason: str
    """What happened, or why."""
    times: int
    """How often: at other places of the same sort too, of which `path` and `line` are the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of one file."""

    path: str
    """Where it is, from the folder that was given; of a file that was given, its name."""
    kind: Kind | None
    """What it holds; None where its name says nothing."""
    outcome: Outcome
    """What became of it."""
    taken: int
    """How much of it was written now, or would be: fields, ids, entries, rows, messages or steps."""
    notes: tuple[Note, ...]
    """What was changed, left out and refused, in the order in which it was met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did, or in a dry run would do."""

    scope: str
    """The scope that it went into."""
    dry_run: bool
    """Whether nothing was to be written."""
    files: tuple[FileReport, ...]
    """All files that were found, in the order in which they were taken."""

    @property
    def taken(self) -> int:
        """How much was written in all; 0 where all of it was there before."""
        return sum(file.taken for file in self.files)

    @property
    def changed(self) -> int:
        """How many things were taken in another form."""
        return self._times("changed")

    @property
    def left_out(self) -> int:
        """How many things have no place here, in the files that were read."""
        return self._times("left-out")

    @property
    def refused(self) -> int:
        """How many things can't be taken; a file that can't be read is one."""
        return self._times("refused")

    def _times(self, what: What) -> int:
        read = (file for file in self.files if file.outcome != "skipped")
        return sum(note.times for file in read for note in file.notes if note.what == what)


class Notes:
    """The notes of a file in the making: what is the same at many places of an array is one note."""

    __slots__ = ("_beyond", "_found")

    def __init__(self) -> None:
        self._found: dict[tuple[What, str, str], Note] = {}
        self._beyond: dict[What, int] = {}

    @classmethod
    def of(cls, before: Iterable[Note]) -> Notes:
        """Notes that go on behind others."""
        notes = cls()
        notes._found = {(note.what, _INDEX.sub("[]", note.path), note.reason): note for note in before}
        return notes

    def changed(self, path: str, reason: str, line: int | None = None) -> None:
        self._add("changed", path, reason, line)

    def left_out(self, path: str, reason: str, line: int | None = None) -> None:
        self._add("left-out", path, reason, line)

    def refused(self, path: str, reason: str, line: int | None = None) -> None:
        self._add("refused", path, reason, line)

    def take(self, refused: Refused, line: int | None = None) -> None:
        self._add("refused", refused.path, refused.reason, line if refused.line is None else refused.line)

    def all(self) -> tuple[Note, ...]:
        beyond = (
            Note(
                what=what, path="$", line=None, reason=f"more than {NOTES_MAX:,} notes: these are only counted", times=n
            )
            for what, n in self._beyond.items()
        )
        return (*self._found.values(), *beyond)

    def _add(self, what: What, path: str, reason: str, line: int | None) -> None:
        same = (what, _INDEX.sub("[]", path), reason)
        if (before := self._found.get(same)) is not None:
            self._found[same] = replace(before, times=before.times + 1)
        elif len(self._found) < NOTES_MAX:
            self._found[same] = Note(what=what, path=path, line=line, reason=reason, times=1)
        else:
            self._beyond[what] = self._beyond.get(what, 0) + 1


def shown(value: object) -> str:
    """A value as a reason shows it: one line, not long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
