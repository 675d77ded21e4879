"""`store.scoped(resolver)`: whichever scope a context variable names, per call, in every task and thread."""

import asyncio
import contextvars
import inspect
import itertools
import threading
from pathlib import Path

import pytest

import treering
from treering import Scope, Store, aio
from treering.messages import Message

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("TENANT")
MANY = 20


def test_each_call_asks_which_scope_it_is(store: Store) -> None:
    scoped = store.scoped(TENANT.get)
    memory = scoped.memory
    for name in ("alice", "bob", "alice"):
        TENANT.set(name)
        memory.add("k", name)
    assert [entry.content for entry in store.scope("alice").memory.get()] == ["alice", "alice"]
    assert [entry.content for entry in store.scope("bob").memory.get()] == ["bob"]


def test_every_store_is_there(store: Store) -> None:
    scoped, scope = store.scoped(lambda: "alice"), store.scope("alice")
    scoped.user_config.update(default_model="m")
    scoped.memory.add("k", "x")
    scoped.agents.add("t", "a")
    scoped.participants.add("r", "a")
    scoped.chats.append("c", [Message(content="x")])
    scoped.workflows.upload("w", "", "y")
    scoped.scripts.upload("s", "x")
    scoped.connectors.save([])
    scoped.roles.save_draft(None)
    scoped.files.put("f", b"x")
    names = [
        name for name, member in inspect.getmembers(type(scoped)) if isinstance(member, property) and name[0] != "_"
    ]
    assert len(names) == 12
    for name in names:
        assert type(getattr(scoped, name)) is type(getattr(scope, name))
    assert scoped.llm_preferences.get() == scope.llm_preferences.get()
    assert (scope.memory.get().version, scope.agents.list().version, scope.chats.index().version) == (1, 1, 1)
    assert (scope.workflows.list().version, scope.scripts.list().version) == (1, 1)
    assert (scope.participants.list("r").version, scope.files.list().version) == (1, 1)
    assert (scope.connectors.get().version, scope.roles.get().version) == (1, 1)


def test_the_resolver_is_asked_once_for_each_call(store: Store) -> None:
    """One that answers something else each time neither tears a call in two."""
    names = (f"scope {number}" for number in itertools.count())
    asked: list[str] = []

    def resolver() -> str:
        asked.append(next(names))
        return asked[-1]

    scoped = store.scoped(resolver)
    for number, call in enumerate(
        [
            lambda: scoped.memory.add("k", "x"),
            scoped.memory.get,
            lambda: scoped.chats.append("c", [Message(content="x")]),
            lambda: scoped.user_config.update(default_model="m"),
            lambda: scoped.workflows.upload("w", "", "y"),
            lambda: list(scoped.agents.history()),
            lambda: scoped.agents.authorize("t", "a", "use"),
            scoped.memory.watch,
            lambda: list(scoped.chats.history("c")),
            lambda: scoped.connectors.save([]),
            lambda: scoped.roles.save_draft(None),
            scoped.roles.draft,
        ],
        start=1,
    ):
        call()  # type: ignore[no-untyped-call]
        assert len(asked) == number


def test_whose_history_it_is_is_settled_by_the_call(store: Store) -> None:
    for name in ("alice", "bob"):
        store.scope(name).memory.add("k", name)
        store.scope(name).chats.append("c", [Message(content=name)])
        store.scope(name).scripts.upload("s", name)
    scoped = store.scoped(TENANT.get)
    TENANT.set("alice")
    calls = [scoped.memory.history(), scoped.memory.watch(0), scoped.chats.history("c"), scoped.scripts.history()]
    calls.append(scoped.chats.watch("c", 0))
    TENANT.set("bob")
    alice = store.scope("alice")
    own = {next(iter(events)).event_id for events in (alice.memory.history(), alice.chats.history("c"))}
    own.add(next(iter(alice.scripts.history())).event_id)
    assert {next(events).event_id for events in calls} == own


def test_an_error_of_the_resolver_is_the_callers(store: Store) -> None:
    head = store.head()

    def resolver() -> str:
        raise PermissionError("nobody is logged in")

    for call in (
        lambda: store.scoped(resolver).memory.add("k", "x"),
        store.scoped(resolver).memory.get,
        lambda: contextvars.Context().run(store.scoped(contextvars.ContextVar[str]("unset").get).memory.get),
    ):
        with pytest.raises((PermissionError, LookupError)):
            call()
    with pytest.raises(TypeError):
        store.scoped(lambda: None).memory.get()  # type: ignore[arg-type, return-value]
    assert store.head() == head


def test_a_variable_per_thread(store: Store) -> None:
    scoped = store.scoped(TENANT.get)
    barrier = threading.Barrier(8)
    seen: dict[str, list[str]] = {}

    def work(name: str) -> None:
        TENANT.set(name)
        barrier.wait()
        for number in range(MANY):
            scoped.memory.add("k", f"{name} {number}")
        seen[name] = [entry.content for entry in scoped.memory.get()]

    threads = [threading.Thread(target=work, args=(f"user {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {f"user {n}": [f"user {n} {number}" for number in range(MANY)] for n in range(8)}


async def test_a_variable_per_task(tmp_path: Path) -> None:
    """Reads run in threads of their own, where the task's variables must be seen, too."""
    async with aio.open(tmp_path / "s") as store:
        scoped = store.scoped(TENANT.get)

        async def work(name: str) -> tuple[list[str], list[str], str]:
            TENANT.set(name)
            for number in range(MANY):
                await scoped.memory.add("k", f"{name} {number}")
                await scoped.user_config.update(default_model=name)
            entries = await scoped.memory.get()
            events = [event.message.entry.content async for event in scoped.memory.history()]  # type: ignore[attr-defined]
            return [entry.content for entry in entries], events, (await scoped.llm_preferences.get()).default_model

        names = [f"user {number}" for number in range(16)]
        for name, (entries, events, model) in zip(
            names, await asyncio.gather(*(work(name) for name in names)), strict=True
        ):
            assert entries == events == [f"{name} {number}" for number in range(MANY)]
            assert model == name


def test_on_behalf_of(store: Store) -> None:
    alice: Scope = store.scope("alice")
    ann = alice.on_behalf_of("ann", causation_id="request 1")
    assert ann == alice
    ann.memory.add("k", "x")
    ann.on_behalf_of("ben").memory.add("k", "y")
    ann.on_behalf_of(None).memory.add("k", "z")
    said = [(event.principal, event.causation_id) for event in alice.memory.history()]
    assert said == [("ann", "request 1"), ("ben", None), (None, None)]
    ann.on_behalf_of("é" * 128, causation_id="é" * 128).memory.add("k", "x")
    for wrong in (alice.on_behalf_of("x" * 257), alice.on_behalf_of(None, causation_id="x" * 257)):
        with pytest.raises(treering.LimitExceeded):
            wrong.memory.add("k", "x")
    assert alice.memory.get().version == 4
