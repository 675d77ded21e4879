"""Connectors and roles as tables, and one of them field by field. A secret is shown by where it is found."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.records import message_record
from treering.cli.render.text import one_line, value_line
from treering.messages import Connector, Role


def print_catalog(console: Console, items: "Sequence[Any]") -> None:
    """A row for each."""
    headers = (
        ("NAME", "TYPE", "ENABLED", "CALLS")
        if isinstance(items[0], Connector)
        else ("ID", "NAME", "MODEL", "CONNECTORS")
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="faint")
    for number, header in enumerate(headers):
        table.add_column(header, no_wrap=number + 1 < len(headers))
    for item in items:
        first, *more = item_cells(item)
        table.add_row(Text(first, "key"), *map(Text, more))
    console.print(table, soft_wrap=True)


def item_cells(item: Connector | Role) -> list[str]:
    """What tells most of it."""
    if isinstance(item, Role):
        cells = [item.id, item.name, "/".join(filter(None, (item.provider, item.model))), ", ".join(item.connectors)]
    else:
        cells = [item.name, item.type, "yes" if item.enabled else "no", _calls(item)]
    return [one_line(cell) for cell in cells]


def print_item(console: Console, item: Connector | Role) -> None:
    """Every field that says something, a line each."""
    lines = list(_lines("", message_record(item)))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        shown = Text(f"{one_line(name):<{width}}  ", "faint").append(value_line(value), "default")
        console.print(shown, soft_wrap=True)


def _calls(item: Connector) -> str:
    match item.type:
        case "http" if item.http is not None:
            return item.http.base_url
        case "cli" if item.cli is not None:
            return " ".join((item.cli.command, *item.cli.fixed_arguments))
        case "mcp" if item.mcp is not None:
            return item.mcp.url or " ".join((item.mcp.command, *item.mcp.arguments))
    return ""


def _lines(prefix: str, record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict) and value.keys() != {"secret"}:
            yield from _lines(f"{prefix}{name}.", value)
        elif value not in (None, "", []):
            yield f"{prefix}{name}", value
