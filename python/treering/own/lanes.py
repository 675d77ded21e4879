"""Where the commands of one actor queue up in this process: each is decided behind the one before, before that is
committed, so that many callers share an fsync and none of them overtakes another.

Promises: what a lane says is checked when a commit's turn comes; it only spares looking.
Never: it is waited in for a commit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from treering._core import Cid
from treering._session import Home, Session
from treering.own.folding import Folder, Known, folder_of
from treering.own.rules import Actor

LANES_MAX: Final = 1_024


class Sent:
    """A command id that is being sent, by however many at once."""

    __slots__ = ("is_ahead", "left", "senders")

    def __init__(self) -> None:
        self.is_ahead = False
        """Whether one of them was submitted, and was not refused as far as is known: the others go behind it, and are
        answered from its receipt."""
        self.left: dict[Hashable, Known[Any]] = {}
        """What the one that was written left of each actor: the others need not fold that."""
        self.senders = 0

    def state(self, key: Hashable, head: Cid | None) -> Known[Any] | None:
        """Returns what the one that was written left of an actor, if it left that head."""
        left = self.left.get(key)
        return left if left is not None and head is not None and left.head == head else None


class Lane:
    """One actor's."""

    __slots__ = ("_chain", "_flying", "_sending", "_sent", "_settled", "_tip", "turn")

    def __init__(self) -> None:
        self.turn = threading.Lock()
        """Who has it decides; all else here is for who has it."""
        self._tip: Known[Any] | None = None
        self._settled: Known[Any] | None = None
        self._chain = object()
        self._flying = 0
        # Of its own, and again for who has it: a call that nobody waits for any more ends wherever Python collects it.
        self._sending = threading.RLock()
        self._sent: dict[Hashable, Sent] = {}

    @contextmanager
    def sending(self, command_id: Hashable) -> Iterator[Sent]:
        """A block in which a command id is sent: who sends it in such a block, too, shares what is said of it."""
        with self._sending:
            sent = self._sent.setdefault(command_id, Sent())
            sent.senders += 1
        try:
            yield sent
        finally:
            with self._sending:
                sent.senders -= 1
                if not sent.senders:
                    self._sent.pop(command_id, None)

    @property
    def tip(self) -> Known[Any] | None:
        """The actor as commands that are on their way will leave it; None if there are none."""
        return self._tip if self._flying else None

    @property
    def settled(self) -> Known[Any] | None:
        """What is remembered of it as it was committed."""
        return self._settled

    def newest(self, read: Known[Any] | None, before: Known[Any] | None) -> Known[Any] | None:
        """Returns the actor as a command is to be decided on: as those on their way will leave it, else as it was read;
        `before`: what was settled when that began. Where something landed meanwhile, what was read may be of before
        that, and who follows would be decided in vain."""
        tip, settled = self.tip, self._settled
        if tip is not None:
            return tip
        if read is not None and settled is not None and settled is not before and settled.version > read.version:
            return settled
        return read

    def took_off(self, known: Known[Any], *, follows: bool) -> object:
        """Notes a command that was submitted; returns the chain that it belongs to."""
        if not follows:
            self._chain = object()
        self._tip = known
        self._flying += 1
        return self._chain

    def landed(self, chain: object, known: Known[Any] | None) -> None:
        """Notes its answer; None: it was not written, and what was decided behind it won't be."""
        self._flying -= 1
        if known is not None:
            self.remember(known)
        elif self._chain is chain:
            self._tip = None
            self._chain = object()

    def note(self, known: Known[Any]) -> None:
        """Notes it as it was read; for who does not have the turn."""
        with self.turn:
            self.remember(known)

    def remember(self, known: Known[Any]) -> None:
        """Notes it as it was committed. Versions never fall, so the greater one is the newer one."""
        if self._settled is None or self._settled.version < known.version:
            self._settled = known


class Lanes:
    """Those of a session: the actors that were asked last."""

    __slots__ = ("_lanes", "_lock")

    def __init__(self) -> None:
        self._lanes: OrderedDict[Hashable, Lane] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: Hashable) -> Lane:
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane()
                if len(self._lanes) > LANES_MAX:
                    self._lanes.popitem(last=False)
            self._lanes.move_to_end(key)
            return lane


@dataclass(frozen=True, slots=True)
class Place:
    """One actor of one scope: what folds it, and where its commands queue up."""

    folder: Folder
    lane: Lane

    @property
    def home(self) -> Home:
        return self.folder.home


def place_of(home: Home, actor: type[Actor[Any, Any, Any]], parts: tuple[str, ...]) -> Place:
    """Returns one actor's."""
    return Place(folder_of(home, actor, parts), lanes_of(home.session).of((actor, home.scope, parts)))


_of_sessions: Final[WeakKeyDictionary[Session, Lanes]] = WeakKeyDictionary()
_making: Final = threading.Lock()


def lanes_of(session: Session) -> Lanes:
    """Returns the lanes of an open store."""
    with _making:
        lanes = _of_sessions.get(session)
        if lanes is None:
            lanes = _of_sessions[session] = Lanes()
        return lanes
