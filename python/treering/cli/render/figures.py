"""A store's figures, a line each."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.text import count, size


def print_figures(console: Console, figures: Mapping[str, Any]) -> None:
    """What is in it, what sharing saves, what it takes on disk."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="faint", no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    table.add_row("threads", f"{figures['threads']:,}", f"in {count(figures['scopes'], 'scope')}")
    if figures["unreadable_threads"]:
        table.add_row("corrupt", Text(f"{figures['unreadable_threads']:,}", "bad"), "treering verify says more")
    table.add_row("steps", f"{figures['steps']:,}", "")
    table.add_row(
        "blocks",
        f"{figures['blocks']:,}",
        f"{size(figures['block_bytes'])}, {figures['nodes']:,} of them nodes with {count(figures['links'], 'link')}",
    )
    table.add_row(
        "dedup",
        f"{figures['dedup']:.2f}x",
        f"{size(figures['alone_bytes'])} if every thread were stored alone, {size(figures['thread_bytes'])} as it is",
    )
    table.add_row("commits", f"{figures['commits']:,}", f"{count(figures['refs'], 'ref')}")
    known = bool(figures["gc_at_ms"])
    table.add_row("garbage", f"{figures['garbage_estimate']:,}" if known else "?", _garbage(figures))
    disk = figures["database_bytes"] + figures["wal_bytes"] + (0 if "blobs" in figures else figures["blob_bytes"])
    table.add_row(
        "on disk",
        size(disk),
        f"database {size(figures['database_bytes'])}, log {size(figures['wal_bytes'])}, "
        f"{count(figures['blob_files'], 'blob file')} {size(figures['blob_bytes'])}",
    )
    if "blobs" in figures:
        table.add_row("blobs in", "", str(figures["blobs"]))
    table.add_row(
        "database",
        "",
        f"blocks {size(figures['block_row_bytes'])}, journal {size(figures['journal_bytes'])}, "
        f"receipts {size(figures['receipt_bytes'])}, other {size(figures['other_bytes'])}, "
        f"free {size(figures['free_bytes'])}",
    )
    console.print(table)
    console.print(Text("head  ", "faint").append(str(figures["head"]), "cid"), soft_wrap=True)


def _garbage(figures: Mapping[str, Any]) -> str:
    """Where the estimate comes from."""
    if not figures["gc_at_ms"]:
        return "nothing was collected yet; treering gc --dry-run counts it"
    when = datetime.fromtimestamp(figures["gc_at_ms"] / 1000, UTC)
    text = f"at most, estimated; collected {when:%Y-%m-%d %H:%M} UTC, {count(figures['gc_deleted'], 'block')} deleted"
    if figures["garbage_blocks"]:
        text += f", {count(figures['garbage_blocks'], 'block')} ({size(figures['garbage_bytes'])}) left as too few"
    if figures["dead_blocks"]:
        text += f"; {count(figures['dead_blocks'], 'dead block')} still to be deleted"
    return text
