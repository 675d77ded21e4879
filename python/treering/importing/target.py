"""Where an import writes to: the scope, a scratch one that tells what the stores' rules make of a value, and the ids
of commands. Nothing that is there is overwritten; what was imported before is known by its command id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from treering._core import Cid
from treering.codec import encode
from treering.errors import CommandMismatch, HistoryTrimmed, ReadOnly, VersionConflict
from treering.importing.report import Outcome
from treering.scope import Scope
from treering.store import Store, memory
from treering.stores.history import ActorEvent
from treering.stores.receipt import Receipt

_NO_VERSION: Final = 2**63 - 1


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

    @contextmanager
    def writable(self) -> Iterator[Scope]:
        """The scope to write to: in a dry run one in memory, where the stores' rules do the same."""
        if not self.dry_run:
            yield self.scope
            return
        with self.scratch() as scratch:
            yield scratch.scope(self.scope.name)

    def scratch(self) -> Store:
        """A store in memory that has this one's settings; a scope of the same name in it shows what the rules do."""
        return memory(settings=self.scope._home.session.settings)


def command_id(kind: str, *content: Any) -> str:
    """The id of the command that imports some content: the same content has the same id, in whichever file."""
    return f"import-{kind}-{Cid.of(encode([kind, *content]))}"


def was_sent(send: Callable[[int], Receipt[Any]], history: Iterable[ActorEvent], command: str) -> bool:
    """Whether a command was done before, asked without doing it.

    `send` sends it, with whatever arguments, for a version that no actor has: a command that was done is answered by
    its receipt before its version is looked at. Of a store that takes no commands, the history is asked.
    """
    try:
        return send(_NO_VERSION).replayed
    except CommandMismatch:
        return True
    except VersionConflict:
        return False
    except ReadOnly:
        return _is_in(history, command)


def _is_in(history: Iterable[ActorEvent], command: str) -> bool:
    try:
        return any(event.command_id == command for event in history)
    except HistoryTrimmed:
        return False
