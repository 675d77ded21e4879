"""`treering actor …`: one actor of the scope, its state, its events, whether it is sound; and its past cut off."""

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.moments import moment
from treering.cli.opening import Opening, opening
from treering.cli.options import AsJson, examples

if TYPE_CHECKING:
    from treering import ActorHandle, ActorInfo

actor_app: Final = typer.Typer(
    name="actor",
    help="Actors: what the stores of a scope are made of; each a log of events.",
    no_args_is_help=True,
    epilog=examples(
        "treering --scope alice actor show user-memory",
        "treering --scope alice actor events chat conv-1 --last 5",
        "treering --scope alice actor verify user-memory",
    ),
)
Kind = Annotated[str, typer.Argument(metavar="KIND", help="Its kind: user-config, user-memory, chat, …")]
Parts = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PARTS]...", help="What tells it apart from others of its kind: a chat's conversation id."),
]


@actor_app.command(
    "show",
    epilog=examples(
        "treering --scope alice actor show user-config",
        "treering --scope alice actor show user-memory --at 12",
        "treering --scope alice actor show chat conv-1 --json",
    ),
)
def show(
    context: typer.Context,
    kind: Kind,
    parts: Parts = None,
    at: Annotated[int | None, typer.Option("--at", min=0, help="As it was at this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print an actor's state, as it is or as it was at a version."""
    actor, info = _actor(opening(context), kind, parts)
    state = actor.state(at)
    if as_json:
        from treering.cli.render.console import print_json
        from treering.cli.render.records import actor_record, state_record

        print_json({**actor_record(info), "shown": info.version if at is None else at, "state": state_record(state)})
        return
    from treering.cli.render.actors import print_actor
    from treering.cli.render.console import out

    print_actor(out(), info, at, state)


@actor_app.command(
    "events",
    epilog=examples(
        "treering --scope alice actor events user-memory",
        "treering --scope alice actor events chat conv-1 --last 5 --json",
    ),
)
def events(
    context: typer.Context,
    kind: Kind,
    parts: Parts = None,
    first: Annotated[int | None, typer.Option(min=1, help="Begin at this version, else at the oldest kept.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only the last so many events.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what happened to an actor, oldest first: version, time, type, message, on whose behalf, command id."""
    actor, info = _actor(opening(context), kind, parts)
    if last is not None:
        first = max(first or info.oldest + 1, info.version - last + 1)
    found = actor.history(first=first)
    if as_json:
        from treering.cli.render.console import print_json_array
        from treering.cli.render.records import event_record

        print_json_array(event_record(event) for event in found)
        return
    from treering.cli.render.actors import print_event
    from treering.cli.render.console import out

    console = out()
    for event in found:
        print_event(console, event)


@actor_app.command(
    "verify",
    epilog=examples(
        "treering --scope alice actor verify user-memory",
        "treering --scope alice actor verify chat conv-1 --json",
    ),
)
def verify(context: typer.Context, kind: Kind, parts: Parts = None, as_json: AsJson = False) -> None:
    """Read an actor's whole log again: every hash, place and jump, and its snapshot against what the events make."""
    from treering.cli.render.console import say
    from treering.cli.render.text import count, one_line

    actor, info = _actor(opening(context), kind, parts)
    checked = actor.verify()
    name = one_line("/".join((info.kind, *info.parts)))
    record = {"kind": info.kind, "parts": list(info.parts), "version": info.version, "events": checked, "ok": True}
    say(f"ok: {name} at version {info.version:,}, {count(checked, 'event')} checked", record, as_json)


@actor_app.command(
    "trim",
    epilog=examples(
        "treering --scope alice actor trim user-memory --keep 100",
        "treering --scope alice actor trim chat conv-1 --before 40 --yes",
        "treering --scope alice actor trim user-config --before 2026-01-31 --yes --json",
    ),
)
def trim(
    context: typer.Context,
    kind: Kind,
    parts: Parts = None,
    keep: Annotated[int | None, typer.Option(min=0, metavar="EVENTS", help="Keep the newest so many events.")] = None,
    before: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Keep events from this version on, or after a day (UTC) or an age (90d, 12h)."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cut off an actor's history, for good. What it is stays; the blocks go with the next collection."""
    from treering.cli.render.console import say
    from treering.cli.render.text import count, one_line

    if (keep is None) == (before is None):
        raise typer.BadParameter("say what is kept: one of --keep and --before", param_hint="--keep")
    until = None if before is None else int(before) if before.isdecimal() else moment(before, "version, day or age")
    actor, info = _actor(opening(context), kind, parts, write=True)
    name = one_line("/".join((info.kind, *info.parts)))
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("nothing was cut off; nobody is there to ask", "pass --yes")
        what = f"what was before {before}" if keep is None else f"all but its newest {count(keep, 'event')}"
        if not typer.confirm(f"Forget of {name} {what}, for good?", err=True):
            raise typer.Abort
    receipt = actor.trim(before=until, keep=keep)
    oldest = actor.info().oldest
    record = {
        "kind": info.kind,
        "parts": list(info.parts),
        "version": receipt.version,
        "dropped": receipt.dropped,
        "oldest": oldest,
    }
    done = f"{name}: {count(receipt.dropped, 'version')} cut off, its history begins after version {oldest:,}"
    say(done if receipt.changed else f"{name}: nothing to cut off", record, as_json)


def _actor(
    chosen: Opening, kind: str, parts: list[str] | None, *, write: bool = False
) -> "tuple[ActorHandle, ActorInfo]":
    """The actor and where it stands. One that was never written is an error: its name may be mistyped."""
    from treering.errors import NotFound

    hint = f"treering scope show {chosen.scope} lists the actors there are"
    actor = chosen.store(write=write).scope(chosen.scope).actor(kind, *(parts or ()))
    try:
        info = actor.info()
    except NotFound as error:
        raise CommandError(f"no kind of actor is called {kind}", hint) from error
    if info.version == 0:
        raise CommandError(f"scope {chosen.scope} has no actor {'/'.join((kind, *(parts or ())))}", hint)
    return actor, info
