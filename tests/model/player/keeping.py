"""The journal: reading and following it, sealing and expiring its past, proving it."""

from contextlib import closing
from typing import Any

import treering
from player.core import Core


def name_of(move: treering.Move) -> str:
    """The ref that it moved, as `refs.list` names it."""
    return "/".join((move.scope, move.kind, *move.name))


class Keeping(Core):
    """Verbs on the journal."""

    def seal(self, keep: int) -> int:
        sealed: int = self.store.seal_journal(keep).commits
        return sealed

    def expire(self) -> int:
        gone: int = self.store.expire_journal(self.store.cursor()).commits
        return gone

    def extent(self) -> tuple[int, int, int]:
        """The oldest commit that is kept, the newest, and the newest that is sealed (0: none is)."""
        extent = self.store.journal_extent()
        return extent.first, extent.last, max((file.last for file in extent.sealed), default=0)

    def head(self) -> str:
        head: str = self.store.head()
        return head

    def prove(self, since: str) -> list[str]:
        return [str(finding) for finding in self.store.verify(since=since).findings]

    def moves(self, name: str) -> list[tuple[int, treering.Cid | None]]:
        """All versions of a ref that the journal still tells, the oldest first, and what it pointed at."""
        moves = [move for entry in self.store.journal() for move in entry.moves]
        return [(move.version, move.target) for move in moves if name_of(move) == name]

    def blanks(self) -> list[int]:
        """Commits that were given up."""
        return [entry.position for entry in self.store.journal() if entry.blank]

    def follow(self) -> tuple[list[int], dict[str, Any], dict[str, Any]]:
        """The positions of the commits since it was asked last, the refs as they follow from them, and as they are."""
        there = {ref.name: ref.version for ref in self.store.refs.list()}
        news: list[treering.JournalEntry] = []
        if self.cursor is not None:
            try:
                news = list(self.store.journal(after=self.cursor))
            except treering.CursorExpired:
                self.cursor = None
        if self.cursor is None:
            self.cursor, self.versions = self.store.cursor(), dict(there)
            return [], self.versions, there
        for entry in news:
            for move in entry.moves:
                self.versions.pop(name_of(move), None)
                if move.target is not None:
                    self.versions[name_of(move)] = move.version
        if any(entry.blank for entry in news):
            # What a commit did that was given up nobody knows: from here on anew.
            self.versions = dict(there)
        if news:
            with closing(iter(self.store.watch(after=self.cursor))) as watch:
                assert next(watch) == news[0]
            self.cursor = news[-1].cursor
        return [entry.position for entry in news], self.versions, there
