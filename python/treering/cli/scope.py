"""`treering scope …`: which scopes there are, what is in one, what happened there; all of one at once."""

from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from treering.cli import whole_scope
from treering.cli.opening import Opening, opening
from treering.cli.options import AsJson, examples

if TYPE_CHECKING:
    from treering import Scope

scope_app: Final = typer.Typer(
    name="scope",
    help="Scopes: what each holds, what happened in it; fork, compare and check a whole one.",
    no_args_is_help=True,
    epilog=examples(
        "treering scope list",
        "treering scope show alice",
        "treering scope history alice --last 5",
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
    """Print what happened to all actors of a scope, in time order, the newest last."""
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


def _scope(chosen: Opening, name: str) -> "Scope":
    return whole_scope.named(chosen.store(), name)


scope_app.command("fork", epilog=whole_scope.FORK)(whole_scope.fork)
scope_app.command("diff", epilog=whole_scope.DIFF)(whole_scope.diff)
scope_app.command("verify", epilog=whole_scope.VERIFY)(whole_scope.verify)
scope_app.command("unfinished", epilog=whole_scope.UNFINISHED)(whole_scope.unfinished)
scope_app.command("discard", epilog=whole_scope.DISCARD)(whole_scope.discard)
