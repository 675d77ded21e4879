"""What two threads have in common, and what each has of its own."""

from __future__ import annotations

from dataclasses import dataclass

from treering.step import Step, StepRef


@dataclass(frozen=True, slots=True)
class Diff:
    """The steps of two threads since their last common one; `str()` of it is one line."""

    common: StepRef | None
    """The last common step, number 0 for the start; None if not even the start is shared."""
    left: tuple[Step, ...]
    """What only the one has that was asked, in order."""
    right: tuple[Step, ...]
    """What only the other has, in order."""

    def __str__(self) -> str:
        if self.common is None:
            common = "nothing in common"
        elif self.common.number == 0:
            common = "common: the start"
        else:
            common = f"common: step {self.common.number}"
        return f"{common}; then {self._own()}"

    def _own(self) -> str:
        here, there = len(self.left), len(self.right)
        if here == there:
            return f"{_steps(here)} each" if here else "no more"
        return f"{_steps(here)} here, {there} there"


def _steps(count: int) -> str:
    return f"{count} step" if count == 1 else f"{count} steps"
