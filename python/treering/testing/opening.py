"""Stores on a test's own clock, disk and faults. All else is as `treering.open` and `treering.memory` do it."""

from __future__ import annotations

import os

from treering import aio
from treering._core import memory_for_test, open_for_test
from treering._family import SYNC
from treering._session import Durability, Session
from treering.settings import Settings
from treering.store import Store, location_of
from treering.testing.clock import Clock
from treering.testing.disk import Disk
from treering.testing.faults import Faults


def open(
    path: str | os.PathLike[str],
    *,
    clock: Clock | None = None,
    disk: Disk | None = None,
    faults: Faults | None = None,
    create: bool = True,
    read_only: bool = False,
    durability: Durability = "durable",
    lock_wait_s: float = 30.0,
    automatic_gc: bool = False,
    settings: Settings | None = None,
    blobs: str | None = None,
) -> Store:
    """Returns the store of a directory, as `treering.open`, on a clock, a disk and faults of your own.

    None: the machine's clock, the real disk, no faults, development mode. Nothing is collected in the background unless
    `automatic_gc` is true: counts would not be exact. A pickle of it, or of its threads, opens the plain store.

    Errors:
        Invalid (`invalid`): the directory is open in this process on another clock or disk.
        Others as `treering.open`; those that `disk` brings about.
    """
    settings = settings or Settings(development=True)
    location = location_of(path, read_only, durability, lock_wait_s, automatic_gc, 16 << 20, settings, blobs)
    core = open_for_test(
        location.path,
        create,
        location.read_only,
        location.lock_wait_ms,
        automatic_gc,
        None if clock is None else clock._core,
        None if disk is None else disk._core,
        None if faults is None else faults._core,
        blobs,
    )
    return SYNC.Store(Session(core, location, durability, location.settings))


def memory(*, clock: Clock | None = None, faults: Faults | None = None, settings: Settings | None = None) -> Store:
    """Returns a new store in memory, on a clock and faults of your own, in development mode if no settings are
    given."""
    core = memory_for_test(None if clock is None else clock._core, None if faults is None else faults._core)
    return SYNC.Store(Session(core, None, "durable", settings or Settings(development=True)))


def as_async(store: Store) -> aio.Store:
    """Returns the same open store for asyncio; closing either closes both."""
    return aio.Store(store._session)
