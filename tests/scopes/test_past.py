"""A scope as it was: the same reads, another moment; nothing is written, and what is lost is told."""

import asyncio
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from whole import counted, fill, shown

from treering import (
    CursorExpired,
    CursorLost,
    HistoryTrimmed,
    Invalid,
    NotFound,
    ReadOnly,
    Scope,
    Store,
    aio,
    testing,
)
from treering.messages import Message, UserConfig


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


WRITES: dict[str, Callable[[Scope], object]] = {
    "user_config": lambda past: past.user_config.save(UserConfig(default_model="x")),
    "memory": lambda past: past.memory.add("preference", "x"),
    "memory again": lambda past: past.memory.add("preference", "x", command_id="used"),
    "agents": lambda past: past.agents.add("t", "x"),
    "participants": lambda past: past.participants.remove_room("room"),
    "chats": lambda past: past.chats.delete("chat-0"),
    "workflows": lambda past: past.workflows.upload("w", "", "x"),
    "scripts": lambda past: past.scripts.upload("s", "x"),
    "trim": lambda past: past.memory.trim(keep=1),
    "rebuild": lambda past: past.memory.rebuild(),
    "start": lambda past: past.threads.start("review"),
    "start again": lambda past: past.threads.start("review", command_id="used"),
    "append": lambda past: past.threads.get("ticket-812").append("coder", "x"),
    "append again": lambda past: past.threads.get("ticket-812").append("coder", "x", command_id="used"),
    "fork a thread": lambda past: past.threads.get("ticket-812").fork(),
    "finish": lambda past: past.threads.get("ticket-812").finish(),
    "rm": lambda past: past.threads.get("ticket-812").rm(),
    "lease": lambda past: past.threads.get("ticket-812").lease("me").__enter__(),
    "pin": lambda past: past.pins.add("more", past.blocks.put(b"x")),
    "unpin": lambda past: past.pins.rm("kept"),
    "put": lambda past: past.blocks.put(b"x"),
    "hold": lambda past: past.hold(past.pins.list()["kept"]),
    "commit": committed,
    "projection": lambda past: past.projection("new", kinds=["user-memory"], start={}).catch_up(counted),
    "delete": lambda past: past.projection("kinds").delete(),
    "fork": lambda past: past.fork("bob"),
    "fork again": lambda past: past.fork("bob", command_id="used"),
}


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written(store: Store, write: str) -> None:
    alice = store.scope("alice")
    fill(alice)
    past, before = alice.at(datetime(2970, 1, 1, tzinfo=UTC)), len(list(store.journal()))
    with pytest.raises(ReadOnly):
        WRITES[write](past)
    assert len(list(store.journal())) == before
    assert store.scopes() == ["alice"]


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
