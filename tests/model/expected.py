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
    removed: bool = False

    @property
    def over(self) -> bool:
        return self.state in ("completed", "cancelled")

    def fork(self, thread_id: str, key: str | None, at: int) -> "Expected":
        """What a fork behind step `at` begins with."""
        fork = Expected(thread_id, self.scope, key, self.prompt, steps=self.steps[:at])
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
