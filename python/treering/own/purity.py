"""Whether deciders and evolvers are pure, as far as that can be seen from outside: in development, and in tests.

Promises: a clock that is read, chance that is drawn, a file that is opened on the calling thread is named; so is a
state or a command that was changed, and an answer that is another one the second time.
Never: what is called is replaced, or another thread looked at.
"""

from __future__ import annotations

import _random
import gc
import os
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Any, Final, TypeVar

from treering.codec import encode
from treering.errors import ImpureDecider
from treering.own.rules import ActorContext, Rules

T = TypeVar("T")

_CLOCKS: Final = (
    time.time,
    time.time_ns,
    time.monotonic,
    time.monotonic_ns,
    time.perf_counter,
    time.perf_counter_ns,
    time.process_time,
    time.process_time_ns,
    time.thread_time,
    time.thread_time_ns,
    time.localtime,
    time.gmtime,
    time.sleep,
)
_OUTSIDE: Final = (os.urandom, open, input)
_OF_DATES: Final = ("now", "utcnow", "today")
_OF_CHANCE: Final = ("random", "getrandbits", "seed")
_LOOKS_ASIDE: Final = ("logging", "treering.")
"""Modules that do such things for themselves, and tell the caller nothing of it."""


def decided(
    rules: Rules, state: Any, command: Any, context: Callable[[], ActorContext]
) -> list[tuple[str, dict[str, Any]]]:
    """Returns what is decided, as it is stored, once it is known that deciding is pure.

    Errors:
        ImpureDecider (`impure-decider`): it is not; `method`, `actor`.
        What the decider raises.
    """
    before = encode([rules.put_state(state), rules.given(command)[1]])
    first, said_no = _outcome(rules, "decide", state, command, context())
    after = encode([rules.put_state(state), rules.given(command)[1]])
    if before != after:
        raise _impure(rules, "decide", "it changed the state or the command that it was given; make new ones")
    _, given = rules.given(command)
    again, said_no_again = _outcome(
        rules,
        "decide",
        _copied(rules, state),
        rules.commands[type(command)].take(given, opener=None),
        context(),
    )
    if type(said_no) is not type(said_no_again) or encode(first) != encode(again):
        raise _impure(rules, "decide", f"it answered {_shown(first)}, and for the same again {_shown(again)}")
    if said_no is not None:
        raise said_no
    return first


def evolved(rules: Rules, state: Any, event: Any) -> Any:
    """Returns the state after an event, once it is known that evolving is pure.

    Errors:
        ImpureDecider (`impure-decider`): it is not; `method`, `actor`.
        What the evolver raises.
    """
    before = encode(rules.put_state(state))
    copied = _copied(rules, state)
    after = _watched(rules, "evolve", lambda: rules.actor.evolve(state, event), None)
    if encode(rules.put_state(state)) != before:
        raise _impure(rules, "evolve", "it changed the state that it was given; make a new one: dataclasses.replace")
    again = _watched(rules, "evolve", lambda: rules.actor.evolve(copied, event), None)
    if encode(rules.put_state(after)) != encode(rules.put_state(again)):
        raise _impure(rules, "evolve", f"it made {after!r:.80}, and of the same again {again!r:.80}")
    return after


def _copied(rules: Rules, state: Any) -> Any:
    return rules.state.take(rules.put_state(state), opener=None)


def _outcome(
    rules: Rules, method: str, state: Any, command: Any, context: ActorContext
) -> tuple[list[tuple[str, dict[str, Any]]], Exception | None]:
    def decide() -> list[tuple[str, dict[str, Any]]]:
        return rules.happened(rules.actor.decide(state, command, context))

    try:
        return _watched(rules, method, decide, context), None
    except ImpureDecider:
        raise
    except Exception as error:
        return [], error


def _watched(rules: Rules, method: str, call: Callable[[], T], context: ActorContext | None) -> T:
    """Calls it, and looks at each built-in function that is called on the way, on this thread."""
    chance = None if context is None else context.random
    seen: list[str] = []

    def look(frame: Any, event: str, called: Any) -> None:
        if event != "c_call" or seen or str(frame.f_globals.get("__name__", "")).startswith(_LOOKS_ASIDE):
            return
        if (what := _forbidden(called, chance)) is not None:
            seen.append(what)

    before, collects = sys.getprofile(), gc.isenabled()
    # What runs with a collection of Python's is not the decider's doing.
    gc.disable()
    sys.setprofile(look)
    try:
        return call()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
        if seen:
            raise _impure(rules, method, f"it calls {seen[0]}; {_INSTEAD[method]}")


_INSTEAD: Final = {
    "decide": "context has a time, chance and ids, and the command whatever else is to be known",
    "evolve": "what it is to know stands in the event",
}


def _forbidden(called: Any, chance: Any) -> str | None:
    name = getattr(called, "__name__", "")
    if any(called is one for one in _CLOCKS):
        return f"time.{name}"
    if any(called is one for one in _OUTSIDE):
        return f"{called.__module__}.{name}".removeprefix("_io.").removeprefix("builtins.")
    owner = getattr(called, "__self__", None)
    if name in _OF_DATES and isinstance(owner, type) and issubclass(owner, date):
        return f"{owner.__name__}.{name}"
    if name in _OF_CHANCE and isinstance(owner, _random.Random) and owner is not chance:
        return f"random.{name}"
    if type(owner).__module__ in ("_socket", "socket"):
        return f"socket.{name}"
    return None


def _shown(events: list[tuple[str, dict[str, Any]]]) -> str:
    return f"{events!r:.120}" if events else "nothing"


def _impure(rules: Rules, method: str, why: str) -> ImpureDecider:
    return ImpureDecider(
        f"{rules.name}.{method} is not pure: {why}; nothing was written", actor=rules.kind, method=method
    )
