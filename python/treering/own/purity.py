"""Whether deciders and evolvers are pure, as far as that can be seen from outside: in development, and in tests.

Promises: a clock that is read, chance that is drawn, a file that is opened, a store that is asked on the calling thread
is named; so is a state or a command that was changed, and an answer that is another one the second time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from treering.codec import encode
from treering.errors import ImpureDecider
from treering.own.context import ActorContext
from treering.own.rules import Happened, Rules
from treering.own.watching import Watch

T = TypeVar("T")


def decided(rules: Rules, state: Any, command: Any, context: Callable[[], ActorContext]) -> list[Happened]:
    """Returns what is decided, once it is known that deciding is pure.

    Errors:
        ImpureDecider (`impure-decider`): it is not; `method`, `actor`.
        What the decider raises.
    """
    given = rules.commands[type(command)]
    before = encode([rules.put_state(state), given.put(command)])
    first, said_no = _outcome(rules, state, command, context())
    if before != encode([rules.put_state(state), given.put(command)]):
        raise _impure(rules, "decide", "it changed the state or the command that it was given; make new ones")
    again, said_no_again = _outcome(rules, _copied(rules, state), given.take(given.put(command)), context())
    one, other = _stored(first), _stored(again)
    if type(said_no) is not type(said_no_again) or encode(one) != encode(other):
        raise _impure(rules, "decide", f"it answered {_shown(one)}, and for the same again {_shown(other)}")
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
    after = _watched(rules, "evolve", lambda: rules.evolve(state, event), None)
    if encode(rules.put_state(state)) != before:
        raise _impure(rules, "evolve", "it changed the state that it was given; make a new one: dataclasses.replace")
    again = _watched(rules, "evolve", lambda: rules.evolve(copied, event), None)
    if encode(rules.put_state(after)) != encode(rules.put_state(again)):
        raise _impure(rules, "evolve", f"it made {after!r:.80}, and of the same again {again!r:.80}")
    return after


def _copied(rules: Rules, state: Any) -> Any:
    return rules.state.take(rules.put_state(state), opener=None)


def _stored(happened: list[Happened]) -> list[tuple[str, dict[str, Any]]]:
    return [(type_name, fields) for type_name, fields, _ in happened]


def _outcome(rules: Rules, state: Any, command: Any, context: ActorContext) -> tuple[list[Happened], Exception | None]:
    try:
        return _watched(rules, "decide", lambda: rules.decide(state, command, context), context), None
    except ImpureDecider:
        raise
    except Exception as error:
        return [], error


def _watched(rules: Rules, method: str, call: Callable[[], T], context: ActorContext | None) -> T:
    watch = Watch(None if context is None else context.random)
    try:
        with watch:
            return call()
    finally:
        if watch.seen is not None:
            raise _impure(rules, method, f"it calls {watch.seen}; {_INSTEAD[method]}")


_INSTEAD: Final = {
    "decide": "context has a time, chance and ids, and the command whatever else is to be known",
    "evolve": "what it is to know stands in the event",
}


def _shown(events: list[tuple[str, dict[str, Any]]]) -> str:
    return f"{events!r:.120}" if events else "nothing"


def _impure(rules: Rules, method: str, why: str) -> ImpureDecider:
    return ImpureDecider(
        f"{rules.name}.{method} is not pure: {why}; nothing was written", actor=rules.kind, method=method
    )
