"""Classes as they are looked at: all that is in them is known, or nothing, whoever looks meanwhile."""

import sys
import threading
import types
import typing
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass
from datetime import datetime
from typing import Any, Literal

import pytest

import treering
from treering import Invalid, testing
from treering.own.fields import record


@dataclass(frozen=True)
class Add:
    cents: int = 0


@dataclass(frozen=True)
class Added:
    cents: int = 0


@dataclass(frozen=True)
class Sum:
    cents: int = 0


def of(state: Any = Sum, event: Any = Added, command: Any = Add, evolve: Any = None) -> Any:
    """A class of those."""
    members = {
        "kind": "sum",
        "decide": lambda self, state, command, context: event(command.cents),
        "evolve": evolve or (lambda self, state, event: state),
    }
    base = treering.Actor[state, command, event]
    return types.new_class("Summing", (base,), {}, lambda namespace: namespace.update(members))


@pytest.mark.parametrize(
    ("hint", "says"),
    [
        (typing.Mapping, "Mapping[str, …]"), (Mapping, "Mapping[str, …]"), (types.MappingProxyType, "Mapping[str, …]"),
        (Mapping.__class_getitem__(str), "can't be kept"), (tuple, "tuple[…, ...]"),
        (typing.__dict__["Tuple"], "tuple[…, ...]"),
        (Literal[[1]], "Literal"),  # type: ignore[valid-type]
        (tuple[Literal[[1]], ...], "Literal"), (Literal, "can't be kept"), (typing.Optional, "can't be kept"),  # type: ignore[valid-type]
        (typing.Union, "can't be kept"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrap", [lambda hint: hint, lambda hint: hint | None, lambda hint: Mapping[str, hint]])
def test_a_type_without_what_it_is_of_is_refused_by_name_each_time(hint: Any, says: str, wrap: Any) -> None:
    try:
        hint = wrap(hint)
    except TypeError:
        pytest.skip("typing itself refuses that")
    wrong = make_dataclass("Paid", [("cents", int, 0), ("bad", hint, None)], frozen=True)
    for _ in range(2):
        with pytest.raises(Invalid) as refused:
            of(event=wrong)
        assert refused.value.attributes["field"].startswith("Paid.bad")
        assert says in str(refused.value)


class Stop(BaseException):
    """Ctrl-C while a class is looked at."""


def test_nothing_is_kept_of_a_class_that_could_not_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    hints, failing = typing.get_type_hints, [True]

    def interrupted(kind: type) -> Any:
        if kind.__name__ == "Second" and failing[0]:
            raise Stop
        return hints(kind)

    monkeypatch.setattr(typing, "get_type_hints", interrupted)
    first = make_dataclass("First", [("cents", int, 0)], frozen=True)
    second = make_dataclass("Second", [("cents", int, 0)], frozen=True)
    both = make_dataclass(
        "Both", [("cents", int, 0), ("first", first, first()), ("second", second, second())], frozen=True
    )
    with pytest.raises(Stop):
        of(event=both)
    failing[0] = False
    scope = treering.memory().scope("alice")
    actor = scope.own(of(event=both), "1")
    actor.send(Add(500))
    fields: Any = next(scope.actor("x.sum", "1").history()).message
    assert fields == {"cents": 500, "first": {"cents": 0}, "second": {"cents": 0}}


@dataclass(frozen=True)
class Left:
    right: "Right | None" = None
    when: datetime | None = None


@dataclass(frozen=True)
class Right:
    left: Left | None = None
    cents: int = 0


def test_classes_that_hold_each_other_are_refused_together() -> None:
    for kind in (Left, Right, Left, Right):
        with pytest.raises(Invalid, match=r"Left\.when is datetime"):
            of(state=kind)


@dataclass(frozen=True)
class Trunk:
    branch: "Branch | None" = None
    notes: treering.Vector[str] = field(default_factory=treering.Vector)


@dataclass(frozen=True)
class Branch:
    trunk: Trunk | None = None
    cents: int = 0


def test_what_is_in_classes_that_hold_each_other_is_known_of_both() -> None:
    assert (record(Trunk).has_collections, record(Branch).has_collections) == (True, True)


@dataclass(frozen=True)
class Tree:
    left: "Tree | None" = None
    checked: "Checked | None" = None


@dataclass(frozen=True)
class Checked:
    tree: Tree | None = None

    def __post_init__(self) -> None:
        assert self.tree is None or isinstance(self.tree, Tree)


@dataclass(frozen=True)
class Chain:
    next: "Chain | None" = None


def test_what_is_compared_after_it_is_made() -> None:
    """`settle` hands out what it was given only where nothing can have been made of it."""
    tree, checked, chain = Tree(), Checked(), Chain(Chain())
    assert record(Tree).settle(tree) is not tree
    assert record(Checked).settle(checked) is not checked
    # The constructors that dataclass writes are known as such: else each command would be compared for nothing.
    assert record(Chain).settle(chain) is chain
    slots = dataclass(frozen=True, slots=True, kw_only=True)(type("Slots", (), {"__annotations__": {"cents": int}}))
    one = slots(cents=1)
    assert record(slots).settle(one) is one


def test_a_type_that_is_made_of_itself_is_refused() -> None:
    endless: Any = type("TypeAliasType", (), {})()
    endless.__value__ = tuple[endless, ...]  # As `type Endless = tuple[Endless, ...]` has it.
    wrong = make_dataclass("Endless", [("cents", int, 0), ("all", endless, ())], frozen=True)
    for _ in range(2):
        with pytest.raises(Invalid, match="made of itself"):
            of(event=wrong)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_threads_that_look_at_one_class_together() -> None:
    for _ in range(60):
        vector = ("notes", treering.Vector, field(default_factory=treering.Vector))
        inner = make_dataclass("Inner", [*((f"f{number}", int, 0) for number in range(30)), vector], frozen=True)
        kinds = [make_dataclass("Outer", [("x", inner, field(default_factory=inner))], frozen=True) for _ in range(2)]
        go, known = threading.Barrier(2), []

        def look(kind: type, go: threading.Barrier = go, known: list[bool] = known) -> None:
            go.wait()
            known.append(record(kind).has_collections)

        threads = [threading.Thread(target=look, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert known == [True, True]


Part = make_dataclass(
    "Part", [("cents", int, 0), ("id", str, field(default_factory=lambda: uuid.uuid4().hex))], frozen=True
)


@pytest.mark.parametrize(
    "hint", [Part, Part | None, tuple[Part, ...], tuple[int, Part], Mapping[str, Part], Mapping[str, tuple[Part, ...]]]
)
def test_a_default_in_a_nested_record_that_changes_is_refused(hint: Any) -> None:
    outer = make_dataclass("Outer", [("cents", int, 0), ("part", hint | None, None)], frozen=True)
    for given in ({"event": outer}, {"state": outer}):
        with pytest.raises(Invalid, match=r"Part\.id has another default each time") as refused:
            of(**given)
        assert refused.value.attributes["field"] == "Part.id"
    # A command is made by its caller, once.
    of(command=outer)


def test_a_nested_default_that_stays_and_a_class_in_itself() -> None:
    tags = ("tags", Mapping[str, int], field(default_factory=dict))
    part = make_dataclass("Part", [("cents", int, 0), tags], frozen=True)
    outer = make_dataclass("Outer", [("cents", int, 0), ("parts", tuple[part, ...], ())], frozen=True)  # type: ignore[valid-type]
    of(event=outer)
    of(state=Chain)


def kept(self: Any, title: str = "") -> None:
    object.__setattr__(self, "title", title)


def grown(self: Any, title: str = "") -> None:
    object.__setattr__(self, "title", title + "!")


def late(self: Any, title: str = "") -> None:
    object.__setattr__(self, "title", title + "!" * bool(title))


def titled(constructor: Any) -> Any:
    members = {"__annotations__": {"title": str}, "title": "", "__init__": constructor}
    return dataclass(frozen=True)(type("Titled", (), members))


def test_a_constructor_of_ones_own_is_compared() -> None:
    """What is handed out is what is read back, or it is refused."""
    with pytest.raises(Invalid, match="would be read back as"):
        of(state=titled(grown))
    for constructor, version in ((kept, 20), (late, 0)):
        state = titled(constructor)
        actor = of(state=state, evolve=lambda self, state, event: type(state)(state.title + "x"))
        own = testing.memory().scope("alice").own(actor, "1")
        for _ in range(20):
            if version:
                value: Any = own.send(Add(1)).value
                assert value == own.at(own.get().version).state
            else:
                with pytest.raises(Invalid, match="constructor"):
                    own.send(Add(1))
        assert (own.get().version, own.verify()) == (version, version)


class Odd:
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__new__(cls)


def test_what_else_may_make_something_of_a_value() -> None:
    def asked(self: Any, name: str) -> Any:
        return object.__getattribute__(self, name)

    for base in (Odd, type("Asked", (), {"__getattribute__": asked})):
        kind = dataclass(frozen=True)(type("Kind", (base,), {"__annotations__": {"cents": int}, "cents": 0}))
        one = kind()
        assert record(kind).settle(one) is not one
        assert record(kind).settle(one) == one
