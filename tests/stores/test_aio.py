"""The stores under asyncio: the same bodies, awaited; many tasks at one actor; events as they come."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from every_verb import BARE, VERBS, Verb, said

import treering
from treering import CommandMismatch, HistoryTrimmed, InvalidCommand, VersionConflict, aio, testing
from treering.messages import Admission, Conversation, MemoryEntry, UserConfig

TASKS = 64


@pytest.fixture(params=["memory", "directory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[aio.Store]:
    async with aio.memory() if request.param == "memory" else aio.open(tmp_path / "state") as opened:
        yield opened


@pytest.mark.parametrize("verb", VERBS + BARE, ids=str)
async def test_every_verb_answers_as_the_sync_one_does(verb: Verb) -> None:
    clock = testing.Clock()
    with testing.memory(clock=clock) as sync, testing.memory(clock=clock) as other:
        scope, awaited = sync.scope("alice"), testing.as_async(other).scope("alice")
        verb.prepare(scope)
        verb.prepare(other.scope("alice"))
        expected, got = verb.call(scope, command_id="c"), await verb.call(awaited, command_id="c")
        assert type(got) is type(expected)
        if verb.name != "memory.add":  # whose id is chance
            assert got == expected
        assert (got.version, got.changed) == (expected.version, expected.changed)
        assert (await verb.call(awaited, command_id="c")).replayed
        with pytest.raises(VersionConflict):
            await verb.call(awaited, expected_version=77)
        if verb in VERBS:
            with pytest.raises(CommandMismatch):
                await verb.other(awaited, command_id="c")


async def test_user_config(store: aio.Store) -> None:
    config = store.scope("alice").user_config
    assert ((await config.get()).runtime_mode, (await config.get()).version) == ("local", 0)
    await config.save(UserConfig(runtime_mode=" REMOTE", preferred_llm_route="gateway"))
    await config.update(default_model="m")
    assert (await config.get()).runtime_mode == "remote"
    assert (await config.at(1)).default_model == ""
    assert (await store.scope("alice").llm_preferences.get()).default_model == "m"


async def test_memory(store: aio.Store) -> None:
    memory = store.scope("alice").memory
    await memory.save([MemoryEntry(id=f"{n:012x}", category="a", content="x", created_at_ms=n + 1) for n in range(50)])
    receipt = await memory.add("b", "new", source="explicit")
    assert receipt.dropped_ids == (f"{0:012x}",)
    assert len(await memory.get()) == 50
    with pytest.raises(InvalidCommand):
        await memory.add("b", " ")
    assert (await memory.prompt_section(60)).endswith("\n</user-memory>")
    assert (await memory.clear()).dropped == 50
    assert await memory.verify() == 52


async def test_agents_and_participants(store: aio.Store) -> None:
    scope = store.scope("alice")
    await scope.agents.add("t", "a")
    assert await scope.agents.authorize("t", "a", "use") is Admission.ALLOWED
    assert await scope.agents.authorize("t", "bob/chat/c", "use") is Admission.SCOPE_MISMATCH
    await scope.participants.add("r", "a")
    await scope.participants.add("r", "b")
    await scope.participants.add("r", "a", "Ann")
    assert [one.display_name for one in await scope.participants.list("r")] == ["b", "Ann"]


async def test_chats(store: aio.Store) -> None:
    chats = store.scope("alice").chats
    receipt = await chats.save("c", Conversation(title="T"), [message for n in range(501) for message in said(str(n))])
    assert receipt.dropped == 1
    await chats.append("c", said("last"))
    messages = await chats.messages("c")
    assert (len(messages), messages[0].content, messages[-1].content) == (500, "2", "last")
    assert [row.title for row in await chats.index()] == ["T"]
    await chats.delete("c")
    with pytest.raises(HistoryTrimmed):
        await chats.at("c", 2)
    assert (await chats.append("c", said("anew"))).version == 4


async def test_tasks_at_one_actor_lose_nothing_and_share_fsyncs(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s") as store:
        agents = store.scope("alice").agents
        await agents.add("t", "first")
        before = store.counters()["batches"]
        receipts = await asyncio.gather(*(agents.add("t", str(number)) for number in range(TASKS)))
        assert sorted(receipt.version for receipt in receipts) == list(range(2, TASKS + 2))
        # One, or some more where the disk was so slow before that the loop leaves commits to a thread.
        assert store.counters()["batches"] - before <= 4
        (group,) = await agents.list()
        assert sorted(group.actor_ids[1:]) == sorted(map(str, range(TASKS)))
        assert [event.version async for event in agents.history()] == list(range(1, TASKS + 2))


async def test_a_long_history_comes_whole(store: aio.Store) -> None:
    """However it is read: a piece at a time, in a thread."""
    scope = store.scope("alice")
    async with scope.commit() as c:
        for number in range(700):
            c.agents.add("t", str(number))
    histories = (scope.agents.history(), scope.actor("agent-registry").history())
    for history in histories:
        assert [event.message.actor_id async for event in history] == [str(number) for number in range(700)]  # type: ignore[attr-defined]
    watched = []
    async for event in scope.agents.watch(after=0):
        watched.append(event.version)
        if len(watched) == 700:
            break
    assert watched == list(range(1, 701))


async def test_a_watch(store: aio.Store) -> None:
    memory = store.scope("alice").memory
    await memory.add("k", "before")

    async def follow() -> list[int]:
        versions = []
        async for event in memory.watch(after=1):
            versions.append(event.version)
            if len(versions) == 20:
                break
        return versions

    following = asyncio.ensure_future(follow())
    for number in range(20):
        await memory.add("k", str(number))
    assert await asyncio.wait_for(following, 30) == list(range(2, 22))


async def test_a_commit_of_several_stores(store: aio.Store) -> None:
    scope = store.scope("alice")
    thread = await scope.threads.start("w")
    for replayed in (False, True):
        async with scope.commit(command_id="turn") as c:
            c.threads[thread].append("coder", "done")
            c.chats.append("c", said("x"))
            entry = c.memory.add("k", "x")
        assert c.receipt.replayed is replayed
        assert entry.receipt.value == (await scope.memory.get())[0]
    assert ((await scope.chats.messages("c")).version, (await scope.memory.get()).version) == (1, 1)


async def test_a_cancelled_write_lands_or_not_and_its_command_id_tells(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s") as store:
        memory = store.scope("alice").memory
        for number in range(30):
            task = asyncio.ensure_future(memory.add("k", str(number), command_id=f"c{number}"))
            await asyncio.sleep(0.0005 * (number % 4))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        receipts = [await memory.add("k", str(number), command_id=f"c{number}") for number in range(30)]
        assert sorted(event.message.entry.content for event in [e async for e in memory.history()]) == sorted(  # type: ignore[attr-defined]
            map(str, range(30))
        )
        assert len({receipt.version for receipt in receipts}) == 30
    assert treering.open(tmp_path / "s").scope("alice").memory.verify() == 30
