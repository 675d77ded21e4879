"""Deciders of one's own, tried without a store: given what happened, when this is asked, then that happens."""

from __future__ import annotations

import random
from typing import Any, Final, Generic

from treering.errors import ImpureDecider
from treering.own import purity
from treering.own.context import ActorContext
from treering.own.rules import Actor, Command, Event, Rules, State, rules_of
from treering.testing.clock import START_MS

_SEED: Final = b"treering.testing.given"


class Given(Generic[State, Command, Event]):
    """An actor that some events happened to."""

    __slots__ = ("_parts", "_rules", "_version", "state")

    def __init__(self, rules: Rules, parts: tuple[str, ...], state: Any, version: int) -> None:
        self._rules = rules
        self._parts = parts
        self._version = version
        self.state: State = state
        """What it is."""

    def when(
        self, command: Command, *, at_ms: int = START_MS, principal: str | None = None
    ) -> Decided[State, Command, Event]:
        """Returns what is decided about a command at a time, Unix milliseconds. Chance is the same each time.

        Errors:
            InvalidCommand (`invalid-command`): a field of the command is not what it says.
            ImpureDecider (`impure-decider`): deciding it, or what becomes of it, is not pure.
            Invalid (`invalid`): what is answered can't be stored.
        """
        rules = self._rules
        _, _, asked = rules.given(command)

        def context() -> ActorContext:
            return ActorContext(
                at_ms=at_ms,
                parts=self._parts,
                version=self._version,
                principal=principal,
                random=random.Random(_SEED),
            )

        error: Exception | None = None
        events: list[Any] = []
        try:
            events = [event for _, _, event in purity.decided(rules, self.state, asked, context)]
        except ImpureDecider:
            raise
        except Exception as refused:
            error = refused
        return Decided(_after(rules, self._parts, self.state, self._version, events), events, error)


class Decided(Generic[State, Command, Event]):
    """What was decided."""

    __slots__ = ("_after", "error", "events")

    def __init__(self, after: Given[State, Command, Event], events: list[Event], error: Exception | None) -> None:
        self._after = after
        self.events: list[Event] = events
        """What happens, in order; nothing if it was rejected."""
        self.error: Exception | None = error
        """What `decide` raised, if it did."""

    @property
    def state(self) -> State:
        """What the actor is then."""
        return self._after.state

    def then(self, *events: Event) -> Given[State, Command, Event]:
        """Returns the actor after just these events, in this order; without any: nothing was to do.

        Errors:
            AssertionError: something else happened, or it was rejected.
        """
        if self.error is not None:
            raise AssertionError(f"it was rejected: {self.error!r}") from self.error
        if tuple(self.events) != events:
            raise AssertionError(f"what happened: {self.events!r}; expected: {list(events)!r}")
        return self._after

    def then_rejected(self, error: type[Exception], text: str = "") -> None:
        """Returns nothing: `decide` raised such an error, whose message has that text in it.

        Errors:
            AssertionError: it did not.
        """
        if self.error is None:
            raise AssertionError(f"it was not rejected; what happened: {self.events!r}")
        if not isinstance(self.error, error) or text not in str(self.error):
            raise AssertionError(f"it was rejected with {self.error!r}") from self.error


def given(
    actor: type[Actor[State, Command, Event]], *events: Event, parts: tuple[str, ...] = ("1",)
) -> Given[State, Command, Event]:
    """Returns an actor of that class that these events happened to, in order; no store is needed.

    Everything is watched, and done twice: what is not pure raises `ImpureDecider`, as in development mode. Each event
    is stored and read back first.

    Errors:
        ImpureDecider (`impure-decider`): `evolve` is not pure.
        Invalid (`invalid`): an event, or the state, can't be stored.

    Example:
        >>> from dataclasses import dataclass
        >>> import treering
        >>> from treering.testing import given
        >>> @dataclass(frozen=True)
        ... class Add:
        ...     number: int
        >>> @dataclass(frozen=True)
        ... class Added:
        ...     number: int
        >>> @dataclass(frozen=True)
        ... class Sum:
        ...     total: int = 0
        >>> class Adder(treering.Actor[Sum, Add, Added]):
        ...     kind = "adder"
        ...     def decide(self, state, command, context):
        ...         return Added(command.number)
        ...     def evolve(self, state, event):
        ...         return Sum(state.total + event.number)
        >>> given(Adder, Added(1), Added(2)).when(Add(3)).then(Added(3)).state
        Sum(total=6)
    """
    rules = rules_of(actor)
    read = [event for _, _, event in rules.happened(events)]
    return _after(rules, parts, rules.initial(), 0, read)


def _after(rules: Rules, parts: tuple[str, ...], state: Any, version: int, events: list[Any]) -> Given[Any, Any, Any]:
    for event in events:
        state = purity.evolved(rules, state, event)
        rules.put_state(state)
    return Given(rules, parts, state, version + len(events))
