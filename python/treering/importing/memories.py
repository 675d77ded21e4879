"""`user-memory.json` → `scope.memory`: what is lacking there is added behind what is there, in one commit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from treering.codec import encode
from treering.errors import Invalid, VersionConflict
from treering.importing.fields import Fields, elements
from treering.importing.report import Notes, Refused, listed, shown
from treering.importing.target import Done, Target, command_id, was_sent
from treering.messages import MemoryEntry, MemorySource
from treering.store import Store
from treering.strict_json import join_path

_NOUNS: Final = ("entries", "memories", "memory")
_ID: Final = re.compile(r"[0-9a-f]{12}\Z")
#: What one `memory.save` takes; what memory keeps is far less.
_ENTRIES_MAX: Final = 1_000


def import_memory(target: Target, document: Any, notes: Notes) -> Done:
    """Takes the entries whose ids are not there."""
    with target.scratch() as scratch:
        given = list(_entries(document, scratch, target.scope.name, notes))
    if len(given) > _ENTRIES_MAX:
        notes.changed("$", f"of {len(given):,} entries the {_ENTRIES_MAX:,} newest are looked at")
        given = sorted(given, key=lambda entry: entry.created_at_ms)[-_ENTRIES_MAX:]
    if not given:
        return Done("refused" if notes.all() else "there", 0)
    store = target.scope.memory
    there = store.get()
    known = {entry.id for entry in there}
    new = [entry for entry in given if entry.id not in known]
    command = command_id("memory", *(encode(_content(entry)) for entry in given))
    if not new or was_sent(
        lambda version: store.save(new, expected_version=version, command_id=command), store.history(), command
    ):
        return Done("there", 0)
    kept = target.scope._home.session.settings.memory_entries
    if there and len(there) + len(new) > kept:
        raise Refused(
            "$", f"memory holds {len(there)} entries and keeps {kept}: {len(new)} more would drive others out"
        )
    with target.writable() as scope:
        # In a dry run the scope is empty, and what is there is made there first.
        version = there.version if not target.dry_run else scope.memory.save(there).version
        try:
            receipt = scope.memory.save([*there, *new], expected_version=version, command_id=command)
        except VersionConflict:
            raise Refused("$", "memory was changed meanwhile: import it again") from None
    dropped = receipt.dropped_ids
    if dropped:
        notes.changed("$", f"memory keeps {kept} entries: {len(dropped)} older ones were left ({listed(dropped)})")
    return Done("new", len(new) - len(dropped))


def _entries(document: Any, scratch: Store, scope: str, notes: Notes) -> Iterator[MemoryEntry]:
    """The entries as the store's rules make them, each judged alone."""
    ids: set[str] = set()
    rules = scratch.scope(scope).memory
    for path, element in elements(document, _NOUNS, "id", notes):
        try:
            entry, told = _entry(Fields(element, path, notes), path, notes)
            if entry.id in ids:
                raise Refused(path, "its id comes twice")
            ids.add(entry.id)
            try:
                rules.save([entry])
            except Invalid as error:
                raise Refused(path, str(error)) from None
        except Refused as refused:
            notes.take(refused)
            continue
        kept = rules.get()[0]
        for field in ("category", "content"):
            if getattr(entry, field) not in ("", getattr(kept, field)):
                before, now = shown(getattr(entry, field)), shown(getattr(kept, field))
                notes.changed(join_path(path, field), f"{before} is kept as {now}")
        # Where nobody told a time, the commit's own is kept.
        yield replace(kept, created_at_ms=told[0], updated_at_ms=told[1])


def _entry(fields: Fields, path: str, notes: Notes) -> tuple[MemoryEntry, tuple[int, int]]:
    source = fields.text("source", MemorySource.INFERRED)
    if source.strip().lower() not in set(MemorySource):
        notes.changed(fields.path("source"), f"the source {shown(source)} is not known: kept as 'inferred'")
        source = MemorySource.INFERRED
    created, updated = fields.moment("createdAt"), fields.moment("updatedAt")
    if created is None:
        notes.changed(path, "it does not say when it was added: kept as added when imported")
    entry = MemoryEntry(
        id=fields.text("id"),
        category=fields.text("category"),
        content=fields.text("content"),
        source=MemorySource(source.strip().lower()),
        created_at_ms=created or 0,
        updated_at_ms=updated or created or 0,
    )
    fields.end()
    if _ID.match(entry.id) is None:
        was, entry = entry.id, replace(entry, id=_new_id(entry))
        if was.lower() == entry.id:
            notes.changed(fields.path("id"), "an id is kept in lower case")
        else:
            notes.changed(fields.path("id"), f"an id is twelve hexadecimal digits: {shown(was)} is kept as {entry.id}")
    return entry, (entry.created_at_ms, entry.updated_at_ms)


def _new_id(entry: MemoryEntry) -> str:
    """An id for an entry that has none that can be kept: the same for the same entry."""
    if _ID.match(entry.id.lower()):
        return entry.id.lower()
    return hashlib.sha256(encode(_content(entry))).hexdigest()[:12]


def _content(entry: MemoryEntry) -> list[str | int]:
    return [
        entry.id, entry.category, entry.content, str(entry.source), entry.created_at_ms, entry.updated_at_ms,
    ]  # fmt: skip
