"""`treering import-json`: what a system of JSON files left, into a scope."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

EPILOG: Final = examples(
    "treering --scope alice import-json old/alice --dry-run",
    "treering --scope alice import-json old/alice",
    "treering --scope alice import-json prefs.json --kind config --json",
)


class Kinds(StrEnum):
    """What a file holds."""

    CONFIG = "config"
    ACTORS = "actors"
    MEMORY = "memory"
    CONNECTORS = "connectors"
    ROLES = "roles"
    CHAT_INDEX = "chat-index"
    CHAT = "chat"
    THREAD = "thread"


def import_json(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder of them; it is only read.")],
    kind: Annotated[
        Kinds | None, typer.Option("--kind", help="What a file holds whose name does not say it; of a folder, chat.")
    ] = None,
    contents: Annotated[
        Path | None,
        typer.Option(
            "--contents",
            metavar="DIR",
            help="Where thread logs have their contents by hash; without it, content and cas beside them.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be taken, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import what a system of JSON files left: config.json, connectors.json, roles.json, actors.json, user-memory.json,
    chat histories, and thread logs (*.data.jsonl).

    What is in the scope is never overwritten, and the same again writes nothing. What was changed or left out is
    listed; what can't be taken is named on stderr while the rest goes in, and the exit code is 1 then.
    """
    from treering.cli.render.importing import print_refused, print_report, report_record, watching
    from treering.importing import import_json as take

    if not path.exists():
        raise typer.BadParameter(f"'{path}' does not exist.", param_hint="PATH")
    if contents is not None and not contents.is_dir():
        raise typer.BadParameter(f"'{contents}' is no directory.", param_hint="--contents")
    chosen = opening(context)
    # Where nothing is, what would be is the same as in an empty store: a dry run makes none.
    nothing = dry_run and not chosen.path.exists()
    store = chosen.in_memory() if nothing else chosen.store(create=not dry_run)
    with watching(path.name) as progress:
        report = take(
            store.scope(chosen.scope),
            path,
            kind=None if kind is None else kind.value,
            contents=contents,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        from treering.cli.render.console import print_json

        print_json(report_record(report))
    else:
        from treering.cli.render.console import out

        print_report(out(), report)
    if report.refused:
        print_refused(report)
        raise typer.Exit(1)
