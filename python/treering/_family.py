"""The classes that make each other, as a family: once for sync callers, once for async ones.

A method that returns a `Thread` asks its own family for the class, so one body makes the right kind in both
worlds. `treering.store` fills the sync family, `treering._async` derives the async one from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from treering.blocks import Blocks
    from treering.commit import Commit
    from treering.lease import Lease
    from treering.pins import Pins
    from treering.scope import Scope
    from treering.store import Store
    from treering.thread import Thread
    from treering.threads import Threads


class Family:
    """One class of each kind."""

    Blocks: type[Blocks]
    Commit: type[Commit]
    Lease: type[Lease]
    Pins: type[Pins]
    Scope: type[Scope]
    Store: type[Store]
    Thread: type[Thread]
    Threads: type[Threads]

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> str:
        # Pickled by reference: handles that are pickled come back in the world they were of.
        return self.name


SYNC: Final = Family("SYNC")
ASYNC: Final = Family("ASYNC")
