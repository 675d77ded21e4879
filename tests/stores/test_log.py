"""What all stores share: versions, expected versions, command ids, history, the past; on every verb of every store."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from every_verb import BARE, VERBS, Verb, entry, said

import treering
from treering import CommandMismatch, Invalid, NotFound, Scope, Store, VersionConflict, testing
from treering.messages import Conversation, UserConfig, UserConfigSaved
from treering.testing import Clock

EVERY = VERBS + BARE
each = pytest.mark.parametrize("verb", EVERY, ids=str)


def test_the_table_has_every_verb(alice: Scope) -> None:
    stores = ["user_config", "llm_preferences", "memory", "agents", "participants", "chats", "workflows", "scripts"]
    stores += ["connectors", "roles", "files", "retention"]
    # Of any actor; and `save` of what a file holds, which test_import_local.py plays.
    others = {"trim", "import_local"}
    verbs = {
        f"{store}.{name}"
        for store in stores
        for name in dir(type(getattr(alice, store)))
        if getattr(getattr(type(getattr(alice, store)), name), "__treering_call__", ("",))[0] == "verb"
        and name not in others
    }
    assert {verb.name for verb in EVERY} == verbs


@each
def test_a_write_is_version_plus_one_and_one_commit(store: Store, alice: Scope, verb: Verb) -> None:
    verb.prepare(alice)
    before, commits = verb.version(alice), len(list(store.journal()))
    receipt = verb.call(alice)
    assert (receipt.changed, receipt.replayed, receipt.warnings) == (True, False, ())
    assert receipt.version == verb.version(alice)
    steps = 2 if verb.name == "memory.save" and before else 1
    assert receipt.version == before + steps
    assert len(list(store.journal())) == commits + 1


@each
def test_the_expected_version_is_checked_before_anything(store: Store, alice: Scope, verb: Verb) -> None:
    verb.prepare(alice)
    now, head = verb.version(alice), store.head()
    for wrong in (now + 1, now + 1000, 2**64 - 1, *range(now)):
        with pytest.raises(VersionConflict) as caught:
            verb.call(alice, expected_version=wrong)
        assert (caught.value.expected, caught.value.actual) == (wrong, now)  # type: ignore[attr-defined]
    assert (verb.version(alice), store.head()) == (now, head)
    receipt = verb.call(alice, expected_version=now)
    assert receipt.changed
    with pytest.raises(VersionConflict):
        verb.other(alice, expected_version=now)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if not verb.takes_away], ids=str)
def test_never_written_is_version_0(alice: Scope, verb: Verb) -> None:
    assert verb.version(alice) == 0
    assert verb.call(alice, expected_version=0).version == 1


@each
def test_a_repeated_command_answers_as_the_first_did(store: Store, alice: Scope, clock: Clock, verb: Verb) -> None:
    verb.prepare(alice)
    first = verb.call(alice, command_id="once")
    clock.advance(5000)
    # Whatever came after, and whatever is expected now.
    for later in ({}, {"expected_version": 10**6}):
        head = store.head()
        again = verb.call(alice, command_id="once", **later)
        assert again.replayed
        assert store.head() == head
        for name in ("version", "changed", "value", "dropped", "dropped_ids", "warnings"):
            assert getattr(again, name) == getattr(first, name), name
        if not later and verb not in BARE and not verb.takes_away:
            verb.other(alice)


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_the_same_id_with_something_else_is_a_mismatch(store: Store, alice: Scope, verb: Verb) -> None:
    verb.prepare(alice)
    verb.call(alice, command_id="once")
    head, version = store.head(), verb.version(alice)
    with pytest.raises(CommandMismatch):
        verb.other(alice, command_id="once")
    assert (store.head(), verb.version(alice)) == (head, version)


def test_the_same_id_with_another_verb_is_a_mismatch(alice: Scope) -> None:
    alice.memory.add("k", "x", command_id="once")
    with pytest.raises(CommandMismatch):
        alice.memory.clear(command_id="once")
    alice.chats.append("c", said("x"), command_id="once")
    with pytest.raises(CommandMismatch):
        alice.chats.delete("c", command_id="once")


def test_a_command_id_is_one_actors(store: Store, alice: Scope) -> None:
    writes: list[Callable[[], Any]] = [
        lambda: alice.memory.add("k", "x", command_id="id"),
        lambda: alice.agents.add("t", "a", command_id="id"),
        lambda: alice.chats.append("c", said("x"), command_id="id"),
        lambda: alice.chats.append("d", said("y"), command_id="id"),
        lambda: store.scope("bob").memory.add("k", "x", command_id="id"),
    ]
    assert all(write().changed for write in writes)
    assert all(write().replayed for write in writes)


ALWAYS = ("memory.add", "participants.add", "chats.save", "chats.append", "connectors.save_draft", "roles.save_draft")
"""They always have something to do."""


@pytest.mark.parametrize("verb", [verb for verb in EVERY if verb.name not in ALWAYS], ids=str)
def test_a_command_with_nothing_to_do_is_kept_as_such(store: Store, alice: Scope, verb: Verb) -> None:
    """A receipt, no event and no new version; and what happens later doesn't make it do anything."""
    verb.prepare(alice)
    verb.call(alice)
    version, refs = verb.version(alice), [(ref.name, ref.version) for ref in store.refs.list()]
    first = verb.call(alice, command_id="nothing")
    assert (first.changed, first.version, first.replayed) == (False, version, False)
    assert (verb.version(alice), [(ref.name, ref.version) for ref in store.refs.list()]) == (version, refs)
    if verb.takes_away or verb in BARE:
        verb.prepare(alice)
    elif verb.name != "agents.add":
        verb.other(alice)
    moved = verb.version(alice)
    again = verb.call(alice, command_id="nothing")
    assert (again.changed, again.version, again.replayed) == (False, version, True)
    assert verb.version(alice) == moved


def test_the_value_of_a_repeated_command_is_of_its_version(alice: Scope, clock: Clock) -> None:
    first = alice.memory.add("k", "x", command_id="a")
    config = alice.user_config.update(default_model="one", command_id="a")
    saved = alice.chats.save("c", Conversation(title="one"), said("x"), command_id="a")
    alice.memory.clear()
    alice.user_config.update(default_model="two")
    alice.chats.save("c", Conversation(title="two"), [])
    clock.advance(9)
    assert alice.memory.add("k", "x", command_id="a").value == first.value
    assert alice.user_config.update(default_model="one", command_id="a").value == config.value
    assert alice.chats.save("c", Conversation(title="one"), said("x"), command_id="a").value == saved.value
    alice.chats.delete("c")
    again = alice.chats.save("c", Conversation(title="one"), said("x"), command_id="a")
    assert (again.value, again.version, again.replayed, again.changed) == (None, 1, True, True)
    # A repeated command doesn't bring back what was deleted.
    assert list(alice.chats.messages("c")) == []


def test_receipts_outlive_a_reopening(tmp_path: Path) -> None:
    firsts = []
    with treering.open(tmp_path / "s") as store:
        for verb in EVERY:
            verb.prepare(store.scope(verb.name))
            firsts.append(verb.call(store.scope(verb.name), command_id="once"))
    with treering.open(tmp_path / "s") as store:
        for verb, first in zip(EVERY, firsts, strict=True):
            again = verb.call(store.scope(verb.name), command_id="once")
            assert (again.replayed, again.version, again.value) == (True, first.version, first.value), verb


def test_ids_of_commands_at_their_edges(alice: Scope) -> None:
    assert alice.memory.add("k", "x", command_id="é" * 128).changed
    for wrong, error in (("", treering.Invalid), ("é" * 128 + "x", treering.LimitExceeded)):
        with pytest.raises(error):
            alice.memory.add("k", "x", command_id=wrong)
    with pytest.raises(TypeError):
        alice.memory.add("k", "x", command_id=3)  # type: ignore[arg-type]
    for odd in (-1, 2**64):
        with pytest.raises(treering.Invalid):
            alice.memory.add("k", "x", expected_version=odd)
    assert alice.memory.get().version == 1


def test_a_read_writes_nothing(store: Store, alice: Scope) -> None:
    """One of what was never written neither."""
    head = store.head()
    for _ in range(2):
        alice.user_config.get(), alice.llm_preferences.get(), alice.memory.get(), alice.memory.prompt_section()
        alice.agents.list(), alice.participants.list("r"), alice.chats.index(), alice.chats.messages("c")
        alice.workflows.list(), alice.scripts.list(), alice.workflows.get("w"), alice.scripts.get("s")
        list(alice.memory.history()), alice.memory.verify(), alice.chats.verify("c")
        assert store.head() == head
        store.put(b"something else")
        head = store.head()


def test_history_has_the_whole_envelope(alice: Scope, clock: Clock) -> None:
    scope = alice.on_behalf_of("ann", causation_id="request 7")
    scope.user_config.save(UserConfig(default_model="m"), command_id="first")
    clock.advance(1500)
    alice.user_config.update(default_model="n")
    one, two = alice.user_config.history()
    assert isinstance(one.message, UserConfigSaved)
    assert (one.version, one.type, one.schema) == (1, "treering.v1.UserConfigSaved", 1)
    assert (one.command_id, one.principal, one.causation_id) == ("first", "ann", "request 7")
    assert (two.command_id, two.principal, two.causation_id) == (None, None, None)
    assert (one.at_ms, two.at_ms) == (testing.clock.START_MS, testing.clock.START_MS + 1500)
    assert one.event_id != two.event_id
    assert one.at == datetime.fromtimestamp(testing.clock.START_MS / 1000, UTC)


def test_every_store_notes_on_whose_behalf(alice: Scope) -> None:
    scope = alice.on_behalf_of("ann")
    for verb in EVERY:
        verb.prepare(scope)
        verb.call(scope)
    with scope.commit() as c:
        c.memory.add("k", "in a commit")
    for events in (
        alice.user_config.history(),
        alice.memory.history(),
        alice.agents.history(),
        alice.participants.history(),
        alice.workflows.history(),
        alice.scripts.history(),
    ):
        assert {event.principal for event in events} == {"ann"}


def test_several_events_in_order_and_reading_after_one_is_exclusive(alice: Scope) -> None:
    for number in range(600):
        alice.agents.add("t", str(number))
    assert [event.version for event in alice.agents.history()] == list(range(1, 601))
    assert [event.message.actor_id for event in alice.agents.history()] == [str(n) for n in range(600)]  # type: ignore[attr-defined]
    assert [event.version for event in alice.agents.history(first=300, last=310)] == list(range(300, 311))
    assert [event.version for event in alice.agents.history(first=600)] == [600]
    assert list(alice.agents.history(first=601)) == []
    watching = alice.agents.watch(after=597)
    assert [next(watching).version for _ in range(3)] == [598, 599, 600]


def test_a_time_as_a_version(alice: Scope, clock: Clock) -> None:
    def moment(ms: int) -> datetime:
        return datetime.fromtimestamp((testing.clock.START_MS + ms) / 1000, UTC)

    assert alice.memory.version_at(moment(0)) == 0
    for _ in range(40):
        alice.memory.add("k", "x")
        clock.advance(1000)
    assert [alice.memory.version_at(moment(ms)) for ms in (-1, 0, 999, 1000, 20_500, 39_000, 10**9)] == [
        0, 1, 1, 2, 21, 40, 40,
    ]  # fmt: skip
    with pytest.raises(treering.Invalid):
        alice.memory.version_at(datetime(2027, 1, 1))


def test_a_version_that_is_not_there_yet(alice: Scope) -> None:
    alice.memory.save([entry(1)])
    for read in (
        lambda: alice.memory.at(2),
        lambda: alice.user_config.at(1),
        lambda: alice.agents.at(1),
        lambda: alice.participants.at("r", 1),
        lambda: alice.chats.at("c", 1),
        lambda: alice.chats.index(1),
        lambda: alice.workflows.list(1),
        lambda: alice.scripts.get("s", 1),
        lambda: alice.llm_preferences.at(1),
    ):
        with pytest.raises(NotFound):
            read()  # type: ignore[no-untyped-call]


def test_in_a_commit_a_refused_verb_refuses_all(store: Store, alice: Scope) -> None:
    alice.memory.add("k", "x")
    head = store.head()

    def wrong() -> None:
        with alice.commit() as c:
            c.agents.add("t", "a")
            c.chats.append("c", said("x"))
            c.memory.add("k", "y", expected_version=0)

    with pytest.raises(VersionConflict):
        wrong()
    assert (store.head(), alice.agents.list().version, list(alice.chats.index())) == (head, 0, [])


def test_in_a_commit_each_verb_sees_those_before_it(alice: Scope) -> None:
    with alice.commit(command_id="all") as c:
        one = c.agents.add("t", "a", expected_version=0)
        same = c.agents.add("t", "a", expected_version=1)
        two = c.agents.add("t", "b", expected_version=1)
        with pytest.raises(treering.Invalid):
            _ = one.receipt
    assert [(draft.receipt.version, draft.receipt.changed) for draft in (one, same, two)] == [
        (1, True),
        (1, False),
        (2, True),
    ]
    with alice.commit(command_id="all") as c:
        again = [c.agents.add("t", "a", expected_version=0), c.agents.add("t", "a", expected_version=1)]
        again.append(c.agents.add("t", "b", expected_version=1))
    assert c.receipt.replayed
    assert [draft.receipt.version for draft in again] == [1, 1, 2]
    assert alice.agents.list().version == 2


def test_a_watch_begins_with_the_call(alice: Scope) -> None:
    alice.memory.add("context", "before")
    watches = [alice.memory.watch(), alice.actor("user-memory").watch()]
    alice.memory.add("context", "after")
    assert [next(watch).version for watch in watches] == [2, 2]
    with pytest.raises(Invalid, match="after -1"):
        alice.memory.watch(after=-1)
