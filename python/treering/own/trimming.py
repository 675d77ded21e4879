"""Trims of one's own actors: the state where their history will begin is folded by their class."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from treering._calls import Look, Op
from treering._core import VerbCore
from treering.errors import Invalid, Overtaken
from treering.journal import moment_ms
from treering.messages import RetentionPolicy
from treering.own.folding import Folder
from treering.own.sending import TRIES
from treering.stores._dispatch import DISPATCHER
from treering.stores.receipt import Receipt


def trim(
    folder: Folder,
    before: int | datetime | None,
    keep: int | None,
    expected_version: int | None,
    command_id: str | None,
    *,
    under_policy: RetentionPolicy | None = None,
) -> Op[Receipt[Any]]:
    """The body of `OwnActor.trim`."""
    if isinstance(keep, bool) or isinstance(before, bool):
        raise Invalid("trim: keep and before are numbers, not True or False; what is cut off is gone for good")
    since_ms, version = (moment_ms(before), None) if isinstance(before, datetime) else (None, before)

    def folded() -> VerbCore:
        due = folder.core.trim(version, since_ms, keep)
        verb = due.verb(folder.at_start(due.start))
        if under_policy is not None:
            policy = under_policy
            verb.under_policy(folder.home.stores, policy.version, policy.keep, policy.younger_than_ms)
        return verb

    for left in reversed(range(TRIES)):
        verb = yield Look(folded)
        try:
            return (yield from DISPATCHER.dispatch(folder.home, verb, expected_version, command_id))
        except Overtaken:
            if not left:
                raise
    raise AssertionError
