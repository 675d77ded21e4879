"""What a projection promises, by name: views, checkpoints, delivery, sources that come, go and are cut."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from functions import View, delivering, from_gap, inbox, say, versions

import treering
from treering import (
    Cid,
    Commit,
    Gap,
    HistoryTrimmed,
    Invalid,
    LimitExceeded,
    Map,
    ProjectionInfo,
    ProjectionView,
    Source,
    SourceEvent,
    Store,
    Vector,
)
from treering.messages import AgentAdded, MemoryEntryAdded, Message


def commits(store: Store) -> int:
    return sum(1 for _ in store.journal())


def test_never_written_is_told_apart(store: Store) -> None:
    seen = store.scope("team").projection("seen", kinds=["chat"], start={"a": [1]})
    assert seen.get() == ProjectionView(value={"a": [1]}, version=0, events=0)
    assert seen.checkpoint() == {}
    assert list(store.scope("team").projections()) == []
    assert seen.catch_up(versions).version == 0
    assert commits(store) == 0


def test_what_an_event_tells(store: Store, clock: Any) -> None:
    alice = store.scope("alice").on_behalf_of("bob", causation_id="ticket")
    alice.memory.add("preference", "in French", command_id="turn-1")
    clock.advance(5)
    alice.agents.add("coder", "c1")
    told: list[SourceEvent] = []

    def note(view: None, event: SourceEvent, commit: Commit) -> None:
        told.append(event)

    store.scope("team").projection("p", of=alice, kinds=["user-memory", "agent-registry"]).catch_up(note)
    first, second = sorted(told, key=lambda event: event.at_ms)
    happened = next(alice.memory.history())
    assert first.source == Source("alice", "user-memory", ())
    assert isinstance(first.message, MemoryEntryAdded)
    assert first.message.entry.content == "in French"
    assert isinstance(second.message, AgentAdded)
    for name in ("version", "at_ms", "at", "type", "schema", "event_id", "cid"):
        assert getattr(first, name) == getattr(happened, name)
    assert (first.command_id, first.causation_id, first.principal) == ("turn-1", "ticket", "bob")
    assert (second.at_ms - first.at_ms, second.command_id, second.deleted, second.unseen) == (5, None, False, 0)
    assert pickle.loads(pickle.dumps(first)) == first


def test_view_checkpoint_and_delivery_are_one_commit(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c1", "a", "b")
    say(alice, "c2", "c")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    before = commits(store)
    report = seen.catch_up(delivering)
    assert (report.events, report.commits, report.version, commits(store) - before) == (3, 1, 1, 1)
    entry = list(store.journal())[-1]
    assert {move.kind for move in entry.moves} == {"projection", "chat", "chat-index"}
    assert {move.scope for move in entry.moves} == {"team"}
    assert seen.get().value == {"alice/chat/c1": [1, 2], "alice/chat/c2": [1]}
    assert seen.checkpoint() == {Source("alice", "chat", ("c1",)): 2, Source("alice", "chat", ("c2",)): 1}
    assert sorted(inbox(team)) == ["alice/chat/c1 1", "alice/chat/c1 2", "alice/chat/c2 1"]
    # Nothing is there to do: nothing is written.
    assert seen.catch_up(delivering).commits == 0
    assert commits(store) - before == 1


def test_a_hundred_events_share_a_commit(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    for first in range(0, 250, 50):
        with alice.commit() as c:
            for number in range(first, first + 50):
                c.agents.add("t", f"a{number}")
    seen = team.projection("seen", of=alice, kinds=["agent-registry"], start={})
    report = seen.catch_up(versions)
    assert (report.events, report.commits) == (250, 3)
    assert seen.get().value == {"alice/agent-registry": list(range(1, 251))}


def test_sources_that_come_later(store: Store) -> None:
    alice, bob, team = (store.scope(name) for name in ("alice", "bob", "team"))
    say(alice, "c1", "a")
    seen = team.projection("seen", of=[alice, bob], kinds=["chat"], start={})
    seen.catch_up(versions)
    say(bob, "c1", "b")
    say(alice, "c2", "c")
    alice.memory.add("k", "not followed")
    assert seen.catch_up(versions).events == 2
    assert seen.get().value == {"alice/chat/c1": [1], "alice/chat/c2": [1], "bob/chat/c1": [1]}
    # More kinds, and another scope, from their beginning; what was seen is not seen again.
    say(store.scope("carl"), "c1", "d")
    wider = team.projection("seen", of=[alice, bob, store.scope("carl")], kinds=["chat", "user-memory"], start={})
    assert wider.catch_up(versions).events == 2
    assert wider.get().value == seen.get().value
    assert {name for name, _ in wider.get().value.items()} >= {"carl/chat/c1", "alice/user-memory"}
    assert all(found == [1] for found in wider.get().value.values())
    # And fewer again: nothing comes back.
    assert seen.catch_up(versions).events == 0


def test_a_source_that_is_deleted_and_written_again(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    told: list[SourceEvent] = []

    def note(view: View, event: SourceEvent, commit: Commit) -> View:
        told.append(event)
        return versions(view, event, commit)

    say(alice, "c", "a")
    seen.catch_up(note)
    say(alice, "c", "b", "c")
    alice.chats.delete("c")
    seen.catch_up(note)
    assert [(event.version, event.deleted, event.unseen) for event in told] == [(1, False, 0), (4, True, 2)]
    assert (told[1].type, told[1].message, told[1].event_id) == ("", None, "")
    say(alice, "c", "again")
    seen.catch_up(note)
    alice.chats.delete("c")
    seen.catch_up(note)
    assert [(event.version, event.deleted) for event in told[2:]] == [(5, False), (6, True)]
    # Deleted and written again before anybody looked.
    say(alice, "c", "x")
    alice.chats.delete("c")
    say(alice, "c", "y")
    seen.catch_up(note)
    assert [(event.version, event.deleted, event.unseen) for event in told[4:]] == [(8, True, 1), (9, False, 0)]
    assert seen.get().value == {"alice/chat/c": [1, 4, 5, 6, 8, 9]}
    assert seen.checkpoint() == {Source("alice", "chat", ("c",)): 9}


def test_history_that_was_cut_off(store: Store) -> None:
    """Deleting a conversation cuts the history of the list of them."""
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "keep", "a", "b")
    say(alice, "gone", "c")
    seen = team.projection("seen", of=alice, kinds=["chat", "chat-index"], start={})
    seen.catch_up(versions)
    alice.chats.delete("gone")
    say(alice, "keep", "d")
    with pytest.raises(HistoryTrimmed) as caught:
        seen.catch_up(versions)
    assert (caught.value.actor, caught.value.asked, caught.value.oldest) == ("alice/chat-index", 4, 5)  # type: ignore[attr-defined]
    before = seen.get()
    gaps: list[Gap] = []

    def on(view: View, gap: Gap, commit: Commit) -> View:
        gaps.append(gap)
        commit.chats.append("inbox", [Message(content=f"{gap.source} was cut off")])
        return from_gap(view, gap, commit)

    seen.catch_up(versions, trimmed=on)
    (gap,) = gaps[-1:]
    assert (gap.source, gap.seen, gap.version) == (Source("alice", "chat-index", ()), 3, 4)
    assert [row.id for row in gap.state] == ["keep"]  # type: ignore[union-attr]
    assert gap.state.version == 4  # type: ignore[union-attr]
    assert seen.get().value["alice/chat-index"] == [1, 2, 3, -4, 5]
    assert before.value["alice/chat-index"] == [1, 2, 3]
    assert inbox(team) == ["alice/chat-index was cut off"]
    # A projection that begins only now has a gap from the start.
    fresh = team.projection("fresh", of=alice, kinds=["chat-index"], start={})
    with pytest.raises(HistoryTrimmed):
        fresh.catch_up(versions)
    assert fresh.get().version == 0
    fresh.catch_up(versions, trimmed=from_gap)
    assert fresh.get().value == {"alice/chat-index": [-4, 5]}


def test_views_with_collections_and_links(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")

    def index(view: dict[str, Any], event: SourceEvent, commit: Commit) -> dict[str, Any]:
        name = f"{event.source}@{event.version}"
        return {
            "by_name": view["by_name"].insert(name, {"at": event.version}),
            "order": view["order"].append(name * 9),
            "blobs": [*view["blobs"], commit.put(name.encode())],
            "nested": {"deep": [view["nested"]["deep"][0].insert(name, view["order"])]},
        }

    start = {"by_name": Map(), "order": Vector(), "blobs": [], "nested": {"deep": [Map()]}}
    seen = team.projection("seen", of=alice, kinds=["chat"], start=start)
    say(alice, "c", *"abc")
    seen.catch_up(index)
    say(alice, "c", *"de")
    seen.catch_up(index)
    names = [f"alice/chat/c@{version}" for version in range(1, 6)]
    for _ in range(2):
        value = seen.get().value
        assert isinstance(value["by_name"], Map)
        assert isinstance(value["nested"]["deep"][0], Map)
        assert dict(value["by_name"].items()) == {f"alice/chat/c@{version}": {"at": version} for version in range(1, 6)}
        assert list(value["order"]) == [name * 9 for name in names]
        assert [store.blocks.get(cid) for cid in value["blobs"]] == [name.encode() for name in names]
        assert all(isinstance(cid, Cid) for cid in value["blobs"])
        # All of it outlives a collection, holds or not.
        for hold in list(team.holds()):
            hold.release()
        store.gc()
    assert store.verify().ok
    whole = team.projection("whole", of=alice, kinds=["chat"], start=Map())
    whole.catch_up(lambda view, event, commit: view.insert(str(event.version), event.at_ms))
    assert sorted(whole.get().value) == ["1", "2", "3", "4", "5"]


def test_a_view_that_is_changed_in_place(store: Store) -> None:
    """Each batch begins with the stored view, so one that did not count leaves nothing."""
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", *"abcd")
    failures = iter([True])

    def count(view: dict[str, int], event: SourceEvent, commit: Commit) -> dict[str, int]:
        view["count"] = view.get("count", 0) + 1
        if event.version == 3 and next(failures, False):
            raise RuntimeError("this once")
        return view

    start: dict[str, int] = {}
    seen = team.projection("seen", of=alice, kinds=["chat"], start=start)
    assert seen.catch_up(count).events == 4
    assert seen.get().value == {"count": 4}
    assert start == {}


def test_a_projection_may_write_to_what_it_follows(store: Store) -> None:
    """What it writes comes back to it with the next call; each call ends."""
    alice = store.scope("alice")
    say(alice, "c", "a")

    def echo(view: int, event: SourceEvent, commit: Commit) -> int:
        if event.version < 4:
            commit.chats.append("c", [Message(content="again")])
        return view + 1

    seen = alice.projection("echo", kinds=["chat"], start=0)
    assert [seen.catch_up(echo).events for _ in range(5)] == [1, 1, 1, 1, 0]
    assert alice.chats.messages("c").version == 4


def test_rebuild_makes_the_view_anew_and_delivers_nothing(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c1", *"abc")
    say(alice, "c2", *"de")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    assert seen.rebuild(delivering).version == 0
    seen.catch_up(delivering)
    say(alice, "c1", "not seen yet")
    before, delivered = seen.get(), inbox(team)
    report = seen.rebuild(delivering)
    assert (report.events, report.commits, report.version) == (5, 1, 2)
    assert seen.get() == ProjectionView(value=before.value, version=2, events=5)
    assert inbox(team) == delivered
    assert seen.checkpoint() == {Source("alice", "chat", ("c1",)): 3, Source("alice", "chat", ("c2",)): 2}

    def other(view: View, event: SourceEvent, commit: Commit) -> View:
        return {**view, "count": [*view.get("count", []), event.version]}

    seen.rebuild(other)
    assert sorted(seen.get().value["count"]) == [1, 1, 2, 2, 3]
    assert seen.catch_up(other).events == 1
    # Deleted and cut sources: what can be had of them.
    alice.chats.delete("c2")
    assert seen.rebuild(versions).events == 4
    seen.catch_up(versions)
    assert seen.get().value == {"alice/chat/c1": [1, 2, 3, 4], "alice/chat/c2": [3]}
    seen.rebuild(versions)
    assert seen.get().value == {"alice/chat/c1": [1, 2, 3, 4], "alice/chat/c2": [3]}


def test_rebuild_where_history_was_cut_off(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "a", "x")
    seen = team.projection("seen", of=alice, kinds=["chat-index"], start={})
    seen.catch_up(versions)
    say(alice, "b", "x")
    alice.chats.delete("b")
    # What was cut off lies behind what was seen: the next call tells of it.
    assert seen.rebuild(versions).events == 0
    assert seen.get().value == {}
    seen.catch_up(versions, trimmed=from_gap)
    assert seen.get().value == {"alice/chat-index": [-3]}
    say(alice, "c", "x")
    seen.catch_up(versions)
    with pytest.raises(HistoryTrimmed):
        seen.rebuild(versions)
    assert seen.rebuild(versions, trimmed=from_gap).events == 2
    assert seen.get().value == {"alice/chat-index": [-3, 4]}


def test_a_rebuilt_view_may_be_larger_than_a_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its collections go into the store on the way, and nothing is held afterwards."""
    monkeypatch.setattr("treering._projecting.PARKED_EVENTS", 7)
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", *map(str, range(30)))

    def index(view: dict[str, Any], event: SourceEvent, commit: Commit) -> dict[str, Any]:
        return {"map": view["map"].insert(str(event.version), "x" * 100)}

    seen = team.projection("seen", of=alice, kinds=["chat"], start={"map": Map()})
    seen.catch_up(index)
    expected = seen.get().value
    before = commits(store)
    assert seen.rebuild(index).events == 30
    assert commits(store) - before == 1 + 30 // 7
    assert seen.get().value == expected
    assert list(team.holds()) == []


def test_delete_and_begin_again(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", *"ab")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    seen.delete()
    assert commits(store) == 2
    seen.catch_up(delivering)
    seen.delete()
    assert (seen.get().version, seen.get().value, seen.checkpoint()) == (0, {}, {})
    assert list(team.projections()) == []
    assert seen.catch_up(delivering).events == 2
    assert inbox(team) == ["alice/chat/c 1", "alice/chat/c 2"] * 2


def test_a_projection_s_own_scope_is_the_default(store: Store) -> None:
    alice = store.scope("alice")
    say(alice, "c", "a")
    say(store.scope("bob"), "c", "b")
    seen = alice.projection("seen", kinds=["chat"], start={})
    assert seen.catch_up(versions).events == 1
    assert seen.get().value == {"alice/chat/c": [1]}
    assert seen.checkpoint() == {Source("alice", "chat", ("c",)): 1}


def test_listing_and_actors_do_not_mix(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", *"ab")
    for name in ("two", "one", "a/b"):
        team.projection(name, of=alice, kinds=["chat"], start={}).catch_up(versions)
    assert list(team.actors()) == []
    assert {(entry.kind, entry.change) for entry in team.history()} == {("projection", "created")}
    assert list(team.projections()) == [
        ProjectionInfo(name=name, version=1, events=2, sources=1) for name in ("a/b", "one", "two")
    ]
    assert list(alice.projections()) == []
    with pytest.raises(treering.NotFound):
        team.actor("projection", "one").info()


def test_what_can_not_be_a_projection(store: Store) -> None:
    alice = store.scope("alice")
    for name in ("", "  "):
        with pytest.raises(Invalid):
            alice.projection(name, kinds=["chat"])
    with pytest.raises(LimitExceeded):
        alice.projection("x" * 1025, kinds=["chat"])
    with pytest.raises(Invalid, match="user-memory"):
        alice.projection("p", kinds=["memory"])
    with pytest.raises(Invalid, match="NaN"):
        alice.projection("p", kinds=["chat"], start=float("nan"))
    with treering.memory() as other, pytest.raises(Invalid, match="another store"):
        alice.projection("p", of=other.scope("alice"), kinds=["chat"])
    nothing: treering.Projection[Any] = alice.projection("p")
    with pytest.raises(Invalid, match="follows nothing"):
        nothing.catch_up(versions)
    with pytest.raises(Invalid, match="follows nothing"):
        next(nothing.follow(versions))
    assert commits(store) == 0


def test_a_projection_reopens_from_a_pickle(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        alice, team = store.scope("alice"), store.scope("team")
        say(alice, "c", *"ab")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={"a": []})
        seen.catch_up(versions)
        data = pickle.dumps(seen)
        expected = seen.get()
        assert pickle.loads(pickle.dumps(expected)) == expected
    again = pickle.loads(data)
    assert repr(again) == "<Projection seen of team>"
    assert again.get() == expected
    assert again.catch_up(versions).events == 0
    again.delete()
    assert again.get().value == {"a": []}
    with treering.memory() as other, pytest.raises(Invalid):
        pickle.dumps(other.scope("alice").projection("seen"))
