"""What a decider may know beside state and command.

Promises: the same context gives the same chance. Never: a clock is read here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_OF_CONTEXT: Final = ("at_ms", "parts", "version", "principal", "_seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorContext:
    """What a decider may know beside state and command. The same context gives the same events."""

    at_ms: int
    """The time, Unix milliseconds, by the store's clock. The event's own `at_ms`, the commit's, is a little later."""
    parts: tuple[str, ...]
    """What tells this actor apart from the others of its kind."""
    version: int
    """The actor's version before the command."""
    principal: str | None
    """On whose behalf, in the caller's words."""
    random: random.Random
    """Chance: seeded anew for each command, the same when it is decided again."""
    _seed: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def __getattr__(self, name: str) -> Any:
        # What is not set yet. To seed chance takes longer than to decide, and few ask for it.
        if name != "random" or self._seed is None:
            raise AttributeError(f"ActorContext has no {name}")
        made = random.Random(self._seed)
        object.__setattr__(self, "random", made)
        return made

    def new_id(self) -> str:
        """Returns a ULID of `at_ms`, another one with each call."""
        number = max(self.at_ms, 0) << 80 | self.random.getrandbits(80)
        return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -5, -5))


def context_of(at_ms: int, parts: tuple[str, ...], version: int, principal: str | None, seed: bytes) -> ActorContext:
    """Returns a context whose chance is seeded when it is asked for."""
    context = object.__new__(ActorContext)
    for name, value in zip(_OF_CONTEXT, (at_ms, parts, version, principal, seed), strict=True):
        object.__setattr__(context, name, value)
    return context
