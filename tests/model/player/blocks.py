"""Blocks, what keeps them, and collecting the others."""

from typing import Any

from player.core import Core
from treering import Cid, codec


class Blocks(Core):
    """Verbs on blocks, holds and pins."""

    def put(self, scope: str, data: bytes) -> Cid:
        cid: Cid = self.store.put(data) if scope == "main" else self.store.scope(scope).blocks.put(data)
        return cid

    def put_node(self, scope: str, value: Any) -> Cid:
        cid: Cid = self.store.scope(scope).blocks.put_node(value)
        return cid

    def put_back(self, cid: Cid, data: bytes) -> bool:
        """Stores what a block's bytes say, whatever sort it is; whether that is the same block."""
        blocks = self.store.blocks
        found = blocks.put(data) if cid.codec == "raw" else blocks.put_node(codec.decode(data))
        return bool(found == cid)

    def blocks(self) -> list[Cid]:
        return [block.cid for block in self.store.blocks.list()]

    def block(self, cid: Cid) -> bytes:
        data: bytes = self.store.blocks.get(cid)
        return data

    def about(self, cid: Cid) -> dict[str, Any]:
        """All that can be asked of a block, by its CID and by its beginning."""
        blocks = self.store.blocks
        return {
            "has": blocks.has(cid),
            "has_many": blocks.has_many([cid, Cid.of(b"nobody has put this")]),
            "resolve": blocks.resolve(str(cid)[:-8]),
            "links": blocks.links(cid),
            "node": None if cid.codec == "raw" else blocks.get_node(cid),
            "data": blocks.get(str(cid)),
        }

    def reachable(self, roots: list[Cid]) -> tuple[list[Cid], list[Cid]]:
        present, missing = self.store.reachable(roots)
        return present, missing

    def is_whole_without(self, root: Cid, lost: Cid) -> bool:
        """Whether everything that it reaches is there, and is not that one."""
        present, missing = self.store.reachable([root])
        return not missing and lost not in present

    # What keeps them.

    def hold(self, scope: str, cid: Cid, hours: float) -> int:
        held = self.store.hold(cid, hours) if scope == "main" else self.store.scope(scope).hold(cid, hours)
        at_ms: int = held.expires_at_ms
        return at_ms

    def extend_hold(self, scope: str, cid: Cid, hours: float) -> int:
        (hold,) = [hold for hold in self.store.scope(scope).holds() if hold.cid == cid]
        at_ms: int = hold.extend(hours)
        return at_ms

    def unhold(self, scope: str, cid: Cid) -> bool:
        was: bool = self.store.scope(scope).hold(cid).release()
        return was

    def holds(self, scopes: list[str]) -> dict[tuple[str, Cid], int]:
        """When each ends; those that have ended are there until a collection."""
        found: dict[tuple[str, Cid], int] = {}
        for scope in scopes:
            holds = self.store.holds() if scope == "main" else self.store.scope(scope).holds()
            found |= {(scope, hold.cid): hold.expires_at_ms for hold in holds}
        return found

    def pin(self, scope: str, name: str, cid: Cid) -> None:
        self.store.scope(scope).pins.add(name, cid)

    def unpin(self, scope: str, name: str) -> None:
        self.store.scope(scope).pins.rm(name)

    def roots(self) -> list[Cid]:
        """What refs keep: heads, failures, pins, what is in quarantine."""
        return [ref.target for ref in self.store.refs.list()]

    def gc(self, dry_run: bool) -> int:
        dead: int = self.store.gc(dry_run=dry_run).dead
        return dead
