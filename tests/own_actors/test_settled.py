"""What is decided on, what is handed out and what is stored is one and the same: in the order of the stored form, and
nothing in it can be changed in place."""

import copy
import pickle
import random
import tempfile
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import treering
from treering import Invalid, InvalidCommand, Settings, testing
from treering.codec import decode, encode
from treering.own.fields import record

KEYS = st.one_of(st.sampled_from(["z", "b", "aa", "é", "", "\uffff", "\U00010000"]), st.text(max_size=3))


@dataclass(frozen=True)
class Item:
    amounts: Mapping[str, float] = field(default_factory=dict)
    inner: Mapping[str, "Item"] = field(default_factory=dict)
    pair: tuple[str, ...] = ()


@dataclass(frozen=True)
class Set:
    key: str
    item: Item
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class WasSet:
    key: str
    item: Item
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    pass


@dataclass(frozen=True)
class Dropped:
    pass


@dataclass(frozen=True)
class Shelf:
    """Everything whose order could be seen."""

    items: Mapping[str, Item] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=lambda: {"zz": 0, "a": 1})
    seen: tuple[str, ...] = ()
    mean: float = 0
    log: treering.Vector[str] = field(default_factory=treering.Vector)
    by_key: treering.Map[int] = field(default_factory=treering.Map)
    newest: Item = Item({"y": 1, "b": 2})


class Keeper(treering.Actor[Shelf, Set | Drop, WasSet | Dropped]):
    """Looks at the order of whatever it is given, and leaves what it makes in an order of its own."""

    kind = "shelf"

    def decide(self, state: Shelf, command: Set | Drop, context: treering.ActorContext) -> WasSet | Dropped | None:
        if isinstance(command, Drop):
            return Dropped() if state.items else None
        labels = {**dict(reversed(command.labels.items())), "of": len(state.items)}
        return WasSet(command.key, command.item, labels)

    def evolve(self, state: Shelf, event: WasSet | Dropped) -> Shelf:
        if isinstance(event, Dropped):
            first = next(iter(state.items))
            left = {key: item for key, item in reversed(state.items.items()) if key != first}
            return replace(state, items=left, seen=(*state.seen[-8:], first), mean=len(left))
        return replace(
            state,
            items={event.key: event.item, **state.items},
            counts={**event.labels, **state.counts},
            seen=(*state.seen[-8:], *event.labels, *event.item.amounts, *state.counts)[-12:],
            mean=state.mean + 1 if state.items else 1,
            log=state.log.append(event.key),
            by_key=state.by_key.update(event.labels),
            newest=event.item,
        )


def shuffled(values: Any, chance: random.Random) -> Any:
    """The same, with the keys of each mapping in another order."""
    if isinstance(values, Item):
        inner = {key: shuffled(item, chance) for key, item in values.inner.items()}
        return Item(shuffled(values.amounts, chance), shuffled(inner, chance), values.pair)
    pairs = list(values.items())
    chance.shuffle(pairs)
    return dict(pairs)


ITEMS: st.SearchStrategy[Item] = st.recursive(
    st.builds(Item, st.dictionaries(KEYS, st.integers(-9, 9), max_size=3)),
    lambda inner: st.builds(
        Item,
        st.dictionaries(KEYS, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
        st.dictionaries(KEYS, inner, max_size=2),
    ),
    max_leaves=4,
)
COMMANDS = st.one_of(st.builds(Set, KEYS, ITEMS, st.dictionaries(KEYS, st.integers(0, 9), max_size=3)), st.just(Drop()))


def shown(state: Shelf) -> str:
    """A state with all orders and types that can be seen."""
    return repr(replace(state, log=treering.Vector(), by_key=treering.Map())) + repr(
        (list(state.log), list(state.by_key.items()))
    )


@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(COMMANDS, min_size=18, max_size=30), st.integers(0, 2**32), st.booleans())
def test_the_state_is_the_replay(commands: list[Set | Drop], seed: int, development: bool) -> None:
    """Live, of zero, of each snapshot, and in another process: not equal alone, but in the same order."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        how: dict[str, Any] = {"durability": "relaxed", "settings": Settings(development=development)}
        store = testing.open(Path(folder) / "s", **how)
        live = [shown(store.scope("alice").own(Keeper).get().state)]
        for command in commands:
            if isinstance(command, Set):
                labels = shuffled(command.labels, chance)
                command = replace(command, item=shuffled(command.item, chance), labels=labels)
            keeper = store.scope("alice").own(Keeper)
            receipt = keeper.send(command)
            assert receipt.value is not None
            if receipt.changed:
                live.append(shown(receipt.value))
            assert (shown(keeper.get().state), receipt.version) == (live[-1], len(live) - 1)
            if chance.random() < 0.2:
                store.close()
                store = testing.open(Path(folder) / "s", **how)
                keeper = store.scope("alice").own(Keeper)
                assert shown(keeper.get().state) == live[-1]
            if chance.random() < 0.05:
                keeper.rebuild()
        keeper = store.scope("alice").own(Keeper)
        folder_of = keeper._at().folder
        for version, state in enumerate(live):
            assert shown(keeper.at(version).state) == state
            loaded = folder_of.core.load(version)
            assert shown(folder_of.folded(loaded, None).state) == shown(folder_of.from_events(loaded).state) == state
        for known in range(0, len(live), 5):
            again = folder_of.folded(folder_of.core.load(None), folder_of.at(known))
            assert shown(again.state) == live[-1]
        assert (keeper.verify(), store.verify().ok) == (len(live) - 1, True)
        messages = [repr(event.message) for event in keeper.history()]
        store.close()
    # Without a store the same happens.
    tried = testing.given(Keeper)
    for command in commands:
        done = tried.when(command)
        assert [repr(event) for event in done.events] == messages[: len(done.events)]
        messages = messages[len(done.events) :]
        tried = done._after
    assert shown(tried.state) == live[-1]


@pytest.mark.parametrize("development", [False, True])
def test_what_was_read_can_not_be_changed(development: bool) -> None:
    store = treering.memory(settings=Settings(development=development))
    keeper = store.scope("alice").own(Keeper)
    labels = {"x": 1}
    with store.scope("alice").commit() as c:
        c.own(Keeper).send(Set("a", Item(), labels))
        labels["y"] = 2
    receipt = keeper.send(Set("b", Item({"z": 1})))
    assert receipt.value is not None
    begins = store.scope("alice").own(Keeper, "new").get().state
    for state in (receipt.value, keeper.get().state, keeper.at(1).state, begins, testing.given(Keeper).state):
        for mapping in (state.counts, state.items, state.newest.amounts):
            for change in (
                lambda m: m.update(hacked=1),
                lambda m: m.pop("a", None),
                lambda m: m.__setitem__("a", 1),
                lambda m: m.setdefault("q", 1),
                lambda m: m.clear(),
                lambda m: m.__ior__({"a": 1}),
                lambda m: m.popitem(),
            ):
                with pytest.raises(TypeError, match="make another one"):
                    change(mapping)
            assert {**mapping, "a": 1} == mapping | {"a": 1}
            assert copy.deepcopy(mapping) == mapping == pickle.loads(pickle.dumps(mapping))
    assert "y" not in keeper.get().state.counts
    assert repr(keeper.get().state.mean) == repr(keeper.at(2).state.mean) == "2.0"


@dataclass(frozen=True)
class Held:
    by_key: Mapping[str, int]


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.integers(0, 9), max_size=8))
def test_keys_are_in_the_order_of_the_stored_form(values: dict[str, int]) -> None:
    stored, value = record(Held).settled(Held(dict(reversed(values.items()))))
    assert list(stored["by_key"]) == list(value.by_key) == list(decode(encode(values)))


def test_what_a_constructor_makes_of_its_own_fields() -> None:
    """Something else each time: it would be another value each time that it is read."""

    @dataclass(frozen=True)
    class Grows:
        number: int = 0

        def __post_init__(self) -> None:
            object.__setattr__(self, "number", self.number + 1)

    @dataclass(frozen=True)
    class Clips:
        """Leaves what it made as it is, and is let through."""

        number: int = 0

        def __post_init__(self) -> None:
            object.__setattr__(self, "number", min(self.number, 10))

    def kind_of(state: Any, command: Any, event: Any) -> Any:
        class Made(treering.Actor[state, command, event]):
            kind = "made"

            def decide(self, before: Any, command: Any, context: treering.ActorContext) -> Any:
                return event(command.number)

            def evolve(self, before: Any, event: Any) -> Any:
                return state(event.number)

        return Made

    with pytest.raises(Invalid, match="__post_init__ must leave as they are"):
        kind_of(Grows, Clips, Clips)
    alice = treering.memory().scope("alice")
    with pytest.raises(InvalidCommand, match="__post_init__ must leave as they are"):
        alice.own(kind_of(Clips, Grows, Clips)).send(Grows(1))
    with pytest.raises(Invalid, match="__post_init__ must leave as they are"):
        alice.own(kind_of(Clips, Clips, Grows)).send(Clips(1))
    clipping = alice.own(kind_of(Clips, Clips, Clips))
    assert clipping.send(Clips(99)).value == clipping.at(1).state == Clips(10)

    @dataclass(frozen=True)
    class Given:
        base: InitVar[int]
        number: int = 0

    with pytest.raises(Invalid, match=r"Given\.base is given to the constructor and not kept"):
        kind_of(Clips, Clips, Given)

    class Pair(NamedTuple):
        first: str
        second: str

    # What is more than it says is read back as what it says.
    assert type(record(Item).settled(Item(pair=Pair("a", "b")))[1].pair) is tuple


def test_values_that_are_nested_too_deep() -> None:
    value = Item()
    for _ in range(5_000):
        value = Item(inner={"a": value})
    keeper = treering.memory().scope("alice").own(Keeper)
    with pytest.raises(InvalidCommand, match="nested too deep"):
        keeper.send(Set("a", value))
    for depth in (100, 200, 300, 400):
        value = Item()
        for _ in range(depth):
            value = Item(inner={"a": value})
        with pytest.raises(treering.TreeringError):
            keeper.send(Set("a", value))
    assert keeper.get().version == 0
    with pytest.raises(Invalid):
        keeper.send(Set("\ud800", Item()))
    with pytest.raises(Invalid):
        keeper.send(Set("a", Item(), {"\ud800": 1}))


S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E")


def test_a_generic_base() -> None:
    class Base(treering.Actor[S, C | Drop, E], Generic[S, C, E]):
        def evolve(self, state: S, event: E) -> S:
            return state

    class Narrower(Base[Shelf, C, WasSet | Dropped]):
        pass

    class Whole(Narrower[Set]):
        kind = "whole"

        def decide(self, state: Shelf, command: Set | Drop, context: treering.ActorContext) -> Any:
            return Dropped()

    class Further(Whole):
        kind = "further"

    alice = treering.memory().scope("alice")
    for actor in (Whole, Further):
        assert alice.own(actor).send(Drop()).version == 1
        assert alice.own(actor).send(Set("a", Item())).value == alice.own(actor, "new").get().state
    with pytest.raises(Invalid, match="does not say what it is of"):

        class Open(Narrower[C]):
            kind = "open"

    class Nothing(Whole):
        kind = None  # type: ignore[assignment]

    with pytest.raises(Invalid, match="with a kind"):
        alice.own(Nothing)


def test_two_commands_of_one_name() -> None:
    def one() -> type:
        @dataclass(frozen=True)
        class Add:
            number: int = 0

        return Add

    with pytest.raises(Invalid, match="two commands are called Add"):

        class Adder(treering.Actor[Shelf, one() | one(), Dropped]):  # type: ignore[misc]
            kind = "adder"


def test_an_upcast_that_answers_nothing() -> None:
    class Old(Keeper):
        pass

    class New(Keeper):
        schema = 2

        @treering.upcast(1)
        def _lifts(self, type: str, fields: dict[str, Any]) -> Any:
            if "raise" in fields.get("labels", {}):
                raise KeyError("no such field")

    alice = treering.memory().scope("alice")
    alice.own(Old, "1").send(Set("a", Item()))
    alice.own(Old, "2").send(Set("a", Item(), {"raise": 1}))
    with pytest.raises(Invalid, match=r"New\._lifts answered None for a WasSet"):
        alice.own(New, "1").get()
    with pytest.raises(KeyError) as error:
        alice.own(New, "2").get()
    assert "New._lifts, of a WasSet that was stored with schema 1" in error.value.__notes__
