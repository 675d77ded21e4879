"""Threads as a table, and one thread with its context."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.console import status_style
from treering.cli.render.steps import shorten, step_line
from treering.cli.render.text import count, is_digest_key, label, one_line, short_key, value_text

if TYPE_CHECKING:
    from treering.context import Context
    from treering.thread import Thread

_PROMPT_LINES_MAX = 10
_HEADS = ("ID", "STATUS", "STEPS", "WORKFLOW", "KEY OR ORIGIN")
_STEPS = 2
_GAP = 2
#: Of a thread's labels a list shows so much; `thread show` shows all.
_LABELS_WIDTH_MAX = 100
#: Labels stand beside the row where they have so much room.
_LABELS_WIDTH_MIN = 16


def print_threads(console: Console, threads: Iterable["Thread"]) -> None:
    """One row a thread, in the order given.

    Labels go on under themselves, or under the whole row where there is no room beside it. Nothing is cut that tells
    threads apart: the IDs of one moment differ in their last characters alone.
    """
    rows = [_row(thread) for thread in threads]
    # Keys that an import made say nothing to a person; without others the column goes.
    named = any(row[4].plain for row in rows)
    shown = (0, 1, 2, 3, 4) if named else (0, 1, 2, 3)
    heads = [Text(_HEADS[column], "faint") for column in shown]
    widths = [max(cell.cell_len for cell in (head, *(row[at] for row in rows))) for at, head in enumerate(heads)]
    beside = sum(widths) + _GAP * len(widths)
    under = beside if console.width - beside >= _LABELS_WIDTH_MIN else _GAP
    if any(row[5].plain for row in rows) and under == beside:
        heads.append(Text("LABELS", "faint"))
    console.print(_line(heads, widths), soft_wrap=True)
    for row in rows:
        line = _line([row[at] for at in shown], widths)
        labels = shorten(row[5], _LABELS_WIDTH_MAX).wrap(console, max(1, console.width - under), overflow="fold")
        if under == beside and row[5].plain:
            line.pad_right(beside - line.cell_len)
            line.append_text(labels.pop(0))
        line.rstrip()
        console.print(line, soft_wrap=True)
        for more in labels if row[5].plain else ():
            more.rstrip()
            console.print(Text(" " * under).append_text(more), soft_wrap=True)


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    """Cells side by side; a last one that has no width is as long as it is."""
    line = Text()
    for at, cell in enumerate(cells):
        width = widths[at] if at < len(widths) else cell.cell_len
        padding = " " * (width - cell.cell_len)
        gap = " " * _GAP if at + 1 < len(cells) else ""
        line.append(padding if at == _STEPS else "").append_text(cell).append(("" if at == _STEPS else padding) + gap)
    line.rstrip()
    return line


def _row(thread: "Thread") -> tuple[Text, Text, Text, Text, Text, Text]:
    """ID, status, steps, workflow, name and labels; of a corrupt thread only what can be told."""
    thread_id = Text(thread.id, "id")
    if thread.status == "corrupt":
        return thread_id, status_text("corrupt"), Text(), Text(), Text(), Text()
    return (
        thread_id,
        status_text(thread.status),
        Text(f"{len(thread):,}"),
        shorten(Text(one_line(thread.workflow)), 14),
        name_text(thread),
        labels_text(thread),
    )


def print_thread(console: Console, thread: "Thread", context: "Context") -> None:
    """A thread's record, its prompt and parameters, and the steps of its context, a line each."""
    record = Table.grid(padding=(0, 2, 0, 0))
    record.add_column(style="faint", no_wrap=True)
    record.add_column(overflow="fold")
    record.add_row("thread", Text(thread.id, "id"))
    if thread.key is not None:
        record.add_row("key", Text(one_line(thread.key), "key"))
    record.add_row("workflow", one_line(thread.workflow))
    record.add_row("status", status_text(thread.status))
    if thread.labels:
        record.add_row("labels", labels_text(thread))
    if thread.forked_from is not None:
        record.add_row("forked from", Text(f"{thread.forked_from.thread} at step {thread.forked_from.step}"))
    for name, value in thread.overrides.items():
        record.add_row(name, str(value))
    record.add_row("created", f"{thread.created_at:%Y-%m-%d %H:%M:%S} UTC")
    if thread.completed_at is not None:
        record.add_row("completed", f"{thread.completed_at:%Y-%m-%d %H:%M:%S} UTC")
    record.add_row("start", Text(str(context.start.cid), "cid"))
    record.add_row("head", Text(str(thread.head), "cid"))
    if context.parameters:
        text = one_line(json.dumps(dict(context.parameters), ensure_ascii=False, default=str))
        record.add_row("parameters", shorten(Text(text), max(20, console.width - 15)))
    console.print(record)
    if context.prompt is not None:
        console.print()
        console.print("prompt", style="title")
        lines = value_text(context.prompt).strip().splitlines()
        for line in lines[:_PROMPT_LINES_MAX]:
            console.print(Text("  ").append_text(shorten(Text(line), console.width - 2)))
        if len(lines) > _PROMPT_LINES_MAX:
            console.print(f"  … ({count(len(lines) - _PROMPT_LINES_MAX, 'more line')})", style="faint")
    console.print()
    console.print(f"context: {count(len(context.steps), 'step')}", style="title")
    if context.summary is not None:
        console.print(f"  what came before is summed up: {one_line(value_text(context.summary))}", style="faint")
    for step in context.steps:
        console.print(step_line(step, console.width, indent=2))


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, status_style(status))


def name_text(thread: "Thread") -> Text:
    """What a person calls the thread: its key, unless an import made it, or where it was forked from."""
    if thread.key is not None and not is_digest_key(thread.key):
        return Text(short_key(thread.key), "key")
    if thread.forked_from is not None:
        return Text(f"fork of {thread.forked_from.thread} at {thread.forked_from.step}", "faint")
    return Text("")


def labels_text(thread: "Thread") -> Text:
    """The labels as `--label` takes them."""
    return Text(" ".join(f"{one_line(name)}={label(value)}" for name, value in thread.labels.items()), "label")
