"""Command ids that come again, one after the other and all at once: each is done once, and decided about as often as
others are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tickets import elsewhere

import treering
from treering import CommandMismatch, DiskFull, Overtaken, Rejected, Scope, VersionConflict, aio, testing


@dataclass(frozen=True)
class Add:
    text: str


@dataclass(frozen=True)
class Added:
    text: str


@dataclass(frozen=True)
class Log:
    texts: tuple[str, ...] = ()


class Noting(treering.Actor[Log, Add, Added]):
    kind = "noting"
    calls = 0
    meanwhile: Callable[[], object] | None = None

    def decide(self, state: Log, command: Add, context: treering.ActorContext) -> Added | None:
        Noting.calls += 1
        if Noting.meanwhile is not None:
            meanwhile, Noting.meanwhile = Noting.meanwhile, None
            meanwhile()
        if command.text == "no" and state.texts:
            raise Rejected("not twice")
        return Added(command.text) if command.text != "nothing" else None

    def evolve(self, state: Log, event: Added) -> Log:
        if event.text == "once" and state.texts:
            raise ValueError("evolve: once")
        return Log((*state.texts, event.text))


@pytest.fixture(autouse=True)
def counted() -> None:
    Noting.calls, Noting.meanwhile = 0, None


def together(path: Path, count: int, call: Callable[[aio.OwnActor[Log, Add, Added], int], Any]) -> list[Any]:
    """What so many tasks at one actor come to."""

    async def life() -> list[Any]:
        async with aio.open(path) as store:
            noting = store.scope("alice").own(Noting, "1")
            Noting.calls = 0
            return await asyncio.gather(*(call(noting, number) for number in range(count)), return_exceptions=True)

    return asyncio.run(life())


@pytest.mark.parametrize("times", [2, 4])
def test_tasks_that_repeat_each_other(tmp_path: Path, times: int) -> None:
    commands = 100
    receipts = together(
        tmp_path / "s",
        commands * times,
        lambda noting, number: noting.send(Add(str(number // times)), command_id=str(number // times)),
    )
    # They don't break the chain in which the others are decided. Who reads while others write may decide in vain.
    assert Noting.calls <= 2 * commands
    assert sum(not receipt.replayed for receipt in receipts) == commands
    for first in range(0, len(receipts), times):
        same = receipts[first : first + times]
        assert len({(receipt.version, receipt.value) for receipt in same}) == 1
        assert same[0].value.texts[-1] == str(first // times)
    with treering.open(tmp_path / "s") as store:
        assert store.scope("alice").own(Noting, "1").verify() == commands


def test_threads_that_repeat_each_other(tmp_path: Path) -> None:
    commands, workers = 60, 4
    with treering.open(tmp_path / "s") as store:
        noting = store.scope("alice").own(Noting, "1")
        go, replayed = threading.Barrier(workers), []

        def work() -> None:
            go.wait()
            receipts = (noting.send(Add(str(number)), command_id=str(number)) for number in range(commands))
            replayed.extend(receipt.replayed for receipt in receipts)

        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert noting.get().state.texts == tuple(map(str, range(commands)))
        assert replayed.count(False) == commands
        # Who looks for the receipt just before the first one is submitted, and decides just after, may decide in vain.
        assert Noting.calls <= 2 * commands
        assert not store.scope("alice").own(Noting, "1")._place.lane._sent  # type: ignore[union-attr]


def test_what_will_be_refused_is_followed_by_nobody(tmp_path: Path) -> None:
    """Others are decided as if it were not there."""
    mixed = together(
        tmp_path / "a",
        200,
        lambda noting, number: noting.send(Add(str(number)), expected_version=9999 if number % 2 else None),
    )
    assert [type(one) for one in mixed] == [treering.Receipt, VersionConflict] * 100
    assert Noting.calls <= 400
    same = together(
        tmp_path / "b",
        200,
        lambda noting, number: noting.send(Add(str(number)), command_id="same" if number % 2 else None),
    )
    assert [type(one) for one in same[::2]] == [treering.Receipt] * 100
    assert [type(one) for one in same[1::2]].count(CommandMismatch) == 99
    assert Noting.calls <= 300


def test_a_repeat_of_one_with_nothing_to_do(tmp_path: Path) -> None:
    receipts = together(tmp_path / "s", 50, lambda noting, number: noting.send(Add("nothing"), command_id="x"))
    assert [(receipt.version, receipt.changed) for receipt in receipts] == [(0, False)] * 50
    assert Noting.calls == 1


def test_repeats_of_one_that_is_rejected(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        store.scope("alice").own(Noting, "1").send(Add("a"))
    outcomes = together(tmp_path / "s", 20, lambda noting, number: noting.send(Add("no"), command_id="x"))
    assert [type(one) for one in outcomes] == [Rejected] * 20
    assert Noting.calls == 20


def test_a_repeat_of_one_that_fails_is_decided_for_itself(tmp_path: Path) -> None:
    """The one that is ahead is not written: one of those behind it is, once, and the others are answered by it."""
    faults = testing.Faults()
    with testing.open(tmp_path / "s", faults=faults) as store:
        noting = store.scope("alice").own(Noting, "1")
        for number in range(10):
            faults.fail("commit", DiskFull)
            go, outcomes = threading.Barrier(6), []

            def work(number: int = number, go: Any = go, outcomes: list[Any] = outcomes) -> None:
                go.wait()
                try:
                    outcomes.append(noting.send(Add(str(number)), command_id=str(number)).replayed)
                except DiskFull as error:
                    outcomes.append(type(error))

            threads = [threading.Thread(target=work) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(map(str, outcomes)) == sorted(map(str, [DiskFull, False, *[True] * 4])), number
            faults.heal()
            assert noting.send(Add(str(number)), command_id=str(number)).version == number + 1
        assert noting.get().state.texts == tuple(map(str, range(10)))


def test_a_receipt_that_went_while_it_was_repeated(tmp_path: Path) -> None:
    """An erase takes it: who was behind it is decided then, and does not wait for what is gone."""
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        noting = alice.own(Noting, "1")
        lane = noting._place.lane  # type: ignore[union-attr]
        with lane.sending("x") as sent:
            noting.send(Add("a"), command_id="x")
            assert sent.is_ahead
            alice.erase()
            assert (noting.send(Add("b"), command_id="x").version, noting.get().state.texts) == (1, ("b",))


def test_a_cancelled_first_one(tmp_path: Path) -> None:
    async def life() -> None:
        async with aio.open(tmp_path / "s") as store:
            noting = store.scope("alice").own(Noting, "1")
            for number in range(20):
                tasks = [asyncio.create_task(noting.send(Add(str(number)), command_id=str(number))) for _ in range(4)]
                await asyncio.sleep(0)
                tasks[0].cancel()
                receipts = await asyncio.gather(*tasks, return_exceptions=True)
                assert {receipt.version for receipt in receipts[1:]} == {number + 1}  # type: ignore[union-attr]
            assert (await noting.get()).version == 20

    asyncio.run(life())


@pytest.mark.parametrize("text", ["no", "once", "nothing", "a"])
def test_a_repeated_commit_is_answered_before_anything_is_decided(alice: Scope, text: str) -> None:
    """Whatever `decide` and `evolve` would say of it now."""
    noting = alice.own(Noting, "1")
    answers = []
    for times in range(3):
        with alice.commit(command_id="turn") as c:
            drafts = [c.own(Noting, "1").send(Add(text)), c.own(Noting, "2").send(Add("b"))]
            c.memory.add("k", "v")
        assert c.receipt.replayed == (times > 0)
        answers.append([(draft.receipt.version, draft.receipt.value) for draft in drafts])
        if times == 0:
            after = noting.get()
            noting.send(Add("more"))
            calls = Noting.calls
    assert (Noting.calls, len(alice.memory.get())) == (calls, 1)
    assert answers[0] == answers[1] == answers[2] == [(after.version, after.state), (1, Log(("b",)))]
    with pytest.raises(CommandMismatch), alice.commit(command_id="turn") as c:
        c.own(Noting, "1").send(Add("other"))
    assert Noting.calls == calls


def test_commits_that_repeat_each_other(tmp_path: Path) -> None:
    async def life() -> None:
        async with aio.open(tmp_path / "s") as store:
            alice = store.scope("alice")

            async def turn(number: int) -> bool:
                async with alice.commit(command_id=str(number)) as c:
                    c.own(Noting, "1").send(Add(str(number)))
                    c.own(Noting, "2").send(Add(str(number)))
                return c.receipt.replayed

            replayed = await asyncio.gather(*(turn(number // 3) for number in range(120)))
            assert replayed.count(False) == 40
            assert Noting.calls <= 160
            for part in "12":
                assert (await alice.own(Noting, part).get()).version == 40

    asyncio.run(life())


def test_a_commit_that_lands_while_its_repeat_decides(tmp_path: Path) -> None:
    """In another process: the store answers what nobody here knew of."""
    with treering.open(tmp_path / "s") as store, treering.open(tmp_path / "s") as another:

        def turn(scope: Scope) -> treering.Commit:
            with scope.commit(command_id="turn") as c:
                c.own(Noting, "1").send(Add("a"))
            return c

        Noting.meanwhile = lambda: elsewhere(lambda: turn(another.scope("alice")))
        assert turn(store.scope("alice")).receipt.replayed
        Noting.meanwhile = lambda: elsewhere(
            lambda: another.scope("alice").own(Noting, "1").send(Add("b"), command_id="b")
        )
        assert store.scope("alice").own(Noting, "1").send(Add("b"), command_id="b").replayed
        assert store.scope("alice").own(Noting, "1").get().state.texts == ("a", "b")


def test_a_repeat_behind_one_that_others_overtake(tmp_path: Path) -> None:
    """Another process comes before both: they are decided again, one writes, and both answer the same."""
    with treering.open(tmp_path / "s") as store, treering.open(tmp_path / "s") as another:
        rival = another.scope("alice").own(Noting, "1")
        noting = store.scope("alice").own(Noting, "1")
        for number in range(10):
            Noting.meanwhile = lambda: elsewhere(lambda: rival.send(Add("theirs")))
            versions: list[int] = []

            def work(number: int = number, versions: list[int] = versions) -> None:
                versions.append(noting.send(Add("mine"), command_id=str(number)).version)

            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert versions == [2 * number + 2] * 3
        assert noting.get().state.texts == ("theirs", "mine") * 10
    assert Overtaken.kind == "overtaken"
