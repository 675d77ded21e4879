"""The golden vectors of long lists and large maps, and any other ones: byte for byte what the page says."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

import treering
from treering import Cid, codec

sys.path.insert(0, str(Path(__file__).parent))

import by_the_page as page

FILE = Path(__file__).parent.parent / "vectors" / "collections.json"
ALL: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))
VALUES = st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=80), st.none())


def blocks_of(case: dict[str, Any]) -> dict[Cid, bytes]:
    return {Cid(block["cid"]): bytes.fromhex(block["bytes"]) for block in case["blocks"]}


def made_of(collection: treering.Vector[Any] | treering.Map[Any]) -> dict[Cid, bytes]:
    root, blocks = collection._state()
    # The hash is not the core's, so that it proves the names too.
    return {_ours(page.cid_of(data)): data for data in (root, *blocks)}


def _ours(cid: CID) -> Cid:
    return Cid(str(cid))


def dropped(start: int, elements: list[Any]) -> treering.Vector[Any]:
    return treering.Vector([None] * start + elements).drop_front(start)


@pytest.mark.parametrize("case", ALL["vectors"], ids=lambda case: case["name"])
def test_vectors(case: dict[str, Any]) -> None:
    elements = codec.from_dag_json(case["elements"])
    vector = dropped(case["start"], elements)
    assert (vector.cid, vector.start, len(vector)) == (Cid(case["root"]), case["start"], len(elements))
    assert made_of(vector) == blocks_of(case)
    assert repr(list(vector)) == repr(elements)  # as texts, since −0.0 equals 0.0


@pytest.mark.parametrize("case", ALL["maps"], ids=lambda case: case["name"])
def test_maps(case: dict[str, Any]) -> None:
    entries = codec.from_dag_json(case["entries"])
    made = treering.Map(entries).update((key, "soon gone") for key in case.get("removed", ()))
    for key in case.get("removed", ()):
        made = made.remove(key)
    assert (made.cid, len(made)) == (Cid(case["root"]), len(entries))
    assert made_of(made) == blocks_of(case)
    assert dict(made) == entries


@pytest.mark.parametrize("case", ALL["invalid"], ids=lambda case: case["name"])
def test_roots_that_are_none(case: dict[str, Any]) -> None:
    store = treering.memory()
    links = codec.collect_links(codec.decode(bytes.fromhex(case["bytes"])))
    if any(link.codec == "dag-cbor" for link in links):
        store.blocks.put_node(list(range(32)))
        leaf = store.blocks.put_node([[n] for n in range(32)])
        assert links == [leaf]
    elif links:
        store.blocks.put(bytes(page.dag_cbor.encode([[n] for n in range(32)])))
    cid = store.blocks.put_node(codec.decode(bytes.fromhex(case["bytes"])))
    assert cid == Cid(case["cid"])
    load = store.blocks.vector if case["kind"] == "vector" else store.blocks.map
    with pytest.raises((treering.Corrupt, treering.Invalid)) as raised:
        load(cid)
    if case["field"] == "kind":
        assert isinstance(raised.value, treering.Invalid)
    else:
        assert isinstance(raised.value, treering.Corrupt)
        assert raised.value.attributes["field"] == case["field"]


@given(st.integers(0, 70), st.lists(VALUES, max_size=120))
def test_any_list(start: int, elements: list[Any]) -> None:
    root, blocks = page.vector(start, elements)
    vector = dropped(start, elements)
    assert vector.cid == _ours(root)
    assert made_of(vector) == {_ours(cid): data for cid, data in blocks.items()}


@given(st.dictionaries(st.text(max_size=12), VALUES, max_size=120))
def test_any_dict(entries: dict[str, Any]) -> None:
    root, blocks = page.map_(entries)
    made = treering.Map(entries)
    assert made.cid == _ours(root)
    assert made_of(made) == {_ours(cid): data for cid, data in blocks.items()}
