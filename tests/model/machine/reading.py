"""What a handle shows, and finding threads: nothing is changed by it."""

from datetime import UTC, datetime
from typing import Any

from expected import Expected, has_labels, ok, right
from hypothesis import strategies as st
from hypothesis.stateful import rule

from machine.drawn import LABELS, PICK, PLAYER, SCOPE, SCOPES
from machine.world import World


class Reading(World):
    """Rules that only look."""

    @rule(pick=PICK)
    def refresh(self, pick: int) -> None:
        handle = self.pick(pick)
        answer = self.call(handle.player, "refresh", handle.h)
        if right(answer, {"not-found": handle.thread.removed}):
            assert answer.value == len(handle.thread.steps)
            handle.seen = answer.value

    @rule(pick=PICK, at=PICK)
    def at(self, pick: int, at: int) -> None:
        handle = self.pick(pick)
        number = at % (handle.seen + 2)
        if not handle.thread.removed:
            answer = self.call(handle.player, "at", handle.h, number)
            if right(answer, {"not-found": not 1 <= number <= handle.seen}):
                assert answer.value == (number, *handle.thread.steps[number - 1])

    @rule(pick=PICK, first=PICK, last=st.one_of(st.none(), PICK), reverse=st.booleans())
    def some_steps(self, pick: int, first: int, last: int | None, reverse: bool) -> None:
        handle = self.pick(pick)
        if handle.thread.removed:
            return
        first = 1 + first % (handle.seen + 2)
        last = None if last is None else last % (handle.seen + 2)
        found = ok(self.call(handle.player, "steps", handle.h, first, last, reverse))
        seen = [(number, *step) for number, step in enumerate(handle.thread.steps[: handle.seen], 1)]
        wanted = [step for step in seen if first <= step[0] <= (handle.seen if last is None else last)]
        assert found == (wanted[::-1] if reverse else wanted)

    @rule(pick=PICK, other=PICK)
    def two(self, pick: int, other: int) -> None:
        one = self.pick(pick)
        mine = [handle for handle in self.handles if handle.player == one.player]
        two = mine[other % len(mine)]
        if one.thread.removed or two.thread.removed:
            return
        found, left, right_, goes_in = ok(self.call(one.player, "two", one.h, two.h))
        left_steps, right_steps = one.thread.steps[: one.seen], two.thread.steps[: two.seen]
        least = one.thread.shared(two.thread)
        assert found is not None or least is None
        common = found or 0
        assert common >= min(least or 0, one.seen, two.seen)
        assert left_steps[:common] == right_steps[:common]
        assert [tuple(step[1:]) for step in left] == left_steps[common:]
        assert [tuple(step[1:]) for step in right_] == right_steps[common:]
        assert [step[0] for step in left] == list(range(common + 1, one.seen + 1))
        assert goes_in == (found == one.seen)

    @rule(player=PLAYER, scope=SCOPE, labels=LABELS)
    def labelled(self, player: int, scope: int, labels: dict[str, Any]) -> None:
        found = ok(self.call(player, "labelled", SCOPES[scope], labels))
        wanted = [t.id for t in self.there() if t.scope == SCOPES[scope] and has_labels(t, labels)]
        assert sorted(found) == sorted(wanted)

    @rule(player=PLAYER, scope=SCOPE, pick=st.one_of(st.none(), PICK))
    def history(self, player: int, scope: int, pick: int | None) -> None:
        """What is over, by the day when it came to its end."""
        over = [thread for thread in self.there() if thread.scope == SCOPES[scope] and thread.over]
        day = day_of(over[pick % len(over)]) if over and pick is not None else None
        found = ok(self.call(player, "history", SCOPES[scope], day))
        assert sorted(found) == sorted(thread.id for thread in over if day in (None, day_of(thread)))


def day_of(thread: Expected) -> str:
    return datetime.fromtimestamp(thread.over_at_ms / 1000, UTC).date().isoformat()
