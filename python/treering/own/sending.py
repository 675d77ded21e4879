"""How a command is decided: outside of the commit, on the actor as it is, and written only if it still is that.

Promises: a command is answered once it stands behind just the events that it was decided on; so is a rejection, which
nothing that failed meanwhile can have led to. A repeated command id is answered from its receipt.
Never: a caller's code runs under the store's lock.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from functools import partial
from typing import Any, Final

from treering._calls import Look, Op
from treering._core import OwnCommandCore
from treering.errors import Corrupt, ImpureDecider, NotFound, Overtaken, Rejected
from treering.own import purity
from treering.own.folding import SNAPSHOT_EVENTS, Folder, Known
from treering.own.lanes import Lane
from treering.own.rules import ActorContext
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
        return ActorContext(
            at_ms=at_ms,
            parts=folder.parts,
            version=known.version,
            principal=home.principal,
            random=random.Random(seed),
        )

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
        core.decide(known.shown, rules.schema, None, None)
        return decision
    state = known.state
    for number, (_, _, event) in enumerate(stored, known.version + 1):
        if development:
            purity.evolved(rules, state, event)
        state = folder.evolved(state, event, number)
    version = known.version + len(stored)
    # Whether it can be stored is said now, and not with the sixteenth event.
    folded = folder.folded_for_store(state)
    due = bool(stored) and snapshots and version - known.snapshot >= SNAPSHOT_EVENTS and folder.may_store(known)
    core.decide(known.shown, rules.schema, [event[:2] for event in stored], folded if due else None)
    if stored:
        decision.changes = True
        after = replace(known, state=state, version=version, at_ms=at_ms, shown=core, head=None)
        decision.after = replace(after, snapshot=version, basis=None, newest_fold=rules.fold) if due else after
    return decision


def send(
    folder: Folder, lane: Lane, command: Any, expected_version: int | None, command_id: str | None
) -> Op[Receipt[Any]]:
    """Decides and writes a command."""
    home, core = folder.home, folder.core
    name, given, command = folder.rules.given(command)
    if command_id is not None:
        first = yield Look(partial(core.command(name, given).first, command_id))
        if first is not None:
            return (yield from _answered(folder, first))
    seed = os.urandom(16)
    for tried in range(TRIES):
        if tried >= PATIENT:
            yield Look(pause)
        read: Known[Any] | None = None
        if lane.tip is None:
            read = yield Look(partial(folder.now, lane.settled))
        with lane.turn:
            tip = lane.tip
            known = tip if tip is not None else read
            if known is None:
                continue  # What was on its way has landed, or failed, since.
            attempt = core.command(name, given)
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
            chain = lane.took_off(decision.after, follows=tip is not None) if decision.changes else None
        after: Known[Any] | None = None
        try:
            answer = yield pending
            if not answer[-1]:
                after = decision.after
                if decision.changes:
                    after = replace(after, head=attempt.head)
        except Overtaken:
            continue
        except Rejected:
            if decision.error is None:
                raise
            raise decision.error from None
        finally:
            if chain is not None:
                with lane.turn:
                    lane.landed(chain, after)
        if after is None:
            return (yield from _answered(folder, answer))
        version, changed, _, *rest = answer
        return Receipt(version, changed, after.state, *rest)
    raise Overtaken(
        f"{folder.rules.kind}/{'/'.join(folder.parts)} was changed by others each of the {TRIES} times that a "
        f"{name} was decided; nothing was written: send it again",
        actor="/".join((home.scope, folder.rules.kind, *folder.parts)),
        tries=TRIES,
    )


def _answered(folder: Folder, answer: Any) -> Op[Receipt[Any]]:
    """The receipt of a command that was done before, with the state that it left."""
    version, changed, loaded, *rest = answer
    value = None if loaded is None else (yield Look(lambda: folder.again(loaded).state))
    return Receipt(version, changed, value, *rest)
