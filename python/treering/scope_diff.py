"""Two scopes side by side: what only one has, and where threads and actors went apart."""

from __future__ import annotations

from dataclasses import dataclass

from treering import _core
from treering._core import StoresCore


@dataclass(frozen=True, slots=True, order=True)
class ScopeRef:
    """Something of a scope, by what it is called there: a thread, a key, a pin, an actor, a projection."""

    kind: str
    """`thread`, `thread-key`, `pin`, `projection`, or an actor's kind: `user-memory`, `chat`, …"""
    parts: tuple[str, ...]
    """What tells it apart from others of its kind: a thread's id, a conversation's."""

    def __str__(self) -> str:
        return "/".join((self.kind, *self.parts))


@dataclass(frozen=True, slots=True)
class ChangedRef:
    """Something that both scopes have, and that is not the same."""

    ref: ScopeRef
    """What it is called in both."""
    left: int | None
    """A thread's steps or an actor's version in the scope that was asked; None for what has neither."""
    right: int | None
    """The same in the other."""
    common: int | None
    """The newest step or version that both have, 0 for a thread's start. None where nothing that is kept is common to
    them, and for what has neither steps nor versions."""

    def __str__(self) -> str:
        if self.left is None:
            return f"{self.ref}: another one there"
        common = "nothing in common" if self.common is None else f"common: {self.common}"
        return f"{self.ref}: {self.left} here, {self.right} there; {common}"


@dataclass(frozen=True, slots=True)
class ScopeDiff:
    """What tells two scopes apart. It is true if anything does."""

    left: tuple[ScopeRef, ...]
    """What only the scope has that was asked, by kind and name."""
    right: tuple[ScopeRef, ...]
    """What only the other has."""
    changed: tuple[ChangedRef, ...]
    """What both have, and is not the same."""
    same: int
    """How many are the same."""

    def __bool__(self) -> bool:
        return bool(self.left or self.right or self.changed)

    def __str__(self) -> str:
        lines = [f"+ {ref}" for ref in self.left] + [f"- {ref}" for ref in self.right]
        lines += [f"~ {changed}" for changed in self.changed]
        return "\n".join([*lines, f"{self.same} the same"])


def diff_of(left: StoresCore, right: StoresCore) -> ScopeDiff:
    """Returns what tells two scopes apart."""
    only, other, changed, same = _core.diff_scopes(left, right)
    return ScopeDiff(
        tuple(ScopeRef(kind, tuple(parts)) for kind, parts in only),
        tuple(ScopeRef(kind, tuple(parts)) for kind, parts in other),
        tuple(
            ChangedRef(ScopeRef(kind, tuple(parts)), *((None, None, None) if apart is None else apart))
            for kind, parts, apart in changed
        ),
        same,
    )
