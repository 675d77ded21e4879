"""`treering journal …`: what is kept of the record of all commits, and where."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.moments import moment
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

if TYPE_CHECKING:
    from treering.journal import ExpireReport, SealReport

journal_app: Final = typer.Typer(
    name="journal",
    help="The journal: every commit in order. It is kept whole unless you expire it.",
    no_args_is_help=True,
    epilog=examples(
        "treering journal list",
        "treering journal seal --keep 1000",
        "treering journal expire --before 90d",
    ),
)


@journal_app.command("list", epilog=examples("treering journal list", "treering journal list --json"))
def list_files(context: typer.Context, as_json: AsJson = False) -> None:
    """List the sealed files and what is not sealed: commits, times, bytes."""
    from treering.cli.render.console import out, print_json
    from treering.cli.render.journal import extent_record, print_extent

    extent = opening(context).store().journal_extent()
    if as_json:
        print_json(extent_record(extent))
    else:
        print_extent(out(), extent)


@journal_app.command("seal", epilog=examples("treering journal seal", "treering journal seal --keep 1000 --json"))
def seal(
    context: typer.Context,
    keep: Annotated[
        int, typer.Option(min=1, metavar="COMMITS", help="The newest commits that stay in the database.")
    ] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Move old commits out of the database into small immutable files. Nothing is lost."""
    _tell("sealed", opening(context).store(write=True).seal_journal(keep), as_json)


@journal_app.command(
    "expire",
    epilog=examples(
        "treering journal expire --before 90d",
        "treering journal expire --before 2026-01-31 --yes",
        "treering journal expire --before c1-4096-00f1e2d3c4b5a697 --yes",
    ),
)
def expire(
    context: typer.Context,
    before: Annotated[
        str,
        typer.Option(metavar="WHEN", help="A day (UTC), an age (90d, 12h), or a cursor that `journal list` shows."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete sealed files that are older, for good. What came before them can't be proved any more."""
    until = _moment(before)
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("nothing was deleted; nobody is there to ask", "pass --yes")
        if not typer.confirm(f"Delete the sealed journal before {before}, for good?", err=True):
            raise typer.Abort
    _tell("expired", opening(context).store(write=True).expire_journal(until), as_json)


@journal_app.command("give-up", epilog=examples("treering journal give-up 812 --yes"))
def give_up(
    context: typer.Context,
    position: Annotated[int, typer.Argument(min=1, help="The commit, as `treering verify` names it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give up a commit whose body is lost, so that sealing and backups go on behind it.

    Refused for a commit that can be read or mended.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("nothing was given up; nobody is there to ask", "pass --yes")
        if not typer.confirm(f"Give up what commit {position} did, for good?", err=True):
            raise typer.Abort
    opening(context).store(write=True).give_up_commit(position)
    from treering.cli.render.console import say

    say(f"gave up commit {position}: what it did is not known any more", {"commit": position}, as_json)


def _moment(text: str) -> datetime | str:
    """What `--before` means. Raises a usage error for anything else."""
    return text if text.startswith("c1-") else moment(text, "day, age (90d, 12h) or cursor")


def _tell(done: str, report: "SealReport | ExpireReport", as_json: bool) -> None:
    from treering.cli.render.console import print_json
    from treering.cli.render.text import count, size

    if as_json:
        record: dict[str, Any] = {"files": report.files, "commits": report.commits, "bytes": report.bytes}
        print_json(record)
    elif report.commits == 0:
        typer.echo(f"nothing to be {done}")
    else:
        typer.echo(f"{done} {count(report.commits, 'commit')} in {count(report.files, 'file')}, {size(report.bytes)}")
