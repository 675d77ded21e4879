"""What is remembered about a user: `scope.memory`."""

from __future__ import annotations

from collections.abc import Iterable

from treering._calls import Feed, Op, feed, read, verb
from treering._family import SYNC
from treering.messages import MemoryEntry, MemorySource
from treering.stores._dispatch import ActorStore
from treering.stores.listing import Listing
from treering.stores.receipt import Receipt


class MemoryStore(ActorStore):
    """The memory of a scope: at most `Settings.memory_entries` entries, in the order in which they were added."""

    __slots__ = ()

    _kind = "user-memory"

    @read
    def get(self) -> Listing[MemoryEntry]:
        """Returns all entries, with their `version`."""
        return Listing(*self._core.memory())

    @read
    def at(self, version: int) -> Listing[MemoryEntry]:
        """Returns the entries as they were at a version; 0 is before anything was written.

        Errors:
            NotFound (`not-found`): there is no such version yet.
            HistoryTrimmed (`history-trimmed`): it is not kept any more.
        """
        return Listing(*self._core.memory(version))

    @feed
    def states(self, after: int | None = None) -> Feed[Listing[MemoryEntry]]:
        """Returns the entries as they are, then after each commit that changed them, of any process, in order and none
        left out; no end. After version `after`, if that is given: without the first.

        What one commit did is seen whole. What is not kept any more is left out: a deletion and a trim are seen, not
        what they cut off. It ends when the store is closed.

        Errors:
            NotFound (`not-found`): there is no version `after` yet.
        """
        return self._states(after, lambda found: Listing(*found))

    @verb
    def add(
        self,
        category: str,
        content: str,
        source: MemorySource | str = MemorySource.INFERRED,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[MemoryEntry]]:
        """Returns the receipt with the new entry. The category is lower-cased, a blank one is "context"; the content
        is trimmed. Beyond `Settings.memory_entries` the oldest of the same category goes, else the oldest of all; the
        receipt names it.

        Errors:
            InvalidCommand (`invalid-command`): the content is blank, or the source is none.
            LimitExceeded (`limit-exceeded`): over 8,192 bytes of content.
            VersionConflict (`version-conflict`), CommandMismatch (`command-mismatch`): as everywhere.
        """
        entry = MemoryEntry(category=category, content=content, source=source)  # type: ignore[arg-type]
        return (yield from self._send(lambda core: core.memory_add(entry), expected_version, command_id))

    @verb
    def remove(
        self,
        id: str,
        *,
        purge: bool = False,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Op[Receipt[None]]:
        """Returns the receipt; the entry is gone, unchanged if it was not there. `purge`: so is the history of this
        memory, in which it still stood, though it was removed before; its text goes with the next collection.
        """
        return (yield from self._send(lambda core: core.memory_remove(id, purge), expected_version, command_id))

    @verb
    def save(
        self, entries: Iterable[MemoryEntry], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; what `entries` lacks (by id) is removed, then what is new is added; entries in both
        stay as they are.

        Errors:
            InvalidCommand (`invalid-command`): an id is none or comes twice, or content is blank.
            LimitExceeded (`limit-exceeded`): over 1,000 entries.
        """
        return (yield from self._send(lambda core: core.memory_save(list(entries)), expected_version, command_id))

    @verb
    def clear(
        self, *, purge: bool = False, expected_version: int | None = None, command_id: str | None = None
    ) -> Op[Receipt[None]]:
        """Returns the receipt; all entries are gone. `purge`: so is the history, as with `remove`."""
        return (yield from self._send(lambda core: core.memory_clear(purge), expected_version, command_id))

    @read
    def prompt_section(self, max_chars: int = 2000) -> str:
        """Returns the entries as a section of a prompt, "" for none: grouped (preferences, instructions, context, then
        others), in each the one that was changed last first. Never longer than `max_chars`: cut at a line's end, and
        always closed.

        What an entry says stands on one line and can't end the section: the `<` of a tag `user-memory` in it is written
        `&lt;`. All else stands as it was said: what users say is not yours, tell your model so."""
        return self._core.memory_prompt_section(max_chars)


SYNC.MemoryStore = MemoryStore
