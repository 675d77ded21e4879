"""Every error that treering raises, as one tree, grouped by what a handler would do.

    TreeringError
    ├── NotFound (KeyError)            ask for something else
    ├── Conflict                       somebody was first: look again, then retry or fork
    │   ├── VersionConflict
    │   ├── HeadMoved
    │   ├── AlreadyExists
    │   ├── LeaseHeld
    │   ├── LeaseLost
    │   ├── WrongStatus
    │   ├── Fenced
    │   ├── Diverged
    │   ├── CommandMismatch
    │   └── Overtaken
    ├── Invalid (ValueError)           the call is wrong: change what you pass
    │   ├── InvalidCommand
    │   │   └── Rejected
    │   ├── LimitExceeded
    │   └── Ambiguous
    ├── Corrupt                        stored bytes are not what was written: run verify
    ├── NewerFormat                    upgrade treering
    ├── NewerSchema                    upgrade treering
    ├── HistoryTrimmed                 ask for something later
    ├── ImpureDecider                  mend the decider: it is to know nothing but what it is given
    ├── EventRefused                   mend what a projection makes of the event, or go on without it
    ├── CursorExpired                  start again from a snapshot
    ├── CursorLost                     start again from a snapshot
    ├── Unavailable (OSError)          the store can't serve now: wait, reopen or make room
    │   ├── Poisoned
    │   ├── ReadOnly
    │   ├── DiskFull
    │   ├── LockTimeout
    │   ├── Closed
    │   ├── ForkedProcess
    │   ├── BucketError
    │   └── CommitUnknown
    └── MissingExtra (ImportError)     install what the message names

Each class has a `kind`: a stable name for logs and problem documents. Kinds are append-only: none is
renamed or reused. The message is one line, "what happened: which one; what to do"; more of it stands in
notes (`__notes__`). What an error is about stands in its attributes. Every error pickles with both.

This module imports nothing of treering at run time: the core raises these classes, so they stand
below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from treering._core import Cid

__all__ = [
    "AlreadyExists",
    "Ambiguous",
    "BucketError",
    "Closed",
    "CommandMismatch",
    "CommitUnknown",
    "Conflict",
    "Corrupt",
    "CursorExpired",
    "CursorLost",
    "DiskFull",
    "Diverged",
    "EventRefused",
    "Fenced",
    "ForkedProcess",
    "HeadMoved",
    "HistoryTrimmed",
    "ImpureDecider",
    "Invalid",
    "InvalidCommand",
    "LeaseHeld",
    "LeaseLost",
    "LimitExceeded",
    "LockTimeout",
    "MissingExtra",
    "NewerFormat",
    "NewerSchema",
    "NotFound",
    "Overtaken",
    "Poisoned",
    "ReadOnly",
    "Rejected",
    "TreeringError",
    "Unavailable",
    "VersionConflict",
    "WrongStatus",
]


class TreeringError(Exception):
    """Catch this to catch whatever treering raises on purpose.

    The keyword arguments become attributes; which ones there are, each class says.
    """

    kind: ClassVar[str] = "error"

    message: str
    """What happened, in one line; the same as `str(error)`."""

    attributes: dict[str, Any]
    """What the error is about, by name; each is an attribute of the error too."""

    def __init__(self, message: str, /, **attributes: Any) -> None:
        super().__init__(message)
        self.message = message
        self.attributes = attributes
        for name, value in attributes.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        # KeyError would quote it, OSError would look for an errno.
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        notes: list[str] = list(getattr(self, "__notes__", ()))
        return _rebuild, (type(self), self.message, self.attributes, notes)


def _rebuild(cls: type[TreeringError], message: str, attributes: dict[str, Any], notes: list[str]) -> TreeringError:
    error = cls(message, **attributes)
    for note in notes:
        error.add_note(note)
    return error


class NotFound(TreeringError, KeyError):
    """Catch this when a block, thread, step, role or scope that you name may not be there."""

    kind = "not-found"


class Conflict(TreeringError):
    """Catch this to retry: another writer was first, nothing of yours was written."""

    kind = "conflict"


class VersionConflict(Conflict):
    """Catch this when you pass the version that you expect: it has moved on. `expected`, `actual`."""

    kind = "version-conflict"


class HeadMoved(Conflict):
    """Catch this to append after all: another writer's step came first.

    Call `thread.refresh()` and append again, or `thread.fork(at=error.expected_step)` and keep both.
    """

    kind = "head-moved"

    thread: str
    """The thread's id."""
    at_step: int
    """Where the head stands now."""
    at: Cid
    """The CID of the head now."""
    expected_step: int
    """Where this handle had seen it."""
    expected: Cid
    """The CID that was expected."""


class AlreadyExists(Conflict):
    """Catch this when a key may be taken; `get_or_start` answers the thread instead. An import raises it too.

    So does a fork to a scope that there is: then it has `scope` instead of these.
    """

    kind = "already-exists"

    key: str | None = None
    """The key; None where an import found that a thread's id is taken."""
    thread: str
    """The id of the thread that has it."""


class LeaseHeld(Conflict):
    """Catch this to come back later: somebody who is alive holds the lease."""

    kind = "lease-held"


class LeaseLost(Conflict):
    """Catch this to stop working on a thread: another process has taken it over."""

    kind = "lease-lost"


class WrongStatus(Conflict):
    """Catch this when a thread may be finished, cancelled or running. `thread`, `status`, `verb`."""

    kind = "wrong-status"

    thread: str
    """The thread's id."""
    status: str
    """Its status."""
    verb: str
    """What was asked of it."""


class Fenced(Conflict):
    """Catch this in a process that may have been replaced: its commits change nothing any more."""

    kind = "fenced"


class Diverged(Conflict):
    """Catch this to back up, or copy, somewhere else: what is there has another history. Nothing was written.

    `path` is the backup that is of another store or of another past; `refs` are refs of a copy's target that
    stand where the source's never stood.
    """

    kind = "diverged"


class CommandMismatch(Conflict):
    """Catch this to find a bug: a command id came twice, with different arguments."""

    kind = "command-mismatch"


class Overtaken(Conflict):
    """Catch this to send a command to an actor of your own again: others changed the actor while it was decided.

    `scope.own(…).send` decides again by itself, up to 100 times. A `scope.commit()` does not: do the block again.
    """

    kind = "overtaken"

    actor: str
    """The actor's address."""


class Invalid(TreeringError, ValueError):
    """Catch this where arguments come from outside: one of them can't be meant. Nothing was written."""

    kind = "invalid"


class InvalidCommand(Invalid):
    """Catch this when a decider may refuse a command."""

    kind = "invalid-command"


class Rejected(InvalidCommand):
    """Raise this in `decide` to say no, and catch it from whoever sends such a command. Nothing was written.

    Keyword arguments become attributes of the error, for the caller.
    """

    kind = "rejected"


class LimitExceeded(Invalid):
    """Catch this where sizes come from outside. Nothing was written. `what`, `limit`, `actual`."""

    kind = "limit-exceeded"

    what: str
    """What is limited."""
    limit: int
    """How much of it is allowed."""
    actual: int
    """How much there was; at least so much, where counting stopped early."""


class Ambiguous(Invalid):
    """Catch this where a person types the beginning of an id: several ids begin so. `candidates`."""

    kind = "ambiguous"

    candidates: list[Any]
    """The ids that begin so; the first few when they are many."""


class Corrupt(TreeringError):
    """Catch this to stop and look: stored bytes are not what was written. They are never returned."""

    kind = "corrupt"


class NewerFormat(TreeringError):
    """Catch this to ask for an upgrade: the store was written by a later treering."""

    kind = "newer-format"


class NewerSchema(TreeringError):
    """Catch this to ask for an upgrade: an event or snapshot was written by a later treering."""

    kind = "newer-schema"


class HistoryTrimmed(TreeringError):
    """Catch this when you ask for old versions: they were trimmed. `oldest` is the first that is left.

    Or when you look at a scope as it was: what you ask for was collected since.
    """

    kind = "history-trimmed"


class ImpureDecider(TreeringError):
    """Catch this in no program: `decide` or `evolve` of an actor of your own is not pure. `actor`, `method`.

    Raised in development mode alone, before anything is written.
    """

    kind = "impure-decider"

    actor: str
    """The kind of the actor."""
    method: str
    """`decide` or `evolve`."""


class EventRefused(TreeringError):
    """Catch this where a projection runs: what its function made of an event can't be done. All before it is done.

    It will come again with the next call. What it was refused for is `refusal`, the cause of this error too.
    """

    kind = "event-refused"

    source: Any
    """The actor whose event it is, a `Source`."""
    version: int
    """The actor's version after the event."""
    event_id: str
    """The event's id."""
    refusal: TreeringError
    """Why it was refused: `InvalidCommand`, `VersionConflict`, …"""


class CursorExpired(TreeringError):
    """Catch this in a journal reader that was away for long: what came after its cursor is not kept.

    Or when you ask for a scope as it was before that: `oldest_at_ms` says how far back it goes.
    """

    kind = "cursor-expired"


class CursorLost(TreeringError):
    """Catch this in a journal reader: its cursor is not one of this store.

    It is from another store, or from a tail that a power failure took.
    """

    kind = "cursor-lost"


class Unavailable(TreeringError, OSError):
    """Catch this to wait, reopen or make room: the store can't do it now, and says why."""

    kind = "unavailable"


class Poisoned(Unavailable):
    """Catch this to reopen the store: a commit failed half-way, or its directory was moved, and it takes no more."""

    kind = "poisoned"


class ReadOnly(Unavailable):
    """Catch this where a store may be open for reading only, or its directory not writable."""

    kind = "read-only"


class DiskFull(Unavailable):
    """Catch this to make room and repeat; nothing of the commit was written."""

    kind = "disk-full"


class LockTimeout(Unavailable):
    """Catch this to repeat later: another process held the write lock all the time. Nothing was written."""

    kind = "lock-timeout"


class Closed(Unavailable):
    """Catch this where a store may be closed under you."""

    kind = "closed"


class ForkedProcess(Unavailable):
    """Catch this in a child of `os.fork()`: open the store again there."""

    kind = "forked-process"


class BucketError(Unavailable):
    """Catch this to repeat later, or to mend what the message names: a bucket did not do what it was asked, as often as
    it was. What it can't do just now was repeated already; a denied access or a bucket that is not there is told at
    once. Its attributes are `object` and `bucket`, the URL."""

    kind = "bucket"


class CommitUnknown(Unavailable):
    """Catch this to reopen the store and repeat the call with its command id: it may have happened."""

    kind = "commit-unknown"


class MissingExtra(TreeringError, ImportError):
    """Catch this where an optional dependency may not be installed. The message says what to install."""

    kind = "missing-extra"
