"""Steps: one to a line, or with their contents."""

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from treering.cli.render.console import role_style
from treering.cli.render.records import artifact_cids
from treering.cli.render.text import call_lines, count, one_line, safe, value_line, value_text

if TYPE_CHECKING:
    from treering.step import Step

_CONTENT_LINES_MAX = 10
_ROLE_WIDTH = 9
#: Meta that is shown in another way, or says only how to rebuild a chat message.
_META_SHOWN = frozenset({"tool_calls"})


def step_line(step: "Step", width: int, *, indent: int = 0, number_width: int = 3) -> Text:
    """A step on one line of `width` columns: number, role, the beginning of what it says, CID."""
    line = Text(" " * indent)
    line.append(f"{step.number:>{number_width}}", "number")
    line.append("  ")
    line.append(role_cell(step.role), role_style(step.role))
    line.append("  ")
    cid = Text(step.cid.short(), "cid")
    room = width - line.cell_len - cid.cell_len - 2
    if room < 12:
        return line.append_text(shorten(summary(step), max(0, width - line.cell_len)))
    said = shorten(summary(step), room)
    said.pad_right(room - said.cell_len + 2)
    return line.append_text(said).append_text(cid)


def role_cell(role: str) -> str:
    """A role's name, at least as wide as the usual ones, so that what is said begins in one column."""
    name = one_line(role)
    return f"{name if len(name) <= 14 else name[:13] + '…':<{_ROLE_WIDTH}}"


def summary(step: "Step") -> Text:
    """What a step says, on one line; a step that only calls tools says the calls. A broken block is named in place."""
    from treering.errors import Corrupt, NotFound

    try:
        said = value_line(step.content)
    except (Corrupt, NotFound) as error:
        return Text(one_line(str(error)), "bad")
    calls = call_lines(step.meta)
    if calls and not said:
        return Text("→ " + "  → ".join(calls), "call")
    name = step.meta.get("name")
    if step.role == "tool" and isinstance(name, str):
        return Text(f"{one_line(name)}: ", "call").append(said, "default")
    line = Text(said)
    for call in calls:
        line.append(f"  → {call}", "call")
    return line


def print_step(console: Console, step: "Step", *, full: bool) -> None:
    """A step with its content: at most ten lines of it unless `full`, then calls, meta and artifacts."""
    head = Text()
    head.append(f"{step.number}", "number").append("  ")
    head.append(one_line(step.role), role_style(step.role)).append("  ")
    head.append(step.cid.short(), "cid")
    if step.at is not None:
        head.append(f"  {step.at:%Y-%m-%d %H:%M:%S} UTC", "faint")
    console.print(head)
    lines = value_text(step.content).strip("\n").splitlines()
    shown = lines if full else lines[:_CONTENT_LINES_MAX]
    for line in shown:
        console.print(Text("   " + line), soft_wrap=full, overflow="ellipsis", no_wrap=not full)
    if len(lines) > len(shown):
        console.print(f"   … ({count(len(lines) - len(shown), 'more line')})", style="faint")
    for call in call_lines(step.meta):
        console.print(Text(f"   → {call}", "call"), soft_wrap=full, overflow="ellipsis", no_wrap=not full)
    meta = {name: value for name, value in step.meta.items() if name not in _META_SHOWN}
    if meta:
        text = safe(json.dumps(meta, ensure_ascii=False, default=str))
        console.print(Text(f"   meta {text}", "faint"), soft_wrap=full, overflow="ellipsis", no_wrap=not full)
    for name, cid in artifact_cids(step).items():
        console.print(Text(f"   artifact {one_line(name)}  {cid}", "faint"), soft_wrap=True)
    console.print()


def shorten(text: Text, width: int) -> Text:
    """The text, cut to so many columns with an ellipsis at its end."""
    text.truncate(width, overflow="ellipsis")
    return text
