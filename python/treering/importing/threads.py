"""Thread logs → `scope.threads`: each log is a thread with the key `log-<threadId>`.

A log is read to its end and every step drafted before anything of it is written; then it is written from where its
thread stands: all of it, what was added to the log since, or nothing. That the thread is the log's is proved by CIDs,
since a step's stands for all steps before it. As much as one commit takes is one commit, more are several; a killed
import goes on where it was. Never: writes the clock into a step, or goes on behind a step that the log lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from treering.codec import encode
from treering.commit import Commit, StepDraft, ThreadDraft
from treering.errors import Conflict, Invalid, NotFound
from treering.importing.logs import LogEnd, LogStart, LogStep, ThreadLog
from treering.importing.report import Notes, Refused
from treering.importing.target import Done, Target
from treering.scope import Scope
from treering.thread import Thread

#: Steps of one commit.
COMMIT_STEPS_MAX: Final = 10_000
#: Bytes of the lines, and of the contents found for them, of one commit.
COMMIT_BYTES_MAX: Final = 16 << 20
_LABEL_BYTES_MAX: Final = 256
_OVER: Final = ("completed", "cancelled")


@dataclass(frozen=True, slots=True)
class Whole:
    """A log that was read to its end: all of its steps can be written."""

    start: LogStart
    end: LogEnd | None
    steps: int
    first: list[LogStep]
    """As many as one commit takes."""


@dataclass(frozen=True, slots=True)
class Fork:
    """What a log's thread is forked from, and where: at step `at`, which has `shared` of the log's own steps before."""

    origin: Thread
    at: int
    shared: int


def key_of(thread_id: str) -> str:
    """The key of an old thread."""
    return f"log-{thread_id}"


def thread_of(scope: Scope, thread_id: str) -> Thread | None:
    """The thread of an old id; None if there is none."""
    try:
        return scope.threads.get(key_of(thread_id))
    except (NotFound, Invalid):
        # Invalid: no key can be so; whoever means to write it is told.
        return None


def check(scope: Scope, log: ThreadLog) -> Whole:
    """Reads a log to its end, drafts each step, and writes nothing. Raises `Refused` for what can't be kept."""
    with drafting(scope) as commit:
        started(commit, log.start, {})
    first: list[LogStep] = []
    steps = 0
    for part in _parts(log.steps):
        with drafting(scope) as commit:
            append_all(started(commit, log.start, {}), part)
        first = first or part
        steps += len(part)
    return Whole(log.start, log.end, steps, first)


def bring(target: Target, whole: Whole, again: Iterable[LogStep], fork: Fork | None, notes: Notes) -> Done:
    """Makes a log's thread what the log says. `again`: all steps of the log, read once more where they are many.

    Raises `Refused` where a thread has the key that is not the log's.
    """
    return _Bringing(target, whole, fork, notes).run(_parts(again))


class _Bringing:
    """One log on its way into its thread."""

    def __init__(self, target: Target, whole: Whole, fork: Fork | None, notes: Notes) -> None:
        self._scope, self._dry = target.scope, target.dry_run
        self._whole, self._fork = whole, fork
        self._thread = thread_of(target.scope, whole.start.thread_id)
        self._labels = {} if self._thread is not None else _labels(whole, notes)
        #: Steps of the thread before the log's first: of a fork whose log holds only what came after.
        self._before = 0 if fork is None else fork.at - fork.shared
        #: Steps of the log that the thread had.
        self._have = 0
        #: Steps of the log that were compared or written.
        self._done = 0
        self._written = 0

    def run(self, parts: Iterable[list[LogStep]]) -> Done:
        there = self._thread is not None
        if self._thread is not None:
            self._compare_start(self._thread)
        for part in parts:
            rest = part if self._thread is None or self._done >= self._have else self._beyond(self._thread, part)
            if rest:
                self._write(rest)
        if self._thread is None and not self._dry:
            self._write([])
        changed = self._finish() if there else True
        return Done("new" if changed or self._written else "there", self._written)

    def _compare_start(self, thread: Thread) -> None:
        if not begins_alike(thread, self._whole.start):
            raise self._other("which begins otherwise")
        if self._fork is not None and self._before:
            place = thread.forked_from
            if place is None or tuple(place) != (self._fork.origin.id, self._fork.at):
                raise self._other("which was not forked there")
        self._have = max(steps_of(thread) - self._before, 0)

    def _beyond(self, thread: Thread, part: list[LogStep]) -> list[LogStep]:
        """What of a part the thread lacks; the rest is proved to be there by the CID of its last step."""
        upto = min(self._have, self._done + len(part))
        count = upto - self._done
        with drafting(self._scope) as commit:
            drafts = append_all(commit.threads[thread].fork(at=self._before + self._done), part[:count])
        if drafts[-1].cid != thread.at(self._before + upto).cid:
            raise self._other(f"whose first {upto} steps are not all the log's")
        self._done = upto
        if len(part) > count and thread.status in _OVER:
            raise self._other(f"which was {thread.status} at step {len(thread)}, before the log's end")
        return part[count:]

    def _write(self, part: list[LogStep]) -> None:
        """Writes what follows, and the end with the last of it: one commit."""
        shared = self._fork.shared if self._fork is not None and self._done == 0 and self._thread is None else 0
        self._done += len(part)
        self._written += len(part) - shared
        if self._dry:
            return
        try:
            with self._scope.commit() as commit:
                draft = self._draft(commit)
                append_all(draft, part[shared:])
                if self._whole.end is not None and self._done == self._whole.steps:
                    draft.finish(self._whole.end.return_code, self._whole.end.summary)
        except Conflict as error:
            raise Refused("$", f"somebody else wrote the thread meanwhile: import it again ({error})") from None
        except Invalid as error:
            raise Refused("$", str(error)) from None
        self._thread = draft.thread

    def _draft(self, commit: Commit) -> ThreadDraft:
        """The draft of the thread, made where there is none yet."""
        start, fork, thread = self._whole.start, self._fork, self._thread
        if thread is None:
            if fork is None:
                return started(commit, start, self._labels)
            key = key_of(start.thread_id)
            if start.max_rounds in (None, fork.origin.start.max_rounds):
                return commit.threads[fork.origin].fork(at=fork.at, key=key, labels=self._labels)
            # Only the verb of its own takes other rounds: a commit before, from which an import goes on as from any.
            thread = fork.origin.fork(at=fork.at, key=key, labels=self._labels, max_rounds=start.max_rounds)
        return commit.threads[thread]

    def _finish(self) -> bool:
        """Finishes a thread that was there, if the log did and nothing came since; returns whether it did."""
        thread, end = self._thread, self._whole.end
        if thread is None or end is None or self._have > self._whole.steps or thread.status == "cancelled":
            return False
        if thread.status == "completed":
            if thread.return_code != end.return_code:
                raise self._other(f"which ended with {thread.return_code}, not with {end.return_code}")
            return False
        if not self._dry:
            thread.finish(end.return_code, end.summary)
        return True

    def _other(self, why: str) -> Refused:
        key = key_of(self._whole.start.thread_id)
        return Refused("$", f"the key {key} has another thread, {why}: remove that one, or import into another scope")


class _Dropped(Exception):
    """Leaves a commit without writing it."""


@contextmanager
def drafting(scope: Scope) -> Iterator[Commit]:
    """A commit that tells what would be written, and is dropped."""
    try:
        with scope.commit() as commit:
            yield commit
            raise _Dropped
    except _Dropped:
        pass


def started(commit: Commit, start: LogStart, labels: dict[str, object]) -> ThreadDraft:
    """A log's thread without its steps."""
    try:
        return commit.threads.start(
            start.workflow,
            prompt=start.prompt,
            key=key_of(start.thread_id),
            parameters=start.parameters,
            labels=labels,
            max_rounds=start.max_rounds,
            workflow_hash=start.workflow_hash,
        )
    except Invalid as error:
        raise Refused("$", str(error), 1) from None


def append_all(draft: ThreadDraft, steps: Iterable[LogStep]) -> list[StepDraft]:
    """The steps behind those of a draft."""
    drafts = []
    for one in steps:
        step = one.step
        try:
            drafts.append(
                draft.append(step.role, step.content, meta=step.meta, artifacts=step.artifacts, at_ms=step.at_ms)
            )
        except Invalid as error:
            raise Refused("$", str(error), one.line) from None
    return drafts


def _labels(whole: Whole, notes: Notes) -> dict[str, object]:
    """What a log says of its thread that a thread has no other place for."""
    start, end = whole.start, whole.end
    labels = {
        "log_started_at_ms": start.at_ms,
        "log_root_hash": None if end is None else end.root_hash,
        "log_forked_from": None if start.fork_from is None else start.fork_from.thread_id,
    }
    kept: dict[str, object] = {}
    for name, value in labels.items():
        if isinstance(value, str) and len(value.encode()) > _LABEL_BYTES_MAX:
            notes.left_out("$", f"{name}: a label has at most {_LABEL_BYTES_MAX} bytes")
        elif value is not None:
            kept[name] = value
    return kept


def begins_alike(thread: Thread, start: LogStart) -> bool:
    """Whether a thread's start is a log's; how many rounds it may take is not asked."""
    node = thread.start
    ours = [thread.workflow, node.workflow_hash, thread.prompt, dict(node.parameters)]
    return encode(ours) == encode([start.workflow, start.workflow_hash, start.prompt, start.parameters])


def steps_of(thread: Thread) -> int:
    """The number of a thread's steps without its end."""
    return len(thread) - (thread.status == "completed")


def _parts(steps: Iterable[LogStep]) -> Iterator[list[LogStep]]:
    """Steps in lists that one commit takes."""
    part: list[LogStep] = []
    weight = 0
    for step in steps:
        if part and (len(part) == COMMIT_STEPS_MAX or weight + step.weight > COMMIT_BYTES_MAX):
            yield part
            part, weight = [], 0
        part.append(step)
        weight += step.weight
    if part:
        yield part
