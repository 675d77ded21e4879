"""An actor that a later version of treering wrote to: it is read and verified, and not written to.

What the later version wrote is put behind the log by docs/format.md alone: the nodes by the public verbs, the ref's row
with its check by hand, since no version of ours moves a log's ref without deciding.
"""

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from every_verb import BARE, VERBS, Verb, entry

import treering
from treering import NewerSchema, Store, codec

sys.path.insert(0, str(Path(__file__).parents[1] / "actors"))
import logs_by_the_page as page

ENVELOPE = {"event_id": "01K2ABCDEF0123456789ABCDEF", "at_ms": 1_760_011_200_000}
LATER = page.typed_bytes("treering.v1.ThingOfAnotherAge", 2, b"\x0a\x03new")


def check_of_ref(name: str, version: int, target: bytes, position: int, record: bytes) -> bytes:
    def number(value: int) -> bytes:
        return value.to_bytes(8, "little", signed=True)

    def text(value: bytes) -> bytes:
        return number(len(value)) + value

    fields = [text(name.encode()), number(version), text(target), number(position), text(record)]
    return blake3(b"".join(fields), derive_key_context="treering v1 row ref").digest()[:16]


def written_later(path: Path, ref: str, *happened: dict[str, Any]) -> None:
    """Puts events behind a log, and moves its ref to the last."""
    scope, kind, part = ref.split("/")
    with treering.open(path) as store:
        actor = store.scope(scope).actor(kind, *([part] if part else []))
        log = {event.version: page.CID.decode(str(event.cid)) for event in actor.history()}
        for typed in happened:
            node = page.event(max(log) + 1, log, typed, **ENVELOPE)
            cid = store.blocks.put_node(codec.decode(node.data))
            assert str(cid) == str(node.cid)
            log[max(log) + 1] = node.cid
    database = sqlite3.connect(path / "store.db")
    with database:
        row = "SELECT version, target, position, record, chk FROM ref WHERE name = ?"
        version, target, position, record, chk = database.execute(row, (ref,)).fetchone()
        # The page says how it is checked: the row that is there proves it.
        assert check_of_ref(ref, version, target, position, record) == chk
        target = bytes(log[max(log)])
        chk = check_of_ref(ref, version + 1, target, position, record)
        change = "UPDATE ref SET version = ?, target = ?, chk = ? WHERE name = ?"
        assert database.execute(change, (version + 1, target, chk, ref)).rowcount == 1
    database.close()


def test_it_is_read_and_verified_and_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with treering.open(path) as store:
        alice = store.scope("alice")
        alice.memory.save([entry(1), entry(2)], command_id="once")
        before = alice.memory.get()
    added = {"entry": {"id": entry(3).id, "content": "of later"}, "cap": 50}
    known = page.typed("MemoryEntryAdded", added)
    # A known type, with a field that is not known; and a type that is not known.
    known = {**known, "schema": 2, "message": known["message"] + b"\xfa\x3f\x03new"}
    written_later(path, "alice/user-memory/", known, LATER)
    with treering.open(path) as store:
        memory = store.scope("alice").memory
        state = memory.get()
        assert (state.version, [one.content for one in state]) == (4, ["entry 1", "entry 2", "of later"])
        assert (memory.at(2), memory.at(3), memory.at(4)) == (before, state, state)
        events = list(memory.history())
        assert [(event.version, event.schema) for event in events] == [(1, 1), (2, 1), (3, 2), (4, 2)]
        assert (events[3].type, events[3].message) == ("treering.v1.ThingOfAnotherAge", None)
        assert memory.verify() == 4
        assert next(memory.states()) == state
        # What was done before the later version came is answered.
        assert memory.save([entry(1), entry(2)], command_id="once").replayed
        head = store.head()
        writes: list[Callable[[], object]] = [
            lambda: memory.add("k", "x"),
            lambda: memory.add("k", "x", command_id="mine"),
            memory.clear,
            lambda: memory.save([]),
            lambda: memory.remove(entry(1).id),
            lambda: memory.trim(keep=1),
            memory.rebuild,
        ]
        for write in writes:
            with pytest.raises(NewerSchema, match="upgrade treering to change it") as caught:
                write()
            assert caught.value.kind == "newer-schema"
            assert "alice/user-memory/" in str(caught.value)
            assert "schema 2, this version writes up to 1" in str(caught.value)
        with pytest.raises(NewerSchema):
            commit_with_others(store)
        assert store.head() == head
        # Only this actor is meant.
        assert store.scope("alice").agents.add("t", "a").changed
        assert store.scope("bob").memory.add("k", "x").changed
        # What has nothing to do writes nothing, and is none of its business.
        assert memory.remove("0" * 12).changed is False


def commit_with_others(store: Store) -> None:
    with store.scope("alice").commit() as c:
        c.agents.add("t", "a")
        c.memory.add("k", "x")


@pytest.mark.parametrize("verb", VERBS + BARE, ids=str)
def test_no_verb_writes_to_it(tmp_path: Path, verb: Verb) -> None:
    path = tmp_path / "s"
    with treering.open(path) as store:
        alice = store.scope("alice")
        verb.prepare(alice)
        if verb not in BARE and not verb.takes_away:
            verb.call(alice)
        kind, parts = addressed(store, verb)
        version = verb.version(alice)
    written_later(path, "/".join(("alice", kind, *(parts or ("",)))), LATER)
    with treering.open(path) as store:
        alice = store.scope("alice")
        assert (verb.version(alice), alice.actor(kind, *parts).verify()) == (version + 1, version + 1)
        head = store.head()
        call = verb.call if verb in BARE or verb.takes_away else verb.other
        with pytest.raises(NewerSchema):
            call(alice)
        assert store.head() == head


def addressed(store: Store, verb: Verb) -> tuple[str, tuple[str, ...]]:
    kinds = {
        "user_config": "user-config",
        "retention": "retention",
        "memory": "user-memory",
        "agents": "agent-registry",
        "participants": "participants",
        "workflows": "workflow-storage",
        "scripts": "script-storage",
        "connectors": "connector-catalog",
        "roles": "role-catalog",
        "files": "files",
    }
    name = verb.name.split(".")[0]
    return ("chat", ("c",)) if name == "chats" else (kinds[name], ())


def test_a_list_that_a_later_version_wrote_to_keeps_its_conversations_unwritten(tmp_path: Path) -> None:
    """They move in one commit: either both or none."""
    path = tmp_path / "s"
    with treering.open(path) as store:
        store.scope("alice").chats.append("c", [treering.messages.Message(content="x")])
    written_later(path, "alice/chat-index/", LATER)
    with treering.open(path) as store:
        chats = store.scope("alice").chats
        for write in (lambda: chats.append("c", [treering.messages.Message(content="y")]), lambda: chats.delete("c")):
            with pytest.raises(NewerSchema, match="chat-index"):
                write()
        assert (len(chats.messages("c")), len(chats.index()), chats.index().version) == (1, 1, 2)
