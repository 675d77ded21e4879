"""`treering thread fork`."""

from typing import Annotated, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, Labels, ThreadId, examples, parse_labels

EPILOG: Final = examples(
    "treering thread fork 01KAP3 --at 6",
    "treering thread fork ticket-812 --before coder --key second-try",
)


def fork(
    context: typer.Context,
    thread_id: ThreadId,
    at: Annotated[int | None, typer.Option(min=0, metavar="STEP", help="The last step to keep; 0 keeps none.")] = None,
    before: Annotated[str | None, typer.Option(metavar="ROLE", help="End before a step of this role.")] = None,
    occurrence: Annotated[
        str, typer.Option(help="Which step of that role: first, last, or its number from 1.", metavar="WHICH")
    ] = "last",
    key: Annotated[str | None, typer.Option(help="Your own name for the fork, unique in the scope.")] = None,
    label: Labels = None,
    max_rounds: Annotated[int | None, typer.Option(min=0, help="Another limit of rounds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fork a thread: one new record, no new block, however long it is. Prints the fork's id."""
    if at is not None and before is not None:
        raise typer.BadParameter("--at and --before say different things; give one")
    labels, which = parse_labels(label), _occurrence(occurrence)
    forked = (
        opening(context)
        .thread(thread_id, write=True)
        .fork(
            at=at,
            before=before,
            occurrence=which,
            key=key,
            labels=labels or None,
            max_rounds=max_rounds,
        )
    )
    if as_json:
        from treering.cli.render.console import print_json
        from treering.cli.render.records import thread_record

        print_json(thread_record(forked))
    else:
        typer.echo(forked.id)


def _occurrence(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if text in ("first", "last"):
        return text  # type: ignore[return-value]
    raise typer.BadParameter("first, last, or a number from 1", param_hint="--occurrence")
