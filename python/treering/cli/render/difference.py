"""Two threads compared, in the manner of a unified diff: a step is a line."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from treering.cli.render.steps import step_line
from treering.cli.render.threads import name_text, status_text

if TYPE_CHECKING:
    from treering.diff import Diff
    from treering.step import Step
    from treering.thread import Thread


def print_diff(console: Console, left: "Thread", right: "Thread", diff: "Diff") -> None:
    """Which two, their last common step, then the steps of each alone: `-` the left one's, `+` the right one's."""
    for sign, style, thread in (("---", "red", left), ("+++", "green", right)):
        head = Text(f"{sign} ", style).append(thread.id, "id")
        for part in (name_text(thread), status_text(thread.status)):
            if part.plain:
                head.append("  ").append_text(part)
        console.print(head, no_wrap=True, overflow="ellipsis")
    console.print(Text(f"@@ {diff} @@", "cyan"))
    if diff.common is not None and diff.common.number > 0:
        _print_step(console, " ", "", left.at(diff.common.number))
    for step in diff.left:
        _print_step(console, "-", "red", step)
    for step in diff.right:
        _print_step(console, "+", "green", step)


def _print_step(console: Console, sign: str, style: str, step: "Step") -> None:
    line = Text(f"{sign} ", style)
    line.append_text(step_line(step, console.width - 2))
    console.print(line, no_wrap=True, overflow="ellipsis")
