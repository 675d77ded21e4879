"""A read model that is made anew: what was folded before, here and elsewhere, and what was deleted meanwhile."""

from pathlib import Path

import treering
from treering.messages import Message


def test_what_others_have_folded_outlives_a_rebuild_and_a_collection(tmp_path: Path) -> None:
    # Two handles fold by themselves, as two processes do.
    here, there = (treering.open(tmp_path / "state", automatic_gc=False).scope("s") for _ in range(2))
    for number in range(40):
        here.agents.add("worker", f"a{number}")
        here.chats.append("c", [Message(role="user", content=f"m{number}")])
    assert len(there.agents.list()[0].actor_ids) == 40
    assert len(there.chats.messages("c")) == 40
    assert (here.agents.rebuild(), here.chats.rebuild("c")) == (40, 40)
    with treering.open(tmp_path / "state", automatic_gc=False) as store:
        store.gc()
    for scope in (here, there):
        scope.agents.add("worker", f"late {scope is here}")
        scope.chats.append("c", [Message(role="user", content="late")])
        assert scope.agents.authorize("worker", "a7", "use") == "allowed"
    assert len(there.agents.list()[0].actor_ids) == 42
    assert [message.content for message in here.chats.messages("c")][-3:] == ["m39", "late", "late"]
    assert (there.agents.verify(), there.chats.verify("c")) == (42, 42)


def test_a_chat_that_is_deleted_and_written_in_one_commit_keeps_nothing(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "state", automatic_gc=False)
    scope = store.scope("s")
    for _ in range(3):
        scope.chats.append("c", [Message(role="user", content="SECRET words")])
    assert scope.chats.rebuild("c") == 3
    with scope.commit() as c:
        c.chats.delete("c")
        c.chats.append("c", [Message(role="user", content="anew")])
    store.gc()
    assert [message.content for message in scope.chats.messages("c")] == ["anew"]
    assert scope.chats.verify("c") == 1
    assert all(b"SECRET" not in store.blocks.get(info.cid) for info in store.blocks.list())
    with treering.open(tmp_path / "state") as again:
        assert [message.content for message in again.scope("s").chats.messages("c")] == ["anew"]


def test_a_repeated_commit_brings_its_threads_along(tmp_path: Path) -> None:
    scope = treering.open(tmp_path / "state").scope("s")
    thread = scope.threads.start("w")
    stale = scope.threads.get(thread.id)
    for handle in (thread, stale):
        with scope.commit(command_id="k") as c:
            c.threads[handle].append("r", "once")
            c.agents.add("worker", "a")
    assert (c.receipt.replayed, len(stale)) == (True, 1)
    assert stale.append("r", "behind").number == 2


def test_the_time_of_a_cut_list_is_now(tmp_path: Path) -> None:
    scope = treering.open(tmp_path / "state").scope("s")
    for name in "ab":
        scope.chats.append(name, [Message(role="user", content="x")])
    scope.chats.delete("a")
    version = scope.chats.index().version
    info = scope.actor("chat-index").info()
    cold = treering.open(tmp_path / "state").scope("s").actor("chat-index")
    assert cold.info() == info
    assert cold.version_at(scope.chats.index()[0].updated_at.replace(year=2100)) == version
