"""`treering.Vector` beside a plain list: what it holds, what a change writes, where its blocks are."""

import gc
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule, run_state_machine_as_test

import treering
from treering import Vector
from treering.testing import Clock, memory

ELEMENTS = st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=90), st.lists(st.none(), max_size=3))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[treering.Store]:
    with treering.open(tmp_path / "state") as opened:
        yield opened


def wrote(store: treering.Store, value: object) -> tuple[int, int]:
    """Puts a value; returns how many blocks and bytes of blocks that wrote."""
    before = store.counters()
    store.blocks.put_node(value)
    after = store.counters()
    return tuple(after[name] - before[name] for name in ("blocks_written", "block_bytes_written"))  # type: ignore[return-value]


def message(number: int) -> str:
    return f"{number:05} " + "x" * 2000


class Lists(RuleBasedStateMachine):
    """Versions of lists, kept beside what they must hold; some are put into a store and read back from there."""

    versions: Bundle[tuple[Vector[Any], list[Any]]] = Bundle("versions")

    def __init__(self) -> None:
        super().__init__()
        self.store = treering.memory()

    def checked(self, vector: Vector[Any], model: list[Any]) -> tuple[Vector[Any], list[Any]]:
        assert len(vector) == len(model)
        assert list(vector) == model
        assert list(reversed(vector)) == model[::-1]
        return vector, model

    @rule(target=versions, elements=st.lists(ELEMENTS, max_size=70))
    def new(self, elements: list[Any]) -> tuple[Vector[Any], list[Any]]:
        return self.checked(Vector(elements), elements)

    @rule(target=versions, of=versions, elements=st.lists(ELEMENTS, max_size=70))
    def extend(self, of: tuple[Vector[Any], list[Any]], elements: list[Any]) -> tuple[Vector[Any], list[Any]]:
        vector, model = of
        return self.checked(vector.extend(iter(elements)), model + elements)

    @rule(target=versions, of=versions, element=ELEMENTS)
    def append(self, of: tuple[Vector[Any], list[Any]], element: Any) -> tuple[Vector[Any], list[Any]]:
        vector, model = of
        return self.checked(vector.append(element), [*model, element])

    @rule(target=versions, of=versions, count=st.integers(0, 80))
    def drop_front(self, of: tuple[Vector[Any], list[Any]], count: int) -> tuple[Vector[Any], list[Any]]:
        vector, model = of
        dropped = vector.drop_front(count)
        assert dropped.start == vector.start + min(count, len(model))
        return self.checked(dropped, model[count:])

    @rule(target=versions, of=versions, count=st.integers(0, 80))
    def drop_back(self, of: tuple[Vector[Any], list[Any]], count: int) -> tuple[Vector[Any], list[Any]]:
        vector, model = of
        return self.checked(vector.drop_back(count), model[: max(0, len(model) - count)])

    @rule(target=versions, of=versions, index=st.integers(-200, 200), element=ELEMENTS)
    def set(self, of: tuple[Vector[Any], list[Any]], index: int, element: Any) -> tuple[Vector[Any], list[Any]]:
        vector, model = of
        if not -len(model) <= index < len(model):
            with pytest.raises(IndexError, match=f"no element {index} in a vector of {len(model)}"):
                vector.set(index, element)
            return of
        changed = list(model)
        changed[index] = element
        return self.checked(vector.set(index, element), changed)

    @rule(of=versions, index=st.integers(-200, 200))
    def get(self, of: tuple[Vector[Any], list[Any]], index: int) -> None:
        vector, model = of
        try:
            expected = model[index]
        except IndexError:
            with pytest.raises(IndexError):
                vector[index]
        else:
            assert vector[index] == expected
            assert expected in vector

    @rule(of=versions, places=st.slices(150))
    def slice(self, of: tuple[Vector[Any], list[Any]], places: slice) -> None:
        vector, model = of
        assert vector[places] == model[places]

    @rule(target=versions, of=consumes(versions))
    def put(self, of: tuple[Vector[Any], list[Any]]) -> tuple[Vector[Any], list[Any]]:
        vector, model = of
        cid = self.store.blocks.put_node({"it": vector})
        stored = self.store.blocks.vector(self.store.blocks.get_node(cid)["it"])
        assert stored == vector
        assert hash(stored) == hash(vector)
        self.checked(vector, model)
        return self.checked(stored, model)


def test_it_is_a_list() -> None:
    run_state_machine_as_test(Lists)


@given(st.lists(ELEMENTS, max_size=40), st.lists(ELEMENTS, max_size=40))
def test_equal_is_same_elements_and_start(one: list[Any], other: list[Any]) -> None:
    assert (Vector(one) == Vector(other)) is (one == other)
    assert (Vector([0, *one]).drop_front(1) == Vector(one)) is False


def test_it_is_a_sequence_and_equals_no_list() -> None:
    vector = Vector(["a", "b", "a"])
    assert isinstance(vector, Sequence)
    assert vector.count("a") == 2
    assert vector.index("b") == 1
    assert vector != ["a", "b", "a"]
    assert {vector: 1}[Vector(vector)] == 1
    assert Vector(vector) is not vector
    assert not Vector()
    assert Vector[str](["x"])[0] == "x"


def test_what_no_node_holds_is_refused() -> None:
    vector = Vector([1])
    with pytest.raises(treering.LimitExceeded):
        vector.append("x" * (1 << 20))
    with pytest.raises(treering.Invalid, match="set"):
        vector.extend([2, {3}])
    with pytest.raises(treering.Invalid):
        vector.drop_front(-1)
    with pytest.raises(TypeError):
        vector["a"]  # type: ignore[call-overload]
    assert list(vector) == [1]


def test_appends_to_ten_thousand_write_two_blocks_each(store: treering.Store) -> None:
    vector = Vector(message(number) for number in range(10_000))
    blocks, _ = wrote(store, vector)
    # Elements; leaves but the last; nodes above them; the root.
    assert blocks == 10_000 + 312 + 10 + 1 + 1
    total_blocks = total_bytes = 0
    for number in range(10_000, 10_064):
        vector = vector.append(message(number))
        blocks, size = wrote(store, vector)
        assert blocks <= 5
        total_blocks, total_bytes = total_blocks + blocks, total_bytes + size
    assert total_blocks == 64 * 2 + 2 * 3
    assert total_bytes < 64 * (2_020 + 1_000)


def test_only_the_way_is_read(store: treering.Store) -> None:
    cid = store.blocks.put_node(Vector(message(number) for number in range(10_000)))

    def reads(vector: Vector[Any], places: Any) -> int:
        before = store.counters()["blocks_read"]
        vector[places]
        return store.counters()["blocks_read"] - before

    before = store.counters()["blocks_read"]
    vector = store.blocks.vector(cid)
    assert store.counters()["blocks_read"] - before == 1
    assert reads(vector, 5_000) == 4  # two nodes, a leaf, the element
    assert reads(vector, -1) == 1  # the last leaf stands in the root
    # Forty elements, of three leaves, and the nodes above.
    assert reads(vector, slice(4_980, 5_020)) <= 40 + 3 * 3


def test_a_step_brings_what_is_new_in_one_commit(store: treering.Store) -> None:
    history: Vector[str] = Vector()
    thread = store.threads.start("chat", parameters={"seen": Vector(["x" * 100])}, prompt=Vector(["y" * 100]))
    for number in range(100):
        history = history.append(message(number))
        before = store.stats()
        thread.append("coder", {"history": history}, meta={"tools": treering.Map({"a": "z" * 100})})
        after = store.stats()
        assert after["commits"] - before["commits"] == 1
        assert after["blocks"] - before["blocks"] <= 9
    thread.compact(Vector(["so far", "w" * 100]))
    with store.scope("main").commit() as commit:
        longer = history.append("v" * 100)
        commit.put_node({"it": longer})
        commit.threads[thread].append("coder", longer.append("u" * 100))
        commit.threads.start("other", prompt=longer.append("t" * 100))
    assert store.verify().ok
    step = thread.at(100)
    assert list(store.blocks.vector(step.content["history"])) == [message(number) for number in range(100)]
    assert store.blocks.vector(thread.at(102).content)[-1] == "u" * 100
    assert store.blocks.map(step.meta["tools"])["a"] == "z" * 100
    for hold in store.holds():
        hold.release()
    store.gc()
    assert store.verify().ok
    assert len(history) == len(list(history))


def test_what_nothing_reaches_is_held_and_then_gone() -> None:
    clock = Clock()
    store = memory(clock=clock)
    vector = Vector(message(number) for number in range(100))
    store.blocks.put_node(vector)
    store.gc()
    assert vector[0] == message(0)
    clock.advance(25 * 3_600_000)
    store.gc()
    with pytest.raises(treering.NotFound) as raised:
        vector[0]
    assert raised.value.attributes["cid"].codec == "dag-cbor"
    with pytest.raises(treering.Invalid, match="link"):
        store.blocks.put_node(vector)


def test_a_block_that_is_no_root(store: treering.Store) -> None:
    raw, node = store.blocks.put(b"x"), store.blocks.put_node({"kind": "vectors"})
    other = store.blocks.put_node(treering.Map())
    for cid in (raw, node, other, store.threads.start("x").start.cid):
        with pytest.raises(treering.Invalid, match="not the root of a vector"):
            store.blocks.vector(cid)
    with pytest.raises(treering.NotFound):
        store.blocks.vector(treering.Cid.of_node("absent"))
    root = store.blocks.put_node({"kind": "vector", "start": 0, "end": 33, "tail": [[32]], "tree": node})
    with pytest.raises(treering.Corrupt):
        store.blocks.vector(root)[0]
    assert store.blocks.vector(str(root))[-1] == 32


def test_another_store_gets_all_of_it(store: treering.Store) -> None:
    vector = Vector(message(number) for number in range(40))
    store.blocks.put_node(vector)
    with treering.memory() as other:
        other.blocks.put_node({"it": vector.append("more")})
        assert list(other.blocks.vector(vector.append("more").cid))[:40] == list(vector)
    store.close()
    with pytest.raises(treering.Closed):
        list(vector)


def test_a_pickle_carries_all_of_it(store: treering.Store) -> None:
    inner = Vector(["inner" * 20])
    vector = Vector([*map(message, range(70)), inner]).drop_front(3)
    store.blocks.put_node(vector)
    data = pickle.dumps(vector.append("new"))
    store.close()
    again = pickle.loads(data)
    assert type(again) is Vector
    assert again.start == 3
    assert list(again) == [*map(message, range(3, 70)), inner.cid, "new"]
    # What the store had is not carried: of the inner one there is its CID.
    with treering.memory() as other, pytest.raises(treering.Invalid, match="link"):
        other.blocks.put_node(again)


def test_inside_of_another(store: treering.Store) -> None:
    chats = treering.Map({"a": Vector(["hello", "x" * 100]), "b": [Vector([1])]})
    cid = store.blocks.put_node(chats)
    assert list(store.blocks.vector(store.blocks.map(cid)["a"])) == ["hello", "x" * 100]
    assert list(store.blocks.vector(chats["b"][0])) == [1]
    assert store.verify().ok


def test_as_a_value_it_is_its_link(store: treering.Store) -> None:
    vector = Vector(["x"])
    assert treering.Cid.of_node(vector) == vector.cid == store.blocks.put_node(vector)
    assert treering.Cid.of_node([vector]) == treering.Cid.of_node([vector.cid])
    assert treering.codec.collect_links({"a": vector}) == [vector.cid]
    assert treering.codec.decode(treering.codec.encode(vector)) == vector.cid
    assert store.blocks.get_node(vector.cid) == {"kind": "vector", "start": 0, "end": 1, "tail": [["x"]]}


def test_what_was_opened_keeps_its_store_open(tmp_path: Path) -> None:
    cid = treering.open(tmp_path / "kept").blocks.put_node(Vector(map(message, range(100))))
    vector = treering.open(tmp_path / "kept").blocks.vector(cid)
    longer = Vector(vector.append("last"))
    del vector
    gc.collect()
    assert longer[0] == message(0)
    made = treering.open(tmp_path / "kept").blocks.map(treering.open(tmp_path / "kept").blocks.put_node(treering.Map()))
    assert made.insert("a", "x" * 100)["a"] == "x" * 100


def test_its_repr_reads_nothing(store: treering.Store) -> None:
    vector = store.blocks.vector(store.blocks.put_node(Vector(map(message, range(100)))))
    store.close()
    assert repr(vector) == f"<Vector of 100 {vector.cid.short()}>"
    assert len(vector) == 100
