"""What is kept of the journal, as a table and for `--json`."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.text import count, size
from treering.step import when

if TYPE_CHECKING:
    from treering.journal import JournalExtent


def print_extent(console: Console, extent: "JournalExtent") -> None:
    """One line for what is kept; a row for each sealed file."""
    kept = f"{count(extent.commits, 'commit')} kept, {extent.commits - extent.sealed_commits:,} of them not sealed"
    if extent.first > 1:
        kept += f"; {count(extent.first - 1, 'older one')} expired"
    console.print(Text(kept))
    if not extent.sealed:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="faint")
    for heading, justify in (("FIRST", "right"), ("LAST", "right"), ("UNTIL", "left"), ("SIZE", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("CURSOR", no_wrap=True)
    for file in extent.sealed:
        until = f"{when(file.last_at_ms):%Y-%m-%d %H:%M}"
        table.add_row(f"{file.first:,}", f"{file.last:,}", until, size(file.bytes), Text(file.cursor, "cid"))
    console.print(table)


def extent_record(extent: "JournalExtent") -> dict[str, Any]:
    """The same for `--json`."""
    return {
        "first": extent.first,
        "last": extent.last,
        "commits": extent.commits,
        "sealed_commits": extent.sealed_commits,
        "start": extent.start,
        "sealed": [{name: getattr(file, name) for name in file.__dataclass_fields__} for file in extent.sealed],
    }
