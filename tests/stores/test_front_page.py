"""The front page that the design wants to be true, as it is written there."""

from pathlib import Path

import pytest

import treering
from treering.messages import Message


def test_it_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    store = treering.open("state")
    alice = store.scope("alice")
    t = alice.threads.start("fix-flaky-test", prompt="Fix the flaky test", key="ticket-812")
    t.append("planner", "1. reproduce  2. bisect", meta={"phases": 2})
    t.append("coder", "add a sleep", artifacts={"fix.diff": b"+ sleep(1)"})
    retry = t.fork(at=1)
    retry.append("coder", "wait for the port instead")
    print(t.diff(retry))

    with alice.commit(command_id="turn-17") as c:
        c.threads[retry].append("reviewer", "approved")
        c.chats.append("conv-1", [Message(role="user", content="merci")])
        c.memory.add("preference", "answers in French", source="explicit")

    r = alice.user_config.update(default_model="large")
    alice.user_config.update(default_model="small", expected_version=r.version)
    print(alice.user_config.at(version=1).default_model)
    print(store.gc(dry_run=True), store.verify())

    assert [step.text for step in alice.threads.get(retry.id)][1:] == ["wait for the port instead", "approved"]
    assert [message.content for message in alice.chats.messages("conv-1")] == ["merci"]
    assert [entry.content for entry in alice.memory.get()] == ["answers in French"]
    assert (r.version, r.changed) == (1, True)
    assert alice.user_config.get().default_model == "small"
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["common: step 1; then 1 step each", "large"]
    assert "ok: " in printed[-1]
    # Safe to retry: as it was the first time.
    before = store.head()
    with alice.commit(command_id="turn-17") as c:
        c.threads[retry].append("reviewer", "approved")
        c.chats.append("conv-1", [Message(role="user", content="merci")])
        c.memory.add("preference", "answers in French", source="explicit")
    assert (c.receipt.replayed, store.head()) == (True, before)
    store.close()
