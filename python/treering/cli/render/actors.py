"""Scopes and actors as tables, an actor's state, and its events, a line each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.catalogs import item_cells
from treering.cli.render.console import role_style
from treering.cli.render.records import message_record
from treering.cli.render.steps import shorten
from treering.cli.render.text import count, one_line, value_line
from treering.cli.render.trimming import policy_text
from treering.messages import (
    AgentGroup,
    Connector,
    Conversation,
    FileInfo,
    MemoryEntry,
    Message,
    RetentionPolicy,
    RetentionPolicySet,
    Role,
    Script,
    UserConfig,
    Workflow,
)
from treering.stores.stored import StoredState

if TYPE_CHECKING:
    from datetime import datetime

    from treering import ActorEvent, ActorInfo, ProjectionInfo, ScopeEvent
    from treering.stores import ActorState

_PACKAGE = "treering.v1."
_UNKNOWN = {
    "expired": "the journal up to commit {} is not kept: from here on back actors alone are told of",
    "lost": "what commit {} did is not known",
}


def print_scopes(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row for each scope."""
    counted = ("threads", "actors", "projections")
    table = _table("SCOPE", *map(str.upper, counted))
    for row in rows:
        table.add_row(Text(one_line(row["name"]), "key"), *(f"{row[name]:,}" for name in counted))
    console.print(table, soft_wrap=True)


def print_actors(console: Console, actors: Sequence["ActorInfo"]) -> None:
    """A row for each actor; what is wrong with one stands where its time would."""
    table = _table("ACTOR", "VERSION", "EVENTS", "CHANGED (UTC)")
    for info in actors:
        when = Text(_time(info.at))
        if info.broken is not None:
            when = Text(one_line(info.broken), "bad")
        elif info.deleted_at is not None:
            when = Text(f"{_time(info.deleted_at)} deleted", "faint")
        table.add_row(Text(_name(info), "key"), f"{info.version:,}", f"{info.events:,}", when)
    console.print(table, soft_wrap=True)


def print_projections(console: Console, projections: Sequence["ProjectionInfo"]) -> None:
    """A row for each projection; what is wrong with one stands behind it."""
    table = _table("PROJECTION", "VERSION", "EVENTS", "SOURCES", "")
    for info in projections:
        counts = (f"{number:,}" for number in (info.version, info.events, info.sources))
        table.add_row(Text(one_line(info.name), "key"), *counts, Text(one_line(info.broken or ""), "bad"))
    console.print(table, soft_wrap=True)


def print_actor(console: Console, info: "ActorInfo", at: int | None, state: "ActorState") -> None:
    """Where an actor stands, then its state."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="faint", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("actor", Text(_name(info), "key"))
    grid.add_row("version", f"{info.version:,}" if at is None else f"{at:,} of {info.version:,}")
    grid.add_row("events", f"{info.events:,}")
    if info.deleted_at is not None:
        grid.add_row("deleted", f"{_time(info.deleted_at)} UTC")
    elif info.at is not None:
        grid.add_row("changed", f"{_time(info.at)} UTC")
    if info.head is not None:
        grid.add_row("head", Text(str(info.head), "cid"))
    console.print(grid)
    console.print()
    lines = list(_state_lines(state))
    for line in lines:
        console.print(shorten(line, console.width))
    if not lines:
        console.print("empty", style="faint")


def print_event(console: Console, event: "ActorEvent") -> None:
    """One event of an actor."""
    console.print(shorten(_event_line(Text(f"v{event.version}", "number"), event), console.width))


def print_scope_event(console: Console, happened: "ScopeEvent") -> None:
    """One event of any actor, or what became of something else."""
    who = Text(_name(happened), "key")
    if happened.event is not None:
        line = _event_line(who.append(f" v{happened.version}", "number"), happened.event)
    elif happened.kind == "journal":
        line = Text(f"{_time(happened.at)}  ").append(_UNKNOWN[happened.change].format(happened.position), "warn")
    else:
        if happened.version:
            who.append(f" v{happened.version}", "number")
        line = Text(f"{_time(happened.at)}  ").append_text(who)
        line.append(f"  {happened.change}", "warn" if happened.change in ("deleted", "removed") else "call")
        if happened.target is not None:
            line.append(f"  {happened.target.short()}", "faint")
    console.print(shorten(line, console.width))


def _event_line(who: Text, event: "ActorEvent") -> Text:
    line = Text(f"{_time(event.at)}  ").append_text(who)
    line.append(f"  {one_line(event.type.removeprefix(_PACKAGE))}", "call")
    if event.principal is not None:
        line.append(f"  by {one_line(event.principal)}", "label")
    if event.command_id is not None:
        line.append(f"  #{one_line(event.command_id)}", "label")
    if isinstance(event.message, RetentionPolicySet):
        # In words: a 0 says something here.
        line.append(f"  {policy_text(event.message)}")
    elif event.message is not None:
        line.append(f"  {value_line(_said(message_record(event.message)))}")
    return line


def _said(value: Any) -> Any:
    """A record without what says nothing: absent, empty and 0."""
    if isinstance(value, dict):
        return {name: _said(item) for name, item in value.items() if item not in (None, "", 0, [], {})}
    return value


def _state_lines(state: "ActorState") -> Iterator[Text]:
    if isinstance(state, StoredState):
        yield from _stored_lines(state)
    elif isinstance(state, UserConfig):
        for name, value in message_record(state).items():
            if name != "version":
                yield Text(f"{name:<24}", "faint").append(value_line(value), "default")
    elif isinstance(state, RetentionPolicy):
        yield Text(policy_text(state))
    elif isinstance(state, dict):
        for room_id, there in state.items():
            yield Text(one_line(room_id), "key")
            for participant in there:
                who = f"  {one_line(participant.agent_id)}  {one_line(participant.display_name)}"
                yield Text(who).append(f"  since {_time(participant.joined_at)}", "faint")
    else:
        for item in state:
            yield _item_line(item)
        draft = getattr(state, "draft", None)
        if draft is not None:
            line = Text("draft", "warn").append(f"  {_time(draft.updated_at)}", "faint")
            yield line if draft.item is None else line.append("  ").append_text(_item_line(draft.item))


def _stored_lines(state: StoredState) -> Iterator[Text]:
    for name, value in (state.fields or {}).items():
        yield Text(f"{one_line(name):<24}", "faint").append(value_line(value), "default")
    if state.events:
        yield Text(f"after version {state.fields_version}, where its state was stored last:", "faint")
    for event in state.events:
        yield _event_line(Text(f"v{event.version}", "number"), event)


def _item_line(item: object) -> Text:
    match item:
        case MemoryEntry():
            line = Text(item.id, "id").append(f"  {one_line(item.category)}", "key")
            return line.append(f"  {one_line(item.content)}", "default").append(f"  {item.source}", "faint")
        case AgentGroup():
            return Text(one_line(item.agent_type), "key").append(f"  {one_line(', '.join(item.actor_ids))}", "default")
        case Message():
            line = Text(f"{one_line(item.role):<10}", role_style(item.role))
            files = f"  {count(len(item.attachments), 'file')}" if item.attachments else ""
            return line.append(one_line(item.content), "default").append(files, "faint")
        case Conversation():
            line = Text(one_line(item.id), "key").append(f"  {one_line(item.title)}", "default")
            return line.append(f"  {count(item.message_count, 'message')}  {_time(item.updated_at)}", "faint")
        case Workflow():
            return _source(item.id, item.name, item.yaml, item.uploaded_at)
        case Script():
            return _source(item.id, "", item.source, item.uploaded_at)
        case Connector() | Role():
            first, *more = item_cells(item)
            return Text(first, "key").append("".join(f"  {cell}" for cell in more), "default")
        case FileInfo():
            line = Text(one_line(item.path), "key").append(f"  {item.size:,} bytes", "default")
            return line.append(f"  {one_line(item.content_type)}  {_time(item.updated_at)}", "faint")
        case _:
            return Text(value_line(repr(item)))


def _source(id: str, name: str, source: str, at: "datetime") -> Text:
    line = Text(one_line(id), "key").append(f"  {one_line(name)}" if name else "", "default")
    return line.append(f"  {count(len(source.splitlines()), 'line')}  {_time(at)}", "faint")


def _name(of: "ActorInfo | ScopeEvent") -> str:
    return one_line(" ".join((of.kind, *of.parts)))


def _time(at: "datetime | None") -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="faint")
    for number, header in enumerate(headers):
        numbers = header in ("THREADS", "ACTORS", "PROJECTIONS", "VERSION", "EVENTS", "SOURCES")
        table.add_column(header, no_wrap=number + 1 < len(headers), justify="right" if numbers else "left")
    return table
