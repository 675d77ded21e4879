"""`forkFrom` of thread logs: which log must come before which, and where a thread is really forked.

An old log of a fork may hold the steps that it shares with its origin, or only those behind them. Steps that both logs
have, equal to the time, are one step here: the fork is made behind the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from treering.errors import Invalid
from treering.importing.logs import ForkFrom, LogStep
from treering.importing.report import Notes, Refused
from treering.importing.target import Target
from treering.importing.threads import Fork, Whole, append_all, begins_alike, drafting, steps_of, thread_of
from treering.thread import Thread


def origins_first(logs: Mapping[str, ForkFrom | None]) -> Iterator[tuple[str, bool]]:
    """Yields the ids of logs, each behind the one that it was forked from, and whether its `forkFrom` counts.

    It doesn't where it leads back to the log itself.
    """
    given: set[str] = set()
    for first in logs:
        # From the log to its origin, to that one's, … as far as they are new: then in the other direction.
        line: list[str] = []
        at: str | None = first
        while at is not None and at in logs and at not in given and at not in line:
            line.append(at)
            fork = logs[at]
            at = None if fork is None else fork.thread_id
        circle = set(line[line.index(at) :]) if at in line else set()
        for one in reversed(line):
            given.add(one)
            yield one, one not in circle


def fork_of(target: Target, whole: Whole, notes: Notes) -> Fork | None:
    """Returns where a log's thread is to be forked; None if it can't be, which is noted."""
    said = whole.start.fork_from
    if said is None:
        return None
    origin = thread_of(target.scope, said.thread_id)
    if origin is None:
        notes.changed(
            "$.forkFrom",
            f"its origin {said.thread_id} is not here: a thread of its own, whose label log_forked_from says it",
            1,
        )
        return None
    if not begins_alike(origin, whole.start):
        notes.changed(
            "$.forkFrom",
            f"it begins otherwise than its origin {said.thread_id}: a thread of its own, whose label log_forked_from "
            "says it",
            1,
        )
        return None
    shared = _shared(target, origin, whole.first)
    there = steps_of(origin)
    if said.step is None or said.step == shared:
        return Fork(origin, shared, shared)
    if shared == 0 and said.step <= there and not _is_copy(origin, whole.first):
        return Fork(origin, said.step, 0)
    notes.changed(
        "$.forkFrom", f"it says step {said.step}; the logs have {shared} steps in common, and it is forked there", 1
    )
    return Fork(origin, shared, shared)


def _shared(target: Target, origin: Thread, steps: list[LogStep]) -> int:
    """How many of the steps are the origin's first ones: a step's CID stands for all before it."""
    try:
        with drafting(target.scope) as commit:
            drafts = append_all(commit.threads[origin].fork(at=0), steps[: steps_of(origin)])
    except Invalid as error:
        raise Refused("$.forkFrom", str(error), 1) from None
    low, high = 0, len(drafts)
    while low < high:
        middle = (low + high + 1) // 2
        if origin.at(middle).cid == drafts[middle - 1].cid:
            low = middle
        else:
            high = middle - 1
    return low


def _is_copy(origin: Thread, steps: list[LogStep]) -> bool:
    """Whether the log begins as its origin does, but at other times: then it holds what it shares."""
    if not steps or not steps_of(origin):
        return False
    theirs, ours = origin.at(1), steps[0].step
    return (theirs.role, theirs.content) == (ours.role, ours.content)
