"""That a user's `decide` or `evolve` runs on this thread: what it wrote meanwhile would be written again with each time
that it is called, and what it waited for may wait for it.

Never: another thread is looked at.
"""

from __future__ import annotations

import threading
from typing import Final

from treering.errors import ImpureDecider

_running: Final = threading.local()


class Running:
    """A block in which a method of an actor of one's own runs."""

    __slots__ = ("_before", "actor", "method", "name")

    def __init__(self, name: str, actor: str, method: str) -> None:
        self.name = name
        """The class's name."""
        self.actor = actor
        """The actor's kind."""
        self.method = method

    def __enter__(self) -> None:
        self._before = getattr(_running, "now", None)
        _running.now = self

    def __exit__(self, *_: object) -> None:
        _running.now = self._before


def expect_none(what: str) -> None:
    """Does nothing where no such method runs on this thread; `what` is what is about to be done.

    Errors:
        ImpureDecider (`impure-decider`): one does.
    """
    now: Running | None = getattr(_running, "now", None)
    if now is not None:
        raise ImpureDecider(
            f"{now.name}.{now.method} is not pure: it calls {what}; {_INSTEAD[now.method]}; nothing was written",
            actor=now.actor,
            method=now.method,
        )


_INSTEAD: Final = {
    "decide": "answer events instead; what it is to know stands in the state and the command",
    "evolve": "what it is to know stands in the event, and it writes nothing",
}
