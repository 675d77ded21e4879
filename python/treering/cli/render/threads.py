"""Threads as a table, and one thread with its context."""

import json
from collections.abc import Iterable
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


def thread_table(threads: Iterable["Thread"]) -> Table:
    """One row a thread, in the order given; where room is short, the labels go on under themselves."""
    rows = [_row(thread) for thread in threads]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="faint")
    table.add_column("ID", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    table.add_column("STEPS", justify="right", no_wrap=True)
    table.add_column("WORKFLOW", no_wrap=True)
    # Keys that an import made say nothing to a person; without others the column goes.
    named = any(row[4].plain for row in rows)
    if named:
        table.add_column("KEY OR ORIGIN", no_wrap=True)
    table.add_column("LABELS", overflow="fold")
    for row in rows:
        table.add_row(*(row if named else (*row[:4], row[5])))
    return table


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
        return Text(f"fork of …{thread.forked_from.thread[-6:]} at {thread.forked_from.step}", "faint")
    return Text("")


def labels_text(thread: "Thread") -> Text:
    """The labels as `--label` takes them."""
    return Text(" ".join(f"{one_line(name)}={label(value)}" for name, value in thread.labels.items()), "label")
