"""Projections under asyncio: the same bodies; plain functions and coroutine functions; other tasks go on."""

import asyncio
from typing import Any

import pytest
from functions import View, delivering, versions

import treering
from treering import EventRefused, SourceEvent, aio
from treering.messages import Message


async def say(scope: aio.Scope, chat: str, *contents: str) -> None:
    for content in contents:
        await scope.chats.append(chat, [Message(content=content)])


async def test_the_same_verbs_awaited() -> None:
    async with aio.memory() as store:
        alice, team = store.scope("alice"), store.scope("team")
        await say(alice, "c", "a", "b")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        assert (await seen.get()).version == 0
        assert (await seen.catch_up(delivering)).events == 2  # type: ignore[arg-type]
        assert (await seen.get()).value == {"alice/chat/c": [1, 2]}
        assert list((await seen.checkpoint()).values()) == [2]
        assert [info.name async for info in team.projections()] == ["seen"]
        assert (await seen.rebuild(versions)).events == 2  # type: ignore[arg-type]
        assert len(await team.chats.messages("inbox")) == 2
        await seen.delete()
        assert (await seen.get()).version == 0


async def test_functions_that_are_awaited() -> None:
    async with aio.memory() as store:
        alice, team = store.scope("alice"), store.scope("team")
        await say(alice, "c", "a", "b", "c")

        async def index(view: dict[str, Any], event: SourceEvent, commit: aio.Commit) -> dict[str, Any]:
            commit.memory.add("k", f"{event.version}")
            return {"map": await view["map"].insert(str(event.version), event.type)}

        seen = team.projection("seen", of=alice, kinds=["chat"], start={"map": aio.Map()})
        assert (await seen.catch_up(index)).commits == 1
        await say(alice, "c", "d")
        assert (await seen.catch_up(index)).events == 1
        assert (await seen.rebuild(index)).events == 4
        found = (await seen.get()).value["map"]
        assert isinstance(found, aio.Map)
        assert sorted([key async for key in found]) == ["1", "2", "3", "4"]
        assert len(await team.memory.get()) == 4

        async def broken(view: dict[str, Any], event: SourceEvent, commit: aio.Commit) -> dict[str, Any]:
            commit.memory.add("k", "x", expected_version=99)
            return view

        await say(alice, "c", "e")
        with pytest.raises(EventRefused):
            await seen.catch_up(broken)

        async def aside(view: dict[str, Any], event: SourceEvent, error: treering.TreeringError) -> dict[str, Any]:
            await asyncio.sleep(0)
            return {**view, "aside": [event.version]}

        assert (await seen.catch_up(broken, refused=aside)).events == 1
        assert (await seen.get()).value["aside"] == [5]

        async def cut(view: dict[str, Any], gap: treering.Gap, commit: aio.Commit) -> dict[str, Any]:
            return {**view, "gap": gap.version}

        await alice.chats.delete("c")
        rows = team.projection("rows", of=alice, kinds=["chat-index"], start=dict[str, Any]())
        await rows.catch_up(versions, trimmed=cut)  # type: ignore[arg-type]
        assert (await rows.get()).value == {"gap": 6}


async def test_follow_gives_way_to_other_tasks() -> None:
    async with aio.memory() as store:
        alice, team = store.scope("alice"), store.scope("team")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})
        done = 0

        async def follow() -> None:
            nonlocal done
            async for report in seen.follow(delivering):  # type: ignore[arg-type]
                done += report.events
                if done == 40:
                    return

        following = asyncio.create_task(follow())
        await asyncio.gather(*(say(alice, f"c{n}", *map(str, range(10))) for n in range(4)))
        await following
        assert (await seen.get()).value == {f"alice/chat/c{n}": list(range(1, 11)) for n in range(4)}


async def test_a_follower_that_is_cancelled() -> None:
    async with aio.memory() as store:
        alice, team = store.scope("alice"), store.scope("team")
        seen = team.projection("seen", of=alice, kinds=["chat"], start={})

        async def follow() -> None:
            async for _ in seen.follow(delivering):  # type: ignore[arg-type]
                pass

        for number in range(5):
            following = asyncio.create_task(follow())
            await say(alice, "c", str(number))
            await asyncio.sleep(0)
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
        await seen.catch_up(delivering)  # type: ignore[arg-type]
        inbox = await team.chats.messages("inbox")
        assert [message.content for message in inbox] == [f"alice/chat/c {version}" for version in range(1, 6)]


def test_a_function_to_be_awaited_needs_a_loop() -> None:
    with treering.memory() as store:
        alice = store.scope("alice")
        alice.memory.add("k", "x")
        seen = alice.projection("seen", kinds=["user-memory"], start={})

        async def awaited(view: View, event: SourceEvent, commit: treering.Commit) -> View:
            return view

        with pytest.raises(TypeError, match=r"treering\.aio"):
            seen.catch_up(awaited)
        assert seen.get().version == 0
