"""One scope checked: its own blocks, threads, actors and projections, and nothing of another's."""

import sqlite3
from pathlib import Path

import pytest
from whole import fill

import treering
from treering import Cid, Scope, Store
from treering.messages import Message


def test_a_sound_scope(store: Store) -> None:
    alice = store.scope("alice")
    assert str(alice.verify()).startswith("ok: 0 refs, 0 blocks")
    fill(alice)
    store.scope("bob").memory.add("preference", "not hers")
    report = alice.verify()
    assert report.ok
    assert report
    assert (report.threads, report.steps) == (3, 2)
    assert (report.actors, report.projections) == (len(list(alice.actors())), 1)
    assert report.events == sum(info.events for info in alice.actors())
    assert report.blocks < store.verify().blocks
    bob = alice.fork("carol").verify()
    assert (bob.refs, bob.blocks, bob.events) == (report.refs, report.blocks, report.events)


@pytest.fixture
def hurt(tmp_path: Path) -> tuple[Path, dict[str, Cid]]:
    """A store on disk, and blocks of it by what they are."""
    path = tmp_path / "s"
    with treering.open(path) as store:
        alice = store.scope("alice")
        fill(alice)
        store.scope("bob").chats.append("chat", [Message(role="user", content="untouched")])
        thread = alice.threads.get("ticket-812")
        blocks = {
            "event": list(alice.memory.history())[3].cid,
            "step": thread.at(1).cid,
            "pin": alice.pins.list()["kept"],
        }
    return path, blocks


def flip(path: Path, cid: Cid) -> None:
    """Flips a byte of a block in the database."""
    with sqlite3.connect(path / "store.db") as database:
        digest = bytes(cid)[-32:]
        (payload,) = database.execute("SELECT payload FROM block WHERE digest = ?", (digest,)).fetchone()
        broken = bytes([payload[0] ^ 1]) + payload[1:]
        database.execute("UPDATE block SET payload = ? WHERE digest = ?", (broken, digest))
    database.close()


@pytest.mark.parametrize(
    ("what", "checks"), [("event", {"block-bytes", "actor"}), ("step", {"block-bytes"}), ("pin", {"block-bytes"})]
)
def test_a_flipped_byte_is_found_in_its_scope_alone(
    hurt: tuple[Path, dict[str, Cid]], what: str, checks: set[str]
) -> None:
    path, blocks = hurt
    flip(path, blocks[what])
    with treering.open(path) as store:
        report = store.scope("alice").verify()
        assert not report.ok
        assert checks <= {finding.check for finding in report.findings}
        assert str(blocks[what]) in {finding.which for finding in report.findings}
        if what == "step":
            (found,) = [one for one in report.findings if one.which == str(blocks[what])]
            assert found.threads[0].step == 1
        assert f"{len(report.findings)} findings" in str(report)
        assert store.scope("bob").verify().ok


def test_what_was_can_be_checked_too(store: Store) -> None:
    alice: Scope = store.scope("alice")
    fill(alice)
    cursor = list(store.journal())[-1].cursor
    alice.memory.clear()
    past = alice.at(cursor).verify()
    assert past.ok
    assert alice.verify().events == past.events + 1
