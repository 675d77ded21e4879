"""Threads: start, find, append, read, finish, fail, cancel, remove, lease."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import treering
from treering import NOW, Cid, NewStep, Store, Threads


def test_a_new_thread_stands_at_its_start(threads: Threads) -> None:
    before_ms = datetime.now(UTC).timestamp() * 1000 - 1
    thread = threads.start(
        "fix",
        prompt="Fix it",
        key="k",
        parameters={"repo": "x", "tries": [1, 2]},
        labels={"team": "blue", "try": 1},
        max_rounds=7,
        workflow_hash="abc",
    )
    assert len(thread) == 0
    assert thread
    assert list(thread) == []
    assert thread.key == "k"
    assert thread.scope == "main"
    assert thread.workflow == "fix"
    assert thread.status == "idle"
    assert thread.labels == {"team": "blue", "try": 1}
    assert thread.prompt == "Fix it"
    assert thread.parameters == {"repo": "x", "tries": [1, 2]}
    assert thread.start.max_rounds == 7
    assert thread.start.workflow_hash == "abc"
    assert thread.head == thread.start.cid
    assert thread.forked_from is None
    assert thread.completed_at is None
    assert thread.overrides == {}
    assert thread.created_at_ms >= before_ms
    assert thread.created_at.tzinfo is UTC
    assert thread.updated_at - thread.created_at < timedelta(minutes=1)


@pytest.mark.parametrize("prompt", [None, "", "text", b"\x00bytes", {"parts": [1, None]}, "x" * 10_000, b"y" * 300_000])
def test_prompts_of_every_kind_come_back(threads: Threads, prompt: object) -> None:
    assert threads.start("w", prompt=prompt).prompt == prompt


def test_append_answers_the_step(threads: Threads) -> None:
    thread = threads.start("w")
    link = threads.start("other").append("x", "y").cid
    step = thread.append(
        "coder",
        "add a sleep",
        meta={"n": 1, "nested": {"a": [True, None]}},
        artifacts={"fix.diff": b"+ sleep(1)", "note": "é"},
        links=[link],
    )
    assert (step.number, step.role, step.text, step.content) == (1, "coder", "add a sleep", "add a sleep")
    assert step.meta == {"n": 1, "nested": {"a": [True, None]}}
    assert dict(step.artifacts) == {"fix.diff": b"+ sleep(1)", "note": "é".encode()}
    assert step.links == (link,)
    assert step.at is not None
    assert step.node.parent is None
    assert thread.head == step.cid
    assert len(thread) == 1
    second = thread.append("coder")
    assert second.number == 2
    assert second.content == ""
    assert second.node.parent == step.cid
    assert second.node.start == thread.start.cid


@pytest.mark.parametrize(
    "content",
    ["", "text", "x" * 100_000, b"", b"\xff\x00", b"z" * 300_000, None, 7, -0.5, [1, "a", b"b"], {"k": {"v": [None]}}],
)
def test_contents_of_every_kind_come_back(threads: Threads, content: object) -> None:
    thread = threads.start("w")
    thread.append("r", content)
    found = threads.get(thread.id).at(1).content
    assert found == content
    assert type(found) is type(content)


def test_text_is_for_people(threads: Threads) -> None:
    thread = threads.start("w")
    assert thread.append("r", "as it is").text == "as it is"
    assert thread.append("r", b"caf\xc3\xa9 \xff").text == "café �"
    assert thread.append("r", {"b": 1, "a": [True]}).text == '{"a":[true],"b":1}'


def test_a_text_that_looks_like_a_node_is_text(threads: Threads) -> None:
    thread = threads.start("w", prompt='{"kind":"start","workflow":"x"}')
    cid_text = str(thread.head)
    thread.append("r", cid_text, meta={"cid": cid_text})
    step = thread.at(1)
    assert thread.prompt == '{"kind":"start","workflow":"x"}'
    assert step.content == cid_text
    assert step.meta == {"cid": cid_text}
    assert step.links == ()


def test_times(threads: Threads) -> None:
    thread = threads.start("w")
    assert thread.append("r", at_ms=None).at_ms is None
    step = thread.append("r", at_ms=1_700_000_000_123)
    assert step.at == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert thread.append("r", at_ms=NOW).at_ms is not None
    assert thread.append("r", at_ms=-1).at == datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)


def test_walks(threads: Threads) -> None:
    thread = threads.start("w")
    thread.extend([("r", str(number)) for number in range(1, 701)])
    assert [step.number for step in thread] == list(range(1, 701))
    assert [step.text for step in reversed(thread)] == [str(number) for number in range(700, 0, -1)]
    assert [step.number for step in thread.steps(3, 5)] == [3, 4, 5]
    assert [step.number for step in thread.steps(699)] == [699, 700]
    assert [step.number for step in thread.steps(3, 5, reverse=True)] == [5, 4, 3]
    assert thread.at(1).text == "1"
    assert thread.at(700).cid == thread.head


def test_extend_is_one_commit(store: Store) -> None:
    thread = store.threads.start("w")
    commits = len(list(store.journal()))
    steps = thread.extend([("a", "1"), NewStep("b", "2", meta={"x": 1}, at_ms=None)])
    assert [(step.number, step.role) for step in steps] == [(1, "a"), (2, "b")]
    assert len(list(store.journal())) == commits + 1
    assert thread.extend([]) == []
    assert len(list(store.journal())) == commits + 1


def test_two_writers_on_one_head(threads: Threads) -> None:
    one = threads.start("w")
    other = threads.get(one.id)
    first = one.append("a", "first")
    with pytest.raises(treering.HeadMoved) as caught:
        other.append("b", "second")
    assert caught.value.at_step == 1
    assert caught.value.at == first.cid
    assert caught.value.expected_step == 0
    assert caught.value.expected == one.start.cid
    assert "refresh()" in str(caught.value)
    with pytest.raises(treering.HeadMoved):
        other.append("b", "still not seen")
    other.refresh()
    assert other.append("b", "second").number == 2
    one.refresh()
    assert [step.text for step in one] == ["first", "second"]


def test_expected_head(threads: Threads) -> None:
    thread = threads.start("w")
    first = thread.append("a")
    thread.append("b")
    with pytest.raises(treering.HeadMoved):
        thread.append("c", expected_head=first.cid)
    assert thread.append("c", expected_head=thread.head).number == 3


def test_a_listed_thread_expects_the_head_that_was_listed(threads: Threads) -> None:
    writer = threads.start("w")
    (listed,) = threads.list()
    writer.append("a")
    assert len(listed) == 0
    for _ in range(2):
        with pytest.raises(treering.HeadMoved):
            listed.append("b")
    listed.refresh()
    assert listed.append("b").number == 2


def test_a_repeated_command_id_answers_the_first_step(threads: Threads) -> None:
    thread = threads.start("w", command_id="start-1")
    assert threads.start("w", command_id="start-1") == thread
    step = thread.append("a", "x", command_id="c1")
    thread.append("a", "later")
    assert thread.append("a", "x", command_id="c1") == step
    assert threads.get(thread.id).append("a", "x", command_id="c1") == step
    assert len(threads.get(thread.id)) == 2
    with pytest.raises(treering.CommandMismatch):
        thread.append("a", "other", command_id="c1")
    both = thread.extend([("a", "1"), ("a", "2")], command_id="c2")
    assert thread.extend([("a", "1"), ("a", "2")], command_id="c2") == both
    fork = thread.fork(command_id="c3")
    assert thread.fork(command_id="c3") == fork
    end = thread.finish(summary="s", command_id="c4")
    assert thread.finish(summary="s", command_id="c4") == end
    thread.rm(command_id="c5")
    thread.rm(command_id="c5")
    with pytest.raises(treering.NotFound):
        threads.get(thread.id)


def test_keys(threads: Threads) -> None:
    thread = threads.start("w", key="ticket/812 ü")
    assert threads.get("ticket/812 ü") == thread
    with pytest.raises(treering.AlreadyExists) as caught:
        threads.start("w", key="ticket/812 ü")
    assert caught.value.thread == thread.id
    assert caught.value.key == "ticket/812 ü"
    assert threads.get_or_start("w", key="ticket/812 ü") == thread
    other = threads.get_or_start("w", key="other")
    assert other != thread
    assert threads.get("other") == other
    assert threads.get(thread.id) == thread
    assert threads.get(thread.id.lower()) == thread


def test_abbreviated_ids(threads: Threads) -> None:
    thread = threads.start("w")
    assert threads.get(thread.id[:4]) == thread
    with pytest.raises(treering.NotFound):
        threads.get(thread.id[:3])


def test_scopes_share_nothing(store: Store) -> None:
    alice, bob = store.scope("alice"), store.scope("bob")
    thread = alice.threads.start("w", key="k")
    with pytest.raises(treering.NotFound):
        bob.threads.get(thread.id)
    with pytest.raises(treering.NotFound):
        bob.threads.get("k")
    assert bob.threads.list() == []
    bob.threads.start("w", key="k")
    assert store.scopes() == ["alice", "bob"]
    assert store.scope("alice") == alice != bob


def test_lists(threads: Threads) -> None:
    red = threads.start("fix", key="red", labels={"team": "red", "n": 1})
    blue = threads.start("fix", labels={"team": "blue", "n": 1})
    other = threads.start("review", labels={"team": "red"})
    other.finish()
    assert threads.list() == [red, blue, other]
    assert threads.list(workflow="fix") == [red, blue]
    assert threads.list(labels={"team": "red"}) == [red, other]
    assert threads.list(labels={"team": "red", "n": 1}) == [red]
    assert threads.list(labels={"n": 2}) == []
    assert threads.list(status="completed") == [other]
    assert threads.list(active=True) == [red, blue]
    assert [thread.key for thread in threads.list(workflow="fix")] == ["red", None]
    assert [len(thread) for thread in threads.list()] == [0, 0, 1]
    assert threads.history() == [other]
    today = datetime.now(UTC).date()
    assert other in threads.history(today) + threads.history(today - timedelta(days=1))
    assert threads.history(date(2001, 1, 1)) == []
    assert threads.list(day="2001-01-01") == []
    with pytest.raises(treering.Invalid):
        threads.list(day="yesterday")
    with pytest.raises(treering.Invalid):
        threads.list(status="odd")  # type: ignore[arg-type]


def test_finish(threads: Threads) -> None:
    thread = threads.start("w")
    thread.append("a", "x")
    end = thread.finish(3, "done")
    assert (end.number, end.role, end.text) == (2, "__end__", "done")
    assert end.meta == {"return_code": 3, "summary": "done"}
    assert thread.status == "completed"
    assert thread.completed_at is not None
    assert thread.return_code == 3
    for verb in (lambda: thread.append("a"), thread.finish, lambda: thread.fail("e"), thread.cancel):
        with pytest.raises(treering.WrongStatus):
            verb()


def test_fail_keeps_the_head_and_can_be_resumed(threads: Threads) -> None:
    thread = threads.start("w")
    step = thread.append("a", "x")
    assert thread.failure is None
    failed = thread.fail("no more disk")
    assert failed.text == "no more disk"
    assert thread.status == "failed"
    assert thread.head == step.cid
    again = threads.get(thread.id)
    assert again.failure == failed
    assert again.error == "no more disk"
    assert again.append("a", "y").number == 2
    assert again.status == "idle"


def test_cancel(threads: Threads) -> None:
    thread = threads.start("w")
    thread.cancel("not needed")
    assert thread.status == "cancelled"
    assert threads.history() == [thread]
    with pytest.raises(treering.WrongStatus) as caught:
        thread.append("a")
    assert caught.value.status == "cancelled"


def test_rm(threads: Threads) -> None:
    thread = threads.start("w", key="k")
    keeper = thread.fork()
    thread.rm()
    with pytest.raises(treering.NotFound):
        threads.get(thread.id)
    with pytest.raises(treering.NotFound):
        threads.get("k")
    assert threads.list() == [keeper]
    assert threads.start("w", key="k").key == "k"


def test_lease(threads: Threads) -> None:
    thread = threads.start("w")
    other = threads.get(thread.id)
    with thread.lease(owner="me") as lease:
        assert lease.token is not None
        assert threads.get(thread.id).status == "running"
        assert threads.get(thread.id).lease_owner == "me"
        thread.append("a", "mine")
        with pytest.raises(treering.LeaseHeld), other.lease():
            pass
        with pytest.raises(treering.WrongStatus):
            other.rm()
    assert lease.token is None
    assert threads.get(thread.id).status == "idle"
    other.refresh()
    with other.lease() as second:
        assert second.token is not None


def test_a_lost_lease_can_not_append(tmp_path: Path) -> None:
    take_over = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as connection:
    assert connection.execute("DELETE FROM lease").rowcount == 1
"""
    with treering.open(tmp_path / "s") as store:
        thread = store.threads.start("w")
        with thread.lease():
            thread.append("a", "mine")
            command = [sys.executable, "-c", take_over, str(tmp_path / "s" / "store.db")]
            subprocess.run(command, check=True)
            for write in (lambda: thread.append("a", "too late"), thread.finish, lambda: thread.extend([("a", "x")])):
                with pytest.raises(treering.LeaseLost):
                    write()
        assert [step.text for step in store.threads.get(thread.id)] == ["mine"]


def test_compact_begins_contexts_anew(threads: Threads) -> None:
    thread = threads.start("w", prompt="P", parameters={"x": 1})
    thread.extend([("a", "1"), ("b", "2")])
    summary = thread.compact({"so far": "1, 2"})
    thread.append("a", "4")
    context = thread.context()
    assert summary.role == "summary"
    assert context.summary == {"so far": "1, 2"}
    assert [step.text for step in context.steps if step.number > 3] == ["4"]
    assert 2 not in [step.number for step in context.steps]
    assert context.prompt == "P"
    assert [step.number for step in thread] == [1, 2, 3, 4]


def test_pins(store: Store) -> None:
    pins = store.scope("main").pins
    cid = store.put(b"keep me")
    pins.add("release", cid)
    assert pins.list() == {"release": cid}
    pins.rm("release")
    assert pins.list() == {}
    with pytest.raises(treering.TreeringError):
        pins.add("x", Cid.of(b"not there"))


def test_a_thread_outlives_its_store_object(tmp_path: Path) -> None:
    thread = treering.open(tmp_path / "s").threads.start("w")
    assert thread.append("a").number == 1


def test_closing_one_of_two_leaves_the_other(tmp_path: Path) -> None:
    one, other = treering.open(tmp_path / "s"), treering.open(tmp_path / "s")
    thread = other.threads.start("w")
    one.close()
    assert one.closed
    assert not other.closed
    assert thread.append("a").number == 1
    with pytest.raises(treering.Closed):
        one.put(b"x")
    other.close()
    with pytest.raises(treering.Closed):
        thread.append("a")


def test_wrong_types_are_named(store: Store) -> None:
    threads = store.threads
    thread = threads.start("types")
    wrong: Any = 5
    for call, name in (
        (lambda: threads.start("w", key=wrong), "key: "),
        (lambda: threads.start("w", labels=wrong), "labels: "),
        (lambda: thread.append(wrong, "text"), "role: "),
        (lambda: thread.append("r", "text", meta=wrong), "meta: "),
        (lambda: thread.append("r", "text", links=["bafy"]), "links: "),  # type: ignore[list-item]
        (lambda: thread.append("r", "text", at_ms=1.5), "at_ms: "),  # type: ignore[arg-type]
        (lambda: thread.append("r", "text", command_id=wrong), "command_id"),
        (lambda: thread.diff(wrong), "another thread"),
        (lambda: thread.is_ancestor_of(wrong), "another thread"),
        (lambda: thread.common_ancestor(wrong), "another thread"),
    ):
        with pytest.raises(TypeError, match=name):
            call()
    with store.scope("main").commit() as commit, pytest.raises(TypeError, match="takes a thread"):
        commit.threads[thread.id]  # type: ignore[index]
    assert len(thread) == 0


def test_threads_of_two_stores_have_nothing_to_compare(threads: Threads) -> None:
    with treering.memory() as other:
        stranger = other.threads.start("other")
        with pytest.raises(treering.Invalid, match="two stores"):
            threads.start("here").diff(stranger)
