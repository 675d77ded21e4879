"""Whole scopes in files: out, in, again, gone on, and what can't be taken."""

import io
import itertools
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole import fill, shown

import treering
from treering import Scope, Store, testing
from treering.messages import Message


@dataclass(frozen=True)
class Add:
    cents: int


@dataclass(frozen=True)
class Put:
    cents: int


@dataclass(frozen=True)
class Sum:
    total: int = 0


class Purse(treering.Actor[Sum, Add, Put]):
    kind = "purse"
    snapshot_every = 4

    def decide(self, state: Sum, command: Add, context: treering.ActorContext) -> Put:
        return Put(command.cents)

    def evolve(self, state: Sum, event: Put) -> Sum:
        return Sum(state.total + event.cents)


def count(view: Any, event: Any, commit: Any) -> Any:
    return view + 1


def fuller(scope: Scope) -> None:
    """All that `fill` makes, and an actor of its own, a projection, a large file, a pin of bytes, trimmed history."""
    fill(scope)
    for cents in range(9):
        scope.own(Purse, "p").send(Add(cents), command_id=f"c{cents}")
    scope.projection("events", kinds=["chat", Purse], start=0).catch_up(count)
    scope.files.put("large.bin", io.BytesIO(bytes(range(256)) * 2048))
    scope.pins.add("bytes", scope.blocks.put(b"loose"))
    for nth in range(40):
        scope.memory.add("context", f"fact {nth}")
    scope.actor("user-memory").trim(keep=3)


def read(scope: Scope) -> bytes:
    with scope.files.open("large.bin") as file:
        return file.read(1 << 30)


def moved(scope: Scope, file: Path, **how: Any) -> treering.Imported:
    scope.export(file)
    return how.pop("to").import_car(file, **how)


@pytest.mark.parametrize("name", ["alice", "another name/é"])
def test_all_of_it_is_there(alice: Scope, tmp_path: Path, name: str) -> None:
    fuller(alice)
    file = tmp_path / "a.car"
    made = alice.export(file)
    with treering.open(tmp_path / "other") as other:
        there = other.scope(name)
        did = there.import_car(file)
        assert did.scope == "alice"
        assert set(did.threads) == set(made.threads)
        assert (did.actors, did.projections, did.pins) == (made.actors, made.projections, made.pins)
        assert did.blocks == did.new_blocks == made.blocks
        assert (did.new_receipts, did.receipts_left) == ((made.receipts, 0) if name == "alice" else (0, made.receipts))
        assert shown(there) == shown(alice)
        assert there.own(Purse, "p").get().state.total == 36
        assert there.projection("events").get() == alice.projection("events").get()
        assert read(there) == read(alice)
        assert there.verify()
        assert other.verify().ok
        # The names apart, the file that it gives is the same, and the same file again writes nothing.
        stats, head = other.stats(), other.head()
        again = there.import_car(file)
        assert not again.changed
        assert (again.new_blocks, again.new_receipts, len(again.there)) == (0, 0, len(made.threads))
        assert again.others_there == made.actors + made.projections + made.pins
        assert (other.stats(), other.head()) == (stats, head)
        if name == "alice":
            assert there.export(tmp_path / "b.car").root == made.root
            assert (tmp_path / "b.car").read_bytes() == file.read_bytes()
            # What was done is done.
            assert there.own(Purse, "p").send(Add(3), command_id="c3").replayed
            assert there.own(Purse, "p").get().state.total == 36
        # Both go on, each for itself.
        there.own(Purse, "p").send(Add(100))
        alice.memory.add("preference", "tea")
        assert alice.own(Purse, "p").get().state.total == 36
        assert "tea" not in [entry.content for entry in there.memory.get()]
        assert there.projection("events", kinds=["chat", Purse], start=0).catch_up(count).events > 0
        assert there.verify()


def test_in_the_same_store_it_costs_no_block(alice: Scope, store: Store, tmp_path: Path) -> None:
    fuller(alice)
    did = moved(alice, tmp_path / "a.car", to=store.scope("bob"))
    assert did.new_blocks == 0
    assert not alice.diff(store.scope("bob"))
    assert store.verify().ok


def test_the_same_state_gives_the_same_bytes_whatever_its_way(tmp_path: Path) -> None:
    """Versions of refs, ordinals and the journal are not in it."""
    files = []
    for nth in range(2):
        with testing.memory(clock=testing.Clock()) as store:
            scope = store.scope("alice")
            if nth:
                store.scope("bob").memory.add("context", "somebody else's")
                scope.pins.add("k", store.put(b"y"))
            scope.user_config.update(default_model="m")
            scope.pins.add("k", scope.actors().__iter__().__next__().head or "")
            file = io.BytesIO()
            scope.pins.rm("k")
            scope.pins.add("k", store.put(b"x"))
            scope.export(file)
            files.append(file.getvalue())
    # Event ids are drawn: what is random stands in the log, and nowhere else.
    assert abs(len(files[0]) - len(files[1])) < 4
    assert b"bob" not in files[1]
    assert b"somebody" not in files[1]
    assert str(tmp_path).encode() not in files[1]


def test_it_goes_on_where_the_file_knows_more(alice: Scope, tmp_path: Path) -> None:
    fuller(alice)
    with treering.memory() as other:
        there = other.scope("alice")
        moved(alice, tmp_path / "1.car", to=there)
        alice.memory.add("preference", "tea")
        alice.own(Purse, "p").send(Add(5))
        thread = next(iter(alice.threads.list(active=True)), None) or alice.threads.start("more", key="more")
        alice.threads.get(thread.id).append("coder", "more")
        alice.projection("events", kinds=["chat", Purse], start=0).catch_up(count)
        did = moved(alice, tmp_path / "2.car", to=there)
        assert (did.actors, did.projections) == (2, 1)
        assert len(did.advanced) + len(did.threads) == 1
        assert shown(there) == shown(alice)
        assert there.verify()
        assert other.verify().ok
        # The older file has nothing for it: what is here went on.
        before = other.head()
        with pytest.raises((treering.Diverged, treering.AlreadyExists)):
            there.import_car(tmp_path / "1.car")
        assert other.head() == before


@pytest.mark.parametrize("what", ["actor", "own", "projection", "pin", "thread", "key"])
def test_what_went_on_otherwise_refuses_all_of_it(alice: Scope, tmp_path: Path, what: str) -> None:
    alice.memory.add("preference", "tea")
    alice.projection("events", kinds=["user-memory"], start=0).catch_up(count)
    alice.own(Purse, "p").send(Add(1))
    thread = alice.threads.start("w", key="k")
    alice.pins.add("p", alice.blocks.put(b"x"))
    with treering.memory() as other:
        there = other.scope("alice")
        match what:
            case "actor":
                there.memory.add("preference", "coffee")
            case "own":
                there.own(Purse, "p").send(Add(2))
            case "projection":
                there.user_config.update(default_model="m")
                there.projection("events", kinds=["user-config"], start=0).catch_up(count)
            case "pin":
                there.pins.add("p", other.put(b"y"))
            case "thread":
                thread.export(tmp_path / "t.car")
                there.import_car(tmp_path / "t.car")
                there.threads.get(thread.id).append("coder", "here")
                thread.append("coder", "there")
            case _:
                there.threads.start("w", key="k")
        before = other.head(), other.stats()
        alice.export(tmp_path / "a.car")
        with pytest.raises(treering.TreeringError) as caught:
            there.import_car(tmp_path / "a.car")
        names = {"actor": "user-memory", "own": "x.purse", "projection": "projection", "pin": "pin"}
        if what in names:
            assert isinstance(caught.value, treering.Diverged)
            (ref,) = caught.value.refs
            assert names[what] in ref
        else:
            assert isinstance(caught.value, treering.AlreadyExists)
        assert (other.head(), other.stats()) == before
        for how in ("skip", "rename"):
            if what in ("actor", "own", "projection"):
                with pytest.raises(treering.Diverged):
                    there.import_car(tmp_path / "a.car", on_conflict=how)
                continue
            into = there.fork(how)
            did = into.import_car(tmp_path / "a.car", on_conflict=how)
            assert did.actors == 2
            assert into.verify()
            if how == "skip":
                assert len(did.skipped) + len(did.pins_skipped) == 1
            elif what == "pin":
                assert into.pins.list()["p-2"] == alice.pins.list()["p"]
            assert not into.import_car(tmp_path / "a.car", on_conflict=how).changed


def test_of_a_scope_as_it_was(alice: Scope, store: Store, tmp_path: Path) -> None:
    fuller(alice)
    then = store.head(), shown(alice)
    cursor = list(store.journal())[-1].cursor
    alice.memory.clear()
    with treering.memory() as other:
        moved(alice.at(cursor), tmp_path / "then.car", to=other.scope("alice"))
        assert shown(other.scope("alice")) == then[1]
    for thread in list(alice.threads.list()):
        alice.threads.get(thread.id).rm()
    for hold in list(alice.holds()):
        hold.release()
    store.gc()
    past = alice.at(cursor)
    assert past.gone
    with pytest.raises(treering.HistoryTrimmed, match="gone"):
        past.export(tmp_path / "half.car")
    assert not (tmp_path / "half.car").exists()


def put_in(scope: Scope) -> bytes:
    file = io.BytesIO()
    scope.export(file)
    return file.getvalue()


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["memory", "config", "chat", "own", "files", "start", "append", "pin", "both", "project"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


def act(scope: Scope, what: str, nth: int, command_id: str | None) -> None:
    match what:
        case "memory":
            scope.memory.add("context", f"fact {nth}", command_id=command_id)
        case "config":
            scope.user_config.update(default_model=f"model {nth}", command_id=command_id)
        case "chat":
            scope.chats.append("c", [Message(role="user", content=f"hello {nth}")], command_id=command_id)
        case "own":
            scope.own(Purse, "p").send(Add(nth), command_id=command_id)
        case "files":
            scope.files.put(f"f{nth % 3}", str(nth).encode(), command_id=command_id)
        case "start":
            scope.threads.start("w", key=f"k{nth}", command_id=command_id)
        case "append" if threads := list(scope.threads.list()):
            scope.threads.get(threads[0].id).append("coder", f"step {nth}", command_id=command_id)
        case "pin":
            scope.pins.add("p", scope.blocks.put(str(nth).encode()))
        case "both":
            with scope.commit(command_id=command_id) as c:
                c.memory.add("context", f"both {nth}")
                c.threads.start("w")
        case "project":
            scope.projection("events", kinds=["chat", Purse], start=0).catch_up(count)


@settings(max_examples=25, deadline=None)
@given(ACTS, st.booleans(), st.integers(0, 24))
def test_of_any_moment_it_is_what_it_was_then(acts: list[tuple[str, bool]], ticking: bool, fork_at: int) -> None:
    """To the byte. A command that was done by then is done where it is imported, and no other is."""
    clock = testing.Clock()
    with testing.memory(clock=clock) as store:
        origin = scope = store.scope("origin")
        # What has no ref can't be forked.
        origin.agents.add("coder", "agent-0")
        made: list[tuple[Scope, str, bytes, list[tuple[str, str]]]] = []
        done: list[tuple[str, str]] = []
        for nth, (what, is_command) in enumerate(acts):
            clock.advance(int(ticking))
            if nth == fork_at:
                scope, done = origin.fork("fork"), []  # its receipts of before stay with the origin
            act(scope, what, nth, f"c{nth}" if is_command else None)
            if is_command and what in ("memory", "config"):
                done = [*done, (what, f"c{nth}")]
            if entries := list(store.journal()):
                made.append((scope, entries[-1].cursor, put_in(scope), done))
        for scope, cursor, bytes_then, _ in made:
            assert put_in(scope.at(cursor)) == bytes_then
        for scope, cursor, _, by_then in made[-1:] + made[: len(made) // 2][-1:]:
            with testing.memory(clock=clock) as other, tempfile.TemporaryDirectory() as folder:
                scope.at(cursor).export(f"{folder}/then.car")
                there = other.scope(scope.name)
                there.import_car(f"{folder}/then.car")
                for what, command_id in done:
                    nth = int(command_id[1:])
                    if (what, command_id) in by_then:
                        before = other.head()
                        act(there, what, nth, command_id)
                        assert other.head() == before
                    else:
                        before = other.head()
                        act(there, what, nth, command_id)
                        assert other.head() != before


def test_receipts_go_along_with_a_scope_as_it_was(alice: Scope, store: Store, tmp_path: Path) -> None:
    alice.memory.add("preference", "tea", command_id="turn-1")
    thread = alice.threads.start("w", key="k", command_id="start-1")
    thread.append("coder", "one", command_id="step-1")
    # An import brings some of its own.
    with treering.memory() as elsewhere:
        other = elsewhere.scope("alice")
        other.user_config.update(default_model="m", command_id="brought")
        other.export(tmp_path / "brought.car")
    assert alice.import_car(tmp_path / "brought.car").new_receipts == 1
    cursor = list(store.journal())[-1].cursor
    alice.memory.add("preference", "coffee", command_id="turn-2")
    thread.append("coder", "two", command_id="step-2")
    made = alice.at(cursor).export(tmp_path / "then.car")
    assert (made.receipts, made.receipts_left) == (4, 0)
    # Of threads that are named go along those that are about them.
    alone = alice.at(cursor).export(tmp_path / "thread.car", [thread.id])
    assert (alone.receipts, alone.receipts_left) == (2, 0)
    with treering.memory() as home:
        there = home.scope("alice")
        assert there.import_car(tmp_path / "then.car").new_receipts == 4
        assert there.memory.add("preference", "tea", command_id="turn-1").replayed
        assert there.user_config.update(default_model="m", command_id="brought").replayed
        assert there.threads.start("w", key="k", command_id="start-1").id == thread.id
        assert there.threads.get("k").append("coder", "one", command_id="step-1").number == 1
        assert not there.memory.add("preference", "coffee", command_id="turn-2").replayed
        assert len(there.threads.get("k")) == 1
    # From before there was anything, nothing.
    first = alice.at(datetime(1971, 1, 1, tzinfo=UTC)).export(tmp_path / "first.car")
    assert (first.receipts, first.actors) == (0, 0)


def test_more_than_a_commit_is_seen_at_once(tmp_path: Path, in_memory: dict[str, str]) -> None:
    with treering.memory() as store, treering.memory() as other:
        alice, block = store.scope("alice"), store.put(b"x")
        alice.memory.add("preference", "tea", command_id="m")
        for nth in range(10_001):
            alice.pins.add(str(nth), block)
        alice.export(tmp_path / "a.car")
        there = other.scope("bob")
        before = other.head().split("-")[0]
        did = there.import_car(tmp_path / "a.car")
        assert (did.pins, did.actors) == (10_001, 1)
        assert before
        assert other.unfinished_forks() == []
        assert there.verify()
        seen = [
            sum(1 for move in entry.moves if move.kind == "pin" and move.scope == "bob") for entry in other.journal()
        ]
        assert len([moves for moves in seen if moves]) > 1
        assert not there.import_car(tmp_path / "a.car").changed
        # A scope that has something can't be hidden.
        carol = other.scope("carol")
        carol.pins.add("mine", other.put(b"y"))
        with pytest.raises(treering.LimitExceeded):
            carol.import_car(tmp_path / "a.car")
        assert len(carol.pins.list()) == 1
        # At the edge it is one commit, there too.
        for nth in range(2):
            alice.pins.rm(str(nth))
        alice.export(tmp_path / "edge.car")
        last = other.head()
        assert carol.import_car(tmp_path / "edge.car").pins == 9_999
        moves = [len(entry.moves) for entry in other.journal() if entry.moves]
        assert moves[-1] == 10_000
        assert other.head() != last


def test_an_empty_scope_and_what_stays(store: Store, tmp_path: Path) -> None:
    made = store.scope("nobody").export(tmp_path / "none.car")
    assert (made.threads, made.actors, made.blocks, made.receipts) == ((), 0, 0, 0)
    assert not store.scope("somebody").import_car(tmp_path / "none.car").changed
    assert store.scopes() == []


def test_it_is_cut_short_at_each_call_of_the_watcher(alice: Scope, tmp_path: Path) -> None:
    fuller(alice)
    with alice.commit() as c:
        thread = c.threads.start("long")
        for nth in range(400):
            thread.append("coder", f"step {nth}")
    alice.export(tmp_path / "a.car")

    class Stop(Exception):
        pass

    for at in itertools.count():
        with treering.memory() as other:
            calls = itertools.count()

            def stop(done: int, total: int | None, calls: Any = calls, at: int = at) -> None:
                if next(calls) == at:
                    raise Stop

            try:
                other.scope("bob").import_car(tmp_path / "a.car", progress=stop)
            except Stop:
                assert other.scopes() == []
                other.scope("bob").import_car(tmp_path / "a.car")
                assert other.verify().ok
            else:
                break
    assert at > 1


KILLED = """
import os, sys, treering
with treering.open(sys.argv[1]) as store:
    def watch(*progress):
        if any(name.endswith(".partial") for name in os.listdir(sys.argv[2])):
            os._exit(9)
    store.scope("alice").export(sys.argv[2] + "/a.car", progress=watch)
"""


def test_a_killed_export_leaves_the_path_free(tmp_path: Path) -> None:
    """What it had written lies beside, under a name of its own, and may go."""
    out = tmp_path / "out"
    out.mkdir()
    with treering.open(tmp_path / "s") as store:
        fill(store.scope("alice"))
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "s", out], check=False)
    assert done.returncode == 9
    (left,) = out.iterdir()
    assert re.fullmatch(r"a\.car\.[0-9A-Z]{26}\.partial", left.name)
    with treering.open(tmp_path / "s") as store:
        made = store.scope("alice").export(out / "a.car")
        assert {path.name for path in out.iterdir()} == {"a.car", left.name}
        left.unlink()
        with treering.memory() as other:
            other.scope("alice").import_car(out / "a.car")
            assert shown(other.scope("alice")) == shown(store.scope("alice"))
            assert other.scope("alice").export(out / "again.car").root == made.root
