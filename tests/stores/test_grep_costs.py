"""`files.grep`: what a pattern costs is bounded, and nobody waits for a search that was given up."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import InvalidCommand, LimitExceeded, Scope, aio
from treering.stores import files as files_module

#: Thousands of states beside each other: each byte of x costs as many steps.
DEAR = "(x{1,50}){1,50}z"


class Slices:
    """Counts the slices of searches, and does what a test says before each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, before: Callable[[], None] = lambda: None) -> None:
        self.made = 0
        self._begin = files_module.files_grep
        self._before = before
        monkeypatch.setattr(files_module, "files_grep", self._search)

    def _search(self, *args: Any) -> Any:
        search, slices = self._begin(*args), self

        class Counted:
            def go_on(self) -> Any:
                slices._before()
                slices.made += 1
                return search.go_on()

        return Counted()


def test_a_dear_search_is_made_in_slices(alice: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.files.put("a.txt", b"x" * 3_000 + b"z")
    slices = Slices(monkeypatch)
    assert [found.path for found in alice.files.grep(DEAR)] == ["a.txt"]
    assert slices.made > 3
    # What is cheap reads some MiB at once.
    for number in range(5):
        alice.files.put(f"{number}.txt", b"y\n" * (1 << 19))
    slices.made = 0
    assert list(alice.files.grep("q")) == []
    assert slices.made == 2


def test_ctrl_c_ends_a_search(alice: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.files.put("a.txt", b"x" * 20_000)

    def pressed() -> None:
        if slices.made == 2:
            raise KeyboardInterrupt

    slices = Slices(monkeypatch, pressed)
    with pytest.raises(KeyboardInterrupt):
        alice.files.grep(DEAR)
    assert slices.made == 2


async def test_searches_that_were_cancelled_end_and_keep_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = Slices(monkeypatch)
    async with aio.open(tmp_path / "state") as store:
        files = store.scope("alice").files
        await files.put("a.txt", b"x" * (1 << 20))
        await store.scope("bob").memory.add("context", "x")
        searches = [asyncio.create_task(files.grep(DEAR)) for _ in range(16)]
        while slices.made < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # Others have their turn while they go on: one slice of each is before them at most.
        before = slices.made
        await store.scope("bob").memory.get()
        assert slices.made - before <= 16 + 4
        for search in searches:
            search.cancel()
        ended = await asyncio.gather(*searches, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)
        before = slices.made
        await store.scope("bob").memory.get()
        await asyncio.sleep(0.2)
        # Those that were being made, and no other.
        assert slices.made - before <= 4


@pytest.mark.long
def test_a_search_ends_whatever_its_pattern(alice: Scope) -> None:
    alice.files.put("a.txt", b"x" * (1 << 20))
    with pytest.raises(LimitExceeded, match="repeat less") as caught:
        alice.files.grep(DEAR)
    assert caught.value.limit == 1 << 28


@pytest.mark.parametrize("pattern", ["(x{1,200}){1,200}", "((a{1000}){1000}){1000}", r"\w{100}", "a{99999}"])
def test_a_pattern_that_is_too_large_is_refused(alice: Scope, pattern: str) -> None:
    with pytest.raises(InvalidCommand, match="repeat less"):
        alice.files.grep(pattern)


@pytest.mark.parametrize("count", [2**70, -(2**70), -1, 0, 101])
def test_a_number_of_results_is_shown_as_it_was_given(alice: Scope, count: int) -> None:
    with pytest.raises(InvalidCommand, match="from 1 to 100") as caught:
        alice.files.grep("x", max_results=count)
    assert caught.value.value == str(count)


def test_a_file_that_is_gone_when_its_turn_comes_is_passed_over(
    store: treering.Store, alice: Scope, monkeypatch: pytest.MonkeyPatch, clock: treering.testing.Clock
) -> None:
    for name in "abc":
        alice.files.put(f"{name}.txt", f"here: {name}".encode())

    def taken() -> None:
        alice.files.delete("b.txt")
        alice.files.put("c.txt", b"here: another")
        alice.files.trim(keep=0)
        clock.advance(2 * 86_400_000)
        assert store.gc().deleted > 0

    Slices(monkeypatch, taken)
    assert [found.path for found in alice.files.grep("here")] == ["a.txt"]
