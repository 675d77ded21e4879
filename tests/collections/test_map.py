"""`treering.Map` beside a plain dict: what it holds, what a change writes, and what is told of a lost block."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

import treering
from treering import Map
from treering.testing import Clock, memory

KEYS = st.one_of(st.integers(0, 30).map(str), st.text(max_size=5))
VALUES = st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=90), st.none())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[treering.Store]:
    with treering.open(tmp_path / "state") as opened:
        yield opened


def ids(count: int) -> dict[str, int]:
    return {f"01J9ZK3QW8{number:016}": number for number in range(count)}


class Maps(RuleBasedStateMachine):
    """Versions of maps, kept beside what they must hold; some are put into a store and read back from there."""

    versions: Bundle[tuple[Map[Any], dict[str, Any]]] = Bundle("versions")

    def __init__(self) -> None:
        super().__init__()
        self.store = treering.memory()

    def checked(self, made: Map[Any], model: dict[str, Any]) -> tuple[Map[Any], dict[str, Any]]:
        assert len(made) == len(model)
        assert dict(made.entries()) == model
        assert set(made) == set(made.keys()) == set(model)
        assert dict(made.items()) == model
        assert made == Map(model)
        return made, model

    @rule(target=versions, entries=st.dictionaries(KEYS, VALUES, max_size=60))
    def new(self, entries: dict[str, Any]) -> tuple[Map[Any], dict[str, Any]]:
        return self.checked(Map(entries), entries)

    @rule(target=versions, of=versions, entries=st.dictionaries(KEYS, VALUES, max_size=60))
    def update(self, of: tuple[Map[Any], dict[str, Any]], entries: dict[str, Any]) -> tuple[Map[Any], dict[str, Any]]:
        made, model = of
        return self.checked(made.update(entries), model | entries)

    @rule(target=versions, of=versions, key=KEYS, value=VALUES)
    def insert(self, of: tuple[Map[Any], dict[str, Any]], key: str, value: Any) -> tuple[Map[Any], dict[str, Any]]:
        made, model = of
        return self.checked(made.insert(key, value), {**model, key: value})

    @rule(target=versions, of=versions, key=KEYS)
    def remove(self, of: tuple[Map[Any], dict[str, Any]], key: str) -> tuple[Map[Any], dict[str, Any]]:
        made, model = of
        if key not in model:
            with pytest.raises(KeyError):
                made.remove(key)
            return of
        return self.checked(made.remove(key), {other: value for other, value in model.items() if other != key})

    @rule(of=versions, key=KEYS)
    def get(self, of: tuple[Map[Any], dict[str, Any]], key: str) -> None:
        made, model = of
        assert (key in made) is (key in model)
        assert made.get(key, "no") == model.get(key, "no")
        if key in model:
            assert made[key] == model[key]
        else:
            with pytest.raises(KeyError) as raised:
                made[key]
            assert not isinstance(raised.value, treering.TreeringError)

    @rule(target=versions, of=versions)
    def put(self, of: tuple[Map[Any], dict[str, Any]]) -> tuple[Map[Any], dict[str, Any]]:
        made, model = of
        stored = self.store.blocks.map(self.store.blocks.put_node(made))
        self.checked(made, model)
        return self.checked(stored, model)


def test_it_is_a_dict() -> None:
    run_state_machine_as_test(Maps)


def test_it_is_a_mapping_and_equals_no_dict() -> None:
    made = Map({"a": 1, "b": [2]})
    assert isinstance(made, Mapping)
    assert sorted(made.keys()) == ["a", "b"]
    assert sorted(map(str, made.values())) == ["1", "[2]"]
    assert ("a", 1) in made.items()
    assert made != {"a": 1, "b": [2]}
    assert Map([("b", [2]), ("a", 0), ("a", 1)]) == made
    assert hash(Map(made)) == hash(made)
    assert dict(**made) == {"a": 1, "b": [2]}
    assert 3 not in made
    assert made.get("\udc00") is None
    assert repr(made) == f"<Map of 2 {made.cid.short()}>"


def test_what_can_not_be_an_entry_is_refused() -> None:
    made = Map({"a": 1})
    with pytest.raises(TypeError, match="a key is a str, not int"):
        made.update({3: 1})  # type: ignore[dict-item]
    with pytest.raises(treering.Invalid, match="surrogate"):
        made.insert("\udc00", 1)
    with pytest.raises(treering.LimitExceeded) as raised:
        made.insert("k" * 1025, 1)
    assert (raised.value.limit, raised.value.actual) == (1024, 1025)
    with pytest.raises(treering.LimitExceeded):
        made.insert("k", b"x" * (1 << 20))  # type: ignore[arg-type]
    with pytest.raises(treering.Invalid):
        made.insert("k", float("nan"))  # type: ignore[arg-type]
    assert dict(made) == {"a": 1}


def test_an_insert_among_a_hundred_thousand_writes_a_way(store: treering.Store) -> None:
    made = Map(ids(100_000))
    cid = store.blocks.put_node(made)
    nodes = store.stats()["nodes"]
    made = store.blocks.map(cid)
    for number in range(40):
        before = store.counters()
        made = made.insert(f"new {number}", number)
        store.blocks.put_node(made)
        after = store.counters()
        assert after["blocks_read"] - before["blocks_read"] <= 5
        assert after["blocks_written"] - before["blocks_written"] <= 6
        assert after["block_bytes_written"] - before["block_bytes_written"] <= 6_500
    before = store.counters()
    assert made["01J9ZK3QW8" + f"{77:016}"] == 77
    assert store.counters()["blocks_read"] - before["blocks_read"] <= 4
    # All of it: each block once, and again the way to each part of some hundred entries.
    before = store.counters()
    assert sum(made.values()) == sum(range(100_000)) + sum(range(40))
    assert store.counters()["blocks_read"] - before["blocks_read"] < nodes * 1.3


def test_a_lost_block_is_not_an_absent_key() -> None:
    clock = Clock()
    store = memory(clock=clock)
    made = Map(ids(500))
    store.blocks.put_node(made)
    clock.advance(25 * 3_600_000)
    store.gc()
    key = next(iter(ids(1)))
    for look in (lambda: key in made, lambda: made.get(key), lambda: made[key], lambda: made.insert("new", 1)):
        with pytest.raises(treering.NotFound):
            look()


def test_a_block_that_is_no_map(store: treering.Store) -> None:
    with pytest.raises(treering.Invalid, match="not the root of a map"):
        store.blocks.map(store.blocks.put_node(treering.Vector()))
    lies = store.blocks.put_node({"kind": "map", "count": 2, "top": [1 << 23, ["ticket-812", [1]]]})
    with pytest.raises(treering.Corrupt):
        list(store.blocks.map(lies))


def test_a_pickle_carries_all_of_it(store: treering.Store) -> None:
    made = store.blocks.map(store.blocks.put_node(Map(ids(200) | {"long": "x" * 100})))
    data = pickle.dumps(made.remove("long").insert("longer", "y" * 100))
    store.close()
    again = pickle.loads(data)
    assert type(again) is Map
    assert dict(again) == ids(200) | {"longer": "y" * 100}
