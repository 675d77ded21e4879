"""Where threads and handles come from: starting, getting, forking."""

from typing import Any

from expected import Done, Expected, ok, right
from hypothesis import strategies as st
from hypothesis.stateful import rule

from machine.drawn import CONTENTS, KEYS, LABELS, PICK, PLAYER, ROLES, SCOPE, SCOPES, STEPS
from machine.world import World


class Starting(World):
    """Rules that make threads and handles."""

    @rule(player=PLAYER, scope=SCOPE, key=KEYS, labels=LABELS, prompt=CONTENTS, steps=STEPS)
    def start(self, player: int, scope: int, key: str | None, labels: Any, prompt: Any, steps: Any) -> None:
        name, command = SCOPES[scope], self.command()
        kwargs = {"key": key, "labels": labels, "prompt": prompt, "steps": steps, "command_id": command}
        h = self.number()
        answer = self.call(player, "start", h, name, kwargs)
        if not right(answer, {"already-exists": self.has_key(name, key) is not None}):
            return
        thread = self.add(Expected(answer.value[0], name, key, prompt, labels, list(steps)))
        assert answer.value[1] == len(steps)
        self.hold(player, h, thread, len(steps))
        self.done.append(Done("start", name, [thread], command, [kwargs], answer.value))

    @rule(player=PLAYER, scope=SCOPE, key=st.sampled_from(["k1", "k2", "k3"]), prompt=CONTENTS)
    def get_or_start(self, player: int, scope: int, key: str, prompt: Any) -> None:
        name, h = SCOPES[scope], self.number()
        found = self.has_key(name, key)
        thread_id, seen = ok(self.call(player, "get_or_start", h, name, {"key": key, "prompt": prompt}))
        if found is None:
            found = self.add(Expected(thread_id, name, key, prompt))
        assert (thread_id, seen) == (found.id, len(found.steps))
        self.hold(player, h, found, seen)

    @rule(player=PLAYER, pick=PICK, by_key=st.booleans())
    def another_handle(self, player: int, pick: int, by_key: bool) -> None:
        thread, h = self.pick(pick).thread, self.number()
        name = thread.key if by_key and thread.key is not None else thread.id
        now = self.has_key(thread.scope, thread.key) if name == thread.key else None if thread.removed else thread
        answer = self.call(player, "get", h, thread.scope, name)
        if right(answer, {"not-found": now is None}):
            assert now is not None
            assert answer.value == (now.id, len(now.steps))
            self.hold(player, h, now, len(now.steps))

    @rule(pick=PICK, at=PICK, form=st.integers(0, 3), role=ROLES, occurrence=st.integers(1, 3), key=KEYS)
    def fork(self, pick: int, at: int, form: int, role: str, occurrence: int, key: str | None) -> None:
        handle, new = self.pick(pick), self.number()
        source = handle.thread
        seen = source.steps[: handle.seen]
        places = [n for n, step in enumerate(seen, 1) if step[0] == role]
        missing = invalid = False
        command = self.command()
        kwargs: dict[str, Any] = {"key": key, "command_id": command}
        if form == 0:
            # `__end__` is never kept.
            to: int | None = len(seen) - (1 if seen and seen[-1][0] == "__end__" else 0)
        elif form == 1:
            kwargs["at"] = to = at % (len(seen) + 2)
            missing = to > len(seen)
            invalid = to == len(seen) > 0 and seen[-1][0] == "__end__"
        else:
            kwargs |= {"before": role, "occurrence": occurrence if form == 3 else ("first", "last")[at % 2]}
            missing = not places
            invalid = form == 3 and bool(places) and occurrence > len(places)
            place = occurrence if form == 3 else 1 if at % 2 == 0 else len(places)
            to = places[place - 1] - 1 if places and place <= len(places) else None
        answer = self.call(handle.player, "fork", handle.h, new, kwargs)
        gone = source.removed  # its steps may have been collected
        errors = {
            "not-found": missing or gone,
            "corrupt": gone,
            "invalid": invalid,
            "already-exists": self.has_key(source.scope, key) is not None,
        }
        if not right(answer, errors, may=frozenset({"not-found", "corrupt"} if gone and not missing else ())):
            return
        assert to is not None
        thread_id, steps, common = answer.value
        assert steps == to
        assert common == to or (gone and common is None)
        fork = self.add(source.fork(thread_id, key, to))
        self.hold(handle.player, new, fork, to)
        self.done.append(Done("fork", source.scope, [source, fork], command, [kwargs], answer.value))
