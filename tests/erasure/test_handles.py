"""Handles that were opened before: no verb of theirs brings back what was removed or erased."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import treering
from treering.messages import MemoryEntry, Message

sys.path.insert(0, str(Path(__file__).parent))

from life import Diary, Say

MARK = "SECRETMARK"


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> treering.Store:
    if request.param == "memory":
        return treering.memory()
    return treering.open(tmp_path / "state", automatic_gc=False)


def in_commit(scope: treering.Scope, thread: treering.Thread, verb: Callable[[treering.ThreadDraft], object]) -> None:
    with scope.commit() as commit:
        verb(commit.threads[thread])


def of_thread(scope: treering.Scope, thread: treering.Thread, tmp_path: Path) -> dict[str, Callable[[], object]]:
    """What writes, or gives what is there to another."""
    return {
        "append": lambda: thread.append("coder", "more"),
        "extend": lambda: thread.extend([("coder", "more")]),
        "compact": lambda: thread.compact("all of it"),
        "fork": thread.fork,
        "fork at": lambda: thread.fork(at=1, key="another"),
        "fork at the start": lambda: thread.fork(at=0),
        "fork before": lambda: thread.fork(before="coder", labels={"of": "it"}),
        "finish": thread.finish,
        "fail": lambda: thread.fail("why"),
        "cancel": thread.cancel,
        "rm": lambda: thread.rm(force=True),
        "lease": lambda: thread.lease("me").__enter__(),
        "refresh": thread.refresh,
        "export": lambda: thread.export(tmp_path / "thread.car"),
        "append in a commit": lambda: in_commit(scope, thread, lambda draft: draft.append("coder", "more")),
        "fork in a commit": lambda: in_commit(scope, thread, lambda draft: draft.fork()),
        "fork at in a commit": lambda: in_commit(scope, thread, lambda draft: draft.fork(at=1).append("coder", "more")),
    }


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize("unopened", [False, True])
def test_of_a_thread(store: treering.Store, tmp_path: Path, erased: bool, unopened: bool) -> None:
    alice = store.scope("alice")
    thread = alice.threads.start("plan", key="k", prompt=MARK + " prompt")
    thread.append("planner", MARK + " plan", artifacts={"a": MARK.encode() * 10})
    last = thread.append("coder", MARK + " code")
    (listed,) = alice.threads.list()
    if erased:
        alice.erase()
    else:
        alice.threads.get("k").rm()
    answers = {}
    for name, verb in of_thread(alice, listed if unopened else thread, tmp_path).items():
        with contextlib.suppress(treering.NotFound):
            answers[name] = verb()
    assert answers == {}
    assert store.scopes() == []
    assert not list(tmp_path.glob("*.car"))
    store.gc()
    with pytest.raises(treering.NotFound):
        store.blocks.get(last.cid)


def test_of_actors(store: treering.Store) -> None:
    alice = store.scope("alice")
    memory, chats, diary, files = alice.memory, alice.chats, alice.own(Diary), alice.files
    memory.add("context", MARK)
    entries: list[MemoryEntry] = list(memory.get())
    chats.append("c", [Message(role="user", content=MARK)])
    diary.send(Say(MARK, MARK))
    diary.send(Say(MARK, MARK))
    files.put("notes.txt", (MARK * 10).encode())
    actor = alice.actor("user-memory")
    gone = [entry.target for entry in alice.history() if entry.target is not None]
    gone += [event.cid for event in actor.history()]
    then = alice.at(store.cursor())
    assert gone
    alice.erase()

    verbs: list[Callable[[], object]] = [
        memory.rebuild,
        lambda: memory.trim(keep=0),
        lambda: memory.remove(entries[0].id),
        memory.clear,
        lambda: chats.rebuild("c"),
        lambda: chats.trim("c", keep=0),
        lambda: chats.delete("c"),
        diary.rebuild,
        lambda: diary.trim(keep=1),
        diary.delete,
        lambda: files.delete("notes.txt"),
        files.rebuild,
        actor.verify,
        then.memory.get,
        # What is new begins anew.
        lambda: memory.add("context", "new"),
        lambda: chats.append("c", [Message(role="user", content="new")]),
        lambda: diary.send(Say("new", "new")),
        lambda: files.put("other.txt", b"new"),
        memory.rebuild,
        diary.rebuild,
    ]
    for verb in verbs:
        with contextlib.suppress(treering.TreeringError):
            verb()
        assert MARK not in str([list(memory.get()), list(alice.chats.index()), list(alice.history()), diary.get()])
        assert [file.path for file in files.list()] in ([], ["other.txt"])
    assert [entry.content for entry in memory.get()] == ["new"]
    assert diary.get().state.last == "new"
    assert list(diary.get().state.lines) == ["new"]
    assert [message.content for message in chats.messages("c")] == ["new"]
    store.gc()
    for cid in gone:
        with pytest.raises(treering.NotFound):
            store.blocks.get(cid)
    assert store.verify().ok
