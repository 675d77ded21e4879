"""The players, the model that they are held against, and the comparison after each rule."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from expected import Done, Entry, Expected, Handle, ok
from hypothesis.stateful import RuleBasedStateMachine, invariant
from player import Answer, Awaited, Child, Player

from machine.drawn import HOUR_MS, SCOPES
from treering import testing

PLAIN, AWAITED, ELSEWHERE = range(3)
"""The players: through `treering`, through `treering.aio`, and in a process of its own (in memory: as the first)."""


class World(RuleBasedStateMachine):
    """What all rules have: picking, asking, the model's state."""

    in_memory: bool

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="treering-model-"))
        self.threads: dict[str, Expected] = {}
        self.handles: list[Handle] = []
        self.pins: dict[tuple[str, str], Any] = {}
        self.holds: dict[tuple[str, Any], int] = {}
        """By scope and block: when it ends."""
        self.bytes: dict[Any, bytes] = {}
        """What was put."""
        self.entries: dict[str, Entry] = {}
        self.blanks: list[int] = []
        self.done: list[Done] = []
        self.now_ms = testing.Clock().now_ms
        self.numbers = 0
        self.rounds = 0
        self.api = Awaited()
        self.players: list[Any] = self.all_players()
        self.begin()

    def begin(self) -> None:
        """Something to work with."""
        self.add_thread(PLAIN, SCOPES[0])

    def all_players(self) -> list[Any]:
        clock = testing.Clock()
        if self.in_memory:
            store = testing.memory(clock=clock)
            return [Player(store, clock), Player(self.api.of(store), clock, self.api), Player(store, clock)]
        players: list[Any] = [Player(clock=clock), Player(clock=clock, api=self.api), child()]
        for player in players:
            ok(player.call("begin", self.now_ms))
            ok(player.call("open", str(self.home / "state")))
        return players

    def teardown(self) -> None:
        try:
            self.check_all()
        finally:
            self.end()

    def check_all(self) -> None:
        """All that every player sees, and that it is sound."""
        for number in range(3):
            self.compare(number)
        assert ok(self.call(ELSEWHERE, "verify")) == []
        for cid, data in self.bytes.items():
            if cid in self.held:
                assert ok(self.call(AWAITED, "block", cid)) == data

    def end(self) -> None:
        """Leaves nothing open and nothing on disk."""
        for player in self.players:
            player.call("close")
        if self.in_memory:
            self.players[PLAIN].store.close()
        self.api.close()
        shutil.rmtree(self.home)

    # Picking and asking.

    def call(self, player: int, verb: str, *args: Any) -> Answer:
        answer: Answer = self.players[player].call(verb, *args)
        return answer

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def command(self) -> str:
        return f"c{self.number()}"

    def pick(self, pick: int) -> Handle:
        return self.handles[pick % len(self.handles)]

    def there(self) -> list[Expected]:
        return [thread for thread in self.threads.values() if not thread.removed]

    def has_key(self, scope: str, key: str | None) -> Expected | None:
        return next((t for t in self.there() if t.scope == scope and t.key == key and key is not None), None)

    @property
    def held(self) -> set[Any]:
        return {cid for _, cid in self.holds}

    def hold(self, player: int, h: int, thread: Expected, seen: int) -> Handle:
        handle = Handle(player, h, thread, seen)
        self.handles.append(handle)
        return handle

    def keep(self, scope: str, cid: Any, data: bytes | None) -> None:
        """What was put is held for the scope, for a day; longer if it was."""
        if data is not None:
            self.bytes[cid] = data
        self.holds[scope, cid] = max(self.holds.get((scope, cid), 0), self.now_ms + 24 * HOUR_MS)

    def add(self, thread: Expected) -> Expected:
        assert thread.id not in self.threads
        self.threads[thread.id] = thread
        return thread

    def add_thread(self, player: int, scope: str) -> None:
        """One more, where there would be none."""
        h = self.number()
        thread_id, seen = ok(self.call(player, "start", h, scope, {}))
        self.hold(player, h, self.add(Expected(thread_id, scope)), seen)

    def look(self, handle: Handle, at_least: int) -> int:
        """What a handle has seen after a call that may have shown it more."""
        seen: int = ok(self.call(handle.player, "seen", handle.h))
        assert at_least <= seen <= len(handle.thread.steps)
        return seen

    # What must be.

    @invariant()
    def the_store_is_the_model(self) -> None:
        # By another player each time; all three at the end.
        self.rounds += 1
        self.compare(self.rounds % 3)

    def compare(self, player: int) -> None:
        assert ok(self.call(player, "dump")) == self.all_there()
        refs = ok(self.call(player, "refs"))
        versions = {name: version for name, (version, _) in refs.items() if name.split("/")[1] == "thread"}
        assert versions == {thread.ref: thread.version for thread in self.there()}
        holds = ok(self.call(player, "holds", list(SCOPES)))
        assert {hold: until for hold, until in holds.items() if until > self.now_ms} == self.holds

    def all_there(self) -> dict[str, Any]:
        return {
            "threads": {thread.id: thread.whole() for thread in self.there()},
            "pins": dict(self.pins),
            "quarantined": {name: entry.told for name, entry in self.entries.items()},
        }


def without_lease(thread: dict[str, Any]) -> dict[str, Any]:
    """A thread whose lease does not go where it goes."""
    return thread | {"status": "idle"} if thread["status"] == "running" else thread


def without_leases(dump: dict[str, Any]) -> dict[str, Any]:
    return dump | {"threads": {name: without_lease(thread) for name, thread in dump["threads"].items()}}


_children: list[Child] = []


def child(anew: bool = False) -> Child:
    """The child, kept from one sequence to the next; a new one where there is none or it was killed."""
    if anew or not _children:
        _children[:] = [Child()]
    return _children[0]


def end_children() -> None:
    """Ends what is left of them."""
    for left in _children:
        left.kill()
    _children.clear()
