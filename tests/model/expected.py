"""What a store must hold and answer, as dicts and lists: the model that the real one is compared with.

Promises: plain values, no store, no clock. Never: imports anything of treering.
"""

from dataclasses import dataclass, field
from typing import Any

from player import Answer


@dataclass
class Expected:
    """A thread as it must be."""

    id: str
    scope: str
    key: str | None = None
    prompt: Any = None
    labels: dict[str, Any] = field(default_factory=dict)
    steps: list[tuple[str, Any]] = field(default_factory=list)
    compacts: set[int] = field(default_factory=set)
    artifacts: dict[int, dict[str, bytes]] = field(default_factory=dict)
    state: str = "idle"
    error: str | None = None
    forked_from: tuple[str, int] | None = None
    leased_by: tuple[int, int] | None = None
    token: int = 0
    over_at_ms: int = 0
    removed: bool = False
    """Also one that is in quarantine."""
    origin: str = ""
    """The thread whose start it shares."""
    past: dict[int, tuple[int, str, str | None]] = field(default_factory=dict)
    """By version of its ref: how many steps it had, its state, its error."""
    cut: bool = False
    """It was taken back to an earlier version: commands of before may have no answer any more."""

    lives: int = 1
    """How often it came to be: once more each time that it comes out of quarantine."""

    def __post_init__(self) -> None:
        self.origin = self.origin or self.id
        self.moved()

    def moved(self) -> None:
        """Its ref was moved once; call it when all else is said."""
        self.past[len(self.past) + 1] = (len(self.steps), self.state, self.error)

    @property
    def version(self) -> int:
        return len(self.past)

    @property
    def ref(self) -> str:
        return f"{self.scope}/thread/{self.id}"

    @property
    def over(self) -> bool:
        return self.state in ("completed", "cancelled")

    def back_to(self, version: int) -> None:
        """It was given back as it was then, and counts from 1 again."""
        count, self.state, self.error = self.past[version]
        self.cut = self.cut or version != self.version
        self.steps = self.steps[:count]
        self.compacts = {number for number in self.compacts if number <= count}
        self.artifacts = {number: named for number, named in self.artifacts.items() if number <= count}
        self.past = {}
        self.lives += 1
        self.moved()

    def shared(self, other: "Expected") -> int | None:
        """How many steps both have from where they come from; None for no common start."""
        if self.origin != other.origin:
            return None
        # Not equal but the same: what two wrote alike is not shared by that.
        pairs = zip(self.steps, other.steps, strict=False)
        return next((n for n, (one, two) in enumerate(pairs) if one is not two), min(len(self.steps), len(other.steps)))

    def fork(self, thread_id: str, key: str | None, at: int) -> "Expected":
        """What a fork behind step `at` begins with."""
        fork = Expected(thread_id, self.scope, key, self.prompt, steps=self.steps[:at], origin=self.origin)
        fork.compacts = {number for number in self.compacts if number <= at}
        fork.artifacts = {number: named for number, named in self.artifacts.items() if number <= at}
        fork.forked_from = (self.id, at)
        return fork

    def whole(self) -> dict[str, Any]:
        """In the terms of `Player.whole`."""
        steps = len(self.steps)
        said = [n for n in range(1, steps + 1) if self.steps[n - 1][0] != "__end__"]
        begin = max((n for n in self.compacts if n <= steps), default=0)
        return {
            "scope": self.scope,
            "key": self.key,
            "status": "running" if self.state == "idle" and self.leased_by is not None else self.state,
            "labels": self.labels,
            "prompt": self.prompt,
            "error": self.error,
            "forked_from": self.forked_from,
            "steps": self.steps,
            "back": list(range(steps, 0, -1)),
            "context": [n for n in said if n >= begin],
            "artifacts": self.artifacts,
        }


@dataclass
class Handle:
    """Whose it is, its number there, of which thread, and how many steps it has seen."""

    player: int
    h: int
    thread: Expected
    seen: int


@dataclass
class Done:
    """A command that was answered: what it was called with but for its id, and what it answered."""

    verb: str
    scope: str
    threads: list[Expected]
    command: str
    args: list[Any]
    answer: Any


@dataclass
class Entry:
    """What was put into quarantine together."""

    name: str
    told: dict[str, Any]
    """As the store tells it, in the terms of `Player.whole`."""
    threads: list[Expected]
    pins: dict[tuple[str, str], Any]
    victim: tuple[Any, bytes]
    """The lost block, and the bytes that it had."""


def right(answer: Answer, errors: dict[str, bool], may: frozenset[str] = frozenset()) -> bool:
    """Whether the call was done; an error must be one that is due, and a success one that no error forbids."""
    if answer.error is not None:
        assert errors.get(answer.error), (answer, errors)
        return False
    assert not {kind for kind, due in errors.items() if due} - may, (answer, errors)
    return True


def ok(answer: Answer) -> Any:
    assert answer.error is None, answer
    return answer.value


def has_labels(thread: Expected, wanted: dict[str, Any]) -> bool:
    """Whether all of these are the thread's; True is no 1."""
    return all(
        name in thread.labels and type(thread.labels[name]) is type(value) and thread.labels[name] == value
        for name, value in wanted.items()
    )
