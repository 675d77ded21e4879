"""Runs the demo's lines and shows each before its output.

Promises: what stands behind `$` runs through the same entry point as on a shell, what stands behind `>>>` is executed
as written; a line that ends otherwise than the script expects stops the demo with an error.
"""

import shlex
import sys
from typing import Any

from rich.text import Text

from treering.cli.exits import CommandError
from treering.cli.render.console import out


class Stage:
    """Where the demo plays: stdout, and one Python session."""

    def __init__(self) -> None:
        self.session: dict[str, Any] = {"__name__": "__console__"}

    def title(self, text: str) -> None:
        """A heading before what follows."""
        console = out()
        console.print()
        console.rule(
            Text(text, "title"), align="left", style="faint", characters="─" if _has_boxes(console.encoding) else "-"
        )

    def say(self, text: str) -> None:
        """A sentence for the reader."""
        out().print(Text(text, "faint"))

    def shown(self, line: str) -> None:
        """A shell line whose effect the demo brings about itself."""
        out().print(Text("$ ", "faint").append(line, "command"), soft_wrap=True)

    def run(self, *arguments: str, code: int = 0) -> None:
        """A treering command: shown, run, and expected to exit with `code`."""
        from treering.cli import run

        self.shown(shlex.join(["treering", *arguments]))
        sys.stdout.flush()
        found = run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        if found != code:
            raise CommandError(f"the demo stopped: treering {shlex.join(arguments)} ended with {found}, not {code}")

    def python(self, source: str) -> None:
        """Python statements, shown and executed as at the prompt: a bare expression's value is printed."""
        for statement in _statements(source):
            first, *rest = statement.splitlines()
            console = out()
            console.print(Text(">>> ", "faint").append(first, "command"), soft_wrap=True)
            for line in rest:
                console.print(Text("... ", "faint").append(line, "command"), soft_wrap=True)
            exec(compile(statement + "\n", "<demo>", "single"), self.session)


def _statements(source: str) -> list[str]:
    """Source cut into its top-level statements."""
    import ast

    lines = source.strip().splitlines()
    return ["\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in ast.parse("\n".join(lines)).body]


def _has_boxes(encoding: str) -> bool:
    return encoding.lower().startswith("utf")
