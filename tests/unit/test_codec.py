"""DAG-CBOR and DAG-JSON between Python objects and bytes: the vectors, round trips, and each refusal with its place."""

import collections
import datetime
import enum
import gc
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libipld
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from treering import Cid, Invalid, LimitExceeded
from treering.codec import collect_links, decode, encode, from_dag_json, to_dag_json

VECTORS = Path(__file__).parent.parent / "vectors"
FOREIGN = "bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4kok6gl47quzvy"
CODEC_DEPTH = 1024


def vectors(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return loaded


# What DAG-CBOR can hold.
integers = st.integers(-(2**64), 2**64 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
cids = st.one_of(st.binary().map(Cid.of), st.just(Cid(FOREIGN)))
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts, st.binary(), cids)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=8), st.dictionaries(texts, inner, max_size=8))
)


def alike(a: Any, b: Any) -> bool:
    """Equal with equal types: 1, 1.0 and True are three values, and −0.0 is not 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    return repr(a) == repr(b) if isinstance(a, float) else bool(a == b)


@given(values)
@example(-(2**64))
@example(2**64 - 1)
@example(-(2**63))
@example(-(2**63) - 1)
@example(-0.0)
@example([[[], {}], {"": [{}]}])
def test_what_is_written_reads_back(value: object) -> None:
    data = encode(value)
    back = decode(data)
    assert alike(back, value)
    assert encode(back) == data


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_refused_or_are_the_one_encoding(data: bytes) -> None:
    try:
        value = decode(data)
    except Invalid:  # LimitExceeded is one
        return
    assert encode(value) == data


@pytest.mark.parametrize("vector", vectors("dag-cbor-valid.json"), ids=lambda vector: vector["name"])
def test_valid_vectors(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    value = decode(data)
    assert encode(value) == data
    assert [str(link) for link in collect_links(value)] == vector["links"]
    assert to_dag_json(value) == vector["dag_json"]
    assert alike(from_dag_json(vector["dag_json"]), value)


@pytest.mark.parametrize("vector", vectors("dag-cbor-invalid.json"), ids=lambda vector: vector["name"])
def test_invalid_vectors(vector: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        decode(bytes.fromhex(vector["hex"]))
    assert isinstance(refused.value.attributes["offset"], int)


@pytest.mark.parametrize("vector", vectors("dag-json-invalid.json"), ids=lambda vector: vector["reason"])
def test_invalid_dag_json(vector: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        from_dag_json(vector["text"])


def fixture_files() -> Iterator[Path]:
    home = os.environ.get("TREERING_IPLD_FIXTURES")
    if home is None:
        return iter(())
    return iter(sorted(Path(home).glob("*/*.dag-cbor")))


def test_the_specification_s_fixtures() -> None:
    files = list(fixture_files())
    if not files:
        if os.environ.get("CI"):
            pytest.fail("TREERING_IPLD_FIXTURES names no fixtures; make .venv/.deps fetches them")
        pytest.skip("the specification's fixtures: TREERING_IPLD_FIXTURES is not set")
    for file in files:
        data = file.read_bytes()
        value = decode(data)
        assert encode(value) == data, file.parent.name
        for text in file.parent.glob("*.dag-json"):
            assert alike(from_dag_json(text.read_text()), value), file.parent.name


# Where libipld has the same values: it takes bytes that parse as a CID for a link, gives links back as bytes,
# and refuses −0.0.
plain_floats = floats.filter(lambda number: repr(number) != "-0.0")
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), plain_floats, texts, st.binary(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=8), st.dictionaries(texts, inner, max_size=8)),
)


@given(plain)
def test_libipld_agrees(value: Any) -> None:
    data = encode(value)
    assert data == libipld.encode_dag_cbor(value)
    assert alike(decode(data), libipld.decode_dag_cbor(data))


def test_real_conversations_agree_with_libipld() -> None:
    home = os.environ.get("TREERING_DATA")
    file = Path(home or ".") / "tau-bench-airline-gpt-4o.json"
    if home is None or not file.exists():
        pytest.skip("real conversations: TREERING_DATA is not set")
    for record in json.loads(file.read_text()):
        data = encode(record)
        assert data == libipld.encode_dag_cbor(record)
        assert alike(decode(data), record)


def test_links_are_collected_in_order_each_once() -> None:
    a, b, c = (Cid.of(bytes([n])) for n in range(3))
    assert collect_links({"zz": [a, b], "y": {"k": c}, "x": [b, c]}) == [b, c, a]
    assert collect_links(b"\x01\x71" + bytes(34)) == []
    assert collect_links(bytes(a)) == []


def test_many_links_keep_their_order() -> None:
    many = [Cid.of(n.to_bytes(2)) for n in range(300)]
    assert collect_links([*many, *reversed(many)]) == many


class Colour(enum.IntEnum):
    RED = 3


class Role(enum.StrEnum):
    USER = "user"


class Pair(collections.namedtuple("Pair", "left right")):
    __slots__ = ()


class Loud(dict[str, Any]):
    """A dict whose overrides must not be asked: they could change what is being written."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("asked")

    def items(self) -> Any:
        raise AssertionError("asked")


@pytest.mark.parametrize(
    ("value", "same_as"),
    [
        ((1, (2,)), [1, [2]]),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (memoryview(b"abcd").cast("H"), b"abcd"),
        (Colour.RED, 3),
        (Role.USER, "user"),
        ({Role.USER: 1}, {"user": 1}),
        (Pair(1, "x"), [1, "x"]),
        (collections.OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (Loud(a=1), {"a": 1}),
        (type("L", (list,), {})([1]), [1]),
        (type("T", (bytes,), {})(b"x"), b"x"),
        (type("F", (float,), {})(1.5), 1.5),
    ],
)
def test_subclasses_count_as_their_base(value: object, same_as: object) -> None:
    assert encode(value) == encode(same_as)


def test_bools_are_no_ints() -> None:
    assert [encode(v) for v in (True, 1, 1.0)] == [b"\xf5", b"\x01", b"\xfb\x3f\xf0" + bytes(6)]


class Opaque:
    pass


REFUSED: list[tuple[object, str]] = [
    ({"a": [0, 1, 2, {"b": Opaque()}]}, "$.a[3].b"),
    (Opaque(), "$"),
    ([set()], "$[0]"),
    ({"x": 1j}, "$.x"),
    ({"not a name": [float("nan")]}, '$["not a name"][0]'),
    ({"": float("inf")}, '$[""]'),
    ({"a": {1: 2}}, "$.a"),
    ({"a": {b"k": 2}}, "$.a"),
    ({"a": {None: 2}}, "$.a"),
    (["ok", "half \ud83d"], "$[1]"),
    ({"a": {"\udc00": 1}}, "$.a"),
    ([2**64], "$[0]"),
    ([-(2**64) - 1], "$[0]"),
    ([10**40], "$[0]"),
    ([-(10**5000)], "$[0]"),
    (((0, (object(),)),), "$[0][1][0]"),
]


@pytest.mark.parametrize(("value", "path"), REFUSED)
def test_what_has_no_form_is_refused_with_its_place(value: object, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        encode(value)
    assert refused.value.attributes["path"] == path
    assert path in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_refusal_names_the_type() -> None:
    with pytest.raises(Invalid, match=re.escape("$.when is a datetime.date; use dict, list, str")):
        encode({"when": datetime.date(2026, 11, 22)})


def test_two_keys_of_one_text_are_refused() -> None:
    class Twin(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return self is other

        def __hash__(self) -> int:
            return 7

    with pytest.raises(Invalid, match="twice"):
        encode({Twin("k"): 1, Twin("k"): 2})


def nested(depth: int, wrap: Callable[[object], object]) -> object:
    value: object = 0
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}], ids=["list", "tuple", "dict"])
def test_depth_is_limited_both_ways(wrap: Callable[[object], object]) -> None:
    data = encode(nested(CODEC_DEPTH, wrap))
    assert encode(decode(data)) == data
    with pytest.raises(LimitExceeded) as refused:
        encode(nested(CODEC_DEPTH + 1, wrap))
    assert (refused.value.limit, refused.value.actual) == (CODEC_DEPTH, CODEC_DEPTH + 1)
    assert len(refused.value.attributes["path"]) < 200
    head = b"\xa1\x61k" if isinstance(wrap(0), dict) else b"\x81"
    with pytest.raises(LimitExceeded):
        decode(head * (CODEC_DEPTH + 1) + b"\x00")


def test_cycles_end_at_the_depth_limit() -> None:
    ring: list[object] = []
    ring.append(ring)
    knot: dict[str, object] = {}
    knot["self"] = [knot]
    for value in (ring, knot):
        with pytest.raises(LimitExceeded):
            encode(value)


def test_bombs_of_heads_take_neither_stack_nor_memory() -> None:
    for bomb in (b"\x81" * 1_000_000, b"\xa1\x60" * 500_000, b"\x9b" + b"\x0f" * 8, b"\x5b" + b"\x0f" * 8):
        with pytest.raises(Invalid):
            decode(bomb)


def test_node_limits_hold_at_their_edges() -> None:
    assert Cid.of_node(nested(128, lambda v: [v])).codec == "dag-cbor"
    with pytest.raises(LimitExceeded):
        Cid.of_node(nested(129, lambda v: [v]))
    overhead = 5
    Cid.of_node(b"x" * (2**20 - overhead))
    with pytest.raises(LimitExceeded):
        Cid.of_node(b"x" * (2**20 - overhead + 1))
    links = [Cid.of(n.to_bytes(2)) for n in range(4097)]
    Cid.of_node(links[:4096])
    with pytest.raises(LimitExceeded):
        Cid.of_node(links)
    with pytest.raises(Invalid, match="foreign"):
        Cid.of_node([Cid(FOREIGN)])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_decode_reads_every_kind_of_bytes(kind: Callable[[bytes], Any]) -> None:
    assert decode(kind(encode({"a": [1]}))) == {"a": [1]}


def test_a_wrong_type_is_a_type_error() -> None:
    for call in (lambda: decode("text"), lambda: from_dag_json(b"{}"), lambda: Cid.of("text")):  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            call()


@given(st.lists(st.text(max_size=60), min_size=1, max_size=50, unique=True))
def test_keys_are_never_mixed_up(keys: list[str]) -> None:
    # Strings of keys are kept between calls; whatever shares a place must not share a string.
    keys = [key.encode(errors="replace").decode() for key in keys]
    for key in keys:
        assert decode(encode({key: key})) == {key: key}


def test_nothing_leaks() -> None:
    marker, key = "a value " * 4, "a key that is too long to be kept, " * 3
    value = {key: [marker, {key: (marker, b"x")}], "l": [Cid.of(b"x")] * 3}
    bad = {"a": [marker, {key: object()}]}

    def work() -> None:
        decode(encode(value))
        for wrong in (bad, [[marker, float("nan")]]):
            with pytest.raises(Invalid):
                encode(wrong)

    work()
    gc.collect()
    before = sys.getrefcount(marker), sys.getrefcount(key), len(gc.get_objects())
    for _ in range(200):
        work()
    gc.collect()
    after = sys.getrefcount(marker), sys.getrefcount(key), len(gc.get_objects())
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 100


def test_a_finaliser_may_decode_while_something_is_decoded() -> None:
    data = encode([{"key": n} for n in range(2_000)])
    seen = []

    class Late:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            seen.append(decode(encode({"late": 1})))

    threshold = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(50):
            Late()
            assert len(decode(data)) == 2_000
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert seen.count({"late": 1}) == 50


@given(values)
def test_dag_json_round_trips(value: object) -> None:
    try:
        text = to_dag_json(value)
    except Invalid as refused:
        assert "reserved" in str(refused)  # noqa: PT017 - only maps with the key "/" have no form
        return
    assert alike(from_dag_json(text), value)
    assert to_dag_json(from_dag_json(text)) == text
