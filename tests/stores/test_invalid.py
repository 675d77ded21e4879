"""Commands that break a rule: refused with field, value and rule, or with a TypeError; nothing is written."""

from collections.abc import Callable
from typing import Any

import pytest

import treering
from treering import Cid, Invalid, InvalidCommand, Scope, Store
from treering.messages import Conversation, MemoryEntry, Message, UserConfig

Write = Callable[[Any], object]
BLANKS = ["", " ", "\t\r\n", "\u00a0\u2003\u3000"]

BLANK: list[tuple[str, Callable[[Any, str], object]]] = [
    ("content", lambda s, v: s.memory.add("k", v)),
    ("content", lambda s, v: s.memory.save([MemoryEntry(id="0" * 12, content=v)])),
    ("agent_type", lambda s, v: s.agents.add(v, "a")),
    ("actor_id", lambda s, v: s.agents.add("t", v)),
    ("agent_type", lambda s, v: s.agents.remove(v, "a")),
    ("actor_id", lambda s, v: s.agents.remove("t", v)),
    ("room_id", lambda s, v: s.participants.add(v, "a")),
    ("agent_id", lambda s, v: s.participants.add("r", v)),
    ("room_id", lambda s, v: s.participants.remove(v, "a")),
    ("agent_id", lambda s, v: s.participants.remove("r", v)),
    ("room_id", lambda s, v: s.participants.remove_room(v)),
    ("conversation_id", lambda s, v: s.chats.save(v, Conversation(), [])),
    ("conversation_id", lambda s, v: s.chats.append(v, [])),
    ("conversation_id", lambda s, v: s.chats.append(v, [Message(content="x")])),
    ("conversation_id", lambda s, v: s.chats.delete(v)),
    ("id", lambda s, v: s.workflows.upload(v, "n", "y")),
    ("yaml", lambda s, v: s.workflows.upload("w", "n", v)),
    ("id", lambda s, v: s.scripts.upload(v, "x")),
    ("source", lambda s, v: s.scripts.upload("s", v)),
    ("path", lambda s, v: s.files.put(v, b"x")),
    ("path", lambda s, v: s.files.delete(v)),
]

RULES: list[tuple[str, str, str, Write]] = [
    ("source", "nosuch", "it is one of: inferred explicit", lambda s: s.memory.add("k", "x", source="nosuch")),
    ("source", "Explicit", "it is one of: inferred explicit", lambda s: s.memory.add("k", "x", source="Explicit")),
    ("source", "", "it is one of: inferred explicit", lambda s: s.memory.add("k", "x", source="")),
    *(
        ("id", id, "twelve lower-case hexadecimal digits", lambda s, id=id: s.memory.save([entry(id)]))
        for id in ("", "0" * 11, "0" * 13, "00000000000G", "ABCDEF012345", "é" * 6, "００００")
    ),
    ("id", "0" * 12, "it comes twice", lambda s: s.memory.save([entry("0" * 12), entry("0" * 12)])),
    ("max_tool_rounds", "-1", "it is from 0 to 2³²−1", lambda s: s.user_config.update(max_tool_rounds=-1)),
    ("max_tool_rounds", "4294967296", "it is from", lambda s: s.user_config.save(UserConfig(max_tool_rounds=2**32))),
    ("at_ms", str(2**63), "it is from −2⁶³ to", lambda s: s.chats.append("c", [Message(at_ms=2**63)])),
    ("content", "a���", "it holds a lone surrogate", lambda s: s.chats.append("c", [Message(content="a\ud800")])),
    ("title", "���", "it holds a lone surrogate", lambda s: s.chats.save("c", Conversation(title="\udfff"), [])),
]

TYPES: list[Write] = [
    lambda s: s.memory.add(1, "x"),
    lambda s: s.memory.add("k", b"x"),
    lambda s: s.memory.add("k", None),
    lambda s: s.memory.add("k", "x", source=3),
    lambda s: s.memory.remove(1),
    lambda s: s.memory.save(3),
    lambda s: s.memory.save(["x"]),
    lambda s: s.user_config.save({"default_model": "x"}),
    lambda s: s.user_config.update(default_model=3),
    lambda s: s.user_config.update(max_tool_rounds="3"),
    lambda s: s.user_config.update(max_tool_rounds=3.0),
    lambda s: s.user_config.update(no_such_field=3),
    lambda s: s.agents.add("t", 3),
    lambda s: s.agents.add(None, "a"),
    lambda s: s.participants.add("r", "a", None),
    lambda s: s.participants.add("r", b"a"),
    lambda s: s.participants.list(3),
    lambda s: s.chats.append("c", 3),
    lambda s: s.chats.append("c", [{"content": "x"}]),
    lambda s: s.chats.append("c", [Message(attachments=("bafy",))]),
    lambda s: s.chats.append(3, []),
    lambda s: s.chats.save("c", {}, []),
    lambda s: s.chats.save("c", None, []),
    lambda s: s.chats.messages(None),
    lambda s: s.workflows.upload("w", None, "y"),
    lambda s: s.scripts.upload("s", b"x"),
    lambda s: s.files.put(3, b"x"),
    lambda s: s.files.put("a", b"x", 3),
    lambda s: s.files.delete(None),
    lambda s: s.files.stat(b"a"),
    lambda s: s.files.grep("a", max_results="3"),
    lambda s: s.memory.add("k", "x", expected_version="1"),
    lambda s: s.memory.add("k", "x", expected_version=1.0),
    lambda s: s.memory.at("1"),
]


def entry(id: str) -> MemoryEntry:
    return MemoryEntry(id=id, content="x")


@pytest.mark.parametrize("value", BLANKS)
@pytest.mark.parametrize(("field", "write"), BLANK)
def test_blank(store: Store, alice: Scope, field: str, write: Callable[[Any, str], object], value: str) -> None:
    head = store.head()
    with pytest.raises(InvalidCommand) as caught:
        write(alice, value)
    error = caught.value
    assert (error.field, error.value, error.rule) == (field, value, "it is blank")  # type: ignore[attr-defined]
    assert store.head() == head


@pytest.mark.parametrize(("field", "value", "rule", "write"), RULES)
def test_a_rule_is_named(store: Store, alice: Scope, field: str, value: str, rule: str, write: Write) -> None:
    head = store.head()
    with pytest.raises(InvalidCommand) as caught:
        write(alice)
    error = caught.value
    assert (error.field, error.value) == (field, value)  # type: ignore[attr-defined]
    assert error.rule.startswith(rule)  # type: ignore[attr-defined]
    assert str(error).startswith(f"{field} ")
    assert store.head() == head


@pytest.mark.parametrize("write", TYPES)
def test_a_wrong_type(store: Store, alice: Scope, write: Write) -> None:
    head = store.head()
    with pytest.raises(TypeError):
        write(alice)
    assert store.head() == head


def test_the_same_in_a_commit(store: Store, alice: Scope) -> None:
    """Drafts are checked where they are drafted, and a commit of none writes nothing."""
    head = store.head()
    with alice.commit() as c:
        for field, write in BLANK:
            with pytest.raises(InvalidCommand) as caught:
                write(c, " ")
            assert caught.value.field == field  # type: ignore[attr-defined]
        for field, _, _, rule in RULES:
            with pytest.raises(InvalidCommand) as caught:
                rule(c)
            assert caught.value.field == field  # type: ignore[attr-defined]
    assert store.head() == head


def test_a_long_value_is_cut_in_the_error(alice: Scope) -> None:
    with pytest.raises(InvalidCommand) as caught:
        alice.memory.save([entry("x" * 1000)])
    assert caught.value.value == "x" * 64  # type: ignore[attr-defined]


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_scope_is_an_error(store: Store, blank: str) -> None:
    with pytest.raises(Invalid, match="blank"):
        store.scope(blank)
    with pytest.raises(Invalid, match="blank"):
        store.scoped(lambda: blank).memory.add("k", "x")
    with pytest.raises(TypeError):
        store.scope(None)  # type: ignore[arg-type]


def test_an_attachment_of_another_hash(alice: Scope) -> None:
    foreign = Cid("bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4kok6gl47quzvy")
    with pytest.raises(Invalid):
        alice.chats.append("c", [Message(attachments=(foreign,))])
    assert alice.chats.messages("c").version == 0


def test_errors_are_of_one_tree(alice: Scope) -> None:
    with pytest.raises(treering.TreeringError):
        alice.memory.add("k", "")
    with pytest.raises(ValueError):
        alice.memory.add("k", "")
