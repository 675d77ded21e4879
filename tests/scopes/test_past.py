"""A scope as it was: the same reads, another moment; nothing is written, and what is lost is told."""

import asyncio
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from whole import counted, fill, shown

import treering
from treering import (
    Actor,
    ActorContext,
    CursorExpired,
    CursorLost,
    HistoryTrimmed,
    Invalid,
    NotFound,
    ReadOnly,
    Scope,
    Store,
    Thread,
    aio,
    testing,
)
from treering._calls import call_of, writes
from treering.importing import import_json
from treering.messages import CliConnector, Connector, Conversation, Message, Role, UserConfig


def at(clock: testing.Clock) -> datetime:
    return datetime.fromtimestamp(clock.now_ms / 1000, UTC)


def test_each_moment_is_what_it_was(store: Store, clock: testing.Clock) -> None:
    alice, bob = store.scope("alice"), store.scope("bob")
    was: list[tuple[datetime, dict[str, Any]]] = [(at(clock), shown(alice))]

    def moment(change: Callable[[], object]) -> None:
        clock.advance(10)
        change()
        was.append((at(clock), shown(alice)))

    moment(lambda: fill(alice))
    moment(alice.memory.clear)
    moment(lambda: bob.memory.add("preference", "not hers"))
    moment(lambda: alice.chats.append("chat-1", [Message(role="user", content="more")]))
    moment(lambda: alice.threads.get("ticket-812").append("coder", "more"))
    moment(lambda: alice.pins.rm("kept"))
    moment(lambda: alice.user_config.update(default_model="small"))
    moment(lambda: alice.projection("kinds", kinds=["user-memory", "chat"], start={}).catch_up(counted))
    moment(lambda: alice.threads.get("ticket-812").rm())
    moment(lambda: [alice.memory.add("preference", f"again {nth}") for nth in range(20)])
    for when, all_of_it in was:
        past = alice.at(when)
        assert shown(past) == all_of_it
        assert past.gone == ()
        assert past.moment <= when
        # And between two changes, what was before.
        assert shown(alice.at(when + timedelta(milliseconds=5))) == all_of_it
    assert shown(alice.at(datetime(1971, 1, 1, tzinfo=UTC))) == was[0][1]
    assert shown(alice.at(datetime(2970, 1, 1, tzinfo=UTC))) == shown(alice)
    assert store.verify().ok


def test_a_moment_may_be_a_cursor(store: Store) -> None:
    alice = store.scope("alice")
    cursors = []
    for nth in range(5):
        alice.memory.add("preference", str(nth))
        cursors.append(list(store.journal())[-1].cursor)
    for nth, cursor in enumerate(cursors):
        past = alice.at(cursor)
        assert [entry.content for entry in past.memory.get()] == [str(one) for one in range(nth + 1)]
        assert past.position == list(store.journal())[nth].position
    with pytest.raises(CursorLost):
        store.scope("alice").at(other_cursor())
    with pytest.raises(Invalid):
        alice.at(datetime(2026, 1, 1))


def other_cursor() -> str:
    with testing.memory() as other:
        other.put(b"x")
        return list(other.journal())[-1].cursor


def committed(past: Scope) -> None:
    with past.commit() as c:
        c.memory.add("preference", "x")


@dataclass(frozen=True)
class Add:
    cents: int


@dataclass(frozen=True)
class Put:
    cents: int


@dataclass(frozen=True)
class Sum:
    total: int = 0


class Purse(Actor[Sum, Add, Put]):
    kind = "purse"

    def decide(self, state: Sum, command: Add, context: ActorContext) -> Put:
        return Put(command.cents)

    def evolve(self, state: Sum, event: Put) -> Sum:
        return Sum(state.total + event.cents)


def follow(past: Scope) -> object:
    return next(iter(past.projection("new", kinds=["user-memory"], start={}).follow(counted)))


def thread(past: Scope) -> Thread:
    return past.threads.get("ticket-812")


WRITES: dict[str, Callable[[Scope], object]] = {
    "ActorHandle.trim": lambda past: past.actor("user-memory").trim(keep=0),
    "AgentsStore.add": lambda past: past.agents.add("t", "x"),
    "AgentsStore.rebuild": lambda past: past.agents.rebuild(),
    "AgentsStore.remove": lambda past: past.agents.remove("coder", "agent-1"),
    "AgentsStore.trim": lambda past: past.agents.trim(keep=0),
    "Blocks.put": lambda past: past.blocks.put(b"x"),
    "Blocks.put_node": lambda past: past.blocks.put_node({"x": 1}),
    "ChatsStore.append": lambda past: past.chats.append("new", [Message(role="user", content="x")]),
    "ChatsStore.delete": lambda past: past.chats.delete("chat-0"),
    "ChatsStore.rebuild": lambda past: past.chats.rebuild("chat-0"),
    "ChatsStore.save": lambda past: past.chats.save("chat-0", Conversation(id="chat-0"), []),
    "ChatsStore.trim": lambda past: past.chats.trim("chat-0", keep=0),
    "Commit.__exit__": committed,
    "ConnectorsStore.delete_draft": lambda past: past.connectors.delete_draft(),
    "ConnectorsStore.import_local": lambda past: past.connectors.import_local("connectors.json"),
    "ConnectorsStore.rebuild": lambda past: past.connectors.rebuild(),
    "ConnectorsStore.save": lambda past: past.connectors.save([]),
    "ConnectorsStore.save_draft": lambda past: past.connectors.save_draft(None),
    "ConnectorsStore.trim": lambda past: past.connectors.trim(keep=0),
    "FilesStore.delete": lambda past: past.files.delete("a.txt"),
    "FilesStore.put": lambda past: past.files.put("b.txt", b"x"),
    "FilesStore.rebuild": lambda past: past.files.rebuild(),
    "FilesStore.trim": lambda past: past.files.trim(keep=0),
    "MemoryStore.add": lambda past: past.memory.add("preference", "x"),
    "MemoryStore.clear": lambda past: past.memory.clear(),
    "MemoryStore.rebuild": lambda past: past.memory.rebuild(),
    "MemoryStore.remove": lambda past: past.memory.remove(past.memory.get()[0].id),
    "MemoryStore.save": lambda past: past.memory.save([]),
    "MemoryStore.trim": lambda past: past.memory.trim(keep=1),
    "OwnActor.delete": lambda past: past.own(Purse, "p").delete(),
    "OwnActor.rebuild": lambda past: past.own(Purse, "p").rebuild(),
    "OwnActor.send": lambda past: past.own(Purse, "p").send(Add(1)),
    "OwnActor.trim": lambda past: past.own(Purse, "p").trim(keep=0),
    "ParticipantsStore.add": lambda past: past.participants.add("room", "x"),
    "ParticipantsStore.rebuild": lambda past: past.participants.rebuild(),
    "ParticipantsStore.remove": lambda past: past.participants.remove("room", "agent-1"),
    "ParticipantsStore.remove_room": lambda past: past.participants.remove_room("room"),
    "ParticipantsStore.trim": lambda past: past.participants.trim(keep=0),
    "Pins.add": lambda past: past.pins.add("more", past.pins.list()["kept"]),
    "Pins.rm": lambda past: past.pins.rm("kept"),
    "Projection.catch_up": lambda past: past.projection("new", kinds=["user-memory"], start={}).catch_up(counted),
    "Projection.delete": lambda past: past.projection("kinds").delete(),
    "Projection.follow": follow,
    "Projection.rebuild": lambda past: past.projection("kinds", kinds=["user-memory", "chat"], start={}).rebuild(
        counted
    ),
    "RolesStore.delete_draft": lambda past: past.roles.delete_draft(),
    "RolesStore.import_local": lambda past: past.roles.import_local("roles.json"),
    "RetentionStore.rebuild": lambda past: past.retention.rebuild(),
    "RetentionStore.set": lambda past: past.retention.set(keep=1),
    "RolesStore.rebuild": lambda past: past.roles.rebuild(),
    "RolesStore.save": lambda past: past.roles.save([]),
    "RolesStore.save_draft": lambda past: past.roles.save_draft(None),
    "RolesStore.trim": lambda past: past.roles.trim(keep=0),
    "Scope.discard_fork": lambda past: past.discard_fork(),
    "Scope.erase": lambda past: past.erase(),
    "Scope.fork": lambda past: past.fork("bob"),
    "Scope.hold": lambda past: past.hold(past.pins.list()["kept"]),
    "Scope.import_car": lambda past: past.import_car("alice.car"),
    "Scope.trim": lambda past: past.trim(keep=0),
    "ScriptsStore.rebuild": lambda past: past.scripts.rebuild(),
    "ScriptsStore.trim": lambda past: past.scripts.trim(keep=0),
    "ScriptsStore.upload": lambda past: past.scripts.upload("s", "x"),
    "Thread.append": lambda past: thread(past).append("coder", "x"),
    "Thread.cancel": lambda past: thread(past).cancel("x"),
    "Thread.compact": lambda past: thread(past).compact("x"),
    "Thread.extend": lambda past: thread(past).extend([("coder", "x")]),
    "Thread.fail": lambda past: thread(past).fail("x"),
    "Thread.finish": lambda past: thread(past).finish(),
    "Thread.fork": lambda past: thread(past).fork(),
    "Thread.rm": lambda past: thread(past).rm(),
    "Threads.get_or_start": lambda past: past.threads.get_or_start("review", key="new"),
    "Threads.start": lambda past: past.threads.start("review"),
    "UserConfigStore.rebuild": lambda past: past.user_config.rebuild(),
    "UserConfigStore.save": lambda past: past.user_config.save(UserConfig(default_model="x")),
    "UserConfigStore.trim": lambda past: past.user_config.trim(keep=0),
    "UserConfigStore.update": lambda past: past.user_config.update(default_model="x"),
    "WorkflowsStore.rebuild": lambda past: past.workflows.rebuild(),
    "WorkflowsStore.trim": lambda past: past.workflows.trim(keep=0),
    "WorkflowsStore.upload": lambda past: past.workflows.upload("w", "", "x"),
}
"""Every verb that changes something and can be reached from a scope."""

ELSEWHERE = {
    "Store": "a scope as it was leads to no store",
    "Refs": "the store's",
    "Hold": "a scope as it was has no holds, and none can be made",
    "PastScope": "the same as Scope",
    "LlmPreferencesStore": "rebuilds what user_config does",
}

AGAIN: dict[str, Callable[[Scope], object]] = {
    "a lease": lambda past: thread(past).lease("me").__enter__(),
    "memory": lambda past: past.memory.add("preference", "x", command_id="used"),
    "start": lambda past: past.threads.start("review", command_id="used"),
    "append": lambda past: thread(past).append("coder", "x", command_id="used"),
    "fork": lambda past: past.fork("bob", command_id="used"),
    "own": lambda past: past.own(Purse, "p").send(Add(1), command_id="used"),
    "the same file": lambda past: past.files.put("a.txt", b"x"),
    "no such file": lambda past: past.files.delete("nope"),
    "the same catalog": lambda past: past.connectors.save(past.connectors.get()),
    "a draft for a folder": lambda past: past.with_workspace(treering.LocalWorkspace("w")).roles.save_draft(
        Role(id="q")
    ),
    "on behalf": lambda past: past.on_behalf_of("z").memory.add("preference", "x"),
    "a plan of an erase": lambda past: past.erase(dry_run=True),
    "old data": lambda past: import_json(past, "old"),
}
"""Ways to write without a verb of their own, and verbs that may have nothing to do."""


def changes(member: object) -> bool:
    """Whether it is a verb: in the words of the code, `@verb`, `@pump` or `@writes`."""
    kind, _ = call_of(member) or (None, None)
    code = getattr(member, "__code__", None)
    return kind in ("verb", "pump") or (code is not None and code.co_qualname == writes.__qualname__ + ".<locals>.call")


def test_no_verb_is_forgotten() -> None:
    classes = [getattr(treering, name) for name in aio.__all__ if inspect.isclass(getattr(treering, name, None))]
    found = set()
    for owner in classes:
        if owner.__name__ in ELSEWHERE:
            continue
        for base in owner.__mro__:
            found |= {f"{owner.__name__}.{name}" for name, member in vars(base).items() if changes(member)}
    # It writes to a file, and shows the past.
    assert found - {"Scope.export"} == set(WRITES)


@pytest.mark.parametrize("write", [*WRITES, *AGAIN])
def test_nothing_is_written(clock: testing.Clock, write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with testing.memory(clock=clock) as store:
        alice = store.scope("alice")
        fill(alice)
        alice.connectors.save([Connector(name="x", type="cli", cli=CliConnector(command="ls"))])
        alice.connectors.save_draft(Connector(name="draft"))
        alice.roles.save([Role(id="r")])
        alice.roles.save_draft(Role(id="draft"))
        alice.files.put("a.txt", b"x")
        alice.own(Purse, "p").send(Add(1), command_id="used")
        alice.retention.set(keep=5)
        alice.memory.add("preference", "x", command_id="used")
        alice.export(tmp_path / "alice.car")
        (tmp_path / "roles.json").write_text('[{"id": "q"}]')
        (tmp_path / "connectors.json").write_text('[{"name": "q", "type": "cli", "cli": {"command": "ls"}}]')
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "config.json").write_text('{"defaultModel": "q"}')
        before, files = (store.head(), store.stats()), sorted(tmp_path.rglob("*"))
        past = alice.at(datetime(2970, 1, 1, tzinfo=UTC))
        monkeypatch.chdir(tmp_path)
        # What is shown has no fork that was cut short.
        with pytest.raises(Invalid if write == "Scope.discard_fork" else ReadOnly):
            (WRITES | AGAIN)[write](past)
        assert (store.head(), store.stats()) == before
        assert store.scopes() == ["alice"]
        assert sorted(tmp_path.rglob("*")) == files


def collect(store: Store, clock: testing.Clock) -> None:
    clock.advance(25 * 60 * 60 * 1000)
    store.gc()


def test_what_was_collected_is_gone_and_the_rest_is_whole(store: Store, clock: testing.Clock) -> None:
    alice = store.scope("alice")
    fill(alice)
    clock.advance(1)
    then, thread = at(clock), alice.threads.get("ticket-812").id
    before = shown(alice)
    clock.advance(1)
    alice.threads.get("ticket-812").rm()
    alice.chats.delete("chat-1")
    for nth in range(40):  # the snapshot of then is in nobody's way
        alice.memory.add("preference", f"later {nth}")
    collect(store, clock)
    past = alice.at(then)
    gone = {str(one.ref) for one in past.gone}
    assert gone == {f"thread/{thread}", "chat/chat-1", "chat-index"}
    assert all(one.collected for one in past.gone)
    # Read models are made of the logs: nobody misses them.
    assert list(past.memory.get()) == before["memory"]
    assert past.user_config.get() == before["config"]
    assert past.memory.verify() == 20
    assert [message.content for message in past.chats.messages("chat-0")] == ["hello 0"]
    for missing in (
        lambda: past.chats.messages("chat-1"),
        past.chats.index,
        lambda: past.threads.get(thread),
        lambda: past.threads.get("ticket-812"),
    ):
        with pytest.raises(HistoryTrimmed, match="not kept any more"):
            missing()
    assert thread not in {one.id for one in past.threads.list()}


def test_what_is_collected_while_it_is_looked_at_is_told(store: Store, clock: testing.Clock) -> None:
    alice = store.scope("alice")
    alice.threads.start("review", key="k").append("coder", "text")
    past = alice.at(datetime(2970, 1, 1, tzinfo=UTC))
    thread = past.threads.get("k")
    alice.threads.get("k").rm()
    collect(store, clock)
    with pytest.raises(HistoryTrimmed):
        list(thread)
    assert store.verify().ok


def test_what_the_journal_forgot(store: Store, clock: testing.Clock) -> None:
    alice = store.scope("alice")
    alice.memory.add("preference", "1")
    alice.user_config.save(UserConfig(default_model="never touched again"))
    early = at(clock)
    clock.advance(10)
    for nth in range(10):
        alice.agents.add("coder", str(nth))
    clock.advance(10)
    start = at(clock)
    store.seal_journal(keep=1)
    store.expire_journal(start)
    assert store.journal_extent().first > 2
    with pytest.raises(CursorExpired, match="ask for a later moment") as caught:
        alice.at(early)
    assert caught.value.oldest_at_ms > early.timestamp() * 1000
    clock.advance(10)
    alice.memory.add("preference", "2")
    # What nothing moved since is what it is now, though no commit tells of it.
    past = alice.at(start)
    assert past.user_config.get().default_model == "never touched again"
    assert [str(one) for one in past.gone] == ["user-memory: forgotten"]
    with pytest.raises(HistoryTrimmed):
        past.memory.get()


def test_a_past_scope_is_another_thing(store: Store) -> None:
    alice = store.scope("alice")
    alice.threads.start("review", key="k").append("coder", "text")
    past = alice.at(datetime(2970, 1, 1, tzinfo=UTC))
    assert past != alice
    assert alice != past
    assert past.threads.get("k") != alice.threads.get("k")
    with pytest.raises(Invalid, match="pickle the scope and the moment"):
        pickle.dumps(past)
    with pytest.raises(Invalid, match="pickle the scope and the moment"):
        pickle.dumps(past.memory)
    with pytest.raises(NotFound):
        past.threads.get("another")
    assert repr(past).startswith("<PastScope alice of ")
    # A look at the past has its own past.
    assert past.at(next(iter(store.journal())).cursor).position == 1
    # It reads on while the scope goes on.
    alice.threads.get("k").append("coder", "more")
    assert len(past.threads.get("k")) == 1


def test_awaited() -> None:
    async def play() -> None:
        async with aio.memory() as store:
            alice = store.scope("alice")
            await alice.memory.add("preference", "1")
            cursor = [entry async for entry in store.journal()][-1].cursor
            await alice.memory.clear()
            past = await alice.at(cursor)
            assert isinstance(past, aio.PastScope)
            assert [entry.content for entry in await past.memory.get()] == ["1"]
            with pytest.raises(ReadOnly):
                await past.memory.clear()
            diff = await past.diff(alice)
            assert str(diff.changed[0]) == "user-memory: 1 here, 2 there; common: 1"

    asyncio.run(play())


@pytest.mark.parametrize("moment", [5, None, b"x"])
def test_what_is_no_moment(moment: object) -> None:
    with testing.memory() as store, pytest.raises(Invalid, match="no moment"):
        store.scope("alice").at(moment)  # type: ignore[arg-type]


def test_a_put_for_another_version_is_refused_as_any_other() -> None:
    with testing.memory() as store:
        alice = store.scope("alice")
        alice.files.put("a", b"x")
        past = alice.at(list(store.journal())[-1].cursor)
        for command_id in (None, "k"):
            with pytest.raises(ReadOnly):
                past.files.put("a", b"y", expected_version=7, command_id=command_id)
