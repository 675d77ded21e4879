"""A thread: a ref to a chain of steps, and the handle through which it is read and grown.

A handle remembers the head that it last saw, and every write expects that head: of two writers on one
thread exactly one wins, and the other is told (`HeadMoved`). Nothing of a thread is ever rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Required, TypeAlias, TypedDict, cast

from treering import html
from treering._calls import Chunks, Op, read, stream, verb, waits
from treering._core import Cid, StepCore, ThreadCore, common_ancestor, diff, is_ancestor
from treering._family import SYNC, Family
from treering._session import Address, Home
from treering.context import Context
from treering.diff import Diff
from treering.errors import Corrupt, HeadMoved, Invalid
from treering.interchange import Exported, Watcher, Writable, export_threads
from treering.lease import Lease
from treering.nodes import StartNode
from treering.start import read_start
from treering.step import NOW, AtMs, Step, StepLike, StepPlace, StepRef, core_args, read_body, step_args, when

Status: TypeAlias = Literal["idle", "running", "paused", "failed", "completed", "cancelled", "corrupt"]
"""`running` means leased by somebody alive; `corrupt` is only ever reported, never stored."""

_CHUNK: Final = 256


class Seen(TypedDict, total=False):
    """What is known of a thread without reading a node; of a corrupt one only id, status and error."""

    id: Required[str]
    key: str | None
    workflow: str
    status: Required[Status]
    labels: Mapping[str, Any]
    created_at_ms: int
    updated_at_ms: int
    completed_at_ms: int | None
    forked_from: tuple[str, int] | None
    max_rounds: int | None
    return_code: int | None
    error: str | None
    lease_owner: str | None
    head: Cid
    steps: int


class Thread:
    """A thread of a scope, as this handle last saw it.

    Iterate it for its steps in order; `len()` is their number; two handles are equal if they are of the
    same thread. The properties tell what was last seen, without a look at the store; `refresh()` looks.
    `start`, `prompt`, `parameters` and `failure` read a block or two.

    Example:
        >>> import treering
        >>> store = treering.memory()
        >>> thread = store.threads.start("review", prompt="Is it right?")
        >>> thread.append("coder", "I think so", meta={"sure": 0.7})
        <Step 1 coder ...>
        >>> [(step.number, step.role, step.text) for step in thread]
        [(1, 'coder', 'I think so')]
    """

    __slots__ = ("__weakref__", "_core", "_home", "_listed")

    _family: ClassVar[Family] = SYNC

    def __init__(self, home: Home, core: ThreadCore | None, listed: Seen | None = None) -> None:
        # A thread of a listing is opened at first use; until then it is what the list said.
        self._home = home
        self._core = core
        self._listed = listed

    # What was last seen.

    @property
    def id(self) -> str:
        """The thread's id, a ULID: 26 characters that sort by creation."""
        return self._core.id if self._core is not None else self._seen()["id"]

    @property
    def key(self) -> str | None:
        """The caller's own name for it, unique in the scope; None if it was given none."""
        return self._seen().get("key")

    @property
    def scope(self) -> str:
        """The name of the scope that it belongs to."""
        return self._home.scope

    @property
    def workflow(self) -> str:
        """What it is a run of."""
        return self._whole()["workflow"]

    @property
    def status(self) -> Status:
        """Its status, as last seen."""
        return self._seen()["status"]

    @property
    def labels(self) -> Mapping[str, Any]:
        """Small values by name; `threads.list(labels=…)` filters by them."""
        return self._whole()["labels"]

    @property
    def created_at_ms(self) -> int:
        """When it was started or forked, Unix milliseconds."""
        return self._whole()["created_at_ms"]

    @property
    def created_at(self) -> datetime:
        """When it was started or forked, in UTC."""
        return when(self.created_at_ms)

    @property
    def updated_at_ms(self) -> int:
        """When it last changed, Unix milliseconds."""
        return self._whole()["updated_at_ms"]

    @property
    def updated_at(self) -> datetime:
        """When it last changed, in UTC."""
        return when(self.updated_at_ms)

    @property
    def completed_at_ms(self) -> int | None:
        """When it was finished or cancelled, Unix milliseconds; None while it is not."""
        return self._whole()["completed_at_ms"]

    @property
    def completed_at(self) -> datetime | None:
        """When it was finished or cancelled, in UTC; None while it is not."""
        at_ms = self.completed_at_ms
        return None if at_ms is None else when(at_ms)

    @property
    def forked_from(self) -> StepPlace | None:
        """The thread and step that it was forked from; None if it was started."""
        found = self._whole()["forked_from"]
        return None if found is None else StepPlace(*found)

    @property
    def overrides(self) -> Mapping[str, int]:
        """What this thread has other than its start says: `max_rounds`, or nothing."""
        rounds = self._whole()["max_rounds"]
        return {} if rounds is None else {"max_rounds": rounds}

    @property
    def return_code(self) -> int | None:
        """What `finish` was given; None while it is not completed."""
        return self._seen().get("return_code")

    @property
    def error(self) -> str | None:
        """Why it failed, was cancelled or can't be read, its first 512 bytes; None if nothing is wrong."""
        return self._seen().get("error")

    @property
    def lease_owner(self) -> str | None:
        """The label of whoever holds its lease; None if nobody does."""
        return self._seen().get("lease_owner")

    @property
    def head(self) -> Cid:
        """The newest step's CID; the start's while there is none."""
        return self._whole()["head"]

    def __len__(self) -> int:
        return self._whole()["steps"]

    def __bool__(self) -> bool:
        # A thread without steps is a thread.
        return True

    # The start.

    @property
    def start(self) -> StartNode:
        """The node where it begins; reads one block."""
        return read_start(self._home.session, self._open().start())

    @property
    def prompt(self) -> Any:
        """The prompt: str, bytes or a value; None where there is none. Reads two blocks or three."""
        cid = self.start.prompt
        return None if cid is None else read_body(self._home.session, cid).payload

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it was started with; reads one block."""
        return self.start.parameters

    # Reading.

    @read
    def refresh(self) -> None:
        """Returns nothing; the handle now knows the thread as it is, and appends go on from there.

        Errors:
            NotFound (`not-found`): the thread was removed.
        """
        if self._core is None:
            self._open()
        else:
            self._core.refresh()

    @read
    def at(self, number: int) -> Step:
        """Returns step `number`, from 1; reads O(log n) blocks.

        Errors:
            NotFound (`not-found`): the thread has no such step.
        """
        return self._step(self._open().at(number))

    @stream
    def steps(self, first: int = 1, last: int | None = None, *, reverse: bool = False) -> Chunks[Step]:
        """Returns the steps from `first` to `last`, both included, None for the newest; an iterator.

        With `reverse` the newest comes first. Each step is one block read; memory does not grow with
        the thread.
        """
        return self._walk(first, last, reverse)

    @stream
    def __iter__(self) -> Chunks[Step]:
        return self._walk(1, None, False)

    @stream
    def __reversed__(self) -> Chunks[Step]:
        return self._walk(1, None, True)

    @read
    def context(self, last: int | None = None) -> Context:
        """Returns what an agent is shown: the start, and the steps in order without `__end__`.

        It goes back to the last step that `compact` wrote, or to the start. With `last` it holds at
        most so many steps, and reads so many.

        Errors:
            Corrupt (`corrupt`), NotFound (`not-found`): a node is broken, ill-typed or missing; named.
        """
        start_cid, steps, compact = self._open().context(last)
        start = read_start(self._home.session, start_cid)
        prompt = None if start.prompt is None else read_body(self._home.session, start.prompt).payload
        summary = None if compact is None else read_body(self._home.session, compact).payload
        return Context(start, prompt, summary, tuple(map(self._step, steps)))

    @read
    @waits
    def export(self, file: str | os.PathLike[str] | Writable, *, progress: Watcher | None = None) -> Exported:
        """Returns what was written to a CAR file: this thread and all that it reaches; see `Scope.export`.

        Errors:
            As `Scope.export`.
        """
        return export_threads(self._home, [self.id], file, progress)

    @read
    def diff(self, other: Thread) -> Diff:
        """Returns the steps of both since their last common one; reads O(log n) blocks and those.

        Example:
            >>> import treering
            >>> thread = treering.memory().threads.start("review")
            >>> _ = thread.append("coder", "one")
            >>> fork = thread.fork()
            >>> _ = thread.append("coder", "two")
            >>> print(thread.diff(fork))
            common: step 1; then 1 step here, 0 there
        """
        common, left, right = diff(self._open(), self._other(other))
        return Diff(
            None if common is None else StepRef(*common),
            tuple(map(self._step, left)),
            tuple(map(self._step, right)),
        )

    @read
    def common_ancestor(self, other: Thread) -> StepRef | None:
        """Returns the last step that both have, number 0 for the start; None if they share nothing.

        Reads O(log n) blocks.
        """
        common = common_ancestor(self._open(), self._other(other))
        return None if common is None else StepRef(*common)

    @read
    def is_ancestor_of(self, other: Thread) -> bool:
        """Returns whether all of this thread's steps are steps of `other` too; reads O(log n) blocks."""
        return is_ancestor(self._home.session.core, self._open().info()["head"], self._other(other).info()["head"])

    @property
    def failure(self) -> Step | None:
        """The step that `fail` recorded, its text the error; None if the thread has not failed."""
        failed = self._open().failure()
        return None if failed is None else self._step(failed)

    # Writing.

    @verb
    def append(
        self,
        role: str,
        content: object = "",
        *,
        meta: Mapping[str, object] | None = None,
        artifacts: Mapping[str, bytes | str] | None = None,
        links: Iterable[Cid] = (),
        at_ms: AtMs = NOW,
        expected_head: Cid | None = None,
        command_id: str | None = None,
    ) -> Op[Step]:
        """Returns the new step, durable: its nodes and the thread's head were written in one commit.

        `content` is a text, bytes, or a value that DAG-CBOR can hold; a text that looks like a node is
        still a text. `artifacts` are named bytes (a str is stored as UTF-8), `links` are blocks it
        refers to. `at_ms` is Unix milliseconds; None records no time. `expected_head` is compared with
        the head that the step is to follow; None means the head that this handle last saw. A repeated
        `command_id` returns the first step and writes nothing.

        Errors:
            HeadMoved (`head-moved`): another writer was first; refresh and append again, or fork.
            WrongStatus (`wrong-status`): the thread is completed or cancelled.
            LeaseLost (`lease-lost`): this handle's lease was taken over.
            CommandMismatch (`command-mismatch`): the command id came before, with another step.
            Invalid (`invalid`), LimitExceeded (`limit-exceeded`): the role or the content can't be, or a
            link is not here.
        """
        new = core_args(role, content, meta, artifacts, links, at_ms)
        core: StepCore = yield self._to_write().append(new, expected_head, command_id)
        return self._step(core)

    @verb
    def extend(self, steps: Iterable[StepLike], *, command_id: str | None = None) -> Op[list[Step]]:
        """Returns the new steps, durable: all were written in one commit, or none was.

        A step is a `NewStep` or a pair (role, content); no step at all writes nothing.

        Errors:
            As `append`; LimitExceeded (`limit-exceeded`) also for more than one commit can hold.
        """
        args = [step_args(step) for step in steps]
        if not args:
            return []
        cores: list[StepCore] = yield self._to_write().extend(args, command_id)
        return [self._step(core) for core in cores]

    @verb
    def compact(self, summary: object, *, role: str = "summary", command_id: str | None = None) -> Op[Step]:
        """Returns the new step that sums up all before it; contexts begin there. It frees nothing."""
        core: StepCore = yield self._to_write().compact(summary, role, command_id)
        return self._step(core)

    @verb
    def fork(
        self,
        *,
        at: int | None = None,
        before: str | None = None,
        occurrence: int | Literal["first", "last"] = "last",
        key: str | None = None,
        labels: Mapping[str, object] | None = None,
        max_rounds: int | None = None,
        command_id: str | None = None,
    ) -> Op[Thread]:
        """Returns a new thread with the same steps up to here; writes one record and no block.

        With `at` step `at` is its head (0: the start). With `before` it ends before a step of that
        role, so that the role acts again: the last of its steps, the first, or the `occurrence`-th from
        1. Else it ends at the newest step; `__end__` is never kept. This thread stays as it is.

        Errors:
            NotFound (`not-found`): no such step or role (the message names the roles there are), or the thread was
                removed.
            Invalid (`invalid`): no such occurrence, or `at` and `before` together.
            AlreadyExists (`already-exists`): the key is taken.
        """
        core: ThreadCore = yield self._open().fork(at, before, occurrence, key, labels, max_rounds, command_id)
        return self._family.Thread(self._home, core)

    @verb
    def finish(self, return_code: int = 0, summary: str = "", *, command_id: str | None = None) -> Op[Step]:
        """Returns the `__end__` step; the thread is completed and stands in the history of its day.

        Errors:
            HeadMoved (`head-moved`), WrongStatus (`wrong-status`): as `append`.
        """
        core: StepCore = yield self._to_write().finish(return_code, summary, command_id)
        return self._step(core)

    @verb
    def fail(self, error: str, *, command_id: str | None = None) -> Op[Step]:
        """Returns the step that records the error; the head stays, so an append resumes the thread."""
        core: StepCore = yield self._to_write().fail(error, command_id)
        return self._step(core)

    @verb
    def cancel(self, reason: str = "", *, command_id: str | None = None) -> Op[None]:
        """Returns nothing; the thread takes no more steps and stands in the history of its day."""
        yield self._open().cancel(reason, command_id)

    @verb
    def rm(self, *, force: bool = False, command_id: str | None = None) -> Op[None]:
        """Returns nothing; the thread's record is gone. Its blocks stay until they are collected.

        Errors:
            WrongStatus (`wrong-status`): it is running; `force` removes it all the same.
        """
        yield self._open().rm(force, command_id)

    def lease(self, owner: str | None = None) -> Lease:
        """Returns a context manager: inside it the thread is `running`, and nobody else can lease it.

        Whoever works on a thread takes its lease first. `owner` is a label for others to read; who
        holds it is known by process: the lease of a killed one can be taken over, and what an old
        holder writes through this handle later raises `LeaseLost`.

        Errors:
            LeaseHeld (`lease-held`), on entering: somebody who is alive holds it.
        """
        return self._family.Lease(self._open, owner)

    # Inside.

    def _seen(self) -> Seen:
        if self._listed is not None:
            return self._listed
        return cast(Seen, self._open().info())

    def _whole(self) -> Seen:
        """What was seen of a thread whose record can be read; `Corrupt` for any other."""
        seen = self._seen()
        if seen["status"] == "corrupt":
            raise Corrupt(
                f"thread {seen['id']} is corrupt: {seen.get('error')}; run `treering verify`", which=seen["id"]
            )
        return seen

    def _open(self) -> ThreadCore:
        if self._core is None:
            self._core = self._home.threads.get(self.id)
            self._listed = None
        return self._core

    def _other(self, other: Thread) -> ThreadCore:
        """The core of a thread to compare with."""
        if not isinstance(other, self._family.Thread):  # a caller without a type checker
            raise TypeError(f"another thread of the same kind is needed here, not {type(other)}")
        if not self._home.session.same_store(other._home.session):
            raise Invalid("the threads are of two stores: nothing tells what they have in common")
        return other._open()

    def _to_write(self) -> ThreadCore:
        listed = self._listed
        if listed is None:
            return self._open()
        # Not opened since it was listed: a write expects the head that the list showed.
        core = self._home.threads.get(listed["id"])
        now = cast(Seen, core.info())
        if now["head"] != listed["head"]:
            raise HeadMoved(
                f"thread {listed['id']} is at step {now['steps']} ({now['head'].short()}), you expected "
                f"{listed['steps']} ({listed['head'].short()}); call refresh() or fork(at={listed['steps']})",
                thread=listed["id"],
                at_step=now["steps"],
                at=now["head"],
                expected_step=listed["steps"],
                expected=listed["head"],
            )
        self._core, self._listed = core, None
        return core

    def _step(self, core: StepCore) -> Step:
        return Step(self._home.session, core)

    def _walk(self, first: int, last: int | None, reverse: bool) -> Chunks[Step]:
        walk = self._open().walk(first, last, reverse)
        while cores := walk.take(_CHUNK):
            yield [self._step(core) for core in cores]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self.id == other.id and self._home.same_scope(other._home)

    def __hash__(self) -> int:
        return hash((self.id, self.scope))

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen_thread, (self._family, self._home.portable("a Thread"), self.id)

    def __repr__(self) -> str:
        seen = self._seen()
        name = f"{seen['id']} ({key})" if (key := seen.get("key")) is not None else seen["id"]
        return f"<Thread {name} {seen.get('workflow', '')} {seen['status']} {seen.get('steps', 0)} steps>"

    def _repr_html_(self) -> str:
        count, half = len(self), html.STEPS_MAX // 2
        if count <= html.STEPS_MAX:
            return html.thread(self, self._all(1, count), 0, ())
        return html.thread(self, self._all(1, half), count - 2 * half, self._all(count - half + 1, count))

    def _all(self, first: int, last: int) -> list[Step]:
        return [step for chunk in self._walk(first, last, False) for step in chunk] if last >= first else []


def reopen_thread(family: Family, address: Address, thread_id: str) -> Thread:
    """Opens a pickled thread, as it is now."""
    home = address.open()
    return family.Thread(home, home.threads.get(thread_id))


SYNC.Thread = Thread
