"""The golden vectors of actors' nodes, and the logs of a real store: byte for byte what the page says."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from multiformats import CID

import treering
from treering import Cid, Secret, codec
from treering.messages import Connector, Conversation, HttpConnector, Message, Role, UserConfig

sys.path.insert(0, str(Path(__file__).parent))

import logs_by_the_page as page
import make_vectors

ALL: dict[str, list[dict[str, Any]]] = json.loads(make_vectors.FILE.read_text(encoding="utf-8"))


def test_the_file_is_what_the_page_says() -> None:
    assert make_vectors.made() == ALL


def test_every_kind_of_node_is_there() -> None:
    assert {case["kind"] for case in ALL["valid"]} == {"event", "base", "tombstone", "snapshot", "item"}


@pytest.mark.parametrize("case", ALL["valid"], ids=lambda case: case["name"])
def test_a_node(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])
    value = codec.decode(data)
    assert (codec.encode(value), codec.from_dag_json(case["dag_json"])) == (data, value)
    assert Cid.of_node(value) == Cid(case["cid"])
    assert [str(link) for link in codec.collect_links(value)] == case["links"]
    assert (value["kind"], "message" in case) == (
        case["kind"],
        value.get("type", "").startswith("treering.v1.") and value["schema"] == 1,
    )
    if "message" in case:
        name = value["type"].removeprefix("treering.v1.")
        again = page.json_format.ParseDict(case["message"], page.descriptors.message_class(name)())
        assert again.SerializeToString(deterministic=True) == value["message"]


def nodes_of(store: treering.Store, head: Cid) -> dict[int, dict[str, Any]]:
    """The entries of a log by version, by the plain walk over parents."""
    entries: dict[int, dict[str, Any]] = {}
    at: Cid | None = head
    while at is not None:
        value = store.blocks.get_node(at)
        entries[value["version"]] = {**value, "cid": at}
        at = value.get("parent")
    return entries


def foreign(value: Any) -> Any:
    """Links as the page's codec has them."""
    if isinstance(value, Cid):
        return CID.decode(bytes(value))
    if isinstance(value, list):
        return [foreign(item) for item in value]
    if isinstance(value, dict):
        return {name: foreign(item) for name, item in value.items()}
    return value


def assert_by_the_page(store: treering.Store, actor: treering.ActorHandle) -> None:
    head = actor.info().head
    assert head is not None
    entries = nodes_of(store, head)
    log: dict[int, CID] = {}
    for version, entry in sorted(entries.items()):
        own = {name: foreign(value) for name, value in entry.items() if name not in ("cid", "kind", "parent", "jump")}
        match entry["kind"]:
            case "event":
                made = page.event(own.pop("version"), log, {}, base=own.pop("base", 0), **own)
            case "base":
                made = page.base(version, own["state"], CID.decode(own["replaces"]), own["at_ms"])
            case _:
                made = page.tombstone(version, own["deleted_at_ms"])
        log[version] = made.cid
        assert (made.data, str(made.cid)) == (store.blocks.get(entry["cid"]), str(entry["cid"])), version


def test_real_logs() -> None:
    store = treering.memory()
    scope = store.scope("alice").on_behalf_of("bob", causation_id="ticket-812")
    scope.user_config.save(UserConfig(default_model="large"), command_id="first")
    for number in range(40):
        scope.memory.add("preference", f"number {number}")
        scope.agents.add("coder", f"agent-{number}")
        scope.participants.add("room", f"agent-{number % 3}")
        scope.chats.append("kept", [Message(role="user", content=f"word {number}")])
    scope.workflows.upload("w", "W", "steps: []\n")
    scope.scripts.upload("s", "print()\n")
    http = HttpConnector(base_url="https://search.example", default_headers={"b": "x", "a": Secret("env:A")})
    scope.connectors.save([Connector(name="search", type="http", http=http)])
    scope.connectors.save_draft(None)
    scope.roles.save_draft(Role(id="coder"))
    for number in range(20):
        scope.files.put(f"f{number}", b"x" * number or b"y")
    scope.files.delete("f3")
    scope.chats.save("gone", Conversation(title="secret"), [Message(role="user", content="text")])
    scope.chats.delete("gone")
    for number in range(20):
        scope.chats.append("gone", [Message(role="user", content=f"again {number}")])
    kinds = set()
    for info in scope.actors():
        assert_by_the_page(store, scope.actor(info.kind, *info.parts))
        kinds.add(info.kind)
    assert kinds == {
        "agent-registry", "chat", "chat-index", "connector-catalog", "files", "participants", "role-catalog",
        "script-storage", "user-config", "user-memory", "workflow-storage",
    }  # fmt: skip
    # The list was cut when a conversation was deleted, and the conversation's log begins with its tombstone.
    first = {
        kind: min(nodes_of(store, scope.actor(kind, *parts).info().head).items())  # type: ignore[arg-type]
        for kind, parts in (("chat-index", ()), ("chat", ("gone",)))
    }
    assert (first["chat-index"][1]["kind"], first["chat"][1]["kind"]) == ("base", "tombstone")
