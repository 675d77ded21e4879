"""Several processes and threads at one actor: no event twice, none lost, all seen in order; a commit whole or not."""

import itertools
import threading
from collections import Counter
from pathlib import Path

from others import Start

import treering
from treering import Store, VersionConflict
from treering.messages import Message
from treering.stores import ActorEvent

MANY = 120

ADDS = """
    store = treering.open(sys.argv[1])
    memory, agents, chats = (getattr(store.scope("alice"), name) for name in ("memory", "agents", "chats"))
    from treering.messages import Message
    name, many = sys.argv[2], int(sys.argv[3])
    say("ready")
    sys.stdin.readline()
    for number in range(many):
        memory.add("k", f"{name} {number}", command_id=f"{name} {number}")
        agents.add("t", f"{name} {number}")
        chats.append("c", [Message(role=name, content=str(number))])
    say("done")
"""


def numbers(events: list[ActorEvent]) -> list[int]:
    return [event.version for event in events]


def test_two_processes_on_one_actor(tmp_path: Path, start: Start) -> None:
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        others = [start(ADDS, tmp_path / "s", name, str(MANY)) for name in ("one", "two")]
        for other in others:
            assert other.hear() == "ready"
        for other in others:
            other.tell()
        # A reader meanwhile never sees it go back.
        seen = 0
        while any(other.process.poll() is None for other in others):
            entries, listed = alice.memory.get(), alice.agents.list()
            assert entries.version >= seen
            assert len(entries) == min(entries.version, 50)
            assert sum(len(group.actor_ids) for group in listed) == listed.version
            seen = entries.version
            if seen == 2 * MANY:
                break
        for other in others:
            assert other.join() == ["done"]
        for events in (list(alice.memory.history()), list(alice.agents.history()), list(alice.chats.history("c"))):
            assert numbers(events) == list(range(1, 2 * MANY + 1))
            assert len({event.event_id for event in events}) == 2 * MANY
        expected = Counter(f"{name} {number}" for name in ("one", "two") for number in range(MANY))
        assert Counter(event.message.entry.content for event in alice.memory.history()) == expected  # type: ignore[attr-defined]
        (group,) = alice.agents.list()
        assert Counter(group.actor_ids) == expected
        messages = alice.chats.messages("c")
        for name in ("one", "two"):
            assert [message.content for message in messages if message.role == name] == [str(n) for n in range(MANY)]
        assert alice.memory.verify() == alice.agents.verify() == alice.chats.verify("c") == 2 * MANY
        # What both did under the same ids is done once, whoever asks again.
        again = alice.memory.add("k", "one 7", command_id="one 7")
        assert (again.replayed, alice.memory.get().version) == (True, 2 * MANY)
        assert store.verify().ok


def test_the_loser_of_a_race_refreshes_and_retries(tmp_path: Path, start: Start) -> None:
    """Two instances with expected versions: each increment is made once, and none on top of a stale state."""
    code = """
        store = treering.open(sys.argv[1])
        config = store.scope("alice").user_config
        say("ready")
        sys.stdin.readline()
        lost = 0
        for _ in range(int(sys.argv[2])):
            while True:
                now = config.get()
                try:
                    config.update(max_tool_rounds=now.max_tool_rounds + 1, expected_version=now.version)
                    break
                except treering.VersionConflict as conflict:
                    assert conflict.actual > conflict.expected == now.version
                    lost += 1
        say(lost)
    """
    with treering.open(tmp_path / "s") as store:
        others = [start(code, tmp_path / "s", str(MANY)) for _ in range(2)]
        for other in others:
            assert other.hear() == "ready"
        for other in others:
            other.tell()
        lost = [int(other.hear()) for other in others]
        for other in others:
            other.join()
        print("conflicts:", lost)
        config = store.scope("alice").user_config
        assert (config.get().max_tool_rounds, config.get().version) == (2 * MANY, 2 * MANY)
        assert [config.at(version).max_tool_rounds for version in range(2 * MANY + 1)] == list(range(2 * MANY + 1))


def test_eight_threads_on_one_actor(store: Store) -> None:
    scope = store.scope("alice")
    barrier = threading.Barrier(8)
    receipts: list[list[int]] = [[] for _ in range(8)]
    conflicts: list[int] = []

    def work(which: int) -> None:
        barrier.wait()
        for number in range(50):
            receipts[which].append(scope.agents.add("t", f"{which} {number}").version)
            scope.chats.append(f"chat {which}", [Message(content=str(number))])
            while True:
                now = scope.user_config.get()
                try:
                    scope.user_config.update(max_tool_rounds=now.max_tool_rounds + 1, expected_version=now.version)
                    break
                except VersionConflict:
                    conflicts.append(which)

    workers = [threading.Thread(target=work, args=(which,)) for which in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # Every writer was told a version of its own, and they rise.
    assert sorted(itertools.chain(*receipts)) == list(range(1, 401))
    assert all(own == sorted(own) for own in receipts)
    assert numbers(list(scope.agents.history())) == list(range(1, 401))
    for which, own in enumerate(receipts):
        told = [event.message.actor_id for event in scope.agents.history() if event.version in set(own)]  # type: ignore[attr-defined]
        assert told == [f"{which} {number}" for number in range(50)]
    assert scope.user_config.get().max_tool_rounds == scope.user_config.get().version == 400
    assert scope.chats.index().version == 400
    assert [row.message_count for row in scope.chats.index()] == [50] * 8
    assert scope.agents.verify() == scope.user_config.verify() == 400


def test_a_watch_sees_every_event_of_another_process_in_order(tmp_path: Path, start: Start) -> None:
    watch = """
        store = treering.open(sys.argv[1])
        memory = store.scope("alice").memory
        events = memory.watch(after=0)
        say("watching")
        for _, event in zip(range(int(sys.argv[2])), events):
            say(event.version, event.message.entry.content)
    """
    with treering.open(tmp_path / "s") as store:
        watchers = [start(watch, tmp_path / "s", str(2 * MANY)) for _ in range(2)]
        for watcher in watchers:
            assert watcher.hear() == "watching"
        writer = start(ADDS, tmp_path / "s", "other", str(MANY))
        assert writer.hear() == "ready"
        writer.tell()
        memory = store.scope("alice").memory
        for number in range(MANY):
            memory.add("k", f"here {number}")
        assert writer.join() == ["done"]
        expected = [f"{event.version} {event.message.entry.content}" for event in memory.history()]  # type: ignore[attr-defined]
        assert len(expected) == 2 * MANY
        for watcher in watchers:
            assert watcher.join() == expected


def test_what_was_read_and_a_watch_together_miss_nothing(tmp_path: Path, start: Start) -> None:
    with treering.open(tmp_path / "s") as store:
        agents = store.scope("alice").agents
        writer = start(ADDS, tmp_path / "s", "other", str(MANY))
        assert writer.hear() == "ready"
        writer.tell()
        while (listed := agents.list()).version < MANY // 3:
            pass
        known = [actor for group in listed for actor in group.actor_ids]
        for event in agents.watch(after=listed.version):
            known.append(event.message.actor_id)  # type: ignore[attr-defined]
            if len(known) == MANY:
                break
        assert known == [f"other {number}" for number in range(MANY)]
        writer.join()


def test_a_commit_of_several_stores_is_seen_whole_or_not_at_all(tmp_path: Path, start: Start) -> None:
    """A reader of another process polls by the journal: at each commit all four are where they are together."""
    code = """
        from treering.messages import Message
        store = treering.open(sys.argv[1])
        alice = store.scope("alice")
        thread = alice.threads.get("t")
        sys.stdin.readline()
        for number in range(1, int(sys.argv[2]) + 1):
            with alice.commit(command_id=f"turn {number}") as c:
                c.threads[thread].append("coder", str(number))
                c.chats.append("c", [Message(content=str(number))])
                c.memory.add("k", str(number))
                c.user_config.update(max_tool_rounds=number)
            thread = alice.threads.get("t")
        say("done")
    """
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        alice.threads.start("w", key="t")
        writer = start(code, tmp_path / "s", str(MANY))
        commits = len(list(store.journal()))
        writer.tell()
        seen = set()
        last = 0
        while last < MANY:
            # Read one after the other: a later one may only be further on, and whoever is first is never ahead.
            first = alice.user_config.get().max_tool_rounds
            reads = [
                len(alice.threads.get("t")),
                alice.chats.messages("c").version,
                alice.memory.get().version,
                alice.chats.index().version,
                alice.user_config.get().version,
            ]
            assert [first, *reads] == sorted([first, *reads]), (first, reads)
            if first == reads[-1]:
                # Nothing was committed in between: all of them are of one moment.
                assert set(reads) == {first}
                seen.add(first)
            last = first
        assert writer.join() == ["done"]
        print("moments seen:", len(seen))
        assert seen
        assert len(list(store.journal())) == commits + MANY
        entries = [
            [step.text for step in alice.threads.get("t")],
            [message.content for message in alice.chats.messages("c")],
            [event.message.entry.content for event in alice.memory.history()],  # type: ignore[attr-defined]
        ]
        assert entries == [[str(number) for number in range(1, MANY + 1)]] * 3
