"""Lists and maps that come from another store: they are copied with the commit, and read from here from then on."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import Closed, Invalid, NotFound, aio


@dataclass(frozen=True)
class Take:
    texts: treering.Vector[str]
    counts: treering.Map[int] = field(default_factory=treering.Map)


@dataclass(frozen=True)
class Add:
    text: str


@dataclass(frozen=True)
class Took:
    texts: treering.Vector[str]
    counts: treering.Map[int] = field(default_factory=treering.Map)


@dataclass(frozen=True)
class Added:
    text: str


@dataclass(frozen=True)
class Texts:
    texts: treering.Vector[str] = field(default_factory=treering.Vector)
    counts: treering.Map[int] = field(default_factory=treering.Map)
    inner: tuple[treering.Vector[str], ...] = ()


class Keeper(treering.Actor[Texts, Take | Add, Took | Added]):
    kind = "keeper"

    def decide(self, state: Texts, command: Take | Add, context: treering.ActorContext) -> Took | Added:
        return Took(command.texts, command.counts) if isinstance(command, Take) else Added(command.text)

    def evolve(self, state: Texts, event: Took | Added) -> Texts:
        if isinstance(event, Took):
            return Texts(event.texts, event.counts, (event.texts, state.texts))
        return Texts(state.texts.append(event.text), state.counts.update({event.text: 1}), state.inner)


TEXTS = [f"{'x' * 200} {number}" for number in range(300)]
COUNTS = {f"{'k' * 70} {number}": number for number in range(300)}


def filled(path: Path, more: str = "") -> treering.Store:
    """A store with both."""
    with treering.open(path) as store:
        texts = [text + more for text in TEXTS]
        store.scope("alice").own(Keeper, "1").send(Take(treering.Vector(texts), treering.Map(COUNTS)))
    return treering.open(path)


def taken(store: treering.Store) -> Take:
    state = store.scope("alice").own(Keeper, "1").get().state
    return Take(state.texts, state.counts)


def expect_all(state: Texts, more: int = 0) -> None:
    assert list(state.texts) == [*TEXTS, *["more"] * more]
    assert dict(state.counts.items()) == COUNTS | ({"more": 1} if more else {})
    assert all(list(inner) in ([], TEXTS) for inner in state.inner)


def goes_on(store: treering.Store, receipt: Any) -> None:
    """What was taken is there, in what was answered, in what is remembered, and in what is stored."""
    keeper = store.scope("alice").own(Keeper, "1")
    expect_all(receipt.value)
    expect_all(keeper.get().state)
    for more in range(1, 20):
        expect_all(keeper.send(Add("more")).value, more)
    assert (keeper.get().version, keeper.rebuild(), keeper.verify()) == (20, 20, 20)


def test_the_other_store_is_closed(tmp_path: Path) -> None:
    old, new = filled(tmp_path / "old"), treering.open(tmp_path / "new")
    receipt = new.scope("alice").own(Keeper, "1").send(take := taken(old))
    old.close()
    with pytest.raises(Closed):
        list(take.texts)
    goes_on(new, receipt)
    new.close()


def test_the_other_store_collects_them(tmp_path: Path) -> None:
    with filled(tmp_path / "old") as old, treering.open(tmp_path / "new") as new, ExitStack() as lost:
        take = taken(old)
        receipt = new.scope("alice").own(Keeper, "1").send(take)
        old.scope("alice").erase()
        old.gc()
        with pytest.raises(NotFound):
            list(take.texts)
        goes_on(new, receipt)
        # Whose blocks are nowhere is refused, and nothing is lost.
        keeper = new.scope("alice").own(Keeper, "2")
        keeper.send(Add("a"))
        with pytest.raises(Invalid, match="which is not in this store"):
            keeper.send(Take(lost.enter_context(taken_away(tmp_path / "more"))))
        assert (keeper.get().version, list(keeper.get().state.texts), keeper.send(Add("b")).version) == (1, ["a"], 2)


@contextmanager
def taken_away(path: Path) -> Iterator[treering.Vector[str]]:
    """A list that no store has any more."""
    with filled(path, "of another kind") as store:
        texts = taken(store).texts
        store.scope("alice").erase()
        store.gc()
        keeper = store.scope("alice").own(Keeper, "1")
        assert keeper.get().version == 0
        yield texts


def test_one_that_was_made_here_and_stored_there_first(tmp_path: Path) -> None:
    """It lies in no store when it is made; the first that has it is not this one."""
    old, new = treering.open(tmp_path / "old"), treering.open(tmp_path / "new")
    take = Take(treering.Vector(TEXTS), treering.Map(COUNTS))
    old.scope("alice").own(Keeper, "1").send(take)
    receipt = new.scope("alice").own(Keeper, "1").send(take)
    old.close()
    goes_on(new, receipt)
    new.close()


def test_in_a_commit_of_several(tmp_path: Path) -> None:
    old, new = filled(tmp_path / "old"), treering.open(tmp_path / "new")
    with new.scope("alice").commit() as c:
        draft = c.own(Keeper, "1").send(taken(old))
        c.own(Keeper, "2").send(taken(old))
        last = c.own(Keeper, "2").send(Add("more"))
    old.close()
    expect_all(last.receipt.value, 1)
    expect_all(new.scope("alice").own(Keeper, "2").send(Add("more")).value, 2)
    goes_on(new, draft.receipt)
    new.close()


@pytest.mark.parametrize("count", [5, 30])
def test_others_follow_it_before_it_is_written(tmp_path: Path, count: int) -> None:
    """They are decided on lists that are still read from there; what is remembered of them is not."""

    async def life() -> None:
        old = filled(tmp_path / "old")
        async with aio.open(tmp_path / "new") as new:
            keeper = new.scope("alice").own(Keeper, "1")
            await asyncio.gather(keeper.send(taken(old)), *(keeper.send(Add("more")) for _ in range(count)))
            old.close()
            texts = aio.Vector((await keeper.get()).state.texts)
            assert len([text async for text in texts]) == len(texts) <= 300 + count
            last = await keeper.send(Add("last"))
            assert (last.version, list(last.value.texts)[-1]) == (count + 2, "last")
            assert await keeper.verify() == count + 2

    asyncio.run(life())
