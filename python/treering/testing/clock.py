"""A clock that stands until a test moves it."""

from __future__ import annotations

from typing import Final

from treering._core import ClockCore

START_MS: Final = 1_800_000_000_000
"""Where a clock stands that is told nothing: 2027-01-15T08:00:00Z."""


class Clock:
    """The time of the stores that are opened on it, in Unix milliseconds (UTC).

    Leases, holds and the times of steps and commits follow it. One clock may serve several stores.
    """

    __slots__ = ("_core",)

    def __init__(self, now_ms: int = START_MS) -> None:
        self._core = ClockCore(now_ms)

    @property
    def now_ms(self) -> int:
        """Where it stands."""
        return self._core.now_ms()

    def set(self, now_ms: int) -> None:
        """Moves it there, backwards too; the times of a store's commits never go back."""
        self._core.set(now_ms)

    def advance(self, ms: int) -> None:
        """Moves it on by so many milliseconds, back if negative."""
        self._core.advance(ms)

    def __repr__(self) -> str:
        return f"Clock({self.now_ms})"
