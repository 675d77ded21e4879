"""Players come and go: by closing, and by being killed."""

from expected import ok
from hypothesis.stateful import precondition, rule

from machine.drawn import PLAYER
from machine.world import ELSEWHERE, World, child


class Coming(World):
    """Rules that end a player and let it begin again."""

    @rule(player=PLAYER)
    def reopen(self, player: int) -> None:
        ok(self.call(player, "close"))
        if not self.in_memory:
            ok(self.call(player, "open", str(self.home / "state")))
        self.forget(player)

    @precondition(lambda self: not self.in_memory)
    @rule()
    def kill(self) -> None:
        """Whatever was answered is there, and a lease of the dead is free."""
        self.players[ELSEWHERE].kill()
        self.players[ELSEWHERE] = child(anew=True)
        ok(self.call(ELSEWHERE, "begin", self.now_ms))
        ok(self.call(ELSEWHERE, "open", str(self.home / "state")))
        self.forget(ELSEWHERE)

    def forget(self, player: int) -> None:
        self.handles = [handle for handle in self.handles if handle.player != player]
        for thread in self.threads.values():
            if thread.leased_by is not None and thread.leased_by[0] == player:
                thread.leased_by = None
        if not self.handles:
            thread, h = self.there()[0], self.number()
            _, seen = ok(self.call(player, "get", h, thread.scope, thread.id))
            self.hold(player, h, thread, seen)
