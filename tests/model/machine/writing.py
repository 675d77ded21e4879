"""What one thread is told by one verb: growing it, ending it, removing it."""

from typing import Any

from expected import Done, Handle, right
from hypothesis import strategies as st
from hypothesis.stateful import rule
from player import Answer

from machine.drawn import ARTIFACTS, CONTENTS, PICK, ROLES, SELDOM, STEPS
from machine.world import World


class Writing(World):
    """Rules that write through a handle."""

    def write(
        self, handle: Handle, verb: str, steps: list[tuple[str, Any]], *args: Any, state: str = "idle"
    ) -> Answer | None:
        """A write that follows what the handle has seen; None if it was refused, and rightly."""
        thread, command = handle.thread, self.command()
        answer = self.call(handle.player, verb, handle.h, *args, command)
        errors = {
            "not-found": thread.removed,
            "head-moved": handle.seen != len(thread.steps),
            "wrong-status": thread.over,
            "lease-lost": thread.removed,
        }
        if not right(answer, errors):
            return None
        first = len(thread.steps) + 1
        written = answer.value if verb == "extend" else [answer.value]
        expected = [(number, *step) for number, step in enumerate(steps, first)]
        assert [tuple(step) for step in written] == expected
        thread.state, thread.error = state, None
        if verb == "fail":
            thread.error = steps[0][1]
        else:
            thread.steps = thread.steps + steps
            handle.seen = len(thread.steps)
        thread.moved()
        self.done.append(Done(verb, thread.scope, [thread], command, list(args), answer.value))
        return answer

    @rule(pick=PICK, role=ROLES, content=CONTENTS, artifacts=ARTIFACTS)
    def append(self, pick: int, role: str, content: Any, artifacts: dict[str, bytes]) -> None:
        thread = self.pick(pick).thread
        if self.write(self.pick(pick), "append", [(role, content)], role, content, artifacts) and artifacts:
            thread.artifacts[len(thread.steps)] = artifacts

    @rule(pick=PICK, at=PICK)
    def insist(self, pick: int, at: int) -> None:
        """An expected head that is not the head: nothing is written."""
        handle = self.pick(pick)
        if handle.seen and not handle.thread.removed:
            answer = self.call(handle.player, "insist", handle.h, at % handle.seen)
            assert answer.error in ("head-moved", *(["wrong-status"] if handle.thread.over else [])), answer
            handle.seen = self.look(handle, at_least=handle.seen)

    @rule(pick=PICK, steps=STEPS.filter(bool))
    def extend(self, pick: int, steps: Any) -> None:
        self.write(self.pick(pick), "extend", steps, steps)

    @rule(pick=PICK, summary=CONTENTS)
    def compact(self, pick: int, summary: Any) -> None:
        handle = self.pick(pick)
        if self.write(handle, "compact", [("summary", summary)], summary) is not None:
            handle.thread.compacts.add(len(handle.thread.steps))

    @rule(pick=PICK, code=st.integers(-1, 2), summary=st.text(max_size=5), really=SELDOM)
    def finish(self, pick: int, code: int, summary: str, really: bool) -> None:
        handle = self.pick(pick)
        if really or handle.thread.over:
            written = self.write(handle, "finish", [("__end__", summary)], code, summary, state="completed")
            if written is not None:
                handle.thread.over_at_ms = self.now_ms

    @rule(pick=PICK, error=st.text(min_size=1, max_size=5))
    def fail(self, pick: int, error: str) -> None:
        self.write(self.pick(pick), "fail", [("__failed__", error)], error, state="failed")

    @rule(pick=PICK, reason=st.text(min_size=1, max_size=5), really=SELDOM)
    def cancel(self, pick: int, reason: str, really: bool) -> None:
        handle = self.pick(pick)
        if not (really or handle.thread.over):
            return
        thread, command = handle.thread, self.command()
        answer = self.call(handle.player, "cancel", handle.h, reason, command)
        if right(answer, {"not-found": thread.removed, "wrong-status": thread.over}):
            thread.state, thread.error, thread.over_at_ms = "cancelled", reason, self.now_ms
            thread.moved()
            self.done.append(Done("cancel", thread.scope, [thread], command, [reason], None))

    @rule(pick=PICK, force=st.booleans())
    def rm(self, pick: int, force: bool) -> None:
        handle = self.pick(pick)
        thread, command = handle.thread, self.command()
        if len(self.there()) <= 1:
            return
        answer = self.call(handle.player, "rm", handle.h, force, command)
        running = thread.whole()["status"] == "running"
        if right(answer, {"not-found": thread.removed, "wrong-status": running and not force}):
            thread.removed = True
            self.done.append(Done("rm", thread.scope, [thread], command, [force], None))
