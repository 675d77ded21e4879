"""Which store and scope a command means, opened when it is first needed and closed at its end."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from treering.cli.exits import CommandError

if TYPE_CHECKING:
    from treering import Settings, Store
    from treering.thread import Thread
    from treering.threads import Threads


class Opening:
    """The global options of one call. A command that only reads opens the store for reading, and never makes one."""

    def __init__(self, path: Path, scope: str, blobs: str | None = None) -> None:
        self.path = path
        self.scope = scope
        self.blobs = blobs
        self._store: Store | None = None

    def store(
        self,
        *,
        write: bool = False,
        create: bool = False,
        repair: bool = False,
        settings: "Settings | None" = None,
    ) -> "Store":
        """The store; `write` opens it for a change, `create` for one that also makes it if it isn't there yet.

        `repair` opens it for a change, mending first what would keep it from opening.
        """
        if self._store is None:
            import treering

            if not create and not self.path.exists():
                raise CommandError(
                    f"no store: {self.path} is not there",
                    "treering thread import FILE makes one; --store PATH names another, treering demo shows one",
                )
            read_only = not (write or create or repair)
            # A command is over before a collection in the background would be; `treering gc` is for that.
            self._store = treering.open(
                self.path,
                create=create,
                read_only=read_only,
                automatic_gc=False,
                repair=repair,
                settings=settings,
                blobs=self.blobs,
            )
        return self._store

    def in_memory(self) -> "Store":
        """An empty store in memory, in place of one that is not there."""
        if self._store is None:
            import treering

            self._store = treering.memory()
        return self._store

    def threads(self, *, write: bool = False, create: bool = False) -> "Threads":
        """The threads of the scope."""
        return self.store(write=write, create=create).scope(self.scope).threads

    def thread(self, id_or_key: str, *, write: bool = False) -> "Thread":
        """The thread of an id, the beginning of one, or a key."""
        return self.threads(write=write).get(id_or_key)

    def close(self) -> None:
        """Closes the store, if it was opened."""
        if self._store is not None:
            self._store.close()
            self._store = None


def opening(context: typer.Context) -> Opening:
    """The global options that a command was called with."""
    return cast(Opening, context.find_root().obj)
