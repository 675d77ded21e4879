"""`treering scope …`: which scopes there are, what is in one, what happened there; all of one at once."""

import sys
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from treering.cli import trimming, whole_scope
from treering.cli.exits import CommandError
from treering.cli.opening import Opening, opening
from treering.cli.options import AsJson, examples

if TYPE_CHECKING:
    from treering import Scope

scope_app: Final = typer.Typer(
    name="scope",
    help="Scopes: what each holds, what happened in it; fork, compare, export, import, check, trim, erase a whole one.",
    no_args_is_help=True,
    epilog=examples(
        "treering scope list",
        "treering scope show alice",
        "treering scope history alice --last 5",
        "treering scope retention alice --younger-than 90d",
        "treering scope erase alice --dry-run",
    ),
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A scope.")]


@scope_app.command("list", epilog=examples("treering scope list", "treering scope list --json"))
def list_scopes(context: typer.Context, as_json: AsJson = False) -> None:
    """List the scopes by name, with how many threads, actors and projections each has; deleted actors don't count."""
    store = opening(context).store()
    rows = [_counted(store.scope(name)) for name in store.scopes()]
    if as_json:
        from treering.cli.render.console import print_json_array

        print_json_array(rows)
        return
    from treering.cli.render.actors import print_scopes
    from treering.cli.render.console import err, out

    if rows:
        print_scopes(out(), rows)
    else:
        err().print("no scopes yet", style="faint")


def _counted(scope: "Scope") -> dict[str, Any]:
    return {
        "name": scope.name,
        "threads": sum(1 for _ in scope.threads.list()),
        "actors": sum(1 for info in scope.actors() if info.deleted_at_ms is None),
        "projections": sum(1 for _ in scope.projections()),
    }


@scope_app.command("show", epilog=examples("treering scope show alice", "treering scope show alice --json"))
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """List a scope's actors: kind and parts, version, how many events are kept, when it was last changed; then its
    projections: name, version, how many events it has seen, and of how many actors."""
    from treering.cli.render.console import print_json_array
    from treering.cli.render.records import actor_record, projection_record

    scope = _scope(opening(context), name)
    if as_json:
        print_json_array(
            chain(map(actor_record, scope.actors()), map(projection_record, scope.projections())),
        )
        return
    from treering.cli.render.actors import print_actors, print_projections
    from treering.cli.render.console import err, out

    actors, projections = list(scope.actors()), list(scope.projections())
    if actors:
        print_actors(out(), actors)
    if actors and projections:
        out().print()
    if projections:
        print_projections(out(), projections)
    if not actors and not projections:
        err().print(f"no actors in {name} yet", style="faint")


@scope_app.command(
    "history",
    epilog=examples(
        "treering scope history alice",
        "treering scope history alice --last 100 --json",
    ),
)
def history(
    context: typer.Context,
    name: Name,
    last: Annotated[int, typer.Option(min=1, help="Only the last so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Print what happened in a scope, in the order of commits, the newest last: events of actors, and what became of
    threads, keys, pins and projections."""
    newest = list(islice(_scope(opening(context), name).history(), last))
    newest.reverse()
    if as_json:
        from treering.cli.render.console import print_json_array
        from treering.cli.render.records import scope_event_record

        print_json_array(scope_event_record(event) for event in newest)
        return
    from treering.cli.render.actors import print_scope_event
    from treering.cli.render.console import out

    console = out()
    for event in newest:
        print_scope_event(console, event)


@scope_app.command(
    "erase",
    epilog=examples(
        "treering scope erase alice --dry-run",
        "treering scope erase alice",
        "treering scope erase alice --yes --command-id request-812 --json",
    ),
)
def erase(
    context: typer.Context,
    name: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Change nothing; say what would go.")] = False,
    command_id: Annotated[
        str | None, typer.Option(metavar="ID", help="What makes a retry safe: the same id erases once.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a whole scope, for good: threads, actors, pins, projections, receipts, and what the journal says of it.

    Its blocks go with the next gc, but for those that other scopes hold; vacuum then gives back the free room.
    """
    store = opening(context).store(write=not dry_run)
    scope = store.scope(name)
    if not (yes or dry_run):
        if not sys.stdin.isatty():
            raise CommandError("nothing was erased; nobody is there to ask", "pass --yes, or --dry-run to look first")
        if not typer.confirm(f"Erase {name} ({scope.erase(dry_run=True)}), for good?", err=True):
            raise typer.Abort
    erased = scope.erase(command_id, dry_run=dry_run)
    if as_json:
        from treering.cli.render.console import print_json
        from treering.cli.render.erasing import erased_record

        print_json(erased_record(erased, dry_run))
        return
    from treering.cli.render.console import out
    from treering.cli.render.erasing import print_erased

    print_erased(out(), name, erased, dry_run)


@scope_app.command(
    "erased",
    epilog=examples(
        "treering scope erased",
        "treering scope erased alice --json",
        "treering scope erased --export erasures",
    ),
)
def erased(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only erasures of this name; notes don't say names.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all notes to a file, for treering restore --erasures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the notes that erased scopes left: when, and how much went."""
    store = opening(context).store()
    if export is not None:
        store.export_erasures(export)
    notes = store.erasures(name)
    from treering.cli.render.erasing import note_record, print_notes

    if as_json:
        from treering.cli.render.console import print_json_array

        print_json_array(map(note_record, notes))
        return
    from treering.cli.render.console import err, out

    if notes:
        print_notes(out(), notes)
    else:
        err().print("nothing was erased", style="faint")


def _scope(chosen: Opening, name: str, *, write: bool = False) -> "Scope":
    return whole_scope.named(chosen.store(write=write), name)


scope_app.command("trim", epilog=trimming.TRIM)(trimming.scope_trim)
scope_app.command("retention", epilog=trimming.RETENTION)(trimming.retention)
scope_app.command("fork", epilog=whole_scope.FORK)(whole_scope.fork)
scope_app.command("diff", epilog=whole_scope.DIFF)(whole_scope.diff)
scope_app.command("export", epilog=whole_scope.EXPORT)(whole_scope.export)
scope_app.command("import", epilog=whole_scope.IMPORT)(whole_scope.import_scope)
scope_app.command("verify", epilog=whole_scope.VERIFY)(whole_scope.verify)
scope_app.command("unfinished", epilog=whole_scope.UNFINISHED)(whole_scope.unfinished)
scope_app.command("discard", epilog=whole_scope.DISCARD)(whole_scope.discard)
