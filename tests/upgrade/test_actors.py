"""Actors that an older version wrote are read as they were, at every version, and written on."""

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import treering
from treering.messages import Message, UserConfig

sys.path.insert(0, str(Path(__file__).parent))

import make_actors

FIXTURE = Path(__file__).parent / "actors"
EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[treering.Store]:
    folder = shutil.copytree(FIXTURE / "store", tmp_path / "state")
    with treering.open(folder, automatic_gc=False) as opened:
        yield opened


def test_it_has_every_kind_and_every_node() -> None:
    kinds = {name.split("/")[0] for name in EXPECTED["actors"]}
    assert kinds == {
        "agent-registry", "chat", "chat-index", "participants", "script-storage", "user-config", "user-memory",
        "workflow-storage",
    }  # fmt: skip
    assert EXPECTED["actors"]["chat/deleted"]["deleted_at_ms"] is not None
    assert EXPECTED["actors"]["chat/gone"]["oldest"] > 0
    assert EXPECTED["actors"]["chat-index"]["oldest"] > 0


def test_states_and_histories_are_what_they_were(store: treering.Store) -> None:
    alice = store.scope("alice")
    assert make_actors.all_told(alice) == EXPECTED["actors"]
    for info in alice.actors():
        assert alice.actor(info.kind, *info.parts).verify() == info.events
    assert store.verify(since=EXPECTED["head"]).ok


def test_a_list_that_was_cut_off_before_bases_told_the_time(store: treering.Store) -> None:
    """It is read as it was, says no time, and gets one with what happens next."""
    alice = store.scope("alice")
    index = alice.actor("chat-index")
    now = datetime.now(UTC)
    info = index.info()
    assert info.head is not None
    assert "at_ms" not in store.blocks.get_node(info.head)
    assert (info.events, info.at_ms, info.version) == (0, None, index.version_at(now))
    version = info.version
    alice.chats.append("kept", [Message(role="user", content="new")])
    assert index.info().at_ms is not None
    assert index.version_at(now + timedelta(days=1)) == version + 1
    with pytest.raises(treering.HistoryTrimmed):
        # Nobody knows any more whether it was so already then.
        index.version_at(now - timedelta(days=1))
    index.trim(keep=0)
    assert index.info().at_ms is not None


def test_a_repeated_command_is_answered_from_its_receipt(store: treering.Store) -> None:
    alice = store.scope("alice")
    head = store.head()
    first = alice.user_config.save(UserConfig(default_model="large", max_tool_rounds=7), command_id="first")
    assert (first.version, first.changed, first.replayed) == (1, True, True)
    assert first.value == alice.user_config.at(1)
    file = treering.Cid.of(b"an attached file")
    again = [Message(role="user", content="see this", attachments=[file])]
    assert alice.chats.append("gone", again, command_id="again").replayed
    with alice.commit(command_id="both") as commit:
        commit.threads.start("fix").append("coder", "done")
        added = commit.memory.add("context", "by a commit")
    assert (commit.receipt.replayed, added.receipt.version) == (True, 21)
    assert store.head() == head


def test_they_are_written_on(store: treering.Store) -> None:
    alice = store.scope("alice")
    before = {(info.kind, info.parts): info for info in alice.actors()}
    alice.user_config.update(default_model="small")
    alice.memory.add("preference", "new")
    alice.agents.add("coder", "new")
    alice.participants.add("room-0", "new")
    for conversation in ("kept", "gone", "deleted"):
        alice.chats.append(conversation, [Message(role="user", content="new")])
    alice.workflows.upload("w0", "W", "steps: [new]\n")
    alice.scripts.upload("s0", "print('new')\n")
    for info in alice.actors():
        then = before[info.kind, info.parts]
        assert info.version == then.version + (3 if info.kind == "chat-index" else 1)
        actor = alice.actor(info.kind, *info.parts)
        assert actor.verify() == info.events
        if then.events:
            name = "/".join((info.kind, *info.parts))
            assert make_actors.plain(actor.state(then.version)) == EXPECTED["actors"][name]["state"]
    assert store.verify(since=EXPECTED["head"]).ok
