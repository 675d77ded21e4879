"""Refs as a table, and an entry of the quarantine."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.findings import short
from treering.cli.render.text import count

if TYPE_CHECKING:
    from treering.refs import Quarantined, RefState

_LOST_MAX = 5


def print_refs(console: Console, rows: Sequence["RefState"], held: Mapping[str, "Quarantined"]) -> None:
    """A row for each ref; nothing for none."""
    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="faint")
    table.add_column("NAME", overflow="fold")
    table.add_column("VERSION", justify="right", no_wrap=True)
    table.add_column("TARGET", no_wrap=True)
    table.add_column("STATE", overflow="fold")
    for row in rows:
        state = Text("")
        if row.broken is not None:
            state = Text(f"broken: {short(row.broken)}", "bad")
        elif (entry := held.get(row.name)) is not None:
            names = ", ".join(ref.name for ref in entry.refs)
            state = Text(f"quarantined: {names}" if entry.broken is None else f"broken: {short(entry.broken)}", "warn")
        table.add_row(
            Text(row.name, "id"),
            "" if row.version is None else str(row.version),
            Text("" if row.target is None else row.target.short(), "cid"),
            state,
        )
    console.print(table)


def print_entry(console: Console, entry: "Quarantined") -> None:
    """What is in quarantine under an entry, and what to do with it."""
    console.print(Text(f"{entry.entry}  {entry.at:%Y-%m-%d %H:%M} UTC", "head"))
    if entry.broken is not None:
        console.print(Text(f"broken: {short(entry.broken)}", "bad"))
    for ref in entry.refs:
        line = Text("  ").append(ref.name, "id")
        line.append(f"  {ref.why}" if ref.why else "  came along", "bad" if ref.why else "faint")
        console.print(line, soft_wrap=True)
        if ref.target is not None:
            console.print(f"    stood at version {ref.version} ({ref.target.short()})")
        if ref.whole_target is not None:
            console.print(f"    whole at version {ref.whole_version} ({ref.whole_target.short()})")
    if entry.lost:
        names = ", ".join(cid.short() for cid in entry.lost[:_LOST_MAX])
        more = len(entry.lost) - _LOST_MAX
        console.print(f"  lost: {count(len(entry.lost), 'block')}: {names}{f' and {more} more' if more > 0 else ''}")
    if any(ref.whole_target is not None for ref in entry.refs):
        console.print(f"  treering ref restore {entry.entry} --whole", style="command")
