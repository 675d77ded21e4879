"""What the stores answer pickles as it is; the stores themselves as a way back to their scope."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from every_verb import VERBS, said

import treering
from treering import Invalid, Store, aio

STORES = [
    *("user_config", "llm_preferences", "memory", "agents", "participants", "chats", "workflows", "scripts"),
    *("connectors", "roles", "files"),
]


def again(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def test_receipts_listings_and_events(store: Store) -> None:
    alice = store.scope("alice")
    for verb in VERBS:
        verb.prepare(alice)
        receipt = verb.call(alice)
        assert again(receipt) == receipt
        assert copy.deepcopy(receipt) == receipt
    alice.chats.append("c", said("x"))
    for listing in (
        alice.memory.get(),
        alice.agents.list(),
        alice.participants.list("r"),
        alice.chats.index(),
        alice.chats.messages("c"),
        alice.workflows.list(),
        alice.scripts.list(),
        alice.connectors.get(),
        alice.roles.get(),
        alice.files.list(),
    ):
        copied = again(listing)
        assert type(copied) is type(listing)
        assert (copied, copied.version, hash(copied)) == (listing, listing.version, hash(listing))
    assert again(alice.connectors.get()).draft == alice.connectors.draft() is not None
    assert again(alice.connectors.get()).exists
    assert again(alice.chats.messages("c")).conversation == alice.chats.messages("c").conversation
    for events in (alice.memory.history(), alice.chats.history("c"), alice.workflows.history()):
        for event in events:
            assert again(event) == event
    assert again(alice.user_config.get()) == alice.user_config.get()
    assert again(alice.user_config.get()).version == alice.user_config.get().version


@pytest.mark.parametrize("name", STORES)
def test_a_store_reopens_in_its_scope(tmp_path: Path, name: str) -> None:
    with treering.open(tmp_path / "s") as store:
        scope = store.scope("a/b%").on_behalf_of("ann", causation_id="why")
        for verb in VERBS:
            verb.prepare(scope)
            verb.call(scope)
        data = pickle.dumps(getattr(scope, name))
        expected = read(getattr(scope, name), name)
    reopened = pickle.loads(data)
    assert type(reopened) is getattr(treering.stores, type(reopened).__name__)
    assert read(reopened, name) == expected


def test_what_is_written_by_it_is_on_the_same_behalf(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        memory = again(store.scope("alice").on_behalf_of("ann", causation_id="why").memory)
        memory.add("k", "x")
        (event,) = store.scope("alice").memory.history()
        assert (event.principal, event.causation_id) == ("ann", "why")


def read(store: Any, name: str) -> Any:
    match name:
        case "participants":
            return store.list("r")
        case "chats":
            return store.messages("c")
        case "agents" | "workflows" | "scripts" | "files":
            return store.list()
        case _:
            return store.get()


def test_in_another_process(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        memory = store.scope("alice").memory
        memory.add("k", "here")
        code = "import pickle, sys; pickle.load(sys.stdin.buffer).add('k', 'there')"
        subprocess.run([sys.executable, "-c", code], input=pickle.dumps(memory), check=True)
        assert [entry.content for entry in memory.get()] == ["here", "there"]


@pytest.mark.parametrize("name", STORES)
async def test_an_async_store_comes_back_as_one(tmp_path: Path, name: str) -> None:
    async with aio.open(tmp_path / "s") as store:
        await store.scope("alice").user_config.update(default_model="m")
        handle = getattr(store.scope("alice"), name)
        copied = again(handle)
        assert type(copied) is type(handle)
        assert copied.__class__.__module__ == "treering.aio"
        if name == "user_config":
            assert (await copied.get()).default_model == "m"


@pytest.mark.parametrize("name", STORES)
def test_one_that_lives_in_this_process_only_says_so(name: str, tmp_path: Path) -> None:
    with treering.memory() as store, pytest.raises(Invalid, match="in memory can't be pickled"):
        pickle.dumps(getattr(store.scope("alice"), name))
    with treering.open(tmp_path / "s") as store, pytest.raises(Invalid, match="of a resolver can't be pickled"):
        pickle.dumps(getattr(store.scoped(lambda: "alice"), name))
