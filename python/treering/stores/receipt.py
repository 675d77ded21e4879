"""What a write answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Receipt(Generic[T_co]):
    """What a command did. A repeated command id gets the first one's again."""

    version: int
    """The actor's version after it: what `expected_version` of the next one may be."""
    changed: bool
    """False: the command was valid and had nothing to do; no event was written."""
    value: T_co | None
    """What it was about, as it is at that version; None where there is nothing to give, or it was deleted since."""
    dropped: int
    """How much was trimmed or evicted."""
    dropped_ids: tuple[str, ...]
    """The ids of that, where it has ids; at most 100 of them."""
    warnings: tuple[str, ...]
    """What the caller should know."""
    replayed: bool
    """Whether it was done before, under the same command id: nothing was written now."""
