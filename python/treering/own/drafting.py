"""Commands of one's own actors in a commit of several: decided when its block is left, and all of it again if others
changed one of the actors meanwhile.

Promises: all of the commit is written, each command on just what it was decided on, or nothing. Callers of one process
follow each other without a loss, as those of `send` do.
Never: the caller's block is run again, or a command decided on a state that no commit has, or will have, left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, TypeAlias

from treering._calls import Look, Op
from treering._core import BatchCore, OwnCommandCore
from treering._session import Home
from treering.errors import Corrupt, Invalid, NotFound, Overtaken, Rejected
from treering.own.folding import Known
from treering.own.lanes import Place, Sent, place_of
from treering.own.rules import Actor, Command, Event, State
from treering.own.sending import PATIENT, TRIES, Decision, decide, pause, replayed, undecided
from treering.stores.drafts import Drafting, ReceiptDraft


class OwnDraft(Generic[State, Command, Event]):
    """An actor of one's own, as a commit will leave it: `c.own(Ticket, "T-1")`."""

    __slots__ = ("_commit", "_place")

    def __init__(
        self, commit: Drafting, home: Home, actor: type[Actor[State, Command, Event]], parts: tuple[str, ...]
    ) -> None:
        self._commit = commit
        self._place = place_of(home, actor, parts)

    def send(self, command: Command, *, expected_version: int | None = None) -> ReceiptDraft[State]:
        """Returns the draft of `OwnActor.send`. It is decided when the block is left, on the actor as it is then and as
        what was drafted on it before leaves it; what `decide` raises is raised there, and nothing is written.

        Errors:
            On leaving the block, Overtaken (`overtaken`): other processes changed one of the actors each of the 100
            times that the commit was decided.
        """
        name, given, command = self._place.folder.rules.given(command)
        core = self._place.folder.core.command(name, given)
        index = self._commit._verb(core.verb(), expected_version)
        self._commit._decide_later(Drafted(self._place, command, core, index))
        return ReceiptDraft(self._commit, index)

    def __repr__(self) -> str:
        folder = self._place.folder
        return f"<OwnDraft {'/'.join((folder.rules.kind, *folder.parts))}>"


@dataclass(frozen=True, slots=True)
class Drafted:
    """A command that a commit will decide."""

    place: Place
    command: Any
    core: OwnCommandCore
    index: int
    """Its place among the verbs of the commit."""
    seed: bytes = field(default_factory=lambda: os.urandom(16))
    """Of the chance that is the same each time it is decided."""


Key: TypeAlias = tuple[str, tuple[str, ...]]
"""An actor of the scope: its kind and its parts."""


def committed(drafted: list[Drafted], batch: BatchCore, command_id: str | None) -> Op[dict[str, Any]]:
    """Decides what was left to be decided and submits the commit, which is sealed; all of it once more while others
    change one of the actors meanwhile. Returns the answer, with the states as the receipts' values.

    Errors:
        Overtaken (`overtaken`): others did, each of the times.
        Whatever a decider raises, and what a commit does; nothing is written.
    """
    places = _places(drafted)
    if command_id is None:
        return (yield from _committed(drafted, places, batch, None))
    # A repeated one has the same actors: else it is another one, which is found anyway.
    with places[_key(drafted[0])].lane.sending((Commit, command_id)) as sent:
        return (yield from _committed(drafted, places, batch, sent))


Commit: Final = object()
"""Command ids of commits are not those of commands."""


def _committed(
    drafted: list[Drafted], places: Mapping[Key, Place], batch: BatchCore, sent: Sent | None
) -> Op[dict[str, Any]]:
    for tried in range(TRIES):
        if tried >= PATIENT:
            yield Look(pause)
        if sent is not None:
            first = yield Look(batch.first)
            if first is not None:
                answer: dict[str, Any] = yield first
                yield from _shown(drafted, [], answer, sent)
                return answer
        read: dict[Key, Known[Any]] = {}
        settled = {key: place.lane.settled for key, place in places.items()}
        for key, place in places.items():
            if place.lane.tip is None and not (sent is not None and sent.is_ahead):
                read[key] = yield Look(partial(place.folder.now, settled[key]))
        decisions: list[Decision] = []
        chains: dict[Key, object] = {}
        is_first = False
        with _turns(places.values()):
            tips = {key: place.lane.tip for key, place in places.items()}
            if sent is not None and sent.is_ahead:
                for one in drafted:
                    undecided(one.core, one.place.folder.rules)
            else:
                newest = {key: place.lane.newest(read.get(key), settled[key]) for key, place in places.items()}
                known = {key: found for key, found in newest.items() if found is not None}
                if len(known) < len(places):
                    continue  # What was on its way has landed, or failed, since.
                try:
                    decisions = _decide_all(drafted, known)
                except (NotFound, Corrupt):
                    # Lists and maps hang on a snapshot that another one may have taken the place of.
                    if tried >= PATIENT:
                        raise
                    continue
                if tried < PATIENT and any(isinstance(done.error, NotFound | Corrupt) for done in decisions):
                    continue
            pending = batch.submit()
            left = {_key(one): done.after for one, done in zip(drafted, decisions, strict=False) if done.changes}
            # Nobody follows what will be refused.
            if decisions and all(done.error is None for done in decisions):
                if sent is not None:
                    sent.is_ahead = is_first = True
                chains = {
                    key: places[key].lane.took_off(after, follows=tips[key] is not None) for key, after in left.items()
                }
        written: dict[Key, Known[Any]] = {}
        is_answered = False
        try:
            answer = yield pending
            is_answered = True
            if not answer["replayed"]:
                for one, done in zip(drafted, decisions, strict=True):
                    done.after = done.landed()
                    if done.changes:
                        written[_key(one)] = done.after
                for one, done in zip(drafted, decisions, strict=True):
                    if done.after.is_borrowed:
                        done.after = yield Look(partial(one.place.folder.at_home, done.after))
                        written[_key(one)] = done.after
        except Overtaken:
            # Behind which it went, was not written.
            is_first = is_first or not decisions
            continue
        except Rejected as rejected:
            raise next((done.error for done in decisions if done.error is not None), rejected) from None
        finally:
            for key, chain in chains.items():
                lane = places[key].lane
                with lane.turn:
                    lane.landed(chain, written.get(key))
            if sent is not None and is_first and not is_answered:
                with places[_key(drafted[0])].lane.turn:
                    sent.is_ahead = False
        if sent is not None and not answer["replayed"]:
            sent.left = {one.index: done.after for one, done in zip(drafted, decisions, strict=True)}
        yield from _shown(drafted, decisions, answer, sent)
        return answer
    names = ", ".join("/".join((place.home.scope, *key[:1], *key[1])) for key, place in places.items())
    raise Overtaken(
        f"others changed {names} each of the {TRIES} times that a commit was decided; nothing was written: "
        "do the block again",
        actor=names,
        tries=TRIES,
    )


def _key(one: Drafted) -> Key:
    folder = one.place.folder
    return folder.rules.kind, folder.parts


def _places(drafted: list[Drafted]) -> dict[Key, Place]:
    """The actors that the commands are for, each once.

    Errors:
        Invalid (`invalid`): two classes for one actor: the one can't go on with the other's state.
    """
    places: dict[Key, Place] = {}
    for one in drafted:
        first, rules = places.setdefault(_key(one), one.place).folder.rules, one.place.folder.rules
        if first is not rules:
            raise Invalid(f"{first.name} and {rules.name} are for the same actor in one commit: use one of them")
    return places


def _decide_all(drafted: list[Drafted], known: Mapping[Key, Known[Any]]) -> list[Decision]:
    """Decides each on what the ones before it do."""
    newest = dict(known)
    last = {_key(one): one.index for one in drafted}
    decisions = []
    for one in drafted:
        key = _key(one)
        decision = decide(
            one.place.folder, one.command, one.core, newest[key], one.seed, snapshots=last[key] == one.index
        )
        newest[key] = decision.after
        decisions.append(decision)
    return decisions


def _shown(drafted: list[Drafted], decisions: list[Decision], answer: dict[str, Any], sent: Sent | None) -> Op[None]:
    for number, one in enumerate(drafted):
        yield Look(one.core.landed)
        version, changed, loaded, *rest = answer["receipts"][one.index]
        if not answer["replayed"]:
            value = decisions[number].after.state
        else:
            value = yield from replayed(one.place.folder, loaded, sent, one.index)
        answer["receipts"][one.index] = (version, changed, value, *rest)


@contextmanager
def _turns(places: Iterable[Place]) -> Iterator[None]:
    """Has the turn of each lane; always in one order, so that no two wait for each other."""
    with ExitStack() as turns:
        for place in sorted(places, key=lambda place: id(place.lane)):
            turns.enter_context(place.lane.turn)
        yield
