"""The journal: what it tells, what is sealed and expired of it, and that nothing of it was changed since."""

from typing import Any

from expected import ok
from hypothesis import strategies as st
from hypothesis.stateful import rule

from machine.drawn import PLAYER, SELDOM
from machine.world import World


class Journal(World):
    """Rules on the journal."""

    def begin(self) -> None:
        super().begin()
        self.followed: dict[int, int] = {}
        self.heads: list[tuple[int, str]] = []

    @rule(player=PLAYER)
    def follow(self, player: int) -> None:
        """The journal alone tells where every ref stands, without a gap."""
        positions, told, there = ok(self.call(player, "follow"))
        assert told == there
        last = ok(self.call(player, "commits"))
        if positions:
            assert positions == list(range(self.followed[player] + 1, last + 1))
        self.followed[player] = last

    @rule(player=PLAYER, keep=st.integers(1, 4))
    def seal(self, player: int, keep: int) -> None:
        before = self.extent(player)
        sealed = ok(self.call(player, "seal", keep))
        first, last, last_sealed = self.extent(player)
        assert (first, last) == before[:2]
        if self.in_memory:
            assert (sealed, last_sealed) == (0, 0)
        else:
            assert sealed == max(0, last - keep - max(before[2], first - 1))
            assert sealed == 0 or last_sealed == last - keep

    def extent(self, player: int) -> tuple[int, int, int]:
        found: tuple[int, int, int] = ok(self.call(player, "extent"))
        assert found[1] == ok(self.call(player, "commits"))
        return found

    @rule(player=PLAYER, really=SELDOM)
    def expire(self, player: int, really: bool) -> None:
        """What was is forgotten, what is stays."""
        if not really:
            return
        before = self.extent(player)
        gone = ok(self.call(player, "expire"))
        first, last, _ = self.extent(player)
        assert (first, last) == (before[0] + gone, before[1])
        self.blanks = [position for position in self.blanks if position >= first]
        self.start_backups_anew()

    def start_backups_anew(self) -> None:
        """A backup of before may not go on."""

    @rule(player=PLAYER)
    def prove(self, player: int) -> None:
        """A head that was written down is still in the journal, as long as what came before it is kept."""
        first, last, _ = self.extent(player)
        for position, head in self.heads:
            findings = ok(self.call(player, "prove", head))
            assert (findings == []) == (position >= first - 1), (position, first, findings)
        self.heads = [*self.heads[-1:], (last, ok(self.call(player, "head")))]

    @rule(player=PLAYER)
    def blank_commits(self, player: int) -> None:
        found: Any = ok(self.call(player, "blanks"))
        assert found == sorted(self.blanks)
