"""`treering scope trim`, `scope retention` and `treering trim`: history that is let go of, and how much is kept."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.moments import age, moment
from treering.cli.opening import opening
from treering.cli.options import AsJson, examples
from treering.cli.whole_scope import Name, named

if TYPE_CHECKING:
    from treering import ScopeTrimmed

TRIM: Final = examples(
    "treering scope trim alice --dry-run",
    "treering scope trim alice --keep 100 --yes",
    "treering scope trim alice --younger-than 90d --yes --json",
)
RETENTION: Final = examples(
    "treering scope retention alice",
    "treering scope retention alice --younger-than 90d",
    "treering scope retention alice --keep-all --json",
)
TRIM_ALL: Final = examples("treering trim --dry-run", "treering trim --yes", "treering trim --yes --json")
Keep = Annotated[
    int | None, typer.Option(min=0, metavar="EVENTS", help="Keep the newest so many events of each actor.")
]
YoungerThan = Annotated[str | None, typer.Option(metavar="AGE", help="Keep events younger than an age (90d, 12h).")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Change nothing; say what would go.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def scope_trim(
    context: typer.Context,
    name: Name,
    keep: Keep = None,
    younger_than: YoungerThan = None,
    before: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Keep what came after a day (UTC) or an age (90d, 12h).")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Cut off the history of all actors of a scope, for good, by its retention policy; or by what is said, this once.

    What they are stays, and threads keep all their steps. Without a policy all is kept.
    """
    if sum(one is not None for one in (keep, younger_than, before)) > 1:
        raise typer.BadParameter("say it once: --keep, --younger-than or --before", param_hint="--keep")
    until = None if before is None else moment(before, "day or age")
    span = _span(younger_than)
    scope = named(opening(context).store(write=not dry_run), name)
    if not (yes or dry_run):
        _expect_somebody()
        _ask((scope.trim(keep=keep, before=until, younger_than=span, dry_run=True),))
    done = scope.trim(keep=keep, before=until, younger_than=span, dry_run=dry_run)
    from treering.cli.render.trimming import print_trimmed, trimmed_record

    if as_json:
        from treering.cli.render.console import print_json

        print_json(trimmed_record(done, dry_run))
    else:
        from treering.cli.render.console import err, out

        print_trimmed(out(), err(), done, dry_run)
    if done.refused:
        raise typer.Exit(1)


def trim_all(context: typer.Context, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Cut off the histories of all scopes, for good, each by its own retention policy; those without one keep all.

    For a timer: a scope or an actor that can't be trimmed is named, keeps no other from it, and makes the command
    fail at its end.
    """
    store = opening(context).store(write=not dry_run)
    if not (yes or dry_run):
        _expect_somebody()
        _ask(store.trim(dry_run=True))
    done = store.trim(dry_run=dry_run)
    from treering.cli.render.trimming import print_all_trimmed, trimmed_record

    if as_json:
        from treering.cli.render.console import print_json_array

        print_json_array(trimmed_record(scope, dry_run) for scope in done)
    else:
        from treering.cli.render.console import err, out

        print_all_trimmed(out(), err(), done, dry_run)
    if any(scope.refused or scope.failed is not None for scope in done):
        raise typer.Exit(1)


def retention(
    context: typer.Context,
    name: Name,
    keep: Keep = None,
    younger_than: YoungerThan = None,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="Keep all, as before any policy was set.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a scope's retention policy, or replace it. Nothing is cut off before a trim."""
    said = (keep is not None) + (younger_than is not None) + keep_all
    if said > 1:
        raise typer.BadParameter("say it once: --keep, --younger-than or --keep-all", param_hint="--keep")
    span = _span(younger_than)
    scope = named(opening(context).store(write=bool(said)), name)
    if said:
        scope.retention.set(keep=keep, younger_than=span)
    policy = scope.retention.get()
    from treering.cli.render.console import say
    from treering.cli.render.records import message_record
    from treering.cli.render.text import one_line
    from treering.cli.render.trimming import policy_text

    say(f"{one_line(name)}: {policy_text(policy)}", message_record(policy), as_json)


def _span(text: str | None) -> timedelta | None:
    return None if text is None else age(text, "--younger-than")


def _expect_somebody() -> None:
    if not sys.stdin.isatty():
        raise CommandError("nothing was cut off; nobody is there to ask", "pass --yes, or --dry-run to look first")


def _ask(plan: "Sequence[ScopeTrimmed]") -> None:
    dropped = sum(scope.dropped for scope in plan)
    actors = sum(not actor.refused for scope in plan for actor in scope.actors)
    if dropped and not typer.confirm(f"Forget {dropped:,} versions of {actors:,} actors, for good?", err=True):
        raise typer.Abort
