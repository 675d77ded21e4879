"""How a command says that it failed: one `error:` line, one `hint:` line where one helps, an exit code.

Never: a traceback for what the user can set right; a message of more than one line.
"""

from typing import TYPE_CHECKING, Any

import typer

from treering.errors import Ambiguous, Diverged, LeaseHeld, NotFound, ReadOnly, TreeringError, WrongStatus

if TYPE_CHECKING:

    class UsageError(Exception):
        """A command line that can't be meant."""

        def format_message(self) -> str: ...

else:
    # typer exports only this one of its usage errors by name.
    UsageError = typer.BadParameter.__mro__[1]


class CommandError(TreeringError):
    """A command can't do what it was asked; carries the hint that goes with it."""

    kind = "command"

    def __init__(self, message: str, /, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)


def complain(message: str, hint: str | None) -> None:
    """Prints an error and its hint to stderr."""
    from treering.cli.render.console import err
    from treering.cli.render.text import one_line

    console = err()
    console.print("[bad]error:[/] ", end="", markup=True)
    console.print(one_line(message), soft_wrap=True)
    if hint is not None:
        console.print("[faint]hint:[/] ", end="", markup=True)
        console.print(hint, soft_wrap=True)


def explain(error: Exception) -> None:
    """Prints an error of the library or of the system."""
    message = str(error)
    if isinstance(error, OSError) and not isinstance(error, TreeringError) and error.strerror:
        message = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    complain(message, _hint(error))


def is_bare(error: UsageError) -> bool:
    """Whether a group was called without a command, which asks for its help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _hint(error: Exception) -> str | None:
    given: Any = getattr(error, "hint", None)
    if isinstance(given, str):
        return given
    if isinstance(error, Ambiguous):
        candidates = [str(candidate) for candidate in getattr(error, "candidates", ())]
        named = all(candidate in str(error) for candidate in candidates)
        return None if named else f"it could be {', '.join(candidates)}"
    if isinstance(error, WrongStatus) and getattr(error, "status", "") == "running":
        return "cancel it first, or pass --force"
    if isinstance(error, LeaseHeld):
        return "it is freed when its owner ends; `treering thread show ID` names the owner"
    if isinstance(error, ReadOnly):
        return "commands that write need a directory that can be written; of a backup `treering restore` makes a store"
    if isinstance(error, Diverged) and "refs" in error.attributes:
        return "treering copy SRC DST --rename SCOPE=NEW copies a scope under another name"
    if isinstance(error, NotFound) and error.attributes.keys() == {"thread"}:
        return "treering thread list shows the threads there are"
    return None
