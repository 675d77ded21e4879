"""The nodes of an actor's log as docs/format.md describes them.

Written from the page alone, with another codec, another hash library and the `protobuf` package, so that vectors and
tests compare two implementations.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dag_cbor
from blake3 import blake3
from google.protobuf import json_format
from multiformats import CID, multihash

sys.path.insert(0, str(Path(__file__).parents[1] / "messages"))

import descriptors


@dataclass(frozen=True)
class Node:
    """A block and what it says."""

    kind: str
    cid: CID
    data: bytes
    links: tuple[CID, ...]
    message: dict[str, Any] | None = None


def cid_of(data: bytes, codec: str = "dag-cbor") -> CID:
    return CID("base32", 1, codec, multihash.wrap(blake3(data).digest(), "blake3"))


def node(fields: Mapping[str, Any], message: dict[str, Any] | None = None) -> Node:
    """Any node of these fields; `links` in the order of its bytes, each once."""
    data = dag_cbor.encode(dict(fields))
    found: dict[CID, None] = {}
    _links(dag_cbor.decode(data), found)
    return Node(fields["kind"], cid_of(data), data, tuple(found), message)


def _links(value: Any, found: dict[CID, None]) -> None:
    if isinstance(value, CID):
        found.setdefault(value.set(base="base32"))
    elif isinstance(value, dict):
        for item in value.values():
            _links(item, found)
    elif isinstance(value, list):
        for item in value:
            _links(item, found)


def typed(name: str, message: Mapping[str, Any], links: Sequence[CID] = ()) -> dict[str, Any]:
    """The four fields of a typed message; `message` as Protobuf's JSON has it, with the names of the .proto files."""
    made = json_format.ParseDict(dict(message), descriptors.message_class(name)())
    return typed_bytes(f"treering.v1.{name}", 1, made.SerializeToString(deterministic=True), links)


def typed_bytes(name: str, schema: int, message: bytes, links: Sequence[CID] = ()) -> dict[str, Any]:
    return {"type": name, "schema": schema, "message": message, **({"links": list(links)} if links else {})}


def jump(number: int) -> int:
    """The step that step `number` jumps to, 0 for none: the smallest of its weights 2ᵏ−1 left out."""
    rest, weight = number, 0
    while rest:
        weight = (1 << ((rest + 1).bit_length() - 1)) - 1
        rest -= weight
    return number - weight


def own(name: str, fields: Mapping[str, Any], schema: int = 1) -> dict[str, Any]:
    """The three fields of a message of a user's own type."""
    return {"type": name, "schema": schema, "fields": dict(fields)}


def event(version: int, log: Mapping[int, CID], of: Mapping[str, Any], *, base: int = 0, **envelope: Any) -> Node:
    """The event of a version behind the entries of `log`; `envelope`: event_id, at_ms and what else was given."""
    fields = {"kind": "event", "version": version, **envelope, **of}
    if base:
        fields["base"] = base
    if version > 1:
        fields["parent"] = log[version - 1]
    if there := jump(version - base):
        fields["jump"] = log[base + there]
    return node(fields)


def base(version: int, state: CID, replaces: CID, at_ms: int | None) -> Node:
    fields = {"kind": "base", "version": version, "state": state, "replaces": bytes(replaces)}
    return node(fields if at_ms is None else {**fields, "at_ms": at_ms})


def tombstone(version: int, deleted_at_ms: int) -> Node:
    return node({"kind": "tombstone", "version": version, "deleted_at_ms": deleted_at_ms})


def snapshot(version: int, entry: CID, of: Mapping[str, Any], fold: int = 1, earlier: CID | None = None) -> Node:
    fields = {"kind": "snapshot", "version": version, "entry": bytes(entry), "fold": fold, **of}
    return node(fields if earlier is None else {**fields, "earlier": earlier})


def item(of: Mapping[str, Any]) -> Node:
    return node({"kind": "item", **of})
