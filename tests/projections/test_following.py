"""Whatever the journal says or does not say any more, and whoever runs it: each event once."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from functions import View, delivering, inbox, say, versions
from others import Start

import treering
from treering import Commit, Map, SourceEvent, Store, testing


def test_the_journal_says_what_moved(store: Store) -> None:
    """Of 300 conversations two moved: a few blocks are read, not 300."""
    alice, team = store.scope("alice"), store.scope("team")
    for first in range(0, 300, 100):
        with alice.commit() as c:
            for number in range(first, first + 100):
                c.chats.append(f"c{number}", [treering.messages.Message(content="x")])
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    assert seen.catch_up(versions).events == 300
    say(alice, "c7", "a")
    say(alice, "c250", "b")
    again = team.projection("seen", of=alice, kinds=["chat"], start={})
    before = store.counters()["blocks_read"]
    assert again.catch_up(versions).events == 2
    assert store.counters()["blocks_read"] - before < 100
    before = store.counters()["blocks_read"]
    assert again.catch_up(versions).events == 0
    assert store.counters()["blocks_read"] - before < 10


def test_commits_of_others_move_the_cursor_now_and_then(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treering._projecting.SCANNED_MAX", 20)
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", "a")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    seen.catch_up(versions)
    # With its own commit that makes 19.
    for number in range(18):
        alice.memory.add("k", str(number))
    assert seen.catch_up(versions).version == 1
    alice.memory.add("k", "one more")
    report = seen.catch_up(versions)
    assert (report.events, report.version) == (0, 2)
    # Not again for nothing, its own commit notwithstanding.
    assert [seen.catch_up(versions).version for _ in range(3)] == [2, 2, 2]
    assert seen.get().value == {"alice/chat/c": [1]}


def test_a_journal_that_was_sealed_or_expired(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s", durability="relaxed") as store:
        alice, team = store.scope("alice"), store.scope("team")
        say(alice, "c", "a")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        seen.catch_up(delivering)
        say(alice, "c", "b")
        say(alice, "d", "c")
        store.seal_journal(keep=1)
        assert store.journal_extent().sealed_commits > 0
        assert seen.catch_up(delivering).events == 2
        say(alice, "c", "d")
        store.seal_journal(keep=1)
        store.expire_journal(before=store.journal_extent().sealed[-1].cursor)
        with pytest.raises(treering.CursorExpired):
            list(store.journal(after="c1-0-0000000000000000"))
        say(alice, "e", "e")
        assert seen.catch_up(delivering).events == 2
        assert sorted(inbox(team)) == sorted(
            ["alice/chat/c 1", "alice/chat/c 2", "alice/chat/d 1", "alice/chat/c 3", "alice/chat/e 1"]
        )


@pytest.mark.parametrize("given_up", [False, True])
def test_a_commit_that_is_lost(tmp_path: Path, given_up: bool) -> None:
    """What it moved is not known: all sources are compared."""
    with treering.open(tmp_path / "s") as store:
        alice, team = store.scope("alice"), store.scope("team")
        say(alice, "c", "a")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        seen.catch_up(delivering)
        say(alice, "c", "b")
        lost = list(store.journal())[-1].position
        say(alice, "d", "c")
    database = sqlite3.connect(tmp_path / "s" / "store.db")
    database.execute("UPDATE journal SET body = x'00' WHERE position = ?", (lost,))
    database.commit()
    database.close()
    with treering.open(tmp_path / "s") as store:
        alice, team = store.scope("alice"), store.scope("team")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        if given_up:
            store.give_up_commit(lost)
        assert seen.catch_up(delivering).events == 2
        say(alice, "c", "d")
        assert seen.catch_up(delivering).events == 1
        assert sorted(inbox(team)) == [f"alice/chat/{one}" for one in ("c 1", "c 2", "c 3", "d 1")]


def test_a_backup_goes_on_where_it_was(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        alice, team = store.scope("alice"), store.scope("team")
        say(alice, "c", "a")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        seen.catch_up(delivering)
        say(alice, "c", "b")
        store.backup(tmp_path / "b")
        seen.catch_up(delivering)
        say(alice, "c", "lost with the store")
        seen.catch_up(delivering)
    treering.restore(tmp_path / "b", tmp_path / "again")
    with treering.open(tmp_path / "again") as store:
        alice, team = store.scope("alice"), store.scope("team")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        assert inbox(team) == ["alice/chat/c 1"]
        assert seen.catch_up(delivering).events == 1
        say(alice, "c", "another")
        assert seen.catch_up(delivering).events == 1
        assert inbox(team) == [f"alice/chat/c {version}" for version in (1, 2, 3)]
        assert store.verify().ok


def test_a_copy_goes_on_where_it_was(tmp_path: Path) -> None:
    """Into a store whose journal is another one; a scope's own sources go on under another name too."""
    with treering.open(tmp_path / "s") as store, treering.open(tmp_path / "t") as target:
        alice, team = store.scope("alice"), store.scope("team")
        for number in range(30):
            target.scope("others").memory.add("k", str(number))
        say(alice, "c", "a", "b")
        own = alice.projection("own", kinds=["chat"], start={})
        own.catch_up(versions)
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        seen.catch_up(delivering)
        say(alice, "c", "c")
        store.copy_to(target)
        store.copy_to(target, rename={"alice": "carol", "team": "crew"})
        there = target.scope("team").projection("seen", of=target.scope("alice"), kinds=["chat"], start={})
        assert there.get().value == {"alice/chat/c": [1, 2]}
        assert there.catch_up(delivering).events == 1
        assert inbox(target.scope("team")) == [f"alice/chat/c {version}" for version in (1, 2, 3)]
        carol = target.scope("carol")
        renamed = carol.projection("own", kinds=["chat"], start={})
        assert renamed.catch_up(versions).events == 1
        assert renamed.get().value == {"alice/chat/c": [1, 2], "carol/chat/c": [3]}


RUN = """
    sys.path.insert(0, sys.argv[2])
    from functions import delivering
    store = treering.open(sys.argv[1], durability="relaxed")
    alice, team = store.scope("alice"), store.scope("team")
    seen = team.projection("seen", of=alice, kinds=["chat", "agent-registry"], start={})
    say("ready")
    events = 0
    for report in seen.follow(delivering):
        say(report.events)
"""
HERE = str(Path(__file__).parent)


def test_two_processes_and_one_is_killed(tmp_path: Path, start: Start) -> None:
    """Both follow at once, one is killed in the middle, another takes its place, again and again."""
    rounds, each = 6, 20
    with treering.open(tmp_path / "s", durability="relaxed") as store:
        alice, team = store.scope("alice"), store.scope("team")
        seen = team.projection("seen", of=alice, kinds=["chat", "agent-registry"], start={})
        stays = start(RUN, tmp_path / "s", HERE)
        assert stays.hear() == "ready"
        for number in range(rounds):
            victim = start(RUN, tmp_path / "s", HERE)
            assert victim.hear() == "ready"
            for event in range(each):
                say(alice, f"c{event % 3}", "x")
                alice.agents.add("t", f"{number} {event}")
                if event == each // 2:
                    victim.kill()
        total = 2 * rounds * each
        watch = store.watch()
        while seen.get().events < total:
            next(watch)
        stays.kill()
        # No event twice, none lost, each delivered once and in the order of its source.
        expected = {f"alice/chat/c{n}": list(range(1, alice.chats.messages(f"c{n}").version + 1)) for n in range(3)}
        expected["alice/agent-registry"] = list(range(1, rounds * each + 1))
        assert seen.get().value == expected
        delivered = inbox(team)
        assert len(delivered) == len(set(delivered)) == total
        for source, numbers in expected.items():
            told = [text for text in delivered if text.startswith(f"{source} ")]
            assert told == [f"{source} {number}" for number in numbers]
        assert store.verify().ok
        assert team.chats.verify("inbox") == total


def test_many_threads_at_one_projection(store: Store) -> None:
    alice, team = store.scope("alice"), store.scope("team")
    done: list[int] = []
    stop = threading.Event()

    def work() -> None:
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        while True:
            last = stop.is_set()
            done.append(seen.catch_up(delivering).events)
            if last:
                return

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    say(alice, "c", *map(str, range(100)))
    stop.set()
    for worker in workers:
        worker.join()
    # Each event counts for one of them alone.
    assert sum(done) == 100
    assert inbox(team) == [f"alice/chat/c {version}" for version in range(1, 101)]


def test_follow_ends_with_the_store(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "s")
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", "a")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    reports = seen.follow(versions)
    assert next(reports).events == 1
    writer = threading.Thread(target=say, args=(alice, "c", "b"))
    writer.start()
    assert next(reports).events == 1
    writer.join()
    closer = threading.Thread(target=store.close)
    closer.start()
    assert list(reports) == []
    closer.join()


def test_a_projection_deleted_while_it_is_followed(store: Store) -> None:
    """Who follows begins with the first event again: what it had found out does not count any more."""
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", "a", "b")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    reports = seen.follow(versions)
    assert next(reports).events == 2
    seen.delete()
    say(alice, "d", "c")
    assert next(reports).events == 3
    assert seen.get().value == {"alice/chat/c": [1, 2], "alice/chat/d": [1]}


def test_a_clock_that_stands_still(store: Store, clock: testing.Clock) -> None:
    """Nothing rests on times: all of it happens in one millisecond."""
    alice, team = store.scope("alice"), store.scope("team")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    for number in range(5):
        say(alice, "c", str(number))
        seen.catch_up(versions)
    assert seen.get().value == {"alice/chat/c": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize("known", [False, True], ids=["compared", "by the journal"])
def test_stopped_in_the_middle_of_much(store: Store, known: bool) -> None:
    """What was not done yet is found again, also where the journal has been read beyond it."""
    alice, team = store.scope("alice"), store.scope("team")
    seen = team.projection("seen", of=alice, kinds=["chat"], start={})
    if known:
        say(alice, "c0", "x")
        seen.catch_up(delivering)
    for first in range(5):
        say(alice, f"c{first}", *map(str, range(60)))
    total = 300 + known
    done = seen.get().events

    def fails(view: View, event: SourceEvent, commit: Commit) -> View:
        if sum(map(len, view.values())) >= done + 150:
            raise ZeroDivisionError
        return delivering(view, event, commit)

    with pytest.raises(ZeroDivisionError):
        seen.catch_up(fails)
    assert seen.get().events == done + 150
    again = team.projection("seen", of=alice, kinds=["chat"], start={})
    again.catch_up(delivering)
    assert again.get().events == len(inbox(team)) == len(set(inbox(team))) == total
    assert {str(source): version for source, version in again.checkpoint().items()} == {
        f"alice/chat/c{number}": 60 + (known and number == 0) for number in range(5)
    }


def test_overtaken_and_collected(store: Store) -> None:
    """What a view was is gone when somebody else has moved it on: who still reads it looks again."""
    alice, team = store.scope("alice"), store.scope("team")
    say(alice, "c", *map(str, range(40)))
    start = {"map": Map()}
    seen = team.projection("seen", of=alice, kinds=["chat"], start=start)

    def index(view: dict[str, Any], event: SourceEvent, commit: Commit) -> dict[str, Any]:
        return {"map": view["map"].insert(f"{event.version:03}" * 20, "x" * 100)}

    seen.catch_up(index)
    say(alice, "c", *map(str, range(40)))
    others = iter([1])

    def slow(view: dict[str, Any], event: SourceEvent, commit: Commit) -> dict[str, Any]:
        if event.version == 60 and next(others, 0):
            assert seen.catch_up(index).events == 40
            for hold in list(team.holds()):
                hold.release()
            assert store.gc().deleted > 0
        return index(view, event, commit)

    assert team.projection("seen", of=alice, kinds=["chat"], start=start).catch_up(slow).events == 0
    assert seen.get().events == len(seen.get().value["map"]) == 80
    assert len(list(seen.get().value["map"].items())) == 80


def test_one_that_comes_into_a_name_that_was_erased_goes_on_where_it_was(tmp_path: Path) -> None:
    """By an import, a fork, a copy: what was erased of that name is nothing of what it has seen."""

    def seen(scope: treering.Scope) -> treering.Projection[View]:
        return scope.projection("seen", kinds=["user-memory"], start={})

    store, other = treering.memory(), treering.memory()
    alice = store.scope("alice")
    for number in range(3):
        alice.memory.add("context", f"fact {number}")
    seen(alice).catch_up(delivering)
    delivered = inbox(alice)
    assert len(delivered) == 3
    alice.export(tmp_path / "alice.car")
    for there in (store, other):
        for name in ("trial", "copied"):
            there.scope(name).memory.add("context", "of another life")
            there.scope(name).erase()
    alice.fork("trial")
    store.copy_to(other, rename={"alice": "copied"})
    alice.erase()
    alice.import_car(tmp_path / "alice.car")
    for scope in (alice, store.scope("trial"), other.scope("copied")):
        assert seen(scope).catch_up(delivering).events == 0
        assert inbox(scope) == delivered
        scope.memory.add("context", "one more")
        assert seen(scope).catch_up(delivering).events == 1
