"""Arguments and options that several commands share, and what their texts mean."""

import json
from pathlib import Path
from typing import Annotated

import typer

ThreadId = Annotated[
    str, typer.Argument(metavar="ID", help="A thread: its id, the beginning of it (4 characters or more), or its key.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        "-l",
        metavar="NAME=VALUE",
        help="A label; VALUE is read as JSON where it is a number, true, false or null, else as text. Repeatable.",
    ),
]


def examples(*lines: str) -> str:
    """The end of a command's help: how it is called, a line each."""
    # An empty line keeps two lines apart; one feed alone would join them.
    return "\n\n".join(["Examples:", *(f"  $ {line}" for line in lines)])


def input_path(given: Path) -> Path:
    """The file that a FILE argument means; `-` is stdin. Raises a usage error where there is none.

    Typer's own check is not used: the versions of it that stand on pydantic look for a file called `-`.
    """
    if str(given) == "-":
        return Path("/dev/stdin")
    if not given.exists():
        raise typer.BadParameter(f"file '{given}' does not exist.", param_hint="FILE")
    return given


def parse_labels(labels: list[str] | None) -> dict[str, str | int | float | bool | None]:
    """The labels of `--label NAME=VALUE` options.

    A quoted VALUE (`'"7"'`) is the text 7. Raises a usage error where there is no `=`.
    """
    parsed: dict[str, str | int | float | bool | None] = {}
    for text in labels or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--label")
        parsed[name] = _scalar(value)
    return parsed


def _scalar(text: str) -> str | int | float | bool | None:
    try:
        value = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text
    return value if value is None or isinstance(value, str | int | float | bool) else text
