"""`treering thread diff`."""

from typing import Annotated, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

EPILOG: Final = examples(
    "treering thread diff 01KAP3 01KAP7",
    "treering thread diff ticket-812 second-try --json",
)


def diff(
    context: typer.Context,
    left_id: Annotated[str, typer.Argument(metavar="A", help="A thread.")],
    right_id: Annotated[str, typer.Argument(metavar="B", help="Another thread.")],
    as_json: AsJson = False,
) -> None:
    """Compare two threads: their last common step, then what each has of its own."""
    chosen = opening(context)
    left, right = chosen.thread(left_id), chosen.thread(right_id)
    found = left.diff(right)
    if as_json:
        from treering.cli.render.console import print_json
        from treering.cli.render.records import diff_record

        print_json({"a": left.id, "b": right.id, **diff_record(found)})
        return
    from treering.cli.render.console import out
    from treering.cli.render.difference import print_diff

    print_diff(out(), left, right, found)
