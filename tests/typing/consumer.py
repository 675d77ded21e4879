"""A program as users write it; it must type-check, and each type must be the one that is said here."""

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

import treering
from treering import NOW, Cid, NewStep, Step, Thread, aio, messages
from treering import testing as treering_testing
from treering.stores import protocols


def embedded(path: Path) -> None:
    with treering.open(path, durability="relaxed", lock_wait_s=5) as store:
        assert_type(store, treering.Store)
        scope = store.scope("alice", durability="durable")
        thread = scope.threads.start("fix", prompt="Fix it", key="k", parameters={"a": [1]}, labels={"n": 1})
        assert_type(thread, Thread)
        step = thread.append("coder", "text", meta={"n": 1}, artifacts={"a": b"x"}, links=[thread.head], at_ms=NOW)
        assert_type(step, Step)
        assert_type(step.text, str)
        assert_type(step.at, datetime | None)
        assert_type(step.content, Any)
        assert_type(step.artifacts["a"], bytes)
        assert_type(thread.extend([("a", 1), NewStep("b", {"x": None}, at_ms=None)]), list[Step])
        assert_type(thread.fork(before="coder", occurrence="first"), Thread)
        assert_type(thread.forked_from, treering.StepPlace | None)
        assert_type([each.role for each in thread], list[str])
        assert_type(next(iter(reversed(thread))), Step)
        assert_type(thread.diff(thread).left, tuple[Step, ...])
        assert_type(thread.common_ancestor(thread), treering.StepRef | None)
        assert_type(thread.start, treering.StartNode)
        assert_type(thread.status == "running", bool)
        assert_type(scope.threads.list(status="idle", labels={"n": 1}), list[Thread])
        assert_type(store.put(b"x"), Cid)
        assert_type(store.blocks.get("bafkr4i"), bytes)
        assert_type(store.reachable([thread.head]).missing, list[Cid])
        assert_type(store.verify().ok, bool)
        for entry in store.journal():
            assert_type(entry.moves[0].target, Cid | None)
        with thread.lease(owner="me") as lease:
            assert_type(lease.token, int | None)
        with scope.commit(command_id="c") as c:
            assert_type(c.threads[thread].append("a", "b").cid, Cid)
            draft = c.threads.start("next")
        assert_type(draft.thread, Thread)
        assert_type(c.receipt.replayed, bool)
    try:
        thread.append("late")
    except treering.HeadMoved as error:
        assert_type(error.at_step, int)
        assert_type(error.at, Cid)


def collected(store: treering.Store, cid: Cid) -> None:
    vector = treering.Vector(["a"])
    assert_type(vector, treering.Vector[str])
    assert_type(vector.append("b")[0], str)
    assert_type(vector[1:], list[str])
    assert_type([text.upper() for text in reversed(vector)], list[str])
    made = treering.Map({"a": 1})
    assert_type(made.insert("b", 2)["a"], int)
    assert_type(made.get("a"), int | None)
    assert_type(made.get("a", "no"), int | str)
    assert_type(dict(made.items()), dict[str, int])
    assert_type(list(made.entries()), list[tuple[str, int]])
    opened: treering.Vector[int] = store.blocks.vector(cid)
    assert_type(opened[0], int)


async def collected_meanwhile(store: aio.Store, cid: Cid) -> None:
    vector = await aio.Vector(["a"]).append("b")
    assert_type(vector, aio.Vector[str])
    assert_type(await vector[0], str)
    assert_type(await vector[:1], list[str])
    assert_type([text async for text in vector], list[str])
    assert_type(await aio.Map({"a": 1}).get("a"), int | None)
    assert_type([pair async for pair in (await store.blocks.map(cid)).entries()], list[tuple[str, Any]])


async def served(path: Path) -> None:
    async with aio.open(path) as store:
        assert_type(store, aio.Store)
        thread = await store.threads.start("fix")
        assert_type(thread, aio.Thread)
        assert_type(await thread.append("coder", "text"), Step)
        assert_type(await thread.fork(), aio.Thread)
        assert_type([each.number async for each in thread], list[int])
        assert_type(await store.threads.list(), list[aio.Thread])
        assert_type(thread.head, Cid)
        assert_type(len(thread), int)
        async with store.scope("a").commit() as c:
            draft = c.threads[thread].fork()
        assert_type(draft.thread, aio.Thread)
        assert_type(await thread.export(path), treering.Exported)
        assert_type(await store.scope("a").export("a.car", [thread, "key"]), treering.Exported)
        assert_type(await store.scope("a").import_car("a.car", on_conflict="skip"), treering.Imported)
        async for entry in store.watch(after=await store.cursor()):
            assert_type(entry, treering.JournalEntry)
    assert_type(await aio.open(path), aio.Store)


def needs_stores(stores: protocols.Stores) -> int:
    receipt = stores.memory.add("preference", "answers in French", expected_version=0)
    assert_type(receipt, treering.Receipt[messages.MemoryEntry])
    assert_type(stores.connectors.get(), treering.Catalog[messages.Connector, messages.ConnectorDraft])
    assert_type(stores.connectors.save([], command_id="turn"), treering.Receipt[None])
    assert_type(stores.roles.save_draft(None), treering.Receipt[messages.RoleDraft])
    return stores.chats.append("c", []).version


def headers_of(part: messages.HttpConnector) -> dict[str, str]:
    messages.HttpConnector(default_headers={"Accept": "json", "Cookie": treering.Secret("env:COOKIE")})
    messages.HttpConnector(default_headers={"Accept": 7})  # type: ignore[dict-item]
    messages.ConnectorAuth(client_secret="hunter2")  # type: ignore[arg-type]
    assert_type(part.auth, messages.ConnectorAuth | None)
    return treering.secrets.resolve_all(part.default_headers)


def what_has_the_stores(store: treering.Store, sleeper: aio.Store) -> None:
    needs_stores(store.scope("alice"))
    needs_stores(store.scope("alice").on_behalf_of("bob"))
    needs_stores(store.scoped(lambda: "alice"))
    needs_stores(sleeper.scope("alice"))  # type: ignore[arg-type]
    assert_type([info.events for info in store.scope("alice").actors()], list[int])
    assert_type(store.scope("alice").actor("chat", "c").info(), treering.ActorInfo)
    assert_type(next(store.scope("alice").history()).event, treering.ActorEvent | None)
    assert_type(next(store.scope("alice").user_config.states(after=3)), messages.UserConfig)
    assert_type(store.scope("alice").retention.set(keep=3), treering.Receipt[messages.RetentionPolicy])
    assert_type(store.scope("alice").retention.get().younger_than, timedelta | None)
    assert_type(store.trim(), tuple[treering.ScopeTrimmed, ...])
    assert_type(next(store.scope("alice").chats.states("c")), treering.stores.Messages)
    assert_type(store.scope("alice").with_workspace(treering.LocalWorkspace()), treering.Scope)
    assert_type(store.scope("alice").roles.draft(), messages.RoleDraft | None)
    followed: protocols.Subscribable[treering.Listing[messages.MemoryEntry]] = store.scope("alice").memory
    assert_type(next(followed.states()), treering.Listing[messages.MemoryEntry])


def values_of_messages(entry: messages.MemoryEntry, state: messages.UserConfig) -> None:
    assert_type(entry.source, messages.MemorySource)
    assert_type(entry.created_at, datetime)
    assert_type(state.version, int)
    assert_type(messages.Message().attachments, tuple[Cid, ...])
    assert_type(messages.UserConfigUpdated().max_tool_rounds, int | None)
    entry.content = "other"  # type: ignore[misc]
    messages.MemoryEntryAdded()  # type: ignore[call-arg]
    messages.MemoryEntry("0123456789ab")  # type: ignore[call-arg]


def what_must_not_type_check(thread: Thread, sleeper: aio.Thread) -> None:
    thread.append("r", at_ms="now")  # type: ignore[arg-type]
    thread.append("r", expected_head="bafyr4i")  # type: ignore[arg-type]
    thread.fork(1)  # type: ignore[call-arg]
    thread.fork(occurrence="middle")  # type: ignore[arg-type]
    thread.diff(sleeper)  # type: ignore[arg-type]
    thread.export(3)  # type: ignore[arg-type]
    thread.extend([("a", "b", "c")])  # type: ignore[list-item]
    thread.head = thread.head  # type: ignore[misc]
    treering.Vector(["a"]).append(1)  # type: ignore[arg-type]
    treering.Map({1: "a"})  # type: ignore[arg-type]
    for _ in sleeper:  # type: ignore[attr-defined]
        pass


def projections(store: treering.Store) -> None:
    def count(view: dict[str, int], event: treering.SourceEvent, commit: treering.Commit) -> dict[str, int]:
        commit.memory.add("k", f"{event.source.scope} {event.version}")
        return view

    counted = store.scope("a").projection("p", of=[store.scope("b")], kinds=["chat"], start=dict[str, int]())
    assert_type(counted, treering.Projection[dict[str, int]])
    assert_type(counted.get().value, dict[str, int])
    assert_type(counted.catch_up(count), treering.ProjectionReport)
    assert_type([report.events for report in counted.follow(count)], list[int])
    assert_type(counted.checkpoint(), dict[treering.Source, int])
    counted.catch_up(lambda view, event, commit: 3)  # type: ignore[arg-type, return-value]


async def awaited_projections(store: aio.Store) -> None:
    async def count(view: int, event: treering.SourceEvent, commit: aio.Commit) -> int:
        commit.memory.add("k", event.type)
        return view + 1

    counted = store.scope("a").projection("p", of=store.scope("b"), kinds=["chat"], start=0)
    assert_type(await counted.catch_up(count), treering.ProjectionReport)
    assert_type([report.events async for report in counted.follow(count)], list[int])
    assert_type((await counted.get()).value, int)


@dataclasses.dataclass(frozen=True)
class Open:
    title: str


@dataclasses.dataclass(frozen=True)
class Opened:
    title: str


@dataclasses.dataclass(frozen=True)
class TicketState:
    title: str = ""


class Ticket(treering.Actor[TicketState, Open, Opened]):
    kind = "ticket"

    def decide(self, state: TicketState, command: Open, context: treering.ActorContext) -> Opened | None:
        if state.title:
            raise treering.Rejected("it is open", title=state.title)
        assert_type(context.at_ms, int)
        return Opened(command.title + context.new_id())

    def evolve(self, state: TicketState, event: Opened) -> TicketState:
        return TicketState(event.title)


def own_actors(store: treering.Store) -> None:
    ticket = store.scope("a").own(Ticket, "T-1")
    assert_type(ticket, treering.OwnActor[TicketState, Open, Opened])
    assert_type(ticket.send(Open("a"), command_id="c"), treering.Receipt[TicketState])
    assert_type(ticket.get(), treering.StateAt[TicketState])
    assert_type(ticket.at(3).state.title, str)
    assert_type([at.state.title for at in ticket.states(after=3)], list[str])
    assert_type(next(ticket.history()), treering.ActorEvent)
    assert_type(ticket.trim(keep=3), treering.Receipt[None])
    with store.scope("a").commit() as c:
        assert_type(c.own(Ticket, "T-1").send(Open("a")).receipt.value, TicketState | None)
    store.scope("a").projection("p", kinds=[Ticket, "chat"], start=0)
    decided = treering_testing.given(Ticket, Opened("a")).when(Open("b"))
    assert_type(decided.events, list[Opened])
    assert_type(decided.then(Opened("c")).state, TicketState)
    asked: protocols.Commandable[TicketState, Open] = ticket
    assert_type(asked.send(Open("a")), treering.Receipt[TicketState])
    ticket.send("open")  # type: ignore[arg-type]
    ticket.send(Opened("a"))  # type: ignore[arg-type]
    treering_testing.given(Ticket, Open("a"))  # type: ignore[misc]
    store.scope("a").own(TicketState, "T-1")  # type: ignore[arg-type]


async def awaited_own_actors(store: aio.Store) -> None:
    ticket = store.scope("a").own(Ticket, "T-1")
    assert_type((await ticket.send(Open("a"))).value, TicketState | None)
    assert_type((await ticket.get()).state, TicketState)
    assert_type([at.version async for at in ticket.states()], list[int])
    async with store.scope("a").commit() as c:
        c.own(Ticket, "T-1").send(Open("a"))
