"""What an agent is shown of a thread before it acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from treering._core import Cid
from treering.nodes import StartNode
from treering.step import Step

START_ROLE: Final = "__start__"
"""The role name of a thread's start; no step has it."""
END_ROLE: Final = "__end__"
"""The role of the step that `finish` writes; a context leaves it out."""


@dataclass(frozen=True, slots=True)
class Context:
    """The start of a thread and its steps in order, without `__end__`."""

    start: StartNode
    prompt: Any
    """The prompt's content; None where there is none."""
    summary: Any
    """What stands for the steps before `steps`, where the thread was compacted; else None."""
    steps: tuple[Step, ...]
    """The steps, the oldest first; with `last=k` at most k."""

    @property
    def role(self) -> str:
        """The start's role: `__start__`."""
        return START_ROLE

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self.start.workflow

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the thread was started with."""
        return self.start.parameters

    @property
    def start_cid(self) -> Cid:
        """The CID of the start's node."""
        return self.start.cid

    def __repr__(self) -> str:
        return f"<Context {self.workflow} {len(self.steps)} steps {self.start.cid.short()}>"
