"""The right to work on a thread, and the time by which it and other things end."""

from expected import ok, right
from hypothesis import strategies as st
from hypothesis.stateful import rule

from machine.drawn import HOUR_MS, PICK
from machine.world import World


class Leasing(World):
    """Rules about leases and the clock."""

    @rule(pick=PICK)
    def lease(self, pick: int) -> None:
        handle = self.pick(pick)
        thread = handle.thread
        answer = self.call(handle.player, "lease", handle.h)
        if right(answer, {"lease-held": thread.leased_by is not None, "not-found": thread.removed}):
            assert answer.value > thread.token
            thread.leased_by, thread.token = (handle.player, handle.h), answer.value

    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        leased = [thread for thread in self.threads.values() if thread.leased_by is not None]
        if leased:
            thread = leased[pick % len(leased)]
            assert thread.leased_by is not None
            player, h = thread.leased_by
            ok(self.call(player, "release", h))
            thread.leased_by = None

    @rule(hours=st.sampled_from([1, 13]))
    def time_passes(self, hours: int) -> None:
        """Holds end by themselves; leases are given back before."""
        while any(thread.leased_by is not None for thread in self.threads.values()):
            self.release(0)
        self.now_ms += hours * HOUR_MS
        for number in range(3):
            ok(self.call(number, "time", self.now_ms))
        self.holds = {hold: until for hold, until in self.holds.items() if until > self.now_ms}
