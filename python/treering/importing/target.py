"""Where an import writes to: the scope, a scratch one that tells what the stores' rules make of a value, and the ids
of commands. Nothing that is there is overwritten; what was imported before is known by its command id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from treering._core import Cid
from treering.codec import encode
from treering.errors import HistoryTrimmed
from treering.importing.report import Outcome
from treering.scope import Scope
from treering.store import Store, memory
from treering.stores.history import ActorEvent


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a document."""

    outcome: Outcome
    taken: int


@dataclass(frozen=True, slots=True)
class Target:
    """The scope that an import is for."""

    scope: Scope
    dry_run: bool

    def scratch(self) -> Store:
        """A store in memory that has this one's settings; a scope of the same name in it shows what the rules do."""
        return memory(settings=self.scope._home.session.settings)


def command_id(kind: str, *content: Any) -> str:
    """The id of the command that imports some content: the same content has the same id, in whichever file."""
    return f"import-{kind}-{Cid.of(encode([kind, *content]))}"


def was_sent(history: Iterable[ActorEvent], command: str) -> bool:
    """Whether a command is among an actor's events; O(events). A dry run asks so, since the receipt has no reader."""
    return any(event.command_id == command for event in _kept(history))


def _kept(history: Iterable[ActorEvent]) -> Iterator[ActorEvent]:
    try:
        yield from history
    except HistoryTrimmed:
        return
