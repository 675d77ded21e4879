"""`treering vacuum`: give back what deletions left."""

from typing import Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, examples

EPILOG: Final = examples(
    "treering vacuum",
    "treering --store ./state vacuum --json",
)


def vacuum(context: typer.Context, as_json: AsJson = False) -> None:
    """Give free pages back to the system and empty the log. Writers go on meanwhile.

    After gc, nothing of what was deleted is in the store's files then; what others keep it from is said, and the
    command fails.
    """
    from treering.cli.render.console import err, out, print_json
    from treering.cli.render.erasing import print_vacuumed, vacuumed_record

    done = opening(context).store(write=True).vacuum()
    if as_json:
        print_json(vacuumed_record(done))
    else:
        print_vacuumed(out(), err(), done)
    if not done:
        raise typer.Exit(1)
