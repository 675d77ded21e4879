"""Blocks by themselves, what keeps them, and what is left after a collection: what is reachable, and nothing else."""

from typing import Any

from expected import ok, right
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from machine.drawn import HOUR_MS, PICK, PLAYER, SCOPE, SCOPES
from machine.world import World


class Blocks(World):
    """Rules on blocks, holds, pins, collections."""

    @rule(player=PLAYER, scope=SCOPE, data=st.binary(max_size=9), large=st.booleans())
    def put(self, player: int, scope: int, data: bytes, large: bool) -> None:
        # A large one is a file of its own.
        data = data * 40_000 if large else data
        self.keep(SCOPES[scope], ok(self.call(player, "put", SCOPES[scope], data)), data)

    @rule(player=PLAYER, scope=SCOPE, pick=PICK)
    def put_node(self, player: int, scope: int, pick: int) -> None:
        targets = [*self.in_order(self.held), *ok(self.call(player, "roots"))]
        value = {"see": targets[pick % len(targets)], "n": pick % 5}
        self.keep(SCOPES[scope], ok(self.call(player, "put_node", SCOPES[scope], value)), None)

    @staticmethod
    def in_order(cids: Any) -> list[Any]:
        return sorted(cids, key=str)

    @precondition(lambda self: self.holds)
    @rule(player=PLAYER, pick=PICK)
    def about(self, player: int, pick: int) -> None:
        cid = self.in_order(self.held)[pick % len(self.held)]
        found = ok(self.call(player, "about", cid))
        assert (found["has"], found["has_many"], found["resolve"]) == (True, [True, False], cid)
        if cid in self.bytes:
            assert found["data"] == self.bytes[cid]
        node = found["node"]
        if isinstance(node, dict) and set(node) == {"see", "n"}:
            assert found["links"] == [node["see"]]
        assert found["links"] == [] or cid.codec != "raw"

    # What keeps them.

    @precondition(lambda self: self.holds)
    @rule(player=PLAYER, scope=SCOPE, pick=PICK, hours=st.sampled_from([0, 1, 30]))
    def hold_longer(self, player: int, scope: int, pick: int, hours: int) -> None:
        """A hold of any scope: for so long from now, or as long as it was."""
        cid, name = self.in_order(self.held)[pick % len(self.held)], SCOPES[scope]
        verb = "extend_hold" if (name, cid) in self.holds and pick % 2 else "hold"
        until = ok(self.call(player, verb, name, cid, hours))
        assert until == max(self.holds.get((name, cid), 0), self.now_ms + hours * HOUR_MS)
        if until > self.now_ms:
            self.holds[name, cid] = until

    @precondition(lambda self: self.holds)
    @rule(player=PLAYER, pick=PICK)
    def unhold(self, player: int, pick: int) -> None:
        scope, cid = sorted(self.holds, key=str)[pick % len(self.holds)]
        assert ok(self.call(player, "unhold", scope, cid))
        del self.holds[scope, cid]

    @precondition(lambda self: self.holds)
    @rule(player=PLAYER, scope=SCOPE, name=st.sampled_from("xyz"), pick=PICK)
    def pin(self, player: int, scope: int, name: str, pick: int) -> None:
        cid = self.in_order(self.held)[pick % len(self.held)]
        ok(self.call(player, "pin", SCOPES[scope], name, cid))
        self.pins[SCOPES[scope], name] = cid

    @rule(player=PLAYER, scope=SCOPE, name=st.sampled_from("xyz"))
    def unpin(self, player: int, scope: int, name: str) -> None:
        answer = self.call(player, "unpin", SCOPES[scope], name)
        if right(answer, {"not-found": (SCOPES[scope], name) not in self.pins}):
            del self.pins[SCOPES[scope], name]

    @rule(player=PLAYER, dry_run=st.booleans())
    def collect(self, player: int, dry_run: bool) -> None:
        blocks = ok(self.call(player, "blocks"))
        dead = ok(self.call(player, "gc", dry_run))
        left = ok(self.call((player + 1) % 3, "blocks"))
        # The automatic collection may have been there in between.
        if dry_run:
            assert set(left) <= set(blocks)
            return
        assert len(left) <= len(blocks) - dead
        present, missing = ok(self.call(player, "reachable", [*ok(self.call(player, "roots")), *self.held]))
        assert missing == []
        assert sorted(left) == sorted(present)
