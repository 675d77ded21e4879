"""`treering backup` and `treering restore`."""

from pathlib import Path
from typing import Annotated, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

BACKUP_EPILOG: Final = examples(
    "treering backup /mnt/disk/state",
    "treering --store ./state backup /mnt/disk/state --json",
    "treering backup s3://data/backups/state --staging /mnt/disk/state",
    "treering --store /mnt/disk/state thread list",
)
RESTORE_EPILOG: Final = examples(
    "treering restore /mnt/disk/state ./state",
    "treering restore s3://data/backups/state ./state",
    "treering restore /mnt/disk/state ./state --erasures ./erasures",
)


def backup(
    context: typer.Context,
    path: Annotated[
        str,
        typer.Argument(metavar="PATH|URL", help="The backup's directory, made if it is absent; or s3://BUCKET/PREFIX."),
    ],
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Read an earlier backup there again as a whole; what is copied always is.",
        ),
    ] = True,
    staging: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="With a URL: the directory where the backup is made before it is sent. Kept, it makes the next one "
            "quicker; else a temporary one takes the whole store.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the store, as it is at one moment, into a directory; only what is new, if it holds a backup already.

    Writers need not stop. A backup is a store that is opened for reading only: --store PATH looks into it.
    """
    from treering.cli.render.backup import backup_record, print_backup, watching
    from treering.cli.render.console import out, print_json

    store = opening(context).store()
    with watching(f"backing up to {path}") as progress:
        report = store.backup(path, verify=check, staging=staging, progress=progress)
    if as_json:
        print_json(backup_record(report))
    else:
        print_backup(out(), report, in_bucket="://" in path)


def restore(
    context: typer.Context,
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="The backup's directory, or s3://BUCKET/PREFIX.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Where the store goes; absent or empty.")],
    erasures: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Who says which scopes were erased since: a store's directory, or what `scope erased --export` wrote. "
            "Else the store that the backup is of.",
        ),
    ] = None,
    as_it_is: Annotated[
        bool, typer.Option("--as-it-is", help="Restore what the backup has, whatever was erased since.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a store of a backup, in a directory that is absent or empty. Scopes that were erased since are left out.

    `treering --blobs URL restore …` puts its large blocks into a bucket.
    """
    import treering
    from treering.cli.render.backup import backup_record, print_restored, watching
    from treering.cli.render.console import out, print_json

    with watching(f"restoring {backup}") as progress:
        report = treering.restore(
            backup, path, erasures=erasures, as_it_is=as_it_is, blobs=opening(context).blobs, progress=progress
        )
    if as_json:
        print_json(backup_record(report))
    else:
        print_restored(out(), report)
