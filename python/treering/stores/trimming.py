"""Trimming a whole scope: the histories of all its actors by one rule, the scope's retention policy or a caller's.

A commit for each actor that has something to cut off, as `trim` of the actor makes it; nothing is held between two. So
one that ends half-way has trimmed the first ones, and the same call again goes on. Each commit of a trim by the
policy is refused if the policy is another one by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from treering._calls import Look, Op
from treering._session import Home, Session
from treering._session import home as home_of
from treering.errors import (
    Corrupt,
    HistoryTrimmed,
    Invalid,
    LimitExceeded,
    NewerSchema,
    Overtaken,
    TreeringError,
    Unavailable,
    VersionConflict,
)
from treering.journal import moment_ms
from treering.messages import RetentionPolicy
from treering.own.classes import class_of
from treering.own.folding import folder_of
from treering.own.trimming import trim as trim_own
from treering.stores._dispatch import DISPATCHER
from treering.stores.actor import listed
from treering.stores.info import ActorInfo
from treering.stores.retention import span_ms
from treering.stores.stored import OWN

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimmedActor:
    """What was cut off of one actor, or would be."""

    kind: str
    parts: tuple[str, ...]
    version: int
    """Its version, which stays."""
    dropped: int
    """Versions that went."""
    oldest: int
    """The version that its history begins after now."""
    refused: str | None = None
    """Why nothing was cut off of it: it is broken, a later version wrote it, more is to be kept than a trim can; or it
    is an actor of your own, and this store was not used with its class (`scope.own(Ticket)` is enough), or that can't
    fold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeTrimmed:
    """What `Scope.trim` did, or would do."""

    scope: str
    """Its name."""
    policy: RetentionPolicy | None
    """The retention policy that was applied, the newest that was met; None if the call said what is kept."""
    actors: tuple[TrimmedActor, ...] = ()
    """Those of which something was cut off, or which were refused, by kind and parts."""
    looked_at: int = 0
    """How many actors were looked at: all of the scope, but for deleted ones, which have no history; none where the
    policy keeps all."""
    failed: str | None = None
    """Of `Store.trim`: why this scope was left as it is, or half-way; its policy can't be read, say."""

    @property
    def dropped(self) -> int:
        """Versions that went, of all actors together."""
        return sum(actor.dropped for actor in self.actors)

    @property
    def refused(self) -> tuple[TrimmedActor, ...]:
        """Actors that were left as they are, with the reason."""
        return tuple(actor for actor in self.actors if actor.refused is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What is kept; neither: all."""

    keep: int | None = None
    before: datetime | None = None
    policy: RetentionPolicy | None = None
    """Where it was read; None if the caller said it."""

    @property
    def keeps_all(self) -> bool:
        return self.keep is None and self.before is None


def trim(
    home: Home, keep: int | None, before: datetime | None, younger_than: timedelta | None, dry_run: bool
) -> Op[ScopeTrimmed]:
    """The body of `Scope.trim`."""
    said = (keep, before, younger_than)
    if sum(one is not None for one in said) > 1:
        raise Invalid("trim: say what is kept once: keep, before or younger_than; without any, the scope's policy does")
    if isinstance(keep, bool) or (keep is not None and keep < 0):
        raise Invalid(f"trim: keep is a number of events, 0 or more, not {keep!r}")
    if before is not None and not isinstance(before, datetime):  # a caller without a type checker
        raise Invalid(f"trim: before is a moment, not {before!r}; versions are each actor's own: use its trim")
    if before is not None:
        moment_ms(before)
    if younger_than is not None:
        if (ms := span_ms(younger_than)) <= 0:
            raise Invalid(f"trim: younger_than is an age, not {younger_than!r}; keep=0 keeps only what is")
        before = yield Look(lambda: _ago(home, ms))
    rule = _Rule(keep=keep, before=before) if said != (None,) * 3 else (yield Look(lambda: _policy(home)))
    chunks = listed(home.stores)
    trimmed: list[TrimmedActor] = []
    looked_at = 0
    while not rule.keeps_all and (chunk := (yield Look(lambda: next(chunks, None)))) is not None:
        for info in chunk:
            if info.deleted_at_ms is not None:
                continue
            done, rule = yield from _one(home, info, rule, dry_run)
            if rule.keeps_all:
                break
            looked_at += 1
            if done.dropped or done.refused is not None:
                trimmed.append(done)
    return ScopeTrimmed(scope=home.scope, policy=rule.policy, actors=tuple(trimmed), looked_at=looked_at)


def trim_all(session: Session, dry_run: bool) -> Op[tuple[ScopeTrimmed, ...]]:
    """The body of `Store.trim`."""
    trimmed: list[ScopeTrimmed] = []
    for name in (yield Look(session.core.scopes)):
        try:
            done = yield from trim(home_of(session, name, session.durability), None, None, None, dry_run)
        except Unavailable:
            # No scope's fault, and the next would meet it too.
            raise
        except TreeringError as error:
            done = ScopeTrimmed(scope=name, policy=None, failed=str(error))
        trimmed.append(done)
    return tuple(trimmed)


def _policy(home: Home) -> _Rule:
    """What the scope's policy says, as of now."""
    policy = home.stores.retention_in_force()
    ms = policy.younger_than_ms
    return _Rule(keep=policy.keep, before=None if ms is None else _ago(home, ms), policy=policy)


def _ago(home: Home, ms: int) -> datetime:
    """So long ago, by the store's clock; what is exactly as old is cut off."""
    try:
        return _EPOCH + timedelta(milliseconds=home.stores.now_ms() - ms)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _one(home: Home, info: ActorInfo, rule: _Rule, dry_run: bool) -> Op[tuple[TrimmedActor, _Rule]]:
    """One actor by the rule, and the rule that it was trimmed by."""
    while True:
        try:
            return (yield from _cut(home, info, rule, dry_run)), rule
        except VersionConflict:
            # Of the policy: it was replaced since. Nothing is cut off by the one of before.
            rule = yield Look(lambda: _policy(home))


def _cut(home: Home, info: ActorInfo, rule: _Rule, dry_run: bool) -> Op[TrimmedActor]:
    def result(dropped: int = 0, refused: str | None = None) -> TrimmedActor:
        return TrimmedActor(
            kind=info.kind,
            parts=info.parts,
            version=info.version,
            dropped=dropped,
            oldest=info.oldest + dropped,
            refused=refused,
        )

    if rule.keeps_all:
        return result()
    if info.broken is not None:
        return result(refused=info.broken)
    own = class_of(home.session, info.kind)
    try:
        begin = yield Look(lambda: _begin(home, info, rule))
        due = max(0, begin - info.oldest)
        if due and own is None and info.kind.startswith(OWN):
            # A new beginning is a state, which only the class can fold.
            return result(
                refused="only its class can fold it, and this store was not used with it yet: scope.own(…) first"
            )
        if dry_run or not due:
            return result(due)
        if own is None:
            receipt = yield from DISPATCHER.trim(
                home, info.kind, info.parts, rule.before, rule.keep, None, None, under_policy=rule.policy
            )
        else:
            folder = folder_of(home, own, info.parts)
            receipt = yield from trim_own(folder, rule.before, rule.keep, None, None, under_policy=rule.policy)
    except (Corrupt, NewerSchema, LimitExceeded, Invalid, Overtaken) as error:
        return result(refused=str(error))
    except TreeringError:
        raise
    except Exception as error:
        # A class of somebody's own raises what it likes.
        if own is None:
            raise
        return result(refused=f"{own.__name__} can't fold it: {type(error).__name__}: {error}")
    return result(receipt.dropped)


def _begin(home: Home, info: ActorInfo, rule: _Rule) -> int:
    """The version that the history begins after, by the rule."""
    if rule.before is None:
        return info.version - (rule.keep or 0)
    try:
        return int(home.stores.version_at(info.kind, info.parts, moment_ms(rule.before)))
    except HistoryTrimmed:
        return 0
