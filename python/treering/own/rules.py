"""An actor of one's own as a class: what it is, what may be asked of it, what happens to it.

Promises: what is wrong with a class is said when it is defined. Never: a store is known here.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from treering._deciding import Running
from treering.codec import encode
from treering.errors import Corrupt, Invalid, InvalidCommand, LimitExceeded, NewerSchema
from treering.own.context import ActorContext
from treering.own.fields import record
from treering.own.shapes import Opener, Record, Unreadable
from treering.own.watching import Watch

State = TypeVar("State")
Command = TypeVar("Command")
Event = TypeVar("Event")
F = TypeVar("F", bound=Callable[..., Any])

PREFIX: Final = "x."
EVENTS_MAX: Final = 10_000
"""Events of one command."""
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,61}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_STATE: Final = "State"
_UPCAST: Final = "__treering_upcast__"
Happened: TypeAlias = tuple[str, dict[str, Any], Any]
"""An event: the type and the fields as they are stored, and the event as it will be read."""


class Actor(ABC, Generic[State, Command, Event]):
    """A kind of actor of your own: `class Ticket(treering.Actor[TicketState, Open | Close, Opened | Closed])`.

    The three are the state, the commands and the events: frozen dataclasses, of fields that can be stored. The state
    can be made without arguments, which gives what an actor is before anything happened. `scope.own(Ticket, "T-1")`
    is one of them.

    Both methods are pure: no clock, no chance, no file, nothing kept. They may be called again, at any time.

    Errors:
        Invalid (`invalid`): when the class is defined: what can't be stored, named by its field; a default that is
            another one each time.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """The kind's name, for good: `ticket` is stored as `x.ticket`. a-z, 0-9 and -, at most 62 of them."""
    schema: ClassVar[int] = 1
    """Number of the events' form. One more whenever a field gets another meaning, with an `upcast` from the one
    before, or is left out; and where programs with the class of before must not write any more."""
    fold: ClassVar[int] = 1
    """Number of `evolve`. One more whenever it makes something else of the same events: snapshots are then made
    anew."""
    names: ClassVar[Mapping[type, str]] = {}
    """Names of events as they are stored, where a class is called otherwise now."""

    _rules: ClassVar[Rules | None] = None

    @abstractmethod
    def decide(self, state: State, command: Command, context: ActorContext) -> Event | Iterable[Event] | None:
        """Returns what happens: an event, several in their order, or None where there is nothing to do. Raise
        `treering.Rejected` to say no; nothing is written then."""

    @abstractmethod
    def evolve(self, state: State, event: Event) -> State:
        """Returns the state after an event. Total: an event that means nothing to it leaves the state as it is."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._rules = None if getattr(cls, "kind", None) is None else _rules_of(cls)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} keeps nothing: {name} belongs into the state or the command")


def upcast(schema: int) -> Callable[[F], F]:
    """Returns a decorator for a method that lifts what was stored with `schema` to the next number.

    The method is called as `(self, type, fields)`: the event's name, or `State` for a state that history was cut off
    before, and its fields as they are stored: a dict of plain values. It returns both as the next schema has them.
    """
    if type(schema) is not int or schema < 1:
        raise Invalid(f"upcast({schema!r}): give the number that is lifted to the next one, from 1")

    def mark(method: F) -> F:
        setattr(method, _UPCAST, schema)
        return method

    return mark


@dataclass(frozen=True, slots=True)
class Rules:
    """A class, looked through."""

    actor: Any
    """The one object of the class that decides and evolves."""
    name: str
    """The class's name."""
    kind: str
    """`x.ticket`."""
    schema: int
    fold: int
    state: Record
    commands: Mapping[type, Record]
    events: Mapping[type, tuple[str, Record]]
    by_name: Mapping[str, Record]
    upcasts: Mapping[int, Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]]]]

    @property
    def state_type(self) -> str:
        return f"{self.kind}.{_STATE}"

    def initial(self) -> Any:
        """Returns what the actor is before anything happened."""
        return self.state.settle(self.state.type())

    def decide(self, state: Any, command: Any, context: ActorContext) -> list[Happened]:
        """Returns what happens.

        Errors:
            Whatever it raises.
            Invalid (`invalid`): it answered what is no event, or can't be stored.
            LimitExceeded (`limit-exceeded`): it answered over 10,000 events.
            ImpureDecider (`impure-decider`): it writes.
        """
        with Running(self.name, self.kind, "decide"):
            try:
                return self.happened(self.actor.decide(state, command, context), EVENTS_MAX)
            except StopIteration as stopped:
                raise self._stopped("decide") from stopped

    def evolve(self, state: Any, event: Any) -> Any:
        """Returns the state after an event, as it will be read back.

        Errors:
            Whatever it raises.
            Invalid (`invalid`): it answered what is no state, or can't be stored.
            ImpureDecider (`impure-decider`): it writes.
        """
        with Running(self.name, self.kind, "evolve"):
            try:
                after = self.actor.evolve(state, event)
            except StopIteration as stopped:
                raise self._stopped("evolve") from stopped
        if type(after) is not self.state.type:
            raise Invalid(
                f"{self.name}.evolve answered {after!r:.64}; it answers a {self.state.type.__name__}", field="evolve"
            )
        return self.state.settle(after)

    def given(self, command: object) -> tuple[str, dict[str, Any], Any]:
        """Returns a command as it is digested, its name and its fields, and as it is decided about: what a caller does
        to a mapping in it meanwhile, or the order that its keys were put in, changes nothing."""
        known = self.commands.get(type(command))
        if known is None:
            names = ", ".join(kind.__name__ for kind in self.commands)
            raise InvalidCommand(
                f"{type(command).__name__} is no command of {self.name}: give one of {names}",
                field="command",
                value=repr(command)[:64],
                rule=f"it is one of {names}",
            )
        try:
            return known.type.__name__, *known.settled(command)
        except Invalid as error:
            raise InvalidCommand(str(error), **error.attributes) from None

    def happened(self, events: object, most: int | None = None) -> list[Happened]:
        """Returns what a decider answered, event by event."""
        if events is None:
            return []
        if type(events) in self.events:
            events = (events,)
        if not isinstance(events, Iterable) or isinstance(events, str | bytes | Mapping):
            raise self._no_event(events)
        stored: list[Happened] = []
        for event in events:
            known = self.events.get(type(event))
            if known is None:
                raise self._no_event(event)
            if len(stored) == most:
                raise LimitExceeded(
                    f"{self.name}.decide answered more than {most:,} events for one command, for which others wait: "
                    "make it several commands, or one event of what they say",
                    what="events of one command",
                    limit=most,
                    actual=most + 1,
                )
            stored.append((f"{self.kind}.{known[0]}", *known[1].settled(event)))
        return stored

    def _stopped(self, method: str) -> Invalid:
        """What a StopIteration becomes: it would end whatever iterates where it comes by."""
        return Invalid(
            f"{self.name}.{method} raised StopIteration: a next() had nothing to give; give it a default", field=method
        )

    def _no_event(self, event: object) -> Invalid:
        names = ", ".join(name for name, _ in self.events.values())
        return Invalid(
            f"{self.name}.decide answered {event!r:.64}; it answers events ({names}), or None", field="decide"
        )

    def put_state(self, state: object) -> dict[str, Any]:
        return self.state.put(state)

    def read_event(self, type_name: str, schema: int, fields: Any, opener: Opener | None) -> Any:
        """Returns the event; None for one that this class does not know, or a later one wrote otherwise."""
        name, fields = self._lifted(type_name.removeprefix(f"{self.kind}."), schema, fields)
        known = self.by_name.get(name)
        if known is None:
            return None
        try:
            return known.take(fields, name, opener)
        except Unreadable as error:
            if schema > self.schema:
                return None
            raise self._unreadable(error, schema) from error

    def read_state(self, schema: int, fields: Any, opener: Opener | None) -> Any:
        _, fields = self._lifted(_STATE, schema, fields)
        try:
            return self.state.take(fields, opener=opener)
        except Unreadable as error:
            if schema > self.schema:
                raise NewerSchema(
                    f"{self.kind} begins with a state that schema {schema} wrote, {self.name} has {self.schema} and "
                    f"can't read it: {error}",
                    actor=self.kind,
                    found=schema,
                    supported=self.schema,
                ) from error
            raise self._unreadable(error, schema) from error

    def unknown_event(self, type_name: str, schema: int, fields: Any) -> str | None:
        """Returns what of a stored event this class does not know; None where it knows all, and where it has a greater
        schema: what it has left out since, it has left out on purpose."""
        if schema < self.schema:
            return None
        name = type_name.removeprefix(f"{self.kind}.")
        known = self.by_name.get(name)
        return f"the event {name}" if known is None else known.unknown(fields, name)

    def unknown_state(self, schema: int, fields: Any) -> str | None:
        """Returns what of a stored state this class does not know, as `unknown_event`."""
        return None if schema < self.schema else self.state.unknown(fields, _STATE)

    def _lifted(self, name: str, schema: int, fields: Any) -> tuple[str, Any]:
        for number in range(schema, self.schema):
            lift = self.upcasts.get(number)
            if lift is None:
                continue
            try:
                lifted = lift(name, fields)
            except StopIteration as stopped:
                raise self._stopped(lift.__name__) from stopped
            except Exception as error:
                error.add_note(f"{self.name}.{lift.__name__}, of a {name} that was stored with schema {number}")
                raise
            match lifted:
                case (str() as name, dict() as fields):
                    continue
            raise Invalid(
                f"{self.name}.{lift.__name__} answered {lifted!r:.64} for a {name}; an upcast answers type and fields: "
                "return type, fields",
                field=lift.__name__,
            )
        return name, fields

    def _unreadable(self, error: Unreadable, schema: int) -> Corrupt:
        return Corrupt(
            f"{self.kind} can't be read: {error}; stored with schema {schema}, {self.name} has {self.schema}: give the "
            "field a default, or write an upcast",
            what="fields",
            which=self.kind,
        )


def rules_of(actor: type[Actor[Any, Any, Any]]) -> Rules:
    """Returns the rules of a class."""
    rules: Rules | None = getattr(actor, "_rules", None)
    if rules is None:
        raise Invalid(
            f"{actor!r} is no actor of yours: class Ticket(treering.Actor[State, Command, Event]), with a kind"
        )
    return rules


def _rules_of(cls: type[Actor[Any, Any, Any]]) -> Rules:
    name = cls.__name__
    if not _KIND.fullmatch(str(cls.kind)) or cls.kind.endswith("-readmodel"):
        raise Invalid(
            f"{name}.kind {cls.kind!r} is no name of a kind: a-z, 0-9 and -, a letter first, at most 62, not ending "
            "with -readmodel; `x.` is put before it",
            field=f"{name}.kind",
        )
    for number in ("schema", "fold"):
        value = getattr(cls, number)
        if type(value) is not int or not 1 <= value < 2**63:
            raise Invalid(f"{name}.{number} {value!r} is not a number from 1 up", field=f"{name}.{number}")
    for method in ("decide", "evolve"):
        if inspect.iscoroutinefunction(getattr(cls, method)) or inspect.isasyncgenfunction(getattr(cls, method)):
            raise Invalid(f"{name}.{method} is asynchronous; it is pure, so it has nothing to wait for")
    state, commands, events = _parameters(cls)
    if len(state) != 1:
        raise Invalid(
            f"{name} has several states; it has one, with a field that says in which way it is", field="state"
        )
    known = record(state[0])
    _expect_lasting_start(known)
    _expect_lasting_defaults(known)
    named = {event: (_name_of(cls, event), record(event)) for event in events}
    by_name = dict(named.values())
    if len(by_name) < len(named) or _STATE in by_name:
        raise Invalid(f"{name}: two events have one name, or one is called State; give others in {name}.names")
    for _, event_record in named.values():
        _expect_lasting_defaults(event_record)
    if len({command.__name__ for command in commands}) < len(commands):
        twice = next(one.__name__ for one in commands if [other.__name__ for other in commands].count(one.__name__) > 1)
        raise Invalid(f"{name}: two commands are called {twice}; a repeated command id could not tell them apart")
    # The class may lack a method still: then it is abstract, and can't be made.
    actor = object.__new__(cls) if not inspect.isabstract(cls) else None
    return Rules(
        actor=actor,
        name=name,
        kind=PREFIX + cls.kind,
        schema=cls.schema,
        fold=cls.fold,
        state=known,
        commands={command: record(command) for command in commands},
        events=named,
        by_name=by_name,
        upcasts=_upcasts(cls, actor),
    )


def _name_of(cls: type[Actor[Any, Any, Any]], event: type) -> str:
    name = cls.names.get(event, event.__name__)
    if not _NAME.fullmatch(name):
        raise Invalid(f"{cls.__name__}: {name!r} is no name of an event: letters, digits and _, at most 128")
    return name


def _expect_lasting_start(known: Record) -> None:
    """What an actor is before anything happened is not stored, so it is to be the same each time.

    Errors:
        Invalid (`invalid`): it can't be made, can't be stored, or is another one the second time.
    """
    name = known.type.__name__
    watch = Watch()
    try:
        with watch:
            made = [known.settled(known.type())[0] for _ in range(2)]
    except TypeError as error:
        raise Invalid(
            f"{name} can't be made without arguments: {error}; give each field a default: what the actor "
            "is before anything happened",
            field=name,
        ) from None
    if watch.seen is None and encode(made[0]) == encode(made[1]):
        return
    field = next((f"{name}.{one}" for one in made[0] if encode(made[0][one]) != encode(made[1][one])), name)
    raise Invalid(
        f"{field} begins with something else each time{_calls(watch)}: what an actor is before anything happened is "
        "made anew with each read; give a fixed default, and let an event set it",
        field=field,
    )


def _expect_lasting_defaults(known: Record) -> None:
    """What a field is that an old event or state lacks is not stored, so it is to be the same each time.

    Errors:
        Invalid (`invalid`): it is another one the second time.
    """
    watch = Watch()
    with watch:
        field = known.changing_default()
    if watch.seen is not None or field is not None:
        path = field or known.type.__name__
        raise Invalid(
            f"{path} has another default each time{_calls(watch)}: what was stored without that field is read with it; "
            "give a fixed one, and the value in decide",
            field=path,
        )


def _calls(watch: Watch) -> str:
    return "" if watch.seen is None else f" ({watch.seen})"


def _parameters(cls: type[Actor[Any, Any, Any]]) -> tuple[tuple[type, ...], tuple[type, ...], tuple[type, ...]]:
    arguments = _arguments(cls)
    if arguments is not None and not any(map(_is_open, arguments)):
        state, commands, events = (_classes(cls, argument) for argument in arguments)
        return state, commands, events
    raise Invalid(
        f"{cls.__name__} does not say what it is of: class {cls.__name__}(treering.Actor[State, Command, Event])"
    )


def _arguments(cls: type) -> tuple[Any, ...] | None:
    """What a class says that it is of, itself or by the classes that it is made of, with type variables filled in."""
    for base in cls.__dict__.get("__orig_bases__", ()):
        origin, given = typing.get_origin(base), typing.get_args(base)
        if origin is Actor:
            return given
        above = _arguments(origin) if isinstance(origin, type) and issubclass(origin, Actor) else None
        if above is not None:
            filled = dict(zip(origin.__parameters__, given, strict=False))
            return tuple(_filled(one, filled) for one in above)
    found = (_arguments(base) for base in cls.__bases__ if base is not Actor and issubclass(base, Actor))
    return next((one for one in found if one is not None), None)


def _is_open(argument: Any) -> bool:
    return isinstance(argument, TypeVar) or (not isinstance(argument, type) and bool(_open_in(argument)))


def _open_in(argument: Any) -> tuple[Any, ...]:
    """The type variables in a union."""
    return getattr(argument, "__parameters__", ())


def _filled(argument: Any, filled: Mapping[Any, Any]) -> Any:
    if isinstance(argument, TypeVar):
        return filled.get(argument, argument)
    inner = () if isinstance(argument, type) else _open_in(argument)
    return argument[tuple(filled.get(one, one) for one in inner)] if inner else argument


def _classes(cls: type, argument: Any) -> tuple[type, ...]:
    if type(argument).__name__ == "TypeAliasType":
        argument = argument.__value__
    union = typing.get_origin(argument) in (typing.Union, types.UnionType)
    members = typing.get_args(argument) if union else (argument,)
    for member in members:
        if not isinstance(member, type):
            raise Invalid(f"{cls.__name__} is of {member!r}, which is no class: define it before")
    return tuple(members)


def _upcasts(cls: type, actor: Any) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for name, member in inspect.getmembers(cls, inspect.isfunction):
        number = getattr(member, _UPCAST, None)
        if number is None:
            continue
        if number in found or number >= cls.schema:  # type: ignore[attr-defined]
            raise Invalid(
                f"{cls.__name__}.{name} lifts schema {number}: one method for each number below {cls.__name__}.schema"
            )
        found[number] = getattr(actor, name)
    return found
