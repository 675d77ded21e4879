"""`treering ref …`: every ref as a row, and the quarantine for broken ones."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

if TYPE_CHECKING:
    from treering import Quarantined, RefState, Store

ref_app: Final = typer.Typer(
    name="ref",
    help="Refs: the names that keep blocks; and the quarantine for broken ones.",
    no_args_is_help=True,
    epilog=examples(
        "treering ref list --broken",
        "treering ref quarantine main/thread/01K2ABCDEF0123456789ABCDEF",
    ),
)
EntryArgument = Annotated[
    str,
    typer.Argument(metavar="ENTRY", help="An entry as `ref list` names it, or a ref that is in it."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


@ref_app.command(
    "list",
    epilog=examples("treering ref list", "treering ref list --kind quarantine", "treering ref list --json"),
)
def list_refs(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only thread, pin, quarantine …")] = None,
    broken: Annotated[bool, typer.Option("--broken", help="Only rows that are broken.")] = False,
    as_json: AsJson = False,
) -> None:
    """List all refs of all scopes by name: version, target, and what is wrong with the row or in quarantine."""
    store = opening(context).store()
    held = {entry.entry: entry for entry in store.refs.quarantined()}
    rows = [
        row for row in store.refs.list() if (kind is None or row.kind == kind) and not (broken and row.broken is None)
    ]
    if as_json:
        from treering.cli.render.console import print_json_array

        print_json_array(_record(row, held.get(row.name)) for row in rows)
        return
    from treering.cli.render.console import out
    from treering.cli.render.refs import print_refs

    print_refs(out(), rows, held)


@ref_app.command(
    "quarantine",
    epilog=examples("treering ref quarantine main/thread/01K2ABCDEF0123456789ABCDEF --yes"),
)
def quarantine(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A ref as `ref list` names it.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Move a broken ref out of the way, with all that is left of it, so that gc, lists and verify go on.

    Nothing that can be read is lost: `ref restore` takes it back. Try `verify --repair` first.
    """
    store = opening(context).store(write=True)
    _ask(f"Move {name} into quarantine?", yes)
    entry = store.refs.quarantine(name)
    if as_json:
        from treering.cli.render.console import print_json

        print_json(_entry_record(entry))
        return
    from treering.cli.render.console import out
    from treering.cli.render.refs import print_entry

    print_entry(out(), entry)


@ref_app.command(
    "show",
    epilog=examples("treering ref show main/quarantine/17", "treering ref show main/quarantine/17 --json"),
)
def show(context: typer.Context, entry: EntryArgument, as_json: AsJson = False) -> None:
    """Show what is in quarantine under an entry: where each ref stood, and what is lost of it."""
    found = _entry(opening(context).store(), entry)
    if as_json:
        from treering.cli.render.console import print_json

        print_json(_entry_record(found))
        return
    from treering.cli.render.console import out
    from treering.cli.render.refs import print_entry

    print_entry(out(), found)


@ref_app.command(
    "restore",
    epilog=examples("treering ref restore main/quarantine/17", "treering ref restore main/quarantine/17 --whole"),
)
def restore(
    context: typer.Context,
    entry: EntryArgument,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="To the newest version that is whole; the entry stays, with what came after."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put the refs of an entry back where they stood; what they lost has to be put again before."""
    store = opening(context).store(write=True)
    names = store.refs.restore(_entry(store, entry).entry, whole=whole)
    from treering.cli.render.console import say

    say("\n".join(names), {"refs": list(names)}, as_json)


@ref_app.command("discard", epilog=examples("treering ref discard main/quarantine/17 --yes"))
def discard(context: typer.Context, entry: EntryArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Give an entry up: what only it kept goes with the next gc."""
    store = opening(context).store(write=True)
    found = _entry(store, entry)
    _ask(f"Give up {', '.join(ref.name for ref in found.refs)} for good?", yes)
    store.refs.discard(found.entry)
    from treering.cli.render.console import say

    say(found.entry, {"entry": found.entry}, as_json)


def _ask(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("not done; nobody is there to ask", "pass --yes")
    if not typer.confirm(question, err=True):
        raise typer.Abort


def _entry(store: "Store", text: str) -> "Quarantined":
    """The entry of that name, or the newest one that a ref of that name is in."""
    entries = store.refs.quarantined()
    found = [entry for entry in entries if text == entry.entry or any(text == ref.name for ref in entry.refs)]
    if not found:
        raise CommandError(f"nothing in quarantine is named {text}", "treering ref list --kind quarantine")
    return found[-1]


def _record(row: "RefState", entry: "Quarantined | None") -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "version": row.version,
        "target": None if row.target is None else str(row.target),
        "broken": row.broken,
        "quarantined": [] if entry is None else [ref.name for ref in entry.refs],
    }


def _entry_record(entry: "Quarantined") -> dict[str, Any]:
    return {
        "entry": entry.entry,
        "at_ms": entry.at_ms,
        "broken": entry.broken,
        "refs": [
            {
                "name": ref.name,
                "why": ref.why,
                "version": ref.version,
                "target": None if ref.target is None else str(ref.target),
                "whole_version": ref.whole_version,
                "whole_target": None if ref.whole_target is None else str(ref.whole_target),
            }
            for ref in entry.refs
        ],
        "lost": [str(cid) for cid in entry.lost],
    }
