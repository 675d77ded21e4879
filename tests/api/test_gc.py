"""Garbage collection as a user sees it: exact figures, holds, and nothing lost, whatever else goes on."""

import dataclasses
import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import treering
from treering import Cid, GcReport, Store, aio, testing

from .conftest import Unchanged


def text(number: int) -> bytes:
    return b"block %d" % number


class TestReport:
    def test_figures_are_exact(self, store: Store) -> None:
        kept = store.threads.start("keep")
        kept.append("a", "stays")
        gone = store.threads.start("go", prompt="P")
        gone.append("a", "one", artifacts={"f": b"0123456789"})
        gone.append("a", "two")
        sizes = {info.cid: info.size for info in store.blocks.list()}
        own = set(store.reachable([gone.head]).present) - set(store.reachable([kept.head]).present)
        links = sum(len(store.blocks.links(cid)) for cid in own)
        gone.rm()
        report = store.gc()
        assert report == GcReport(
            dry_run=False,
            roots=1,
            held=0,
            reachable=3,
            dead=len(own),
            dead_nodes=len(own) - 1,
            dead_links=links,
            dead_bytes=sum(sizes[cid] for cid in own),
            deleted=len(own),
            freed_bytes=sum(sizes[cid] for cid in own),
            generation=1,
            duration_ms=report.duration_ms,
        )
        assert (len(own), links) == (7, 7)
        assert not any(store.blocks.has_many(own))
        assert [step.text for step in kept] == ["stays"]
        assert store.verify().ok

    def test_a_dry_run_says_the_same_and_changes_nothing(self, store: Store, unchanged: Unchanged) -> None:
        thread = store.threads.start("w")
        thread.append("a", "x")
        thread.rm()
        with unchanged(store):
            dry = store.gc(dry_run=True)
        real = store.gc()
        assert dry == dataclasses.replace(real, dry_run=True, generation=0, duration_ms=dry.duration_ms)
        assert (real.deleted, real.generation) == (3, 1)

    def test_it_is_frozen_pickles_and_speaks(self, store: Store) -> None:
        store.hold(store.put(b"held"))
        report = store.gc()
        assert pickle.loads(pickle.dumps(report)) == report
        assert eval(repr(report), {"GcReport": GcReport}) == report
        assert str(report) == "0 blocks of 0 bytes went, 1 stay; 1 roots, 1 of them holds"
        with pytest.raises(dataclasses.FrozenInstanceError):
            report.dead = 1  # type: ignore[misc]

    def test_statistics_tell_of_it(self, store: Store) -> None:
        thread = store.threads.start("w")
        thread.append("a", "x")
        before = store.stats()
        assert (before["gc_at_ms"], before["garbage_estimate"]) == (0, 3)
        thread.rm()
        report = store.gc()
        after = store.stats()
        assert (after["gc_deleted"], after["gc_freed_bytes"]) == (3, report.freed_bytes)
        assert (after["gc_kept"], after["gc_generation"], after["dead_blocks"]) == (0, 1, 0)
        assert (after["garbage_blocks"], after["garbage_estimate"]) == (0, 0)
        assert after["gc_at_ms"] > 0

    def test_what_takes_room_is_told_apart(self, tmp_path: Path) -> None:
        with treering.open(tmp_path / "s", durability="relaxed") as store:
            empty = store.stats()
            for number in range(200):
                store.put(text(number) * 500)
            full = store.stats()
            store.put(b"x" * 300_000)
            blob = store.stats()
        assert full["block_row_bytes"] - empty["block_row_bytes"] > 200 * len(text(9)) * 500
        assert full["journal_bytes"] > empty["journal_bytes"]
        assert full["blob_bytes"] == 0
        assert blob["blob_bytes"] > 300_000
        assert blob["block_row_bytes"] - full["block_row_bytes"] < 50_000


class TestNothingIsLost:
    def test_a_put_without_a_ref_before_a_gc(self, store: Store) -> None:
        leaf = store.put(b"leaf")
        node = store.blocks.put_node({"to": leaf})
        assert store.gc().deleted == 0
        thread = store.threads.start("w")
        thread.append("a", "late", links=[node])
        assert store.gc().deleted == 0
        assert thread.at(1).links == (node,)
        assert store.reachable([thread.head]).missing == []

    def test_a_put_without_a_ref_after_a_gc_that_took_it(self, store: Store) -> None:
        node = store.blocks.put_node({"a": 1})
        store.hold(node).release()
        assert store.gc().deleted == 1
        assert not store.blocks.has(node)
        with pytest.raises(treering.NotFound):
            store.blocks.get(node)
        assert store.blocks.put_node({"a": 1}) == node
        assert store.gc().deleted == 0
        assert store.blocks.get_node(node) == {"a": 1}

    def test_puts_without_a_ref_during_collections(self, store: Store) -> None:
        """What is put while collections run stays, also what was garbage until then."""
        old = [store.put(text(number)) for number in range(300)]
        for cid in old:
            store.hold(cid).release()
        done, reports = threading.Event(), []

        def collect() -> None:
            while not done.is_set():
                reports.append(store.gc())

        collector = threading.Thread(target=collect)
        collector.start()
        try:
            passes = 0
            while passes == 0 or (len(reports) < 2 and collector.is_alive()):
                for number in range(300):
                    assert store.put(text(number)) == old[number]
                    node = store.blocks.put_node({"n": number, "to": old[number]})
                    assert store.blocks.has_many([old[number], node]) == [True, True]
                passes += 1
        finally:
            done.set()
            collector.join()
        assert all(store.blocks.has_many(old))
        assert len(reports) > 1
        store.gc()
        assert [store.blocks.get(cid) for cid in old] == [text(number) for number in range(300)]
        assert store.verify().ok

    def test_a_link_to_a_dead_block_is_refused_until_it_is_put_again(self, store: Store) -> None:
        leaf = store.put(b"leaf")
        node = store.blocks.put_node({"to": leaf})
        for cid in (leaf, node):
            store.hold(cid).release()
        store.gc()
        with pytest.raises(treering.Invalid):
            store.blocks.put_node({"above": node})
        # The node alone can't come back: what it links to is gone.
        with pytest.raises(treering.Invalid):
            store.blocks.put_node({"to": leaf})
        assert (store.put(b"leaf"), store.blocks.put_node({"to": leaf})) == (leaf, node)
        assert store.reachable([store.blocks.put_node({"above": node})]).missing == []
        assert store.verify().ok

    def test_the_same_content_after_it_was_collected(self, store: Store) -> None:
        first = store.threads.start("w", prompt="P")
        first.append("a", "said", artifacts={"f": b"data"}, at_ms=1)
        head = first.head
        first.rm()
        store.gc()
        assert store.stats()["blocks"] == 0
        second = store.threads.start("w", prompt="P")
        second.append("a", "said", artifacts={"f": b"data"}, at_ms=1)
        assert second.head == head
        assert second.at(1).artifacts["f"] == b"data"
        assert store.gc().deleted == 0
        assert store.verify().ok

    def test_a_child_thread_whose_parent_dies(self, store: Store) -> None:
        parent = store.threads.start("parent", prompt="P")
        parent.extend([("a", "1"), ("a", "2"), ("a", "3")])
        child = store.threads.start("child", parent_state=parent.at(2).cid)
        child.append("b", "own")
        parent.rm()
        # Step 3 and what it says go; the steps that led to the child are part of how it began.
        assert store.gc().deleted == 2
        again = store.threads.get(child.id)
        assert again.start.parent_state is not None
        assert store.reachable([again.head]).missing == []
        assert [step.text for step in again] == ["own"]
        assert store.verify().ok
        child.rm()
        assert store.gc().reachable == 0

    def test_a_fork_keeps_what_it_shares(self, store: Store) -> None:
        thread = store.threads.start("w")
        thread.extend([("a", "1"), ("a", "2"), ("a", "3")])
        fork = thread.fork(at=1)
        thread.rm()
        assert store.gc().deleted == 4
        assert [step.text for step in fork] == ["1"]

    def test_a_pin_keeps_a_thread_that_was_removed(self, store: Store) -> None:
        thread = store.threads.start("w")
        step = thread.append("a", "pinned")
        store.scope("main").pins.add("keep", step.cid)
        thread.rm()
        assert store.gc().deleted == 0
        store.scope("main").pins.rm("keep")
        assert store.gc().deleted == 3


class TestHolds:
    def test_a_put_is_held_for_a_day(self, store: Store) -> None:
        cid = store.put(b"x")
        (hold,) = store.holds()
        assert (hold.cid, hold.scope) == (cid, "main")
        day = hold.expires_at_ms - 24 * 3_600_000
        assert 0 <= store._session.core.now_ms() - day < 60_000
        assert hold.expires_at.timestamp() * 1000 == pytest.approx(hold.expires_at_ms, abs=1)

    def test_holds_are_taken_extended_and_released(self, store: Store) -> None:
        cid = store.put(b"x")
        first = store.hold(cid)
        later = store.hold(cid, hours=72)
        assert later.expires_at_ms - first.expires_at_ms >= 47 * 3_600_000
        assert first.extend(1) == later.expires_at_ms, "a longer hold stays"
        assert first.extend(hours=100) > later.expires_at_ms
        assert [hold.expires_at_ms for hold in store.holds()] == [first.expires_at_ms]
        assert first.release()
        assert not later.release()
        assert list(store.holds()) == []
        assert first.extend() > 0, "it is there still, so it can be held again"
        first.release()
        store.gc()
        with pytest.raises(treering.NotFound, match=cid.short()[:-1]):
            first.extend()
        with pytest.raises(treering.NotFound):
            store.hold(cid)

    def test_each_scope_has_its_own(self, store: Store) -> None:
        alice, bob = store.scope("alice"), store.scope("bob")
        cid = alice.blocks.put(b"x")
        bobs = bob.hold(cid)
        assert bobs != alice.hold(cid)
        assert [hold.scope for hold in bob.holds()] == ["bob"]
        assert list(store.holds()) == []
        alice.hold(cid).release()
        assert store.gc().held == 1
        assert bobs.release()
        assert store.gc().deleted == 1

    def test_a_hold_keeps_what_it_links_to(self, store: Store) -> None:
        thread = store.threads.start("w")
        step = thread.append("a", "x")
        hold = store.hold(step.cid)
        thread.rm()
        assert (store.gc().deleted, len(store.reachable([step.cid]).present)) == (0, 3)
        hold.release()
        assert store.gc().deleted == 3

    def test_one_that_ended_keeps_nothing(self, store: Store) -> None:
        cid = store.put(b"x")
        store.hold(cid).release()
        store.hold(cid, hours=0)
        assert len(list(store.holds())) == 1
        assert store.stats()["garbage_estimate"] == 1
        assert store.gc().deleted == 1
        assert list(store.holds()) == []

    def test_many_are_listed_in_order(self, store: Store) -> None:
        with store.scope("main").commit() as commit:
            for number in range(1_100):
                commit.put(text(number))
        assert [hold.cid for hold in store.holds()] == [Cid.of(text(number)) for number in range(1_100)]

    @pytest.mark.parametrize("hours", [-1, float("nan"), float("inf"), 1e12])
    def test_refused_times(self, store: Store, hours: float) -> None:
        cid = store.put(b"x")
        with pytest.raises(treering.Invalid, match="hours"):
            store.hold(cid, hours=hours)

    def test_text_names_a_block(self, store: Store) -> None:
        cid = store.put(b"x")
        assert store.hold(str(cid)[:16]).cid == cid
        with pytest.raises(treering.NotFound):
            store.hold(str(Cid.of(b"absent")))

    def test_handles(self, tmp_path: Path) -> None:
        with treering.open(tmp_path / "s") as store:
            hold = store.hold(store.put(b"x"))
            assert hold == next(store.holds())
            assert hash(hold) == hash(next(store.holds()))
            assert hold != "something else"
            assert repr(hold) == f"<Hold on {hold.cid.short()} in main of {store.path}>"
            again = pickle.loads(pickle.dumps(hold))
            assert (again, again.expires_at_ms) == (hold, hold.expires_at_ms)
            assert again.release()
        assert "Hold on" in repr(hold)
        with pytest.raises(treering.Closed):
            hold.release()
        held = treering.memory()
        with pytest.raises(treering.Invalid):
            pickle.dumps(held.hold(held.put(b"y")))


def test_who_may_only_read_may_only_look(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        thread = store.threads.start("w")
        thread.rm()
        with treering.open(tmp_path / "s", read_only=True) as reading:
            assert reading.gc(dry_run=True).deleted == 1
            with pytest.raises(treering.ReadOnly):
                reading.gc()
            with pytest.raises(treering.ReadOnly):
                reading.hold(thread.head)
        assert store.gc().deleted == 1
    with pytest.raises(treering.Closed):
        store.gc()


@pytest.mark.skipif(sys.platform == "win32", reason="there SIGINT can't be sent to oneself")
def test_ctrl_c_stops_a_collection_and_leaves_a_whole_store(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        thread = store.threads.start("w")
        thread.append("a", "x")
        thread.rm()
        # Its commit stands before the fsync until it is let go, far beyond the signal.
        store._session.core.hold_commit_sync()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                store.gc()
        finally:
            timer.join()
            store._session.core.release_commit_sync()
        assert store.verify().ok
        assert store.gc().reachable == 0
        assert store.stats()["dead_blocks"] == 0
        assert store.threads.start("w").append("a", "goes on").number == 1


def test_it_is_automatic_unless_told_otherwise(tmp_path: Path) -> None:
    with treering.open(tmp_path / "s") as store:
        assert store._session.location is not None
        assert store._session.location.automatic_gc
        store.put(b"a young store is left alone")
        assert {name: count for name, count in store.counters().items() if name.startswith("automatic_gc")} == {
            "automatic_gc_checks": 0,
            "automatic_gc_marks": 0,
            "automatic_gc_collections": 0,
            "automatic_gc_deleted": 0,
            "automatic_gc_freed_bytes": 0,
        }
    with treering.open(tmp_path / "s", automatic_gc=False) as store:
        other = pickle.loads(pickle.dumps(store))
        assert not other._session.location.automatic_gc


def test_an_hour_later_much_garbage_goes_by_itself(tmp_path: Path) -> None:
    clock = testing.Clock()
    with testing.open(tmp_path / "s", clock=clock, automatic_gc=True) as store:
        thread = store.threads.start("w")
        thread.append("a", "x")
        thread.rm()
        clock.advance(2 * 3_600_000)
        kept = store.put(b"a commit that comes when it is time")
        deadline = time.monotonic() + 60
        while store.counters()["automatic_gc_collections"] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
            # The look that the very first commit asked for may have been under way just now.
            store.put(b"another")
        assert store.counters()["automatic_gc_deleted"] == 3
        assert store.blocks.has(kept)
        assert store.verify().ok


async def test_the_same_awaited(tmp_path: Path) -> None:
    async with aio.open(tmp_path / "s") as store:
        cid = await store.put(b"x")
        hold = await store.hold(cid, hours=48)
        assert isinstance(hold, aio.Hold)
        assert [held async for held in store.holds()] == [hold]
        assert (await store.gc()).held == 1
        assert await hold.extend(hours=49) == hold.expires_at_ms
        assert await hold.release()
        assert [held async for held in store.scope("main").holds()] == []
        assert (await store.gc(dry_run=True)).deleted == 1
        report = await store.gc()
        assert isinstance(report, GcReport)
        assert report.freed_bytes == 1
        with pytest.raises(treering.NotFound):
            await store.scope("alice").hold(cid)
