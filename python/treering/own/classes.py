"""The classes of one's own actors that an open store was used with, by their kinds: who can fold what is found there.

Never: a class is looked for elsewhere, or run by being noted.
"""

from __future__ import annotations

import threading
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from treering._session import Session
from treering.own.rules import Actor, rules_of

Class: TypeAlias = type[Actor[Any, Any, Any]]

_of_sessions: Final[WeakKeyDictionary[Session, dict[str, Class]]] = WeakKeyDictionary()
_noting: Final = threading.Lock()


def note_class(session: Session, actor: Class) -> None:
    """Notes a class that a store is used with. Of two of one kind, the one that knows later events counts."""
    rules = rules_of(actor)
    with _noting:
        known = _of_sessions.setdefault(session, {})
        before = known.get(rules.kind)
        if before is actor:
            return
        if before is None or _newness(before) <= _newness(actor):
            known[rules.kind] = actor


def class_of(session: Session, kind: str) -> Class | None:
    """Returns the class of a kind, if the store was used with it."""
    with _noting:
        return _of_sessions.get(session, {}).get(kind)


def _newness(actor: Class) -> tuple[int, int]:
    rules = rules_of(actor)
    return rules.schema, rules.fold
