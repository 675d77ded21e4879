"""A scope's retention policy: what it says, what a trim by it keeps, and that no trim goes by one that was replaced."""

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import treering
from treering import aio, testing
from treering.messages import RetentionPolicy, RetentionPolicySet
from treering.stores import trimming

sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))

from test_newer_schema import written_later

sys.path.insert(0, str(Path(__file__).parents[1] / "actors"))
import logs_by_the_page as page

HOUR = timedelta(hours=1)
LONGEST = timedelta(days=36_500)


@dataclass(frozen=True)
class Added:
    number: int


@dataclass(frozen=True)
class Total:
    total: int = 0


class Counter(treering.Actor[Total, Added, Added]):
    kind = "counter"

    def decide(self, state: Total, command: Added, context: treering.ActorContext) -> Added:
        return command

    def evolve(self, state: Total, event: Added) -> Total:
        return Total(state.total + event.number)


@pytest.fixture
def store() -> treering.Store:
    return treering.memory()


@pytest.fixture
def clock() -> testing.Clock:
    return testing.Clock()


def facts(scope: treering.Scope, count: int) -> None:
    for number in range(count):
        scope.memory.add("context", f"fact {number}")


def kept(scope: treering.Scope) -> list[int]:
    return [event.version for event in scope.memory.history()]


# What it says


def test_it_is_set_read_and_replaced(store: treering.Store) -> None:
    alice = store.scope("alice")
    never = alice.retention.get()
    assert (never.keep, never.younger_than_ms, never.younger_than, never.version) == (None, None, None, 0)
    receipt = alice.retention.set(keep=7)
    assert (receipt.version, receipt.changed, receipt.value) == (1, True, RetentionPolicy(keep=7))
    assert alice.retention.set(keep=7).changed is False
    receipt = alice.retention.set(younger_than=90 * 24 * HOUR)
    assert (receipt.version, receipt.value.younger_than) == (2, timedelta(days=90))
    assert (alice.retention.at(1).keep, alice.retention.get().keep) == (7, None)
    assert alice.retention.set().version == 3
    assert alice.retention.get() == never
    assert [event.message for event in alice.retention.history()] == [
        RetentionPolicySet(keep=7),
        RetentionPolicySet(younger_than_ms=7_776_000_000),
        RetentionPolicySet(),
    ]
    assert alice.actor("retention").state(1) == RetentionPolicy(keep=7)
    assert store.scope("bob").retention.get().version == 0
    assert not hasattr(alice.retention, "trim")  # it would read as if it applied the policy


def test_limits(store: treering.Store) -> None:
    policy = store.scope("alice").retention
    for keep in (0, 1, 10_000):
        assert policy.set(keep=keep).value.keep == keep
    for span, ms in ((timedelta(microseconds=1), 1), (timedelta(microseconds=1_001), 2), (LONGEST, 3_153_600_000_000)):
        assert policy.set(younger_than=span).value.younger_than_ms == ms
    before = policy.get()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"keep": -1}, "keep"),
        ({"keep": 10_001}, "keep"),
        ({"keep": 1, "younger_than": HOUR}, "keep"),
        ({"younger_than": timedelta(0)}, "younger_than_ms"),
        ({"younger_than": -HOUR}, "younger_than_ms"),
        ({"younger_than": LONGEST + timedelta(milliseconds=1)}, "younger_than_ms"),
        ({"younger_than": timedelta.max}, "younger_than_ms"),
        ({"younger_than": timedelta.min}, "younger_than_ms"),
    ]
    for given_, field in wrong:
        with pytest.raises(treering.InvalidCommand) as refused:
            policy.set(**given_)
        assert refused.value.field == field
    for other in ({"keep": True}, {"keep": 1 << 64}, {"younger_than": 90}):
        with pytest.raises((treering.Invalid, TypeError)):
            policy.set(**other)
    assert policy.get() == before


def test_two_writers_and_retries(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as one, treering.open(tmp_path / "s") as other:
        first = one.scope("alice").retention.set(keep=5, command_id="c")
        with pytest.raises(treering.VersionConflict):
            other.scope("alice").retention.set(keep=1, expected_version=0)
        assert other.scope("alice").retention.set(keep=6, expected_version=1).version == 2
        again = one.scope("alice").retention.set(keep=5, command_id="c")
        assert (again.replayed, again.version, again.value) == (True, first.version, first.value)
        with pytest.raises(treering.CommandMismatch):
            one.scope("alice").retention.set(younger_than=HOUR, command_id="c")
        assert one.scope("alice").retention.get().keep == 6


def test_in_a_commit_with_others(store: treering.Store) -> None:
    alice = store.scope("alice")
    with alice.commit() as c:
        c.memory.add("context", "one")
        drafted = c.retention.set(younger_than=HOUR)
    assert (drafted.receipt.version, alice.retention.get().younger_than) == (1, HOUR)
    assert store.scoped(lambda: "alice").retention.get() == alice.retention.get()


# What a trim by it keeps


def test_without_one_all_is_kept(store: treering.Store) -> None:
    alice = store.scope("alice")
    facts(alice, 5)
    for _ in range(2):
        done = alice.trim()
        assert (done.scope, done.actors, done.looked_at, done.policy) == ("alice", (), 0, RetentionPolicy())
        # The same where it was set back.
        alice.retention.set(keep=1)
        alice.retention.set()
    assert kept(alice) == [1, 2, 3, 4, 5]


def test_by_number(store: treering.Store) -> None:
    alice = store.scope("alice")
    facts(alice, 30)
    alice.retention.set(keep=1)
    alice.retention.set(keep=10)
    plan = alice.trim(dry_run=True)
    assert kept(alice) == list(range(1, 31))
    done = alice.trim()
    assert (done.dropped, done.actors, done.policy) == (20, plan.actors, RetentionPolicy(keep=10))
    assert done.policy is not None
    assert done.policy.version == 2
    assert (kept(alice), alice.memory.at(20).version) == (list(range(21, 31)), 20)
    assert alice.trim().actors == ()
    # The policy's own history goes by it, too; the policy stays.
    alice.retention.set(keep=0)
    assert {actor.kind: actor.dropped for actor in alice.trim().actors} == {"user-memory": 10, "retention": 3}
    assert (alice.retention.get(), alice.retention.get().version) == (RetentionPolicy(keep=0), 3)
    assert store.verify().ok
    assert alice.verify().ok


def test_exactly_as_old_goes(clock: testing.Clock) -> None:
    alice = testing.memory(clock=clock).scope("alice")
    for number in range(4):
        alice.memory.add("context", f"fact {number}")
        clock.advance(3_600_000)
    # They are 4, 3, 2 and 1 hours old.
    alice.retention.set(younger_than=2 * HOUR + timedelta(milliseconds=1))
    assert alice.trim(dry_run=True).dropped == 2
    alice.retention.set(younger_than=2 * HOUR)
    assert alice.trim().dropped == 3
    assert (kept(alice), len(alice.memory.at(3))) == ([4], 3)
    clock.advance(3_600_000 - 1)
    assert alice.trim().dropped == 0
    clock.advance(1)
    assert {actor.kind: actor.dropped for actor in alice.trim().actors} == {"user-memory": 1}
    assert (kept(alice), len(alice.memory.get()), alice.memory.info().version) == ([], 4, 4)


@pytest.mark.parametrize("span", [LONGEST, timedelta.max])
def test_older_than_the_epoch_keeps_all(clock: testing.Clock, span: timedelta) -> None:
    alice = testing.memory(clock=clock).scope("alice")
    facts(alice, 3)
    clock.advance(1_000)
    assert alice.trim(younger_than=span).dropped == 0
    alice.retention.set(younger_than=min(span, LONGEST))
    assert alice.trim().dropped == 0
    assert alice.trim(younger_than=timedelta(milliseconds=1)).dropped == 3


POLICIES = st.one_of(
    st.builds(lambda n: {"keep": n}, st.integers(0, 12)),
    st.builds(lambda ms: {"younger_than": timedelta(milliseconds=ms)}, st.integers(1, 60)),
    st.just({}),
)
STEPS = st.lists(
    st.one_of(
        st.sampled_from(["memory", "config", "counter"]).map(lambda name: ("write", name)),
        st.integers(0, 9).map(lambda ms: ("wait", ms)),
        POLICIES.map(lambda policy: ("set", policy)),
        st.just(("trim", None)),
    ),
    max_size=60,
)


@settings(max_examples=40)
@given(STEPS)
def test_against_a_plain_model(steps: list[tuple[str, Any]]) -> None:
    clock = testing.Clock()
    scope = testing.memory(clock=clock).scope("alice")
    counter = scope.own(Counter)
    logs: dict[str, list[tuple[int, int]]] = {"user-memory": [], "user-config": [], "x.counter": [], "retention": []}
    oldest = dict.fromkeys(logs, 0)
    policy: dict[str, Any] = {}

    def happened(kind: str) -> None:
        logs[kind].append((len(logs[kind]) + 1, clock.now_ms))

    def goes(kind: str, version: int, at_ms: int) -> bool:
        if "keep" in policy:
            return bool(version <= len(logs[kind]) - policy["keep"])
        return "younger_than" in policy and timedelta(milliseconds=clock.now_ms - at_ms) >= policy["younger_than"]

    for number, (step, what) in enumerate([*steps, ("trim", None)]):
        match step, what:
            case "write", "memory":
                scope.memory.add("context", f"fact {number}")
                happened("user-memory")
            case "write", "config":
                scope.user_config.update(default_model=f"model {number}")
                happened("user-config")
            case "write", "counter":
                counter.send(Added(number))
                happened("x.counter")
            case "wait", ms:
                clock.advance(ms)
            case "set", _:
                if scope.retention.set(**what).changed:
                    happened("retention")
                policy = what
            case _:
                before = (scope.memory.get(), scope.user_config.get(), counter.get().state, scope.retention.get())
                done = scope.trim()
                assert done.refused == ()
                for kind, log in logs.items():
                    oldest[kind] = max([oldest[kind], *(version for version, at in log if goes(kind, version, at))])
                after = (scope.memory.get(), scope.user_config.get(), counter.get().state, scope.retention.get())
                assert after == before
                assert scope.trim().actors == ()
        for kind, log in logs.items():
            actor = scope.actor(kind)
            assert [event.version for event in actor.history()] == [version for version, _ in log][oldest[kind] :]
    assert scope.verify().ok


def test_settings_let_go_of_their_own_accord(clock: testing.Clock) -> None:
    """A policy keeps nothing from `history_events`, nor the other way round."""
    store = testing.memory(clock=clock, settings=treering.Settings(history_events=16))
    alice = store.scope("alice")
    alice.retention.set()
    alice.retention.set(keep=1_000)
    facts(alice, 100)
    assert 16 <= alice.memory.info().events <= 48
    alice.retention.set(keep=2)
    alice.trim()
    assert alice.memory.info().events == 2
    facts(alice, 14)
    assert alice.memory.info().events == 16  # what a policy says happens when somebody trims


# Replaced while it is applied


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("again", [{}, {"keep": 8}])
def test_one_that_is_replaced_cuts_off_nothing_more(
    store: treering.Store, monkeypatch: pytest.MonkeyPatch, again: dict[str, int], own: bool
) -> None:
    alice = store.scope("alice")
    counter = alice.own(Counter)
    for number in range(10):
        counter.send(Added(number)) if own else alice.memory.add("context", f"fact {number}")
    alice.retention.set(keep=2)
    begin, times = trimming._begin, 0

    def beaten(*arguments: Any) -> int:
        nonlocal times
        times += 1
        if times == 1:
            # Between what the trim read and its commit.
            alice.retention.set(**again)
        return begin(*arguments)

    monkeypatch.setattr(trimming, "_begin", beaten)
    done = alice.trim()
    assert done.policy == RetentionPolicy(**again)
    (info,) = [info for info in alice.actors() if info.kind != "retention"]
    assert info.events == again.get("keep", 10)
    assert done.dropped == 10 - info.events


@pytest.mark.parametrize("anew", [None, 1_000])
def test_an_erase_meanwhile_takes_the_policy(
    store: treering.Store, monkeypatch: pytest.MonkeyPatch, anew: int | None
) -> None:
    """Also where the next life has one, whose versions begin anew."""
    alice = store.scope("alice")
    facts(alice, 5)
    alice.retention.set(keep=1)
    begin, times = trimming._begin, 0

    def beaten(*arguments: Any) -> int:
        nonlocal times
        times += 1
        if times == 1:
            alice.erase()
            facts(alice, 5)
            if anew is not None:
                alice.retention.set(keep=anew)
                assert alice.retention.get().version == 1
        return begin(*arguments)

    monkeypatch.setattr(trimming, "_begin", beaten)
    done = alice.trim()
    assert (done.dropped, done.policy) == (0, RetentionPolicy(keep=anew))
    assert kept(alice) == [1, 2, 3, 4, 5]


# All scopes


def broken(path: Path, scope: str, kind: str) -> None:
    with treering.open(path) as store:
        head = store.scope(scope).actor(kind).info().head
    assert head is not None
    with sqlite3.connect(path / "store.db") as database:
        changed = database.execute("UPDATE block SET payload = x'00' WHERE digest = ?", (bytes(head)[-32:],))
        assert changed.rowcount == 1
    database.close()


def test_all_scopes_each_by_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s"
    policies: dict[str, dict[str, Any]] = {
        "alice": {"keep": 2},
        "bob": {},
        "carol": {"younger_than": LONGEST},
        "dave": {"keep": 3},
        "erin": {"keep": 4},
        "later": {"keep": 5},
    }
    with treering.open(path) as store:
        for name, policy in policies.items():
            facts(store.scope(name), 10)
            if policy:
                store.scope(name).retention.set(**policy)
    broken(path, "alice", "retention")
    broken(path, "dave", "user-memory")
    added = page.typed_bytes("treering.v1.RetentionPolicySet", 2, b"\x08\x01\x18\x05")
    written_later(path, "later/retention/", added)
    with treering.open(path) as store:
        plan = store.trim(dry_run=True)
        assert kept(store.scope("erin")) == list(range(1, 11))
        done = store.trim()
        assert [one.scope for one in done] == list(policies)
        assert [(one.dropped, one.failed) for one in plan] == [(one.dropped, one.failed) for one in done]
        by_name = {one.scope: one for one in done}
        assert "retention" in (by_name["alice"].failed or "")
        assert "schema 2" in (by_name["later"].failed or "")
        assert {name: one.dropped for name, one in by_name.items() if one.dropped} == {"erin": 6}
        assert [actor.kind for actor in by_name["dave"].refused] == ["user-memory"]
        # What a later version said may be more than is known here: read, not gone by.
        assert store.scope("later").retention.get().keep == 1
        with pytest.raises(treering.NewerSchema):
            store.scope("later").trim()
        with pytest.raises(treering.Corrupt):
            store.scope("alice").trim()
        assert store.scope("later").trim(keep=5).dropped == 5
        assert all(one.dropped == 0 for one in store.trim())


def test_cut_short_the_same_again_goes_on(tmp_path: Path) -> None:
    disk = testing.Disk()
    names = ["alice", "bob", "carol"]
    with testing.open(tmp_path / "s", disk=disk) as store:
        for name in names:
            facts(store.scope(name), 6)
            store.scope(name).retention.set(keep=1)
        disk.fail("sync", nth=2)
        with pytest.raises(treering.Unavailable):
            store.trim()
    with treering.open(tmp_path / "s") as store:
        done = [len(kept(store.scope(name))) for name in names]
        assert done[0] == 1
        assert done[-1] == 6
        store.trim()
        assert [kept(store.scope(name)) for name in names] == [[6]] * 3
        assert [store.scope(name).retention.get().keep for name in names] == [1] * 3
        assert store.verify().ok


# It is the scope's


def test_it_goes_where_its_scope_goes(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        alice = store.scope("alice")
        facts(alice, 10)
        alice.retention.set(younger_than=LONGEST)
        fork = alice.fork("trial")
        assert fork.retention.get() == alice.retention.get()
        alice.retention.set(keep=2)
        assert "retention: 2 here, 1 there" in str(alice.diff(fork))
        assert (fork.retention.get().younger_than, fork.trim().dropped) == (LONGEST, 0)
        assert next((one.kind, one.version) for one in alice.history()) == ("retention", 2)
        assert alice.verify().ok
        alice.export(tmp_path / "alice.car")
        alice.trim()
        alice.erase()
        assert (alice.retention.get().version, alice.trim().looked_at) == (0, 0)
    with treering.open(tmp_path / "other") as store:
        alice = store.scope("alice")
        alice.import_car(tmp_path / "alice.car")
        assert (alice.retention.get(), alice.retention.get().version) == (RetentionPolicy(keep=2), 2)
        bob = store.scope("bob")
        bob.retention.set(keep=4)
        with pytest.raises(treering.Diverged):
            bob.import_car(tmp_path / "alice.car")
        assert bob.retention.get().keep == 4


def test_as_it_was(clock: testing.Clock, tmp_path: Path) -> None:
    with testing.open(tmp_path / "s", clock=clock) as store:
        alice = store.scope("alice")
        facts(alice, 3)
        alice.retention.set(keep=2)
        before = [entry.cursor for entry in store.journal()][-1]
        alice.retention.set(keep=1)
        past = alice.at(before)
        assert past.retention.get().keep == 2
        with pytest.raises(treering.ReadOnly):
            past.trim()
        with pytest.raises(treering.ReadOnly):
            past.retention.set()


def test_states_follow_it(store: treering.Store) -> None:
    alice = store.scope("alice")
    states: Iterator[RetentionPolicy] = alice.retention.states()
    assert next(states).version == 0
    alice.retention.set(keep=1)
    alice.retention.set(younger_than=HOUR)
    assert [next(states).keep, next(states).younger_than] == [1, HOUR]


def test_awaited(tmp_path: Path) -> None:
    async def trimmed() -> None:
        async with aio.open(tmp_path / "s") as store:
            alice = store.scope("alice")
            for number in range(9):
                await alice.memory.add("context", f"fact {number}")
            assert (await alice.trim()).dropped == 0
            assert (await alice.retention.set(keep=2)).version == 1
            assert (await alice.trim()).dropped == 7
            await alice.retention.set(younger_than=LONGEST)
            assert (await alice.retention.get()).younger_than == LONGEST
            assert [one.scope for one in await store.trim(dry_run=True)] == ["alice"]
            assert (await alice.trim(younger_than=timedelta.max)).dropped == 0

    asyncio.run(trimmed())
