"""A command id again, from any player: the first answer and no commit; with another payload: refused."""

from typing import Any

from expected import Done, Handle, ok
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from player import Answer

from machine.drawn import PICK, PLAYER
from machine.world import World


class Repeating(World):
    """The rule about what was done before."""

    @precondition(lambda self: self.done)
    @rule(pick=PICK, player=PLAYER, changed=st.booleans(), stale=st.booleans())
    def repeat(self, pick: int, player: int, changed: bool, stale: bool) -> None:
        done = self.done[pick % len(self.done)]
        if any(thread.removed or thread.cut for thread in done.threads):
            return
        handles: dict[str, Handle] = {}
        for thread in done.threads:
            mine = [handle for handle in self.handles if (handle.player, handle.thread.id) == (player, thread.id)]
            if stale and mine:
                handles[thread.id] = mine[pick % len(mine)]
            else:
                h = self.number()
                _, seen = ok(self.call(player, "get", h, thread.scope, thread.id))
                handles[thread.id] = self.hold(player, h, thread, seen)
        before = ok(self.call(0, "commits"))
        answer = self.again(done, player, handles, changed)
        assert ok(self.call(0, "commits")) == before
        for handle in handles.values():
            handle.seen = self.look(handle, at_least=handle.seen)
        if changed:
            assert answer.error == "command-mismatch", (done, answer)
        elif done.verb in ("start", "fork"):
            assert ok(answer)[0] == done.answer[0]
        elif done.verb == "commit":
            made = {new: thread_id for new, (thread_id, _) in ok(answer)["made"].items()}
            assert made == {new: thread_id for new, (thread_id, _) in done.answer["made"].items()}
            assert answer.value["replayed"]
            assert answer.value["puts"] == done.answer["puts"]
        elif answer.error is None:
            assert answer.value == done.answer
        else:
            # The node of a failure that another one replaced is garbage.
            assert (done.verb, answer.error) == ("fail", "not-found"), answer

    def again(self, done: Done, player: int, handles: dict[str, Handle], changed: bool) -> Answer:
        new = self.number()
        if done.verb == "start":
            kwargs = done.args[0] | ({"prompt": "changed"} if changed else {})
            return self.call(player, "start", new, done.scope, kwargs)
        if done.verb == "commit":
            extra = [("start", new, {"prompt": "changed"})] if changed else []
            return self.call(player, "commit", done.scope, swapped(done, handles) + extra, done.command)
        h = handles[done.threads[0].id].h
        if done.verb == "fork":
            kwargs = done.args[0] | ({"key": "changed"} if changed else {})
            return self.call(player, "fork", h, new, kwargs)
        args = other_args(done) if changed else done.args
        return self.call(player, done.verb, h, *args, done.command)


def swapped(done: Done, handles: dict[str, Handle]) -> list[tuple[Any, ...]]:
    """The parts of a commit, through other handles of the same threads."""
    parts, threads = done.args
    return [
        (part[0], handles[threads[part[1]].id].h, *part[2:])
        if part[0] not in ("put", "put_node", "start") and part[1] in threads
        else part
        for part in parts
    ]


def other_args(done: Done) -> list[Any]:
    """Other arguments than it was called with."""
    *args, last = done.args
    match done.verb:
        case "extend":
            return [*args, [*last, ("coder", "changed")]]
        case "append":
            return [*args, {**last, "new": b"changed"}]
        case "rm":
            return [*args, not last]
        case _:
            return [*args, "changed text"]
