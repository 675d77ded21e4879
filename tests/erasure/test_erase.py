"""What a caller sees of an erase, of vacuum, and of the notes."""

import asyncio
import pickle
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import aio
from treering.messages import Message

sys.path.insert(0, str(Path(__file__).parent))

from life import SCOPE, live


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> treering.Store:
    return treering.memory() if request.param == "memory" else treering.open(tmp_path / "state")


def shown(scope: treering.Scope) -> Any:
    threads = [(thread.id, thread.status, [step.cid for step in thread]) for thread in scope.threads.list()]
    return threads, list(scope.memory.get()), list(scope.history()), list(scope.pins.list()), list(scope.holds())


def test_a_scope_goes_whole_and_nothing_else_does(store: treering.Store) -> None:
    live(store)
    live(store, "bob", swap="stay")
    bob = store.scope("bob")
    before = shown(bob)
    thread = store.scope(SCOPE).threads.get("KEYMARK-0")
    plan = store.scope(SCOPE).erase(dry_run=True)
    assert store.scopes() == [SCOPE, "bob"]
    erased = store.scope(SCOPE).erase()
    assert (erased.refs, erased.receipts, erased.commits) == (plan.refs, plan.receipts, plan.commits)
    assert store.scopes() == ["bob"]
    alice = store.scope(SCOPE)
    assert not list(alice.threads.list())
    assert not list(alice.actors())
    assert not list(alice.projections())
    assert not list(alice.pins.list())
    assert not list(alice.holds())
    assert (alice.memory.get().version, alice.user_config.get().default_model) == (0, "")
    with pytest.raises(treering.NotFound):
        thread.refresh()
    assert shown(bob) == before
    report = store.verify()
    assert report.ok
    assert report.erased_commits == erased.commits + 1
    assert f"{erased.commits + 1} erased" in str(report)


def test_the_name_is_new_and_so_are_command_ids(store: treering.Store) -> None:
    alice = store.scope("alice")
    first = alice.memory.add("preference", "answers in French", command_id="c")
    cursor = store.cursor()
    assert alice.erase(command_id="request-1").position > 0
    again = alice.memory.add("preference", "answers in German", command_id="c")
    assert again.changed
    assert first.value is not None
    assert again.value is not None
    assert again.value.id != first.value.id
    assert [entry.content for entry in alice.memory.get()] == ["answers in German"]
    # The same request, sent again: nothing more is erased.
    replayed = alice.erase(command_id="request-1")
    assert replayed.replayed
    assert len(alice.memory.get()) == 1
    later = list(store.journal(after=cursor))
    assert [entry.erased for entry in later] == [True, False]
    assert "erased" in repr(later[0])


def test_a_fork_by_pin_holds_what_it_needs_and_is_named(store: treering.Store) -> None:
    alice, bob = store.scope("alice"), store.scope("bob")
    thread = alice.threads.start("fix", prompt="shared")
    step = thread.append("coder", "shared too")
    thread.append("coder", "alone")
    bob.pins.add("evidence", step.cid)
    erased = alice.erase()
    assert erased.held_by == ("bob",)
    assert 0 < erased.held_blocks < erased.blocks
    assert "held by 1 scopes" in str(erased)
    store.gc()
    assert store.blocks.get(step.cid)
    assert store.verify().ok


def test_notes_know_names_that_are_asked_for(store: treering.Store, tmp_path: Path) -> None:
    store.scope("alice").memory.add("preference", "x")
    before = datetime.now(UTC)
    store.scope("alice").erase()
    store.scope("bob").erase()
    notes = store.erasures()
    assert len(notes) == 2
    (note,) = store.erasures("alice")
    assert note in notes
    assert len(note.scope) == 32
    assert abs((note.at - before).total_seconds()) < 60
    assert store.erasures("carol") == ()
    assert pickle.loads(pickle.dumps(note)) == note
    store.export_erasures(tmp_path / "notes")
    first = (tmp_path / "notes").read_bytes()
    assert b"alice" not in first
    store.export_erasures(tmp_path / "notes")
    assert (tmp_path / "notes").read_bytes() == first
    with pytest.raises(treering.Unavailable, match="can't be written"):
        store.export_erasures(tmp_path / "no folder" / "notes")


def test_bad_input(store: treering.Store) -> None:
    with pytest.raises(treering.Invalid):
        store.scope("alice").erase(command_id="")
    with pytest.raises(treering.LimitExceeded):
        store.scope("alice").erase(command_id="x" * 257)
    assert store.scope("alice").erase(command_id="x" * 256).refs == 0


def test_a_name_that_nobody_used_is_told(store: treering.Store) -> None:
    store.scope("alice").memory.add("preference", "answers in French")
    for dry_run in (True, False):
        (warning,) = store.scope("alcie").erase(dry_run=dry_run).warnings
        assert "nothing" in warning
        assert "'alcie'" in warning
    erased = store.scope("alice").erase(command_id="once")
    again = store.scope("alice").erase(command_id="once")
    assert (erased.refs, erased.warnings, again.replayed, again.warnings) == (1, (), True, ())


def test_who_follows_states_and_projections_of_an_erased_scope_goes_on(store: treering.Store) -> None:
    alice, bob = store.scope("alice"), store.scope("bob")
    alice.memory.add("preference", "answers in French")
    counted = bob.projection("facts", of=[alice, bob], kinds=["user-memory"], start=0)
    counted.catch_up(lambda view, event, commit: view + 1)
    alice.erase()
    bob.memory.add("context", "works at night")
    counted.catch_up(lambda view, event, commit: view + 1)
    assert counted.get().value == 2
    alice.chats.append("c", [Message(role="user", content="anew")])
    alice.memory.add("preference", "answers in German")
    counted.catch_up(lambda view, event, commit: view + 1)
    assert counted.get().value >= 2
    assert store.verify().ok


@pytest.mark.parametrize("anew", [1, 2, 3, 5])
@pytest.mark.parametrize("seen", [0, 3])
def test_a_watch_of_an_erased_scope_goes_on_with_its_new_life(store: treering.Store, seen: int, anew: int) -> None:
    alice = store.scope("alice")
    for number in range(3):
        alice.memory.add("context", f"before {number}")
    watches = [alice.memory.watch(seen), alice.actor("user-memory").watch(seen)]
    alice.chats.append("c", [Message(role="user", content="before")])
    watches.append(alice.chats.watch("c"))
    alice.erase()
    for number in range(anew):
        alice.memory.add("context", f"after {number}")
        alice.chats.append("c", [Message(role="user", content="after")])
    for watch in watches:
        assert [next(watch).version for _ in range(anew)] == list(range(1, anew + 1))
    alice.memory.add("context", "once more")
    assert next(watches[0]).version == anew + 1


def test_a_watch_is_told_of_what_a_new_life_cut_off(store: treering.Store) -> None:
    alice = store.scope("alice")
    alice.memory.add("context", "before")
    watch = alice.memory.watch()
    alice.erase()
    for number in range(5):
        alice.memory.add("context", f"after {number}")
    alice.memory.trim(keep=2)
    with pytest.raises(treering.HistoryTrimmed):
        next(watch)


def test_awaited(tmp_path: Path) -> None:
    async def lived() -> None:
        async with aio.open(tmp_path / "state") as store:
            alice = store.scope("alice")
            await alice.memory.add("preference", "x")
            assert (await alice.erase(dry_run=True)).refs == 1
            assert (await alice.erase(command_id="1")).refs == 1
            assert (await alice.erase(command_id="1")).replayed
            assert len(await store.erasures()) == 1
            await store.gc()
            assert (await store.vacuum()).complete
            await store.export_erasures(tmp_path / "notes")

    asyncio.run(lived())


def test_a_vacuum_gives_back_what_a_collection_kept_free(tmp_path: Path) -> None:
    with treering.open(tmp_path / "state", automatic_gc=False) as store:
        thread = store.threads.start("w")
        thread.extend([("coder", "x" * 3_000)] * 2_000)
        thread.rm()
        store.gc()
        assert store.stats()["free_bytes"] > 0
        done = store.vacuum()
        assert done
        assert done.freed_bytes > 0
        assert (store.stats()["free_bytes"], store.stats()["wal_bytes"]) == (0, 0)
        assert done.database_bytes == (tmp_path / "state" / "store.db").stat().st_size
    with treering.open(tmp_path / "state", read_only=True) as store, pytest.raises(treering.ReadOnly):
        store.vacuum()
