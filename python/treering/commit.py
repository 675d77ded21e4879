"""Several changes of one scope in one commit: all are written, or none.

Inside the `with` block everything is only drafted; nothing is written, and nothing waits. On leaving, all
of it goes in one commit with one fsync. An exception inside the block drops it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from treering._calls import Look, Op, verb
from treering._core import BatchCore, Cid, StepCore, StoresCore, ThreadCore, VerbCore
from treering._family import SYNC, Family
from treering._session import Home
from treering.errors import Invalid
from treering.own.drafting import Drafted, OwnDraft, committed
from treering.own.rules import Actor, Command, Event, State
from treering.step import NOW, AtMs, NewStep, Step, StepLike, step_args
from treering.stores.catalogs import CatalogKind
from treering.stores.drafts import (
    AgentsDraft,
    ChatsDraft,
    ConnectorsDraft,
    FilesDraft,
    MemoryDraft,
    ParticipantsDraft,
    RetentionDraft,
    RolesDraft,
    ScriptsDraft,
    UserConfigDraft,
    WorkflowsDraft,
)
from treering.stores.mirror import warned
from treering.stores.receipt import Receipt
from treering.thread import Thread
from treering.threads import start_args


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitReceipt:
    """What a commit did."""

    position: int
    """Its place in the journal."""
    replayed: bool
    """Whether its command id was there before: nothing was written, the drafts hold the first result."""
    new_blocks: int
    """Blocks that were not there before."""


class StepDraft:
    """A step that the commit will write."""

    __slots__ = ("_commit", "_index", "cid", "number")

    def __init__(self, commit: Commit, index: int, core: StepCore) -> None:
        self._commit = commit
        self._index = index
        self.number: int = core.number
        """The number that it gets."""
        self.cid: Cid = core.cid
        """The CID that it gets; a replay keeps the first one, see `step`."""

    @property
    def step(self) -> Step:
        """The step as it was written; there once the block is left.

        Errors:
            Invalid (`invalid`): nothing is written yet.
        """
        return self._commit._written_step(self._index)

    def __repr__(self) -> str:
        return f"<StepDraft {self.number} {self.cid.short()}>"


class ThreadDraft:
    """A thread that the commit will start, fork or change."""

    __slots__ = ("_commit", "_index")

    def __init__(self, commit: Commit, index: int) -> None:
        self._commit = commit
        self._index = index

    def append(
        self,
        role: str,
        content: object = "",
        *,
        meta: Mapping[str, object] | None = None,
        artifacts: Mapping[str, bytes | str] | None = None,
        links: Iterable[Cid] = (),
        at_ms: AtMs = NOW,
    ) -> StepDraft:
        """Returns the step that will follow those drafted before; arguments as `Thread.append`."""
        new = NewStep(role, content, meta=meta, artifacts=artifacts, links=links, at_ms=at_ms)
        return self._commit._step(self._commit._open().append(self._index, step_args(new)))

    def extend(self, steps: Iterable[StepLike]) -> list[StepDraft]:
        """Returns the steps that will follow, in order."""
        batch = self._commit._open()
        return [self._commit._step(batch.append(self._index, step_args(step))) for step in steps]

    def finish(self, return_code: int = 0, summary: str = "") -> StepDraft:
        """Returns the `__end__` step that will complete the thread."""
        return self._commit._step(self._commit._open().finish(self._index, return_code, summary))

    def fork(
        self, *, at: int | None = None, key: str | None = None, labels: Mapping[str, object] | None = None
    ) -> ThreadDraft:
        """Returns a thread that will begin with this one's steps up to `at`, None for all so far."""
        return self._commit._family.ThreadDraft(self._commit, self._commit._open().fork(self._index, at, key, labels))

    @property
    def thread(self) -> Thread:
        """The thread as it was written; there once the block is left.

        Errors:
            Invalid (`invalid`): nothing is written yet.
        """
        return self._commit._written_thread(self._index)

    def __repr__(self) -> str:
        return f"<ThreadDraft {self._index}>"


class CommitThreads:
    """The threads of the scope, as the commit will leave them: `c.threads`."""

    __slots__ = ("_commit", "_drafts")

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._drafts: dict[str, ThreadDraft] = {}

    def start(
        self,
        workflow: str,
        *,
        prompt: object = None,
        key: str | None = None,
        parameters: Mapping[str, object] | None = None,
        labels: Mapping[str, object] | None = None,
        max_rounds: int | None = None,
        workflow_hash: str | None = None,
        parent_state: Cid | None = None,
        steps: Iterable[StepLike] = (),
    ) -> ThreadDraft:
        """Returns a thread that the commit will start; arguments as `Threads.start`."""
        args = start_args(
            workflow, prompt, key, parameters, labels, max_rounds, workflow_hash, parent_state, steps, None
        )
        return self._commit._family.ThreadDraft(self._commit, self._commit._open().start(args))

    def __getitem__(self, thread: Thread) -> ThreadDraft:
        """Returns the draft of a thread; the commit expects the head that `thread` last saw."""
        if not isinstance(thread, self._commit._family.Thread):  # a caller without a type checker
            raise TypeError(f"c.threads[…] takes a thread of the same kind, not {type(thread)}: get it from the scope")
        draft = self._drafts.get(thread.id)
        if draft is None:
            draft = self._commit._family.ThreadDraft(self._commit, self._commit._open().thread(thread._to_write()))
            self._drafts[thread.id] = draft
        return draft


class Commit:
    """A commit in the making, made by `scope.commit()`; to be used with `with`, once."""

    __slots__ = (
        "_answer",
        "_batch",
        "_command_id",
        "_drafted",
        "_home",
        "_mirrors",
        "_steps",
        "_warnings",
        "agents",
        "chats",
        "connectors",
        "files",
        "memory",
        "participants",
        "retention",
        "roles",
        "scripts",
        "threads",
        "user_config",
        "workflows",
    )

    _family: ClassVar[Family] = SYNC

    def __init__(self, home: Home, command_id: str | None) -> None:
        self._home = home
        self._command_id = command_id
        self._batch: BatchCore | None = None
        self._answer: Mapping[str, Any] | None = None
        self._steps = 0
        self._drafted: list[Drafted] = []
        # Of which verbs the draft is mirrored, and of which kinds that failed.
        self._mirrors: dict[int, CatalogKind] = {}
        self._warnings: dict[CatalogKind, str | None] = {}
        self.threads: CommitThreads = self._family.CommitThreads(self)
        """The threads of the scope, to start, append to, fork and finish."""
        self.user_config: UserConfigDraft = UserConfigDraft(self)
        self.retention: RetentionDraft = RetentionDraft(self)
        self.memory: MemoryDraft = MemoryDraft(self)
        self.agents: AgentsDraft = AgentsDraft(self)
        self.participants: ParticipantsDraft = ParticipantsDraft(self)
        self.chats: ChatsDraft = ChatsDraft(self)
        self.workflows: WorkflowsDraft = WorkflowsDraft(self)
        self.scripts: ScriptsDraft = ScriptsDraft(self)
        self.connectors: ConnectorsDraft = ConnectorsDraft(self)
        self.roles: RolesDraft = RolesDraft(self)
        self.files: FilesDraft = FilesDraft(self)

    def own(self, actor: type[Actor[State, Command, Event]], *parts: str) -> OwnDraft[State, Command, Event]:
        """Returns an actor of your own, as the commit will leave it."""
        return OwnDraft(self, self._home, actor, parts)

    def put(self, data: bytes) -> Cid:
        """Returns the CID of bytes that the commit will store."""
        return self._open().put(data)

    def put_node(self, value: object) -> Cid:
        """Returns the CID of a value that the commit will store as a node.

        Errors:
            Invalid (`invalid`), LimitExceeded (`limit-exceeded`): it can't be a node.
        """
        return self._open().put_node(value)

    @property
    def receipt(self) -> CommitReceipt:
        """What the commit did; there once the block is left.

        Errors:
            Invalid (`invalid`): nothing is written yet.
        """
        answer = self._written()
        return CommitReceipt(position=answer["position"], replayed=answer["replayed"], new_blocks=answer["new_blocks"])

    def __enter__(self) -> Commit:
        if self._batch is not None or self._answer is not None:
            raise Invalid("a commit is made once: call scope.commit() again")
        self._begin()
        return self

    @verb
    def __exit__(self, kind: object, error: object, trace: object) -> Op[None]:
        batch, self._batch = self._batch, None
        if kind is None and batch is not None:
            self._answer = yield from self._committed(batch)
            for kind in dict.fromkeys(self._mirrors.values()) if self._home.workspace is not None else ():
                self._warnings[kind] = yield Look(partial(kind.warning, self._home))

    def _committed(self, batch: BatchCore) -> Op[dict[str, Any]]:
        """Decides what is still to be decided, and commits all of it."""
        batch.seal(self._command_id, self._home.principal, self._home.causation_id)
        if not self._drafted:
            answer: dict[str, Any] = yield batch.submit()
            return answer
        return (yield from committed(self._drafted, batch, self._command_id))

    def _decide_later(self, drafted: Drafted) -> None:
        self._drafted.append(drafted)

    def _begin(self) -> None:
        self._batch = self._home.stores.batch(self._home.threads)

    def _close(self) -> BatchCore:
        """Returns what was drafted, to be committed; nothing more can be drafted."""
        batch, self._batch = self._open(), None
        return batch

    def _open(self) -> BatchCore:
        if self._batch is None:
            raise Invalid("the commit is not open: use it inside of `with scope.commit() as c`")
        return self._batch

    @property
    def _stores(self) -> StoresCore:
        return self._home.stores

    def _verb(self, verb: VerbCore, expected_version: int | None) -> int:
        return self._open().add(verb, expected_version)

    def _receipt(self, index: int) -> Receipt[Any]:
        receipt: Receipt[Any] = Receipt(*self._written()["receipts"][index])
        mirrored = self._mirrors.get(index)
        return receipt if mirrored is None else warned(receipt, self._warnings.get(mirrored))

    def _mirror(self, index: int, kind: CatalogKind) -> None:
        self._mirrors[index] = kind

    def _step(self, core: StepCore) -> StepDraft:
        draft = StepDraft(self, self._steps, core)
        self._steps += 1
        return draft

    def _written(self) -> Mapping[str, Any]:
        if self._answer is None:
            raise Invalid("nothing is written yet: the commit happens when its `with` block is left")
        return self._answer

    def _written_step(self, index: int) -> Step:
        core: StepCore = self._written()["steps"][index]
        return Step(self._home.session, core)

    def _written_thread(self, index: int) -> Thread:
        core: ThreadCore = self._written()["threads"][index]
        return self._family.Thread(self._home, core)

    def __repr__(self) -> str:
        state = "open" if self._batch is not None else "written" if self._answer is not None else "not open"
        return f"<Commit {self._command_id or ''} {state}>"


SYNC.Commit = Commit
SYNC.CommitThreads = CommitThreads
SYNC.ThreadDraft = ThreadDraft
