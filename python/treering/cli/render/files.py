"""Files as a table, one of them, and lines that were found in them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.text import one_line

if TYPE_CHECKING:
    from treering import GrepMatch
    from treering.messages import FileInfo


def print_files(console: Console, files: Iterable["FileInfo"]) -> None:
    """A row for each file."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="faint")
    table.add_column("PATH", no_wrap=True)
    table.add_column("BYTES", no_wrap=True, justify="right")
    table.add_column("PUT (UTC)", no_wrap=True)
    table.add_column("TYPE")
    for info in files:
        when = f"{info.updated_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(Text(one_line(info.path), "key"), f"{info.size:,}", when, Text(one_line(info.content_type)))
    console.print(table, soft_wrap=True)


def print_file(console: Console, info: "FileInfo") -> None:
    """What is known of a file."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="faint", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("path", Text(one_line(info.path), "key"))
    grid.add_row("bytes", f"{info.size:,}")
    grid.add_row("type", Text(one_line(info.content_type)))
    grid.add_row("put", f"{info.updated_at:%Y-%m-%d %H:%M:%S} UTC")
    grid.add_row("cid", Text(str(info.content), "cid"))
    console.print(grid)


def print_match(console: Console, found: "GrepMatch") -> None:
    """A line that was found."""
    line = Text(one_line(found.path), "key").append(f":{found.line}: ", "number")
    console.print(line.append(one_line(found.text), "default"), soft_wrap=True)
