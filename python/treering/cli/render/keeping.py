"""What a collection did, and what keeps blocks: pins and holds."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.console import err
from treering.cli.render.text import count, one_line, size

if TYPE_CHECKING:
    from treering import Cid, GcReport, Hold


@contextmanager
def collecting() -> Iterator[None]:
    """Something that moves on stderr while a collection runs, where that is a terminal."""
    console = err()
    if not console.is_terminal:
        yield
        return
    with console.status("collecting"):
        yield


def print_report(console: Console, report: "GcReport") -> None:
    """What went, and what stays because of what."""
    kept = f"{count(report.reachable, 'block')} {'stays' if report.reachable == 1 else 'stay'}"
    roots = f"{count(report.roots - report.held, 'ref')}, {count(report.held, 'hold')}"
    if report.kept_because is not None:
        files = count(report.kept_files, "file")
        console.print(f"{files} without a row stay: {one_line(report.kept_because)}")
    if report.deleted == 0:
        console.print(f"nothing to collect: {kept} ({roots})")
        return
    verb = "would go" if report.dry_run else "deleted"
    gone = f"{count(report.deleted, 'block')}, {size(report.freed_bytes)}"
    nodes = f"{count(report.dead_nodes, 'node')} with {count(report.dead_links, 'link')} among them"
    console.print(f"{verb}: {gone}; {nodes}")
    console.print(f"{kept} ({roots})")


def report_record(report: "GcReport") -> dict[str, Any]:
    """The report for `--json`."""
    return asdict(report)


def print_pins(console: Console, pins: Mapping[str, "Cid"]) -> None:
    """Names and whole CIDs, to be copied."""
    table = _table("NAME", "CID")
    for name, cid in pins.items():
        table.add_row(Text(one_line(name), "key"), Text(str(cid), "cid"))
    console.print(table, soft_wrap=True)


def print_holds(console: Console, holds: Sequence["Hold"]) -> None:
    """Whole CIDs and when each hold ends."""
    table = _table("CID", "UNTIL (UTC)")
    for hold in holds:
        table.add_row(Text(str(hold.cid), "cid"), f"{hold.expires_at:%Y-%m-%d %H:%M:%S}")
    console.print(table, soft_wrap=True)


def hold_record(hold: "Hold") -> dict[str, Any]:
    """A hold for `--json`."""
    return {"cid": str(hold.cid), "scope": hold.scope, "expires_at_ms": hold.expires_at_ms}


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="faint")
    for header in headers:
        table.add_column(header, no_wrap=True)
    return table
