"""A player's store, its clock and its handles, which live here by numbers that the caller chooses."""

from typing import Any

import treering
from player.answer import Answer
from treering import testing


class Plain:
    """The ways in, as `treering` has them."""

    def open(self, path: str, read_only: bool = False) -> treering.Store:
        return treering.open(path, read_only=read_only)

    def memory(self) -> treering.Store:
        return treering.memory()

    def restore(self, backup: str, path: str) -> Any:
        return treering.restore(backup, path)

    def of(self, store: treering.Store) -> treering.Store:
        """The same store, as this side sees it."""
        return store

    def close(self) -> None:
        """Nothing is left to end."""


PLAIN = Plain()


class Core:
    """Verbs by name; `h` is the number of a handle. `api` is `PLAIN`, or the same awaited."""

    store: Any

    def __init__(self, store: Any = None, clock: testing.Clock | None = None, api: Any = PLAIN) -> None:
        self.api = api
        self.shared = store is not None
        self.clock = clock if clock is not None else testing.Clock()
        self.threads: dict[int, Any] = {}
        self.leases: dict[int, Any] = {}
        self.store = store
        self.begin(self.clock.now_ms)

    def begin(self, now_ms: int) -> None:
        """Another store, at that time."""
        self.cursor: str | None = None
        self.versions: dict[str, int | None] = {}
        self.time(now_ms)

    def time(self, now_ms: int) -> None:
        self.clock.set(now_ms)

    def call(self, verb: str, *args: Any) -> Answer:
        try:
            return Answer(getattr(self, verb)(*args))
        except treering.TreeringError as error:
            return Answer(error=error.kind, text=str(error))

    def open(self, path: str) -> None:
        self.close()
        opened = testing.open(path, durability="relaxed", clock=self.clock, automatic_gc=True)
        self.store = self.api.of(opened)

    def close(self) -> None:
        for h in list(self.leases):
            self.release(h)
        self.threads.clear()
        if not self.shared and self.store is not None:
            self.store.close()

    def release(self, h: int) -> None:
        self.leases.pop(h).__exit__(None, None, None)

    def kept(self, h: int, thread: Any) -> tuple[str, int]:
        self.threads[h] = thread
        return thread.id, len(thread)
