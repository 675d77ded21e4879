"""How a command is decided: outside of the commit, on the actor as it is, and written only if it still is that.

Promises: a command is answered once it stands behind just the events that it was decided on; so is a rejection, which
nothing that failed meanwhile can have led to. A repeated command id is answered from its receipt; where the first
one is still on its way, it goes behind that, and nobody is decided on it.
Never: a caller's code runs under the store's lock.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Hashable
from functools import partial
from typing import Any, Final

from treering._calls import Look, Op
from treering._core import OwnCommandCore, OwnLoadedCore
from treering.errors import Corrupt, ImpureDecider, NotFound, Overtaken, Rejected
from treering.own import purity
from treering.own.context import ActorContext, context_of
from treering.own.folding import SNAPSHOT_EVENTS, Folder, Known
from treering.own.lanes import Lane, Sent
from treering.own.rules import Rules
from treering.stores._dispatch import DISPATCHER
from treering.stores.receipt import Receipt

TRIES: Final = 100
"""Times that a command is decided anew because others, in other processes, changed the actor meanwhile."""
PATIENT: Final = 4
"""Tries without a pause between them."""
_PAUSE_S: Final = 0.05


def pause() -> None:
    """Waits a little, so that not everybody tries again at once."""
    time.sleep(random.uniform(0, _PAUSE_S))


class Decision:
    """One decision about a command: what happened, and the actor after it."""

    def __init__(self, command: OwnCommandCore, before: Known[Any]) -> None:
        self.command = command
        self.before = before
        self.after = before
        self.changes = False
        self.error: Exception | None = None

    def landed(self) -> Known[Any]:
        """Returns the actor after it, once it is written."""
        return self.after._replace(head=self.command.head) if self.changes else self.after


def decide(
    folder: Folder, command: Any, core: OwnCommandCore, known: Known[Any], seed: bytes, *, snapshots: bool = True
) -> Decision:
    """Returns what is decided on what is known, ready to be submitted.

    Errors:
        ImpureDecider (`impure-decider`): in development mode.
        Invalid (`invalid`): what was answered can't be stored.
    """
    rules, home = folder.rules, folder.home
    development = home.session.settings.development
    at_ms = folder.core.now_ms()

    def context() -> ActorContext:
        return context_of(at_ms, folder.parts, known.version, home.principal, seed)

    decision = Decision(core, known)
    try:
        if development:
            stored = purity.decided(rules, known.state, command, context)
        else:
            stored = rules.decide(known.state, command, context())
    except ImpureDecider:
        raise
    except Exception as error:
        decision.error = error
        core.decide(known.shown, rules.schema, None, None, False)
        return decision
    state = known.state
    for number, (_, _, event) in enumerate(stored, known.version + 1):
        if development:
            purity.evolved(rules, state, event)
        state = folder.evolved(state, event, number)
    version = known.version + len(stored)
    folded = folder.folded_for_store(state)
    due = bool(stored) and snapshots and version - known.snapshot >= SNAPSHOT_EVENTS and folder.may_store(known)
    # Whether the state can be stored is said now, and not with the sixteenth event.
    core.decide(known.shown, rules.schema, [event[:2] for event in stored], folded if stored else None, due)
    if stored:
        decision.changes = True
        is_borrowed = known.is_borrowed or any(rules.events[type(event)][1].has_collections for _, _, event in stored)
        after = known._replace(
            state=state, version=version, at_ms=at_ms, shown=core, head=None, is_borrowed=is_borrowed
        )
        decision.after = after._replace(snapshot=version, basis=None, newest_fold=rules.fold) if due else after
    return decision


def send(
    folder: Folder, lane: Lane, command: Any, expected_version: int | None, command_id: str | None
) -> Op[Receipt[Any]]:
    """Decides and writes a command."""
    given = folder.rules.given(command)
    if command_id is None:
        return (yield from _send(folder, lane, given, expected_version, None, None))
    with lane.sending(command_id) as sent:
        return (yield from _send(folder, lane, given, expected_version, command_id, sent))


def _send(
    folder: Folder,
    lane: Lane,
    given: tuple[str, dict[str, Any], Any],
    expected_version: int | None,
    command_id: str | None,
    sent: Sent | None,
) -> Op[Receipt[Any]]:
    home, core = folder.home, folder.core
    name, fields, command = given
    seed = os.urandom(16)
    for tried in range(TRIES):
        if tried >= PATIENT:
            yield Look(pause)
        if command_id is not None:
            first = yield Look(partial(core.command(name, fields).first, command_id))
            if first is not None:
                return (yield from _answered(folder, first, sent))
        read: Known[Any] | None = None
        settled = lane.settled
        if lane.tip is None and not (sent is not None and sent.is_ahead):
            read = yield Look(partial(folder.now, settled))
        decision: Decision | None = None
        chain: object | None = None
        is_first = False
        with lane.turn:
            attempt, tip = core.command(name, fields), lane.tip
            if sent is not None and sent.is_ahead:
                undecided(attempt, folder.rules)
            else:
                known = lane.newest(read, settled)
                if known is None:
                    continue  # What was on its way has landed, or failed, since.
                try:
                    decision = decide(folder, command, attempt, known, seed)
                except (NotFound, Corrupt):
                    # Its lists and maps hang on a snapshot that another one may have taken the place of.
                    if tried >= PATIENT:
                        raise
                    continue
                if isinstance(decision.error, NotFound | Corrupt) and tried < PATIENT:
                    continue
            pending = DISPATCHER.queue(home, attempt.verb(), expected_version, command_id)
            # Nobody follows what will be refused.
            if decision is not None and decision.error is None and expected_version in (None, decision.before.version):
                if sent is not None:
                    sent.is_ahead = is_first = True
                if decision.changes:
                    chain = lane.took_off(decision.after, follows=tip is not None)
        after: Known[Any] | None = None
        is_answered = False
        try:
            answer = yield pending
            is_answered = True
            if decision is not None and not answer[-1]:
                after = decision.landed()
                if after.is_borrowed:
                    after = yield Look(partial(folder.at_home, after))
        except Overtaken:
            # Behind which it went, was not written.
            is_first = sent is not None and (is_first or decision is None)
            continue
        except Rejected:
            if decision is None or decision.error is None:
                raise
            raise decision.error from None
        finally:
            if chain is not None or is_first:
                with lane.turn:
                    if chain is not None:
                        lane.landed(chain, after)
                    if sent is not None and is_first and not is_answered:
                        sent.is_ahead = False
        if after is None:
            return (yield from _answered(folder, answer, sent))
        if sent is not None:
            sent.left[None] = after
        version, changed, _, *rest = answer
        return Receipt(version, changed, after.state, *rest)
    raise Overtaken(
        f"{folder.rules.kind}/{'/'.join(folder.parts)} was changed by others each of the {TRIES} times that a "
        f"{name} was decided; nothing was written: send it again",
        actor="/".join((home.scope, folder.rules.kind, *folder.parts)),
        tries=TRIES,
    )


def undecided(core: OwnCommandCore, rules: Rules) -> None:
    """Makes a repeated command ready that goes behind the first one: it is answered from its receipt or, where that was
    not written, overtaken."""
    # It says that it follows itself, which is never so.
    core.decide(core, rules.schema, None, None, False)


def _answered(folder: Folder, answer: Any, sent: Sent | None) -> Op[Receipt[Any]]:
    """The receipt of a command that was done before, with the state that it left."""
    version, changed, loaded, *rest = answer
    return Receipt(version, changed, (yield from replayed(folder, loaded, sent, None)), *rest)


def replayed(folder: Folder, loaded: OwnLoadedCore | None, sent: Sent | None, key: Hashable) -> Op[Any]:
    """Returns the state that a command left that was done before; None if that is not kept any more."""
    if loaded is None:
        return None
    left = None if sent is None else sent.state(key, loaded.head)
    if left is None:
        left = yield Look(partial(folder.again, loaded))
    return left.state
