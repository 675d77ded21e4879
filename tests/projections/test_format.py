"""The node of a projection, byte for byte as docs/format.md has it, by another codec and another hash library."""

import sys
from pathlib import Path
from typing import Any

import dag_cbor
import pytest
from functions import say
from multiformats import CID

import treering
from treering import Map, Vector

sys.path.insert(0, str(Path(__file__).parents[1] / "actors"))

import logs_by_the_page as page


def stored(store: treering.Store, name: str) -> tuple[treering.Cid, bytes]:
    (ref,) = [ref for ref in store.refs.list() if ref.name == name]
    assert ref.target is not None
    return ref.target, store.blocks.get(ref.target)


def link(cid: treering.Cid) -> CID:
    return CID.decode(str(cid))


def test_a_view_with_its_checkpoint() -> None:
    with treering.memory() as store:
        team, bob = store.scope("team"), store.scope("bob/1")
        say(bob, "c 1", "a", "b")
        say(team, "c2", "c")
        loose = team.blocks.put(b"bytes")
        index, order = Map({"a": 1}), Vector(["b"])

        def apply(view: dict[str, Any], event: treering.SourceEvent, commit: treering.Commit) -> dict[str, Any]:
            return {"index": index, "order": order, "loose": loose}

        seen = team.projection("täglich", of=[team, bob], kinds=["chat", "user-config"], start={})
        cursor = store.cursor()
        seen.catch_up(apply)
        cid, data = stored(store, "team/projection/t%C3%A4glich")
        node = dag_cbor.decode(data)
        followed = ["", "chat", "", "user-config", "bob/1", "chat", "bob/1", "user-config"]
        assert node == {
            "kind": "projection",
            "view": {"index": link(index.cid), "order": link(order.cid), "loose": link(loose)},
            "collections": sorted([link(index.cid), link(order.cid)], key=bytes),
            "seen": node["seen"],
            "events": 3,
            "following": page.cid_of(dag_cbor.encode(followed)).raw_digest,
            "cursor": cursor,
        }
        assert page.cid_of(data) == link(cid)
        checkpoint = store.blocks.map(str(node["seen"].set(base="base32")))
        assert dict(checkpoint.items()) == {"/chat/c2": 1, "bob%2F1/chat/c%201": 2}


def test_what_there_is_not_is_left_out() -> None:
    with treering.memory() as store:
        alice = store.scope("alice")
        alice.agents.add("t", "a")
        with alice.commit() as c:
            for number in range(150):
                c.memory.add("k", str(number))

        def apply(view: None, event: treering.SourceEvent, commit: treering.Commit) -> None:
            if event.source.kind == "user-memory" and event.version > 120:
                raise ZeroDivisionError

        seen = alice.projection("p", kinds=["agent-registry", "user-memory"])
        with pytest.raises(ZeroDivisionError):
            seen.catch_up(apply)
        _, data = stored(store, "alice/projection/p")
        node = dag_cbor.decode(data)
        assert node.keys() == {"kind", "view", "seen", "events", "following"}
        assert (node["view"], node["events"]) == (None, 121)
