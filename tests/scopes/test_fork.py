"""A whole scope under another name: the same in all that it shows, no block written, and two lives from then on."""

import asyncio
import copy
import pickle
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import (
    AgentsModel,
    ChatModel,
    ConfigModel,
    ConnectorsModel,
    FilesModel,
    MemoryModel,
    Model,
    RolesModel,
    RoomsModel,
    SourcesModel,
)
from whole import DRAFT, LARGE, Diary, Say, counted, fill, shown

import treering
from treering import (
    AlreadyExists,
    CommandMismatch,
    Commit,
    Invalid,
    LimitExceeded,
    NotFound,
    SourceEvent,
    Store,
    aio,
    testing,
)
from treering.messages import Message


def said(content: str) -> list[Message]:
    return [Message(role="user", content=content)]


def test_a_fork_shows_what_its_origin_shows(store: Store) -> None:
    alice = store.scope("alice")
    fill(alice)
    before = shown(alice)
    bob = alice.fork("bob")
    assert bob.name == "bob"
    assert shown(bob) == before == shown(alice)
    assert store.scopes() == ["alice", "bob"]
    for actor in bob.actors():
        assert bob.actor(actor.kind, *actor.parts).verify() == alice.actor(actor.kind, *actor.parts).verify()
    assert store.verify().ok


def test_a_thousand_chats_are_one_commit_and_no_block(store: Store) -> None:
    alice = store.scope("alice", durability="relaxed")
    for nth in range(1_000):
        alice.chats.append(f"chat-{nth}", said(f"hello {nth}"))
    before, stats, head = store.counters(), store.stats(), len(list(store.journal()))
    bob = alice.fork("bob")
    after = store.counters()
    assert after["blocks_written"] == before["blocks_written"]
    assert after["blocks_read"] == before["blocks_read"]
    assert store.stats()["blocks"] == stats["blocks"]
    # The first fork has the scope leave its name, in a commit before.
    assert len(list(store.journal())) == head + 2
    alice.fork("carol")
    assert len(list(store.journal())) == head + 3
    assert len(bob.chats.index()) == 1_000
    assert [message.content for message in bob.chats.messages("chat-7")] == ["hello 7"]


def test_the_first_fork_is_two_entries_of_the_journal_and_one_fsync(tmp_path: Path) -> None:
    """In the first the origin leaves its name for its forks; it isn't synced, the fork's own is."""
    with treering.open(tmp_path / "s", automatic_gc=False) as store:
        alice = store.scope("alice")
        alice.chats.append("chat", said("hello"))
        for nth, entries in enumerate([["alice", "bob 0"], ["bob 1"]]):
            head, before = len(list(store.journal())), store.counters()
            alice.fork(f"bob {nth}")
            moved = [sorted({move.scope for move in entry.moves}) for entry in list(store.journal())[head:]]
            assert moved == [[] if scope == "alice" else [scope] for scope in entries]
            after = store.counters()
            assert after["commit_syncs"] - before["commit_syncs"] == 1
            assert after["blocks_written"] == before["blocks_written"]


def test_erasing_one_of_two_leaves_the_other_whole_and_says_so(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s", durability="relaxed", automatic_gc=False) as store:
        alice = store.scope("alice")
        for nth in range(1_000):
            alice.chats.append(f"chat-{nth}", said(f"hello {nth}"))
        bob = alice.fork("bob")
        # Old snapshots are garbage.
        store.gc()
        blocks = store.stats()["blocks"]
        index = list(bob.chats.index())
        plan = alice.erase(dry_run=True)
        erased = alice.erase()
        # All that alice had is bob's, too, but for the name that she left for her forks, which is no block.
        assert (erased.held_by, erased.blocks, erased.held_blocks) == (("bob",), blocks, blocks)
        assert (plan.held_by, plan.held_blocks) == (erased.held_by, erased.held_blocks)
        assert store.gc().deleted == 0
        assert store.vacuum().complete
        assert store.scopes() == ["bob"]
        assert list(bob.chats.index()) == index
        for nth in range(1_000):
            assert [message.content for message in bob.chats.messages(f"chat-{nth}")] == [f"hello {nth}"]
        assert bob.verify().ok
        assert store.verify().ok
        lineage = bob.lineage()
        assert lineage is not None
        assert [one.scope for one in lineage.ancestors] == [None]
        # The other way round there is nobody left who holds anything.
        last = bob.erase()
        assert (last.held_by, last.held_blocks) == ((), 0)
        store.gc()
        assert store.stats()["blocks"] == 0


def test_all_stores_fit_into_the_longest_scope(store: Store) -> None:
    """What has no part fits under the longest name of a scope; a longer one is not written to."""
    longest = "z" * 896
    alice = store.scope("alice")
    fill(alice, chats=1)
    fork = alice.fork(longest)
    assert shown(fork) == shown(alice)
    for _ in range(20):
        fork.memory.add("k", "v")
        fork.connectors.save_draft(DRAFT)
        fork.roles.save_draft(None)
        fork.workflows.upload("w", "w", "steps: []")
        fork.files.put("f", b"x")
        fork.own(Diary, "mine").send(Say("more"))
    fork.agents.add("coder", "agent-9")
    fork.participants.add("room", "agent-9")
    fork.scripts.upload("t", "x")
    fork.user_config.update(default_model="small")
    fork.threads.start("review").append("coder", "x")
    assert fork.verify().ok
    for wrong in ("z" * 897, "é" * 150):
        long = store.scope(wrong)
        for write in (partial(long.memory.add, "k", "v"), partial(alice.fork, wrong)):
            with pytest.raises(LimitExceeded) as caught:
                write()
            assert (caught.value.limit, caught.value.what) == (896, "bytes of a scope's encoded name")
        assert long.memory.get() == ()
    with pytest.raises(LimitExceeded) as caught:
        store.scope("z" * 1025)
    assert (caught.value.limit, caught.value.what) == (1024, "bytes of a scope's encoded name")
    assert store.scopes() == ["alice", longest]


def test_both_go_on_by_themselves(store: Store) -> None:
    alice = store.scope("alice")
    fill(alice)
    bob = alice.fork("bob")
    kept = shown(alice)
    bob.memory.clear()
    bob.chats.delete("chat-1")
    bob.threads.get("ticket-812").append("coder", "on my own")
    bob.user_config.update(default_model="small")
    bob.pins.rm("kept")
    bob.connectors.save([])
    bob.connectors.delete_draft()
    bob.roles.save_draft(None)
    bob.roles.save([])
    bob.files.put("notes/1.txt", b"on my own")
    bob.files.delete("large.bin")
    bob.own(Diary, "mine").send(Say("on my own"))
    bob.projection("kinds", kinds=["user-memory", "chat"], start={}).catch_up(counted)
    assert shown(alice) == kept
    kept = shown(bob)
    alice.memory.add("preference", "another")
    alice.threads.get("ticket-812").append("coder", "on my own, too")
    alice.chats.delete("chat-0")
    alice.connectors.save([DRAFT])
    alice.roles.delete_draft()
    alice.files.delete("notes/2.txt")
    alice.own(Diary, "mine").send(Say("on my own, too"))
    assert shown(bob) == kept
    assert len(alice.threads.get("ticket-812")) == len(bob.threads.get("ticket-812")) == 2
    mine, theirs = alice.threads.get("ticket-812"), bob.threads.get("ticket-812")
    assert mine.id == theirs.id
    assert mine != theirs
    diff = mine.diff(theirs)
    assert diff.common is not None
    assert (diff.common.number, len(diff.left), len(diff.right)) == (1, 1, 1)
    # What one deletes is not the other's to lose.
    store.gc()
    assert shown(bob) == kept
    assert [message.content for message in alice.chats.messages("chat-1")] == ["hello 1"]
    assert alice.files.open("large.bin").read() == LARGE
    assert store.verify().ok


MODELS = [ConfigModel, MemoryModel, AgentsModel, RoomsModel, SourcesModel, ChatModel]
MODELS += [FilesModel, ConnectorsModel, RolesModel]


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "directory"])
@settings(max_examples=6)
@given(data=st.data())
def test_a_fork_and_its_origin_are_two_models(on_disk: bool, data: st.DataObject) -> None:
    """Random commands on every store of a scope; forks of forks in between; each scope is its own models."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clock = testing.Clock()
        opened = testing.open(home / "s", clock=clock, durability="relaxed") if on_disk else testing.memory(clock=clock)
        store = stack.enter_context(opened)
        # What has no ref is no scope, and commands may come to nothing.
        store.scope("s0").threads.start("w")
        worlds: dict[str, list[Model]] = {"s0": [model() for model in MODELS]}
        for _ in range(data.draw(st.integers(2, 4), label="forks") + 1):
            for _ in range(data.draw(st.integers(10, 30), label="commands")):
                name = data.draw(st.sampled_from(sorted(worlds)))
                model = data.draw(st.sampled_from(worlds[name]))
                clock.advance(1)
                model.step(store.scope(name), data.draw(model.commands), clock.now_ms)
            origin, name = data.draw(st.sampled_from(sorted(worlds))), f"s{len(worlds)}"
            store.scope(origin).fork(name)
            worlds[name] = copy.deepcopy(worlds[origin])
        for name, models in worlds.items():
            for model in models:
                model.check(store.scope(name))
        assert store.verify().ok


def test_a_command_from_before_the_fork_is_answered_in_it(store: Store) -> None:
    alice = store.scope("alice")
    fact = alice.memory.add("preference", "first", command_id="m")
    thread = alice.threads.start("review", command_id="t")
    step = thread.append("coder", "done", command_id="a")
    with alice.commit(command_id="c") as c:
        c.threads[thread].append("coder", "more")
        c.chats.append("chat", said("hello"))
    bob = alice.fork("bob")
    later = alice.memory.add("preference", "later", command_id="later")
    commits = len(list(store.journal()))
    again = bob.memory.add("preference", "first", command_id="m")
    assert (again.version, again.replayed, again.value) == (fact.version, True, fact.value)
    theirs = bob.threads.start("review", command_id="t")
    assert (theirs.id, theirs.scope) == (thread.id, "bob")
    assert theirs.append("coder", "done", command_id="a") == step
    with bob.commit(command_id="c") as c:
        c.threads[theirs].append("coder", "more")
        c.chats.append("chat", said("hello"))
    assert c.receipt.replayed
    assert len(list(store.journal())) == commits
    with pytest.raises(CommandMismatch):
        bob.memory.add("preference", "another", command_id="m")
    # What the origin does after the fork, the fork does not know.
    own = bob.memory.add("preference", "later", command_id="later")
    assert not own.replayed
    assert own.value is not None
    assert later.value is not None
    assert own.value.id != later.value.id
    assert bob.memory.add("preference", "later", command_id="later").replayed


def test_forks_of_forks(store: Store) -> None:
    scope = store.scope("s0")
    for nth in range(6):
        scope.memory.add("preference", str(nth), command_id=str(nth))
        scope = scope.fork(f"s{nth + 1}")
    lineage = scope.lineage()
    assert lineage is not None
    assert [one.scope for one in lineage.ancestors] == ["s5", "s4", "s3", "s2", "s1", "s0"]
    assert sorted((one.position for one in lineage.ancestors), reverse=True) == [
        one.position for one in lineage.ancestors
    ]
    assert lineage.refs == 1
    assert store.scope("s0").lineage() is None
    for nth in range(6):
        assert scope.memory.add("preference", str(nth), command_id=str(nth)).replayed
    assert len(scope.memory.get()) == 6


def test_there_is_a_limit_to_forks_of_forks(store: Store) -> None:
    scope = store.scope("s0", durability="relaxed")
    scope.memory.add("preference", "x")
    for nth in range(64):
        scope = scope.fork(f"s{nth + 1}")
    with pytest.raises(LimitExceeded) as caught:
        scope.fork("one too many")
    assert (caught.value.limit, caught.value.actual) == (64, 65)
    assert "one too many" not in store.scopes()


def test_a_lease_stays_behind(store: Store) -> None:
    alice = store.scope("alice")
    thread = alice.threads.start("review", key="k")
    with thread.lease("worker"):
        bob = alice.fork("bob")
        assert alice.threads.get("k").status == "running"
        theirs = bob.threads.get("k")
        assert (theirs.status, theirs.lease_owner) == ("idle", None)
        with theirs.lease("another"):
            theirs.append("coder", "at the same time")
        assert len(theirs) == 1
    assert len(alice.threads.get("k")) == 0


def versions(view: list[str], event: SourceEvent, commit: Commit) -> list[str]:
    return [*view, f"{event.source.scope} {event.version}"]


def test_a_projection_of_its_own_scope_goes_on_in_the_fork(store: Store) -> None:
    alice = store.scope("alice")
    alice.memory.add("preference", "1")
    alice.memory.add("preference", "2")
    own = {"kinds": ["user-memory"], "start": []}
    alice.projection("seen", **own).catch_up(versions)
    alice.memory.add("preference", "not seen yet")
    bob = alice.fork("bob")
    alice.memory.add("preference", "4")
    for _ in range(2):
        bob.projection("seen", **own).catch_up(versions)
        alice.projection("seen", **own).catch_up(versions)
    assert bob.projection("seen", **own).get().value == ["alice 1", "alice 2", "bob 3"]
    assert alice.projection("seen", **own).get().value == ["alice 1", "alice 2", "alice 3", "alice 4"]


def delivered(view: int, event: SourceEvent, commit: Commit) -> int:
    commit.chats.append("inbox", said(f"{event.source.scope} {event.version}"))
    return view + 1


def test_a_projection_of_other_scopes_is_followed_by_both(store: Store) -> None:
    """What was delivered before the fork is in both; what comes after it, each gets once."""
    alice, desk = store.scope("alice"), store.scope("desk")
    following: dict[str, Any] = {"of": alice, "kinds": ["user-memory"], "start": 0}
    alice.memory.add("preference", "1")
    desk.projection("inbox", **following).catch_up(delivered)
    trial = desk.fork("trial")
    alice.memory.add("preference", "2")
    for scope in (desk, trial, trial, desk):
        scope.projection("inbox", **following).catch_up(delivered)
    for scope in (desk, trial):
        assert [message.content for message in scope.chats.messages("inbox")] == ["alice 1", "alice 2"]
    # A fork of what is followed is followed by nobody.
    other = alice.fork("other")
    other.memory.add("preference", "3")
    assert desk.projection("inbox", **following).catch_up(delivered).events == 0


def test_refusals(store: Store) -> None:
    alice = store.scope("alice")
    alice.memory.add("preference", "x")
    bob = store.scope("bob")
    bob.pins.add("mine", store.put(b"x"))
    with pytest.raises(AlreadyExists) as caught:
        alice.fork("bob")
    assert caught.value.scope == "bob"
    assert 'scope "bob" is taken: it has refs' in str(caught.value)
    alice.fork("carol", command_id="1")
    assert alice.fork("carol", command_id="1").name == "carol"
    with pytest.raises(AlreadyExists):
        alice.fork("carol")
    with pytest.raises(AlreadyExists):
        alice.fork("carol", command_id="2")
    with pytest.raises(CommandMismatch):
        bob.fork("carol", command_id="1")
    for name in ("alice", "", " \t"):
        with pytest.raises(Invalid):
            alice.fork(name)
    with pytest.raises(LimitExceeded):
        alice.fork("x" * 2_000)
    with pytest.raises(Invalid):
        store.scope("dave").discard_fork()
    assert store.unfinished_forks() == []
    assert store.scopes() == ["alice", "bob", "carol"]


def test_a_name_that_is_not_there_is_told(store: Store) -> None:
    store.scope("alice").memory.add("preference", "x")
    with pytest.raises(NotFound, match='no scope "alcie" in this store') as caught:
        store.scope("alcie").fork("bob")
    assert caught.value.scope == "alcie"
    assert caught.value.kind == "not-found"
    # A scope is made by use: one that is empty is none.
    empty = store.scope("carol")
    empty.pins.add("mine", store.put(b"x"))
    empty.pins.rm("mine")
    with pytest.raises(NotFound):
        empty.fork("bob")
    assert store.scopes() == ["alice"]


def test_receipts_of_a_life_before_are_not_answered_in_a_fork(store: Store) -> None:
    alice, bob = store.scope("alice"), store.scope("bob")
    alice.threads.start("review", key="k", command_id="1")
    bob.threads.start("another", key="k", command_id="1").rm()
    assert "bob" not in store.scopes()
    with pytest.raises(AlreadyExists, match="erase it first"):
        alice.fork("bob")
    bob.erase()
    retried = alice.fork("bob").threads.start("review", key="k", command_id="1")
    assert retried.id == alice.threads.get("k").id


def test_it_says_how_far_it_is(store: Store) -> None:
    alice = store.scope("alice")
    alice.memory.add("preference", "x")
    stages: list[treering.Progress] = []
    alice.fork("bob", progress=stages.append)
    assert all(stage.stage in ("start", "search", "refs") for stage in stages)


def test_awaited(store: Store) -> None:
    async def play() -> None:
        async with aio.memory() as store:
            alice = store.scope("alice")
            thread = await alice.threads.start("review", key="k")
            bob = await alice.fork("bob")
            assert isinstance(bob, aio.Scope)
            theirs = await bob.threads.get("k")
            # The same thread id in two scopes, at the same time.
            await asyncio.gather(
                *(thread.append("a", str(n)) for n in range(20)), *(theirs.append("b", str(n)) for n in range(20))
            )
            assert [step.role async for step in thread] == ["a"] * 20
            assert [step.role async for step in theirs] == ["b"] * 20
            lineage = await bob.lineage()
            assert lineage is not None
            assert lineage.ancestors[0].scope == "alice"
            assert await store.unfinished_forks() == []

    asyncio.run(play())


def test_it_is_on_the_same_behalf_and_as_durable(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice", durability="relaxed").on_behalf_of("admin")
        alice.memory.add("preference", "x")
        bob = alice.fork("bob")
        assert bob.durability == "relaxed"
        bob.memory.add("preference", "y")
        assert [event.principal for event in bob.memory.history()] == ["admin", "admin"]
        assert pickle.loads(pickle.dumps(bob)) == bob


def test_a_fork_of_what_was_erased_has_no_name_of_it(store: Store) -> None:
    alice = store.scope("alice")
    alice.memory.add("context", "x", command_id="before")
    bob = alice.fork("bob")
    assert bob.memory.add("context", "x", command_id="before").replayed
    bob.memory.add("context", "y", command_id="own")
    alice.erase()
    lineage = bob.lineage()
    assert lineage is not None
    assert [one.scope for one in lineage.ancestors] == [None]
    # Its own commands are answered; those of before went with the origin.
    assert bob.memory.add("context", "y", command_id="own").replayed
    assert not bob.memory.add("context", "x", command_id="before").replayed
    assert store.verify().ok
