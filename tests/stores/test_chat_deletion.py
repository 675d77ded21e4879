"""Deleting a conversation: text and title can't be reached any more, nor its history; its version goes on."""

import sqlite3
from pathlib import Path

import pytest

import treering
from treering import HistoryTrimmed, NotFound, Scope, Store, testing
from treering.messages import Conversation, Message
from treering.testing import Clock


def said(*contents: object) -> list[Message]:
    return [Message(role="user", content=str(content)) for content in contents]


def test_delete_clears_both(alice: Scope, clock: Clock) -> None:
    alice.chats.save("c", Conversation(title="T"), said(1, 2))
    alice.chats.save("d", Conversation(title="kept"), said(3))
    receipt = alice.chats.delete("c")
    assert (receipt.version, receipt.changed, receipt.dropped, receipt.value) == (2, True, 2, None)
    messages = alice.chats.messages("c")
    assert (list(messages), messages.version, messages.conversation) == ([], 2, None)
    assert [row.id for row in alice.chats.index()] == ["d"]
    assert alice.chats.index().version == 3


def test_what_is_not_there_is_unchanged(alice: Scope) -> None:
    assert (alice.chats.delete("c").changed, alice.chats.delete("c").version) == (False, 0)
    alice.chats.append("c", said(1))
    alice.chats.delete("c")
    again = alice.chats.delete("c")
    assert (again.changed, again.version, alice.chats.index().version) == (False, 2, 2)


def test_history_ends_with_a_deletion(alice: Scope) -> None:
    for number in range(40):
        alice.chats.append("c", said(number))
    alice.chats.append("d", said("other"))
    alice.chats.delete("c")
    for version in (0, 1, 39, 40):
        with pytest.raises(HistoryTrimmed) as caught:
            alice.chats.at("c", version)
        assert caught.value.oldest == 41  # type: ignore[attr-defined]
        with pytest.raises(HistoryTrimmed):
            alice.chats.index(version)
    assert list(alice.chats.at("c", 41)) == []
    assert [row.id for row in alice.chats.index(42)] == ["d"]
    with pytest.raises(NotFound):
        alice.chats.at("c", 42)
    with pytest.raises(HistoryTrimmed):
        list(alice.chats.history("c", first=41))
    assert (list(alice.chats.history("c")), alice.chats.info("c").oldest) == ([], 41)
    assert len(list(alice.chats.history("d"))) == 1


def test_append_after_a_deletion_goes_on(alice: Scope, clock: Clock) -> None:
    alice.chats.save("c", Conversation(title="secret"), said(1, 2, 3))
    alice.chats.append("c", said(4))
    alice.chats.delete("c")
    clock.advance(1000)
    receipt = alice.chats.append("c", said("anew"))
    assert receipt.version == 4
    assert receipt.value == Conversation(
        id="c", created_at_ms=clock.now_ms, updated_at_ms=clock.now_ms, message_count=1
    )
    assert [event.version for event in alice.chats.history("c", first=4)] == [4]
    for number in range(40):
        alice.chats.append("c", said(number))
    assert len(alice.chats.messages("c")) == 41
    assert (len(alice.chats.at("c", 4)), len(alice.chats.at("c", 3)), len(alice.chats.at("c", 20))) == (1, 0, 17)
    assert alice.chats.verify("c") == 41
    assert alice.chats.delete("c").version == 45
    assert alice.chats.save("c", Conversation(title="third"), []).version == 46


def test_deleted_and_written_in_one_commit(alice: Scope) -> None:
    for number in range(20):
        alice.chats.append("c", said(f"secret {number}"))
    with alice.commit() as c:
        c.chats.append("c", said("secret more"))
        deleted = c.chats.delete("c")
        c.chats.append("c", said("anew"))
    assert (deleted.receipt.version, deleted.receipt.changed) == (22, True)
    assert [message.content for message in alice.chats.messages("c")] == ["anew"]
    with pytest.raises(HistoryTrimmed):
        alice.chats.at("c", 21)
    assert [row.message_count for row in alice.chats.index()] == [1]


def test_a_version_before_the_deletion_is_expected_no_more(alice: Scope) -> None:
    alice.chats.append("c", said(1))
    alice.chats.delete("c", expected_version=1)
    for expected in (0, 1):
        with pytest.raises(treering.VersionConflict):
            alice.chats.append("c", said(2), expected_version=expected)
    assert alice.chats.append("c", said(2), expected_version=2).version == 3


@pytest.mark.parametrize("events", [1, 40])
def test_no_block_holds_the_text_after_a_collection(tmp_path: Path, events: int) -> None:
    secret, title = "the-secret-text", "the-secret-title"
    clock = Clock()
    with testing.open(tmp_path / "s", clock=clock) as store:
        alice = store.scope("alice")
        file = store.put(b"the-secret-file")
        for number in range(events):
            alice.chats.save("c", Conversation(title=title), [Message(content=secret, attachments=(file,))])
            alice.chats.append("c", said(f"{secret} {number}"))
            alice.chats.append("d", said("kept"))
        for word in (secret, title, "the-secret-file"):
            assert any(word.encode() in data for data in reached(store))
        alice.chats.delete("c")
        assert not any(b"the-secret" in data for data in reached(store))
        clock.advance(25 * 3600 * 1000)
        store.gc()
        assert not any(b"the-secret" in data for data in texts(store))
        assert len(alice.chats.messages("d")) == events
        assert store.verify().ok


def test_a_row_without_its_conversation_is_deleted_too(tmp_path: Path) -> None:
    """Its log's ref broke and was put into quarantine: the list still names it."""
    path = tmp_path / "s"
    with treering.open(path) as store:
        chats = store.scope("alice").chats
        for name in ("lost", "kept"):
            chats.save(name, Conversation(title=name), said(name))
    database = sqlite3.connect(path / "store.db")
    with database:
        damage = "UPDATE ref SET target = zeroblob(36), chk = zeroblob(16) WHERE name LIKE 'alice/chat/lost'"
        assert database.execute(damage).rowcount == 1
    database.close()
    with treering.open(path) as store:
        chats = store.scope("alice").chats
        store.refs.quarantine("alice/chat/lost")
        assert (len(chats.messages("lost")), chats.messages("lost").version) == (0, 0)
        assert {row.id for row in chats.index()} == {"lost", "kept"}
        receipt = chats.delete("lost", command_id="once")
        assert (receipt.changed, receipt.version, receipt.dropped) == (True, 0, 0)
        assert [row.id for row in chats.index()] == ["kept"]
        with pytest.raises(HistoryTrimmed):
            chats.index(2)
        assert chats.delete("lost", command_id="once").replayed
        assert chats.delete("lost").changed is False
        assert len(chats.messages("kept")) == 1
        assert chats.append("lost", said("anew")).version == 1


def texts(store: Store) -> list[bytes]:
    return [store.blocks.get(block.cid) for block in store.blocks.list()]


def reached(store: Store) -> list[bytes]:
    heads = [ref.target for ref in store.refs.list() if ref.target is not None]
    return [store.blocks.get(cid) for cid in store.reachable(heads).present]


@pytest.mark.parametrize("purged", ["deleted", "trimmed", "purged"])
def test_a_copy_lets_go_of_what_its_source_did(purged: str, clock: Clock) -> None:
    """The read model in the copy would hold what was said, and be of a version that its log does not have."""
    with testing.memory() as store, testing.memory(clock=clock) as copy:
        alice, there = store.scope("alice"), copy.scope("alice")
        for number in range(20):
            alice.chats.append("c", said(f"secret {number}"))
            alice.memory.add("context", f"secret {number}")
        store.copy_to(copy)
        if purged == "deleted":
            alice.chats.delete("c")
        elif purged == "trimmed":
            alice.chats.append("c", said(*range(500)))
            alice.chats.trim("c", keep=0)
        else:
            alice.chats.delete("c")
            alice.memory.clear(purge=True)
        store.copy_to(copy)
        clock.advance(25 * 3_600_000)  # what a copy brings is held until its refs are there
        copy.gc()
        there.actor("chat", "c").verify()
        there.memory.verify()
        assert there.chats.messages("c") == alice.chats.messages("c")
        told = [block.cid for block in copy.blocks.list() if b"secret" in copy.blocks.get(block.cid)]
        assert bool(told) == (purged != "purged"), "memory's, and else nothing"
        assert copy.verify().ok
