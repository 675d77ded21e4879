"""`actors.json` → `scope.agents`: groups of ids by type, added behind what is there.

The ids of a file are one commit, up to `COMMIT_IDS_MAX`; more are several, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from treering.errors import CommandMismatch, Invalid
from treering.importing.fields import Fields, kind_of, unwrapped
from treering.importing.report import Notes, Refused
from treering.importing.target import Done, Target, command_id, was_sent
from treering.scope import Scope
from treering.stores.receipt import Receipt
from treering.strict_json import Unkept, join_path, unkept

#: Ids of one commit: what the receipt of its command id has room for.
COMMIT_IDS_MAX: Final = 250
_NOUNS: Final = ("groups", "actors", "agents")

_Listed: TypeAlias = tuple[str, str]
"""A type and an id of it."""


def import_agents(target: Target, document: Any, notes: Notes) -> Done:
    """Takes the ids that are not listed under their type."""
    places: dict[_Listed, str] = {}
    for path, agent_type, actor_id in _ids(document, notes):
        if (agent_type, actor_id) in places:
            notes.left_out(path, "an id that its group has already")
        places.setdefault((agent_type, actor_id), path)
    there = {(group.agent_type, actor_id) for group in target.scope.agents.list() for actor_id in group.actor_ids}
    given = list(places)
    taken = 0
    for first in range(0, len(given), COMMIT_IDS_MAX):
        part = given[first : first + COMMIT_IDS_MAX]
        if any(one not in there for one in part):
            taken += _add(target, part, there, places, notes)
    if taken:
        return Done("new", taken)
    refused = any(note.what == "refused" for note in notes.all())
    return Done("refused" if refused and there.isdisjoint(given) else "there", 0)


def _add(target: Target, part: list[_Listed], there: set[_Listed], places: dict[_Listed, str], notes: Notes) -> int:
    """Adds what is not listed, in one commit; returns how many that are."""
    command = command_id("actors", *(list(one) for one in part))
    if target.dry_run and _was_sent(target.scope, command):
        return 0
    drafts = []
    with target.writable() as scope:
        try:
            with scope.commit(command_id=command) as commit:
                for one in part:
                    try:
                        drafts.append((one, commit.agents.add(*one)))
                    except Invalid as error:
                        notes.refused(places[one], str(error))
        except CommandMismatch:
            # Ids that were refused then may be taken now.
            return 0
        except Invalid as error:
            notes.refused(places[part[0]], f"{len(part)} ids from here on: {error}")
            return 0
        if not drafts or commit.receipt.replayed:
            return 0
        return sum(draft.receipt.changed and one not in there for one, draft in drafts)


def _was_sent(scope: Scope, command: str) -> bool:
    def send(version: int) -> Receipt[None]:
        with scope.commit(command_id=command) as commit:
            # Not what is to be added, which may be refused: the command's id alone is asked for.
            draft = commit.agents.remove("-", "-", expected_version=version)
        return draft.receipt

    return was_sent(send, scope.agents.history(), command)


def _ids(document: Any, notes: Notes) -> Iterator[tuple[str, str, str]]:
    """The place, type and id of each member of each group."""
    for path, agent_type, ids in _groups(document, notes):
        for index, actor_id in enumerate(ids):
            place = join_path(path, index)
            if (found := unkept([agent_type, actor_id], place, 1)) is not None:
                notes.refused(place, found[1])
            elif isinstance(actor_id, str):
                yield place, agent_type, actor_id
            else:
                notes.refused(place, f"an id is a text, not {kind_of(actor_id)}")


def _groups(document: Any, notes: Notes) -> Iterator[tuple[str, str, list[Any]]]:
    """Of each group the place of its ids, its type and its ids: `{agentType, actorIds}`, or `type: [id, …]`."""
    beside = Notes()
    value, path = unwrapped(document, _NOUNS, beside)
    if isinstance(value, list) and not any(isinstance(member, dict) for member in value):
        # It was no noun, but a type that is called like one, and what is beside it are others.
        value, path = document, "$"
    else:
        for note in beside.all():
            notes.left_out(note.path, note.reason)
    if isinstance(value, dict):
        members = [(join_path(path, name), name, member) for name, member in value.items()]
    elif isinstance(value, list):
        members = [(join_path(path, index), "", member) for index, member in enumerate(value)]
    else:
        below = value.below if isinstance(value, Unkept) else ""
        raise Refused(path + below, f"an array of groups is expected, not {kind_of(value)}")
    for place, name, member in members:
        if name and isinstance(member, list):
            yield place, name, member
            continue
        try:
            fields = Fields(member, place, notes)
            agent_type, ids = fields.text("agentType", name) or fields.name("agentType"), fields.array("actorIds")
            fields.end()
        except Refused as refused:
            notes.take(refused)
        else:
            yield fields.path("actorIds"), agent_type, ids
