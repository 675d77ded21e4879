"""`treering scope fork|diff|export|import|verify|unfinished|discard`: what is done with all of a scope at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from treering.cli import interchange
from treering.cli.exits import CommandError
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

if TYPE_CHECKING:
    from treering import Scope, Store

Name = Annotated[str, typer.Argument(metavar="NAME", help="A scope.")]
Other = Annotated[str, typer.Argument(metavar="OTHER", help="Another scope.")]
FORK = examples("treering scope fork alice alice-trial", "treering scope fork alice nightly --command-id 2026-11-23")
DIFF = examples("treering scope diff alice alice-trial", "treering scope diff alice alice-trial --json")
EXPORT = examples("treering scope export alice alice.car", "treering scope export alice - > alice.car")
IMPORT = examples(
    "treering scope import alice alice.car", "treering --store ./other scope import alice-2 alice.car --json"
)
VERIFY = examples("treering scope verify alice", "treering scope verify alice --json")
UNFINISHED = examples("treering scope unfinished", "treering scope unfinished --json")
DISCARD = examples(
    "treering scope discard alice-trial",
)


def named(store: "Store", name: str) -> "Scope":
    """Returns a scope that there is."""
    if name not in store.scopes():
        raise CommandError(f"no scope {name}", "treering scope list shows the scopes there are")
    return store.scope(name)


def fork(
    context: typer.Context,
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="What the fork is called; it must not be there yet.")],
    command_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Makes it safe to repeat: the second time writes nothing.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a new scope all that a scope has at this moment. No block is written; each goes its own way from then on.

    One that was cut short is seen by nobody: the same command again finishes it.
    """
    from treering.cli.render.backup import watching
    from treering.cli.render.console import say

    store = opening(context).store(write=True)
    with watching(f"forking {name}") as progress:
        lineage = named(store, name).fork(new, command_id=command_id, progress=progress).lineage()
    refs = 0 if lineage is None else lineage.refs
    say(f"forked {name} as {new}: {refs} refs", {"scope": new, "of": name, "refs": refs}, as_json)


def export(
    context: typer.Context,
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", dir_okay=False, help="The file to write; it must not be there. - is stdout."),
    ],
    as_json: AsJson = False,
) -> None:
    """Export a whole scope to a CAR file: threads, stores, files, projections, pins, command receipts.

    The file is the state at one moment, and needs nothing else to be read.
    """
    interchange.write_archive(named(opening(context).store(), name), file, None, as_json)


def import_scope(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The scope to import into; it need not be there.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", dir_okay=False, help="A file of treering export; - is stdin.")
    ],
    on_conflict: Annotated[
        interchange.Conflicts,
        typer.Option(
            help="A thread (or pin) whose id or key another has: refuse the file, give it another, or leave it out."
        ),
    ] = interchange.Conflicts.REFUSE,
    as_json: AsJson = False,
) -> None:
    """Import a CAR file into a scope, all of it at once for every reader.

    Everything is checked first; a file that is refused has written nothing. What is there as it is in the file is left
    alone, what the file only knows more of goes on, and what went on otherwise refuses the file.
    """
    interchange.read_archive(opening(context), name, file, on_conflict, as_json)


def diff(context: typer.Context, name: Name, other: Other, as_json: AsJson = False) -> None:
    """Say what only one of two scopes has (+ the first, - the second), and where threads and actors went apart.

    Exit code 0 whether they differ or not.
    """
    from treering.cli.render.console import out, print_json
    from treering.cli.render.scopes import diff_record, print_diff

    store = opening(context).store()
    found = named(store, name).diff(named(store, other))
    if as_json:
        print_json(diff_record(found))
    else:
        print_diff(out(), found)


def verify(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Check all that a scope has: every block that it reaches, its threads, actors, read models and projections.

    Exit code 1 if anything is wrong. treering verify checks the whole store, its journal too, and can mend.
    """
    from treering.cli.render.console import out, print_json
    from treering.cli.render.scopes import print_verified, verified_record

    report = named(opening(context).store(), name).verify()
    if as_json:
        print_json(verified_record(report))
    else:
        print_verified(out(), report)
    if not report.ok:
        raise typer.Exit(1)


def unfinished(context: typer.Context, as_json: AsJson = False) -> None:
    """List forks that are under way or were cut short, whose scopes nobody sees: the same fork again finishes one."""
    from treering.cli.render.console import err, out, print_json_array
    from treering.cli.render.scopes import print_unfinished, unfinished_record

    found = opening(context).store().unfinished_forks()
    if as_json:
        print_json_array(map(unfinished_record, found))
    elif found:
        print_unfinished(out(), found)
    else:
        err().print("no fork is unfinished", style="faint")


def discard(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The scope that a fork was to make.")],
    as_json: AsJson = False,
) -> None:
    """Clear away what a fork that was cut short left. A scope that there is, is never touched."""
    from treering.cli.render.console import say

    refs = opening(context).store(write=True).scope(name).discard_fork()
    say(f"discarded {refs} refs of a fork to {name}", {"scope": name, "refs": refs}, as_json)
