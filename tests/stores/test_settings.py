"""What an application sets: it holds from then on, and changes nothing that was written."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from every_verb import entry, said

import treering
from treering import Invalid, Settings, aio, testing
from treering.messages import Conversation, UserConfig

SMALL = Settings(memory_entries=3, chat_messages=2, local_runtime_base_url="http://here", remote_runtime_base_url="r")


def test_the_defaults_are_those_of_the_contract() -> None:
    assert Settings() == Settings(
        memory_entries=50, chat_messages=500, local_runtime_base_url="http://127.0.0.1:5080", remote_runtime_base_url=""
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_entries": 0},
        {"memory_entries": 101},
        {"memory_entries": True},
        {"memory_entries": "5"},
        {"chat_messages": 0},
        {"chat_messages": 100_001},
        {"chat_messages": 2.0},
        {"local_runtime_base_url": "http://x/"},
        {"local_runtime_base_url": " http://x"},
        {"remote_runtime_base_url": None},
        {"remote_runtime_base_url": "x" * 2049},
    ],
)
def test_what_can_not_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        Settings(**wrong)


def test_at_their_edges() -> None:
    """The largest memory that a setting allows still fits into a snapshot."""
    with testing.memory(settings=Settings(memory_entries=100, chat_messages=100_000)) as store:
        alice = store.scope("alice")
        for number in range(120):
            alice.memory.add("c" * 1024, f"{number:0>8192}")
        assert (len(alice.memory.get()), alice.memory.verify()) == (100, 120)


def test_a_limit_that_changes_rewrites_no_history(tmp_path: Path) -> None:
    """Events carry it: replay, snapshots and earlier versions are what they were, whoever reads them."""
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        for number in range(40):
            alice.memory.add("k", str(number))
            alice.chats.append("c", said(str(number)))
        before = alice.memory.get(), alice.chats.messages("c"), [alice.memory.at(version) for version in range(41)]
    with treering.open(tmp_path / "s", settings=SMALL) as store:
        alice = store.scope("alice")
        assert (alice.memory.get(), alice.chats.messages("c")) == before[:2]
        assert [alice.memory.at(version) for version in range(41)] == before[2]
        alice.memory.rebuild()
        alice.chats.rebuild("c")
        assert (alice.memory.get(), alice.chats.messages("c")) == before[:2]
        # What is written from now on is under the new one.
        receipt = alice.memory.add("k", "new")
        assert (receipt.dropped, [one.content for one in alice.memory.get()]) == (38, ["38", "39", "new"])
        assert alice.chats.append("c", said("new")).dropped == 39
        assert [message.content for message in alice.chats.messages("c")] == ["39", "new"]
        assert alice.memory.save([entry(number) for number in range(5)]).dropped == 2
        assert alice.chats.save("d", Conversation(), said("1") + said("2") + said("3")).dropped == 1
        with alice.commit() as c:
            added = c.memory.add("k", "drafted")
            appended = c.chats.append("d", said("4"))
        assert (added.receipt.dropped, appended.receipt.dropped) == (1, 1)
        after = [alice.memory.at(version) for version in range(alice.memory.get().version + 1)]
    with treering.open(tmp_path / "s") as store:
        # And back: what the smaller one made stays.
        alice = store.scope("alice")
        assert [alice.memory.at(version) for version in range(len(after))] == after
        assert after[:41] == before[2]
        assert alice.memory.add("k", "more").dropped == 0
        assert len(alice.memory.get()) == 4
        assert alice.memory.verify() == len(after)
        assert store.verify().ok


def test_a_default_that_changes_rewrites_no_configuration(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        store.scope("alice").user_config.update(max_tool_rounds=1)
    with treering.open(tmp_path / "s", settings=SMALL) as store:
        alice, bob = store.scope("alice").user_config, store.scope("bob").user_config
        # The defaults of then stand in what was written.
        assert alice.get().local_runtime_base_url == "http://127.0.0.1:5080"
        assert (alice.get().remote_runtime_base_url, alice.at(1)) == ("", alice.get())
        # Never written: those of now.
        assert (bob.get().local_runtime_base_url, bob.get().remote_runtime_base_url) == ("http://here", "r")
        assert alice.at(0).local_runtime_base_url == "http://here"
        assert next(bob.states()) == bob.get()
        # Blank is the default of now.
        assert alice.update(local_runtime_base_url=" ").value.local_runtime_base_url == "http://here"  # type: ignore[union-attr]
        unchanged = bob.save(UserConfig())
        assert (unchanged.changed, unchanged.value) == (False, bob.get())
        bob.update(default_model="m")
    with treering.open(tmp_path / "s") as store:
        assert store.scope("bob").user_config.get().local_runtime_base_url == "http://here"
        assert store.scope("alice").user_config.at(1).local_runtime_base_url == "http://127.0.0.1:5080"


def test_a_repeated_command_is_the_same_command_under_another_setting(tmp_path: Path) -> None:
    def write(store: treering.Store) -> list[Any]:
        alice = store.scope("alice")
        return [
            alice.memory.add("k", "x", command_id="a"),
            alice.memory.save([entry(number) for number in range(5)], command_id="b"),
            alice.chats.save("c", Conversation(), said("1") + said("2") + said("3"), command_id="c"),
            alice.user_config.save(UserConfig(default_model="m"), command_id="d"),
        ]

    with treering.open(tmp_path / "s") as store:
        first = write(store)
    with treering.open(tmp_path / "s", settings=SMALL) as store:
        for before, again in zip(first, write(store), strict=True):
            assert again.replayed
            assert (again.version, again.value, again.dropped) == (before.version, before.value, before.dropped)


def test_two_handles_of_one_directory_have_their_own(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s", settings=SMALL) as small, treering.open(tmp_path / "s") as plain:
        for number in range(5):
            plain.scope("alice").memory.add("k", str(number))
        assert len(small.scope("alice").memory.get()) == 5
        small.scope("alice").memory.add("k", "x")
        assert len(plain.scope("alice").memory.get()) == 3
        # They go with a handle wherever it goes.
        memory = pickle.loads(pickle.dumps(small.scope("alice").memory))
        memory.add("k", "y")
        assert len(memory.get()) == 3
        small.scoped(lambda: "alice").memory.add("k", "z")
        small.scope("alice").on_behalf_of("bob").memory.add("k", "z")
        assert len(plain.scope("alice").memory.get()) == 3


async def test_under_asyncio(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s", settings=SMALL) as store, aio.memory(settings=SMALL) as other:
        for scope in (store.scope("alice"), other.scope("alice")):
            await scope.memory.save([entry(number) for number in range(5)])
            assert len(await scope.memory.get()) == 3


def test_what_is_no_settings() -> None:
    wrong: Any = {"memory_entries": 3}
    with pytest.raises(TypeError, match=r"treering\.Settings"):
        treering.memory(settings=wrong)
    with pytest.raises(Invalid, match="remote_runtime_base_url"):
        treering.Settings(remote_runtime_base_url="http://\ud800")
