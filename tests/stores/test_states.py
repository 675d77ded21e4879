"""Read models that are subscribed to: as they are, then after each commit, whole, in order, of any process."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from every_verb import VERBS, Verb, entry, said
from others import Start

import treering
from treering import Listing, NotFound, Scope, Store, aio
from treering.messages import Connector, Conversation, Role
from treering.stores import Messages, protocols

# For each store: its states, the read that they are like, and what a state of it is.
SUBSCRIPTIONS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "user_config": (lambda s, **o: s.user_config.states(**o), lambda s: s.user_config.get()),
    "llm_preferences": (lambda s, **o: s.llm_preferences.states(**o), lambda s: s.llm_preferences.get()),
    "retention": (lambda s, **o: s.retention.states(**o), lambda s: s.retention.get()),
    "memory": (lambda s, **o: s.memory.states(**o), lambda s: s.memory.get()),
    "agents": (lambda s, **o: s.agents.states(**o), lambda s: s.agents.list()),
    "participants": (lambda s, **o: s.participants.states("r", **o), lambda s: s.participants.list("r")),
    "chats": (lambda s, **o: s.chats.states("c", **o), lambda s: s.chats.messages("c")),
    "index": (lambda s, **o: s.chats.index_states(**o), lambda s: s.chats.index()),
    "workflows": (lambda s, **o: s.workflows.states(**o), lambda s: s.workflows.list()),
    "scripts": (lambda s, **o: s.scripts.states(**o), lambda s: s.scripts.list()),
    "connectors": (lambda s, **o: s.connectors.states(**o), lambda s: s.connectors.get()),
    "roles": (lambda s, **o: s.roles.states(**o), lambda s: s.roles.get()),
    "files": (lambda s, **o: s.files.states(**o), lambda s: s.files.list()),
}
each = pytest.mark.parametrize("name", SUBSCRIPTIONS)


def write(scope: Any, name: str) -> None:
    """Something that changes what is subscribed to, each time."""
    store = {"llm_preferences": "user_config", "index": "chats"}.get(name, name)
    number = next(_numbers)
    match store:
        case "user_config":
            scope.user_config.update(default_model=f"model {number}")
        case "retention":
            scope.retention.set(keep=number)
        case "memory":
            scope.memory.add("k", f"fact {number}")
        case "agents":
            scope.agents.add("t", f"agent {number}")
        case "participants":
            scope.participants.add("r", f"agent {number}")
        case "chats":
            scope.chats.append("c", said(f"message {number}"))
        case "workflows":
            scope.workflows.upload(f"w{number}", "n", "y")
        case "scripts":
            scope.scripts.upload(f"s{number}", "y")
        case "connectors":
            scope.connectors.save_draft(Connector(name=f"{number}"))
        case "roles":
            scope.roles.save([Role(id=f"{number}")])
        case "files":
            scope.files.put(f"f{number}", b"y")


_numbers = itertools.count()


def take(states: Iterator[Any], count: int) -> list[Any]:
    return list(itertools.islice(states, count))


def same(state: Any, expected: Any) -> bool:
    return (
        type(state) is type(expected)
        and (state, state.version) == (expected, expected.version)
        and all(
            getattr(state, name, None) == getattr(expected, name, None) for name in ("conversation", "draft", "exists")
        )
    )


@each
def test_first_what_is_then_what_becomes_of_it(store: Store, alice: Scope, name: str) -> None:
    """Each is what the store's own read gave at that moment, for one who keeps up and for one who doesn't."""
    subscribe, read = SUBSCRIPTIONS[name]
    expected = [read(alice)]
    near, far = subscribe(alice), subscribe(store.scope("alice"))
    first = next(near)
    assert same(first, expected[0])
    assert same(next(far), expected[0])
    for _ in range(40):
        write(alice, name)
        expected.append(read(alice))
        assert same(next(near), expected[-1])
    for state, was in zip(take(far, 40), expected[1:], strict=True):
        assert same(state, was)
    for version in (0, 1, 17, 39):
        later = take(subscribe(alice, after=version), 40 - version)
        assert all(same(state, was) for state, was in zip(later, expected[version + 1 :], strict=True))


def test_every_store_has_states(alice: Scope) -> None:
    stores = {name for name in dir(protocols.Stores) if not name.startswith("_")}
    # A policy is about history, which no application asks of a fake.
    assert stores == {name for name in SUBSCRIPTIONS if name not in ("index", "retention")}
    assert all(hasattr(getattr(alice, name), "states") for name in stores)


@pytest.mark.parametrize("verb", VERBS, ids=str)
def test_any_actor(alice: Scope, verb: Verb) -> None:
    """`scope.actor(…).states()` gives what its `state()` gives, whatever the verb did."""
    verb.prepare(alice)
    before = {(info.kind, info.parts): info.version for info in alice.actors()}
    verb.call(alice)
    verb.other(alice)
    for info in list(alice.actors()):
        actor = alice.actor(info.kind, *info.parts)
        assert next(actor.states()) == actor.state()
        first = before.get((info.kind, info.parts), 0)
        commits = itertools.groupby(actor.history(first=first + 1), key=lambda event: event.event_id[:22])
        versions = [list(events)[-1].version for _, events in commits]
        states = take(actor.states(after=first), len(versions))
        assert states == [actor.state(version) for version in versions]


def test_what_one_commit_did_is_seen_whole(store: Store, alice: Scope) -> None:
    states = alice.memory.states()
    assert next(states).version == 0
    alice.memory.save([entry(1), entry(2), entry(3)])
    with alice.commit() as c:
        c.memory.remove(entry(1).id)
        c.memory.add("k", "four")
        c.memory.remove(entry(2).id)
    alice.memory.add("k", "five")
    alice.memory.add("k", "six")
    seen = take(states, 4)
    assert [state.version for state in seen] == [3, 6, 7, 8]
    assert [[one.content for one in state] for state in seen] == [
        ["entry 1", "entry 2", "entry 3"],
        ["entry 3", "four"],
        ["entry 3", "four", "five"],
        ["entry 3", "four", "five", "six"],
    ]
    # A watch tells the same commit's events one by one; their ids say which came at once.
    together = [event.event_id[:22] for event in alice.memory.history()]
    assert [len(list(group)) for _, group in itertools.groupby(together)] == [3, 3, 1, 1]


def test_a_deletion_is_a_state_and_what_was_before_is_left_out(alice: Scope) -> None:
    alice.chats.append("c", said("a secret"))
    far, index = alice.chats.states("c"), alice.chats.index_states()
    assert (next(far)[0].content, next(index)[0].id) == ("a secret", "c")
    alice.chats.append("c", said("another"))
    alice.chats.delete("c")
    gone = next(far)
    assert (list(gone), gone.version, gone.conversation) == ([], 3, None)
    assert (list(next(index)), next(alice.chats.states("c")).version) == ([], 3)
    alice.chats.append("c", said("anew"))
    anew = next(far)
    assert ([one.content for one in anew], anew.version) == (["anew"], 4)
    # From before: where the log begins now.
    assert [state.version for state in take(alice.chats.states("c", after=1), 2)] == [3, 4]


def test_a_command_without_effect_is_no_state(alice: Scope) -> None:
    states = alice.agents.states()
    next(states)
    alice.agents.remove("t", "nobody")
    alice.agents.add("t", "a")
    alice.agents.add("t", "a")
    alice.agents.add("t", "b")
    assert [state.version for state in take(states, 2)] == [1, 2]


def test_a_version_that_is_not_there_yet(alice: Scope) -> None:
    alice.memory.add("k", "x")
    with pytest.raises(NotFound, match="has no version 2"):
        next(alice.memory.states(after=2))
    with pytest.raises(NotFound, match="nosuch"):
        next(alice.actor("nosuch").states())


def test_it_ends_when_the_store_is_closed(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "s")
    states = store.scope("alice").memory.states()
    next(states)
    store.close()
    assert list(states) == []


def test_whose_states_is_settled_by_the_call(store: Store) -> None:
    user = ["bob"]
    stores = store.scoped(lambda: user[0])
    states = stores.memory.states()
    user[0] = "alice"
    store.scope("bob").memory.add("k", "bob's")
    stores.memory.add("k", "alice's")
    assert [one.content for one in next(states)] == ["bob's"]


def test_from_another_process(tmp_path: Path, start: Start) -> None:
    """Two processes write; a third and this one see every state, in order, and each whole."""
    many = 60
    follow = """
        store = treering.open(sys.argv[1])
        say("following")
        for messages in store.scope("alice").chats.states("c"):
            say(messages.version, ",".join(message.content for message in messages))
            if messages.version == int(sys.argv[2]):
                break
    """
    append = """
        from treering.messages import Message
        chats = treering.open(sys.argv[1]).scope("alice").chats
        say("ready")
        sys.stdin.readline()
        for number in range(int(sys.argv[3])):
            with treering.open(sys.argv[1]).scope("alice").commit() as c:
                c.chats.append("c", [Message(content=f"{sys.argv[2]}{number}")])
                c.chats.append("c", [Message(content=f"{sys.argv[2]}{number}'")])
        say("done")
    """
    with treering.open(tmp_path / "s") as store:
        chats = store.scope("alice").chats
        here = chats.states("c")
        assert next(here).version == 0
        follower = start(follow, tmp_path / "s", str(4 * many))
        assert follower.hear() == "following"
        writers = [start(append, tmp_path / "s", name, str(many)) for name in ("a", "b")]
        for writer in writers:
            assert writer.hear() == "ready"
        for writer in writers:
            writer.tell()
        seen: list[Messages] = take(here, 2 * many)
        for writer in writers:
            assert writer.join() == ["done"]
        assert [state.version for state in seen] == list(range(2, 4 * many + 1, 2))
        for before, after in itertools.pairwise(seen):
            assert after[:-2] == tuple(before)
            assert after[-1].content == f"{after[-2].content}'"
        assert seen[-1] == chats.messages("c")
        told = follower.join()
        expected = [f"{state.version} {','.join(one.content for one in state)}" for state in seen]
        # Its first is what was when it began; from then on all of them.
        first = int(told[0].split()[0])
        assert told[1:] == [state for state in expected if int(state.split()[0]) > first]


async def test_under_asyncio(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        await alice.chats.save("c", Conversation(title="T"), said("first"))

        async def follow(states: Any) -> list[Any]:
            seen = []
            async for state in states:
                seen.append(state)
                if state.version == 21:
                    break
            return seen

        following = [
            asyncio.ensure_future(follow(alice.chats.states("c"))),
            asyncio.ensure_future(follow(alice.actor("chat", "c").states(after=1))),
        ]
        await asyncio.sleep(0)
        for number in range(20):
            await alice.chats.append("c", said(str(number)))
        seen, actor = await asyncio.wait_for(asyncio.gather(*following), 30)
        assert actor[-1] == seen[-1] == await alice.chats.messages("c")
        assert [state.version for state in actor] == list(range(2, 22))
        assert isinstance(seen[0], Listing)
        # The first is what was when it was asked for.
        assert [state.version for state in seen] == list(range(seen[0].version, 22))
