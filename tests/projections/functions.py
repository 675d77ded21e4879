"""Functions to project with, and what is written to be projected."""

from typing import Any

from treering import Commit, Gap, Scope, SourceEvent
from treering.messages import Message

View = dict[str, list[int]]
"""Versions seen, by source."""


def versions(view: View, event: SourceEvent, commit: Commit) -> View:
    """Notes each version that comes, so that one that comes twice or is missing shows."""
    return {**view, str(event.source): [*view.get(str(event.source), []), event.version]}


def delivering(view: View, event: SourceEvent, commit: Commit) -> View:
    """The same, and a message about each into a chat of the projection's scope."""
    commit.chats.append("inbox", [Message(content=f"{event.source} {event.version}")])
    return versions(view, event, commit)


def from_gap(view: View, gap: Gap, commit: Commit) -> View:
    return {**view, str(gap.source): [*view.get(str(gap.source), []), -gap.version]}


def say(scope: Scope, chat: str, *contents: str) -> None:
    for content in contents:
        scope.chats.append(chat, [Message(role="user", content=content)])


def inbox(scope: Scope) -> list[str]:
    """What was delivered, the oldest first; a chat keeps 500."""
    return [message.content for message in scope.chats.messages("inbox")]


def notes(error: BaseException) -> Any:
    return getattr(error, "__notes__", [])
