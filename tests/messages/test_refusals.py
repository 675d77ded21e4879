"""What no message can hold, and bytes that make none."""

from typing import Any

import pytest

from treering import Cid, Corrupt, Invalid, NewerSchema, _core
from treering.messages import (
    AgentGroup,
    ChatAppended,
    Connector,
    Conversation,
    HttpConnector,
    MemoryEntry,
    MemoryEntryAdded,
    UserConfig,
    UserConfigUpdated,
    WorkflowUploaded,
)

CID = Cid.of(b"x")
FOREIGN = Cid("bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4kok6gl47quzvy")
ENTRY = b"\x0a\x03abc"


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (lambda v: MemoryEntry(content=v), "MemoryEntry.content: str is needed here, not object"),
        (lambda v: MemoryEntry(created_at_ms=v), "MemoryEntry.created_at_ms: int is needed here, not object"),
        (lambda v: MemoryEntry(source=v), "MemoryEntry.source: MemorySource is needed here, not object"),
        (lambda v: MemoryEntryAdded(entry=v), "MemoryEntryAdded.entry: MemoryEntry is needed here, not object"),
        (lambda v: AgentGroup(actor_ids=v), "AgentGroup.actor_ids: tuple is needed here, not object"),
        (lambda v: AgentGroup(actor_ids=("a", v)), "AgentGroup.actor_ids: str is needed here, not object"),
        (lambda v: UserConfigUpdated(max_tool_rounds=v), "UserConfigUpdated.max_tool_rounds: int is needed"),
        (lambda v: WorkflowUploaded(workflow=v), "WorkflowUploaded.workflow: Cid is needed here, not object"),
        (lambda v: MemoryEntryAdded(entry=MemoryEntry(id=v)), "MemoryEntry.id: str is needed here, not object"),
        (lambda v: Connector(enabled=v), "Connector.enabled: bool is needed here, not object"),
        (lambda v: Connector(enabled=1), "Connector.enabled: bool is needed here, not int"),  # type: ignore[arg-type]
        (lambda v: Connector(type=v), r"Connector\.type: str is needed here, not object"),
        (lambda v: Connector(http=v), "Connector.http: HttpConnector is needed here, not object"),
        (
            lambda v: HttpConnector(default_headers=v),
            "HttpConnector.default_headers: mapping is needed here, not object",
        ),
        (lambda v: HttpConnector(default_headers={"a": v}), "HttpConnector.default_headers: Secret is needed here"),
        (lambda v: HttpConnector(default_headers={v: "a"}), "HttpConnector.default_headers: str is needed here"),
    ],
)
def test_a_wrong_type(message: Any, path: str) -> None:
    with pytest.raises(TypeError, match=path):
        _core.encode_message(message(object()))


@pytest.mark.parametrize("value", [1.0, True + 0.5, "1", None])
def test_a_number_is_an_int(value: Any) -> None:
    with pytest.raises(TypeError, match=r"UserConfig\.max_tool_rounds: int is needed"):
        _core.encode_message(UserConfig(max_tool_rounds=value))


def test_a_part_that_is_always_there_is_not_none() -> None:
    with pytest.raises(TypeError, match=r"MemoryEntryAdded\.entry: MemoryEntry is needed here, not NoneType"):
        _core.encode_message(MemoryEntryAdded(entry=None))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'entry'"):
        MemoryEntryAdded()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("message", "what", "rule"),
    [
        (UserConfig(max_tool_rounds=-1), "UserConfig.max_tool_rounds", "from 0 to 2³²−1"),
        (UserConfig(max_tool_rounds=2**32), "UserConfig.max_tool_rounds", "from 0 to 2³²−1"),
        (UserConfig(max_tool_rounds=10**5000), "UserConfig.max_tool_rounds", "from 0 to 2³²−1"),
        (MemoryEntry(created_at_ms=2**63), "MemoryEntry.created_at_ms", "from −2⁶³ to 2⁶³−1"),
        (MemoryEntry(created_at_ms=-(2**63) - 1), "MemoryEntry.created_at_ms", "from −2⁶³ to 2⁶³−1"),
        (MemoryEntry(content="a\ud800"), "MemoryEntry.content", "lone surrogate"),
        (MemoryEntry(source="said"), "MemoryEntry.source", "it is one of: inferred explicit"),  # type: ignore[arg-type]
        (MemoryEntry(source="\ud800"), "MemoryEntry.source", "it is one of"),  # type: ignore[arg-type]
        (WorkflowUploaded(workflow=FOREIGN), "WorkflowUploaded.workflow", "a store can hold no block of this CID"),
    ],
)
def test_a_value_that_the_field_can_not_hold(message: Any, what: str, rule: str) -> None:
    with pytest.raises(Invalid, match=rule) as caught:
        _core.encode_message(message)
    assert caught.value.what == what
    assert str(caught.value).startswith(what)


def test_what_fits_exactly_is_taken() -> None:
    assert _core.encode_message(UserConfig(max_tool_rounds=2**32 - 1))
    assert _core.encode_message(MemoryEntry(created_at_ms=-(2**63), updated_at_ms=2**63 - 1))


def test_other_objects_are_no_messages() -> None:
    assert _core.encode_message(3) is None

    class MemoryEntry:
        """Another one of that name."""

    with pytest.raises(TypeError, match="message: MemoryEntry is needed here, not MemoryEntry"):
        _core.encode_message(MemoryEntry())


@pytest.mark.parametrize("name", ["treering.v1.Nothing", "treering.v1.MemoryState", "MemoryEntry", ""])
def test_a_name_that_has_no_class(name: str) -> None:
    assert _core.decode_message(name, b"") is None


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05abc", b"\x0a\x01\xff", b"\xff" * 11, b"\x08\x01"])
def test_bytes_that_are_no_message(data: bytes) -> None:
    with pytest.raises(Corrupt, match="run `treering verify`") as caught:
        _core.decode_message("treering.v1.MemoryEntry", data)
    assert caught.value.which == "treering.v1.MemoryEntry"


@pytest.mark.parametrize(
    ("name", "data", "links", "which", "detail"),
    [
        ("WorkflowUploaded", b"\x12\x00", [], "WorkflowUploaded.workflow", "link 0 of a node that has 0"),
        ("WorkflowUploaded", b"\x12\x02\x08\x01", [CID], "WorkflowUploaded.workflow", "link 1 of a node that has 1"),
        ("WorkflowUploaded", b"", [CID], "WorkflowUploaded.workflow", "it is missing"),
        ("ChatAppended", b"\x0a\x00\x12\x02\x08\x07", [CID], "ChatAppended.messages", "link 7 of a node that has 1"),
        ("MemoryEntryAdded", b"", [], "MemoryEntryAdded.entry", "it is missing"),
    ],
)
def test_a_link_or_part_that_is_not_there(name: str, data: bytes, links: list[Cid], which: str, detail: str) -> None:
    with pytest.raises(Corrupt, match=detail) as caught:
        _core.decode_message(f"treering.v1.{name}", data, links)
    assert caught.value.which == which
    assert caught.value.kind == "corrupt"


def test_a_link_is_looked_up_where_it_is() -> None:
    links = [Cid.of(b"0"), Cid.of(b"1"), Cid.of(b"2")]
    read = _core.decode_message("treering.v1.ChatAppended", b"\x0a\x00\x12\x02\x08\x02\x12\x00", links)
    assert read == (ChatAppended(conversation=Conversation(), messages=(links[2], links[0])), True)


def test_what_a_later_version_wrote_is_seen() -> None:
    later = ENTRY + b"\xc0\x3e\x01"
    assert _core.decode_message("treering.v1.MemoryEntry", ENTRY) == (MemoryEntry(id="abc"), True)
    assert _core.decode_message("treering.v1.MemoryEntry", later) == (MemoryEntry(id="abc"), False)
    inside = b"\x0a\x08" + later
    assert _core.decode_message("treering.v1.MemoryEntryAdded", inside) == (
        MemoryEntryAdded(entry=MemoryEntry(id="abc")),
        False,
    )
    with pytest.raises(NewerSchema, match=r"MemoryEntry\.source number 9 was written by a later treering"):
        _core.decode_message("treering.v1.MemoryEntry", b"\x20\x09")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        # A reference of a kind that only a later version knows is shown; who uses it is told.
        ("ConnectorAuth", b"\x22\x09\x0a\x07vault:x"),
        # A mapping whose value has neither text nor secret.
        ("HttpConnector", b"\x2a\x03\x0a\x01a"),
    ],
)
def test_what_is_stored_is_shown(name: str, data: bytes) -> None:
    read = _core.decode_message(f"treering.v1.{name}", data)
    assert read is not None
    assert "vault:x" in repr(read[0]) or dict(read[0].default_headers) == {"a": ""}
