"""The two consoles: data goes to stdout, everything else to stderr.

Promises: colour only where rich finds a terminal and NO_COLOR is unset; the same layout with and without colour; plain
ASCII drawing where the output's encoding has no box characters. Never: wraps or cuts what `--json` prints.
"""

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.theme import Theme

THEME = Theme(
    {
        "id": "yellow",
        "cid": "bright_black",
        "number": "bold",
        "key": "cyan",
        "label": "bright_black",
        "faint": "bright_black",
        "head": "bold",
        "call": "magenta",
        "good": "green",
        "bad": "bold red",
        "warn": "yellow",
        "command": "bold",
        "title": "bold",
        "status.idle": "default",
        "status.running": "bold cyan",
        "status.paused": "yellow",
        "status.failed": "red",
        "status.completed": "green",
        "status.cancelled": "yellow",
        "status.corrupt": "bold red",
        "role.user": "blue",
        "role.assistant": "green",
        "role.tool": "magenta",
        "role.other": "cyan",
    }
)
#: Columns where nothing says how wide the output is.
WIDTH = 100


def out() -> Console:
    """The console for data."""
    return _console(sys.stdout)


def err() -> Console:
    """The console for errors, hints, questions and progress."""
    return _console(sys.stderr)


def print_json(value: Any) -> None:
    """Prints one JSON document, on a terminal too without colour, so that it can be copied."""
    with data_stream() as stream:
        stream.write(json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n")


def say(text: str, record: Mapping[str, Any], as_json: bool) -> None:
    """Prints what was done: a line, or the same as JSON."""
    if as_json:
        print_json(record)
    else:
        sys.stdout.write(text + "\n")


def print_json_array(values: Iterable[Any]) -> None:
    """Prints a JSON array, one element a line, as the elements come."""
    empty = True
    with data_stream() as stream:
        for value in values:
            stream.write(("[\n" if empty else ",\n") + json.dumps(value, ensure_ascii=False, default=_plain))
            empty = False
        stream.write("[]\n" if empty else "\n]\n")


@contextmanager
def data_stream() -> Iterator[TextIO]:
    """stdout for data: UTF-8 with plain line feeds, whatever the terminal's encoding is."""
    sys.stdout.flush()
    stream = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="\n")
    try:
        yield stream
        stream.flush()
    finally:
        # Without this the wrapper would close stdout when it goes.
        stream.detach()


def role_style(role: str) -> str:
    """The style of a role's name."""
    return f"role.{role}" if role in ("user", "assistant", "tool") else "role.other"


def status_style(status: str) -> str:
    """The style of a thread's status."""
    style = f"status.{status}"
    return style if style in THEME.styles else "status.idle"


def _console(file: TextIO) -> Console:
    width = None if file.isatty() or os.environ.get("COLUMNS", "").isdigit() else WIDTH
    return Console(file=file, theme=THEME, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def _plain(value: Any) -> Any:
    """CIDs and bytes as DAG-JSON writes them."""
    if isinstance(value, bytes):
        import base64

        return {"/": {"bytes": base64.b64encode(value).decode().rstrip("=")}}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list | set):
        return list(value)
    return {"/": str(value)} if type(value).__name__ == "Cid" else str(value)
