"""One opening of a store: what `Store`, `Scope`, `Thread` and `Step` of it hold in common.

It closes the core when the last of them is gone, and at the end of the process. It knows how the store was
opened, so that handles can be pickled. It makes no object of the public API and starts no I/O by itself.
"""

from __future__ import annotations

import os
import uuid
import weakref
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

from treering._core import Core, StoresCore, ThreadsCore
from treering.errors import Invalid
from treering.settings import Settings
from treering.workspace import Workspace

Durability: TypeAlias = Literal["durable", "relaxed"]
"""How much an acknowledged commit outlives: a power failure, or only a killed process."""


@dataclass(frozen=True, slots=True)
class Location:
    """How a store was opened; enough to open it again, in another process too."""

    path: str
    read_only: bool
    durability: Durability
    lock_wait_ms: int
    automatic_gc: bool
    reserve_bytes: int
    settings: Settings
    blobs: str | None = None


class _Buckets:
    """Whether this process has opened a store that keeps its large blocks in a bucket."""

    any: ClassVar[bool] = False


def any_bucket() -> bool:
    """Whether a call of some store may have to wait for the network: without one nobody asks which."""
    return _Buckets.any


class Session:
    """A core with its way back: `location` is None for a store in memory."""

    __slots__ = (
        "__weakref__",
        "_finalizer",
        "core",
        "durability",
        "has_bucket",
        "location",
        "name",
        "place",
        "settings",
    )

    def __init__(self, core: Core, location: Location | None, durability: Durability, settings: Settings) -> None:
        self.core = core
        self.settings = settings
        self.location = location
        self.durability = durability
        self.has_bucket = core.blobs is not None
        if self.has_bucket:
            _Buckets.any = True
        # Asked once: repr must work after close.
        self.name = location.path if location is not None else "memory"
        self.place = os.path.realpath(location.path) if location is not None else f"memory {uuid.uuid4()}"
        """Where it is, for what lies outside of it and says whose it is: no two stores have one."""
        self._finalizer = weakref.finalize(self, _close, core, os.getpid())

    def close(self) -> None:
        self._finalizer()

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def portable(self, what: str) -> Location:
        """Returns the location, for a pickle of `what`."""
        if self.location is None:
            raise Invalid(
                f"{what} of a store in memory can't be pickled: it lives in this process only; use treering.open(path)"
            )
        return self.location

    @property
    def gone(self) -> tuple[str, ...]:
        """What of it can't be shown, where this is a store as it was."""
        return ()

    @property
    def origin(self) -> Session:
        """The opening that this one shows the past of; itself."""
        return self

    def same_store(self, other: Session) -> bool:
        if self.core is other.core:
            return True
        if self.location is None or other.location is None:
            return False
        return os.path.realpath(self.name) == os.path.realpath(other.name)


@dataclass(frozen=True, slots=True)
class Home:
    """One scope of a session: where its threads and stores live, how durably it commits, on whose behalf, and where its
    drafts are mirrored to."""

    session: Session
    threads: ThreadsCore
    stores: StoresCore
    durability: Durability
    principal: str | None = None
    causation_id: str | None = None
    workspace: Workspace | None = None

    def resolve(self) -> Home:
        """Returns itself: it always is the scope that is meant."""
        return self

    @property
    def scope(self) -> str:
        return self.threads.scope

    def portable(self, what: str) -> Address:
        """Returns where the scope is, for a pickle of `what`."""
        location = self.session.portable(what)
        return Address(location, self.scope, self.durability, self.principal, self.causation_id, self.workspace)

    def same_scope(self, other: Home) -> bool:
        return self.scope == other.scope and self.session.same_store(other.session)


@dataclass(frozen=True, slots=True)
class Address:
    """A scope of a store in a directory; enough to open it again, in another process too."""

    location: Location
    scope: str
    durability: Durability
    principal: str | None = None
    causation_id: str | None = None
    workspace: Workspace | None = None

    def open(self) -> Home:
        at = home(open_session(self.location, create=False), self.scope, self.durability)
        return replace(at, principal=self.principal, causation_id=self.causation_id, workspace=self.workspace)


def home(session: Session, scope: str, durability: Durability) -> Home:
    """Returns a scope of a session; nothing is read or written."""
    core, settings = session.core, session.settings
    stores = core.stores(
        scope,
        durability,
        settings.memory_entries,
        settings.chat_messages,
        settings.local_runtime_base_url,
        settings.remote_runtime_base_url,
        settings.history_events,
    )
    return Home(session, core.threads(scope, durability), stores, durability)


def open_session(location: Location, *, create: bool, mend: bool = False) -> Session:
    """Opens the store of a directory; `mend` first mends what would keep it from opening."""
    core = Core.open(
        location.path,
        create,
        location.read_only,
        location.lock_wait_ms,
        location.automatic_gc,
        mend,
        location.reserve_bytes,
        location.blobs,
    )
    return Session(core, location, location.durability, location.settings)


def memory_session(settings: Settings) -> Session:
    """Opens a new store in memory."""
    return Session(Core.memory(), None, "durable", settings)


def session_of(owner: object) -> Session | None:
    """Returns the opening that an object of the API is of, None where it does not say."""
    match owner:
        case Session():
            return owner.origin
        case Home():
            return owner.session.origin
        case None | str():
            return None
    for name in ("_session", "_home", "_scope", "_commit"):
        if (found := session_of(getattr(owner, name, None))) is not None:
            return found
    return None


def _close(core: Core, pid: int) -> None:
    # A child of fork() inherits the finaliser, and must not touch its parent's store.
    if os.getpid() == pid:
        core.close()
