"""Writes tests/vectors/actors.json: `python tests/actors/make_vectors.py`.

Every case is made by `logs_by_the_page`; the core has no part in it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multiformats import CID

sys.path.insert(0, str(Path(__file__).parent))

import logs_by_the_page as page
from dag_cbor import decode

FILE = Path(__file__).parents[1] / "vectors" / "actors.json"
AT_MS = 1_760_000_000_000
RAW = page.cid_of(b"attached bytes", "raw")
ABSENT = page.cid_of(b"\xa0")
FOREIGN = CID.decode("bafyreihnqz5kdnl4w2dsjfbmmmc6u7hwqjq6y5qfk5yjzmtj2vjh6h4vce")


def envelope(number: int, **more: Any) -> dict[str, Any]:
    return {"event_id": f"01K2ABCDEF{number:016d}", "at_ms": AT_MS + number, **more}


def valid() -> Iterator[tuple[str, page.Node]]:
    log: dict[int, CID] = {}
    saved = {"config": {"default_model": "large", "runtime_mode": "local", "max_tool_rounds": 7}}
    first = page.event(1, log, page.typed("UserConfigSaved", saved), **envelope(1))
    yield "the first event of a log", first
    log[1] = first.cid
    told = envelope(2, command_id="turn-17", causation_id="ticket-812", principal="bob")
    second = page.event(2, log, page.typed("UserConfigUpdated", {"max_tool_rounds": 0}), **told)
    yield (
        "all that a caller may say, and a field that is set to its default",
        second,
    )
    log[2] = second.cid
    for version in range(3, 7):
        made = page.event(version, log, page.typed("MemoryCleared", {}), **envelope(version))
        log[version] = made.cid
        if version in (3, 4, 6):
            yield f"version {version}: {'no jump' if version == 3 else f'a jump to version {page.jump(version)}'}", made
    headers = {"Accept": {"text": "json"}, "Authorization": {"secret": {"reference": "env:TOKEN"}}}
    http = {"base_url": "https://search.example", "allowed_methods": ["GET"], "default_headers": headers}
    connector = {"name": "search", "type": "http", "enabled": True, "timeout_ms": 30_000, "http": http}
    saved = {"connectors": [connector, {"name": "git", "type": "cli", "cli": {"command": "git"}}]}
    yield "a catalog with a map and a secret", page.event(1, {}, page.typed("ConnectorsSaved", saved), **envelope(1))
    early = page.event(1, {}, page.typed("RoomRemoved", {"room_id": "täglich"}), event_id="e", at_ms=-1)
    yield "a time before 1970", early
    later = page.typed_bytes("treering.v1.NotThoughtOfYet", 2**63, b"\x0a\x01x")
    yield "a type and a schema that are not known", page.event(1, {}, later, **envelope(1))

    message = page.item(page.typed("Message", {"role": "user", "content": "merci", "at_ms": AT_MS}))
    yield "a message of a conversation", message
    attached = {"role": "user", "content": "see this", "attachments": [{}, {"index": 1}]}
    with_file = page.item(page.typed("Message", attached, [RAW, page.cid_of(b"other", "raw")]))
    yield "a message with two files", with_file
    yield "a workflow", page.item(page.typed("Workflow", {"id": "w", "name": "W", "yaml": "steps: []\n"}))
    conversation = {"id": "c", "title": "Bonjour", "message_count": 2, "created_at_ms": AT_MS, "updated_at_ms": AT_MS}
    appended = {"conversation": conversation, "messages": [{}, {"index": 1}], "dropped": 1}
    chat = page.typed("ChatAppended", appended, [message.cid, with_file.cid])
    yield "an event that links to two messages", page.event(1, {}, chat, **envelope(1))

    entry = {"id": "0123456789ab", "category": "preference", "content": "answers in French", "source": 1}
    memory = page.typed("MemoryState", {"entries": [{**entry, "created_at_ms": AT_MS, "updated_at_ms": AT_MS}]})
    yield "a snapshot of a state that is small", page.snapshot(6, log[6], memory)
    waiting = page.snapshot(3, log[3], memory)
    yield "a snapshot that another one waits behind", page.snapshot(6, log[6], memory, earlier=waiting.cid)
    root = page.node({"kind": "vector", "start": 0, "end": 0})
    listed = page.typed("ChatState", {"conversation": conversation, "messages": {}}, [root.cid])
    state = page.snapshot(20, ABSENT, listed)
    yield "a snapshot with a list", state
    tree = page.node({"kind": "map", "count": 0})
    maps = {"next_number": 1, "places": {}, "order": {"index": 1}, "types": {"index": 2}}
    registry = page.typed("AgentsState", maps, [tree.cid, tree.cid, tree.cid])
    yield "a snapshot with three maps, which are one block", page.snapshot(2, log[2], registry, fold=3)

    put = {"path": "a/b.md", "content": {}, "size": 14, "content_type": "text/markdown", "updated_at_ms": AT_MS}
    yield "a file that was put", page.event(1, {}, page.typed("FilePut", {"file": put}, [RAW]), **envelope(1))

    yield "a base from before they told the time", page.base(20, state.cid, ABSENT, None)
    cut = page.base(20, state.cid, ABSENT, AT_MS)
    yield "a base", cut
    after = {20: cut.cid}
    for version in range(21, 27):
        made = page.event(version, after, page.typed("ChatUnindexed", {"id": "c"}), base=20, **envelope(version))
        after[version] = made.cid
        if version in (21, 22, 26):
            yield f"version {version} behind a base of version 20", made
    gone = page.tombstone(7, AT_MS)
    yield "a tombstone", gone
    again = page.typed("ChatReplaced", {"conversation": conversation})
    yield "an event behind a tombstone", page.event(8, {7: gone.cid}, again, base=7, **envelope(8))

    own = {"title": "broken", "steps": [1, -2.0, None], "file": RAW, "by": {"name": "Ada", "thread": ABSENT}}
    yield "an event of a user's own", page.event(1, {}, page.own("x.ticket.Opened", own), **envelope(1))
    yield "an event of a user's own without fields", page.event(1, {}, page.own("x.a.B", {}, 7), **envelope(1))
    kept = page.own("x.ticket.State", {"notes": root.cid, "labels": tree.cid, "last": {}}, 2)
    yield "a state of a user's own, with a list and a map", page.snapshot(6, log[6], kept, fold=3)


def invalid() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is wrong, the field that is named, and the node."""
    log = {1: ABSENT, 2: page.cid_of(b"\x00"), 3: page.cid_of(b"\x01")}
    of = page.typed("MemoryCleared", {})

    def event(version: int, base: int = 0) -> dict[str, Any]:
        entries = {**log, base: ABSENT, version - 1: log[2]}
        return decode(page.event(version, entries, of, base=base, **envelope(1)).data)  # type: ignore[return-value]

    def without(fields: dict[str, Any], field: str) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name != field}

    yield "a kind that is none", "kind", {**event(1), "kind": "happening"}
    yield "version 0", "version", {**event(1), "version": 0}
    yield "a version that is that of the base", "version", {**event(22, 20), "version": 20}
    yield "a base that is written out and 0", "base", {**event(2), "base": 0}
    yield "a base that is negative", "base", {**event(2), "base": -1}
    yield "version 1 with a parent", "parent", {**event(1), "parent": ABSENT}
    yield "version 2 without a parent", "parent", without(event(2), "parent")
    yield "a parent of raw bytes", "parent", {**event(3), "parent": RAW}
    yield "version 2 without its jump", "jump", without(event(2), "jump")
    yield "version 3 with a jump", "jump", {**event(3), "jump": ABSENT}
    yield "a jump over a step that is not the parent", "jump", {**event(2), "jump": log[3]}
    yield "a jump past the base", "jump", {**event(21, 20), "jump": log[3]}
    yield "no event id", "event_id", without(event(1), "event_id")
    yield "an empty event id", "event_id", {**event(1), "event_id": ""}
    yield "a command id that is null", "command_id", {**event(1), "command_id": None}
    yield "a time that is a float", "at_ms", {**event(1), "at_ms": 1.0}
    yield "no type", "type", without(event(1), "type")
    yield "schema 0", "schema", {**event(1), "schema": 0}
    yield "a message that is a text", "message", {**event(1), "message": ""}
    yield "links that are empty", "links", {**event(1), "links": []}
    yield "a field too many", "actor", {**event(1), "actor": "main/user-config/"}

    own = page.own("x.ticket.Opened", {"title": "broken"})
    mine = decode(page.event(1, {}, own, **envelope(1)).data)
    assert isinstance(mine, dict)
    yield "a user's own event without fields", "fields", without(mine, "fields")
    yield "a user's own event with a message", "message", {**mine, "message": b""}
    yield "a user's own event with links", "links", {**mine, "links": [ABSENT]}
    yield "fields that are a list", "fields", {**mine, "fields": []}
    yield "fields that are bytes", "fields", {**mine, "fields": b"\xa0"}
    yield "fields with a link to a foreign block", "fields", {**mine, "fields": {"a": FOREIGN}}
    yield "fields of a type that is not a user's own", "fields", {**event(1), "fields": {}}
    yield "fields in the place of a message", "fields", {**without(event(1), "message"), "fields": {}}
    yield "fields of a tombstone", "fields", {"kind": "tombstone", "version": 2, "deleted_at_ms": 1, "fields": {}}
    state = decode(page.snapshot(6, ABSENT, own).data)
    assert isinstance(state, dict)
    yield "a user's own state with a message", "message", {**state, "message": b""}
    yield "a user's own state without fields", "fields", without(state, "fields")
    yield "a state whose fields link to a foreign block", "fields", {**state, "fields": {"a": [FOREIGN]}}

    base = decode(page.base(20, ABSENT, ABSENT, AT_MS).data)
    assert isinstance(base, dict)
    yield "a base of version 0", "version", {**base, "version": 0}
    yield "a base with a time that is null", "at_ms", {**base, "at_ms": None}
    yield "a base with a time that is a text", "at_ms", {**base, "at_ms": "now"}
    yield "a base with an event id", "event_id", {**base, "event_id": "e"}
    yield "a base without a state", "state", without(base, "state")
    yield "a state of raw bytes", "state", {**base, "state": RAW}
    yield "a replaced entry behind a link", "replaces", {**base, "replaces": ABSENT}
    yield "a replaced entry that is no CID", "replaces", {**base, "replaces": b"\x01"}
    yield "a replaced entry that is raw", "replaces", {**base, "replaces": bytes(RAW)}

    yield "a tombstone of version 0", "version", {"kind": "tombstone", "version": 0, "deleted_at_ms": 1}
    yield (
        "a tombstone with an event's time",
        "at_ms",
        {"kind": "tombstone", "version": 2, "deleted_at_ms": 1, "at_ms": 1},
    )
    yield (
        "a tombstone with a parent",
        "parent",
        {"kind": "tombstone", "version": 2, "deleted_at_ms": 1, "parent": ABSENT},
    )

    snapshot = decode(page.snapshot(6, ABSENT, of).data)
    assert isinstance(snapshot, dict)
    yield "a snapshot of version 0", "version", {**snapshot, "version": 0}
    yield "an earlier one that is null", "earlier", {**snapshot, "earlier": None}
    yield "an earlier one of raw bytes", "earlier", {**snapshot, "earlier": RAW}
    yield "a snapshot of rules 0", "fold", {**snapshot, "fold": 0}
    yield "an entry behind a link", "entry", {**snapshot, "entry": ABSENT}
    yield "an entry of 35 bytes", "entry", {**snapshot, "entry": bytes(ABSENT)[:35]}
    yield "a snapshot of schema 0", "schema", {**snapshot, "schema": 0}

    item = decode(page.item(of).data)
    assert isinstance(item, dict)
    yield "an item without a message", "message", without(item, "message")
    yield "an item with a version", "version", {**item, "version": 1}
    yield "an item without a type", "type", without(item, "type")


def made() -> dict[str, Any]:
    """All of the file."""
    from treering import codec

    def case(name: str, node: page.Node) -> dict[str, Any]:
        fields = decode(node.data)
        assert isinstance(fields, dict)
        made = {
            "name": name,
            "kind": node.kind,
            "cid": str(node.cid),
            "bytes": node.data.hex(),
            "dag_json": codec.to_dag_json(codec.decode(node.data)),
            "links": [str(link) for link in node.links],
        }
        known = str(fields.get("type", "")).removeprefix("treering.v1.")
        if known in page.descriptors.names():
            message = page.descriptors.message_class(known).FromString(fields["message"])
            made["message"] = page.json_format.MessageToDict(message, preserving_proto_field_name=True)
        return made

    wrong = ((name, field, page.node({"kind": fields["kind"], **fields}).data) for name, field, fields in invalid())
    return {
        "valid": [case(name, node) for name, node in valid()],
        "invalid": [
            {"name": name, "cid": str(page.cid_of(data)), "bytes": data.hex(), "field": field}
            for name, field, data in wrong
        ],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
