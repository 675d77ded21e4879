"""What notebooks show of threads and steps. Everything that comes from a store is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from treering.step import Step
    from treering.thread import Thread

STEPS_MAX: Final = 50
"""A thread shows so many steps; of a longer one the first and the last half of them."""
TEXT_CHARS_MAX: Final = 160
"""So much of a text is shown in a row."""
_CONTENT_CHARS_MAX: Final = 4_000


def step(shown: Step) -> str:
    """Returns a step as a small table: role, number, time, content."""
    at = shown.at
    rows = [
        ("role", escape(shown.role)),
        ("step", f"{shown.number}" + (f", {at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "")),
        ("content", _pre(_clip(shown.text, _CONTENT_CHARS_MAX))),
        ("meta", _code(_clip(repr(dict(shown.meta)), TEXT_CHARS_MAX)) if shown.meta else ""),
        ("artifacts", ", ".join(_code(name) for name in shown.artifacts)),
        ("cid", _code(str(shown.cid))),
    ]
    return _table((f"<th>{name}</th>{_cell(cell)}" for name, cell in rows if cell), "")


def thread(shown: Thread, first: Iterable[Step], left_out: int, last: Iterable[Step]) -> str:
    """Returns a thread as a table, one row a step; `left_out` steps stand between `first` and `last`."""
    name = shown.key if shown.key is not None else shown.id
    caption = f"{escape(shown.workflow)} · {escape(name)} · {escape(shown.status)} · {len(shown)} steps"
    rows = ["<th>step</th><th>role</th><th>text</th><th>cid</th>", *map(_row, first)]
    if left_out:
        rows.append(f"<td></td><td></td><td>… {left_out} more …</td><td></td>")
    rows += map(_row, last)
    return _table(rows, caption)


def _row(shown: Step) -> str:
    text = escape(_clip(" ".join(shown.text.split()), TEXT_CHARS_MAX))
    cells = (str(shown.number), escape(shown.role), text, _code(shown.cid.short()))
    return "".join(map(_cell, cells))


def _table(rows: Iterable[str], caption: str) -> str:
    head = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{head}{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _cell(content: str) -> str:
    return f'<td style="text-align:left">{content}</td>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _pre(text: str) -> str:
    return f'<pre style="white-space:pre-wrap">{escape(text)}</pre>'


def _clip(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[:chars_max] + "…"
