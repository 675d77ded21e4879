"""What may stand in a state, an event, a command: each type there and back, and all else refused when the class is
made."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional, Union

import pytest

import treering
from treering import Cid, Invalid, InvalidCommand, testing
from treering.own.fields import record

Id = NewType("Id", str)


SOME = Cid.of(b"x")


class Colour(Enum):
    RED = "red"


class Rank(IntEnum):
    FIRST = 1


@dataclass(frozen=True, slots=True)
class Leaf:
    name: str
    inner: "Leaf | None" = None


@dataclass(frozen=True, kw_only=True)
class Everything:
    text: str = "é\0"
    whole: int = -(2**64)
    large: int = 2**64 - 1
    flag: bool = True
    real: float = -0.0
    raw: bytes = b"\0\xff"
    nothing: None = None
    cid: Cid = SOME
    colour: Colour = Colour.RED
    rank: Rank = Rank.FIRST
    word: Literal["a", 1, True, None] = 1
    leaf: Leaf = Leaf("a", Leaf("b"))
    leaves: tuple[Leaf, ...] = (Leaf("a"), Leaf("b", Leaf("c")))
    pair: tuple[int, str] = (1, "x")
    empty: tuple[int, ...] = ()
    by_name: Mapping[str, tuple[Leaf, ...]] = field(default_factory=lambda: {"é": (Leaf("a"),), "": ()})
    maybe: Leaf | None = None
    perhaps: Optional[int] = 3  # noqa: UP045 - the old form, too
    either: Union[bytes, None] = b"x"  # noqa: UP007
    id: Id = Id("i")
    noted: Annotated[int, "some note"] = 7
    long: treering.Vector[Any] = field(default_factory=lambda: treering.Vector(["a", 1, None, {"b": [2.5]}] * 20))
    large_map: treering.Map[int] = field(default_factory=lambda: treering.Map({str(n): n for n in range(50)}))
    lists: tuple[treering.Vector[str], ...] = (treering.Vector(["x"]), treering.Vector())


@dataclass(frozen=True)
class Take:
    all: Everything


@dataclass(frozen=True)
class Taken:
    all: Everything


@dataclass(frozen=True)
class Kept:
    all: Everything = Everything()


class Keeper(treering.Actor[Kept, Take, Taken]):
    kind = "keeper"

    def decide(self, state: Kept, command: Take, context: treering.ActorContext) -> Taken:
        return Taken(command.all)

    def evolve(self, state: Kept, event: Taken) -> Kept:
        return Kept(event.all)


def test_each_type_there_and_back(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "s")
    file = store.blocks.put(b"a file")
    other = Everything(cid=file, real=0.1, maybe=Leaf("m"), perhaps=None, word="a", flag=False)
    keeper = store.scope("alice").own(Keeper)
    for number in range(18):
        keeper.send(Take(other if number % 2 else Everything(cid=file)))
    store.close()
    store = treering.open(tmp_path / "s")
    keeper = store.scope("alice").own(Keeper)
    # One was read from its snapshot and the events behind it, the other of the events alone.
    assert keeper.get().state == Kept(other) == keeper.at(2).state
    assert keeper.at(1).state == keeper.at(17).state == Kept(Everything(cid=file))
    assert str(keeper.get().state.all.real) == "0.1"
    assert str(Everything().real) == "-0.0"
    assert list(keeper.at(3).state.all.long) == ["a", 1, None, {"b": [2.5]}] * 20
    assert keeper.verify() == 18
    # A file that a state names is kept as long as the state.
    hold = next(store.scope("main").holds())
    hold.release()
    store.gc()
    assert store.blocks.get(keeper.get().state.all.cid) == b"a file"
    store.close()


def test_a_link_must_lead_somewhere() -> None:
    keeper = testing.memory().scope("alice").own(Keeper)
    with pytest.raises(Invalid):
        keeper.send(Take(Everything(cid=Cid.of(b"nowhere"))))
    assert keeper.get().version == 0


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        ("text", 1), ("text", None), ("whole", True), ("whole", 1.0), ("whole", "1"), ("flag", 1), ("real", "1"),
        ("real", True), ("raw", "x"), ("raw", bytearray(b"x")), ("cid", str(Cid.of(b"x"))), ("colour", "red"),
        ("rank", 1), ("word", "b"), ("word", 1.0), ("leaf", None), ("leaf", {"name": "a"}), ("leaves", [Leaf("a")]),
        ("pair", (1,)), ("pair", ("x", 1)), ("by_name", {1: ()}), ("by_name", {"a": [Leaf("a")]}), ("by_name",
        treering.Map()), ("maybe", 0), ("long", ["a"]), ("long", treering.Map()), ("large_map", {"a": 1}), ("nothing",
        False), ("leaf", Leaf(3)), ("lists", (treering.Map(),)),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_by_name(field_name: str, value: Any) -> None:
    keeper = testing.memory().scope("alice").own(Keeper)
    with pytest.raises(InvalidCommand) as refused:
        keeper.send(Take(Everything(**{field_name: value})))
    assert f"all.{field_name}" in str(refused.value)
    assert refused.value.attributes["field"].startswith(f"Take.all.{field_name}")
    assert keeper.get().version == 0


@pytest.mark.parametrize(("field_name", "value"), [("real", float("nan")), ("whole", 2**64), ("text", "\ud800")])
def test_a_value_that_can_not_be_stored_is_refused(field_name: str, value: Any) -> None:
    keeper = testing.memory().scope("alice").own(Keeper)
    with pytest.raises(Invalid):
        keeper.send(Take(Everything(**{field_name: value})))
    assert keeper.get().version == 0


class Ordinary:
    pass


@dataclass
class Changeable:
    x: int = 0


@pytest.mark.parametrize(
    ("hint", "says"),
    [
        (list[int], "tuple"), (dict[str, int], "Mapping"), (set[str], "tuple"), (frozenset[str], "tuple"),
        (datetime, "at_ms"), (date, "ISO"), (Any, "say what"), (object, "say what"), (Ordinary, "Ordinary"),
        (Decimal, "Decimal"), (int | str, "several types"), (Leaf | Kept | None, "several types"), (Sequence[int],
        "tuple"), (bytearray, "bytes"), (Mapping[int, str], "keys"), (tuple[list[int], ...], "tuple"), (Mapping[str,
        datetime], "at_ms"), (treering.Vector[Leaf], "plain values"), (treering.Map[tuple[int, ...]], "plain values"),
        (Changeable, "frozen"), (Literal[b"x"], "Literal"), (typing.TypeVar("T"), "T"), (type, "type"), (complex,
        "complex"),
    ],
)  # fmt: skip
def test_a_type_that_can_not_be_kept_is_refused_by_name(hint: Any, says: str) -> None:
    wrong = dataclass(frozen=True)(
        type("Wrong", (), {"__annotations__": {"fine": int, "bad": hint}, "__module__": __name__})
    )
    for _ in range(2):
        with pytest.raises(Invalid) as refused:
            record(wrong)
        assert "bad" in str(refused.value) or "Changeable" in str(refused.value)
        assert says in str(refused.value)


def made(name: str = "Wrong", base: Any = treering.Actor[Kept, Take, Taken], **members: Any) -> Any:
    given: dict[str, Any] = {"decide": Keeper.decide, "evolve": Keeper.evolve, "kind": "wrong", **members}
    return typing.cast(Any, __import__("types").new_class(name, (base,), {}, lambda namespace: namespace.update(given)))


@dataclass(frozen=True)
class NeedsMore:
    x: int


@dataclass(frozen=True)
class State:
    x: int = 0


async def later(self: Any, state: Any, command: Any, context: Any) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: made(kind="Ticket"), "no name of a kind"), (lambda: made(kind="a" * 63), "no name of a kind"),
        (lambda: made(kind="a-readmodel"), "readmodel"), (lambda: made(kind=3), "no name of a kind"),
        (lambda: made(schema=0), "schema"), (lambda: made(fold="1"), "fold"), (lambda: made(decide=later),
        "asynchronous"), (lambda: made(base=treering.Actor), "does not say what it is of"),
        (lambda: made(base=treering.Actor[NeedsMore, Take, Taken]), "without arguments"),
        (lambda: made(base=treering.Actor[Kept | State, Take, Taken]), "several states"),
        (lambda: made(base=treering.Actor[Kept, Take, State]), "called State"),
        (lambda: made(base=treering.Actor[Kept, int, Taken]), "int is no dataclass"),
        (lambda: made(base=treering.Actor[Kept, Take, Changeable]), "frozen"),
        (lambda: made(base=treering.Actor["Kept", Take, Taken]), "no class"),
        (lambda: made(names={Taken: "a b"}), "no name of an event"),
        (lambda: made(base=treering.Actor[Kept, Take, Taken | Leaf], names={Taken: "Leaf"}), "one name"),
        (lambda: made(lift=treering.upcast(1)(lambda self, type, fields: (type, fields))), "lifts schema 1"),
        (lambda: treering.upcast(0), "upcast"),
    ],
)  # fmt: skip
def test_a_class_that_can_not_be_used_is_refused_when_it_is_made(wrong: Any, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        wrong()


def test_a_class_without_a_method_can_not_be_used() -> None:
    class Half(treering.Actor[Kept, Take, Taken]):
        kind = "half"

        def evolve(self, state: Kept, event: Taken) -> Kept:
            return state

    with pytest.raises(Invalid, match="no decide"):
        testing.memory().scope("alice").own(Half)


def test_what_decide_and_evolve_may_not_answer() -> None:
    answer: list[Any] = [None]

    class Odd(treering.Actor[State, Take, Taken]):
        kind = "odd"

        def decide(self, state: State, command: Take, context: treering.ActorContext) -> Any:
            return answer[0]

        def evolve(self, state: State, event: Taken) -> Any:
            return State("x") if event.all.whole == 1 else None  # type: ignore[arg-type]

    store = treering.memory()
    odd = store.scope("alice").own(Odd)
    for wrong in ("text", 3, State(), [Taken(Everything()), State()], {"all": 1}, Taken(3)):  # type: ignore[arg-type]
        answer[0] = wrong
        with pytest.raises(Invalid):
            odd.send(Take(Everything(cid=store.blocks.put(b"x"))))
    for number, says in ((1, "State.x is 'x', not an int"), (2, "answers a State")):
        answer[0] = Taken(Everything(cid=store.blocks.put(b"x"), whole=number))
        with pytest.raises(Invalid, match=says):
            odd.send(Take(Everything(cid=store.blocks.put(b"x"))))
    assert odd.get().version == 0
    with pytest.raises(AttributeError, match="keeps nothing"):
        Odd().x = 3


def test_all_fields_are_stored() -> None:
    assert record(Everything).put(Everything()).keys() == Everything.__dataclass_fields__.keys()
